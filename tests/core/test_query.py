"""Rows, formulas and their exact complement."""

from dataclasses import replace
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
    Copy,
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


# -- digest ------------------------------------------------------------------------------------------------------

IDENTITY = Network((Port("x", (2,), 0),), (Port("x", (2,), 0),), ())
OTHER = Network((Port("x", (1,), 0), Port("z", (1,), 1)), (Port("x", (1,), 0), Port("z", (1,), 1)), ())
ROW = Row.of({0: 1, 1: Fraction(1, 3)}, {0: -2}, Fraction(7, 2))


def some_query() -> Query:
    fields = (Field("a", "m", Fraction(2), Fraction(1, 2)), Field("b"))
    copies = (
        Copy("net(s)", "net", (Affine(((0, Fraction(1)),)), Affine((), Fraction(3))), 0),
        identity_copy("n", "", 2),
    )
    return Query(IDENTITY, fields, (Field("l"), Field("r")), Or((ROW, And(()))), And((ROW, Or(()))), copies)


def rows_like(row: Row) -> list[Row]:
    """Every way to change one thing of a row."""
    more = ((0, Fraction(1)),)
    return [
        replace(row, strict=not row.strict), replace(row, bound=row.bound + Fraction(1, 10**30)),
        replace(row, bound=-row.bound), replace(row, inputs=row.outputs, outputs=row.inputs),
        replace(row, inputs=row.inputs[:1]), replace(row, inputs=more), replace(row, outputs=()),
        replace(row, outputs=(*row.outputs, (1, Fraction(1)))),
        replace(row, inputs=(row.inputs[0], (1, Fraction(1, 4)))),
        replace(row, inputs=((0, Fraction(1)), (2, Fraction(1, 3)))),
    ]  # fmt: skip


def formulas_like(formula: Formula) -> list[Formula]:
    """Every way to change one thing of a formula, wrappings that mean the same included."""
    wrapped: list[Formula] = [And((formula,)), Or((formula,)), And((formula, formula)), Or((formula, And(())))]
    if isinstance(formula, Row):
        return [*wrapped, *rows_like(formula)]
    kind, children = type(formula), formula.children
    other = And if kind is Or else Or
    changed = [
        kind((*children[:k], c, *children[k + 1 :])) for k, child in enumerate(children) for c in formulas_like(child)
    ]
    return [*wrapped, *changed, other(children), kind(children[1:]), kind(children[::-1])]


def fields_like(fields: tuple[Field, ...]) -> list[tuple[Field, ...]]:
    first, second = fields
    changed = [
        replace(first, name="a2"), replace(first, name=""), replace(first, unit=None), replace(first, unit=""),
        replace(first, unit="-"), replace(first, scale=Fraction(3)), replace(first, scale=-first.scale),
        replace(first, offset=Fraction(1, 3)), replace(first, scale=first.offset + 7, offset=first.scale),
        Field(f"{first.name}s1:m", None, first.scale, first.offset), replace(first, name="\ud800"),
    ]  # fmt: skip
    return [(second, first), *((c, second) for c in changed)]


def copies_like(copies: tuple[Copy, ...]) -> list[tuple[Copy, ...]]:
    first, second = copies
    changed = [
        replace(first, label="other"), replace(first, model="other"),
        replace(first, label=first.model, model=first.label),
        replace(first, first_output=1), replace(first, raw_inputs=first.raw_inputs[::-1]),
        replace(first, raw_inputs=first.raw_inputs[:1]), replace(first, raw_inputs=()),
        replace(first, raw_inputs=(Affine(((1, Fraction(1)),)), first.raw_inputs[1])),
        replace(first, raw_inputs=(first.raw_inputs[0], Affine((), Fraction(4)))),
    ]  # fmt: skip
    return [(second, first), (first,), (), (first, second, second), *((c, second) for c in changed)]


def test_digest_changes_with_everything() -> None:
    query = some_query()
    variants = [
        query, replace(query, network=OTHER), replace(query, quantifier="exists"),
        replace(query, assumption=query.violation, violation=query.assumption),
        replace(query, inputs=query.outputs, outputs=query.inputs),
        *(replace(query, inputs=f) for f in fields_like(query.inputs)),
        *(replace(query, outputs=f) for f in fields_like((Field("l", "m", offset=Fraction(1)), Field("r")))),
        *(replace(query, assumption=f) for f in formulas_like(query.assumption)),
        *(replace(query, violation=f) for f in formulas_like(query.violation)),
        *(replace(query, copies=c) for c in copies_like(query.copies)),
    ]  # fmt: skip
    distinct = {repr(v) for v in variants}
    assert len(distinct) > 90
    assert len({v.digest for v in variants}) == len(distinct)


@given(formulas(2, 2), formulas(2, 2), st.booleans())
def test_digest_tells_formulas_apart(a: Formula, b: Formula, swap: bool) -> None:
    one, other = query_of(IDENTITY, a, b), query_of(IDENTITY, b, a) if swap else query_of(IDENTITY, a, a)
    assert (one.digest == other.digest) == (repr(one) == repr(other))


def test_digest_is_stable() -> None:
    """Certificates hold it: a change of the encoding needs a new header."""
    assert some_query().digest == "fada54eb024367541670b1e3c412b5924c8ba35895e6ef9117b62bc04882ad16"
    assert replace(some_query(), copies=some_query().copies).digest == some_query().digest


def test_digest_of_long_numbers_and_deep_formulas() -> None:
    deep: Formula = Row.of({0: 10**6000}, {}, Fraction(1, 3**9000))
    for _ in range(5000):
        deep = And((deep,))
    assert len(query_of(IDENTITY, deep, FALSE).digest) == 64
