"""Exact linear programs by Fourier–Motzkin elimination over integers; strict rows are exact."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

Half = tuple[tuple[int, ...], bool]  # (a_0, …, a_n-1, b), strict: a·x <= b (or < b), over integers
Form = tuple[tuple[Fraction, ...], Fraction]  # coefficients·x + constant
ZERO, ONE = Fraction(0), Fraction(1)


def half(coefficients: Sequence[Fraction], bound: Fraction, strict: bool) -> Half:
    scale = math.lcm(bound.denominator, *(c.denominator for c in coefficients))
    return _primitive([int(c * scale) for c in (*coefficients, bound)], strict)


def _primitive(numbers: Sequence[int], strict: bool) -> Half:
    divisor = math.gcd(*numbers)
    return (tuple(n // divisor for n in numbers) if divisor > 1 else tuple(numbers)), strict


def eliminate(rows: set[Half], variable: int) -> set[Half] | None:
    """The projection along one variable; None as soon as a row without variables is false."""
    lower: list[Half] = []
    upper: list[Half] = []
    result: set[Half] = set()
    for row in rows:
        a = row[0][variable]
        if a:
            (upper if a > 0 else lower).append(row)
        else:
            result.add(row)
    for (c, c_strict), (d, d_strict) in itertools.product(upper, lower):
        p, q = c[variable], -d[variable]
        combined = [q * s + p * t for s, t in zip(c, d, strict=True)]
        if any(combined[:-1]):
            result.add(_primitive(combined, c_strict or d_strict))
        elif combined[-1] < 0 or (combined[-1] == 0 and (c_strict or d_strict)):
            return None
    return _undominated(result)


def _undominated(rows: set[Half]) -> set[Half] | None:
    """Of rows with the same direction only the tightest."""
    best: dict[tuple[int, ...], tuple[Fraction, bool]] = {}
    for numbers, strict in rows:
        divisor = math.gcd(*numbers[:-1])
        if not divisor:
            if numbers[-1] < 0 or (numbers[-1] == 0 and strict):
                return None
            continue
        direction = tuple(n // divisor for n in numbers[:-1])
        found = best.get(direction)
        bound = Fraction(numbers[-1], divisor)
        if found is None or (bound, not strict) < (found[0], not found[1]):
            best[direction] = (bound, strict)
    return {_primitive([*(n * b.denominator for n in d), b.numerator], s) for d, (b, s) in best.items()}


def feasible(rows: set[Half], size: int) -> bool:
    left: set[Half] | None = rows
    open_variables = set(range(size))
    while left and open_variables:
        current = left
        variable = min(open_variables, key=lambda v: _pairs(current, v))
        open_variables.discard(variable)
        left = eliminate(left, variable)
    return left is not None and _undominated(left) is not None


def _pairs(rows: set[Half], variable: int) -> int:
    signs = [row[0][variable] for row in rows]
    ups, downs = sum(s > 0 for s in signs), sum(s < 0 for s in signs)
    return ups * downs - ups - downs


def minimum(rows: set[Half], objective: Form) -> tuple[Fraction, bool] | None:
    """The infimum of a form over the polyhedron and whether it is attained; None when empty.  Must be bounded."""
    coefficients, constant = objective
    size = len(coefficients)
    extended = {((*a[:-1], 0, a[-1]), s) for a, s in rows}  # one more variable, equal to the objective
    extended.add(half([*coefficients, -ONE], -constant, False))
    extended.add(half([*(-c for c in coefficients), ONE], constant, False))
    left: set[Half] | None = extended
    open_variables = set(range(size))
    while open_variables:
        if left is None:
            return None
        current = left
        variable = min(open_variables, key=lambda v: _pairs(current, v))
        open_variables.discard(variable)
        left = eliminate(left, variable)
    if left is None or not feasible(left, size + 1):
        return None
    value, strict = max((Fraction(a[-1], a[size]), s) for a, s in left if a[size] < 0)
    return value, not strict
