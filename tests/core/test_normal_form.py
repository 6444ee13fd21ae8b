"""Regions and cases: the same points, exactly."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import box_rows, boxes, formulas, points, query_of
from verify.core.network import Network, Port
from verify.core.normal_form import MAX_CASES, NormalForm, Region, normal_form
from verify.core.query import FALSE, TRUE, And, Formula, Or, Row, holds
from verify.errors import QueryError

Point = tuple[Fraction, ...]
X0, X1 = {0: 1}, {1: 1}


def passthrough(size: int) -> Network:
    """Outputs are the inputs, so that any formula over x and y can be asked."""
    return Network((Port("x", (size,), 0),), (Port("x", (size,), 0),), ())


def form(assumption: Formula, violation: Formula, size: int = 2) -> NormalForm:
    return normal_form(query_of(passthrough(size), assumption, violation))


def within(region: Region, x: Point, y: Point) -> bool:
    in_box = all(low <= v <= high for low, v, high in zip(region.box.lower, x, region.box.upper, strict=True))
    return in_box and all(r.holds(x, y) for r in region.rows)


def solves(region: Region, x: Point, y: Point) -> bool:
    return within(region, x, y) and any(all(r.holds(x, y) for r in case) for case in region.cases)


@given(boxes(2), formulas(2, 2), formulas(2, 2), st.data())
def test_a_point_satisfies_the_formula_iff_some_region_and_case(
    box: tuple[Point, Point], assumed: Formula, violation: Formula, data: st.DataObject
) -> None:
    assumption = And((*box_rows(*box), assumed))
    result = form(assumption, violation)
    sides = [st.sampled_from([low, high, (low + high) / 2]) for low, high in zip(*box, strict=True)]
    x = data.draw(st.tuples(*sides) | points(2))
    y = data.draw(points(2))
    expected = holds(assumption, x, y) and holds(violation, x, y)
    assert any(solves(r, x, y) for r in result.regions) == expected
    if not result.assumption_uses_outputs:
        assert any(within(r, x, y) for r in result.assumed) == holds(assumption, x, y)
    elif holds(assumption, x, y):
        assert any(within(r, x, y) for r in result.assumed)
    assert all(r.cases == ((),) for r in result.assumed)
    for region in result.regions:
        assert all(low <= high for low, high in zip(region.box.lower, region.box.upper, strict=True))
        assert len(set(region.cases)) == len(region.cases)
        assert not any(row.outputs for row in region.rows)


@pytest.mark.parametrize(
    ("assumption", "name", "side"),
    [
        (TRUE, "X_0", "lower"),
        (And((Row.of({0: -1}, {}, 0), Row.of(X1, {}, 1), Row.of({1: -1}, {}, 1))), "X_0", "upper"),
        (And((*box_rows([Fraction(0)], [Fraction(1)]), Row.of({0: 1, 1: 1}, {}, 1))), "X_1", "lower"),
    ],
)
def test_an_unbounded_input_is_an_error(assumption: Formula, name: str, side: str) -> None:
    with pytest.raises(QueryError) as caught:
        form(assumption, Row.of({}, {0: 1}, 0))
    assert caught.value.code == "E401"
    assert caught.value.message == f"input {name!r} has no {side} bound"


def test_one_unbounded_branch_is_an_error() -> None:
    bounded = And((*box_rows([Fraction(0)] * 2, [Fraction(1)] * 2), Row.of({}, {0: 1}, 0)))
    with pytest.raises(QueryError, match="no upper bound"):
        form(TRUE, Or((bounded, And((Row.of({0: -1}, {}, 0), Row.of({1: -1}, {}, 0), Row.of({}, {0: 1}, 5))))))


def test_boxes_inside_the_violation_bound_the_inputs() -> None:
    parts = [
        And((*box_rows([Fraction(k)] * 2, [Fraction(k + 1)] * 2), Row.of({}, {0: sign}, bound)))
        for k in (0, 5)
        for sign, bound in ((1, 0), (-1, -9))
    ]
    result = form(TRUE, Or(tuple(parts)))
    assert [r.box.lower for r in result.regions] == [(0, 0), (5, 5)]
    assert [len(r.cases) for r in result.regions] == [2, 2]
    assert [r.box for r in result.assumed] == [r.box for r in result.regions]


def test_too_many_disjuncts() -> None:
    box = And(box_rows([Fraction(0)] * 2, [Fraction(1)] * 2))
    either = Or((Row.of({}, {0: 1}, 0), Row.of({}, {1: 1}, 0)))
    fits = MAX_CASES.bit_length() - 1
    assert sum(len(r.cases) for r in form(box, And((either,) * fits)).regions) == 3  # merged: {0}, {1}, {0, 1}
    with pytest.raises(QueryError) as caught:
        form(box, And((either,) * (fits + 1)))
    assert caught.value.code == "E402"


def test_too_many_rows_in_all() -> None:
    box = And(box_rows([Fraction(0)] * 2, [Fraction(1)] * 2))
    long = Or(tuple(And(tuple(Row.of({}, {0: 1}, k) for k in range(n, n + 100))) for n in range(250)))
    with pytest.raises(QueryError, match="too many rows"):
        form(box, And((long, long)))


def test_contradictory_boxes_are_dropped() -> None:
    box = box_rows([Fraction(0)] * 2, [Fraction(1)] * 2)
    below, inside = Row.of(X0, {}, -1), Row.of(X0, {}, Fraction(1, 2))
    result = form(And((*box, Or((below, inside)))), Row.of({}, {0: 1}, 0))
    assert [r.box.upper for r in result.regions] == [(Fraction(1, 2), 1)]
    assert form(And((*box, below)), TRUE).assumed == ()
    assert form(And((*box, FALSE)), TRUE).regions == ()
    assert form(And((*box, Row.of({}, {}, 0, strict=True))), TRUE).assumed == ()


def test_strict_bounds_stay_as_rows() -> None:
    strict = Row.of(X0, {}, 1, strict=True)
    (region,) = form(And((*box_rows([Fraction(0)] * 2, [Fraction(2)] * 2), strict)), TRUE).regions
    assert region.box.upper == (1, 2)
    assert region.rows == (strict,)
    assert region.cases == ((),)


def test_bounds_with_coefficients() -> None:
    rows = (Row.of({0: -3}, {}, 1), Row.of({0: Fraction(1, 2)}, {}, 1), Row.of({1: -1}, {}, 0), Row.of({1: 4}, {}, 1))
    (region,) = form(And(rows), TRUE).regions
    assert region.box.lower == (Fraction(-1, 3), 0)
    assert region.box.upper == (2, Fraction(1, 4))
