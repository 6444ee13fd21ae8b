"""What a search waits for: the compiled kernel where plain checking would take too long, the other way of splitting."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import budget, network, over_box
from tests.search.test_phase_proof import wide_query
from verify.core.query import Row
from verify.native import machine
from verify.search import evidence, sharing, tiers
from verify.search.decide import decide

HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
ABOVE_ZERO = over_box(HAT, -1, 1, Row.of({}, {0: 1}, Fraction(-1, 8)))


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
@pytest.mark.parametrize("work", [0, 10**9])
def test_large_proofs_wait_for_the_compiled_kernel(work: int, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(evidence, "CHEAP_WORK", work)
    monkeypatch.setattr(evidence, "awaited", lambda entry, _: asked.append(entry))
    assert decide(ABOVE_ZERO, budget(), certificate=True).answer == "unsat"
    assert asked == ([] if work else ["kernel"])


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_without_the_other_way_of_splitting_nothing_is_claimed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nodes resist by phases, and what splits inputs cannot be had: the box stays open."""
    asked: list[str] = []

    def resisting(self: tiers.Search, *_: object) -> bool:
        self.phases_left_open = True
        return False

    monkeypatch.setattr(tiers, "NARROW", -1)
    monkeypatch.setattr(tiers.Search, "explore_phases", resisting)
    query = wide_query(random.Random(0), 1)
    assert decide(query, budget(20)).answer == "unsat"  # by inputs after all
    monkeypatch.setattr(tiers, "awaited", lambda entry, _: asked.append(entry))
    assert decide(query, budget(5)).answer == "unknown"
    assert asked == ["boxes"]


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
@pytest.mark.parametrize("narrow", [16, -1])
def test_another_kinds_entry_touches_nothing(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either entry would read the other's arrays out of bounds."""
    monkeypatch.setattr(tiers, "NARROW", narrow)
    name = "SharedPhases" if narrow < 0 else "BoxSession"
    session, entry = (sharing.SharedPhases, "boxes") if narrow < 0 else (tiers.BoxSession, "phases")
    other = machine.cached(entry)
    monkeypatch.setattr(tiers, name, lambda _, *rest: session(other, *rest))  # type: ignore[arg-type]
    monkeypatch.setattr(tiers.Search, "refine", lambda _, __, system, *___: system)
    with pytest.raises(AssertionError, match="another kind"):
        decide(wide_query(random.Random(0), 1), budget(5))
