"""Splitting by ReLU phases, forced onto small queries: never against brute force, and able to decide."""

from __future__ import annotations

import random

import numpy as np
import pytest

from tests.oracle import phase_enumeration, random_tiny_query
from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import budget
from verify.core.floats import Floats
from verify.search import tiers
from verify.search.compiled.choice import full_halves, halves
from verify.search.compiled.dual import dual_bound
from verify.search.compiled.system import ACTIVE, INACTIVE, SHAKY, add_scaled, relax
from verify.search.decide import decide

Places = tuple[int, ...]


def agreeing(seconds: float = 0.3) -> int:
    """How many tiny queries are decided, each as brute force does."""
    decided = 0
    for number in range(60):
        query = random_tiny_query(random.Random(7000 + number), number % 2 == 0)
        decision = decide(query, budget(seconds))
        assert 0.0 <= decision.settled <= 1.0
        decided += decision.answer != "unknown"
        if decision.answer != "unknown":
            assert (decision.answer == "sat") == phase_enumeration(query), number
    return decided


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_phases_agree_with_brute_force(monkeypatch: pytest.MonkeyPatch) -> None:
    """Exact ties may stay open here: phases are fixed in float64, and nothing is judged exactly."""
    monkeypatch.setattr(tiers, "NARROW", -1)
    monkeypatch.setattr(tiers, "FEW_REGIONS", -1)
    decided = agreeing()
    assert decided >= 30, decided


@pytest.mark.usefixtures("splitting", "compiled")
def test_phases_prove_and_refute_near_the_optimum(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bounds a little above and below what the network reaches, on nets whose relaxation is not tight."""
    from fractions import Fraction

    from tests.search.networks import network, over_box
    from verify.core.query import Row

    monkeypatch.setattr(tiers, "NARROW", -1)
    rng = random.Random(3)
    for _ in range(2):
        inputs, hidden = 4, 10
        weights = [[rng.randint(-4, 4) for _ in range(inputs)] for _ in range(hidden)]
        out = [[rng.choice((-3, -2, -1, 1, 2)) for _ in range(hidden)]]
        net = network(
            inputs, ([(0, weights)], [rng.randint(-3, 3) for _ in range(hidden)], True), ([(1, out)], [0], False)
        )

        def answer(bound: Fraction) -> str:
            return decide(over_box(net, -1, 1, Row.of({}, {0: -1}, -bound)), budget(20)).answer  # noqa: B023

        low, high = Fraction(-1000), Fraction(1000)
        while high - low > Fraction(1, 64):
            middle = (low + high) / 2
            found = answer(middle)
            assert found != "unknown"
            low, high = (middle, high) if found == "sat" else (low, middle)
        assert phase_enumeration(over_box(net, -1, 1, Row.of({}, {0: -1}, -low)))
        assert not phase_enumeration(over_box(net, -1, 1, Row.of({}, {0: -1}, -high)))


def one_layer(rng: np.random.Generator, inputs: int, relus: int) -> tuple[Floats, Places, int, int]:
    """A bound's numbers over one layer of unstable ReLUs and one row: (F, dual_bound's places, inputs, ReLUs)."""
    from verify.bounds.compressed import CompressedSystem
    from verify.search.compiled.session import flatten

    weights, row = rng.normal(size=(relus, inputs)), rng.normal(size=(1, relus))
    reach = np.abs(weights).sum(axis=1)
    matrix = np.vstack([np.hstack([weights, np.zeros((relus, relus))]), np.hstack([np.zeros((1, inputs)), row])])
    size = np.concatenate([reach, [np.abs(row).sum() * reach.max()]])
    system = CompressedSystem(matrix, np.zeros(relus + 1), np.zeros(relus + 1), size, -reach, reach)
    root = flatten(system)
    sizes = [inputs + relus, 4 * relus, 2 * inputs, 1, relus, relus, relus, relus, 1]
    places = np.cumsum([len(root), *sizes])
    F = np.zeros(places[-1])
    F[: len(root)] = root
    form, relaxations, box, row_weights, alphas, betas, splits, coefficients, tiny = (int(p) for p in places[:-1])
    F[box : box + inputs], F[box + inputs : box + 2 * inputs] = -1.0, 1.0
    F[row_weights] = 1.0
    F[alphas : alphas + relus] = rng.uniform(size=relus)
    for j in range(relus):
        relax(F, relaxations + 4 * j, -reach[j], reach[j])
    return F, (form, relaxations, box, row_weights, alphas, betas, splits, coefficients, tiny), inputs, relus


def test_look_ahead_of_one_layer_foretells_the_bounds_of_both_halves() -> None:
    """The quick bounds with their multipliers are what a full pass over the half says, and no worse than without."""
    rng, improved, P = np.random.default_rng(5), 0, np.zeros(1, dtype=np.int64)
    for _ in range(20):
        F, at, inputs, relus = one_layer(rng, 5, 7)
        relaxations, betas, splits = at[1], at[5], at[6]
        for j in range(relus):
            base = dual_bound(F, P, 0, inputs, relus, relus, 0, 1, at)
            quick = halves(F, 0, inputs, j, base, at)
            plain = full_halves(F, P, 0, inputs, relus, relus, 0, 1, j, at)
            for half, (phase, sign) in enumerate([(ACTIVE, 1.0), (INACTIVE, -1.0)]):
                bound, multiplier = quick[2 * half : 2 * half + 2]
                F[relaxations + 4 * j], F[splits + j], F[betas + j] = phase, sign, multiplier
                assert dual_bound(F, P, 0, inputs, relus, relus, 0, 1, at) == pytest.approx(bound, abs=1e-9)
                assert bound >= plain[half] - 1e-9 and multiplier >= 0.0
                improved += multiplier > 0.0 and bound > plain[half] + 1e-3
            F[relaxations + 4 * j], F[splits + j], F[betas + j] = SHAKY, 0.0, 0.0
    assert improved > 20


def test_adding_rows_of_no_length_changes_nothing() -> None:
    F = np.arange(6.0)
    for count in (0, -3):
        add_scaled(F, 0, 3, 2.0, count)
    assert F.tolist() == [0, 1, 2, 3, 4, 5]
    add_scaled(F, 0, 3, 2.0, 2)
    assert F.tolist() == [6, 9, 2, 3, 4, 5]
