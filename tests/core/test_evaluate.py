"""Exact evaluation against a naive one in fractions."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import networks, points, wild_floats
from verify.core.evaluate import evaluate, evaluate_values, pre_activation
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term


def naive(network: Network, x: tuple[Fraction, ...]) -> list[list[Fraction]]:
    values, position = [], 0
    for port in network.inputs:
        values.append(list(x[position : position + port.size]))
        position += port.size
    for block in network.blocks:
        value = []
        for row in range(block.size):
            z = block.bias[row]
            for term in block.terms:
                z += sum(w * values[term.source][c] for c, w in term.matrix.entries(row))
            value.append(max(z, Fraction(0)) if block.relu[row] else z)
        values.append(value)
    return values


@given(st.data(), st.one_of(networks(), networks(weights=wild_floats)))
def test_equals_naive_evaluation(data: st.DataObject, network: Network) -> None:
    x = data.draw(points(network.input_size))
    expected = naive(network, x)
    values = evaluate_values(network, x)
    assert [[Fraction(n, d) for n in numerators] for numerators, d in values] == expected
    assert evaluate(network, x) == tuple(v for port in network.outputs for v in expected[port.value])
    for number, block in enumerate(network.blocks):
        numerators, denominator = pre_activation(block, values[: len(network.inputs) + number])
        value = expected[len(network.inputs) + number]
        for n, r, v in zip(numerators, block.relu, value, strict=True):
            assert (max(Fraction(n, denominator), Fraction(0)) if r else Fraction(n, denominator)) == v


def test_rational_weights_sparse_rows_and_rational_points() -> None:
    matrix = Matrix.from_rows(4, [{3: Fraction(1, 3)}, {}])
    network = Network(
        (Port("x", (4,), 0),),
        (Port("y", (2,), 1),),
        (Block((Term(0, matrix),), Numbers.of([Fraction(1, 7), 0]), b"\0\1"),),
    )
    assert not matrix.is_dense
    assert evaluate(network, [Fraction(0)] * 3 + [Fraction(1, 5)]) == (Fraction(1, 15) + Fraction(1, 7), 0)


def test_input_count_is_checked() -> None:
    network = Network((Port("x", (1,), 0),), (Port("x", (1,), 0),), ())
    assert evaluate(network, [Fraction(2, 3)]) == (Fraction(2, 3),)
    with pytest.raises(ValueError, match="1 inputs needed, not 2"):
        evaluate(network, [Fraction(1), Fraction(2)])
