"""What a search waits for: the compiled kernel where plain checking would take too long, the other way of splitting."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import budget, compiled_entry, network, over_box
from tests.search.test_phase_proof import wide_query
from verify.core.query import Row
from verify.native import machine
from verify.search import evidence, tiers
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
    monkeypatch.setattr(tiers.Search, "explore_wide", resisting)
    query = wide_query(random.Random(0), 1)
    assert decide(query, budget(20)).answer == "unsat"  # by inputs after all
    monkeypatch.setattr(tiers, "awaited", lambda entry, _: asked.append(entry))
    assert decide(query, budget(5)).answer == "unknown"
    assert asked == ["boxes"]


@pytest.mark.usefixtures("splitting", "no_attack")
@pytest.mark.parametrize("narrow", [16, -1])
def test_another_kinds_entry_touches_nothing(narrow: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Either entry would read the other's arrays out of bounds."""
    swapped = {"boxes": compiled_entry("phases"), "phases": compiled_entry("boxes"), "kernel": compiled_entry("kernel")}
    monkeypatch.setattr(machine, "cached", swapped.__getitem__)
    monkeypatch.setattr(tiers, "NARROW", narrow)
    with pytest.raises(AssertionError, match="another kind"):
        decide(wide_query(random.Random(0), 1), budget(5))
