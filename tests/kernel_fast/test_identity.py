"""The fast path makes the reference's integers, step by step, or refuses."""

from __future__ import annotations

import contextlib
import itertools
import random
from collections.abc import Sequence
from fractions import Fraction

import pytest

from tests.oracle import random_tiny_query
from tests.search.networks import budget, compiled_entry, network, over_box
from verify.core.floats import FloatPlan
from verify.core.normal_form import Region, normal_form
from verify.core.payload import Stream, signed, varint
from verify.core.query import Query, Row
from verify.kernel import RejectedError, check
from verify.kernel.build import Root
from verify.kernel.system import Form, Node
from verify.kernel.walk import (
    AFRESH,
    BOUND,
    CASES,
    CLIP,
    LEAF,
    LOW,
    MOST_NESTED,
    PHASES,
    REDUCE,
    TIGHTEN,
    WEIGHTED,
    Walk,
)
from verify.kernel_fast import check_fast
from verify.kernel_fast import layout as at
from verify.kernel_fast.check import Fast, FastWalk, never
from verify.kernel_fast.tables import RefusedError
from verify.search.decide import decide
from verify.search.scales import root_scales


class OpenLeafError(Exception):
    def __init__(self, node: Node) -> None:
        self.node = node


class Probe(Walk):
    """Stops at an open leaf, and shows the node."""

    def unclosed(self, node: Node) -> Sequence[Node | None]:
        raise OpenLeafError(node)


def random_query(rng: random.Random) -> Query:
    """Half of them tiny, half of them with more ReLUs than fit one split."""
    if rng.random() < 0.5:
        return random_tiny_query(rng, integer_weights=rng.random() < 0.3)
    sizes = [rng.randint(1, 5), *(rng.randint(2, 12) for _ in range(rng.randint(1, 4))), rng.randint(1, 3)]
    layers = []
    for k, (before, after) in enumerate(itertools.pairwise(sizes)):
        weights = [[rng.choice([0.0, rng.gauss(0, 1), rng.gauss(0, 1)]) for _ in range(before)] for _ in range(after)]
        if after > 1 and rng.random() < 0.3:
            weights[1] = [-w for w in weights[0]]
        layers.append(([(k, weights)], [0.0] * after if rng.random() < 0.5 else [rng.gauss(0, 0.3)] * after, True))
    layers[-1] = (*layers[-1][:2], False)
    rows = [Row.of({}, {rng.randrange(sizes[-1]): rng.choice([1, -2])}, rng.gauss(0, 3)) for _ in range(3)]
    net = network(sizes[0], *layers)
    return over_box(net, -1, rng.choice([1, 0.7]), *rows[:1], *rows[1 : rng.randint(1, 3)])


def path() -> Fast:
    return Fast(compiled_entry("kernel"), never)


def random_steps(rng: random.Random) -> bytes:
    """Steps of a node that leave its end open."""
    steps = bytes(rng.choices([TIGHTEN, REDUCE, BOUND], k=rng.randint(0, 4)))
    if rng.random() < 0.5:
        steps += bytes([BOUND, CLIP])
    return steps


def weights(rng: random.Random, cases: list[list[int]], node: Node) -> bytes:
    steps = bytes([WEIGHTED]) + varint(len(node.cases))
    for case in node.cases:
        steps += varint(case) + bytes(rng.randrange(9) for _ in cases[case])
        for limit in (257, 1 << 36):
            chosen = sorted(j for j in node.variables if rng.random() < 0.5)
            steps += varint(len(chosen))
            for before, j in zip([-1, *chosen], chosen, strict=False):
                steps += varint(j - before - 1) + varint(rng.randrange(limit))
    return steps


