"""Each rule of the kernel at its edge: where one unit, one sign or one strictness more would prove a falsehood."""

from __future__ import annotations

import contextlib
import random
from fractions import Fraction
from itertools import product

import pytest

from tests.kernel.test_check import HAT, at_least, payload
from tests.search.networks import box_rows, compiled_entry, network, numbers, over_box, query_of
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.normal_form import normal_form
from verify.core.payload import MAX_VARINT_BYTES, Stream, signed, varint
from verify.core.query import And, Or, Query, Row
from verify.kernel import Checked, Claim, RejectedError
from verify.kernel import check as reference
from verify.kernel.build import Frame, Plain, Root, _units, plain_row, query_row
from verify.kernel.system import ONE, Bound, Form, Node, P, clip, lower, substitute, tighten
from verify.kernel.walk import (
    AFRESH,
    BOUND,
    CASES,
    CLIP,
    EXACT,
    HIGH,
    LEAF,
    LOW,
    MOST_NESTED,
    PHASES,
    WEIGHTED,
    split_input,
    split_phase,
)
from verify.kernel_fast import RefusedError, check_fast


def check(query: Query, data: bytes, claim: Claim) -> Checked:
    """By the reference; the compiled kernel must accept and reject the same, or refuse."""
    compiled_entry("kernel")
    try:
        found = reference(query, data, claim)
    except RejectedError:
        with pytest.raises((RejectedError, RefusedError)):
            check_fast(query, data, claim, plain=False)
        raise
    with contextlib.suppress(RefusedError):
        assert check_fast(query, data, claim, plain=False).leaves == found.leaves
    return found


LINE = network(1, ([(0, [[1]])], [0], False))  # y = x
RELU = network(1, ([(0, [[1]])], [0], True), ([(1, [[1]])], [0], False))


def node(forms: dict[int, Form], bounds: dict[int, tuple[int, int]], rows: dict[int, Form] | None = None) -> Node:
    low, high = ({j: ends[k] for j, ends in bounds.items()} for k in (0, 1))
    return Node(forms, rows or {}, [0], [ONE], low, high, (0,))


def test_a_variable_is_never_replaced_by_more_than_it_is() -> None:
    """At both ends of its range and at its kink, to the last unit; ζ = s - 1/2."""
    rng, half = random.Random(5), ONE >> 1
    for _ in range(4000):
        low, high = sorted((rng.randint(-6, 6), rng.randint(-6, 6)))
        part = node({0: Form({0: ONE}, {}, -half, 0)}, {0: (low, high)})
        t, sign = rng.choice((rng.randint(-9, 9), rng.randint(-7 * ONE, 7 * ONE))), rng.choice((1, -1))
        slope, beta = rng.choice((0, 1, 100, 255, 256)), rng.choice((0, 0, 3, 2 * ONE))
        hints = rng.choice((({}, {}), ({0: slope}, {0: beta}), ({}, {0: beta})))
        bound = lower(part, Form({}, {0: t}, 0, 0), sign, *hints)
        for zeta in {low, high, min(max(0, low), high)}:
            value = bound.constant * ONE + bound.form.get(0, 0) * (zeta + half)
            assert value <= sign * t * max(zeta, 0), (low, high, t, sign, hints)
        assert bound.least <= bound.constant + min(bound.form.get(0, 0), 0)


def test_a_stable_variable_may_be_pulled_by_any_multiplier() -> None:
    for bounds, expected in (((0, 5), 3 * ONE), ((-5, 0), ONE)):  # t - β and β
        part = node({0: Form({0: ONE}, {}, 0, 0)}, {0: bounds})
        t = 4 * ONE
        assert lower(part, Form({}, {0: t}, 0, 0), 1, {}, {0: ONE}).form[0] == expected
        assert lower(part, Form({}, {}, 0, 0), 1, {}, {0: ONE}).form[0] in (-ONE, ONE)


def test_one_point_is_not_nothing() -> None:
    part = node({0: Form({}, {}, -2, 0)}, {0: (-5, 9)})
    assert tighten(part) and (part.low[0], part.high[0]) == (-2, -2)
    assert not tighten(node({0: Form({}, {}, -2, 0)}, {0: (-1, 9)}))
    part = node({0: Form({}, {}, 7, 0)}, {0: (-5, 9)})
    assert tighten(part) and (part.low[0], part.high[0]) == (7, 9)


