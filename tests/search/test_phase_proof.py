"""Searches by phases leave proofs that the kernel accepts."""

from __future__ import annotations

import itertools
import random

import pytest

from tests.kernel_fast.test_identity import random_query
from tests.search.networks import budget, network, over_box
from verify.core.query import Or, Query, Row
from verify.core.verdict import Evidence
from verify.kernel import check
from verify.search import tiers
from verify.search.decide import decide
from verify.search.phase_proof import _second_halves


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
