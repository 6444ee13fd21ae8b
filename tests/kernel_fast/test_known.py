"""What a walk has closed need not be walked again; what merely looks like it must."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.kernel_fast.test_identity import BUMP, afresh
from tests.search.networks import compiled_entry, over_box
from verify.core.normal_form import normal_form
from verify.core.payload import RejectedError, Stream, signed, varint
from verify.core.query import Query, Row
from verify.kernel.walk import BOUND, LEAF, LOW, MOST_NESTED, TIGHTEN, WEIGHTED
from verify.kernel_fast import Known, check_fast
from verify.kernel_fast import layout as at
from verify.kernel_fast.check import Fast, FastWalk, never

SCALES = (1, 2, 3)
HEAD = varint(1) + varint(0) + b"".join(map(signed, SCALES))
HALF = afresh(BOUND, LEAF) + bytes([LEAF])
BOTH = bytes([LOW, 0]) + 2 * HALF


def above(bound: Fraction) -> Query:
    """The bump, at most 1/2, reaches `bound`."""
    return over_box(BUMP, -1, 1, Row.of({}, {0: -1}, -bound))


CLAIM = above(Fraction(6, 10))


class Counted:
    """The compiled kernel, and how often it was called."""

    def __init__(self) -> None:
        self.calls = 0
        self.entry = compiled_entry("kernel")

    def __call__(self, integers: int, payload: int) -> int:
        self.calls += 1
        return self.entry(integers, payload)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counter = Counted()
    monkeypatch.setattr("verify.native.machine.cached", lambda _: counter)
    return counter


def test_the_same_parts_are_walked_once(counted: Counted) -> None:
    """The query's own region is walked anytime."""
    known = Known()
    first = check_fast(CLAIM, HEAD + BOTH, "unsat", plain=False, known=known)
    once, counted.calls = counted.calls, 0
    again = check_fast(CLAIM, HEAD + BOTH, "unsat", plain=False, known=known)
    assert (again.leaves, again.mode) == (first.leaves, "fast") and 0 < counted.calls < once
    counted.calls = 0
    check_fast(CLAIM, HEAD + BOTH, "unsat", plain=False)
    assert counted.calls == once  # each check knows only what it is given


@pytest.mark.parametrize(
    "steps",
    [
        bytes([LOW, 0]) + HALF + afresh(LEAF) + bytes([LEAF]),
        bytes([LOW, 0]) + HALF + afresh(TIGHTEN, LEAF) + bytes([LEAF]),  # as long as what is known
        bytes([LOW, 0]) + afresh(TIGHTEN, LEAF) + bytes([LEAF]) + HALF,
        bytes([LOW, 0]) + HALF + afresh(BOUND, LEAF, scales=(-3, 2, 3)) + bytes([LEAF]),
        BOTH[:-1],
        HALF,
    ],
)
def test_other_steps_are_no_better_for_it(steps: bytes) -> None:
    compiled_entry("kernel")
    known = Known()
    check_fast(CLAIM, HEAD + BOTH, "unsat", plain=False, known=known)
    with pytest.raises(RejectedError):
        check_fast(CLAIM, HEAD + steps, "unsat", plain=False, known=known)


def test_another_claim_knows_nothing_of_it() -> None:
    compiled_entry("kernel")
    known = Known()
    check_fast(CLAIM, HEAD + BOTH, "unsat", plain=False, known=known)
    with pytest.raises(RejectedError):
        check_fast(above(Fraction(1, 4)), HEAD + BOTH, "unsat", plain=False, known=known)


def test_what_is_known_lies_no_deeper_than_the_kernel_goes() -> None:
    """As deep as may be where it was closed, too deep inside one region more."""
    compiled_entry("kernel")
    known, deepest = Known(), MOST_NESTED * afresh() + bytes([BOUND] + 17 * [LEAF])
    right = normal_form(over_box(BUMP, 0, 1, Row.of({}, {0: -1}, -Fraction(6, 10)))).regions[0]
    walk = FastWalk(Fast(compiled_entry("kernel"), never, known), CLAIM.network, right, SCALES)
    walk.begin(deepest, 0)
    assert walk.go() == at.DONE and walk.closed().depth == MOST_NESTED
    region = normal_form(CLAIM).regions[0]
    assert any(key[1].cases == region.cases for key in known.closed)
    inside = bytes([LOW, 0]) + HALF + afresh() + deepest + bytes([LEAF])
    with pytest.raises(RejectedError):
        check_fast(CLAIM, HEAD + inside, "unsat", plain=False, known=known)


def walk_of(known: Known, steps: bytes) -> FastWalk:
    walk = FastWalk(Fast(compiled_entry("kernel"), never, known), CLAIM.network, normal_form(CLAIM).regions[0], SCALES)
    walk.begin(steps, 0)
    return walk


def test_a_root_closed_from_outside_is_not_known() -> None:
    known = Known()
    walk = walk_of(known, bytes([LEAF]))
    assert walk.go() == at.OPEN_LEAF
    walk.close()
    assert walk.go() == at.DONE and not known.closed


WEAK = bytes([WEIGHTED, 1, 0, 1, 0, 0])  # the row alone does not do on the whole box


def test_weights_that_fail_leave_the_node_as_it_was() -> None:
    """They are not taken, and what closes the node instead is what is known afterwards."""
    known = Known()
    steps = bytes([TIGHTEN]) + WEAK + bytes([LEAF])
    walk = walk_of(known, steps)
    assert walk.advance() == at.NOT_CLOSED and walk.position == len(steps) - 1
    assert walk.taken == bytes([TIGHTEN]) and not walk.is_closed and walk.open_cases() == [0]
    assert walk.advance() == at.OPEN_LEAF and walk.position == len(steps) - 1
    walk.begin(BOTH, 0)
    while walk.advance() == at.AFRESH_STEP:
        stream = walk.stream()
        walk.take_afresh(stream.data[stream.at : stream.at + len(SCALES) + 2])
        walk.skip(walk.position + len(SCALES) + 3)
    (closed,) = (c for (_, region, _), c in known.closed.items() if region == normal_form(CLAIM).regions[0])
    assert closed.steps == bytes(walk.taken) == bytes([TIGHTEN]) + BOTH and closed.depth == 1
    assert check_fast(CLAIM, HEAD + bytes([TIGHTEN]) + BOTH, "unsat", plain=False).leaves == closed.counts
    with pytest.raises(RejectedError, match="weights do not close"):
        walk_of(known, steps).go()


def test_a_proof_that_is_none_is_not_taken_for_a_part() -> None:
    walk = walk_of(Known(), bytes([LOW, 0]) + 2 * HALF)
    assert walk.advance() == at.AFRESH_STEP
    with pytest.raises(RejectedError):
        walk.take_afresh(b"".join(map(signed, SCALES)) + bytes([LEAF]))
    assert not walk.is_closed


def test_a_closed_node_is_told_from_an_open_one() -> None:
    stream = Stream(HALF)
    walk = walk_of(Known(), bytes([LOW, 0, TIGHTEN, BOUND]) + stream.data + HALF)
    assert walk.advance() == at.AFRESH_STEP and walk.is_closed
