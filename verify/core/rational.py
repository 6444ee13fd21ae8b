"""Exact rationals as decimal text, `n` or `p/q` in lowest terms, of any length (standard library only)."""

from __future__ import annotations

import re
from fractions import Fraction

MAX_DIGITS = 20_000  # of one number that is read: conversion takes quadratic time
_CHUNK = 4000  # below Python's limit on the digits of int <-> str
_TEXT = re.compile(r"(-?[0-9]+)(?:/([0-9]+))?", re.ASCII)


def rational(value: Fraction) -> str:
    """The canonical text of an exact number."""
    return digits(value.numerator) + ("" if value.denominator == 1 else "/" + digits(value.denominator))


def parse_rational(text: str) -> Fraction:
    """The number a canonical text names.  Raises ValueError when it is not one, or too long."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text[:40]!r} is not an exact number")
    if len(text) > 2 * MAX_DIGITS:
        raise ValueError(f"a number of {len(text)} characters is too long")
    denominator = _integer(match[2] or "1")
    if not denominator:
        raise ValueError(f"{text[:40]!r} divides by zero")
    value = Fraction(_integer(match[1]), denominator)
    if rational(value) != text:
        raise ValueError(f"{text[:40]!r} is not in canonical form")
    return value


def digits(value: int) -> str:
    """Decimal digits of an integer of any length (str() refuses beyond 4300)."""
    if abs(value) < 10**_CHUNK:
        return str(value)
    sign, rest, parts = "-" if value < 0 else "", abs(value), []
    while rest:
        rest, low = divmod(rest, 10**_CHUNK)
        parts.append(str(low).rjust(_CHUNK, "0") if rest else str(low))
    return sign + "".join(reversed(parts))


def _integer(text: str) -> int:
    sign, text = (-1, text[1:]) if text.startswith("-") else (1, text)
    first = len(text) % _CHUNK
    value = int(text[:first] or "0")
    for start in range(first, len(text), _CHUNK):
        value = value * 10**_CHUNK + int(text[start : start + _CHUNK])
    return sign * value
