"""The SMT text of a region: the exact box, zero neurons left out, strictness, and what the judge may say."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.oracle import phase_enumeration, random_tiny_query
from tests.search.networks import network, over_box
from verify.bounds.backward import propagate
from verify.core.network import Network
from verify.core.normal_form import Box, Region, normal_form
from verify.core.query import Query, Row
from verify.search.branch import exact_box
from verify.search.problem import build_problem
from verify.smt.encode import Phases, encode, encode_inputs, number
from verify.smt.solve import judge

HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))


def judged(net: Network, region: Region, box: Box, phases: Phases) -> str:
    return judge(encode(net, region, box, phases), net.input_size, timeout_s=20).answer


def free(net: Network) -> Phases:
    """No bounds at all."""
    sizes = [b.size for b in net.blocks]
    return Phases([[-np.inf] * n for n in sizes], [[np.inf] * n for n in sizes])


def bounded(query: Query, region: int) -> Phases:
    problem = build_problem(query, normal_form(query).regions)
    one = slice(region, region + 1)
    found = propagate(problem.plan, (problem.lower[one], problem.upper[one]), problem.row_block)
    return Phases([a[0].tolist() for a in found.lower[:-1]], [a[0].tolist() for a in found.upper[:-1]])


@pytest.mark.parametrize("number_", range(40))
def test_bounds_and_dropped_neurons_change_no_answer(number_: int) -> None:
    query = random_tiny_query(random.Random(4_000 + number_), number_ % 2 == 0)
    regions = normal_form(query).regions
    answers = []
    for index, region in enumerate(regions):
        phases = bounded(query, index) if all(region.cases) else free(query.network)
        answers.append(judged(query.network, region, region.box, phases))
        assert answers[-1] == judged(query.network, region, region.box, free(query.network))
    assert ("sat" in answers) == phase_enumeration(query)


def test_neurons_proved_inactive_are_zero_also_as_outputs() -> None:
    net = network(1, ([(0, [[1], [1]])], [-5, 0], True))
    region = normal_form(over_box(net, 0, 1, Row.of({}, {0: -1, 1: 1}, 0))).regions[0]
    phases = Phases([[-5.0, 0.0]], [[-4.0, 1.0]])
    text = encode(net, region, region.box, phases)
    assert "v0_0" not in text and judge(text, 1, timeout_s=5).x == (0,)
    strict = normal_form(over_box(net, 0, 1, Row.of({}, {0: 1}, 0, strict=True))).regions[0]
    assert judged(net, strict, strict.box, phases) == "unsat"


@pytest.mark.parametrize(("strict", "answer"), [(False, "sat"), (True, "unsat")])
def test_strictness(strict: bool, answer: str) -> None:
    for row in (Row.of({}, {0: 1}, 0, strict=strict), Row.of({0: 1}, {0: 1}, 0, strict=strict)):
        region = normal_form(over_box(HAT, 0, 1, row)).regions[0]
        assert judged(HAT, region, region.box, free(HAT)) == answer
    edge = normal_form(over_box(HAT, 0, 1, Row.of({}, {0: -1}, -1), Row.of({0: 1}, {}, 1, strict=strict))).regions[0]
    assert judged(HAT, edge, edge.box, free(HAT)) == answer
    assert judge(encode_inputs(edge), 1, timeout_s=5).answer == "sat"


def test_a_float_box_is_cut_to_the_exact_one() -> None:
    """0.1 is no float64: the search's box is wider, the judge's must not be."""
    tenth = Fraction(1, 10)
    region = normal_form(over_box(HAT, -tenth, tenth, Row.of({}, {0: -1}, -tenth, strict=True))).regions[0]
    wide = np.array([-0.5]), np.array([0.5])
    assert exact_box(*wide, region) == region.box
    assert judged(HAT, region, exact_box(*wide, region), free(HAT)) == "unsat"
    assert judged(HAT, region, Box((-Fraction(1),), (Fraction(1),)), free(HAT)) == "sat"
    part = exact_box(np.array([0.05]), np.array([0.5]), region)
    assert part == Box((Fraction(0.05),), (tenth,))


def test_no_time_is_no_answer() -> None:
    query = random_tiny_query(random.Random(1), False)
    region = normal_form(query).regions[0]
    assert judged(query.network, region, region.box, free(query.network)) in ("sat", "unsat")
    hard = network(3, ([(0, [[1.1, 0.3, -0.7]] * 40)], list(range(40)), True), ([(1, [[1.0] * 40])], [0], False))
    found = judge(encode(hard, *_whole(hard), free(hard)), 3, timeout_s=0.001)
    assert found.answer in ("unknown", "sat", "unsat") and (found.x == () or found.answer == "sat")


def _whole(net: Network) -> tuple[Region, Box]:
    region = normal_form(over_box(net, -50, 50, Row.of({}, {0: 1}, -1))).regions[0]
    return region, region.box


@given(st.fractions())
def test_numbers_are_exact(value: Fraction) -> None:
    import z3

    (claim,) = z3.parse_smt2_string(f"(declare-const x Real) (assert (= x {number(value)}))")
    parsed = z3.simplify(claim.arg(1))
    assert Fraction(parsed.numerator_as_long(), parsed.denominator_as_long()) == value
