"""Rows, formulas and their exact complement."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import formulas, points, query_of, rows
from verify.core.network import Network, Port
from verify.core.query import (
    FALSE,
    TRUE,
    Affine,
    And,
    Field,
    Formula,
    Or,
    Query,
    Row,
    conjunction,
    disjunction,
    holds,
    identity_copy,
    margin,
    mentions_outputs,
    negate,
)

Point = tuple[Fraction, ...]


@given(formulas(2, 2), points(2), points(2))
def test_negation_is_the_exact_complement(formula: Formula, x: Point, y: Point) -> None:
    assert holds(negate(formula), x, y) is not holds(formula, x, y)
    assert negate(negate(formula)) == formula


@given(rows(2, 1), st.data())
def test_negation_at_a_tie(row: Row, data: st.DataObject) -> None:
    x, y = data.draw(points(2)), data.draw(points(1))
    tied = Row(row.inputs, row.outputs, row.bound - row.slack(x, y), row.strict)
    assert tied.slack(x, y) == 0
    assert tied.holds(x, y) is not row.strict
    assert holds(negate(tied), x, y) is row.strict


@given(st.lists(formulas(1, 1, max_leaves=4), max_size=3), points(1), points(1))
def test_flattening_keeps_the_meaning(children: list[Formula], x: Point, y: Point) -> None:
    assert holds(conjunction(children), x, y) == all(holds(c, x, y) for c in children)
    assert holds(disjunction(children), x, y) == any(holds(c, x, y) for c in children)


@given(formulas(1, 1), points(1), points(1))
def test_margin_has_the_sign_of_the_truth(formula: Formula, x: Point, y: Point) -> None:
    value = margin(formula, x, y)
    if isinstance(formula, Row):
        assert value == formula.slack(x, y)
    if value is not None and value != 0 and not _has_constants(formula):
        assert (value > 0) == holds(formula, x, y)


def _has_constants(formula: Formula) -> bool:
    return not isinstance(formula, Row) and (not formula.children or any(map(_has_constants, formula.children)))


def test_constants() -> None:
    row = Row.of({0: 1}, {}, 0)
    assert conjunction([]) == TRUE
    assert disjunction([]) == FALSE
    assert conjunction([row, FALSE]) == FALSE
    assert disjunction([row, TRUE]) == TRUE
    assert conjunction([And((row,)), TRUE]) == row
    assert disjunction([Or((row, row)), FALSE]) == Or((row, row))
    assert holds(TRUE, (), ()) and not holds(FALSE, (), ())
    assert margin(TRUE, (), ()) is None


def test_rows_drop_zeros_and_sort() -> None:
    row = Row.of({3: 1, 1: 0, 0: Fraction(1, 2)}, {1: -1}, 2)
    assert row.inputs == ((0, Fraction(1, 2)), (3, Fraction(1)))
    assert mentions_outputs(Or((And(()), row)))
    assert not mentions_outputs(Row.of({0: 1}, {0: 0}, 2))


@given(st.fractions(), st.fractions().filter(bool), st.fractions())
def test_units_round_trip(raw: Fraction, scale: Fraction, offset: Fraction) -> None:
    field = Field("speed", "m/s", scale, offset)
    assert field.raw(field.physical(raw)) == raw


def test_affine_and_identity_copy() -> None:
    x = (Fraction(2), Fraction(1, 3))
    assert Affine(((0, Fraction(3)), (1, Fraction(-1))), Fraction(1))(x) == Fraction(20, 3)
    assert tuple(a(x) for a in identity_copy("net", "", 2).raw_inputs) == x


def test_a_query_names_every_variable() -> None:
    network = Network((Port("x", (1,), 0),), (Port("x", (1,), 0),), ())
    assert query_of(network, TRUE, TRUE).inputs == (Field("X_0"),)
    with pytest.raises(ValueError, match="one field per variable"):
        Query(network, (), (Field("Y_0"),), TRUE, TRUE, ())
