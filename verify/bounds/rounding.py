"""The one place where rounding errors of float64 bounds are accounted for.

Model.  IEEE float64, round to nearest, u = 2^-53, smallest positive number η = 2^-1074; no flush to zero, no
fast-math.  For every single operation fl(a∘b) = (a∘b)(1+δ) + ε with |δ| <= u, and |ε| <= η/2 for products, 0 for
sums.  A sum of n products computed in any order, fused or not, satisfies (Higham, Accuracy and Stability, §3.1)

    |fl(Σ a_i b_i) - Σ a_i b_i|  <=  γ_n Σ |a_i||b_i| + n η,     γ_n = n u / (1 - n u).                          (1)

BLAS is covered by (1): its order is unknown, but it multiplies and adds (no Strassen).

Stored weights are rounded once, |W - fl(W)| <= u|W| + η/2, which turns γ_n into γ_{n+1} and nη into (n+1)η(1+|b|).

What is computed here is itself rounded: the sums of non-negative numbers that make up an error term have a relative
error below 2^-20 (they have fewer than 2^32 summands), which `inflate` covers.  Infinities and NaN are no bound:
`reject_non_finite` turns them into the trivial bound.
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from verify.core.floats import Floats

UNIT_ROUNDOFF = 2.0**-53
SMALLEST = 2.0**-1074
SLACK = 8  # roundings charged on top of the counted ones; every use needs at most this many


def gamma(count: int) -> float:
    """An upper bound on γ_{count + SLACK}; exact powers of two keep this computation itself safe."""
    total = count + SLACK
    if total >= 2**40:
        raise ValueError("too many summands for the rounding model")
    return total * UNIT_ROUNDOFF * (1.0 + 2.0**-12)  # 1/(1 - nu) < 1 + 2^-12 for n < 2^40


def underflow(count: int, magnitude: Floats) -> Floats:
    """Bound on what underflow adds to `count` products, each then multiplied by a number of sum `magnitude`."""
    return (count + SLACK) * SMALLEST * (magnitude + 1.0)


def inflate(error: Floats) -> Floats:
    """Cover the rounding of a sum of non-negative error terms."""
    return error * (1.0 + 2.0**-20) + SMALLEST * SLACK


def reject_non_finite(lower: Floats, upper: Floats) -> tuple[Floats, Floats]:
    """Replace NaN by the trivial bounds -inf and +inf."""
    return np.where(np.isnan(lower), -np.inf, lower), np.where(np.isnan(upper), np.inf, upper)


def float_below(value: Fraction) -> float:
    """The largest float64 <= value (-inf when there is none)."""
    nearest = _nearest(value)
    if nearest == -np.inf or (np.isfinite(nearest) and Fraction(nearest) <= value):
        return nearest
    return float(np.nextafter(nearest, -np.inf))


def float_above(value: Fraction) -> float:
    """The smallest float64 >= value (+inf when there is none)."""
    return -float_below(-value)


def _nearest(value: Fraction) -> float:
    try:
        return value.numerator / value.denominator
    except OverflowError:
        return np.inf if value > 0 else -np.inf
