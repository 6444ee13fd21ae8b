"""The attack finds what is in reach."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.search.networks import network, over_box
from verify.core.normal_form import normal_form
from verify.core.query import Row
from verify.search import attack
from verify.search.attack import Attack
from verify.search.problem import build_problem

STARTS = [(-0.9, -0.5), (-0.5, -0.9), (0.0, 0.3), (-0.2, -0.3), (-1.0, 0.1)]


def climbed(start: tuple[float, float], steps: int) -> float:
    """How high a climb of y = x0 + x1 - 3 |x0 - x1| over [-1, 1]^2 gets: at most 2."""
    hidden = ([(0, [[1, -1], [-1, 1]])], [0, 0], True)
    net = network(2, hidden, ([(0, [[1, 1]]), (1, [[-3, -3]])], [0], False))
    query = over_box(net, -1, 1, Row.of({}, {0: -1}, -2))
    climber = Attack(build_problem(query, normal_form(query).regions), 0)
    region = np.zeros(1, np.int64)
    best = climber.climb(np.array([start]), region, steps, lambda: False, np.full(1, -1))
    return float(climber.margins(best, region)[0][0]) + 2


def test_momentum_climbs_along_a_ridge(monkeypatch: pytest.MonkeyPatch) -> None:
    """By signs alone a climb goes from side to side."""
    assert min(climbed(start, 20) for start in STARTS) > 1.5
    monkeypatch.setattr(attack, "MOMENTUM", 0.0)
    assert min(climbed(start, 20) for start in STARTS) < 1.0


def test_points_are_solutions_exactly() -> None:
    """x >= 1/3 has no float64 nearest to its end inside; what is yielded satisfies the row as it stands."""
    net = network(1, ([(0, [[1]])], [0], False))
    query = over_box(net, -1, 1, Row.of({}, {0: -1}, -Fraction(1, 3)))
    regions = normal_form(query).regions
    points = list(Attack(build_problem(query, regions), 0).run(count=64, steps=20, stop=lambda: False))
    assert points and all(x[0] >= Fraction(1, 3) for x in points)
