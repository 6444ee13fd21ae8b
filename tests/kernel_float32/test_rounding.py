"""The error law: no order of float32 evaluation is further from the exact network than the kernel says."""

from __future__ import annotations

import copy
import random
from array import array
from collections.abc import Sequence
from fractions import Fraction

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject, SearchStrategy

from tests.strategies import integer_weights, networks
from verify.core.evaluate import evaluate
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.program import Program
from verify.core.query import Affine
from verify.kernel import RejectedError
from verify.kernel_float32.rounding import (
    ACTIVE,
    INACTIVE,
    MAX_SYMBOLS,
    ONE,
    UNSTABLE,
    Live,
    Rounding,
    Spread,
    Value,
    Weights,
    _local,
    _relax,
    product,
)
from verify.replay import round_to

TINY, HUGE = 2.0**-149, 2.0**70
ordinary = st.floats(-8, 8, width=32)
extreme = st.one_of(
    ordinary,
    st.sampled_from([TINY, -TINY, 2.0**-126, 1.1754942e-38, 1e-30, HUGE, -HUGE, 1.0, -1.0, 16777215.0, 1 / 3, -1 / 3]),
).map(lambda v: round_to(Fraction(v), "float32"))
weights = st.sampled_from([ordinary, extreme, integer_weights])


def program_of(network: Network) -> Program:
    """Every row a sum of products in any order; a copy of one value is exact."""
    counts = []
    for block in network.blocks:
        own = []
        for row in range(block.size):
            entries = [w for term in block.terms for _, w in term.matrix.entries(row)]
            exact = not block.bias[row] and entries in ([], [1], [-1])
            own.append(0 if exact else len(entries) + 1)
        counts.append(array("q", own))
    return Program(network, tuple(counts), tuple(counts))


def rounded(value: Fraction) -> Fraction:
    return Fraction(round_to(value, "float32"))


class Evaluation:
    """float32, in orders that the data choose: products and sums rounded, fused, or summed in higher precision."""

    def __init__(self, data: DataObject) -> None:
        self.data = data

    def run(self, network: Network, x: Sequence[Fraction]) -> list[Fraction]:
        values, position = [], 0
        for port in network.inputs:
            values.append([rounded(v) for v in x[position : position + port.size]])
            position += port.size
        for block in network.blocks:
            z = [self.row(block, row, values) for row in range(block.size)]
            values.append([max(v, Fraction(0)) if relu else v for v, relu in zip(z, block.relu, strict=True)])
        return [v for port in network.outputs for v in values[port.value]]

    def row(self, block: Block, row: int, values: Sequence[Sequence[Fraction]]) -> Fraction:
        products = [(w, values[t.source][k]) for t in block.terms for k, w in t.matrix.entries(row)]
        way = self.data.draw(st.sampled_from(["separate", "fused", "wide", "tree"]))
        products = self.data.draw(st.permutations(products))
        bias_at = self.data.draw(st.integers(0, len(products)))
        if way == "wide":
            return rounded(sum((w * v for w, v in products), block.bias[row]))
        if way == "tree":
            return self.tree([rounded(w * v) for w, v in products] + [block.bias[row]])
        total = Fraction(0)
        for place, (w, v) in enumerate(products):
            if place == bias_at:
                total = rounded(total + block.bias[row])
            total = rounded(total + (w * v if way == "fused" else rounded(w * v)))
        return rounded(total + block.bias[row]) if bias_at == len(products) else total

    def tree(self, pool: list[Fraction]) -> Fraction:
        while len(pool) > 1:
            a, b = self.data.draw(st.lists(st.integers(0, len(pool) - 1), min_size=2, max_size=2, unique=True))
            total = rounded(pool[a] + pool[b])
            pool = [v for k, v in enumerate(pool) if k not in (a, b)] + [total]
        return pool[0]