@pytest.mark.parametrize("sign", [1, -1])
def test_clipping_keeps_the_face(sign: int) -> None:
    def clipped(constant: int) -> tuple[bool, int, int]:
        part = node({}, {})
        part.box_low, part.box_high = [3], [10]
        holds = clip(part, [Bound({0: sign * ONE}, constant, 0)])
        return holds, part.box_low[0], part.box_high[0]

    if sign > 0:
        assert clipped(-3) == (True, 3, 3) and clipped(-5) == (True, 3, 5) and not clipped(-2)[0]
    else:
        assert clipped(10) == (True, 10, 10) and clipped(7) == (True, 7, 10) and not clipped(11)[0]


def test_clipping_with_several_inputs_leaves_the_others_their_best() -> None:
    """s_0 - 2 s_1 + 1 <= 0 over 0 <= s <= 1: s_0 is free, s_1 >= 1/2."""
    part = Node({}, {}, [0, 0], [ONE, ONE], {}, {}, (0,))
    assert clip(part, [Bound({0: ONE, 1: -2 * ONE}, ONE, 0)])
    assert (part.box_low, part.box_high) == ([0, ONE >> 1], [ONE, ONE])


def test_phases_are_told_apart_at_zero() -> None:
    forms = {j: Form({0: j + 1}, {}, 10 * j, 0) for j in range(5)}
    bounds = {0: (0, 1), 1: (-1, 0), 2: (-1, 1), 3: (0, 0), 4: (-1, 1)}
    part = node(forms, bounds, {0: Form({}, {0: ONE, 1: ONE, 2: ONE, 3: ONE}, 0, 0), 1: Form({}, {4: ONE}, 0, 0)})
    substitute(part, [0])
    row = part.rows[0]
    assert list(part.variables) == [2] == list(part.low) == list(part.high) and list(part.rows) == [0]
    assert row.r == {2: ONE} and row.s == {0: 1} and row.constant == 0


def test_splits_share_their_edge() -> None:
    part = node({0: Form({0: ONE}, {}, 0, 0)}, {0: (-4, 4)})
    inactive, active = split_phase(part, 0)
    assert (inactive.low[0], inactive.high[0], active.low[0], active.high[0]) == (-4, 0, 0, 4)
    low, high = split_input(part, 0)
    assert (low.box_low, low.box_high, high.box_low, high.box_high) == ([0], [ONE >> 1], [ONE >> 1], [ONE])
    for bounds in ((0, 4), (-4, 0), (1, 4), (-4, -1)):
        with pytest.raises(RejectedError, match="cannot be split"):
            split_phase(node({0: Form({0: ONE}, {}, 0, 0)}, {0: bounds}), 0)
    part.box_high = [1]
    with pytest.raises(RejectedError, match="cannot be split further"):
        split_input(part, 0)
    with pytest.raises(RejectedError, match="no input 1"):
        split_input(part, 1)


SUM = network(2, ([(0, [[1, 1]])], [0], False))


def corner(limit: Fraction | int, *, strict: bool) -> Query:
    """x + y >= limit over [-1, 1]²: at 2 a corner satisfies it, unless strict.  No output, so nothing is rounded."""
    row = Row.of({0: -1, 1: -1}, {}, -Fraction(limit), strict=strict)
    return over_box(SUM, -1, 1, And((Row.of({}, {0: 1}, 9), row)))


TIE = [(BOUND, LEAF), (WEIGHTED, 1, 0, 0, 1, 0, 0, LEAF), (EXACT, 0, 0, 1, LEAF)]


@pytest.mark.parametrize("steps", TIE)
def test_a_tie_closes_only_a_strict_row(steps: tuple[int, ...]) -> None:
    data, little = payload(*steps, scales=(2, 4, 2)), Fraction(1, 2**30)
    for true in (corner(2, strict=True), corner(2 + little, strict=False)):
        if steps[0] == WEIGHTED and true.violation == corner(2, strict=True).violation:
            continue  # sums of rows count two units for rounding
        assert sum(check(true, data, "unsat").leaves.values()) == 1
    for false in (corner(2, strict=False), corner(2 - little, strict=True)):
        with pytest.raises(RejectedError):
            check(false, data, "unsat")


