"""Replay in ONNX Runtime and correct rounding of inputs."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import TensorProto, helper

from tests.importer.models import build, info, node, save
from verify.errors import ModelError
from verify.replay import Replayer, round_to


@given(st.fractions() | st.floats(allow_nan=False, allow_infinity=False, width=32).map(Fraction))
def test_rounding_to_float64_and_float32(value: Fraction) -> None:
    assert round_to(value, "float64") == float(value)
    found = round_to(value, "float32")
    assert found == float(np.float32(found))
    with np.errstate(over="ignore"):
        neighbours = [float(np.nextafter(np.float32(found), np.float32(end))) for end in (-np.inf, np.inf)]
    for other in filter(np.isfinite, neighbours):
        assert abs(Fraction(found) - value) <= abs(Fraction(other) - value)


def test_rounding_ties_and_limits() -> None:
    ulp = Fraction(1, 2**23)
    assert round_to(1 + ulp / 2, "float32") == 1.0
    assert round_to(1 + 3 * ulp / 2, "float32") == float(1 + 2 * ulp)
    assert round_to(1 + ulp / 2 + Fraction(1, 2**90), "float32") == float(1 + ulp)  # double rounding would give 1
    assert round_to(Fraction(1, 2**150), "float32") == 0.0
    assert round_to(Fraction(3, 2**151), "float32") == 2.0**-149
    assert round_to(-Fraction(1, 2**149), "float32") == -(2.0**-149)
    assert round_to(Fraction(2) ** 128 - Fraction(2) ** 103 - 1, "float32") == float(np.finfo(np.float32).max)
    with pytest.raises(OverflowError):
        round_to(Fraction(2) ** 128 - Fraction(2) ** 103, "float32")


def test_replay_runs_several_tensors(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "y"), node("Neg", "z", "q")]
    model = build(nodes, {"x": ["batch", 2], "z": info("z", [2], TensorProto.DOUBLE)}, [
        "y", info("q", None, TensorProto.DOUBLE)], {"w": np.array([[1.0, -1.0], [2.0, 0.5]])})  # fmt: skip
    replay = Replayer(save(model, tmp_path))
    assert replay.element_types == ("float32", "float32", "float64", "float64")
    assert replay.runtime.startswith("onnxruntime 1.")
    tenth = Fraction(1, 10)
    rounded = replay.round_inputs([tenth] * 4)
    assert rounded == (float(np.float32(0.1)),) * 2 + (0.1,) * 2
    assert replay.run((1.0, 2.0, 0.5, 0.1)) == (5.0, 0.0, -0.5, -0.1)
    with pytest.raises(ValueError, match="4 inputs needed"):
        replay.run((1.0,))
    with pytest.raises(ModelError, match="beyond the range"):
        replay.round_inputs([Fraction(10) ** 40] * 4)


def test_contradictory_declared_types_are_repaired(tmp_path: Path) -> None:
    double = TensorProto.DOUBLE
    model = build([node("MatMul", "x w", "y")], {"x": info("x", [1, 1], double)}, [info("y", [1, 1], double)], {
        "w": np.array([[2.0]])})  # fmt: skip
    replay = Replayer(save(model, tmp_path))
    assert replay.element_types == ("float32",)
    assert replay.run((1.5,)) == (3.0,)


def test_external_data_and_failure(tmp_path: Path) -> None:
    model = build([node("MatMul", "x w", "y")], {"x": [1, 1]}, ["y"], {"w": np.array([[2.0]])})
    stored = model.graph.initializer[0]
    (tmp_path / "w.bin").write_bytes(stored.raw_data)
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value="w.bin")
    assert Replayer(save(model, tmp_path)).run((1.5,)) == (3.0,)
    odd = build([helper.make_node("Nope", ["x"], ["y"])], {"x": [1]}, ["y"])
    with pytest.raises(ModelError) as caught:
        Replayer(save(odd, tmp_path))
    assert caught.value.code == "E120"


def test_onnxruntime_is_imported_lazily() -> None:
    code = "import sys, verify.replay, verify.importer; sys.exit('onnxruntime' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
