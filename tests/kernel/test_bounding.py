"""The kernel's rules against exact evaluation: chains, skips, twins, ties, any hints."""

from __future__ import annotations

import random
from collections.abc import Iterator
from fractions import Fraction

import pytest

from tests.oracle import random_tiny_query
from tests.search.networks import network
from verify.core.evaluate import evaluate_values
from verify.core.floats import FloatPlan
from verify.core.network import Network
from verify.core.normal_form import Box, Region, normal_form
from verify.core.payload import RejectedError
from verify.core.query import Row
from verify.kernel.build import Root
from verify.kernel.system import ONE, Form, Node, P, clip, lower, substitute, tighten
from verify.kernel.walk import split_input, split_phase
from verify.kernel_fast.tables import _twins as fast_twins
from verify.search.scales import root_scales

Point = tuple[Fraction, ...]


class Truth:
    """Exact values of everything the system of one region speaks of, at one point s of it."""

    def __init__(self, root: Root, rows: list[Row], scales: list[int], s: Point) -> None:
        sides = zip(root.box.lower, root.box.upper, s, strict=True)
        x = tuple(low + (high - low) * t for low, high, t in sides)
        values = evaluate_values(root.network, x)
        outputs = [Fraction(n, values[p.value][1]) for p in root.network.outputs for n in values[p.value][0]]
        self.s, self.zeta, self.rho, self.rows = s, {}, {}, {}
        for (block, row), j in root.variable.items():
            numbers, denominator = values[root.first + block]
            unit = Fraction(2) ** scales[block]
            self.rho[j] = Fraction(numbers[row], denominator) / unit
            self.zeta[j] = _before(root.network, values, block, row) / unit
        for number, row in enumerate(rows):
            self.rows[number] = -row.slack(x, outputs) / Fraction(2) ** scales[len(root.network.blocks) + number]

    def value(self, form: Form) -> Fraction:
        """A form at this point, in units of 2^-P."""
        total = Fraction(form.constant)
        total += sum(a * self.s[k] for k, a in form.s.items())
        return total + sum(a * self.rho[j] for j, a in form.r.items())

    def inside(self, node: Node) -> bool:
        box = zip(node.box_low, self.s, node.box_high, strict=True)
        return all(low <= s * ONE <= high for low, s, high in box) and all(
            node.low[j] <= self.zeta[j] * ONE <= node.high[j] for j in node.variables
        )


def _before(net: Network, values: list[tuple[list[int], int]], block: int, row: int) -> Fraction:
    b = net.blocks[block]
    return b.bias[row] + sum(
        (w * Fraction(values[t.source][0][c], values[t.source][1]) for t in b.terms for c, w in t.matrix.entries(row)),
        Fraction(0),
    )


def cases(count: int, first: int) -> Iterator[tuple[Root, list[Row], list[int], random.Random]]:
    """Roots of random regions, most with unstable ReLUs."""
    for number in range(first, first + count):
        rng = random.Random(number)
        query = random_tiny_query(rng, number % 2 == 0)
        for region in normal_form(query).regions:
            rows, _ = region.numbered()
            if not any(row.outputs for row in rows):
                continue
            scales = root_scales(query.network, region, rows, FloatPlan(query.network))
            yield Root(query.network, region, rows, scales), rows, scales, rng


def some_points(rng: random.Random, size: int, count: int) -> list[Point]:
    grid = [Fraction(0), Fraction(1), Fraction(1, 2), Fraction(1, 3), Fraction(rng.randrange(1000), 999)]
    return [tuple(rng.choice(grid) for _ in range(size)) for _ in range(count)]


def check_node(node: Node, truths: list[Truth], rng: random.Random) -> None:
    """(S), bounds of every row with and without hints, at every point that the node allows."""
    hints = {j: rng.randrange(257) for j in node.variables}, {j: rng.randrange(4 * ONE) for j in node.variables}
    for truth in truths:
        assert all(low <= s * ONE <= high for low, s, high in zip(node.box_low, truth.s, node.box_high, strict=True))
        for known, forms in ((truth.zeta, node.variables), (truth.rows, node.rows)):
            for number, form in forms.items():
                exact = known[number] * ONE
                assert abs(exact - truth.value(form)) <= form.error
                for sign in (1, -1):
                    for hint in ((), hints):
                        bound = lower(node, form, sign, *hint)
                        at = bound.constant + sum(a * truth.s[k] for k, a in bound.form.items())
                        assert bound.least <= at <= sign * exact
        for j in node.variables:
            assert node.low[j] <= truth.zeta[j] * ONE <= node.high[j]


@pytest.mark.parametrize("first", [0, 100, 200, 300])
def test_every_rule_holds_at_exact_points(first: int) -> None:
    split = 0
    for root, rows, scales, rng in cases(100, first):
        node = root.node
        truths = [Truth(root, rows, scales, s) for s in some_points(rng, len(node.box_low), 8)]
        check_node(node, truths, rng)
        for _ in range(3):
            assert tighten(node) or not truths
            check_node(node, truths, rng)
            substitute(node, range(len(rows)))
            check_node(node, truths, rng)
            unstable = [j for j in node.variables if node.low[j] < 0 < node.high[j]]
            if unstable and rng.random() < 0.5:
                children = split_phase(node, rng.choice(unstable))
            else:
                children = split_input(node, rng.randrange(len(node.box_low)))
            split += 1
            parts = [[t for t in truths if t.inside(child)] for child in children]
            assert all(any(t in part for part in parts) for t in truths)  # no point is lost
            chosen = max(range(2), key=lambda k: len(parts[k]))
            node, truths = children[chosen], parts[chosen]
            check_node(node, truths, rng)
        kept = [t for t in truths if all(v <= 0 for v in t.rows.values())]
        bounds = [lower(node, form, 1) for form in node.rows.values()]
        assert clip(node, bounds) or not kept
        assert all(t.inside(node) for t in kept)  # clipping keeps every solution
    assert split > 100


def test_a_twin_is_an_exact_negation() -> None:
    weights = [[1, 2], [-1, -2], [-1, -2], [1, 2], [1, 2.5], [-1, -2 - 2**-40], [0, 1], [0, -1]]
    net = network(2, ([(0, weights)], [0.5, -0.5, -0.5, 0.5, 0.5, -0.5, 1, 1], True))
    assert net.blocks[0].twins() == {1: 0, 3: 2}
    assert fast_twins(net.blocks[0]) == {1: 0, 3: 2}


def test_a_scale_that_is_too_small_is_rejected() -> None:
    net = network(1, ([(0, [[4], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))
    region = Region(Box((Fraction(-1),), (Fraction(1),)), (), ((Row.of({}, {0: 1}, 0),),))
    with pytest.raises(RejectedError, match="scale of block 0"):
        Root(net, region, region.numbered()[0], [1, 4, 4])
    assert Root(net, region, region.numbered()[0], [2, 4, 4]).node.variables


def test_units_are_what_they_say() -> None:
    assert ONE == 1 << P
