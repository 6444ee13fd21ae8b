"""Cases closed by slopes: the rule against exact evaluation, payloads by hand, mutations aimed at false claims."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import pytest

from tests.search.networks import budget
from tests.search.two_copies import CLOSE, LIPSCHITZ, MONOTONE, STEEP, deep_network, query_of
from tests.spec.models import random_network, two_port_network
from verify import kernel
from verify.core.evaluate import evaluate
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.normal_form import Box, Region, normal_form
from verify.core.pairing import Difference
from verify.core.payload import signed, varint
from verify.core.query import Affine, And, Query, Row
from verify.kernel import RejectedError
from verify.kernel.build import Root
from verify.kernel.system import ONE
from verify.kernel.walk import HIGH, LEAF, LOW
from verify.kernel_slopes import check
from verify.kernel_slopes.comparison import Comparison, _step, compare
from verify.kernel_slopes.slopes import ACTIVE, INACTIVE, UNSTABLE, Model, Part, SlopeTree, hull_region, root_phases
from verify.search.decide import decide

HINTS = b"".join(map(signed, (5, 5, 5)))  # scales of the two blocks and of the one output


def network_of(*ramps: tuple[float, float, float]) -> Network:
    """r = Σ relu(a x + b y + c)."""
    weights = Numbers.of_floats([w for ramp in ramps for w in ramp[:2]])
    hidden = Block(
        (Term(0, Matrix.dense(len(ramps), 2, weights)),),
        Numbers.of_floats([r[2] for r in ramps]),
        bytes([1] * len(ramps)),
    )
    last = Block(
        (Term(1, Matrix.dense(1, len(ramps), Numbers.of_floats([1.0] * len(ramps)))),), Numbers.zeros(1), bytes(1)
    )
    return Network((Port("x", (1, 2), 0),), (Port("y", (1, 1), 2),), (hidden, last))


RISING = network_of((1.0, -3.0, 9.0))  # never inactive: slope 1 along x
FALLING = network_of((-1.0, 3.0, 9.0))
KINKED = network_of((1.0, 0.0, 2.0), (1.0, 0.0, 0.0))  # slope 1 left of x = 0, 2 right of it


def closing(*patterns: bytes, hints: bytes = HINTS) -> bytes:
    """One region, case 0 of it closed by these rows and trees."""
    return varint(1) + varint(1) + varint(0) + hints + b"".join(patterns)


def pattern(*steps: int, row: int = 0) -> bytes:
    return varint(row) + bytes(steps)


def test_one_box_proves_a_rising_network() -> None:
    checked = check(query_of(MONOTONE, RISING), closing(pattern(LEAF)), "unsat")
    assert (checked.claim, checked.leaves, checked.mode) == ("unsat", {"slopes": 1}, "reference")


def test_the_kernel_alone_knows_no_slopes() -> None:
    with pytest.raises(RejectedError, match="slopes"):
        kernel.check(query_of(MONOTONE, RISING), closing(pattern(LEAF)), "unsat")


REJECTED: dict[str, tuple[Query, bytes, str]] = {
    "a false claim": (query_of(MONOTONE, FALLING), closing(pattern(LEAF)), "may hold"),
    "a tie": (query_of(MONOTONE.replace("<= n(b)", "< n(b)"), RISING), closing(pattern(LEAF)), "may hold"),
    "a slope just too steep": (query_of(STEEP % "1.000000000000000000001", RISING), closing(pattern(LEAF)), "may hold"),
    "half of the box": (query_of(MONOTONE, RISING), closing(pattern(LOW, 0, LEAF)), "in the middle"),
    "bytes behind the proof": (query_of(MONOTONE, RISING), closing(pattern(LEAF, LEAF)), "left after"),
    "no tree": (query_of(MONOTONE, RISING), closing(), "in the middle"),
    "an opcode that is none": (query_of(MONOTONE, RISING), closing(pattern(77)), "unknown opcode"),
    "an input that is not there": (query_of(MONOTONE, RISING), closing(pattern(LOW, 2, LEAF, LEAF)), "no input"),
    "a row that is not there": (query_of(MONOTONE, RISING), closing(pattern(LEAF, row=1)), "no row"),
    "a case that is not there": (query_of(MONOTONE, RISING), varint(1) + varint(1) + varint(1), "case 1"),
    "a case twice": (
        query_of(MONOTONE, RISING),
        varint(1) + varint(2) + varint(0) + HINTS + pattern(LEAF) + varint(0) + pattern(),
        "case 0",
    ),
    "a scale that is too small": (
        query_of(MONOTONE, RISING), closing(pattern(LEAF), hints=signed(-1) + HINTS[1:]), "scale of block"
    ),
    "a case that compares nothing": (
        query_of("forall a, b : n.input  assert n(a).r + n(b).r <= 99", RISING), closing(pattern(LEAF)), "compares two"
    ),
    "a case of one copy": (
        query_of("forall a : n.input  assert n(a).r <= 99", RISING), closing(pattern(LEAF)), "compares two"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REJECTED)
def test_rejected(name: str) -> None:
    query, data, reason = REJECTED[name]
    with pytest.raises(RejectedError, match=reason):
        check(query, data, "unsat")


def test_a_vacuous_claim_has_no_rows_to_contradict() -> None:
    with pytest.raises(RejectedError, match="compares two"):
        check(query_of(MONOTONE, RISING), closing(pattern(LEAF)), "vacuous")


def test_an_exact_slope_needs_no_room() -> None:
    assert check(query_of(STEEP % "1", RISING), closing(pattern(LEAF)), "unsat").leaves == {"slopes": 1}
    third = network_of((0.1, 0.0, 9.0))
    assert check(query_of(STEEP % Fraction(0.1), third), closing(pattern(LEAF)), "unsat").leaves == {"slopes": 1}


def test_splits_in_either_order_give_phases() -> None:
    """Left of 0 the slope is 1, right of it 2; the whole box allows 1 to 2 only once the kink is seen."""
    query = query_of(
        "forall a, b : n.input  assume same(a, b) except x  assume a.x >= 0 and b.x >= 0 and a.x <= b.x"
        "  assert n(b).r - n(a).r >= 2 * (b.x - a.x)",
        KINKED,
    )
    assert check(query, closing(pattern(LEAF)), "unsat").leaves == {"slopes": 1}
    wide = query_of(STEEP % "2", KINKED)
    for steps in ((LEAF,), (LOW, 0, LEAF, LEAF), (HIGH, 0, LEAF, LEAF)):
        with pytest.raises(RejectedError, match="may hold"):
            check(wide, closing(pattern(*steps)), "unsat")
    most = MONOTONE.replace("n(a).r <= n(b).r", "n(b).r - n(a).r <= %s * (b.x - a.x)")
    assert check(query_of(most % 2, KINKED), closing(pattern(LEAF)), "unsat")
    with pytest.raises(RejectedError, match="may hold"):
        check(query_of(most % "1.9", KINKED), closing(pattern(LOW, 0, LEAF, LEAF)), "unsat")


def test_differences_are_bounded_by_the_regions_rows() -> None:
    apart = (
        "forall a, b : n.input  assume same(a, b) except x  assume b.x - a.x >= 0.25  assert n(b).r - n(a).r %s 0.25"
    )
    assert check(query_of(apart % ">=", RISING), closing(pattern(LEAF)), "unsat")
    for false in (apart % ">", apart.replace("- a.x >= 0.25", "- a.x >= 0.2499") % ">="):
        with pytest.raises(RejectedError, match="may hold"):
            check(query_of(false, RISING), closing(pattern(LEAF)), "unsat")


def test_the_mirrored_statement_is_shown_once() -> None:
    """Two cases (above, below), two signs each: the second case says of (b, a) what the first says of (a, b)."""
    query = query_of(CLOSE % 2, RISING)
    both = varint(1) + varint(2) + varint(0) + HINTS + pattern(LEAF) + pattern(LEAF) + varint(1)
    assert check(query, both + pattern() + pattern(), "unsat").leaves == {"slopes": 2}
    with pytest.raises(RejectedError):
        check(query, both + pattern(LEAF) + pattern(LEAF), "unsat")
    bent = query_of("forall a, b : n.input  assert n(b).r - n(a).r <= 9 and n(a).r - n(b).r <= 10", RISING)
    for region in normal_form(bent).regions:
        found = [compare(bent.network, region, case, {}) for case in region.cases]
        assert all(c is not None for c in found)
        claims = [claim for c in found if c for steps in c.signed_steps() for claim in c.contradiction(0, steps)]
        assert len(set(claims)) == len(claims)  # the limits differ


def test_the_other_cases_remain() -> None:
    text = (
        "forall a, b : n.input  assume same(a, b) except x  assume a.x <= b.x  assert n(a).r <= n(b).r and n(a).r <= %s"
    )
    query = query_of(text % 14, RISING)
    found = decide(query, budget(), certificate=True)
    assert found.payload is not None and dict(found.leaves) == {"slopes": 1, "bound": 1}
    for false in (text % 4, text.replace("n(a).r <= n(b).r and", "n(a).r >= n(b).r and") % 14):
        with pytest.raises(RejectedError):
            check(query_of(false, RISING), found.payload, "unsat")


def test_a_region_is_skipped_only_when_every_case_is_closed() -> None:
    query = query_of(CLOSE % 2, RISING)
    with pytest.raises(RejectedError):
        check(query, closing(pattern(LEAF), pattern(LEAF)), "unsat")  # the second case is left


def skipping_network(seed: int) -> Network:
    """Ports of 1 and 2 numbers, a hidden layer with and without ReLU, a skip, thirds as weights."""
    net = two_port_network(seed)
    rng = random.Random(seed)
    last = Block(
        (
            Term(3, Matrix.dense(1, 2, Numbers.of([Fraction(rng.randint(-5, 5), 3) or Fraction(1), Fraction(1, 7)]))),
            Term(2, Matrix.dense(1, 3, Numbers.of_floats([1.0, -0.5, 0.25]))),
            Term(1, Matrix.dense(1, 2, Numbers.of_floats([0.1, -0.2]))),
        ),
        Numbers.zeros(1),
        bytes(1),
    )
    blocks = (*net.blocks, last)
    return Network(net.inputs, (Port("y", (1, 1), len(net.inputs) + len(blocks) - 1),), blocks)


@pytest.mark.parametrize("make", [skipping_network, deep_network, lambda seed: random_network(2, 2, seed=seed)])
def test_slopes_contain_every_difference(make: Callable[[int], Network]) -> None:
    """Two random points of every part of a random tree, and the phases there, in exact numbers."""
    seen = set()
    for seed in range(40):
        rng, network = random.Random(seed), make(seed)
        size, outputs = network.input_size, [rng.randint(-3, 3) for _ in range(network.output_size)]
        lower = tuple(Fraction(rng.randint(-8, 8), 3) for _ in range(size))
        box = Box(lower, tuple(low + Fraction(rng.randint(0, 12), 5) for low in lower))
        rows = [Row.of({}, {e: 1}, 0) for e in range(network.output_size)]
        root = Root(network, Region(box, (), (tuple(rows),)), rows, [8] * (len(network.blocks) + len(rows)))
        row = Difference(tuple(map(Fraction, outputs)), (Fraction(0),) * size, Affine(()), Fraction(0), True)
        tree = SlopeTree(Model(network), root, 0, row, Fraction(0), ((Fraction(0), Fraction(0)),) * size)
        parts = [Part(root.node, root_phases(root))]
        for _ in range(12):
            parts += tree.halves(parts[rng.randrange(len(parts))], rng.randrange(size))
        for part in parts:
            seen |= {phase for block in part.phases for phase in block}
            slopes = tree.model.slopes(part.phases, outputs)
            points = [point_of(part, box, rng) for _ in range(2)]
            before, after = (evaluate(network, p) for p in points)
            change = sum(c * (v - u) for c, u, v in zip(outputs, before, after, strict=True))
            step = [b - a for a, b in zip(*points, strict=True)]
            products = [sorted((low * d, high * d)) for (low, high), d in zip(slopes, step, strict=True)]
            assert sum(p[0] for p in products) <= change <= sum(p[1] for p in products)
    assert seen == {ACTIVE, INACTIVE, UNSTABLE}


def point_of(part: Part, box: Box, rng: random.Random) -> list[Fraction]:
    """A point of the part, often a corner."""
    point = []
    for k, (low, high) in enumerate(zip(box.lower, box.upper, strict=True)):
        share = Fraction(rng.choice([0, 0, 1, 2, 3, 3]), 3)
        a, b = part.node.box_low[k], part.node.box_high[k]
        point.append(low + (high - low) * (a + (b - a) * share) / ONE)
    return point


@pytest.mark.parametrize("body", [STEEP % "-3", LIPSCHITZ % "3", CLOSE % "4"])
def test_mutations_never_prove_a_false_claim(body: str) -> None:
    """Honest proofs of the same property of other networks, mutated, where a pair violates it."""
    rng, reached = random.Random(4), 0
    queries = [query_of(body, deep_network(seed)) for seed in range(30)]
    decisions = [decide(query, budget(1), certificate=True) for query in queries]
    proofs = [d.payload for d in decisions if d.payload is not None and "slopes" in dict(d.leaves)]
    refutable = [query for query, d in zip(queries, decisions, strict=True) if d.answer == "sat"]
    assert len(refutable) > 1 and len(proofs) > 10
    for _ in range(800):
        data = bytearray(rng.choice(proofs))
        for _ in range(rng.randint(0, 3)):
            place = rng.randrange(len(data) + 1)
            data[place : place + rng.randint(0, 1)] = bytes([rng.choice([0, 1, 2, LOW, HIGH])] * rng.randint(0, 1))
        with pytest.raises(RejectedError) as caught:
            check(rng.choice(refutable), bytes(data), "unsat")
        reached += "may hold" in str(caught.value)
    assert reached > 50


def test_random_trees_never_prove_a_false_claim() -> None:
    """Well-formed payloads with trees of every kind, so that the rule itself has to refuse."""
    rng = random.Random(5)
    queries = [query_of(MONOTONE, deep_network(seed)) for seed in range(20)]
    refutable = [query for query in queries if decide(query, budget(1)).answer == "sat"]
    for _ in range(200):
        query = rng.choice(refutable)
        steps, open_leaves = bytearray(), 1
        while open_leaves:
            split = rng.random() < 0.6 and len(steps) < 120
            steps += bytes([rng.choice([LOW, HIGH]), rng.randrange(2)]) if split else bytes([LEAF])
            open_leaves += 1 if split else -1
        hints = b"".join(map(signed, (8, 8, 8, 8)))
        with pytest.raises(RejectedError, match="may hold"):
            check(query, closing(varint(0) + bytes(steps), hints=hints), "unsat")


def test_an_empty_difference_is_refused() -> None:
    query = query_of(MONOTONE, RISING)
    more = And((query.assumption, Row.of({0: -1, 2: 1}, {}, -3)))  # b.x <= a.x - 3, whichever is which
    less = And((query.assumption, Row.of({0: 1, 2: -1}, {}, -3)))
    reasons = []
    for assumption in (more, less):
        with pytest.raises(RejectedError) as caught:
            check(replace(query, assumption=assumption), closing(pattern(LEAF)), "unsat")
        reasons.append(str(caught.value))
    assert "a difference has no value" in reasons


@pytest.mark.parametrize(("low", "high"), ["ab", "ba"])
def test_the_hull_holds_both_points(low: str, high: str) -> None:
    """Left of 0 the slope is 1, right of it 2: neither holds from one side to the other."""
    apart = f"forall a, b : n.input  assume same(a, b) except x  assume {low}.x <= -0.5 and {high}.x >= 0.5  assert "
    for claim in ("<= 1", ">= 2"):
        query = query_of(f"{apart} n({high}).r - n({low}).r {claim} * ({high}.x - {low}.x)", KINKED)
        with pytest.raises(RejectedError, match="may hold"):
            check(query, closing(pattern(LEAF)), "unsat")


def test_what_is_left_of_a_row_counts_at_its_least() -> None:
    rest = MONOTONE.replace("<= n(b).r", "+ a.y <= n(b).r")  # false at a = b wherever y > 0
    with pytest.raises(RejectedError, match="may hold"):
        check(query_of(rest, RISING), closing(pattern(LEAF)), "unsat")


def test_a_twin_has_the_other_phase() -> None:
    """|x| + 3 x: slope 2 left of 0, 4 right of it."""
    most = MONOTONE.replace("n(a).r <= n(b).r", "n(b).r - n(a).r <= %s * (b.x - a.x)")
    bent = network_of((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0), (3.0, 0.0, 9.0))
    assert check(query_of(most % 4, bent), closing(pattern(LOW, 0, LEAF, LEAF)), "unsat").leaves == {"slopes": 2}
    for false in (2, 3, "3.9"):
        with pytest.raises(RejectedError, match="may hold"):
            check(query_of(most % false, bent), closing(pattern(LOW, 0, LEAF, LEAF)), "unsat")


def test_of_twins_that_are_both_open_nothing_is_known() -> None:
    """|x| falls left of 0, and a split of y does not change that."""
    bent = network_of((1.0, 0.0, 0.0), (-1.0, 0.0, 0.0))
    with pytest.raises(RejectedError, match="may hold"):
        check(query_of(MONOTONE, bent), closing(pattern(LOW, 1, LEAF, LEAF)), "unsat")


def test_an_input_that_nothing_reads_has_no_slope() -> None:
    block = Block((Term(1, Matrix.dense(1, 1, Numbers.of_floats([3.0]))),), Numbers.zeros(1), bytes(1))
    net = Network((Port("a", (1, 2), 0), Port("b", (1, 1), 1)), (Port("y", (1, 1), 2),), (block,))
    assert Model(net).slopes([[ACTIVE]], [1]) == [(0, 0), (0, 0), (3, 3)]


def test_each_hull_has_a_root_of_its_own() -> None:
    query = query_of(
        "forall a, b : n.input  assume same(a, b) except x  assume a.x <= b.x"
        "  assume (a.x <= -0.5 and b.x <= -0.5) or (a.x >= 0.5 and b.x >= 0.5)"
        "  assert n(b).r - n(a).r <= b.x - a.x",
        KINKED,
    )
    one = varint(1) + varint(0)
    for second in (b"", HINTS):
        with pytest.raises(RejectedError):
            check(query, varint(2) + one + HINTS + pattern(LEAF) + one + second + pattern(LEAF), "unsat")


def comparison_of(query: Query) -> Comparison:
    (region,) = normal_form(query).regions
    found = compare(query.network, region, region.cases[0], {})
    assert found is not None
    return found


@pytest.mark.parametrize(("low", "high"), ["ab", "ba"])
def test_hull_and_steps_reach_from_end_to_end(low: str, high: str) -> None:
    found = comparison_of(
        query_of(
            f"forall a, b : n.input  assume same(a, b) except x  assume {low}.x <= -0.5 and {high}.x >= 0.25"
            "  assert n(a).r <= n(b).r",
            KINKED,
        )
    )
    assert (found.hull.lower[0], found.hull.upper[0]) == (-1, 1)
    assert sorted(map(abs, found.steps[0])) == [Fraction(3, 4), 2] and found.steps[1] == (0, 0)


def test_rows_of_other_pairs_are_not_compared_with_these() -> None:
    query = query_of(
        "forall a, b, c : n.input  assume same(a, b) except x  assume same(b, c) except x"
        "  assert n(a).r - n(b).r <= 1 or n(b).r - n(c).r <= 1",
        KINKED,
    )
    assert len(comparison_of(query).rows) == 1


def test_a_mirrored_statement_has_every_sign_turned() -> None:
    found = comparison_of(query_of(MONOTONE.replace("<= n(b).r", "<= n(b).r + 3 * (b.x - a.x)"), KINKED))
    steps = ((Fraction(1), Fraction(2)), (Fraction(0), Fraction(0)))
    said, mirrored = found.contradiction(0, steps)
    (row,), (limit,) = found.rows, found.limits
    assert any(row.slope) and said == (found.place, found.hull, limit, row.strict, row.outputs, row.slope, steps)
    turned = (tuple(-c for c in row.outputs), tuple(-q for q in row.slope))
    assert mirrored == (found.place, found.hull, limit, row.strict, *turned, ((-2, -1), (0, 0)))


def test_a_step_counts_its_constant() -> None:
    """x - y + 5 over [0, 10]², where x - y <= 2 and y - x <= 1: between 4 and 7."""
    both = Box((Fraction(0),) * 2, (Fraction(10),) * 2)
    rows = (Row.of({0: 2, 1: -2}, {}, 4), Row.of({0: -1, 1: 1}, {}, 1), Row.of({0: 1}, {}, -99))
    assert _step(Affine(((0, Fraction(1)), (1, Fraction(-1))), Fraction(5)), Region(both, rows, ((),))) == (4, 7)


def test_open_phases_let_slopes_be_anything_between() -> None:
    model = Model(KINKED)
    for phases, slope in (([UNSTABLE] * 2, (0, 2)), ([ACTIVE, UNSTABLE], (1, 2)), ([INACTIVE, ACTIVE], (1, 1))):
        known = [phases, [ACTIVE]]
        assert model.slopes(known, [1]) == [slope, (0, 0)]
        assert model.slopes(known, [-3]) == [(-3 * slope[1], -3 * slope[0]), (0, 0)]


def test_phases_are_told_apart_at_zero() -> None:
    query = query_of(MONOTONE, KINKED)
    found = comparison_of(query)
    region = hull_region(KINKED, found.hull)
    root = Root(KINKED, region, list(region.cases[0]), [5, 5, 5])
    tree = SlopeTree(Model(KINKED), root, 0, found.rows[0], found.limits[0], found.steps)
    ((entry, j),) = root.variable.items()
    for low, high, phase in ((-1, 1, UNSTABLE), (-1, 0, INACTIVE), (0, 1, ACTIVE)):
        known = [[UNSTABLE, UNSTABLE], [ACTIVE]]
        assert tree.phases(known, {j: low}, {j: high})[entry[0]][entry[1]] == phase
        root.low[entry[0]][entry[1]], root.high[entry[0]][entry[1]] = low, high
        assert root_phases(root)[entry[0]][entry[1]] == phase