def compare(fast: FastWalk, node: Node) -> None:
    numbers = fast.numbers
    assert fast.box() == (node.box_low, node.box_high)
    assert tuple(fast.open_cases()) == node.cases
    assert fast.bounds() == (list(node.low.values()), list(node.high.values()))
    system = int(numbers[at.SYSTEM])
    forms = [*node.variables.items(), *node.rows.items()]
    assert (int(numbers[system]), int(numbers[system + 1])) == (len(node.variables), len(node.rows))
    for i, (number, form) in enumerate(forms):
        meta = numbers[system + 2 + at.META * i :][: at.META].tolist()
        place, s, r = meta[at.PLACE], meta[at.S_FIRST : at.S_LAST + 1], meta[at.R_FIRST : at.R_LAST + 1]
        values = numbers[place : place + s[1] - s[0] + r[1] - r[0]].tolist()
        names = list(node.variables)
        found_s = dict(zip(range(*s), values, strict=False))
        found_r = dict(zip((names[k] for k in range(*r)), values[s[1] - s[0] :], strict=True))
        found = Form(*({k: a for k, a in f.items() if a} for f in (found_s, found_r)), *meta[1:3])
        assert meta[0] == number and found == form


def follow(query: Query, region: Region, rng: random.Random) -> int:
    """Random steps down one branch, in both paths; the number of nodes compared."""
    rows, cases = region.numbered()
    hints = (root_scales(query.network, region, rows, FloatPlan(query.network)),)
    try:
        node: Node = Root(query.network, region, rows, *hints).node
    except RejectedError:
        with pytest.raises(RefusedError):
            run(FastWalk(path(), query.network, region, *hints), bytes([LEAF]))
        return 0
    try:
        fast = FastWalk(path(), query.network, region, *hints)
    except RefusedError:
        return 0
    compared = 0
    for _ in range(6):
        steps = random_steps(rng)
        walk = Probe(query.network, region, rows, cases, Stream(steps + bytes([LEAF])))
        try:
            walk.visit(node)
        except OpenLeafError as leaf:
            assert run(fast, steps + bytes([LEAF])) == at.OPEN_LEAF
            node = leaf.node
            compare(fast, node)
            compared += 1
        else:
            end(fast, steps + bytes([LEAF]))
            assert sum(fast.counts().values()) == 1
            return compared + 1
        unstable = [j for j in node.variables if node.low[j] < 0 < node.high[j]]
        if rng.random() < 0.2:
            steps = weights(rng, cases, node)
            accepted = True
            try:
                Probe(query.network, region, rows, cases, Stream(steps + bytes([LEAF]))).visit(node)
            except RejectedError:
                accepted = False
            end(fast, steps + bytes([LEAF]))
            assert (fast.counts() == {"weighted": 1}) == accepted
            return compared + 1
        if len(node.cases) > 1 and rng.random() < 0.3:
            split = bytes([CASES]) + varint(len(node.cases))
        elif unstable and rng.random() < 0.5:
            split = bytes([PHASES]) + varint(rng.choice(unstable))
        else:
            split = bytes([rng.choice([LOW, LOW + 1])]) + varint(rng.randrange(len(node.box_low)))
        try:
            halves = Probe(query.network, region, rows, cases, Stream(split)).visit(node)
        except RejectedError:
            return compared
        assert halves[0] is not None
        node = halves[0]
        fast.begin(split + bytes([LEAF]), 0)
        assert fast.go() == at.OPEN_LEAF
        compare(fast, node)
    return compared


def end(fast: FastWalk, payload: bytes) -> None:
    """Close a node or fail; the payload ends where the next node should begin."""
    with contextlib.suppress(RefusedError, RejectedError):
        assert run(fast, payload) == at.DONE


def run(fast: FastWalk, payload: bytes) -> int:
    fast.begin(payload, 0)
    return fast.go()


@pytest.mark.parametrize("first", range(0, 400, 50))
def test_every_step_makes_the_same_integers(first: int) -> None:
    compared = 0
    for seed in range(first, first + 50):
        rng = random.Random(seed)
        query = random_query(rng)
        for region in normal_form(query).regions[:2]:
            compared += follow(query, region, rng)
    assert compared > 50