def first_closed(*rows: bool, weights: tuple[int, ...]) -> int:
    """By how many units x + y >= 2 must be out of reach until such weights close it; `rows`: strict or not."""
    for units in range(20):
        limit = 2 + units * Fraction(4, ONE)
        made = [Row.of({0: -1, 1: -1}, {}, (-limit, Fraction(2))[k], strict=strict) for k, strict in enumerate(rows)]
        query = over_box(SUM, -1, 1, And((Row.of({}, {0: 1}, 9), *made)))
        try:
            check(query, payload(WEIGHTED, 1, 0, 0, *weights, 0, 0, LEAF, scales=(2, 4, *(2 for _ in rows))), "unsat")
        except RejectedError:
            continue
        return units
    raise AssertionError


def test_strictness_is_worth_one_unit_where_it_has_weight() -> None:
    for count, weights in ((1, (1,)), (2, (1, 0))):
        units = first_closed(*[False] * count, weights=weights)
        assert first_closed(*[True] * count, weights=weights) == units - 1 > 0
    assert first_closed(False, True, weights=(1, 0)) == units
    assert first_closed(True, False, weights=(1, 0)) == units - 1


@pytest.mark.parametrize("gamma", [(1, 0), (2, 0), (1, 1), (0, 1), (3, 1)])
@pytest.mark.parametrize("first", [WEIGHTED, EXACT])
def test_a_strict_row_without_weight_counts_for_nothing(gamma: tuple[int, int], first: int) -> None:
    """x + y >= 2 and x + y > -2 hold at a corner."""
    rows = (Row.of({0: -1, 1: -1}, {}, -2), Row.of({0: -1, 1: -1}, {}, 2, strict=True), Row.of({}, {0: 1}, 9))
    query = over_box(SUM, -1, 1, And(rows))
    weights = (0, *gamma)
    steps = (WEIGHTED, 1, 0, *weights, 0, 0, LEAF) if first == WEIGHTED else (EXACT, 0, *weights, LEAF)
    with pytest.raises(RejectedError, match="close"):
        check(query, payload(*steps, scales=(2, 4, 2, 2)), "unsat")


def test_weights_name_every_open_case_once() -> None:
    """x >= 2 or x >= -2: the second case holds everywhere."""
    query = over_box(LINE, -1, 1, Or((Row.of({}, {0: -1}, -2), Row.of({}, {0: -1}, 2))))
    one = (0, 1, 0, 0)
    second = (1, 1, 0, 0)
    for steps in ((1, *one), (2, *one, *one), (2, *one, 2, 1, 0, 0), (2, *one, *second), (2, *second, *one)):
        with pytest.raises(RejectedError):
            check(query, payload(WEIGHTED, *steps, LEAF, scales=(2, 2, 2)), "unsat")
    both = over_box(LINE, -1, 1, Or((Row.of({}, {0: -1}, -2), Row.of({}, {0: 1}, -2))))
    right = payload(WEIGHTED, 2, *one, 1, 1, 0, 0, LEAF, scales=(2, 2, 2))
    assert check(both, right, "unsat").leaves == {"weighted": 1}
    for steps in ((2, *one, *one), (3, *one, 1, 1, 0, 0, *one)):
        with pytest.raises(RejectedError, match="not the next open one"):
            check(both, payload(WEIGHTED, *steps, LEAF, scales=(2, 2, 2)), "unsat")


@pytest.mark.parametrize(
    "steps",
    [
        (CASES, 2, LEAF, LEAF),
        (PHASES, 0, LEAF, LEAF),
        (LOW, 0, LEAF, LEAF),
        (HIGH, 7, LEAF, LEAF),
        (WEIGHTED, 1, 0, 1, 1, 0, 0, 1, 0, 9, LEAF),
        (WEIGHTED, 3, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, LEAF),
        (CLIP, BOUND, LEAF),
    ],
)
def test_steps_behind_a_closed_node_are_read_and_change_nothing(steps: tuple[int, ...]) -> None:
    """But count: none may be missing, and none may be left."""
    query = at_least(Fraction(21, 10))
    assert set(check(query, payload(BOUND, *steps), "unsat").leaves) <= {"bound", "weighted"}
    for wrong in (steps[:-1], (*steps, LEAF)):
        with pytest.raises(RejectedError):
            check(query, payload(BOUND, *wrong), "unsat")


