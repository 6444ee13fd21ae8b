"""Cutting proofs into regions afresh: nothing gets lost, and what is cut proves the same with better scales."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.search.networks import budget, compiled_entry, network, over_box
from tests.search.test_box_proof import deep_query
from verify.core.evaluate import evaluate
from verify.core.normal_form import normal_form
from verify.core.payload import Stream, varint
from verify.core.query import Query, Row
from verify.kernel import RejectedError, check
from verify.kernel.walk import AFRESH, BOUND, CLIP, HIGH, LEAF, LOW, PHASES, REDUCE, TIGHTEN, WEIGHTED
from verify.kernel_fast import StoppedError, check_fast
from verify.search import certify, cutting
from verify.search.box_proof import BoxSteps
from verify.search.cutting import cut
from verify.search.decide import decide
from verify.search.evidence import _searched_again
from verify.search.run import Run
from verify.search.sketch import RegionSketch, Sketch


def random_tree(rng: random.Random, leaves: int) -> bytes:
    before = bytes(rng.choices([TIGHTEN, REDUCE, BOUND, CLIP], k=rng.randint(0, 5)))
    if leaves == 1:
        size = rng.choice([0, 3, 200])
        slopes = bytes([WEIGHTED, 128 + size % 128, size // 128]) + bytes(rng.choices(range(9, 256), k=size))
        return before + rng.choice([b"", slopes]) + bytes([LEAF])
    left = rng.randint(1, leaves - 1)
    split = bytes([rng.choice([LOW, HIGH])]) + varint(rng.choice([0, 7, 200]))
    return before + split + random_tree(rng, left) + random_tree(rng, leaves - left)


def put_back(top: bytes, parts: list[bytes]) -> bytes:
    stream, whole = Stream(top), bytearray()
    while stream.at < len(top):
        begun, opcode = stream.at, stream.byte()
        if opcode == AFRESH:
            whole += parts[stream.varint()]
            assert stream.byte() == LEAF
            continue
        if opcode in (LOW, HIGH):
            stream.varint()
        elif opcode == WEIGHTED:
            size = stream.varint()
            stream.at += size
        whole += top[begun : stream.at]
    return bytes(whole)


@pytest.mark.parametrize("number", range(60))
def test_a_cut_tree_has_all_its_parts(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = random.Random(number)
    monkeypatch.setattr(cutting, "LEAVES", rng.choice([1, 4, 30]))
    leaves = rng.choice([1, 5, 40, 300])
    steps = random_tree(rng, leaves)
    top, parts = cut(steps)
    assert bool(parts) == (leaves > cutting.LEAVES)
    assert put_back(top, parts) == steps
    most = max(cutting.LEAVES, leaves // cutting.SHARE)
    assert all(part.count(LEAF) >= 1 and sum(part.count(op) for op in (LOW, HIGH)) < 2 * most for part in parts)


def test_other_steps_are_not_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LEAVES", 1)
    steps = bytes([PHASES, 0, BOUND, LEAF, BOUND, LEAF])
    assert cut(steps) == (steps, [])


def halved(depth: int) -> bytes:
    """Every input split in turn; what a kernel leaves open at the end is to be mended."""
    pair = bytes([LEAF]) if depth == 0 else halved(depth - 1)
    return bytes([TIGHTEN, BOUND, LOW, depth % 2]) + pair + pair


def random_claim(rng: random.Random) -> Query:
    """That an output stays a little below the most that was seen."""
    weights = [[[rng.gauss(0, 1) for _ in range(n)] for _ in range(m)] for n, m in ((2, 6), (6, 1))]
    net = network(2, ([(0, weights[0])], [rng.gauss(0, 1) for _ in range(6)], True), ([(1, weights[1])], [0], False))
    top = max(evaluate(net, [Fraction(rng.uniform(-1, 1)) for _ in range(2)])[0] for _ in range(100))
    return over_box(net, -1, 1, Row.of({}, {0: -1}, -(top + Fraction(rng.choice([0.05, 0.2, 1])))))


def test_cut_proofs_are_proofs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever tree is cut, into single leaves: both paths of the kernel take what is made of it alike."""
    compiled_entry("kernel")
    monkeypatch.setattr(cutting, "LEAVES", 1)
    afresh = 0
    for number in range(40):
        query = random_claim(random.Random(40_000 + number))
        try:
            payload = certify.certify(query, [RegionSketch({}, BoxSteps(halved(3)))], "unsat")
        except certify.MissedError:
            continue
        checked = check(query, payload, "unsat")
        assert checked.leaves == check_fast(query, payload, "unsat").leaves
        afresh += checked.leaves.get("afresh", 0)
    assert afresh > 20


