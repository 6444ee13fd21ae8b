"""Exact arithmetic on NumPy arrays: float64 while every result is exactly one, rationals otherwise.

An exact array has dtype float64, or dtype object with Fraction entries.  Nothing here rounds.
"""

from __future__ import annotations

from fractions import Fraction
from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.core.exact import Numbers, float_if_exact

Array = NDArray[Any]
Ints = NDArray[np.int64]

SPLITTER = 134217729.0  # 2**27 + 1
TINY_PRODUCT = 2.0**-960  # below this the error of a product may itself underflow
ROOT_BITS = 128


def exact(values: Array) -> Array:
    """`values` as an exact array: floats and integers widened to float64 (exactly), rationals kept."""
    if values.dtype == object:
        return values
    if values.dtype.kind in "iu":
        widened = values.astype(np.float64)
        if values.size and int(np.abs(widened).max()) > 1 << 53:
            return settle(np.array([Fraction(int(v)) for v in values.ravel()], dtype=object).reshape(values.shape))
        return widened
    return np.asarray(values, dtype=np.float64)


def fractions(values: Array) -> Array:
    """The same numbers as Fractions (dtype object)."""
    if values.dtype == object:
        return values
    result = np.empty(values.size, dtype=object)
    result[:] = [Fraction(v) for v in values.ravel().tolist()]
    return result.reshape(values.shape)


def settle(values: Array) -> Array:
    """A rational array as float64 when every entry is exactly one, else as it is."""
    floats = np.empty(values.size, dtype=np.float64)
    for position, value in enumerate(values.ravel()):
        as_float = float_if_exact(value)
        if as_float is None:
            return values
        floats[position] = as_float
    return floats.reshape(values.shape)


def total(a: Array, b: Array) -> Array:
    """a + b exactly (broadcasting)."""
    if a.dtype != object and b.dtype != object:
        added = float_sum(a, b)
        if added is not None:
            return added
    return settle(np.asarray(fractions(a) + fractions(b), dtype=object))


def product(a: Array, b: Array) -> Array:
    """a * b exactly (broadcasting)."""
    if a.dtype != object and b.dtype != object:
        multiplied = float_product(a, b)
        if multiplied is not None:
            return multiplied
    return settle(np.asarray(fractions(a) * fractions(b), dtype=object))


def float_sum(a: Array, b: Array) -> Array | None:
    """a + b when every sum is exactly a float64, else None.  Method: Knuth's two-sum has no error term."""
    with np.errstate(over="ignore", invalid="ignore"):
        rounded = a + b
        second = rounded - a
        error = (a - (rounded - second)) + (b - second)
    if not np.isfinite(rounded).all() or error.any():
        return None
    return np.asarray(rounded)


def float_product(a: Array, b: Array) -> Array | None:
    """a * b when every product is exactly a float64, else None.  Method: Dekker's error term is zero."""
    if (np.abs(a) == 1.0).all() or (np.abs(b) == 1.0).all():
        return np.asarray(a * b)
    with np.errstate(over="ignore", invalid="ignore", under="ignore"):
        rounded = a * b
        a_high, b_high = _high(a), _high(b)
        a_low, b_low = a - a_high, b - b_high
        error = ((a_high * b_high - rounded) + a_high * b_low + a_low * b_high) + a_low * b_low
        safe = np.isfinite(error) & np.isfinite(rounded)
    zero = (a == 0) | (b == 0)
    if not safe.all() or error.any() or not ((np.abs(rounded) >= TINY_PRODUCT) | zero).all():
        return None
    return np.asarray(rounded)


def _high(values: Array) -> Array:
    scaled = SPLITTER * values
    return np.asarray(scaled - (scaled - values))


def reciprocal(values: Array) -> Array:
    """1 / values exactly; `values` hold no zero."""
    result = np.empty(values.size, dtype=object)
    known: dict[Any, Fraction] = {}
    for position, value in enumerate(values.ravel().tolist()):
        if value not in known:
            known[value] = 1 / Fraction(value)
        result[position] = known[value]
    return settle(result.reshape(values.shape))


def add_at(base: Array, rows: Ints, amounts: Array) -> Array:
    """base with amounts[i] added at rows[i], exactly; rows may repeat, in any order."""
    if base.dtype != object and amounts.dtype != object:
        added = float_add_at(base, rows, amounts)
        if added is not None:
            return added
    result = fractions(base).copy()
    for row, amount in zip(rows.tolist(), amounts.tolist(), strict=True):
        result[row] += Fraction(amount)
    return settle(result)


def float_add_at(base: Array, rows: Ints, amounts: Array) -> Array | None:
    """As `add_at` when every partial sum is exactly a float64, else None.  One vector sum per repetition."""
    result: Array = base.copy()
    order = np.argsort(rows, kind="stable")
    rows, amounts = rows[order], amounts[order]
    while len(rows):
        fresh = np.ones(len(rows), dtype=bool)
        fresh[1:] = rows[1:] != rows[:-1]
        added = float_sum(result[rows[fresh]], amounts[fresh])
        if added is None:
            return None
        result[rows[fresh]] = added
        rows, amounts = rows[~fresh], amounts[~fresh]
    return result


def numbers(values: Array) -> Numbers:
    """An exact array, flattened, as core's Numbers.  Raises NonFiniteError."""
    if values.dtype == object:
        return Numbers.of(values.ravel().tolist())
    flat = np.ascontiguousarray(values, dtype=np.float64).ravel() + 0.0
    return Numbers.of_buffer(flat.data.cast("B")) if flat.size else Numbers.zeros(0)


def rounded_ratio_to_root(numerator: Fraction, square: Fraction) -> float:
    """numerator / sqrt(square), correctly rounded to float64 (ties cannot occur unless exact).

    Method: the integer square root of the squared quotient to 128 bits, with a sticky bit below.
    """
    quotient = numerator * numerator / square
    shift = max(0, ROOT_BITS - (quotient.numerator.bit_length() - quotient.denominator.bit_length()) // 2)
    scaled, rest = divmod(quotient.numerator << (2 * shift), quotient.denominator)
    root = isqrt(scaled)
    sticky = 1 if rest or root * root != scaled else 0
    magnitude = (2 * root + sticky) / (1 << (shift + 1))
    return -magnitude if numerator < 0 else magnitude
