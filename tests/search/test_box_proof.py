"""Boxes closed by slopes of their own: the search writes them down, and the kernel accepts what is made of that."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction

import pytest

from tests.search.networks import budget, compiled_entry, network, over_box
from verify.core.evaluate import evaluate
from verify.core.payload import Stream, varint
from verify.core.query import And, Formula, Or, Query, Row
from verify.core.verdict import Decision, Evidence
from verify.kernel import check
from verify.kernel.walk import AFRESH, BOUND, HIGH, LEAF, LOW, TIGHTEN, WEIGHTED
from verify.kernel_fast import check_fast
from verify.native import machine
from verify.search import box_proof, certify, cutting, tiers
from verify.search.box_proof import WEIGHT, BoxSteps, Names
from verify.search.compiled import session
from verify.search.decide import decide
from verify.search.phase_proof import RootView


def deep_query(rng: random.Random, cases: int) -> Query:
    """A net of three hidden layers and a claim a little above the most that was seen."""
    sizes, layers = [3, 10, 10, 10, 3], []
    for k, (before, after) in enumerate(itertools.pairwise(sizes)):
        weights = [[rng.gauss(0, (2 / before) ** 0.5) for _ in range(before)] for _ in range(after)]
        layers.append(([(k, weights)], [rng.gauss(0, 0.1) for _ in range(after)], k < 3))
    net = network(3, *layers)
    seen = [evaluate(net, [Fraction(rng.uniform(-1, 1)) for _ in range(3)]) for _ in range(200)]
    rows: list[Formula] = []
    for c in range(cases):
        most = max(y[c] for y in seen)
        row = Row.of({}, {c: -1}, -(most + Fraction(rng.choice([0.05, 0.2, 0.5])) * (1 + abs(most))))
        rows.append(And((row, Row.of({}, {(c + 1) % 3: 1}, 100))) if rng.random() < 0.3 else row)
    return over_box(net, -1, 1, Or(tuple(rows)))


def proved(query: Query) -> Decision | None:
    """What is decided with a certificate, which both paths of the kernel must accept alike; None for "sat"."""
    decision = decide(query, budget(), certificate=True)
    if decision.answer != "unsat":
        return None
    assert decision.evidence == Evidence.KERNEL and decision.payload is not None, decision.notes
    assert check_fast(query, decision.payload, "unsat", plain=False).leaves == dict(decision.leaves)
    if sum(dict(decision.leaves).values()) < 100:
        assert check(query, decision.payload, "unsat").leaves == dict(decision.leaves)
    return decision


@pytest.mark.usefixtures("splitting", "compiled")
@pytest.mark.parametrize("leaves", [1, 600])
def test_every_proof_by_slopes_is_one_for_the_kernel(leaves: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one case and of several; as a whole, and cut into parts that number their ReLUs anew."""
    monkeypatch.setattr(cutting, "LEAVES", leaves)
    found = [proved(deep_query(random.Random(seed), 1 + seed % 3)) for seed in range(24)]
    by_rule = [dict(decision.leaves) for decision in found if decision is not None]
    assert sum(counts.get("weighted", 0) for counts in by_rule) > 30
    assert (sum(counts.get("afresh", 0) for counts in by_rule) > 30) == (leaves == 1)


