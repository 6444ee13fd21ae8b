"""Specs over a network that computes |x|."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.importer.models import build, node, save
from tests.run import misdeeds
from verify.run import process

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """A spec file with properties p0, p1, … that assert these conditions (default: of misdeeds.place)."""
    relu = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v c", "y")]
    weights = {"w": np.array([[1.0, -1.0]]), "b": np.zeros(2), "v": np.ones((2, 1)), "c": np.zeros(1)}
    save(build(relu, {"x": [1, 1]}, ["y"], weights), tmp_path, "hat.onnx")

    def spec(count_or_conditions: int | list[str], *, name: str = "s.nnspec", before: str = "") -> Path:
        given = count_or_conditions
        conditions = given if isinstance(given, list) else [f"n(s).y <= {10 + k}" for k in range(given)]
        text = 'network n = onnx("hat.onnx") {\n  input x in [-1, 1]\n  output y\n}\n'
        for number, condition in enumerate(conditions):
            text += f"{before}\nproperty p{number} {{\n  forall s : n.input\n  assert {condition}\n}}\n"
        file = tmp_path / name
        file.write_text(text)
        return file

    return spec


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make every worker decide the k-th property in the k-th way of tests.run.misdeeds."""
    return lambda *deeds: monkeypatch.setattr(process, "MAIN", misdeeds.entry(*deeds))
