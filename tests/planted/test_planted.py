"""Networks with a counterexample that is known by construction: never PROVED, on any path."""

from __future__ import annotations

import random
from fractions import Fraction

import pytest

from tests.oracle import random_network
from tests.search.conftest import compiled, no_attack, numpy_only, splitting, tier  # noqa: F401
from tests.search.networks import budget, network, over_box
from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.query import And, Query, Row, holds
from verify.search.decide import decide

pytestmark = pytest.mark.usefixtures("tier")


def never_proved(query: Query, x: tuple[Fraction, ...], seconds: float = 2.0) -> str:
    """The answer, after making sure that `x` is a counterexample."""
    y = evaluate(query.network, x)
    assert holds(query.assumption, x, y) and holds(query.violation, x, y)
    found = decide(query, budget(seconds))
    assert found.answer in ("sat", "unknown")
    return found.answer


@pytest.mark.usefixtures("no_attack")
@pytest.mark.parametrize("number", range(12))
def test_a_bound_at_the_exact_value_of_a_random_point(number: int) -> None:
    """Or beyond it by 2^-60, so that float64 sees no difference; as one row and as an equality."""
    rng = random.Random(number)
    net = random_network(rng, number % 2 == 0)
    x = tuple(Fraction(rng.randint(-30, 30), rng.choice((7, 10, 16))) for _ in range(net.input_size))
    y = evaluate(net, x)
    k = rng.randrange(len(y))
    sides = [Fraction(rng.randint(1, 9), 3) for _ in x]
    more = tuple(Row.of({i: s}, {}, s * v + w) for i, (v, w) in enumerate(zip(x, sides, strict=True)) for s in (1, -1))
    slack = rng.choice((Fraction(0), Fraction(1, 2**60)))
    low, high = Row.of({}, {k: 1}, y[k] + slack), Row.of({}, {k: -1}, slack - y[k])
    assert never_proved(over_box(net, -9, 9, rng.choice((low, high, And((low, high)))), *more), x) == "sat"


def spike(inputs: int, centre: Fraction, width: Fraction) -> Network:
    """min over the inputs of a triangle around `centre`, 1 at the peak, at most 0 further than `width` away."""
    eye = [[1.0 if i == k else 0.0 for k in range(inputs)] for i in range(inputs)]
    sharp = 1 / width
    distance = [row for e in eye for row in ([v * sharp for v in e], [-v * sharp for v in e])]
    shift = [s for _ in range(inputs) for s in (-centre * sharp, centre * sharp)]
    return network(inputs, ([(0, distance)], shift, True), ([(1, [[-1.0] * (2 * inputs)])], [1], False))


@pytest.mark.parametrize("exponent", [2, 4, 6, 9])
@pytest.mark.parametrize("inputs", [1, 2, 3])
@pytest.mark.parametrize("centre", [Fraction(1, 3), Fraction(11, 16)])
def test_a_spike_that_no_sample_meets(inputs: int, exponent: int, centre: Fraction) -> None:
    """Its peak alone reaches 1; between 2e-2 and 2e-9 of the box in each direction."""
    net = spike(inputs, centre, Fraction(1, 10**exponent))
    for level in (Fraction(1, 2), Fraction(1)):  # the upper half of the spike; its one peak
        never_proved(over_box(net, -1, 1, Row.of({}, {0: -1}, -level)), (centre,) * inputs, 1.0)
    above = Row.of({}, {0: -1}, -1, strict=True)
    assert decide(over_box(net, -1, 1, above), budget(5)).answer in ("unsat", "unknown")


def cancelling(big: float, deep: bool) -> Network:
    """y = ((big + x) - big) through ReLUs: exactly x + 1, while float64 rounds away x, or all of it."""
    first = ([(0, [[1], [0]])], [big + 1 if big < 2.0**53 else big, big], True)
    middle = ([(1, [[1, 0], [0, 1]])], [1, 0], True)
    last = ([(2 if deep else 1, [[1, -1]])], [0.0 if deep else 1.0], False)
    return network(1, first, middle, last) if deep else network(1, first, last)


@pytest.mark.parametrize("big", [1e16, 2.0**54 + 4, 1e20, 1e30, 2.0**100])
@pytest.mark.parametrize("deep", [False, True])
def test_float64_alone_would_prove_a_falsehood(big: float, deep: bool) -> None:
    """y = x + 1 over [0, 1/2]: float64 gives y = 0 or 1 throughout, so y <= 1 or y < 1 looks true. It is false."""
    net = cancelling(big, deep)
    half = Fraction(1, 2)
    assert evaluate(net, (half,)) == (Fraction(3, 2),)
    for bound in (Fraction(3, 2), Fraction(1), Fraction(1, 3)):
        never_proved(over_box(net, 0, half, Row.of({}, {0: -1}, -bound)), (half,))
    assert decide(over_box(net, 0, half, Row.of({}, {0: -1}, -2)), budget(5)).answer in ("unsat", "unknown")


def test_sums_whose_order_matters_in_float64() -> None:
    """Σ of 1e16, 1 (64 times) and -1e16, exactly 64 x: float64 gives 0 in one order, 64 in another."""
    weights = [1e16] + [1.0] * 64 + [-1e16]
    net = network(1, ([(0, [[1]] * 66)], [0] * 66, True), ([(1, [weights])], [0], False))
    never_proved(over_box(net, 0, 1, Row.of({}, {0: -1}, -64)), (Fraction(1),))
    never_proved(over_box(net, 0, 1, Row.of({}, {0: 1}, 0)), (Fraction(0),))


def test_denormal_weights_are_not_zero() -> None:
    """2^-1074 x, then times 2^1000 twice: exactly 2^926 x."""
    net = network(
        1,
        ([(0, [[2.0**-1074]])], [0], True),
        ([(1, [[2.0**1000]])], [0], True),
        ([(2, [[2.0**1000]])], [0], False),
    )
    never_proved(over_box(net, 0, 1, Row.of({}, {0: -1}, -(Fraction(2) ** 926))), (Fraction(1),))
