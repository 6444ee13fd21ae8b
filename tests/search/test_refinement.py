"""Refined bounds hold for the exact network, and come near what it reaches."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.exact_lp import half, minimum
from tests.oracle import cells
from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import Layer, budget, compiled_entry, network, over_box
from verify.bounds.backward import propagate
from verify.bounds.compressed import compress
from verify.core.budget import Budget
from verify.core.network import Network
from verify.core.normal_form import normal_form
from verify.core.query import Row
from verify.core.verdict import Evidence
from verify.search import evidence, refinement, tiers
from verify.search.decide import decide
from verify.search.problem import build_problem
from verify.search.refinement import Refinement
from verify.search.run import Run
from verify.search.scales import UncertifiedError

INPUTS, HIDDEN = 2, 4


def layers(rng: random.Random) -> list[Layer]:
    """Two layers of ReLUs and one row; coarse numbers, so that ties happen."""
    sizes = [INPUTS, HIDDEN, 3, 1]
    return [
        (
            [(k, [[rng.randint(-6, 6) / 2 for _ in range(sizes[k])] for _ in range(sizes[k + 1])])],
            [rng.randint(-4, 4) / 2 for _ in range(sizes[k + 1])],
            k < 2,
        )
        for k in range(3)
    ]


def refined(net: Network, limits: Budget | None = None) -> Refinement:
    """Of the net over [-1, 1]."""
    query = over_box(net, -1, 1, Row.of({}, {0: 1}, Fraction(-1000)))
    problem = build_problem(query, normal_form(query).regions)
    enclosure = propagate(problem.plan, (problem.lower, problem.upper), problem.row_block, None, lambda: True)
    rows = np.unique(problem.case_rows[0])
    run = Run(query, limits or budget(), lambda _: True, lambda *_: None)
    return Refinement(
        run, compiled_entry("phases"), problem.plan, enclosure, compress(problem.plan, enclosure, rows), rows
    )


def reach(first: Layer, second: Layer) -> Iterator[tuple[Fraction, Fraction]]:
    """The exact range of every pre-activation of the second layer."""
    terms, bias, _ = second
    box = {
        half([Fraction(s * (k == i)) for k in range(INPUTS)], Fraction(1), False)
        for i in range(INPUTS)
        for s in (1, -1)
    }
    lows, highs = [math.inf] * len(bias), [-math.inf] * len(bias)
    for rows, forms in cells(network(INPUTS, first, (terms, bias, False)), box):
        for k, (coefficients, constant) in enumerate(forms):
            least, greatest = (
                minimum(rows, (coefficients, constant)),
                minimum(rows, (tuple(-c for c in coefficients), -constant)),
            )
            assert least is not None and greatest is not None
            lows[k], highs[k] = min(lows[k], least[0]), max(highs[k], -greatest[0])
    return zip(map(Fraction, lows), map(Fraction, highs), strict=True)


def narrowed(seed: int) -> tuple[int, int]:
    """(bounds that splits brought nearer, bounds in all) of one random net; every bound must hold."""
    first, second, last = layers(random.Random(seed))
    whole = refined(network(INPUTS, first, second, last))
    exact = list(reach(first, second))
    before = {
        tuple(p): (low, high)
        for p, low, high in zip(whole.system.places.tolist(), whole.system.lower, whole.system.upper, strict=True)
    }
    for _ in whole.rounds(lambda: math.inf):
        pass
    nearer = total = 0
    for (block, row), low, high in zip(
        whole.system.places.tolist(), whole.system.lower, whole.system.upper, strict=True
    ):
        if block == 1:
            least, greatest = exact[row]
            assert Fraction(low) <= least and greatest <= Fraction(high), (seed, row)
            old = before[block, row]
            nearer += (low > old[0]) + (high < old[1])
            total += 2
    for (block, row), _ in before.items():
        if block == 1 and [block, row] not in whole.system.places.tolist():  # it has become stable
            least, greatest = exact[row]
            assert least >= 0 or greatest <= 0, (seed, row)
    return nearer, total


@pytest.mark.parametrize("workers", [1, 3])
def test_refined_bounds_hold_exactly(monkeypatch: pytest.MonkeyPatch, workers: int) -> None:
    monkeypatch.setattr(refinement, "threads", lambda: workers)
    found = [narrowed(seed) for seed in range(40)]
    assert sum(nearer for nearer, _ in found) > 0.2 * sum(total for _, total in found) > 0


def test_splits_reach_what_slopes_cannot() -> None:
    """max(x + y, 0) + max(-x - y, 0) + max(x - y, 0) + max(y - x, 0) is at most 2; its relaxation reaches 4."""
    first: Layer = ([(0, [[1, 1], [-1, -1], [1, -1], [-1, 1]])], [0.0, 0.0, 0.0, 0.0], True)
    second: Layer = ([(1, [[1, 1, 1, 1]])], [-3.0], True)
    whole = refined(network(INPUTS, first, second, ([(2, [[1]])], [0.0], False)))
    rounds = whole.rounds(lambda: math.inf)
    next(rounds)
    assert whole.deep
    next(rounds)
    assert not whole.deep  # the ReLU of the second layer is never active


def test_time_that_is_up_changes_nothing() -> None:
    first, second, last = layers(random.Random(1))
    whole = refined(network(INPUTS, first, second, last), Budget(-1.0, lambda: 0.0))
    before = whole.system
    next(whole.rounds(lambda: math.inf))
    assert whole.system is before


def test_one_layer_is_not_refined() -> None:
    first, second, _ = layers(random.Random(2))
    whole = refined(network(INPUTS, first, ([(1, second[0][0][1])], second[1], False)))
    assert not whole.deep and list(whole.rounds(lambda: math.inf)) == [True]


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_what_rests_on_splits_gets_little_time_for_a_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    """Unasked.  The first trial by phases ends with nothing done, or with everything."""
    monkeypatch.setattr(tiers, "NARROW", -1)
    monkeypatch.setattr(tiers, "FEW_REGIONS", -1)
    monkeypatch.setattr(evidence, "TIMES_THE_SEARCH", 1e6)
    times: list[tuple[bool, bool]] = []

    def checked(certifying: Any, _: object, *_more: object) -> None:
        run, now, until = certifying.keywords["stop"].args
        times.append((run.sketch.refined, until - now < 1.01 * evidence.SECONDS_AT_LEAST))
        raise UncertifiedError("never")

    monkeypatch.setattr(evidence, "_checked", checked)
    first: Layer = ([(0, [[1, 1], [-1, -1], [1, -1], [-1, 1]])], [0.0, 0.0, 0.0, 0.0], True)
    second: Layer = ([(1, [[1, 1, 1, 1]])], [-3.0], True)
    query = over_box(
        network(INPUTS, first, second, ([(2, [[1]])], [0.0], False)), -1, 1, Row.of({}, {0: -1}, Fraction(-1, 2))
    )
    explore_phases = tiers.Search.explore_phases
    for idle in (0, 1):
        trials = iter([True] * idle)
        monkeypatch.setattr(
            tiers.Search,
            "explore_phases",
            lambda self, *given: list(given[3]) if next(trials, False) else explore_phases(self, *given),  # noqa: B023
        )
        found = decide(query, budget(1e9))
        assert (found.answer, found.evidence) == ("unsat", Evidence.BOUNDS)
    assert times == [(False, False), (True, True)]
