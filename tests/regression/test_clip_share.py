"""The share of a box that clipping keeps underflowed to 0.0, which read as "no point left": false PROVED.

784 inputs, each clipped to 0.3 of its range: 0.3**784 < 2**-1075.  A share is no sign of emptiness.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.search.networks import budget, compiled_boxes, compiled_entry, network, over_box
from verify.bounds.backward import propagate
from verify.bounds.compressed import compress
from verify.core.evaluate import evaluate
from verify.core.normal_form import normal_form
from verify.core.query import And, Row, holds
from verify.native import machine
from verify.search.compiled import layout
from verify.search.compiled.session import BoxSession
from verify.search.decide import decide
from verify.search.problem import build_problem


@pytest.mark.parametrize(("inputs", "bound"), [(40, Fraction(0)), (800, Fraction(3, 10))])
def test_clipping_many_inputs_leaves_the_solutions(inputs: int, bound: Fraction) -> None:
    net = network(inputs, ([(0, [[1] * inputs])], [0], False))
    problem = build_problem(*_prepared(over_box(net, 0, 1, Row.of({}, {0: 1}, bound))))
    enclosure = propagate(problem.plan, (problem.lower, problem.upper), problem.row_block)
    system = compress(problem.plan, enclosure, np.array([0]))
    box = (problem.lower[0], problem.upper[0])
    session = BoxSession(compiled_boxes(), system, box, np.array([[0]]), problem.strict)
    assert session.run(50) != layout.DONE  # the origin is a solution


def test_a_bump_in_a_corner_of_800_inputs_is_not_proved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Σ x_k <= 0.3 over k >= 1 while a bump of width 2^-11 in x_0 is at least 0.9."""
    functions = {entry: compiled_entry(entry) for entry in machine.ENTRIES}
    monkeypatch.setattr(machine, "cached", functions.__getitem__)
    d, peak, width = 800, 0.7123, 2.0**-12
    first, rest = [1.0] + [0.0] * (d - 1), [0.0] + [1.0] * (d - 1)
    bump = ([(0, [first] * 3)], [width - peak, -peak, -peak - width], True)
    sums = [(1, [[0, 0, 0], [1 / width, -2 / width, 1 / width]]), (0, [rest, [0.0] * d])]
    net = network(d, bump, (sums, [0, 0], False))
    query = over_box(net, 0, 1, And((Row.of({}, {0: 1}, Fraction(3, 10)), Row.of({}, {1: -1}, Fraction(-9, 10)))))
    x = (Fraction(peak),) + (Fraction(0),) * (d - 1)
    assert holds(query.violation, x, evaluate(net, x))
    assert decide(query, budget(5)).answer != "unsat"


def _prepared(query):  # type: ignore[no-untyped-def]
    return query, normal_form(query).regions
