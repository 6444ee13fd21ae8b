"""The rounding model: its constants, its outward conversions, and the arithmetic it assumes of this machine."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verify.bounds import rounding
from verify.bounds.rounding import SLACK, SMALLEST, float_above, float_below, gamma, inflate, reject_non_finite

U = Fraction(1, 2**53)


@given(st.fractions() | st.floats(allow_nan=False, allow_infinity=False).map(Fraction))
@example(Fraction(1, 3))
@example(Fraction(10) ** 400)
@example(-(Fraction(10) ** 400))
@example(Fraction(1, 10**400))
@example(-Fraction(1, 10**400))
@example(Fraction(2) ** 1024)
def test_conversions_are_outwards_and_tight(value: Fraction) -> None:
    below, above = float_below(value), float_above(value)
    assert below == -np.inf or Fraction(below) <= value
    assert above == np.inf or Fraction(above) >= value
    with np.errstate(over="ignore"):
        assert below == above or np.nextafter(below, np.inf) == above


@pytest.mark.parametrize("count", [0, 1, 50, 10**6, 2**39])
def test_gamma_is_an_upper_bound(count: int) -> None:
    n = count + SLACK
    assert Fraction(gamma(count)) >= n * U / (1 - n * U)


def test_gamma_refuses_what_the_model_does_not_cover() -> None:
    with pytest.raises(ValueError, match="summands"):
        gamma(2**40)


@given(st.lists(st.floats(0, 1e300) | st.floats(0, 1e-300), min_size=1, max_size=40))
def test_inflate_covers_a_rounded_sum(terms: list[float]) -> None:
    with np.errstate(all="ignore"):
        found = float(inflate(np.array(terms).sum()))
    assert found == np.inf or Fraction(found) >= sum(map(Fraction, terms))


def test_no_bound_from_nan() -> None:
    low, high = reject_non_finite(np.array([np.nan, 1.0]), np.array([np.nan, 2.0]))
    assert low.tolist() == [-np.inf, 1.0] and high.tolist() == [np.inf, 2.0]


def test_denormal_numbers_are_not_flushed_to_zero() -> None:
    """The model's assumption; some libraries switch it off for the whole process when they are loaded."""
    import onnxruntime  # noqa: F401
    import z3  # noqa: F401

    tiny = np.full((4, 4), SMALLEST)
    assert (tiny * 1.0 == SMALLEST).all() and ((tiny @ np.full((4, 4), 2.0)) == 8 * SMALLEST).all()
    assert rounding.underflow(1, np.zeros(1))[0] > 0
