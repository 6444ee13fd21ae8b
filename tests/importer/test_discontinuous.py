"""Operators that jump: exactly one choice fits every point, and with it the network computes what the model does."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from tests.importer.models import build as build_model
from tests.importer.models import info, node, reference, runtime, save, tensor
from verify.core.evaluate import evaluate
from verify.core.query import And, Formula, Or, holds
from verify.errors import ModelError
from verify.importer import load
from verify.importer.model import Model

BOX = (Fraction(-3), Fraction(3))


def build(
    nodes: list[onnx.NodeProto],
    inputs: list[onnx.ValueInfoProto],
    outputs: list[onnx.ValueInfoProto],
    stored: Sequence[TensorProto] = (),
    *,
    opset: int,
) -> onnx.ModelProto:
    return build_model(nodes, {i.name: i for i in inputs}, outputs, {t.name: t for t in stored}, opset=opset)


def loaded(model: onnx.ModelProto, folder: Path, box: Sequence[tuple[Fraction, Fraction]]) -> Model:
    return load(save(model, folder), box=lambda _: box)


def combinations(formula: Formula, first: int) -> set[tuple[Fraction, ...]]:
    """Every value of the choices that the selection's rows speak of, from input number `first` on."""
    values: dict[int, set[Fraction]] = {}

    def visit(part: Formula) -> None:
        if isinstance(part, (And, Or)):
            for child in part.children:
                visit(child)
        elif len(part.inputs) == 1 and part.inputs[0][0] >= first:
            ((index, c),) = part.inputs
            values.setdefault(index, set()).add(part.bound / c)

    visit(formula)
    return set(itertools.product(*(sorted(values[i]) for i in sorted(values))))


