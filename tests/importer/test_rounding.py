"""The float32 program of a model: the roundings of each operator, and what is refused."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.importer.models import build, node, save
from verify.core.evaluate import evaluate
from verify.core.program import Program
from verify.core.query import Affine
from verify.errors import ModelError
from verify.importer import load
from verify.importer.operators import OPERATORS
from verify.importer.rounding import EXACT, ROUNDINGS, float32_program
from verify.kernel_float32.rounding import ONE, Rounding, Spread

RANDOM = np.random.default_rng(5)


def weights(*shape: int) -> Any:
    return RANDOM.normal(size=shape).astype(np.float32)


def program(tmp_path: Path, nodes: Any, inputs: Any, stored: Any = (), *, opset: int = 17) -> Program:
    model = build(nodes, inputs, ["y"], stored, opset=opset)
    return float32_program(load(save(model, tmp_path)))


def counts(found: Program) -> list[tuple[int, int]]:
    """(products, biases) of the first row of every block that rounds."""
    return [(p[0], b[0]) for p, b in zip(found.products, found.biases, strict=True) if any(p) or any(b)]


@pytest.mark.parametrize(
    ("nodes", "stored", "expected"),
    [
        ([node("MatMul", "x w", "y")], {"w": weights(4, 3)}, [(5, 5)]),
        ([node("Gemm", "x w b", "y")], {"w": weights(4, 3), "b": weights(3)}, [(5, 5)]),
        (
            [node("MatMul", "x w", "h"), node("Add", "h b", "y")],
            {"w": weights(4, 3), "b": weights(3)},
            [(5, 5), (1, 6)],
        ),
        ([node("MatMul", "x w", "h"), node("Add", "x h", "y")], {"w": weights(4, 4)}, [(5, 5), (6, 6)]),
        ([node("Sub", "x b", "y")], {"b": weights(4)}, [(1, 1)]),
        ([node("Mul", "x b", "y")], {"b": weights(4)}, [(1, 1)]),
        ([node("Div", "x b", "y")], {"b": weights(4)}, [(1, 1)]),
        ([node("Relu", "x", "h"), node("Max", "h b", "y")], {"b": weights(4)}, []),
        ([node("ReduceMean", "x", "y", axes=[1])], {}, [(6, 6)]),
        ([node("ReduceSum", "x", "y")], {}, [(5, 5)]),
        ([node("Flatten", "x", "h"), node("Neg", "h", "y")], {}, []),
    ],
)
def test_roundings_of_operators(tmp_path: Path, nodes: Any, stored: Any, expected: Any) -> None:
    assert counts(program(tmp_path, nodes, {"x": [1, 4]}, stored)) == expected


def test_zero_weights_and_padding_do_not_round(tmp_path: Path) -> None:
    sparse = np.array([[1.5], [0], [0], [0]], dtype=np.float32)
    assert counts(program(tmp_path, [node("MatMul", "x w", "y")], {"x": [1, 4]}, {"w": sparse})) == [(2, 2)]
    conv = [node("Conv", "x w", "y", pads=[1, 1, 1, 1])]
    found = program(tmp_path, conv, {"x": [1, 1, 3, 3]}, {"w": weights(1, 1, 3, 3)})
    assert list(found.products[0]) == [6, 8, 6, 8, 11, 8, 6, 8, 6]


def test_every_operator_is_exact_or_has_a_rule_or_is_refused() -> None:
    assert not EXACT & ROUNDINGS.keys()
    assert OPERATORS.keys() - EXACT - ROUNDINGS.keys() == {"BatchNormalization", "HardSigmoid"}


HALF = np.float32(0.5)


@pytest.mark.parametrize(
    ("nodes", "stored", "problem"),
    [
        ([node("HardSigmoid", "x", "y")], {}, "HardSigmoid"),
        ([node("Gemm", "x w", "y", alpha=0.5)], {"w": weights(4, 2)}, "alpha or beta"),
        ([node("Add", "x x", "y")], {}, "reads an element twice"),
        ([node("Concat", "x x", "h", axis=1), node("MatMul", "h w", "y")], {"w": weights(8, 1)}, "twice"),
        ([node("Concat", "x c", "h", axis=1), node("MatMul", "h w", "y")],
         {"c": weights(1, 1), "w": weights(5, 1)}, "constants among the elements"),
        ([node("Mul", "a b", "c"), node("Add", "x c", "y")], {"a": weights(4), "b": weights(4)}, "constant subexpr"),
        ([node("Sqrt", "a", "c"), node("Add", "x c", "y")], {"a": abs(weights(4))}, "Sqrt"),
        ([node("Gemm", "x w b", "y")], {"w": weights(4, 1), "b": None}, "a bias that depends"),
        ([node("Cast", "x", "y", to=11)], {}, "a cast to another type"),
    ],
)  # fmt: skip
def test_refused(tmp_path: Path, nodes: Any, stored: Any, problem: str) -> None:
    inputs: Any = {"x": [1, 4]}
    if "b" in stored and stored["b"] is None:
        inputs, stored = {"x": [1, 4], "b": [1, 1]}, {"w": stored["w"]}
    model = build(nodes, inputs, ["y"], stored)
    with pytest.raises(ModelError, match=problem) as caught:
        float32_program(load(save(model, tmp_path)))
    assert caught.value.code == "E123"


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    path = save(build([node("Relu", "x", "y")], {"x": [1, 2]}, ["y"]), tmp_path)
    model = load(path)
    save(build([node("Neg", "x", "y")], {"x": [1, 2]}, ["y"]), tmp_path)
    with pytest.raises(ModelError, match="has changed") as caught:
        float32_program(model)
    assert caught.value.code == "E102"


def shuffled_sum(parts: Any, choose: random.Random) -> Any:
    """A float32 sum in a random tree."""
    pool = list(parts)
    while len(pool) > 1:
        a = pool.pop(choose.randrange(len(pool)))
        b = pool.pop(choose.randrange(len(pool)))
        pool.append(np.float32(a + b))
    return pool[0]


@pytest.mark.parametrize("seed", range(8))
def test_numpy_evaluations_stay_within_the_error(tmp_path: Path, seed: int) -> None:
    """Sub, MatMul, Add, Relu, MatMul: as the ACAS Xu models are built; wide magnitudes."""
    choose, rng = random.Random(seed), np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-6, 6)
    w, v = (rng.normal(size=s) * scale for s in ((5, 12), (12, 2)))
    stored = {"m": rng.normal(size=5), "w": w, "b": rng.normal(size=12) * scale, "v": v}
    stored = {name: a.astype(np.float32) for name, a in stored.items()}
    nodes = [
        node("Sub", "x m", "c"), node("MatMul", "c w", "p"), node("Add", "p b", "z"),
        node("Relu", "z", "r"), node("MatMul", "r v", "y"),
    ]  # fmt: skip
    found = program(tmp_path, nodes, {"x": [1, 5]}, stored)
    spread = Spread(Rounding(found), [Affine(((i, Fraction(1)),)) for i in range(5)], 5)
    bounds = [Fraction(spread.error([Fraction(k == j) for k in range(2)])[0], ONE) for j in range(2)]
    for _ in range(30):
        x = [Fraction(choose.uniform(-1, 1)) for _ in range(5)]
        fed = np.array([float(v) for v in x], dtype=np.float32)
        centred = fed - stored["m"]
        hidden = []
        for j in range(12):
            products = list(centred * stored["w"][:, j])
            if choose.random() < 0.5:  # as Gemm would: the bias is one of the summands
                z = shuffled_sum([*products, stored["b"][j]], choose)
            elif choose.random() < 0.5:  # accumulated in float64
                z = np.float32(np.float32(np.dot(np.float64(centred), np.float64(stored["w"][:, j]))) + stored["b"][j])
            else:
                z = np.float32(shuffled_sum(products, choose) + stored["b"][j])
            hidden.append(max(z, np.float32(0)))
        y = evaluate(found.network, x)
        for j in range(2):
            result = shuffled_sum([np.float32(h * s) for h, s in zip(hidden, stored["v"][:, j], strict=True)], choose)
            assert abs(Fraction(float(result)) - y[j]) <= bounds[j]