def test_parts_lie_in_one_another_as_deep_as_the_kernel_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_entry("kernel")
    monkeypatch.setattr(cutting, "LEAVES", 1)
    monkeypatch.setattr(cutting, "SHARE", 2)
    net = network(2, ([(0, [[1, 0], [-1, 0]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
    query = over_box(net, -1, 1, Row.of({}, {0: -1}, -3))
    found = {}
    for most in (0, 1, 16):
        monkeypatch.setattr(certify, "MOST_NESTED", most)
        sketch = RegionSketch({}, BoxSteps(halved(6).replace(bytes([TIGHTEN, BOUND]), b"")))
        found[most] = check(query, certify.certify(query, [sketch], "unsat"), "unsat").leaves.get("afresh", 0)
    assert found[0] == 0 < found[1] < found[16]


def test_a_part_whose_sketch_fits_another_box_is_searched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    compiled_entry("kernel")
    monkeypatch.setattr(cutting, "LEAVES", 1)
    monkeypatch.setattr(certify, "FEW_MENDED", 0)
    net = network(2, ([(0, [[1, 0], [-1, 0]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
    query = over_box(net, -1, 1, Row.of({}, {0: 1}, Fraction(-1, 10)))  # |x_0| <= -0.1
    asked = []

    def again(region: object) -> object:
        asked.append(region)
        run = Run(query, budget(), lambda _: True, lambda *_: None, sketch=Sketch(numbers=(0,)))
        return _searched_again(run, region)  # type: ignore[arg-type]

    steps = bytes([LOW, 1, LEAF, LEAF])  # leaves that nothing closes but a split of the other input
    payload = certify.certify(query, [RegionSketch({}, BoxSteps(steps))], "unsat", again=again)  # type: ignore[arg-type]
    assert len(asked) == 2
    assert check(query, payload, "unsat").leaves["afresh"] == 2


def test_a_part_that_holds_a_solution_is_a_defect() -> None:
    net = network(1, ([(0, [[1]])], [0], True), ([(1, [[1]])], [0], False))
    query = over_box(net, -1, 1, Row.of({}, {0: -1}, Fraction(-1, 2)))
    run = Run(query, budget(), lambda _: True, lambda *_: None, sketch=Sketch(numbers=(0,)))
    with pytest.raises(certify.MissedError):
        _searched_again(run, normal_form(query).regions[0])
    assert decide(query, budget()).answer == "sat"


@pytest.mark.usefixtures("splitting", "compiled")
def test_parts_made_side_by_side_are_those_made_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where the steps before them are mended, so that some come to other boxes."""
    monkeypatch.setattr(cutting, "LEAVES", 1)
    monkeypatch.setattr(cutting, "SHARE", 2)
    side_by_side, in_turn = list[object](), list[object]()
    for count, found in ((2, side_by_side), (1, in_turn)):
        monkeypatch.setattr(certify, "threads", lambda count=count: count)
        for number in range(12):
            decision = decide(deep_query(random.Random(number), 1), budget(), certificate=True)
            found.append((decision.answer, decision.payload, decision.leaves))
    assert side_by_side == in_turn
    assert sum(dict(leaves).get("afresh", 0) for _, _, leaves in side_by_side) > 20  # type: ignore[misc]


@pytest.mark.usefixtures("splitting", "compiled")
@pytest.mark.parametrize("count", [1, 3])
def test_a_part_that_fails_ends_the_certificate(count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cutting, "LEAVES", 1)
    monkeypatch.setattr(certify, "threads", lambda: count)
    calls: list[int] = []

    def stopped(*_: object) -> bytes:
        calls.append(1)
        if len(calls) > 1:
            raise StoppedError
        return b""

    net = network(2, ([(0, [[1, 0], [-1, 0]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
    query = over_box(net, -1, 1, Row.of({}, {0: 1}, Fraction(-1, 10)))
    monkeypatch.setattr(certify.Cut, "part", stopped)
    steps = bytes([LOW, 0, LEAF, LOW, 1, LEAF, LEAF])
    with pytest.raises((StoppedError, RejectedError, certify.UncertifiedError)):
        certify.certify(query, [RegionSketch({}, BoxSteps(steps))], "unsat")
    assert len(calls) >= 1
