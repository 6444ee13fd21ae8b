"""Searches by phases leave proofs that the kernel accepts."""

from __future__ import annotations

import itertools
import random

import numpy as np
import pytest

from tests.kernel_fast.test_identity import random_query
from tests.search.networks import budget, network, over_box
from verify.core.query import Or, Query, Row
from verify.core.verdict import Evidence
from verify.kernel import check
from verify.kernel_fast.check import StoppedError
from verify.search import tiers
from verify.search.decide import decide
from verify.search.phase_proof import (
    LARGEST_PULL,
    LARGEST_WEIGHT,
    Leaf,
    PhaseTree,
    RootView,
    _second_halves,
    common_factor,
    phase_steps,
)
from verify.search.scales import UncertifiedError


def wide_query(rng: random.Random, cases: int) -> Query:
    """A net of 20 inputs and no small bound on what it does."""
    sizes, layers = [20, 24, 3], []
    for k, (before, after) in enumerate(itertools.pairwise(sizes)):
        weights = [[rng.gauss(0, before**-0.5) for _ in range(before)] for _ in range(after)]
        layers.append(([(k, weights)], [rng.gauss(0, 0.1) for _ in range(after)], k < 1))
    rows = tuple(Row.of({}, {c: 1, (c + 1) % 3: -1}, -rng.uniform(1.5, 4.0)) for c in range(cases))
    return over_box(network(20, *layers), -1, 1, Or(rows))


@pytest.fixture
def by_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiers, "NARROW", 0)


def weighted_leaves(seeds: int) -> int:
    """Of all wide queries that are proved, each with a certificate that the kernel accepts."""
    weighted = 0
    for seed in range(seeds):
        query = wide_query(random.Random(seed), 1 + seed % 2)
        decision = decide(query, budget(), certificate=True)
        if decision.answer != "unsat":
            continue
        assert decision.evidence == Evidence.KERNEL and decision.payload is not None, decision.notes
        leaves = dict(decision.leaves)
        assert check(query, decision.payload, "unsat").leaves == leaves
        weighted += leaves.get("weighted", 0)
    return weighted


@pytest.mark.usefixtures("splitting", "no_attack", "compiled", "by_phases")
def test_wide_nets() -> None:
    assert weighted_leaves(24) > 20


@pytest.mark.usefixtures("splitting", "no_attack", "compiled", "by_phases")
def test_any_net() -> None:
    """Deep nets may rest on bounds of ReLUs that the kernel does not find again; most do not."""
    kernel, missed = 0, 0
    for seed in range(90):
        decision = decide(random_query(random.Random(seed)), budget(5), certificate=True)
        if decision.answer in ("unsat", "vacuous"):
            kernel += decision.evidence == Evidence.KERNEL
            missed += decision.evidence != Evidence.KERNEL
        assert decision.reason != "defect"
    assert kernel > 30 and missed <= 3


def test_the_second_half_is_behind_the_first() -> None:
    assert _second_halves([2, 0, 4, 0, 0]) == [2, 0, 4, 0, 0]
    assert _second_halves([2, 4, 0, 0, 0]) == [4, 3, 0, 0, 0]


def test_weights_make_room_for_large_multipliers() -> None:
    rng = random.Random(2)
    assert common_factor(0.0, 5.0) == 0.0
    for _ in range(300):
        weight, pull = rng.uniform(0.1, 9), rng.choice([0.0, 10.0 ** rng.uniform(-3, 6)])
        factor = common_factor(weight, pull)
        gamma = round(factor * weight, 9)
        assert gamma == int(gamma) and 1 <= gamma <= LARGEST_WEIGHT
        assert gamma == 1 or factor * pull <= LARGEST_PULL
        assert gamma == LARGEST_WEIGHT or (gamma + 1) / weight * pull > LARGEST_PULL


def test_a_tree_that_lost_leaves_says_so() -> None:
    row = Row.of({}, {0: 1}, 0)
    tree = PhaseTree([(0, 0)], (row,))
    tree.codes.extend([2, 0, 0])
    view = RootView([row], [[0]], [0, 0], 1, {}, lambda _: True)
    with pytest.raises(UncertifiedError, match="too many"):
        phase_steps({frozenset([row]): tree}, view)
    assert phase_steps({}, view) is None


def test_writing_down_a_tree_stops_when_told_to() -> None:
    """Else a verdict would be lost with the certificate that it waits for."""
    row = Row.of({}, {0: 1}, 0)
    tree = PhaseTree([(0, 0)], (row,))
    leaf = Leaf(np.array([-1], np.int16), np.zeros(0, np.int16), np.zeros(0), (1.0,))
    tree.codes.append(0)
    tree.leaves.append(leaf)
    for told in (False, True):
        view = RootView([row], [[0]], [0, 0], 1, {}, lambda _: True, lambda told=told: told)  # type: ignore[misc]
        if told:
            with pytest.raises(StoppedError):
                phase_steps({frozenset([row]): tree}, view)
        else:
            assert phase_steps({frozenset([row]): tree}, view)