def test_exact_leaves_look_at_their_own_half() -> None:
    """2.5 <= |x| <= 2.75 over [1, 3] has solutions in the upper half alone."""
    rows = And((Row.of({}, {0: -1}, Fraction(-5, 2)), Row.of({}, {0: 1}, Fraction(11, 4))))
    query = over_box(HAT, 1, 3, rows)
    for gamma in product(range(3), repeat=2):
        steps = (LOW, 0, EXACT, 0, 1, 0, LEAF, EXACT, 0, *gamma, LEAF)
        with pytest.raises(RejectedError):
            check(query, payload(*steps, scales=(2, 3, 3, 3)), "unsat")
    above = over_box(HAT, 1, 3, Row.of({}, {0: -1}, -3, strict=True))
    halves = payload(LOW, 0, EXACT, 0, 1, LEAF, EXACT, 0, 1, LEAF, scales=(2, 3, 3))
    assert check(above, halves, "unsat").leaves == {"exact": 2}


def test_both_phases_of_an_exact_split_hold_at_its_kink() -> None:
    """relu(x) <= 0 over [0, 1] and over [-1, 1]: x = 0, which lies in both phases."""
    for low, gamma in product((0, -1), product(range(3), repeat=2)):
        query = over_box(RELU, low, 1, Row.of({}, {0: 1}, 0))
        with pytest.raises(RejectedError, match=r"close|all multipliers"):
            check(query, payload(EXACT, 1, 0, 0, 0, *gamma, 0, *gamma, LEAF, scales=(1, 2, 2)), "unsat")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_phase_that_the_box_leaves_open_is_not_guessed(sign: int) -> None:
    """y = relu(±x) over [-1, 1]: y >= 1/2 and y + x >= 1/2 (y - x) have solutions; y <= -1/2 has none, unseen here."""
    net = network(1, ([(0, [[sign]])], [0], True), ([(1, [[1]])], [0], False))
    half = Fraction(1, 2)
    for row in (Row.of({}, {0: -1}, -half), Row.of({0: sign}, {0: -1}, -half), Row.of({}, {0: 1}, -half)):
        with pytest.raises(RejectedError):
            check(over_box(net, -1, 1, row), payload(EXACT, 0, 1, LEAF, scales=(1, 2, 2)), "unsat")
    known = over_box(net, *((0, 1) if sign > 0 else (-1, 0)), Row.of({0: -sign}, {0: 1}, -Fraction(1, 9)))
    assert check(known, payload(EXACT, 0, 1, LEAF, scales=(1, 2, 2)), "unsat").leaves == {"exact": 1}


def test_a_phase_is_open_by_the_least_of_steps() -> None:
    """y = relu(a - b) over [0, 1]^2 rises and falls by one, in whole numbers: y >= 1/2 has solutions."""
    net = network(2, ([(0, [[1, -1]])], [0], True), ([(1, [[1]])], [0], False))
    for rows in ([Row.of({}, {0: -1}, Fraction(-1, 2))], [Row.of({0: 1}, {0: -1}, 0), Row.of({1: 1}, {0: -1}, 0)]):
        query = over_box(net, 0, 1, And(tuple(rows)))
        for gamma in product(range(3), repeat=len(rows)):
            with pytest.raises(RejectedError):
                check(query, payload(EXACT, 0, *gamma, LEAF, scales=(2, 3, 3, 3)[: 2 + len(rows)]), "unsat")


def test_variables_that_matter_by_one_unit_are_kept() -> None:
    """ρ_1 of a row is at most one unit, and its own row is made of ρ_0: neither may be forgotten."""
    forms = {0: Form({0: ONE}, {}, -(ONE >> 1), 0), 1: Form({}, {0: 2 * ONE}, -ONE, 0)}
    part = node(forms, {0: (-(ONE >> 1), ONE >> 1), 1: (-ONE, 1)}, {0: Form({}, {1: ONE}, 0, 0)})
    substitute(part, [0])
    assert list(part.variables) == [0, 1]


def test_clipping_takes_the_least_to_the_last_unit() -> None:
    """One unit of s_0, however little that is, is least at 0: s_1 is cut at its half, not a unit below."""
    part = Node({}, {}, [0, 0], [ONE, ONE], {}, {}, (0,))
    assert clip(part, [Bound({0: 1, 1: ONE}, -(ONE >> 1), 0)]) and part.box_high == [ONE, ONE >> 1]