def spread_over(network: Network, low: Sequence[Fraction], high: Sequence[Fraction]) -> Spread:
    inputs = [Affine(((i, (b - a) / 2),), (a + b) / 2) for i, (a, b) in enumerate(zip(low, high, strict=True))]
    return Spread(Rounding(program_of(network)), inputs, len(inputs))


class Watched(Spread):
    """Keeps what is known of each block, before and behind its ReLUs."""

    def __init__(self, network: Network, low: Sequence[Fraction], high: Sequence[Fraction]) -> None:
        self.before: list[Value] = []
        self.behind: list[Value] = []
        inputs = [Affine(((i, (b - a) / 2),), (a + b) / 2) for i, (a, b) in enumerate(zip(low, high, strict=True))]
        super().__init__(Rounding(program_of(network)), inputs, len(inputs))

    def _summed(self, number: int, values: Sequence[Value]) -> Value:
        self.before.append(copy.deepcopy(super()._summed(number, values)))
        return copy.deepcopy(self.before[-1])

    def _rectified(self, number: int, z: Value) -> Value:
        self.behind.append(super()._rectified(number, z))
        return self.behind[-1]


def disturbed(
    network: Network, x: Sequence[Fraction], local: Sequence[Sequence[Fraction]]
) -> tuple[list[list[Fraction]], list[list[Fraction]]]:
    """Every value, inputs first, and each block's sums before its ReLUs, with so much added to every sum."""
    values, sums, position = list[list[Fraction]](), list[list[Fraction]](), 0
    for port in network.inputs:
        values.append(list(x[position : position + port.size]))
        position += port.size
    for block, more in zip(network.blocks, local, strict=True):
        z = [block.bias[row] + extra for row, extra in enumerate(more)]
        for term in block.terms:
            for row in range(block.size):
                z[row] += sum((w * values[term.source][k] for k, w in term.matrix.entries(row)), Fraction(0))
        sums.append(z)
        values.append([max(v, Fraction(0)) if relu else v for v, relu in zip(z, block.relu, strict=True)])
    return values, sums


def check_known(known: Value, exact: Sequence[Fraction], found: Sequence[Fraction], s: Sequence[Fraction]) -> None:
    for i, (v, other) in enumerate(zip(exact, found, strict=True)):
        assert known.low[i] <= v * ONE <= known.high[i] and abs(other - v) * ONE <= known.off[i]
        if known.slopes is not None:
            form = sum((own[i] * t for own, t in zip(known.slopes, s, strict=True)), Fraction(known.centre[i]))
            assert abs(v * ONE - form) <= known.error[i]


@given(st.data(), weights, st.integers(0, 10**9))
@settings(max_examples=100)
def test_what_is_known_of_values_holds_however_sums_are_disturbed(
    data: DataObject, kind: SearchStrategy[float], seed: int
) -> None:
    """By as much as each row's own rounding may be, up or down: ranges, forms, distances, phases, rows of outputs."""
    network, rng = data.draw(networks(weights=kind, max_relus=6)), random.Random(seed)
    quarters = [sorted((rng.randint(-8, 8), rng.randint(-8, 8))) for _ in range(network.input_size)]
    low, high = ([Fraction(side[k], 4) for side in quarters] for k in (0, 1))
    try:
        spread = Watched(network, low, high)
    except RejectedError:
        assume(False)
    zeros = [[Fraction(0)] * block.size for block in network.blocks]
    outputs = [Fraction(rng.randint(-2, 2)) for _ in range(network.output_size)]
    first, places = len(network.inputs), [(port.value, e) for port in network.outputs for e in range(port.size)]
    for _ in range(4):
        s = [Fraction(rng.choice((-3, 3, 0, 1)), 3) for _ in low]
        x = [(a + b) / 2 + (b - a) / 2 * t for a, b, t in zip(low, high, s, strict=True)]
        moved = [v + rng.choice((-1, 1)) * Fraction(off, ONE) for v, off in zip(x, spread.input_off, strict=True)]
        local = [[rng.choice((-1, 1)) * Fraction(e, ONE) for e in row] for row in spread.local]
        (exact, before), (found, sums) = disturbed(network, x, zeros), disturbed(network, moved, local)
        for number, (block, phases) in enumerate(zip(network.blocks, spread.phases, strict=True)):
            check_known(spread.before[number], before[number], sums[number], s)
            check_known(spread.behind[number], exact[first + number], found[first + number], s)
            for relu, phase, *ends in zip(block.relu, phases, before[number], sums[number], strict=True):
                assert not relu or phase == UNSTABLE or (min(ends) >= 0 if phase == ACTIVE else max(ends) <= 0)
        off = sum((c * (found[v][e] - exact[v][e]) for c, (v, e) in zip(outputs, places, strict=True)), Fraction(0))
        assert abs(off) * ONE <= spread.error(outputs)[0]


