"""Several threads on one search by phases: the same answers, and one proof out of their parts."""

from __future__ import annotations

import random

import pytest

from tests.kernel_fast.test_identity import random_query
from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import budget
from tests.search.test_phase_proof import weighted_leaves
from tests.search.test_phases import agreeing
from verify.search import sharing, tiers
from verify.search.compiled import layout
from verify.search.decide import decide


@pytest.fixture
def shared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """By phases, with three threads from the first node on; how many sessions each search had."""
    monkeypatch.setattr(tiers, "NARROW", -1)
    monkeypatch.setattr(sharing, "ALONE_BOXES", 0)
    monkeypatch.setattr(sharing, "threads", lambda: 3)
    monkeypatch.setattr(tiers, "CHUNK_SECONDS", 0.0)  # turns stay short
    members: list[int] = []
    run = sharing.SharedPhases.run

    def counted(self: sharing.SharedPhases, boxes: int) -> int:
        status = run(self, min(boxes, 4))
        members.append(len(self._members))
        return status

    monkeypatch.setattr(sharing.SharedPhases, "run", counted)
    return members


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_parts_are_one_proof(shared: list[int]) -> None:
    assert weighted_leaves(16) > 20 and max(shared) == 3


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_shared_searches_agree_with_brute_force(shared: list[int]) -> None:
    assert agreeing() >= 30 and max(shared) > 1


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_deep_nets(shared: list[int]) -> None:
    for seed in range(30):
        decision = decide(random_query(random.Random(seed)), budget(5), certificate=True)
        assert decision.reason != "defect"
    assert max(shared) > 1


def test_a_node_left_open_is_not_lost_behind_a_candidate() -> None:
    """A turn reports the candidate of one thread; that another thread gave a node up must stay known."""

    class Ended:
        def __init__(self, status: int) -> None:
            self.status, self.open, self.visited, self.lowest_share = status, 1, 0, 0.0

        def run(self, _: int) -> int:
            self.open = 0
            return self.status

        def take_tree(self) -> tuple[list[int], list[float]]:
            return [], []

    class Nothing:
        def add(self, *_: object) -> None:
            pass

    search = object.__new__(sharing.SharedPhases)
    search.left_open, search._most = False, 2
    members = [sharing.Member(Ended(status), Nothing()) for status in (layout.CANDIDATE, layout.LEAF)]  # type: ignore[arg-type]
    search._members = members
    assert search.run(1) == layout.CANDIDATE
    assert search.left_open


@pytest.mark.parametrize(("chosen", "expected"), [("1", 1), ("3", 3), ("0", 1)])
def test_the_user_says_how_many_threads(monkeypatch: pytest.MonkeyPatch, chosen: str, expected: int) -> None:
    monkeypatch.setenv(sharing.THREADS, chosen)
    assert sharing.threads() == expected


def test_else_as_many_as_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(sharing.THREADS, raising=False)
    assert sharing.threads() >= 1