def test_an_exact_split_uses_its_phases() -> None:
    """relu(x) <= x/2 - 1/4 has no solution: each phase shows it, neither without its own side of the kink."""
    query = over_box(RELU, -1, 1, Row.of({0: Fraction(-1, 2)}, {0: 1}, Fraction(-1, 4)))
    assert check(query, payload(EXACT, 1, 0, 0, 0, 1, 2, 0, 1, 2, LEAF, scales=(1, 2, 2)), "unsat").leaves
    for wrong in ((0, 0, 1, 0, 1, 2), (0, 1, 0, 0, 1, 2)):
        with pytest.raises(RejectedError, match="do not close"):
            check(query, payload(EXACT, 1, 0, 0, *wrong, LEAF, scales=(1, 2, 2)), "unsat")
    with pytest.raises(RejectedError, match="no ReLU"):
        check(query, payload(EXACT, 1, 0, 1, 0, 1, 2, 0, 1, 2, LEAF, scales=(1, 2, 2)), "unsat")
    with pytest.raises(RejectedError, match="no ReLU"):
        check(query, payload(EXACT, 1, 2, 0, 0, 1, 2, 0, 1, 2, LEAF, scales=(1, 2, 2)), "unsat")
    with pytest.raises(RejectedError, match="exact leaf: unknown opcode 2"):
        check(query, payload(EXACT, 2, LEAF, scales=(1, 2, 2)), "unsat")


@pytest.mark.parametrize("sign", [1, -1])
def test_a_scale_too_small_for_either_sign_is_refused(sign: int) -> None:
    net = network(1, ([(0, [[1]])], [sign * 3], False), ([(1, [[1]])], [0], False))  # y = x ± 3
    query = over_box(net, -1, 1, Row.of({}, {0: -1}, -9))
    assert check(query, payload(BOUND, LEAF, scales=(2, 2, 4)), "unsat").leaves == {"bound": 1}
    with pytest.raises(RejectedError, match="scale of block 0 is too small"):
        check(query, payload(BOUND, LEAF, scales=(1, 2, 4)), "unsat")


def test_units_round_down_and_say_so() -> None:
    rng = random.Random(3)
    for _ in range(2000):
        numerator, denominator = rng.randint(-(1 << 60), 1 << 60), rng.randint(1, 1 << rng.choice((1, 30, 60)))
        shift = rng.choice((0, -P, P, -1, 1, rng.randint(-120, 60)))
        exact = Fraction(numerator, denominator) * Fraction(2) ** (shift + P)
        units, off = _units(numerator, denominator, shift)
        assert units <= exact < units + 1 and off == (units != exact)


def test_numbers_are_read_as_they_were_written() -> None:
    for number in (0, 1, -1, 2, -2, 63, -64, 64, 127, 128, -128, 300, -300, 1 << 40, -(1 << 40)):
        stream = Stream(signed(number))
        assert stream.signed() == number
        stream.finish()
        assert Stream(varint(abs(number))).varint() == abs(number)
    assert Stream(varint((1 << 7 * MAX_VARINT_BYTES) - 1)).varint() == (1 << 7 * MAX_VARINT_BYTES) - 1
    with pytest.raises(RejectedError, match="too long"):
        Stream(b"\x80" * (MAX_VARINT_BYTES + 2) + b"\x01").varint()
    with pytest.raises(RejectedError, match="3 bytes are left"):
        Stream(b"abc").finish()


def test_an_unknown_claim_is_refused() -> None:
    with pytest.raises(RejectedError, match="unknown claim"):
        check(at_least(3), payload(BOUND, LEAF), "sat")  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", [(BOUND, LEAF), (EXACT, 0, 1, LEAF)])
def test_ports_are_not_mixed_up(steps: tuple[int, ...]) -> None:
    """a in [0, 1], b in [2, 3] x [5, 7]; outputs y = a + 10 b_1 and b itself."""
    rows = (Term(0, Matrix.dense(1, 1, numbers([1]))), Term(1, Matrix.dense(1, 2, numbers([0, 10]))))
    block = Block(rows, numbers([0]), bytes([False]))
    ports = (Port("a", (1, 1), 0), Port("b", (1, 2), 1))
    net = Network(ports, (Port("y", (1, 1), 2), ports[1]), (block,))
    box = And(box_rows([Fraction(0), Fraction(2), Fraction(5)], [Fraction(1), Fraction(3), Fraction(7)]))

    def holds(output: int, sign: int, limit: Fraction) -> bool:
        """That sign · output < sign · limit everywhere, whatever the payload can show."""
        query = query_of(net, box, Row.of({}, {output: -sign}, -sign * limit))
        try:
            return bool(check(query, payload(*steps, scales=(7, 7)), "unsat").leaves)
        except RejectedError:
            return False

    little = Fraction(1, 1 << 20)
    for output, low, high in ((0, 50, 71), (1, 2, 3), (2, 5, 7)):
        assert holds(output, 1, high + little) and not holds(output, 1, high - little)
        assert holds(output, -1, low - little) and not holds(output, -1, low + little)