@given(st.data(), weights)
@settings(max_examples=300)
def test_no_evaluation_is_further_off_than_the_bound(data: DataObject, kind: SearchStrategy[float]) -> None:
    network = data.draw(networks(weights=kind, max_relus=6))
    scale = data.draw(st.sampled_from([Fraction(1), Fraction(1, 2**140), Fraction(2**20)]))
    ends = st.fractions(-2, 2, max_denominator=7)
    sides = [sorted((data.draw(ends) * scale, data.draw(ends) * scale)) for _ in range(network.input_size)]
    low, high = [s[0] for s in sides], [s[1] for s in sides]
    outputs = data.draw(
        st.lists(st.integers(-2, 2).map(Fraction), min_size=network.output_size, max_size=network.output_size)
    )
    try:
        spread = spread_over(network, low, high)
    except RejectedError:
        assume(False)
    units, _ = spread.error(outputs)
    for share in (Fraction(0), Fraction(1), Fraction(1, 3)):
        x = [a + (b - a) * share for a, b in zip(low, high, strict=True)]
        exact, found = evaluate(network, x), Evaluation(data).run(network, x)
        assert abs(sum(c * (a - b) for c, a, b in zip(outputs, found, exact, strict=True))) * ONE <= units


def chain(*layers: tuple[list[list[float]], list[float], bool]) -> Network:
    blocks, width = [], len(layers[0][0][0])
    inputs = (Port("x", (width,), 0),)
    for number, (rows, bias, relu) in enumerate(layers):
        flat = Numbers.of_floats([v for row in rows for v in row])
        matrix = Matrix.dense(len(rows), len(rows[0]), flat)
        blocks.append(Block((Term(number, matrix),), Numbers.of_floats(bias), bytes([relu] * len(rows))))
    return Network(inputs, (Port("y", (len(layers[-1][1]),), len(layers)),), tuple(blocks))


def test_one_product_costs_one_rounding_of_it_and_one_of_the_input() -> None:
    network = chain(([[3.0]], [0.0], False))
    units, slopes = spread_over(network, [Fraction(1)], [Fraction(1)]).error([Fraction(1)])
    least = 3 * Fraction(2, 2**24) + 3 * Fraction(1, 2**24)  # γ_2 · 3 and 3 · u · 1
    assert least <= Fraction(units, ONE) <= least * Fraction(1001, 1000)
    assert slopes == [3 * ONE]


def test_inactive_relus_pass_no_error_on_and_active_ones_all_of_it() -> None:
    network = chain(([[1.0], [1.0], [1.0]], [-4.0, 4.0, 0.0], True), ([[1.0, 1.0, 1.0]], [0.0], False))
    spread = spread_over(network, [Fraction(-1)], [Fraction(1)])
    assert spread.phases[0] == [INACTIVE, ACTIVE, UNSTABLE]
    dead = chain(([[1.0]], [-4.0], True), ([[1e6]], [0.0], False))
    assert spread_over(dead, [Fraction(-1)], [Fraction(1)]).error([Fraction(1)])[0] <= 2  # units, of underflow
    steep = chain(([[2.0**30]], [-(2.0**40)], True), ([[1e6]], [0.0], False))
    assert spread_over(steep, [Fraction(-1)], [Fraction(1)]).error([Fraction(1)])[1] == [0]


