"""What the kernel accepts and rejects: payloads by hand, honest ones, and mutations aimed at false claims."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.oracle import phase_enumeration, random_tiny_query
from tests.search.networks import budget, network, over_box
from verify.core.query import And, Query, Row
from verify.kernel import Checked, RejectedError, check
from verify.kernel.walk import BOUND, CLIP, EXACT, HIGH, LEAF, LOW, PHASES, REDUCE, TIGHTEN, WEIGHTED
from verify.search.decide import decide
from verify.search.exact_leaf import signed, varint

HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))  # |x|


def at_least(bound: Fraction | int, *, strict: bool = False) -> Query:
    """|x| >= bound (or >) over [-1, 1]: has a solution iff bound <= 1 (< 1)."""
    return over_box(HAT, -1, 1, Row.of({}, {0: -1}, -Fraction(bound), strict=strict))


def payload(*steps: int, scales: tuple[int, ...] = (1, 2, 2), twins: bytes = b"\x00") -> bytes:
    return varint(1) + b"".join(map(signed, scales)) + twins + bytes(steps)


DIRECT = (TIGHTEN, REDUCE, BOUND, LEAF)


def test_one_pass_proves_what_it_can() -> None:
    checked = check(at_least(Fraction(21, 10)), payload(*DIRECT), "unsat")
    assert (checked.claim, checked.leaves, checked.mode) == ("unsat", {"bound": 1}, "reference")


REJECTED = {
    "a false claim": (1, payload(*DIRECT), "still open"),
    "half of the box": (Fraction(11, 10), payload(LOW, 0, *DIRECT), "in the middle"),
    "bytes behind the proof": (Fraction(21, 10), payload(*DIRECT, LEAF), "left after"),
    "nothing": (Fraction(21, 10), b"", "in the middle"),
    "another number of regions": (Fraction(21, 10), varint(2) + payload(*DIRECT)[1:], "regions"),
    "no regions": (Fraction(21, 10), varint(0), "regions"),
    "an opcode that is none": (Fraction(21, 10), payload(77, LEAF), "unknown opcode"),
    "a scale that is too small": (Fraction(21, 10), payload(*DIRECT, scales=(-1, 2, 2)), "scale of block 0"),
    "an absurd scale": (Fraction(21, 10), payload(*DIRECT, scales=(9999, 2, 2)), "out of range"),
    "an input that is not there": (Fraction(11, 10), payload(LOW, 3, *DIRECT, *DIRECT), "no input"),
    "a variable that is not there": (Fraction(11, 10), payload(PHASES, 9, *DIRECT, *DIRECT), "cannot be split"),
    "clipping without bounds": (Fraction(11, 10), payload(CLIP, LEAF), "needs the rows' bounds"),
    "weights for no case": (1, payload(WEIGHTED, 0, LEAF), "some open cases only"),
    "weights for a case that is not there": (1, payload(WEIGHTED, 1, 7, 1, 0, 0, LEAF), "no case 7"),
    "weights that are all zero": (Fraction(21, 10), payload(WEIGHTED, 1, 0, 0, 0, 0, LEAF), "do not close"),
    "a slope above 1": (Fraction(21, 10), payload(WEIGHTED, 1, 0, 1, 1, 0, 129, 2, 0, LEAF), "out of range"),
    "exact multipliers that are all zero": (Fraction(21, 10), payload(EXACT, 0, 0, LEAF), "all multipliers"),
    "an exact split of a block that is not there": (1, payload(EXACT, 1, 9, 0, 0, 1, 0, 1, LEAF), "no ReLU"),
    "an exact leaf where nothing is open": (Fraction(21, 10), payload(BOUND, EXACT, 0, 1, LEAF), "nothing is open"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str) -> None:
    bound, data, reason = REJECTED[name]
    with pytest.raises(RejectedError, match=reason):
        check(at_least(bound), data, "unsat")


def test_splits_of_both_kinds_prove_what_one_pass_cannot() -> None:
    for steps in ((LOW, 0, *DIRECT, *DIRECT), (HIGH, 0, *DIRECT, *DIRECT)):
        assert check(at_least(Fraction(11, 10)), payload(*steps), "unsat").leaves == {"bound": 2}
    rows = (WEIGHTED, 1, 0, 1, 0, 0, LEAF)
    tree = (PHASES, 0, PHASES, 1, *rows, *rows, PHASES, 1, *rows, *rows)
    with pytest.raises(RejectedError):
        check(at_least(1), payload(*tree), "unsat")


def test_a_tie_is_closed_exactly_and_only_where_strict() -> None:
    found = decide(at_least(1, strict=True), budget(), certificate=True)
    assert (found.answer, found.payload is not None) == ("unsat", True)
    assert found.payload is not None
    assert "exact" in check(at_least(1, strict=True), found.payload, "unsat").leaves
    with pytest.raises(RejectedError):
        check(at_least(1), found.payload, "unsat")


def test_vacuous_is_a_claim_of_its_own() -> None:
    assumption = And((Row.of({0: 1}, {}, 1), Row.of({0: -1}, {}, 1), Row.of({0: 2}, {}, 1), Row.of({0: -4}, {}, -3)))
    query = at_least(0)
    query = Query(query.network, query.inputs, query.outputs, assumption, query.violation, query.copies)
    assert check(query, varint(0), "vacuous").claim == "vacuous"
    with pytest.raises(RejectedError, match="regions"):
        check(at_least(0), varint(0), "vacuous")


def test_nobody_else_makes_a_checked() -> None:
    with pytest.raises(TypeError):
        Checked("unsat", "", {}, "reference", object())


def test_mutations_never_prove_a_false_claim() -> None:
    """Honest proofs of other queries, mutated, against queries that have a solution."""
    rng = random.Random(3)
    queries = [random_tiny_query(random.Random(500 + n), n % 2 == 0) for n in range(60)]
    refutable = [q for q in queries if phase_enumeration(q)]
    proofs = [d.payload for d in (decide(q, budget(), certificate=True) for q in queries) if d.payload]
    assert len(refutable) > 15 and len(proofs) > 15
    for _ in range(4000):
        data = bytearray(rng.choice(proofs))
        for _ in range(rng.randint(0, 3)):
            place = rng.randrange(len(data) + 1)
            data[place : place + rng.randint(0, 1)] = bytes([rng.randrange(12)] * rng.randint(0, 1))
        with pytest.raises(RejectedError):
            check(rng.choice(refutable), bytes(data), "unsat")
