from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.core.rational import MAX_DIGITS, digits, parse_rational, rational


@given(st.fractions())
def test_round_trip(value: Fraction) -> None:
    assert parse_rational(rational(value)) == value


@pytest.mark.parametrize("power", [3999, 4000, 4001, 8000, 12_001])
def test_long_numbers(power: int) -> None:
    for value in (10**power, 10**power - 1, -(10**power) + 7):
        assert digits(value) == ("-" if value < 0 else "") + digits(abs(value))
        assert parse_rational(digits(value)) == value
    assert len(digits(10**power)) == power + 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        "+1",
        "1.5",
        "1e3",
        " 1",
        "1 ",
        "01",
        "-0",
        "1/1",
        "2/4",
        "1/0",
        "0/1",
        "1/-2",
        "--1",
        "1/2/3",
        "0x10",
        "١",
        "1_0",
        "1\n",
        "9" * (2 * MAX_DIGITS + 1),
    ],
)
def test_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"exact number|canonical|zero|too long"):
        parse_rational(text)