def test_a_relu_at_its_kink_is_open_when_rounding_can_decide_it() -> None:
    network = chain(([[3.0]], [-1.0], True), ([[1.0]], [0.0], False))
    spread = spread_over(network, [Fraction(1, 3)], [Fraction(1, 3)])
    assert spread.phases[0] == [UNSTABLE]  # exactly 0, but not in float32
    assert spread.error([Fraction(1)])[0] > 0


@pytest.mark.parametrize("weight", [2.0**101, 2.0**127])
def test_values_that_might_overflow_are_refused(weight: float) -> None:
    with pytest.raises(RejectedError, match="beyond 2\\^100"):
        spread_over(chain(([[weight]], [0.0], False)), [Fraction(1)], [Fraction(1)])
    with pytest.raises(RejectedError, match="inputs may be beyond"):
        spread_over(chain(([[0.0]], [0.0], False)), [Fraction(0)], [Fraction(weight)])


def test_sums_that_cancel_count_by_their_magnitudes() -> None:
    network = chain(([[2.0**90, -(2.0**90)]], [0.0], False))
    half = Fraction(1, 2)
    assert spread_over(network, [half, half], [half, half]).error([Fraction(1)])[0] >= 2**90 // 2**22 * ONE // 2
    big = chain(([[2.0**100, -(2.0**100)]], [0.0], False))
    with pytest.raises(RejectedError):
        spread_over(big, [half + half, half + half], [half + half, half + half])


def test_full_and_sparse_lines_are_told_apart() -> None:
    assert product([([0, 1], [2, 3]), ([1], [5])], [10, 100]) == [320, 500]
    assert product([([1], [5]), ([0, 1], [2, 3])], [10, 100]) == [500, 320]
    assert product([([0, 1], [2, 3])], [10, 100]) == [320] and product([([1], [5])], [10, 100]) == [500]


@given(st.data())
def test_products_without_dead_columns_are_the_same(data: DataObject) -> None:
    numbers = data.draw(st.lists(st.integers(-3, 3).filter(bool), min_size=12, max_size=12))
    w = Weights(Matrix.dense(3, 4, Numbers.of_floats(list(map(float, numbers)))))
    vector = data.draw(st.lists(st.integers(-5, 5), min_size=4, max_size=4))
    live = Live(w.forward, w.forward_absolute, [v != 0 for v in vector])
    rows = [numbers[4 * i : 4 * i + 4] for i in range(3)]
    assert live.times(vector) == [sum(a * b for a, b in zip(r, vector, strict=True)) * w.denominator for r in rows]
    assert live.absolute_times(vector) == [
        sum(abs(a) * b for a, b in zip(r, vector, strict=True)) * w.denominator for r in rows
    ]


