"""`decide` against brute force, on every path through the tiers, and its answers for trivial and empty queries."""

from __future__ import annotations

import random
from fractions import Fraction
from typing import Any

import pytest

from tests.oracle import phase_enumeration, random_tiny_query
from tests.search.networks import budget, network, over_box
from tests.strategies import box_rows, query_of
from verify.core.budget import Budget
from verify.core.query import FALSE, TRUE, And, Or, Query, Row, holds
from verify.core.verdict import Decision, Evidence
from verify.errors import QueryError
from verify.search import decide as deciding
from verify.search.decide import decide
from verify.smt.solve import Judgement

HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))  # |x|


def agrees(query: Query, decision: Decision, satisfiable: bool) -> bool:
    """The right answer, and an exact point with "sat"."""
    if decision.answer == "sat":
        assert decision.x is not None
        y = exact_outputs(query, decision.x)
        return satisfiable and holds(query.assumption, decision.x, y) and holds(query.violation, decision.x, y)
    return decision.answer in ("unsat", "vacuous") and not satisfiable


def exact_outputs(query: Query, x: Any) -> list[Fraction]:
    """An evaluation that shares nothing with verify.core.evaluate."""
    values: list[list[Fraction]] = []
    position = 0
    for port in query.network.inputs:
        values.append(list(x[position : position + port.size]))
        position += port.size
    for block in query.network.blocks:
        z = [
            block.bias[row] + sum((w * values[t.source][c] for t in block.terms for c, w in t.matrix.entries(row)))
            for row in range(block.size)
        ]
        values.append([max(v, Fraction(0)) if r else v for v, r in zip(z, block.relu, strict=True)])
    return [v for port in query.network.outputs for v in values[port.value]]


@pytest.mark.parametrize("number", range(150))
def test_brute_force_and_decide_agree(number: int) -> None:
    query = random_tiny_query(random.Random(7_000 + number), number % 2 == 0)
    assert agrees(query, decide(query, budget(), seed=number), phase_enumeration(query))


@pytest.mark.usefixtures("no_attack")
@pytest.mark.parametrize("number", range(60))
def test_brute_force_and_splitting_agree(tier: str, number: int) -> None:
    query = random_tiny_query(random.Random(9_000 + number), number % 2 == 0)
    assert agrees(query, decide(query, budget(), seed=number), phase_enumeration(query)), tier


@pytest.mark.usefixtures("tier")
def test_seeds_never_contradict() -> None:
    for number in range(12):
        query = random_tiny_query(random.Random(300 + number), number % 2 == 0)
        answers = {decide(query, budget(), seed=seed).answer for seed in range(4)}
        assert len(answers) == 1 and "unknown" not in answers


def test_exact_ties_hang_on_strictness() -> None:
    for value in (Fraction(0), Fraction(1)):
        sign = 1 if not value else -1  # min |x| = 0, max |x| = 1
        for strict, answer in ((False, "sat"), (True, "unsat")):
            violation = Row.of({}, {0: sign}, sign * value, strict=strict)
            assert decide(over_box(HAT, -1, 1, violation), budget()).answer == answer


def test_equality_has_a_solution_only_where_the_value_is_taken() -> None:
    for value, answer in ((Fraction(1, 3), "sat"), (Fraction(1), "sat"), (1 + Fraction(1, 2**80), "unsat")):
        equal = And((Row.of({}, {0: 1}, value), Row.of({}, {0: -1}, -value)))
        assert decide(over_box(HAT, -1, 1, equal), budget()).answer == answer


@pytest.mark.usefixtures("tier", "no_attack")
def test_equality_between_input_and_output() -> None:
    # |x| = x/2 + 1/3 at x = 2/3 and x = -2/9 alone
    for low, high, answer in ((-1, 0, "sat"), (0, Fraction(1, 2), "unsat")):
        sides = ({0: Fraction(-1, 2)}, {0: 1}), ({0: Fraction(1, 2)}, {0: -1})
        equal = And(tuple(Row.of(x, y, s * Fraction(1, 3)) for (x, y), s in zip(sides, (1, -1), strict=True)))
        assert decide(over_box(HAT, low, high, equal), budget()).answer == answer


