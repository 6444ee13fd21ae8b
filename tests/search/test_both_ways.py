"""Inputs first, then phases, then inputs again: whichever ends decides, and the other leaves nothing behind."""

from __future__ import annotations

import random

import pytest

from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import budget
from tests.search.test_phase_proof import wide_query
from tests.search.test_phases import agreeing
from verify.core.verdict import Evidence
from verify.kernel import check
from verify.search import tiers
from verify.search.decide import decide
from verify.search.tiers import Search


@pytest.fixture
def both(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Phases are tried after the first boxes, however well those went; whether each trial ended the box."""
    monkeypatch.setattr(tiers, "NARROW", 100)
    monkeypatch.setattr(tiers, "FEW_INPUTS", 0)
    monkeypatch.setattr(tiers, "FIRST_BOXES", 2)
    monkeypatch.setattr(tiers, "BOXES_TRIAL", 1e-9)
    monkeypatch.setattr(tiers, "BOXES_PROMISING", 1e-12)
    ended: list[bool] = []
    try_phases = Search.try_phases

    def noted(self: Search, *arguments: object) -> bool:
        ended.append(try_phases(self, *arguments))  # type: ignore[arg-type]
        return ended[-1]

    monkeypatch.setattr(Search, "try_phases", noted)
    return ended


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
@pytest.mark.parametrize("share", [0.4, 0.0])  # of the time for phases: some, and none at all
def test_both_ways_agree_with_brute_force(monkeypatch: pytest.MonkeyPatch, both: list[bool], share: float) -> None:
    monkeypatch.setattr(tiers, "REFINE_SHARE", share)
    assert agreeing(2.0) >= 50 and both and (any(both) == (share > 0.0))


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_what_phases_end_is_proved_by_their_tree(both: list[bool]) -> None:
    for seed in range(8):
        query = wide_query(random.Random(seed), 1)
        decision = decide(query, budget(10.0), certificate=True)
        if decision.answer == "unsat":
            assert decision.evidence == Evidence.KERNEL and decision.payload is not None, decision.notes
            check(query, decision.payload, "unsat")
    assert any(both)


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_phases_that_left_a_node_open_end_nothing(monkeypatch: pytest.MonkeyPatch, both: list[bool]) -> None:
    def resisted(self: Search, *_: object) -> bool:
        self.phases_left_open = True
        return True

    monkeypatch.setattr(Search, "explore_wide", resisted)
    assert agreeing(2.0) >= 50 and both and not any(both)