def test_roundings_are_numbers_in_range() -> None:
    network = chain(([[1.0]], [0.0], False))
    for bad in (array("q", [-1]), array("q", [1 << 24]), array("q", [1, 1])):
        with pytest.raises(ValueError):
            Program(network, (bad,), (array("q", [0]),))
    plain = Program(network, (array("q", [1]),), (array("q", [1]),))
    assert plain.digest != Program(network, (array("q", [2]),), (array("q", [1]),)).digest
    assert plain.digest != Program(network, (array("q", [1]),), (array("q", [2]),)).digest


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_value_that_might_overflow_is_enough(place: int) -> None:
    """Among several inputs, of one port or another, and among several sums."""
    large = Fraction(2) ** 101
    ends = [large if k == place else Fraction(1) for k in range(3)]
    ports = (Port("a", (2,), 0), Port("b", (1,), 1))
    block = Block((Term(0, Matrix.from_rows(2, [{0: Fraction(1)}])),), Numbers.of([Fraction(0)]), bytes([0]))
    two_ports = Network(ports, (Port("y", (1,), 2),), (block,))
    with pytest.raises(RejectedError, match="inputs may be beyond"):
        spread_over(two_ports, [Fraction(-1)] * 3, ends)
    with pytest.raises(RejectedError, match="inputs may be beyond"):
        spread_over(two_ports, [-v for v in ends], [Fraction(1)] * 3)
    sums = chain(([[2.0**101 if k == place else 1.0] for k in range(3)], [0.0] * 3, False))
    biases = chain(([[1.0]] * 3, [2.0**101 if k == place else 0.0 for k in range(3)], False))
    for net in (sums, biases):
        with pytest.raises(RejectedError, match="step 0 may be beyond"):
            spread_over(net, [Fraction(-1)], [Fraction(1)])


def test_what_is_at_the_limit_counts_with_its_bias_and_its_error() -> None:
    """magnitude + |bias| + error <= 2^100; each part alone, and their sum."""
    half = 2.0**99
    fits = chain(([[half]], [0.0], False))
    spread_over(fits, [Fraction(-1)], [Fraction(1)])
    for weight, bias in ((half, half), (2.0**100, 0.0), (0.0, 2.0**100)):
        with pytest.raises(RejectedError, match="beyond"):  # their rounding is beyond, if they are not
            spread_over(chain(([[weight]], [bias], False)), [Fraction(-1)], [Fraction(1)])


def test_roundings_of_products_and_of_biases_count_by_themselves() -> None:
    u = Fraction(1, 2**24)
    for products, biases in ((3, 0), (0, 3), (2, 5)):
        found = Fraction(_local(products, 7 * ONE, biases, 9 * ONE), ONE)
        exact = products * u / (1 - products * u) * 7 + biases * u / (1 - biases * u) * 9
        assert exact < found <= exact + Fraction(4, ONE)
    assert _local(0, 7 * ONE, 0, 9 * ONE) == 0


def test_an_open_relu_passes_anything_between_nothing_and_all() -> None:
    """a relu(x) + b (x + 2) over [-1, 1] changes with x by a t + b, t in [0, 1]."""
    for a, b, most in ((1, -1, 1), (1, 1, 2), (1, -2, 2), (-1, 1, 1), (-1, -1, 2), (-1, 2, 2), (0, -1, 1)):
        net = chain(([[1.0], [1.0]], [0.0, 2.0], True), ([[float(a), float(b)]], [0.0], False))
        spread = spread_over(net, [Fraction(-1)], [Fraction(1)])
        assert spread.phases[0] == [UNSTABLE, ACTIVE]
        assert spread.error([Fraction(1)])[1] == [most * ONE]
        assert spread.error([Fraction(0)])[1] == [0]


def test_rows_are_bounded_each_by_itself() -> None:
    """Whatever was asked before: rows that are not live for one output are for another."""
    net = chain(([[1.0, 2.0], [3.0, -1.0], [1.0, 1.0]], [4.0, 5.0, 6.0], True), ([[1.0] * 3] * 2, [0.0] * 2, False))
    second = net.blocks[1]
    lines = Matrix.from_rows(3, [{0: Fraction(1)}, {1: Fraction(2), 2: Fraction(-1)}])
    net = Network(net.inputs, net.outputs, (net.blocks[0], Block((Term(1, lines),), second.bias, second.relu)))
    box = ([Fraction(-1)] * 2, [Fraction(1)] * 2)
    asked = ([Fraction(1), Fraction(0)], [Fraction(0), Fraction(1)], [Fraction(1), Fraction(1)])
    alone = [spread_over(net, *box).error(row) for row in asked]
    together = spread_over(net, *box)
    assert [together.error(row) for row in asked] == alone
    assert [together.error(row) for row in reversed(asked)] == alone[::-1]


