"""Exact number vectors: values, storage and digest."""

import hashlib
import math
from array import array
from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.strategies import rationals, wild_floats
from verify.core.exact import NonFiniteError, Numbers, float_if_exact, integers_of_floats


def digest(numbers: Numbers) -> str:
    hasher = hashlib.sha256()
    numbers.digest_into(hasher)
    return hasher.hexdigest()


@given(st.lists(wild_floats, max_size=12))
@example([5e-324, 1e300, -0.0])
@example([1.5, -(2.0**-1074), 2.0**1023])
@example([1e300, 3.0])
@example([0.0, -0.0])
def test_integers_are_the_floats_exactly(values: list[float]) -> None:
    numerators, denominator = integers_of_floats(array("d", values))
    assert denominator > 0
    assert [Fraction(n, denominator) for n in numerators] == [Fraction(v) for v in values]
    assert Numbers.of_floats(values).integers() == (numerators, denominator)


@given(st.lists(wild_floats, max_size=8))
@example([-0.0, 5e-324, 1e300])
def test_floats_and_fractions_have_one_storage(values: list[float]) -> None:
    from_floats, from_fractions = Numbers.of_floats(values), Numbers.of(map(Fraction, values))
    assert from_fractions.floats is not None
    assert from_floats == from_fractions
    assert hash(from_floats) == hash(from_fractions)
    assert digest(from_floats) == digest(from_fractions)
    assert list(from_floats) == [Fraction(v) for v in values]


@given(st.lists(rationals, min_size=1, max_size=8))
def test_rationals_keep_their_values(values: list[Fraction]) -> None:
    numbers = Numbers.of(values)
    numerators, denominator = numbers.integers()
    assert list(numbers) == values == [Fraction(n, denominator) for n in numerators]
    assert [numbers[i] for i in range(len(values))] == values
    assert list(numbers[1:]) == values[1:]
    exact = all(float_if_exact(v) is not None for v in values)
    assert (numbers.floats is not None) == exact
    if not exact:
        assert math.gcd(numbers.denominator, *numbers.numerators) == 1


@given(st.lists(rationals, min_size=1, max_size=5), st.lists(rationals, min_size=1, max_size=5))
def test_equal_digest_means_equal_values(first: list[Fraction], second: list[Fraction]) -> None:
    a, b = Numbers.of(first), Numbers.of(second)
    assert (digest(a) == digest(b)) == (first == second) == (a == b)


def test_slices_return_to_float_storage() -> None:
    numbers = Numbers.of([Fraction(1, 3), Fraction(1, 2), Fraction(4)])
    assert numbers.floats is None
    assert numbers[1:].floats == array("d", [0.5, 4.0])


def test_negative_zero_is_zero() -> None:
    assert digest(Numbers.of_floats([-0.0, 1.0])) == digest(Numbers.of_floats([0.0, 1.0]))
    assert Numbers.of_floats([-0.0]) == Numbers.zeros(1)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_no_nan_or_infinity(value: float) -> None:
    with pytest.raises(NonFiniteError):
        Numbers.of_floats([1.0, value])
    with pytest.raises(NonFiniteError):
        Numbers.of_buffer(array("d", [value]).tobytes())


def test_only_float64_arrays() -> None:
    with pytest.raises(TypeError):
        Numbers.of_floats(array("f", [1.0]))


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (Fraction(1, 2), 0.5),
        (Fraction(1, 3), None),
        (Fraction(2**53 + 1), None),
        (Fraction(2**1024), None),
        (Fraction(5, 2**1074), 5 * 5e-324),
        (Fraction(1, 2**1075), None),
        (Fraction(0), 0.0),
    ],
)
def test_float_if_exact(value: Fraction, expected: float | None) -> None:
    assert float_if_exact(value) == expected


def test_repr_is_short() -> None:
    assert repr(Numbers.of([1] * 9)) == "Numbers([1, 1, 1, 1, 1, 1, …], n=9)"
