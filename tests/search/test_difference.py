"""Properties over two copies of one network: slope bounds hold exactly, and close only what is true."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.search.networks import budget
from tests.search.two_copies import BLOCK, CLOSE, LIPSCHITZ, MONOTONE, STEEP, deep_network, query_of
from tests.spec.models import affine_network, random_network
from verify.bounds.backward import propagate
from verify.bounds.slopes import product_bound, slope_bounds
from verify.core.budget import Budget
from verify.core.evaluate import evaluate
from verify.core.exact import Numbers
from verify.core.floats import FloatPlan
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.normal_form import normal_form
from verify.core.pairing import compared_values, difference_row, find_pairing
from verify.core.query import Query, Row, holds
from verify.core.verdict import Evidence
from verify.kernel.walk import LEAF
from verify.kernel_slopes import check
from verify.search import slope_proof
from verify.search.decide import decide
from verify.search.difference import _Partition, close_differences
from verify.search.run import Run
from verify.spec import lower, parse

UNLIMITED = Budget(1e9, lambda: 0.0)


def closed(query: Query) -> bool:
    run = Run(query, UNLIMITED, lambda _: True, lambda *_: None)
    regions = normal_form(query).regions
    run.sketch.numbers = tuple(range(len(regions)))
    regions, point = close_differences(run, regions)
    if point is not None:
        assert holds(query.assumption, point, evaluate(query.network, point))
        assert holds(query.violation, point, evaluate(query.network, point))
    return not regions


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), data=st.data())
def test_slope_bounds_contain_every_difference(seed: int, data: st.DataObject) -> None:
    network = deep_network(seed)
    ends = [sorted(data.draw(st.tuples(st.integers(-8, 8), st.integers(-8, 8)))) for _ in range(2)]
    low, high = (np.array([[e[k] / 8 for e in ends]]) for k in range(2))
    plan = FloatPlan(network)
    enclosure = propagate(plan, (low, high), len(plan.blocks) - 1)
    bounds = slope_bounds(plan, enclosure, (np.ones(1), np.ones(1)))
    points = [
        [Fraction(e[0] + data.draw(st.integers(0, e[1] - e[0])) if e[1] > e[0] else e[0], 8) for e in ends]
        for _ in range(2)
    ]
    (before,), (after,) = evaluate(network, points[0]), evaluate(network, points[1])
    step = [float(b - a) for a, b in zip(*points, strict=True)]
    exact = after - before
    least = product_bound((bounds.lower, bounds.upper), (np.array(step), np.array(step)))
    greatest = -product_bound((-bounds.upper, -bounds.lower), (np.array(step), np.array(step)))
    assert Fraction(float(least[0])) <= exact <= Fraction(float(greatest[0]))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), kind=st.sampled_from([MONOTONE, LIPSCHITZ % "1", LIPSCHITZ % "3", CLOSE % "1"]))
def test_closes_only_what_no_pair_of_a_grid_violates(seed: int, kind: str) -> None:
    query = query_of(kind, deep_network(seed))
    if not closed(query):
        return
    grid = [Fraction(k, 3) for k in range(-3, 4)]
    rng = random.Random(seed)
    for _ in range(300):
        x = [rng.choice(grid) for _ in range(4)]
        if kind != LIPSCHITZ:
            x[3] = x[1]
        y = evaluate(query.network, x)
        assert not (holds(query.assumption, x, y) and holds(query.violation, x, y))


@pytest.mark.parametrize("seed", range(12))
def test_same_answer_with_and_without(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    query = query_of(CLOSE % "1", random_network(2, 1, seed=seed))
    with_rule = decide(query, UNLIMITED).answer
    monkeypatch.setattr("verify.search.decide.close_differences", lambda _run, regions: (regions, None))
    assert decide(query, UNLIMITED).answer == with_rule


def test_monotone_at_the_diagonal_and_ties() -> None:
    rising = affine_network([[0.1, -3.0]], [0.7])
    assert decide(query_of(MONOTONE, rising), UNLIMITED).answer == "unsat"
    strict = query_of(MONOTONE.replace("n(a).r <= n(b).r", "n(a).r < n(b).r"), rising)
    assert decide(strict, UNLIMITED).answer == "sat"  # at a = b
    falling = affine_network([[-0.1, 3.0]], [0.7])
    assert decide(query_of(MONOTONE, falling), UNLIMITED).answer == "sat"


def test_exact_lipschitz_constant() -> None:
    network = random_network(2, 1, seed=5)
    plan = FloatPlan(network)
    whole = propagate(plan, (-np.ones((1, 2)), np.ones((1, 2))), 1)
    bounds = slope_bounds(plan, whole, (np.ones(1), np.ones(1)))
    largest = float(max(np.abs(bounds.lower).max(), np.abs(bounds.upper).max()))
    assert closed(query_of(LIPSCHITZ % repr(largest), network))


def test_a_sliver_that_falls_is_found() -> None:
    """x rises with slope 1 but for a dent of width 2^-20 where it falls."""
    width = 2.0**-20
    hidden = Block(
        (Term(0, Matrix.dense(3, 2, Numbers.of_floats([1.0, 0.0, 1.0, 0.0, 1.0, 0.0]))),),
        Numbers.of_floats([1.0, -0.3, -0.3 - width]),
        bytes([1, 1, 1]),
    )
    last = Block((Term(1, Matrix.dense(1, 3, Numbers.of_floats([1.0, -3.0, 3.0]))),), Numbers.zeros(1), bytes(1))
    network = Network((Port("x", (1, 2), 0),), (Port("y", (1, 1), 2),), (hidden, last))
    assert decide(query_of(MONOTONE, network), UNLIMITED).answer == "sat"


def test_pairing_recovers_the_model_and_the_row() -> None:
    network = deep_network(3)
    query = query_of(
        "forall a, b : n.input  assume same(a, b) except x  assert 2 * n(a).r - 2 * n(b).r <= b.x - a.x", network
    )
    assert isinstance(query.violation, Row)
    compared = compared_values(query.network, query.violation)
    assert compared is not None
    pairing = find_pairing(query.network, *compared[:2])
    assert pairing is not None
    assert pairing.model.digest == network.digest
    row = difference_row(query.violation, compared[2], pairing)
    assert (row.outputs, row.slope, row.rest.coefficients, row.strict) == (
        (Fraction(2),), (Fraction(1), Fraction(0)), (), True
    )  # fmt: skip


def test_other_networks_are_no_pair() -> None:
    text = (
        BLOCK + BLOCK.replace("network n", "network k") + "property p { forall s : n.input  assert n(s).r <= k(s).r }"
    )
    (prop,) = lower(parse(text, "t.nnspec"), {"n": deep_network(1), "k": deep_network(2)}, {})
    assert isinstance(prop.query.violation, Row)
    compared = compared_values(prop.query.network, prop.query.violation)
    assert compared is not None and find_pairing(prop.query.network, *compared[:2]) is None


def test_a_slope_of_zero_is_exact() -> None:
    """Where the network does not depend on x at all, rounding must not keep the diagonal open."""
    first = Block(
        (Term(0, Matrix.dense(2, 2, Numbers.of_floats([0.0, 0.1, 0.0, -0.7]))),),
        Numbers.of_floats([0.3, 0.1]),
        bytes([1, 1]),
    )
    last = Block((Term(1, Matrix.dense(1, 2, Numbers.of_floats([0.9, -1.1]))),), Numbers.zeros(1), bytes(1))
    network = Network((Port("x", (1, 2), 0),), (Port("y", (1, 1), 2),), (first, last))
    assert closed(query_of(MONOTONE, network))


@pytest.mark.parametrize("body", [STEEP % "-3", LIPSCHITZ % "4", CLOSE % "4"])
def test_what_slopes_close_gets_a_certificate(body: str) -> None:
    closed_by_slopes = 0
    for seed in range(12):
        query = query_of(body, deep_network(seed))
        if not closed(query):
            continue
        found = decide(query, budget(), certificate=True)
        assert (found.answer, found.evidence) == ("unsat", Evidence.KERNEL) and found.payload is not None
        assert tuple(check(query, found.payload, "unsat").leaves) == ("slopes",)
        closed_by_slopes += 1
    assert closed_by_slopes > 5


def test_a_tree_without_its_splits_is_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    queries = [query_of(STEEP % rise, deep_network(seed)) for seed in range(14) for rise in ("-1", "-3")]
    split = [q for q in queries if dict(decide(q, budget(), certificate=True).leaves).get("slopes", 0) > 2]
    monkeypatch.setattr(_Partition, "tree", lambda _: bytes([LEAF]))
    mended = []
    for query in split:
        found = decide(query, budget(), certificate=True)
        assert found.evidence is Evidence.KERNEL
        mended.append(dict(found.leaves)["slopes"])
    assert max(mended) > 2


def test_a_partition_that_lies_gets_no_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_Partition, "closed", lambda *_: True)
    monkeypatch.setattr(slope_proof, "MOST_MENDED", 50)
    found = decide(query_of(MONOTONE, deep_network(3)), budget(), certificate=True)
    assert found.evidence is not Evidence.KERNEL and found.payload is None
    assert "too many leaves of slopes stay open" in found.notes[0]


def test_cheap_proofs_are_certified_unasked() -> None:
    found = decide(query_of(STEEP % "-9", deep_network(3)), budget())
    assert found.evidence is Evidence.KERNEL and dict(found.leaves) == {"slopes": 1}
