"""Simplification keeps the exact function, and does its work."""

from __future__ import annotations

import csv
from fractions import Fraction
from math import isqrt
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.importer.models import build, node, save
from verify.core.evaluate import evaluate
from verify.core.network import Network, Port
from verify.importer import assemble as assembling
from verify.importer import load, prune
from verify.importer.arithmetic import float_product, float_sum, fractions, product, rounded_ratio_to_root, total
from verify.importer.assemble import Output
from verify.importer.graph import Builder

DEV = Path(__file__).parents[3] / "shared" / "bench" / "dev"
NUMBERS = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, 3.0, 0.1, -0.3, 1e-300, 7e200])


@st.composite
def builders(draw: st.DrawFn) -> tuple[Builder, list[np.ndarray]]:
    """Random blocks, many of them copies, over 3 + 2 inputs; with the ids of one or two outputs."""
    build = Builder([3, 2])
    ids = list(range(-1, 5)) + list(build.ids(np.array([1.5, 0.1])))
    for _ in range(draw(st.integers(1, 6))):
        rows, width = draw(st.integers(1, 4)), draw(st.sampled_from([1, 1, 2, 3]))
        columns = np.array(draw(st.lists(st.sampled_from(ids), min_size=rows * width, max_size=rows * width)))
        weights = np.array(draw(st.lists(NUMBERS, min_size=rows * width, max_size=rows * width)))
        bias = np.array(draw(st.lists(NUMBERS, min_size=rows, max_size=rows)))
        if draw(st.integers(0, 4)) == 0:
            weights = fractions(weights) / 3
        shape = (rows, width)
        new = build.table(columns.reshape(shape), weights.reshape(shape), bias, relu=draw(st.booleans()))
        ids += new.tolist()
    count = draw(st.integers(1, 2))
    return build, [np.array(draw(st.lists(st.sampled_from(ids), min_size=1, max_size=4))) for _ in range(count)]


def plain_values(build: Builder, x: list[Fraction]) -> list[Fraction]:
    values = list(x)
    for block in build.blocks:
        fresh = []
        for row in range(block.size):
            z = Fraction(block.bias[row])
            for k in range(block.starts[row], block.starts[row + 1]):
                z += Fraction(block.values[k]) * values[block.columns[k]]
            fresh.append(max(z, Fraction(0)) if block.relu[row] else z)
        values += fresh
    return values


@settings(max_examples=200, deadline=None)
@given(builders(), st.lists(st.fractions(-4, 4, max_denominator=8), min_size=5, max_size=5))
def test_simplified_networks_are_the_same_function(made: tuple[Builder, list[np.ndarray]], x: list[Fraction]) -> None:
    build, outputs = made
    values, pool = plain_values(build, x), build._pool
    expected = [values[i] if i >= 0 else Fraction(pool[-1 - i]) for ids in outputs for i in ids.tolist()]
    ports = (Port("a", (3,), 0), Port("b", (2,), 1))
    ends = [Output(f"y{k}", ids, "float32") for k, ids in enumerate(outputs)]
    network = assembling.assemble(ports, ends, build)
    assert list(evaluate(network, x)) == expected
    keep = list(range(0, len(expected), 2))
    assert list(evaluate(prune(network, keep), x)) == [expected[i] for i in keep]


@given(
    st.lists(st.tuples(st.floats(allow_nan=False, allow_infinity=False), st.floats(-1e9, 1e9)), min_size=1, max_size=4)
)
def test_exact_arithmetic_never_rounds(pairs: list[tuple[float, float]]) -> None:
    a, b = (np.array(v) for v in zip(*pairs, strict=True))
    for exact, fast, wanted in (
        (product, float_product, [Fraction(p) * Fraction(q) for p, q in pairs]),
        (total, float_sum, [Fraction(p) + Fraction(q) for p, q in pairs]),
    ):
        assert [Fraction(v) for v in exact(a, b).tolist()] == wanted
        found = fast(a, b)
        assert found is None or [Fraction(v) for v in found.tolist()] == wanted


@given(st.fractions(-100, 100), st.fractions(Fraction(1, 10**6), 10**6))
def test_root_quotient_is_correctly_rounded(numerator: Fraction, square: Fraction) -> None:
    found = rounded_ratio_to_root(numerator, square)
    scale = 10**80
    quotient = numerator * numerator / square
    exact = Fraction(isqrt(quotient.numerator * scale**2 // quotient.denominator), scale)
    assert found == float(-exact if numerator < 0 else exact)


def chain(tmp_path: Path, opset: int = 13) -> Network:
    rng = np.random.default_rng(0)
    nodes, stored, last = [node("Sub", "x mean", "n")], {"mean": np.zeros(3)}, "n"
    for k, (rows, columns) in enumerate([(3, 4), (4, 4), (4, 2)]):
        stored |= {f"w{k}": rng.normal(size=(rows, columns)), f"b{k}": rng.normal(size=columns)}
        nodes += [
            node("MatMul", f"{last} w{k}", f"m{k}"),
            node("Add", f"m{k} b{k}", f"a{k}"),
            node("Relu", f"a{k}", f"r{k}"),
        ]
        last = f"r{k}"
    nodes[-1] = node("Identity", "a2", "r2")
    return load(save(build(nodes, {"x": [1, 3]}, ["r2"], stored, opset=opset), tmp_path)).network


def test_a_chain_is_one_block_per_layer(tmp_path: Path) -> None:
    network = chain(tmp_path)
    assert [(b.size, len(b.terms), b.relu.count(1)) for b in network.blocks] == [(4, 1, 4), (4, 1, 4), (2, 1, 0)]
    assert all(t.matrix.is_dense and t.matrix.values.floats is not None for b in network.blocks for t in b.terms)


def test_transposed_convolution_output_is_folded(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("Transpose", "c", "t", perm=[0, 2, 3, 1]), node("Relu", "t", "r"),
             node("Flatten", "r", "f"), node("Slice", "f s e", "y")]  # fmt: skip
    stored = {"w": np.ones((2, 1, 2, 2)), "s": np.array([0, 0]), "e": np.array([1, 3])}
    network = load(save(build(nodes, {"x": [1, 1, 3, 3]}, ["y"], stored), tmp_path)).network
    assert [(b.size, b.relu) for b in network.blocks] == [(3, b"\x01\x01\x01")]


def test_prune_drops_dead_rows(tmp_path: Path) -> None:
    network = prune(chain(tmp_path), [1])
    assert network.output_size == 1
    assert [b.size for b in network.blocks] == [4, 4, 1]
    with pytest.raises(ValueError, match="outputs"):
        prune(network, [1])


@pytest.mark.skipif(not DEV.exists(), reason="the shared benchmark is not here")
@pytest.mark.parametrize("family", ["acc", "test", "safenlp", "rl_benchmarks", "drones_1d_hovering"])
def test_public_networks_load(family: str) -> None:
    with (DEV / "instances.csv").open() as stream:
        rows = {r["onnx"]: r for r in csv.DictReader(stream) if r["family"] == family}
    assert rows
    for name, row in rows.items():
        network = load(DEV / name).network
        assert network.relu_count == int(row["n_relu"])
        assert (network.input_size, network.output_size) == (int(row["n_inputs"]), int(row["n_outputs"]))
