"""Underflow in a relaxation's slope, and in rational weights, was charged against too small a number.

1. The compiled search rounds q = t·above; when q is denormal that is off by 2^-1075 |z|, and |z| reaches |lower|,
   while the allowance `tiny` counted only the upper bounds of the ReLUs.
2. A rational weight below 2^-1022 is rounded by up to 2^-1075; a backward pass multiplies that by the coefficient
   in front of the row, which the underflow allowance left out.
"""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from tests.search.networks import compiled_boxes, network, over_box
from verify.bounds.backward import lower_bounds, propagate
from verify.bounds.compressed import compress
from verify.core.evaluate import evaluate
from verify.core.normal_form import normal_form
from verify.core.query import Row
from verify.search.compiled import layout
from verify.search.compiled.session import BoxSession
from verify.search.problem import build_problem

SMALLEST = 2.0**-1074


def test_slope_that_underflows_before_a_huge_negative_input() -> None:
    low, high = -1e300, 1e290
    before = ([(0, [[(high - low) / 2]])], [(high + low) / 2], True)
    net = network(1, before, ([(1, [[-math.floor(0.6e10) * SMALLEST]]), (0, [[1e-23]])], [0], False))
    least = min(evaluate(net, [Fraction(x)])[0] for x in (-1, 1))
    query = over_box(net, -1, 1, Row.of({}, {0: 1}, least * Fraction(95, 100)))  # met at x = -1
    problem = build_problem(query, normal_form(query).regions)
    enclosure = propagate(problem.plan, (problem.lower, problem.upper), problem.row_block)
    assert lower_bounds(problem.plan, enclosure, problem.row_block, np.array([[0]])).bound[0, 0] <= 0
    system = compress(problem.plan, enclosure, np.array([0]))
    box = (problem.lower[0], problem.upper[0])
    session = BoxSession(compiled_boxes(), system, box, np.array([[0]]), problem.strict)
    assert session.run(1000) != layout.DONE


def test_rational_weight_below_the_normal_range() -> None:
    for weight in (Fraction(5, 6), Fraction(1, 3), Fraction(-5, 6), Fraction(-1, 3)):
        tiny = weight * Fraction(SMALLEST)
        net = network(1, ([(0, [[tiny]])], [0], False), ([(1, [[2.0**1000]])], [0], False))
        query = over_box(net, 0, 1, Row.of({}, {0: 1}, 0))
        problem = build_problem(query, normal_form(query).regions)
        enclosure = propagate(problem.plan, (problem.lower, problem.upper), problem.row_block)
        bound = float(lower_bounds(problem.plan, enclosure, problem.row_block, np.array([[0]])).bound[0, 0])
        assert Fraction(bound) <= min(evaluate(net, [Fraction(x)])[0] for x in (0, 1))