def test_proofs_are_accepted_alike() -> None:
    accepted = 0
    for seed in range(120):
        query = random_query(random.Random(1000 + seed))
        decision = decide(query, budget(10), certificate=True)
        if decision.payload is None or sum(dict(decision.leaves).values()) > 1000:
            continue  # the reference takes minutes for what the fast path checks in a second
        claim = "vacuous" if decision.answer == "vacuous" else "unsat"
        reference, fast = check(query, decision.payload, claim), check_fast(query, decision.payload, claim)
        assert (reference.leaves, reference.claim) == (fast.leaves, fast.claim)
        accepted += fast.mode == "fast"
    assert accepted > 30


def test_what_leaves_the_range_is_refused_and_left_to_the_reference() -> None:
    net = network(2, ([(0, [[1.0, 2.0**-80], [1, -1]])], [0, 0], True), ([(1, [[2.0**60, 2.0**-30]])], [0], False))
    query = over_box(net, -1, 1, Row.of({}, {0: 1}, -1))
    decision = decide(query, budget(10), certificate=True)
    assert decision.payload is not None
    assert check_fast(query, decision.payload, "unsat").claim == "unsat"


BUMP = network(1, ([(0, [[1], [1]])], [Fraction(1, 2), 0], True), ([(1, [[1, -2]])], [0], False))  # at most 1/2


def afresh(*steps: int, scales: tuple[int, ...] = (1, 2, 3)) -> bytes:
    return bytes([AFRESH]) + b"".join(map(signed, scales)) + bytes(steps)


DONE_AFRESH = afresh(BOUND, LEAF) + bytes([LEAF])
AFRESH_TREES = {
    "both halves": (bytes([LOW, 0]) + 2 * DONE_AFRESH, True),
    "the whole": (DONE_AFRESH, False),
    "one half": (bytes([LOW, 0]) + DONE_AFRESH + bytes([LEAF]), False),
    "the other half": (bytes([LOW, 0, LEAF]) + DONE_AFRESH, False),
    "an open leaf inside": (bytes([LOW, 0]) + DONE_AFRESH + afresh(LEAF, LEAF), False),
    "a tree that ends early": (bytes([LOW, 0]) + DONE_AFRESH + afresh(LOW, 0, BOUND, LEAF), False),
    "no leaf of the node's own": (bytes([LOW, 0]) + DONE_AFRESH + afresh(BOUND, LEAF), False),
    "scales that are too small": (bytes([LOW, 0]) + DONE_AFRESH + afresh(BOUND, LEAF, LEAF, scales=(-3, 2, 3)), False),
    "inside one another": (bytes([LOW, 0]) + DONE_AFRESH + MOST_NESTED * afresh() + bytes([BOUND] + 17 * [LEAF]), True),
    "too deep": (bytes([LOW, 0]) + DONE_AFRESH + (MOST_NESTED + 1) * afresh() + bytes([BOUND] + 18 * [LEAF]), False),
    "where nothing is open": (bytes([LOW, 0]) + DONE_AFRESH + bytes([TIGHTEN, BOUND]) + DONE_AFRESH, False),
    "by steps of its own": (afresh(LOW, 0, TIGHTEN, BOUND, LEAF, TIGHTEN, BOUND, LEAF, LEAF), True),
}


@pytest.mark.parametrize("name", AFRESH_TREES)
@pytest.mark.parametrize("bound", [Fraction(6, 10), Fraction(1, 2), Fraction(1, 4)])
def test_regions_afresh_are_accepted_alike(name: str, bound: Fraction) -> None:
    """Below the top of the bump no tree proves anything; above, those that cover the box do, on both paths."""
    compiled_entry("kernel")
    query = over_box(BUMP, -1, 1, Row.of({}, {0: -1}, -bound))
    steps, proves = AFRESH_TREES[name]
    payload = varint(1) + varint(0) + b"".join(map(signed, (1, 2, 3))) + steps
    if proves and bound > Fraction(1, 2):
        assert check_fast(query, payload, "unsat", plain=False).leaves == check(query, payload, "unsat").leaves
    else:
        with pytest.raises(RejectedError):
            check_fast(query, payload, "unsat", plain=False)
        with pytest.raises(RejectedError):
            check(query, payload, "unsat")
