"""Numbers that float64 cannot hold ended in a traceback: bounds of 1e400, boxes of 1e400, an infinite timeout."""

from __future__ import annotations

import math
import time
from fractions import Fraction

import pytest

from tests.search.networks import budget, network, over_box
from verify.core.budget import Budget
from verify.core.query import Row
from verify.errors import VerifyError
from verify.search.decide import decide

HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
HUGE = Fraction(10) ** 400


@pytest.mark.parametrize("bound", [HUGE, -HUGE])
def test_a_bound_beyond_float64(bound: Fraction) -> None:
    try:
        found = decide(over_box(HAT, 0, 1, Row.of({}, {0: 1}, bound)), budget(5)).answer
    except VerifyError:
        return  # refused by code and fix
    assert found in ("sat" if bound > 0 else "unsat", "unknown")


@pytest.mark.parametrize("reach", [Fraction(2) ** 1023, HUGE])
def test_a_box_beyond_float64(reach: Fraction) -> None:
    for bound, answer in ((Fraction(-1), "unsat"), (Fraction(1), "sat")):
        try:
            found = decide(over_box(HAT, -reach, reach, Row.of({}, {0: 1}, bound)), budget(5)).answer
        except VerifyError:
            continue
        assert found in (answer, "unknown")


def test_values_that_overflow_end_in_a_verdict() -> None:
    """(Also: NumPy's overflow warnings went to the user's terminal.)"""
    many = [[1e300] * 3] * 12
    net = network(3, ([(0, many)], [-1e300] * 12, True), ([(1, [[1e300] * 12])], [0], True), ([(2, [[1]])], [0], False))
    assert decide(over_box(net, -1, 1, Row.of({}, {0: 1}, -1)), budget(2)).answer in ("unsat", "unknown")


def test_no_time_limit() -> None:
    open_corner = Row.of({0: 1}, {}, 1, strict=True), Row.of({0: -1}, {}, -1)
    forever = Budget(math.inf, time.monotonic)
    assert decide(over_box(HAT, 0, 1, Row.of({}, {0: 1}, -1), *open_corner), forever).answer == "vacuous"
