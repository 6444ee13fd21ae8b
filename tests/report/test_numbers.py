from __future__ import annotations

import struct
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.core.rational import rational
from verify.report.numbers import equation, exact, float_text, percent, shown


@pytest.mark.parametrize(
    ("value", "text", "is_exact"),
    [
        (Fraction(0), "0", True),
        (Fraction(3, 10), "0.3", True),
        (Fraction(-1, 8), "-0.125", True),
        (Fraction(60760), "60760", True),
        (Fraction(1, 3), "0.3333333", False),
        (Fraction(-2, 3), "-0.6666667", False),
        (Fraction(1, 2**60), "8.673617e-19", False),
        (Fraction(10**30), "1e30", False),
        (Fraction(0.1), "0.1", False),
        (Fraction(2, 3) * 10**8, "66666670", False),
    ],
)
def test_shown(value: Fraction, text: str, is_exact: bool) -> None:
    assert shown(value) == (text, is_exact)


def test_equation() -> None:
    assert equation("s.x", Fraction(3, 10), "m") == "s.x = 0.3 m"
    assert equation("s.x", Fraction(1, 3)) == "s.x ≈ 0.3333333"


@given(st.fractions())
def test_exact_text_is_exact(value: Fraction) -> None:
    assert Fraction(exact(value)) == value
    assert Fraction(rational(value)) == value
    text, is_exact = shown(value)
    assert not is_exact or Fraction(text) == value


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_exact_text_of_floats(value: float) -> None:
    assert Fraction(exact(Fraction(value))) == Fraction(value)


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_float_text_names_the_float32(value: float) -> None:
    assert struct.unpack("f", struct.pack("f", float(float_text(value))))[0] == value


def test_float_text_of_what_is_no_number() -> None:
    assert [float_text(float(v)) for v in ("nan", "inf", "-inf")] == ["nan", "inf", "-inf"]


def test_numbers_beyond_pythons_digit_limit() -> None:
    huge = Fraction(7**9000 + 1, 3)
    text = rational(huge)
    assert len(text) > 7000 and text.endswith("/3")
    assert shown(huge)[1] is False


def test_percent_never_rounds_up_to_all() -> None:
    assert percent(0.9999999) == "99.9 %"
    assert percent(1.0) == "100 %"
    assert percent(0.25) == "25.0 %"