def outputs_at(model: Model, x: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The model's outputs at x; asserts that exactly one choice fits."""
    if model.selection is None:
        return evaluate(model.network, x)
    found = []
    for choice in combinations(model.selection.formula, len(x)):
        y = evaluate(model.network, [*x, *choice])
        if holds(model.selection.formula, [*x, *choice], y):
            found.append(y[: len(y) - model.selection.guards])
    assert len(found) == 1, (x, found)
    return found[0]


def compare(model: onnx.ModelProto, folder: Path, *, half: int = 6, oracle: Any = reference) -> Model:
    """Against an oracle at every point of a grid that meets all jumps (multiples of a quarter)."""
    size = sum(int(np.prod([d.dim_value for d in i.type.tensor_type.shape.dim])) for i in model.graph.input)
    found = loaded(model, folder, [BOX] * size)
    steps = [Fraction(k, 4) for k in range(-12, 13)]
    grid = list(itertools.product(steps, repeat=size))
    for x in grid if size == 1 else grid[:: max(1, len(grid) // (half * 40))]:
        feeds, position = {}, 0
        for i in model.graph.input:
            shape = [d.dim_value for d in i.type.tensor_type.shape.dim]
            count = int(np.prod(shape))
            feeds[i.name] = np.array([float(v) for v in x[position : position + count]]).reshape(shape)
            position += count
        expected = [Fraction(float(v)) for r in oracle(model, feeds) for v in np.asarray(r).ravel()]
        assert list(outputs_at(found, x)) == expected, x
    return found


BOOL, INT64, INT32, FLOAT = TensorProto.BOOL, TensorProto.INT64, TensorProto.INT32, TensorProto.FLOAT


@pytest.mark.parametrize("op", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"])
@pytest.mark.parametrize("constant", [0.0, 0.5, -3.0, 3.0, 7.0])
def test_comparison_with_a_constant(op: str, constant: float, tmp_path: Path) -> None:
    nodes = [node(op, "x c", "b"), node("Cast", "b", "y", to=FLOAT)]
    model = build(nodes, [info("x", [1])], [info("y", [1])], [tensor("c", [constant])], opset=18)
    found = compare(model, tmp_path)
    decided = abs(constant) > 3 or (abs(constant) == 3 and found.selection is None)
    assert (found.selection is None) == decided


@pytest.mark.parametrize("op", ["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"])
def test_comparison_of_two_computed_values(op: str, tmp_path: Path) -> None:
    nodes = [
        node("Relu", "x", "r"),
        node("MatMul", "r w", "h"),
        node(op, "h z", "b"),
        node("Where", "b r h", "y"),
    ]
    inputs = [info("x", [2]), info("z", [2])]
    model = build(nodes, inputs, [info("y", [2])], [tensor("w", [[1.0, -0.5], [0.25, 1.0]])], opset=18)
    found = compare(model, tmp_path, half=4)
    assert found.selection is not None
    assert found.selection.guards == 2


@pytest.mark.parametrize("op", ["Floor", "Ceil", "Round", "Sign"])
def test_rounding(op: str, tmp_path: Path) -> None:
    model = build([node(op, "x", "y")], [info("x", [1])], [info("y", [1])], opset=18)
    compare(model, tmp_path)
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node(op, "r", "y")]
    model = build(nodes, [info("x", [2])], [info("y", [1])], [tensor("w", [[0.5], [-0.25]])], opset=18)
    compare(model, tmp_path)


@pytest.mark.parametrize(("kind", "name"), [(INT64, "int64"), (INT32, "int32"), (BOOL, "bool")])
def test_casts(kind: int, name: str, tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "i", to=kind), node("Cast", "i", "y", to=FLOAT)]
    compare(build(nodes, [info("x", [1])], [info("y", [1])], opset=18), tmp_path)
    found = compare(build(nodes[:1], [info("x", [1])], [info("i", [1], kind)], opset=18), tmp_path)
    assert found.network.outputs[0].element_type == name


def test_integer_arithmetic_and_logic(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "i", to=INT64),
        node("Add", "i two", "j"),
        node("Cast", "j", "f", to=FLOAT),
        node("Greater", "x c", "p"),
        node("Less", "x d", "q"),
        node("And", "p q", "both"),
        node("Or", "p q", "either"),
        node("Xor", "p q", "one"),
        node("Not", "one", "same"),
        node("Where", "both f x", "a"),
        node("Where", "same x a", "b"),
        node("Cast", "either", "e", to=FLOAT),
        node("Sub", "b e", "y"),
    ]
    stored = [tensor("two", np.array([2])), tensor("c", [-1.0]), tensor("d", [1.0])]
    compare(build(nodes, [info("x", [1])], [info("y", [1])], stored, opset=18), tmp_path, oracle=runtime)


def test_shared_guards_are_one_choice(tmp_path: Path) -> None:
    nodes = [node("Greater", "x c", "b"), node("Where", "b x c", "s"), node("Where", "b c x", "t")]
    model = build(nodes, [info("x", [1])], [info("s", [1]), info("t", [1])], [tensor("c", [0.5])], opset=18)
    found = compare(model, tmp_path)
    assert found.selection is not None
    assert (found.selection.names, found.selection.guards) == (("Greater_b[0]",), 0)


def test_choices_survive_moves(tmp_path: Path) -> None:
    nodes = [
        node("Greater", "x c", "b"),
        node("Reshape", "b s", "r"),
        node("Cast", "r", "f", to=FLOAT),
        node("Transpose", "f", "t", perm=[1, 0]),
        node("ReduceSum", "t", "y", keepdims=0),
    ]
    stored = [tensor("c", [0.25]), tensor("s", np.array([2, 1]))]
    compare(build(nodes, [info("x", [2])], [info("y", [])], stored, opset=18), tmp_path)


REFUSED = [
    ("integer division", [node("Cast", "x", "i", to=INT64), node("Div", "i two", "y")], "integers or Booleans"),
    ("a cast to unsigned", [node("Cast", "x", "y", to=TensorProto.UINT8)], "rounds or wraps"),
    ("a cast to half", [node("Cast", "x", "y", to=TensorProto.FLOAT16)], "rounds or wraps"),
    ("too wide", [node("Mul", "x k", "h"), node("Cast", "h", "y", to=TensorProto.INT8)], "more than 256 values"),
    ("int8 sums wrap", [node("Mul", "x f", "h"), node("Cast", "h", "i", to=TensorProto.INT8), node("Add", "i i", "y")],
     "int8 may not hold"),
    ("no such operator", [node("Greater", "x f", "b"), node("Softmax", "x", "y")], "Softmax"),
]  # fmt: skip


@pytest.mark.parametrize(("nodes", "reason"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(nodes: list[onnx.NodeProto], reason: str, tmp_path: Path) -> None:
    stored = [tensor("two", np.array([2])), tensor("k", [1000.0]), tensor("f", [40.0])]
    kind = INT64 if nodes[-1].op_type == "Div" else TensorProto.INT8 if nodes[-1].op_type != "Softmax" else FLOAT
    model = build(nodes, [info("x", [1])], [info("y", [1], kind)], stored, opset=18)
    with pytest.raises(ModelError) as caught:
        loaded(model, tmp_path, [BOX])
    assert reason in str(caught.value)


def test_too_many_combinations(tmp_path: Path) -> None:
    nodes = [node("Greater", "x c", "b"), node("Cast", "b", "y", to=FLOAT)]
    model = build(nodes, [info("x", [13])], [info("y", [13])], [tensor("c", [0.0])], opset=18)
    with pytest.raises(ModelError, match="too many places"):
        loaded(model, tmp_path, [BOX] * 13)


def test_without_a_box_they_are_refused_as_before(tmp_path: Path) -> None:
    nodes = [node("Greater", "x c", "b"), node("Where", "b x c", "y")]
    model = build(nodes, [info("x", [1])], [info("y", [1])], [tensor("c", [0.0])], opset=18)
    with pytest.raises(ModelError, match="Greater"):
        load(save(model, tmp_path))


def test_a_box_changes_nothing_where_nothing_jumps(tmp_path: Path) -> None:
    model = build([node("Relu", "x", "y")], [info("x", [2])], [info("y", [2])], opset=18)
    path = save(model, tmp_path)
    assert load(path, box=lambda _: [BOX] * 2).network.digest == load(path).network.digest


def test_hidden_tensors_become_outputs(tmp_path: Path) -> None:
    nodes = [node("Mul", "x k", "h"), node("Relu", "h", "y")]
    model = build(nodes, [info("x", [2])], [info("y", [2])], [tensor("k", [2.0])], opset=18)
    path = save(model, tmp_path)
    for name in ("h", "Mul_h"):
        found = load(path, hidden=[name])
        assert found.hidden == ("h",)
        assert evaluate(found.network, [Fraction(-1), Fraction(1)]) == (0, 2, -2, 2)
    with pytest.raises(ModelError, match="no hidden node 'g'") as caught:
        load(path, hidden=["g"])
    assert caught.value.code == "E122"
    assert "h, y" in caught.value.fix