@pytest.mark.usefixtures("splitting", "compiled")
@pytest.mark.parametrize("again", [True, False])
def test_slopes_that_do_not_close_a_node_are_mended(again: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a search of that node, or where there is none by further splits."""
    by_variable, asked = box_proof.by_variable, list[int]()

    def spoilt(numbers: list[tuple[int, int]]) -> bytes:
        asked.append(len(numbers))
        return by_variable([] if len(asked) % 5 == 0 else numbers)

    monkeypatch.setattr(box_proof, "by_variable", spoilt)
    if not again:
        monkeypatch.setattr(certify, "MOST_NESTED", 0)
    found = [proved(deep_query(random.Random(seed), 1 + seed % 2)) for seed in range(16)]
    by_rule = [dict(decision.leaves) for decision in found if decision is not None]
    assert sum(asked) > 0 and len(by_rule) > 5
    assert (sum(counts.get("afresh", 0) for counts in by_rule) > 0) == again


@pytest.mark.usefixtures("splitting", "compiled", "no_attack")
def test_boxes_that_are_searched_anew_call_their_relus_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """With too little memory boxes get systems of their own, in the middle of a region's steps."""
    nested, failed = list[bool](), list[int]()
    explore_box, searched_at = tiers.Search.explore_box, certify.Cut.searched_at

    def explored(self: tiers.Search, *words: object, **named: bool) -> bool:
        nested.append(named.get("nested", False))
        return explore_box(self, *words, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(tiers.Search, "explore_box", explored)
    monkeypatch.setattr(certify.Cut, "searched_at", lambda *words: failed.append(1) or searched_at(*words))
    monkeypatch.setattr(session, "MAX_ARENA", 1500)
    found = [proved(deep_query(random.Random(seed), 1)) for seed in range(12)]
    assert sum(nested) > 20 and not failed
    assert sum(dict(decision.leaves).get("weighted", 0) for decision in found if decision is not None) > 20


@pytest.mark.usefixtures("splitting")
def test_the_plain_path_follows_slopes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the compiled kernel; where slopes fail it begins at the root."""
    entries = {"boxes": compiled_entry("boxes"), "phases": compiled_entry("phases"), "kernel": None}
    monkeypatch.setattr(machine, "cached", entries.__getitem__)
    monkeypatch.setattr("verify.search.evidence.awaited", lambda *_: None)
    query = deep_query(random.Random(11), 1)
    kept = decide(query, budget(), certificate=True)
    assert kept.evidence == Evidence.KERNEL and kept.kernel_mode == "reference" and dict(kept.leaves)["weighted"] > 0
    monkeypatch.setattr(box_proof, "WEIGHT", 0)
    spoilt = decide(query, budget(), certificate=True)
    assert spoilt.evidence == Evidence.KERNEL and "weighted" not in dict(spoilt.leaves)


@pytest.mark.usefixtures("splitting", "compiled", "no_attack")
@pytest.mark.parametrize("place", [0, 1, 2])
@pytest.mark.parametrize("number", range(12))
def test_a_refuted_claim_is_never_proved(number: int, place: int) -> None:
    """A known point refutes it, if by nothing at all, in one of up to three cases; slopes close what is near that."""
    rng = random.Random(number)
    net = deep_query(rng, 1).network
    points = [[Fraction(rng.randint(-8, 8), 8) for _ in range(3)] for _ in range(300)]
    most = [max(evaluate(net, x)[k] for x in points) for k in range(3)]
    rows = [Row.of({}, {k: -1}, -most[k] - (k != place) * Fraction(1, 2) * (1 + abs(most[k]))) for k in range(3)]
    found = decide(over_box(net, -1, 1, Or(tuple(rows[: place + 1]))), budget(3))
    assert found.answer in ("sat", "unknown") and found.reason != "defect"


R0, R1, R2 = (Row.of({}, {k: 1}, 0) for k in range(3))
NAMES = Names({(0, 1): 0, (0, 3): 1, (1, 0): 2}, [R0, R1, R2], [frozenset([R0, R1]), frozenset([R2])])


def root(cases: list[list[int]], variables: dict[tuple[int, int], int]) -> RootView:
    return RootView([R2, R1, R0], cases, [0] * 5, 2, variables, lambda _: False)


def test_numbers_are_those_of_the_root() -> None:
    """ReLUs, rows and cases have other numbers there; a ReLU that is no variable has none."""
    closed = [2, *(0, 1, 3, 0, 7, 1, 200, 1, 2, 9), *(1, 2, 1, 2, 128, 2)]  # 200, 1 is one number
    raw = bytes([TIGHTEN, WEIGHTED, 128 + len(closed), 0, *closed, LEAF])
    view = root([[0], [2, 1]], {(0, 1): 5, (1, 0): 3})
    found = Stream(BoxSteps(raw, NAMES)(lambda: view))
    assert [found.byte() for _ in range(3)] == [TIGHTEN, WEIGHTED, 2]
    assert [found.byte() for _ in range(2)] == [0, WEIGHT]  # the case of R2, which is the first here
    assert [found.varint() for _ in range(4)] == [1, 3, 256, 0]
    assert [found.byte() for _ in range(3)] == [1, 0, WEIGHT]  # the other; R1, its second row here, is the one closed
    assert [found.varint() for _ in range(6)] == [2, 3, 9, 1, 7, 0]
    assert found.byte() == LEAF and found.at == len(found.data)


def test_a_case_that_is_there_twice_is_closed_twice() -> None:
    raw = bytes([WEIGHTED, 132, 0, 1, 1, 2, 0, LEAF])
    found = BoxSteps(raw, NAMES)(lambda: root([[0], [2, 1], [0]], {}))
    assert found == bytes([WEIGHTED, 2, 0, WEIGHT, 0, 0, 2, WEIGHT, 0, 0, LEAF])


def test_other_steps_stay_as_they_are() -> None:
    """Among them numbers that look like steps with slopes."""
    raw = bytes([BOUND, LOW, WEIGHTED, AFRESH]) + varint(WEIGHTED) + bytes([LEAF, HIGH, 128 + WEIGHTED, 1, LEAF, LEAF])
    assert BoxSteps(raw, NAMES)(lambda: root([[0]], {})) == raw
    assert BoxSteps(raw)(lambda: pytest.fail("nothing to look up")) == raw


@pytest.mark.usefixtures("no_attack", "splitting", "numpy_only")
def test_without_the_compiled_search_there_are_no_slopes() -> None:
    net = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
    decision = decide(over_box(net, -1, 1, Row.of({}, {0: -1}, -3)), budget(), certificate=True)
    assert "weighted" not in dict(decision.leaves) and tiers.NARROW > 0