def test_a_value_that_is_off_counts_with_what_it_may_be() -> None:
    """x1 - x2 is 0, its float32 sums may be far from it, and their product with 1 is rounded by as much."""
    large = 2.0**60
    net = chain(
        ([[large, -large]], [0.0], False),
        (
            [
                [
                    1.0,
                ]
            ],
            [0.0],
            False,
        ),
    )
    counts = (array("q", [3]), array("q", [2]))
    inputs = [Affine((), Fraction(1)), Affine((), Fraction(1))]
    spread = Spread(Rounding(Program(net, counts, counts)), inputs, 0)
    assert spread.local[1][0] >= 2 * spread.local[0][0] // 2**24 > 2**30


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_phases_hold_with_and_without_rounding(data: DataObject) -> None:
    """For every value and every value that is no further off, to the last unit."""
    low, off = data.draw(st.integers(-4, 4)), data.draw(st.integers(0, 3))
    high = data.draw(st.integers(low, 5))
    spread = spread_over(chain(([[1.0]], [0.0], True)), [Fraction(0)], [Fraction(1)])
    spread.phases.clear()
    behind = spread._rectified(0, Value([low], [high], [off], [0], None, [9]))
    (phase,) = spread.phases[0]
    for z in range(low, high + 1):
        assert behind.low[0] <= max(z, 0) <= behind.high[0]
        for other in range(z - off, z + off + 1):
            change = max(other, 0) - max(z, 0)
            assert abs(change) <= behind.off[0]
            assert phase != ACTIVE or change == other - z
            assert phase != INACTIVE or max(z, other) <= 0


def test_many_symbols_have_no_forms_and_the_same_law() -> None:
    rng = random.Random(3)
    size = MAX_SYMBOLS + 1
    rows = [[rng.choice([-1.0, 0.5, 1.0]) for _ in range(size)] for _ in range(2)]
    net = chain((rows, [0.25, -0.5], True), ([[1.0, -1.0]], [0.0], False))
    low, high = [Fraction(-1)] * size, [Fraction(1)] * size
    watched = Watched(net, low, high)
    assert all(value.slopes is None for value in (*watched.before, *watched.behind))
    for _ in range(50):
        x = [Fraction(rng.choice([-1, 1, 0])) for _ in range(size)]
        local = [[Fraction(v * rng.choice([-1, 1]), ONE) for v in part] for part in watched.local]
        nothing = [[Fraction(0)] * len(part) for part in local]
        (exact, sums), (found, moved) = disturbed(net, x, nothing), disturbed(net, x, local)
        for number, (before, behind) in enumerate(zip(watched.before, watched.behind, strict=True)):
            check_known(before, sums[number], moved[number], [])
            check_known(behind, exact[number + 1], found[number + 1], [])


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_relaxed_form_encloses_the_relu(data: DataObject) -> None:
    """Any form of z within its error, any bounds: relu(z) lies within the new form's error, to the last unit."""
    units = st.integers(-40, 40)
    low = data.draw(st.integers(-40, -1))
    high = data.draw(st.integers(low, 40))
    slopes = data.draw(st.lists(units, max_size=3))
    value = Value([low], [high], [0], [data.draw(units)], [[g] for g in slopes], [data.draw(st.integers(0, 9))])
    s = data.draw(st.lists(st.sampled_from([-1, 0, 1]), min_size=len(slopes), max_size=len(slopes)))
    form = value.centre[0] + sum(g * t for g, t in zip(slopes, s, strict=True))
    z = form + data.draw(st.sampled_from([-1, 1])) * value.error[0]
    assume(low <= z <= high)
    _relax(value, 0)
    assert value.slopes is not None
    new = value.centre[0] + sum(own[0] * t for own, t in zip(value.slopes, s, strict=True))
    assert abs(max(z, 0) - new) <= value.error[0]
