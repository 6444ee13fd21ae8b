"""Splitting by ReLU phases, forced onto small queries: never against brute force, and able to decide."""

from __future__ import annotations

import random

import pytest

from tests.oracle import phase_enumeration, random_tiny_query
from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import budget
from verify.search import tiers
from verify.search.decide import decide


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_phases_agree_with_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact ties may stay open here: phases are fixed in float64, and nothing is judged exactly."""
    monkeypatch.setattr(tiers, "NARROW", -1)
    monkeypatch.setattr(tiers, "FEW_REGIONS", -1)
    decided = 0
    for number in range(60):
        query = random_tiny_query(random.Random(7000 + number), number % 2 == 0)
        found = decide(query, budget(0.3)).answer
        decided += found != "unknown"
        if found != "unknown":
            assert (found == "sat") == phase_enumeration(query), number
    assert decided >= 30, decided


@pytest.mark.usefixtures("splitting", "compiled")
def test_phases_prove_and_refute_near_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds a little above and below what the network reaches, on nets whose relaxation is not tight."""
    from fractions import Fraction

    from tests.search.networks import network, over_box
    from verify.core.query import Row

    monkeypatch.setattr(tiers, "NARROW", -1)
    rng = random.Random(3)
    for _ in range(2):
        inputs, hidden = 4, 10
        weights = [[rng.randint(-4, 4) for _ in range(inputs)] for _ in range(hidden)]
        out = [[rng.choice((-3, -2, -1, 1, 2)) for _ in range(hidden)]]
        net = network(
            inputs, ([(0, weights)], [rng.randint(-3, 3) for _ in range(hidden)], True), ([(1, out)], [0], False)
        )

        def answer(bound: Fraction) -> str:
            return decide(over_box(net, -1, 1, Row.of({}, {0: -1}, -bound)), budget(20)).answer  # noqa: B023

        low, high = Fraction(-1000), Fraction(1000)
        while high - low > Fraction(1, 64):
            middle = (low + high) / 2
            found = answer(middle)
            assert found != "unknown"
            low, high = (middle, high) if found == "sat" else (low, middle)
        assert phase_enumeration(over_box(net, -1, 1, Row.of({}, {0: -1}, -low)))
        assert not phase_enumeration(over_box(net, -1, 1, Row.of({}, {0: -1}, -high)))
