"""Blocks under construction in plain Python: exact rows over numbered elements.

Every element has a number: the inputs' elements first, then the rows in the order they are emitted.  All numbers are
float64 and every operation on them is exact; a result that is no float64 is refused here (the other importer then
keeps rationals).
"""

from __future__ import annotations

import itertools
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.exact import float_if_exact
from verify.independent.refusal import Allowance, RefusedError

ROW = 16  # what a row or an input costs beside its entries, in entries
LEAST_MAGNITUDE, MOST_MAGNITUDE = 2.0**-900, 2.0**900  # within these no product loses bits to underflow

Columns = tuple[int, ...]
Values = Sequence[float]


@dataclass(frozen=True, eq=False)
class Rows:
    """Row k is Σ values[k]·element(columns[k]) + bias[k], rectified where relu[k] is 1.

    Columns ascend strictly within a row, no value is zero.  Rows may share their columns and values.
    """

    columns: list[Columns]
    values: list[Values]
    bias: list[float]
    relu: bytearray

    def __len__(self) -> int:
        return len(self.bias)


class Builder:
    """Collects blocks in topological order."""

    def __init__(self, input_size: int, allowance: Allowance) -> None:
        self.input_size = input_size
        self.blocks: list[Rows] = []
        self.allowance = allowance
        self.next_id = input_size

    def emit(self, rows: Iterable[tuple[Columns, Values]], bias: Iterable[float], *, relu: bool = False) -> list[int]:
        """Add a block; repeated columns are summed and zeros dropped, exactly.  Result: the ids of its rows."""
        block = Rows([], [], list(bias), bytearray())
        ascending: dict[int, tuple[Columns, bool]] = {}  # by identity: the rows of one matrix share their columns
        for columns, values in rows:
            self.allowance.spend(ROW + len(columns))
            if id(columns) not in ascending:
                ascending[id(columns)] = columns, all(a < b for a, b in itertools.pairwise(columns))
            if not ascending[id(columns)][1]:
                columns, values = _merged(columns, values)
            elif 0.0 in values:
                columns, values = without_zeros(columns, values)
            block.columns.append(columns)
            block.values.append(values)
        if len(block.columns) != len(block.bias):
            raise AssertionError("one bias per row")
        block.relu.extend((b"\1" if relu else b"\0") * len(block))
        first, self.next_id = self.next_id, self.next_id + len(block)
        self.blocks.append(block)
        return list(range(first, self.next_id))


def _merged(columns: Columns, values: Values) -> tuple[Columns, Values]:
    sums: dict[int, Fraction] = {}
    for column, value in zip(columns, values, strict=True):
        sums[column] = sums.get(column, Fraction(0)) + Fraction(value)
    kept = tuple(c for c in sorted(sums) if sums[c])
    return kept, array("d", [checked(float_if_exact(sums[c])) for c in kept])


def without_zeros(columns: Columns, values: Values) -> tuple[Columns, Values]:
    kept = tuple(c for c, v in zip(columns, values, strict=True) if v)
    return kept, array("d", filter(None, values))


def checked(value: float | None) -> float:
    """A result that must be a float64."""
    if value is None:
        raise RefusedError("a weight is no float64 number once constants are combined")
    return value


def exact_product(a: float, b: float) -> float | None:
    """a·b if it is exactly a float64, else None.  Raises RefusedError beyond 2^±900."""
    result = a * b
    if not result and (not a or not b):
        return 0.0
    if not LEAST_MAGNITUDE <= abs(result) <= MOST_MAGNITUDE:
        raise RefusedError("a product of weights is beyond 2^±900")
    (n, d), (m, e), (p, q) = a.as_integer_ratio(), b.as_integer_ratio(), result.as_integer_ratio()
    return result if p * d * e == n * m * q else None


def exact_sum(a: float, b: float) -> float | None:
    """a + b if it is exactly a float64, else None."""
    if not a or not b:
        return a + b
    result = a + b
    if abs(result) > MOST_MAGNITUDE:
        raise RefusedError("a sum of weights is beyond 2^900")
    (n, d), (m, e), (p, q) = a.as_integer_ratio(), b.as_integer_ratio(), result.as_integer_ratio()
    return result if p * d * e == (n * e + m * d) * q else None
