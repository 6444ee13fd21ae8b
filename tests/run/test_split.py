"""Parts of a query: together exactly the query, and the same verdict."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.spec.models import affine_network
from tests.strategies import box_rows, points, queries, query_of
from verify.core.budget import Budget
from verify.core.query import And, Or, Query, Row, conjunction, holds
from verify.core.report import Result
from verify.core.verdict import Evidence, Statistics, Verdict
from verify.errors import QueryError
from verify.run.combine import combine, settled_share
from verify.run.split import MOST_INPUTS, split
from verify.search.decide import decide


@settings(max_examples=60)
@given(st.data(), st.integers(1, 5))
def test_parts_cover_the_query_exactly(data: st.DataObject, count: int) -> None:
    query = data.draw(queries())
    try:
        parts = split(query, count)
    except QueryError:
        return
    assert 1 <= len(parts) <= count
    for x in data.draw(st.lists(points(query.network.input_size), min_size=1, max_size=8)):
        inside = holds(query.assumption, x, [Fraction(0)] * query.network.output_size)
        shares = [holds(p.assumption, x, [Fraction(0)] * query.network.output_size) for p in parts]
        assert any(shares) == inside
    assert [p.assumption for p in split(query, count)] == [p.assumption for p in parts]


@settings(max_examples=12)
@given(queries(max_relus=4), st.integers(2, 3))
def test_verdict_of_parts_is_the_verdict(query: Query, count: int) -> None:
    def answer(part: Query) -> str:
        return decide(part, Budget(time.monotonic() + 20, time.monotonic)).answer

    try:
        whole = answer(query)
    except QueryError:
        return
    answers = [answer(part) for part in split(query, count)]
    combined = "sat" if "sat" in answers else "vacuous" if set(answers) == {"vacuous"} else "unsat"
    assert combined == whole


def over(size: int, violation: Row | Or, *more: Row) -> Query:
    rows = box_rows([Fraction(-1)] * size, [Fraction(1)] * size)
    return query_of(affine_network([[1.0] * size, [0.0] * size], [0.0, 0.0]), conjunction([*rows, *more]), violation)


def test_the_input_that_matters_is_cut() -> None:
    net = affine_network([[0.001, 5.0, 0.0]], [0.0])
    rows = box_rows([Fraction(-9), Fraction(-1), Fraction(-99)], [Fraction(9), Fraction(1), Fraction(99)])
    first, second = split(query_of(net, conjunction(rows), Row.of({}, {0: 1}, 0)), 2)
    assert isinstance(first.assumption, And) and isinstance(second.assumption, And)
    assert first.assumption.children[-1] == Row.of({1: 1}, {}, 0)
    assert second.assumption.children[-1] == Row.of({1: -1}, {}, 0)


def test_many_inputs_deal_out_disjuncts() -> None:
    size = MOST_INPUTS + 1
    disjuncts = tuple(Row.of({}, {0: 1}, -k) for k in range(5))
    parts = split(over(size, Or(disjuncts)), 2)
    assert [p.violation for p in parts] == [Or(disjuncts[::2]), Or(disjuncts[1::2])]
    assert len(split(over(size, Or(disjuncts)), 9)) == 5
    whole = over(size, disjuncts[0])
    assert split(whole, 4) == (whole,)


def test_a_point_is_not_split() -> None:
    rows = [Row.of({0: 1}, {}, 0), Row.of({0: -1}, {}, 0)]
    query = over(1, Row.of({}, {0: 1}, 0), *rows)
    assert split(query, 4) == (query,)


def test_inputs_bounded_by_the_violation_alone_are_not_cut() -> None:
    """Cutting could change what vacuity is judged by."""
    net = affine_network([[1.0]], [0.0])
    low, high = box_rows([Fraction(-1)], [Fraction(1)])
    query = query_of(net, low, conjunction([high, Row.of({}, {0: 1}, 0)]))
    assert split(query, 4) == (query,)


def result(verdict: Verdict, evidence: Evidence | None = None, **rest: object) -> Result:
    return Result("p", verdict, 1.0, evidence=evidence, statistics=Statistics(1, 2, 3), **rest)  # type: ignore[arg-type]


PROVED, VACUOUS = result(Verdict.PROVED, Evidence.BOUNDS), result(Verdict.VACUOUS, Evidence.SOLVER)
LATE, FULL = result(Verdict.UNKNOWN, reason="timeout", settled=0.5), result(Verdict.UNKNOWN, reason="memory")


@pytest.mark.parametrize(
    ("parts", "verdict"),
    [
        ([PROVED, PROVED], "PROVED"),
        ([VACUOUS, PROVED], "PROVED"),
        ([VACUOUS, VACUOUS], "VACUOUS"),
        ([PROVED, LATE], "UNKNOWN"),
        ([PROVED, result(Verdict.ERROR), LATE], "ERROR"),
        ([LATE, result(Verdict.REFUTED)], "REFUTED"),
        ([result(Verdict.FRAGILE), LATE, PROVED], "FRAGILE"),
        ([result(Verdict.FRAGILE), result(Verdict.REFUTED)], "REFUTED"),
        ([result(Verdict.ERROR), result(Verdict.WITNESSED)], "WITNESSED"),
        ([VACUOUS, result(Verdict.NO_WITNESS, Evidence.BOUNDS)], "NO WITNESS"),
    ],
)
def test_combined_verdict(parts: list[Result], verdict: str) -> None:
    for order in (parts, parts[::-1]):
        found = combine(order, by_box=True, seconds=2.0)
        assert str(found.verdict) == verdict and found.seconds == 2.0
        assert found.statistics == Statistics(len(parts), 2 * len(parts), 3 * len(parts))


def test_combined_evidence_reason_and_share() -> None:
    assert combine([VACUOUS, PROVED], by_box=True, seconds=1).evidence is Evidence.SOLVER
    assert combine([PROVED, PROVED], by_box=True, seconds=1).evidence is Evidence.BOUNDS
    found = combine([LATE, FULL, PROVED], by_box=True, seconds=1)
    assert (found.reason, found.settled) == ("memory", pytest.approx(2.5 / 3))
    assert settled_share([0.9, 0.8], by_box=False) == pytest.approx(0.7)
    assert settled_share([0.1, 0.2], by_box=False) == 0.0
