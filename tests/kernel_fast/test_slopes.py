"""Slopes with the parts of a hull bounded in compiled code: the reference's phases, and its judgement."""

from __future__ import annotations

import random
from collections.abc import Sequence

import pytest

from tests.kernel_fast.test_identity import path
from tests.kernel_slopes.test_slopes import HINTS, KINKED, closing, network_of, pattern
from tests.search.networks import budget
from tests.search.two_copies import MONOTONE, STEEP, deep_network, query_of
from verify.core.payload import signed, varint
from verify.core.query import Query
from verify.kernel import RejectedError, check
from verify.kernel.check import Path
from verify.kernel.walk import HIGH, LEAF, LOW
from verify.kernel_fast import check_fast
from verify.kernel_fast.check import Fast
from verify.kernel_fast.tables import RefusedError, WrongStepError
from verify.kernel_slopes.slopes import REFERENCE, UNSTABLE, Part, Phases, SlopeTree
from verify.search.decide import decide

ROOM = b"".join(map(signed, (8, 8, 8, 8)))  # scales of a deep network's blocks and of its output


def random_tree(rng: random.Random, axes: Sequence[int] = (0, 1)) -> bytes:
    steps, open_leaves = bytearray(), 1
    while open_leaves:
        split = rng.random() < 0.6 and len(steps) < 120
        steps += bytes([rng.choice([LOW, HIGH]), rng.choice(axes)]) if split else bytes([LEAF])
        open_leaves += 1 if split else -1
    return bytes(steps)


def visited(query: Query, payload: bytes, follow: Path, monkeypatch: pytest.MonkeyPatch) -> list[Phases]:
    """The phases of every leaf, all of which are taken for closed."""
    seen: list[Phases] = []

    def note(_: SlopeTree, part: Part) -> bool:
        seen.append(part.phases)
        return True

    with monkeypatch.context() as patch:
        patch.setattr(SlopeTree, "contradicts", note)
        check(query, payload, "unsat", follow)
    return seen


def test_every_part_has_the_references_phases(monkeypatch: pytest.MonkeyPatch) -> None:
    rng, moved, compared = random.Random(7), 0, 0
    for seed in range(120):
        query = query_of(MONOTONE, deep_network(seed % 40))
        payload = closing(varint(0) + random_tree(rng), hints=ROOM)
        try:
            plain = visited(query, payload, REFERENCE, monkeypatch)
        except RejectedError:  # the scales do not fit, or a side is too short to be split
            with pytest.raises((RejectedError, WrongStepError, RefusedError)):
                visited(query, payload, path().path(), monkeypatch)
            continue
        assert visited(query, payload, path().path(), monkeypatch) == plain
        compared += len(plain)
        moved += sum(phases != plain[0] for phases in plain)
    assert compared > 500 and moved > 100


def test_a_twin_has_the_other_phase(monkeypatch: pytest.MonkeyPatch) -> None:
    bent = network_of((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (3.0, 0.0, 9.0))
    query, payload = query_of(STEEP % "2", bent), closing(pattern(LOW, 0, LEAF, LEAF))
    left, right = visited(query, payload, path().path(), monkeypatch)
    assert [left, right] == visited(query, payload, REFERENCE, monkeypatch)
    assert UNSTABLE not in left[0] + right[0] and left != right


def test_fast_and_plain_agree_on_the_verdict() -> None:
    most = MONOTONE.replace("n(a).r <= n(b).r", "n(b).r - n(a).r <= %s * (b.x - a.x)")
    for bound, tree, good in ((2, (LEAF,), True), ("1.9", (LOW, 0, LEAF, LEAF), False), ("1.9", (LEAF,), False)):
        query, payload = query_of(most % bound, KINKED), closing(pattern(*tree), hints=HINTS)
        for follow in (REFERENCE, path().path()):
            if good:
                assert check(query, payload, "unsat", follow).leaves == {"slopes": 1}
            else:
                with pytest.raises((RejectedError, WrongStepError)):
                    check(query, payload, "unsat", follow)
        if not good:
            with pytest.raises(RejectedError, match="may hold"):
                check_fast(query, payload, "unsat")


def test_random_trees_never_prove_a_false_claim() -> None:
    rng = random.Random(5)
    queries = [query_of(MONOTONE, deep_network(seed)) for seed in range(20)]
    refutable = [query for query in queries if decide(query, budget(1)).answer == "sat"]
    assert len(refutable) > 3
    for _ in range(200):
        payload = closing(varint(0) + random_tree(rng), hints=ROOM)
        with pytest.raises((RejectedError, WrongStepError)):
            check(rng.choice(refutable), payload, "unsat", path().path())


def test_it_stops_when_told() -> None:
    from verify.kernel_fast.check import StoppedError

    query, payload = query_of(MONOTONE, deep_network(0)), closing(varint(0) + bytes([LEAF]), hints=ROOM)
    with pytest.raises(StoppedError):
        check(query, payload, "unsat", Fast(path().explore, lambda: True).path())