def test_exact_rows_are_exact() -> None:
    """Weights that are multiples of 2^-P in their scales are taken as they are, and nothing is charged."""
    query = over_box(HAT, -1, 1, Row.of({0: 3}, {0: Fraction(1, 2)}, Fraction(1, 4)))
    region = normal_form(query).regions[0]
    frame = Frame(query.network, region, [1, 2, 3])
    assert plain_row(frame, HAT.blocks[0], 1, 1) == Plain({0: -ONE}, {}, ONE >> 1, 0)  # -x = 1 - 2 s, halved
    assert plain_row(frame, HAT.blocks[1], 0, 2) == Plain({}, {(0, 0): ONE >> 1, (0, 1): ONE >> 1}, 0, 0)
    row = query_row(frame, query.violation, 3)  # type: ignore[arg-type]
    assert row == Plain({0: 6 * ONE >> 3}, {(1, 0): ONE >> 2}, -13 * (ONE >> 5), 0)
    third = query_row(frame, Row.of({0: Fraction(1, 3)}, {0: Fraction(1, 3)}, Fraction(1, 3)), 3)
    assert third.error == 3 and third.values == {(1, 0): ONE // 6}


@pytest.mark.parametrize("scale", [9999, -9999])
def test_absurd_scales_are_refused(scale: int) -> None:
    for place in range(3):
        scales = [1, 2, 2]
        scales[place] = scale
        with pytest.raises(RejectedError, match="out of range"):
            check(at_least(3), payload(BOUND, LEAF, scales=(*scales,)), "unsat")


@pytest.mark.parametrize("size", [Fraction(1, 1000), Fraction(1, 2), 1, 7])
@pytest.mark.parametrize("sign", [1, -1])
def test_exact_leaves_look_at_the_right_end(size: Fraction, sign: int) -> None:
    """size · x <= size / 4 over [0, 1], and its mirror image, have solutions; <= -size / 1000 has none."""
    low, high = (0, 1) if sign > 0 else (-1, 0)
    data = payload(EXACT, 0, 1, LEAF, scales=(1, 4))
    with pytest.raises(RejectedError, match="do not close"):
        check(over_box(LINE, low, high, Row.of({}, {0: sign * size}, size / Fraction(4))), data, "unsat")
    assert check(over_box(LINE, low, high, Row.of({}, {0: sign * size}, -size / Fraction(1000))), data, "unsat").leaves


def test_intervals_of_rows_take_the_right_end_to_the_last_unit() -> None:
    query = over_box(LINE, -1, 1, Row.of({}, {0: 1}, 0))
    region = normal_form(query).regions[0]
    root = Root(query.network, region, [query.violation], [0, 1])  # type: ignore[list-item]
    assert root.range_of((0, 0)) == (-ONE, ONE)
    for w in (1, 2, 5, ONE):
        assert root._least(Plain({}, {(0, 0): w}, 0, 0), 1) == root._least(Plain({}, {(0, 0): -w}, 0, 0), 1) == -w
        assert root._least(Plain({0: w}, {}, 3, 2), 1) == 1 and root._least(Plain({0: -w}, {}, 3, 2), 1) == 1 - w


def test_rows_are_composed_to_the_last_unit() -> None:
    """relu(x) and relu(-x) over [-1, 1] are one variable: r and r - x."""
    query = over_box(HAT, -1, 1, Row.of({}, {0: 1}, 0))
    root = Root(query.network, normal_form(query).regions[0], [query.violation], [1, 2, 2])  # type: ignore[list-item]
    assert root.compose(Plain({0: 3}, {(0, 0): 5}, 7, 0)) == Form({0: 3}, {0: 5}, 7, 0)
    twin = root.compose(Plain({}, {(0, 1): ONE}, 0, 0))
    assert twin.r == {0: ONE} and twin.s == {0: -ONE} and twin.constant == ONE >> 1
    both = root.compose(Plain({}, {(0, 0): ONE, (0, 1): 3 * ONE}, 0, 0))
    assert both.r == {0: 4 * ONE} and both.s == {0: -3 * ONE}
    for high, expected in ((1, {0: 5}), (0, {})):
        root.high[0][0] = high
        assert root.compose(Plain({}, {(0, 0): 5}, 0, 0)).r == expected  # a value is zero from high = 0 on


SCALES, SCALES_OF_BUMP = (b"".join(map(signed, scales)) for scales in ((1, 2, 2), (1, 2, 3)))


def test_a_region_afresh_is_the_box_of_its_node() -> None:
    """relu(x + 1/2) - 2 relu(x), at most 1/2: halves close, each by a proof of its own; the whole does not."""
    net = network(1, ([(0, [[1], [1]])], [Fraction(1, 2), 0], True), ([(1, [[1, -2]])], [0], False))
    scales, part = (1, 2, 3), (AFRESH, *SCALES_OF_BUMP, BOUND, LEAF, LEAF)

    def proof(bound: Fraction, *steps: int) -> dict[str, int]:
        query = over_box(net, -1, 1, Row.of({}, {0: -1}, -bound))
        return check(query, payload(*steps, scales=scales), "unsat").leaves

    above = Fraction(6, 10)
    assert proof(above, LOW, 0, *part, *part) == proof(above, HIGH, 0, *part, *part) == {"bound": 2, "afresh": 2}
    for bound, steps in (
        (above, part),
        (above, (LOW, 0, *part, LEAF)),
        (above, (LOW, 0, LEAF, *part)),
        (Fraction(1, 2), (LOW, 0, *part, *part)),  # has a solution where the halves meet
        (Fraction(1, 4), (LOW, 0, *part, *part)),
    ):
        with pytest.raises(RejectedError, match="still open"):
            proof(bound, *steps)


def test_a_region_afresh_has_scales_that_its_box_fits() -> None:
    small = b"".join(map(signed, (-1, 2, 2)))  # |x| <= 1/2
    steps = (AFRESH, *small, BOUND, LEAF, LEAF)
    with pytest.raises(RejectedError, match="scale of block 0"):
        check(at_least(Fraction(11, 10)), payload(LOW, 0, *steps, *steps), "unsat")


def test_a_region_afresh_has_the_open_cases() -> None:
    """x >= 2 or x >= -2: the second case stays open, and is the first one afresh; x >= 2 or -x >= 2: neither."""
    scales = b"".join(map(signed, (2, 2, 2)))
    one_left = (BOUND, AFRESH, *scales[:2], WEIGHTED, 1, 0, 1, 0, 0, LEAF, LEAF)
    both = (AFRESH, *scales, WEIGHTED, 2, 0, 1, 0, 0, 1, 1, 0, 0, LEAF, LEAF)
    query = over_box(LINE, -1, 1, Or((Row.of({}, {0: -1}, -2), Row.of({}, {0: -1}, 2))))
    for steps in (one_left, both):
        with pytest.raises(RejectedError, match="do not close"):
            check(query, payload(*steps, scales=(2, 2, 2)), "unsat")
    both_closed = over_box(LINE, -1, 1, Or((Row.of({}, {0: -1}, -2), Row.of({}, {0: 1}, -2))))
    assert check(both_closed, payload(*both, scales=(2, 2, 2)), "unsat").leaves == {"weighted": 1, "afresh": 1}


def test_regions_afresh_are_where_something_is_open_and_not_too_deep() -> None:
    query = at_least(Fraction(21, 10))
    with pytest.raises(RejectedError, match="nothing is open"):
        check(query, payload(BOUND, AFRESH, *SCALES, BOUND, LEAF, LEAF), "unsat")
    for depth in (1, MOST_NESTED):
        steps = (AFRESH, *SCALES) * depth + (BOUND,) + (LEAF,) * (depth + 1)
        assert check(query, payload(*steps), "unsat").leaves == {"bound": 1, "afresh": depth}
    steps = (AFRESH, *SCALES) * (MOST_NESTED + 1) + (BOUND,) + (LEAF,) * (MOST_NESTED + 2)
    with pytest.raises(RejectedError, match="inside one another"):
        check(query, payload(*steps), "unsat")