# -- vacuity -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [
        (Row.of({0: 1}, {}, -2),),  # through the box
        (FALSE,),
        (Row.of({0: 1}, {}, -1, strict=True),),  # a strict bound on the edge of the box
        (Row.of({0: -1}, {}, -1), Row.of({0: 1}, {}, 1, strict=True)),  # x >= 1 and x < 1
        (Row.of({}, {}, -1),),  # 0 <= -1
        (Row.of({}, {}, 0, strict=True),),  # 0 < 0
        (Or((Row.of({0: 1}, {}, -2), Row.of({0: -1}, {}, -2))),),
    ],
)
def test_contradictory_assumption_is_vacuous(more: tuple[Any, ...]) -> None:
    for violation in (Row.of({}, {0: 1}, 5), Row.of({}, {0: 1}, -1), TRUE, FALSE):
        assert decide(over_box(HAT, -1, 1, violation, *more), budget()).answer == "vacuous"


def test_contradictory_rows_over_two_inputs_are_vacuous() -> None:
    net = network(2, ([(0, [[1, 1]])], [0], True), ([(1, [[1]])], [0], False))
    above = Row.of({0: 1, 1: 1}, {}, Fraction(-2), strict=True)  # touches the box in its corner alone
    found = decide(over_box(net, -1, 1, Row.of({}, {0: -1}, 5), above), budget())
    assert (found.answer, found.evidence) == ("vacuous", Evidence.KERNEL)
    touching = Row.of({0: 1, 1: 1}, {}, Fraction(-2))
    assert decide(over_box(net, -1, 1, Row.of({}, {0: -1}, -5), touching), budget()).answer == "unsat"
    assert decide(over_box(net, -1, 1, TRUE, touching), budget()).x == (-1, -1)


def test_assumption_on_outputs_is_not_taken_for_satisfiable() -> None:
    never = Row.of({}, {0: 1}, -1)
    found = decide(over_box(HAT, -1, 1, Row.of({}, {0: -1}, 0), never), budget())
    assert found.answer == "unsat" and any("nonvacuous: unknown" in n for n in found.notes)


def test_one_empty_disjunct_is_dropped() -> None:
    either = Or((And((Row.of({0: 1}, {}, -2), Row.of({0: -1}, {}, 0))), Row.of({0: -1}, {}, Fraction(-1, 2))))
    assert decide(over_box(HAT, -1, 1, Row.of({}, {0: 1}, Fraction(1, 4)), either), budget()).answer == "unsat"
    assert decide(over_box(HAT, -1, 1, Row.of({}, {0: 1}, Fraction(1, 2)), either), budget()).answer == "sat"


# -- trivial queries ---------------------------------------------------------------------------------------------


def test_trivial_violations() -> None:
    assert decide(over_box(HAT, -1, 1, FALSE), budget()).answer == "unsat"
    found = decide(over_box(HAT, -1, 1, TRUE), budget())
    assert found.answer == "sat" and found.x is not None and -1 <= found.x[0] <= 1
    inputs_only = Row.of({0: 1}, {}, Fraction(-1))
    assert decide(over_box(HAT, -1, 1, inputs_only), budget()).x == (-1,)
    assert decide(over_box(HAT, -1, 1, Row.of({0: 1}, {}, -1, strict=True)), budget()).answer == "unsat"


def test_an_unbounded_input_is_refused() -> None:
    query = query_of(HAT, Row.of({0: 1}, {}, 1), Row.of({}, {0: 1}, -1))
    with pytest.raises(QueryError) as caught:
        decide(query, budget())
    assert caught.value.code == "E401"


def test_a_point_box() -> None:
    third = Fraction(1, 3)
    for bound, answer in ((third, "sat"), (third - Fraction(1, 2**90), "unsat")):
        assert decide(over_box(HAT, third, third, Row.of({}, {0: 1}, bound)), budget()).answer == answer


