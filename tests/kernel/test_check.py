"""What the kernel accepts and rejects: payloads by hand, honest ones, and mutations aimed at false claims."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.oracle import phase_enumeration, random_tiny_query
from tests.search.networks import budget, network, over_box
from verify.core.floats import FloatPlan
from verify.core.normal_form import normal_form
from verify.core.payload import signed, varint
from verify.core.query import And, Or, Query, Row
from verify.kernel import Checked, RejectedError, check
from verify.kernel.walk import BOUND, CASES, CLIP, EXACT, HIGH, LEAF, LOW, PHASES, REDUCE, TIGHTEN, WEIGHTED
from verify.kernel_fast import check_fast
from verify.search.certify import header
from verify.search.decide import decide
from verify.search.scales import root_scales

NO_SLOPES = varint(0)  # cases that slopes close
HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))  # |x|


def at_least(bound: Fraction | int, *, strict: bool = False) -> Query:
    """|x| >= bound (or >) over [-1, 1]: has a solution iff bound <= 1 (< 1)."""
    return over_box(HAT, -1, 1, Row.of({}, {0: -1}, -Fraction(bound), strict=strict))


def payload(*steps: int, scales: tuple[int, ...] = (1, 2, 2)) -> bytes:
    return varint(1) + NO_SLOPES + b"".join(map(signed, scales)) + bytes(steps)


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
    "a number of cases that are not open": (1, payload(CASES, 2, *DIRECT, *DIRECT), "1 cases are open, not 2"),
    "an absurd number of cases": (1, payload(CASES, 255, 255, 127, LEAF), "too many"),
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


def test_splits_of_inputs_in_either_order() -> None:
    for steps in ((LOW, 0, *DIRECT, *DIRECT), (HIGH, 0, *DIRECT, *DIRECT)):
        assert check(at_least(Fraction(11, 10)), payload(*steps), "unsat").leaves == {"bound": 2}


def test_cases_one_by_one() -> None:
    bound = Fraction(21, 10)
    query = over_box(HAT, -1, 1, Or((Row.of({}, {0: -1}, -bound), Row.of({}, {0: 1}, -bound))))
    both = payload(CASES, 2, *DIRECT, *DIRECT, scales=(1, 2, 2, 2))
    assert check(query, both, "unsat").leaves == check_fast(query, both, "unsat").leaves == {"bound": 2}
    for steps in ((CASES, 1, *DIRECT), (CASES, 2, *DIRECT), (CASES, 2, *DIRECT, LEAF)):
        with pytest.raises(RejectedError):
            check(query, payload(*steps, scales=(1, 2, 2, 2)), "unsat")


TWO = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 0], [0, 1]])], [0, 0], False))  # relu(x), relu(-x)
RAMP = network(1, ([(0, [[1], [1]])], [0, 0.25], True), ([(1, [[-1, 1]])], [0], False))  # relu(x + 1/4) - relu(x)


def weighted(*gamma: int, slopes: tuple[int, ...] = (), betas: tuple[int, ...] = ()) -> tuple[int, ...]:
    """A leaf that weighs the rows of case 0; slopes and betas of the first variables."""
    steps = [WEIGHTED, 1, 0, *gamma]
    for numbers in (slopes, betas):
        steps += [len(numbers), *(byte for n in numbers for byte in (0, *varint(n)))]
    return (*steps, LEAF)


def apart(limit: Fraction) -> Query:
    """relu(x) + x <= -limit and relu(x) - 2 x <= -limit: twice the first and the second give relu(x) <= -limit."""
    rows = And((Row.of({0: 1}, {0: 1}, -limit), Row.of({0: -2}, {0: 1}, -limit)))
    return over_box(TWO, -1, 1, rows)


def test_a_combination_proves_what_no_row_does_alone() -> None:
    scales = (1, 2, 2, 2)
    with pytest.raises(RejectedError, match="still open"):
        check(apart(Fraction(1, 4)), payload(BOUND, LEAF, scales=scales), "unsat")
    checked = check(apart(Fraction(1, 4)), payload(*weighted(2, 1, slopes=(0,)), scales=scales), "unsat")
    assert checked.leaves == {"weighted": 1}
    for false in (Fraction(0), Fraction(-1, 4)):  # x = 0 satisfies both rows
        for gamma in ((2, 1), (1, 1), (255, 0), (0, 3)):
            for slope in (0, 128, 256):
                with pytest.raises(RejectedError, match="do not close"):
                    check(apart(false), payload(*weighted(*gamma, slopes=(slope,)), scales=scales), "unsat")


def test_phases_prove_what_triangles_do_not() -> None:
    query = over_box(RAMP, -1, 1, Row.of({}, {0: -1}, Fraction(-3, 8)))  # the ramp ends at 1/4
    with pytest.raises(RejectedError, match="still open"):
        check(query, payload(TIGHTEN, REDUCE, BOUND, LEAF), "unsat")
    plain, pulled = weighted(1), weighted(1, betas=(1 << 39,))
    tree = (PHASES, 0, PHASES, 1, *plain, *pulled, PHASES, 1, *pulled, *plain)
    assert check(query, payload(*tree), "unsat").leaves == {"weighted": 4}
    swapped = (PHASES, 0, PHASES, 1, *pulled, *plain, PHASES, 1, *plain, *pulled)
    for steps in (swapped, (PHASES, 0, *plain, *pulled), (PHASES, 0, PHASES, 0, *plain, *plain, *plain)):
        with pytest.raises(RejectedError):
            check(query, payload(*steps), "unsat")
    with pytest.raises(RejectedError):  # the ramp does reach 1/5
        check(over_box(RAMP, -1, 1, Row.of({}, {0: -1}, Fraction(-1, 5))), payload(*tree), "unsat")


def test_random_multipliers_never_prove_a_false_claim() -> None:
    rng, reached = random.Random(8), 0
    queries = [random_tiny_query(random.Random(n), n % 2 == 0) for n in range(900, 1000)]
    single = [q for q in queries if phase_enumeration(q) and len(normal_form(q).regions) == 1]
    for _ in range(3000):
        query = rng.choice(single)
        (region,) = normal_form(query).regions
        _, cases = region.numbered()
        steps = bytearray([PHASES, 0] * rng.randint(0, 1))
        for _ in range(1 + len(steps) // 2):
            steps += bytes([WEIGHTED]) + varint(len(cases))
            for number, case in enumerate(cases):
                steps += varint(number) + bytes(rng.choice([0, 1, 2, 255]) for _ in case)
                for most in (256, 1 << 42):
                    size = rng.randint(0, 3)
                    steps += varint(size) + b"".join(varint(0) + varint(rng.randint(0, most)) for _ in range(size))
            steps.append(LEAF)
        with pytest.raises(RejectedError) as caught:
            scales = root_scales(query.network, region, region.numbered()[0], FloatPlan(query.network))
            check(query, varint(1) + NO_SLOPES + header(scales) + bytes(steps), "unsat")
        reached += "do not close" in str(caught.value)
    assert reached > 300


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
