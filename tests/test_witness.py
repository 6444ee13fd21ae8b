"""Replay of exact points: rounding, what it decides, and what it cannot run."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from tests.importer.models import build, info, node, save
from tests.strategies import box_rows, query_of
from verify.core.query import FALSE, TRUE, And, Formula, Or, Query, Row
from verify.importer import load
from verify.importer.model import Model
from verify.witness import Confirmation, build_witness

TENTH = Fraction(1, 10)


def identity(folder: Path, kind: int = TensorProto.FLOAT, name: str = "i.onnx") -> Model:
    return load(save(build([node("Identity", "x", "y")], {"x": info("x", [1, 2], kind)}, [
        info("y", [1, 2], kind)]), folder, name))  # fmt: skip


def asking(model: Model, violation: Formula, low: Fraction = Fraction(0), high: Fraction = Fraction(1)) -> Query:
    return query_of(model.network, And(box_rows([low] * 2, [high] * 2)), violation)


def confirming(model: Model, query: Query) -> Confirmation:
    return Confirmation(query, {"": model})


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_inputs_are_rounded_once_to_the_element_type(tmp_path: Path, kind: int) -> None:
    model = identity(tmp_path, kind)
    replay = confirming(model, asking(model, TRUE)).replay((TENTH, Fraction(1, 3)))
    as_type = np.float32 if kind == TensorProto.FLOAT else np.float64
    assert replay.inputs == ((float(as_type(0.1)), float(as_type(1 / 3))),)
    assert replay.outputs == replay.inputs[0] and replay.agrees and not replay.left_region


def test_output_rows_are_judged_exactly_on_what_comes_back(tmp_path: Path) -> None:
    model = identity(tmp_path)
    rounded = Fraction(float(np.float32(0.1)))  # above 1/10
    for bound, agrees in ((TENTH, False), (rounded, True), (rounded - Fraction(1, 2**200), False)):
        query = asking(model, Row.of({}, {0: 1}, bound))
        witness = build_witness(query, (TENTH, TENTH), confirming(model, query))
        assert witness.replay is not None and witness.replay.agrees is agrees
        assert witness.outputs == (TENTH, TENTH) and witness.margin == bound - TENTH
    strict = asking(model, Row.of({}, {0: 1}, rounded, strict=True))
    assert not confirming(model, strict).agrees((TENTH, TENTH))


def test_rounding_out_of_the_region_is_said_but_decides_nothing(tmp_path: Path) -> None:
    model = identity(tmp_path)
    query = asking(model, Row.of({}, {1: -1}, 0), Fraction(0), TENTH)
    replay = confirming(model, query).replay((TENTH, TENTH))
    assert replay.agrees and replay.left_region
    replay = confirming(model, query).replay((Fraction(1, 16), Fraction(1, 16)))
    assert replay.agrees and not replay.left_region


def test_rows_over_inputs_and_outputs_see_the_rounded_inputs(tmp_path: Path) -> None:
    model = identity(tmp_path)
    same = And((Row.of({0: 1}, {0: -1}, 0), Row.of({0: -1}, {0: 1}, 0)))
    assert confirming(model, asking(model, same)).agrees((TENTH, TENTH))


def test_formulas_are_followed(tmp_path: Path) -> None:
    model = identity(tmp_path)
    low, high = Row.of({}, {0: 1}, Fraction(1, 4)), Row.of({}, {0: -1}, -Fraction(3, 4))
    x = (Fraction(1, 8), Fraction(0))
    for violation, agrees in ((Or((low, high)), True), (And((low, high)), False), (TRUE, True), (FALSE, False)):
        assert confirming(model, asking(model, violation)).agrees(x) is agrees


def test_a_point_beyond_float32_is_not_confirmed(tmp_path: Path) -> None:
    model = identity(tmp_path)
    query = asking(model, TRUE, Fraction(0), Fraction(10) ** 39)
    replay = confirming(model, query).replay((Fraction(10) ** 39, Fraction(0)))
    assert not replay.agrees and replay.outputs == () and "beyond the range" in replay.note


def test_overflow_inside_the_model_is_not_confirmed(tmp_path: Path) -> None:
    nodes = [node("Mul", "x big", "h"), node("Mul", "h big", "y")]
    model = load(save(build(nodes, {"x": [1, 2]}, ["y"], {"big": np.array(1e30)}), tmp_path))
    query = asking(model, Row.of({}, {0: -1}, 0))
    witness = build_witness(query, (Fraction(1), Fraction(1)), confirming(model, query))
    assert witness.outputs[0] == Fraction(float(np.float32(1e30))) ** 2
    assert witness.replay is not None and not witness.replay.agrees and "infinity" in witness.replay.note


def test_a_model_the_runtime_refuses_is_a_note(tmp_path: Path) -> None:
    model = identity(tmp_path)
    broken = tmp_path / "i.onnx"
    query = asking(model, TRUE)
    broken.write_bytes(build([node("Nope", "x", "y")], {"x": [1, 2]}, ["y"]).SerializeToString())
    replay = confirming(model, query).replay((TENTH, TENTH))
    assert not replay.agrees and replay.outputs == () and "could not run" in replay.note