@pytest.mark.usefixtures("tier")
def test_regions_and_cases_are_all_searched() -> None:
    net = network(2, ([(0, [[1, -1], [-1, 1]])], [0, 0], True), ([(1, [[1, 1], [1, -1]])], [0, 0], False))
    low, high = box_rows([Fraction(-1)] * 2, [Fraction(0)] * 2), box_rows([Fraction(1)] * 2, [Fraction(3)] * 2)
    for bound, answer in ((Fraction(19, 10), "sat"), (Fraction(2), "sat"), (2 + Fraction(1, 2**70), "unsat")):
        cases = Or((Row.of({}, {0: -1}, -bound - 1), And((Row.of({}, {0: -1}, -bound), Row.of({0: -1}, {}, -1)))))
        query = query_of(net, Or((And(low), And(high))), cases)
        assert decide(query, budget()).answer == answer


# -- budget ------------------------------------------------------------------------------------------------------


def test_no_time_is_unknown_with_the_reason() -> None:
    net = network(2, ([(0, [[1, -1], [-1, 1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
    found = decide(over_box(net, -1, 1, Row.of({}, {0: 1}, -1)), Budget(0.0, lambda: 1.0))
    assert (found.answer, found.reason) == ("unknown", "timeout") and 0 <= found.settled < 1


def test_too_much_memory_is_unknown_with_the_reason() -> None:
    net = network(2, ([(0, [[1, -1], [-1, 1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
    limits = Budget(1e18, lambda: 0.0, 100.0, lambda: 200.0)
    found = decide(over_box(net, -1, 1, Row.of({}, {0: 1}, -1)), limits)
    assert (found.answer, found.reason) == ("unknown", "memory")


@pytest.mark.usefixtures("tier")
@pytest.mark.parametrize("ticks", range(1, 60, 6))
def test_running_out_anywhere_never_settles_wrongly(ticks: int) -> None:
    """A clock that runs out after so many looks: the answer is right or unknown, never wrong."""
    left = ticks

    def clock() -> float:
        nonlocal left
        left -= 1
        return 0.0 if left > 0 else 100.0

    for number in range(6):
        query = random_tiny_query(random.Random(500 + number), False)
        left = ticks
        found = decide(query, Budget(50.0, clock))
        assert found.answer == "unknown" or agrees(query, found, phase_enumeration(query))
        assert found.answer != "unknown" or found.reason == "timeout"


def test_a_solver_that_gives_up_proves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deciding, "judge", lambda *_, **__: Judgement("unknown"))
    net = network(2, ([(0, [[1, 1]])], [0], True), ([(1, [[1]])], [0], False))
    corner = Row.of({0: 1, 1: 1}, {}, Fraction(-2), strict=True)
    assert decide(over_box(net, -1, 1, Row.of({}, {0: -1}, -9), corner), budget(5)).answer == "unknown"


# -- what is reported --------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("tier")
def test_settled_share_grows_to_one() -> None:
    for number in range(8):
        shares: list[float] = []
        query = random_tiny_query(random.Random(800 + number), False)
        found = decide(query, budget(), report=lambda _, settled, __: shares.append(settled))  # noqa: B023
        assert shares == sorted(shares) and all(0 <= s <= 1 for s in shares)
        assert found.answer == "sat" or found.settled == 1.0


def test_unconfirmed_solutions_are_kept_but_better_ones_are_looked_for() -> None:
    violation = Row.of({}, {0: 1}, Fraction(1, 2))
    found = decide(over_box(HAT, -1, 1, violation), budget(), confirm=lambda x: x[0] > 0)
    assert found.answer == "sat" and found.x is not None
    found = decide(over_box(HAT, -1, 1, violation), budget(), confirm=lambda _: False)
    assert found.answer == "sat"
    only_zero = Row.of({}, {0: 1}, 0)
    found = decide(over_box(HAT, -1, 1, only_zero), budget(), confirm=lambda _: False)
    assert (found.answer, found.x) == ("sat", (0,))
