"""Small linear programs in exact rational arithmetic, with the multipliers that prove infeasibility.

Method: the dictionary form of the simplex method with Bland's rule (it cannot cycle), and one artificial variable where
the origin is infeasible (Chvátal, Linear Programming, chapters 2, 3 and 8).  For a few rows and inputs only.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

ZERO, ONE = Fraction(0), Fraction(1)
Half = tuple[tuple[Fraction, ...], bool]  # (constant, coefficients…), strict: constant + a·τ <= 0 (or < 0)


@dataclass(frozen=True)
class Infeasible:
    """Integers >= 0, one per row: that combination is > 0 on 0 <= τ <= 1 (or >= 0, with a strict row in it)."""

    multipliers: tuple[int, ...]


def solve(rows: Sequence[Half]) -> Infeasible | tuple[Fraction, ...]:
    """Some τ with 0 <= τ <= 1 that satisfies every row, strict ones strictly; or why there is none.

    Maximises t <= 1 with a·τ + constant + t <= 0 for the strict rows: there is a solution iff t can be above 0
    (at least 0 where no row is strict).
    """
    n = len(rows[0][0]) - 1
    matrix = [[*form[1:], ONE if strict else ZERO] for form, strict in rows]
    bounds = [-form[0] for form, _ in rows]
    for k in range(n + 1):
        matrix.append([ONE if j == k else ZERO for j in range(n + 1)])
        bounds.append(ONE)
    table = _Dictionary(matrix, bounds)
    multipliers = table.make_feasible()
    if multipliers is None:
        multipliers = table.maximise([ZERO] * n + [ONE])
        point = table.point()
        if point[n] > 0 or not any(strict for _, strict in rows):
            return tuple(point[:n])
    return Infeasible(_integers(multipliers[: len(rows)]))


class _Dictionary:
    """x_basic = constants - coefficients · x_other >= 0 for the rows matrix · x <= bounds, x >= 0.

    Variables: 0 … n-1 those of the problem, n … n+m-1 the slacks, n+m the artificial one.
    """

    def __init__(self, matrix: Sequence[Sequence[Fraction]], bounds: Sequence[Fraction]) -> None:
        self.n, self.m = len(matrix[0]), len(matrix)
        self.basic = [self.n + i for i in range(self.m)]
        self.other = list(range(self.n))
        self.rows = [list(row) for row in matrix]
        self.constants = list(bounds)
        self.objective = [ZERO] * self.n
        self.value = ZERO

    def make_feasible(self) -> list[Fraction] | None:
        """None when x >= 0 exists; else multipliers of the rows that show there is none."""
        worst = min(range(self.m), key=lambda i: self.constants[i])
        if self.constants[worst] >= 0:
            return None
        artificial = self.n + self.m
        self.other.append(artificial)
        for row in self.rows:
            row.append(-ONE)
        self.objective, self.value = [ZERO] * self.n + [-ONE], ZERO
        self._pivot(worst, self.n)
        self._climb()
        if self.value < 0:
            return self._multipliers()
        if artificial in self.basic:
            i = self.basic.index(artificial)
            self._pivot(i, next(j for j, a in enumerate(self.rows[i]) if a))
        j = self.other.index(artificial)
        del self.other[j], self.objective[j]
        for row in self.rows:
            del row[j]
        return None

    def maximise(self, objective: Sequence[Fraction]) -> list[Fraction]:
        """Climb to the largest objective · x, which must be bounded; returns the optimal multipliers of the rows."""
        self.objective, self.value = [objective[v] if v < self.n else ZERO for v in self.other], ZERO
        for i, variable in enumerate(self.basic):
            weight = objective[variable] if variable < self.n else ZERO
            if weight:
                self.value += weight * self.constants[i]
                self.objective = [c - weight * a for c, a in zip(self.objective, self.rows[i], strict=True)]
        self._climb()
        return self._multipliers()

    def point(self) -> list[Fraction]:
        values = dict(zip(self.basic, self.constants, strict=True))
        return [values.get(v, ZERO) for v in range(self.n)]

    def _multipliers(self) -> list[Fraction]:
        found = [ZERO] * self.m
        for variable, c in zip(self.other, self.objective, strict=True):
            if self.n <= variable < self.n + self.m:
                found[variable - self.n] = -c
        return found

    def _climb(self) -> None:
        while True:
            rising = (j for j, c in enumerate(self.objective) if c > 0)
            entering = min(rising, key=lambda j: self.other[j], default=None)
            if entering is None:
                return
            ratios = [
                (self.constants[i] / row[entering], self.basic[i], i)
                for i, row in enumerate(self.rows)
                if row[entering] > 0
            ]
            self._pivot(min(ratios)[2], entering)

    def _pivot(self, leaving: int, entering: int) -> None:
        row = self.rows[leaving]
        pivot = row[entering]
        row = [a / pivot for a in row]
        row[entering] = 1 / pivot
        constant = self.constants[leaving] / pivot
        for i, old in enumerate(self.rows):
            factor = old[entering]
            if i != leaving and factor:
                old[entering] = ZERO
                self.rows[i] = [a - factor * b for a, b in zip(old, row, strict=True)]
                self.constants[i] -= factor * constant
        self.rows[leaving], self.constants[leaving] = row, constant
        factor = self.objective[entering]
        self.objective[entering] = ZERO
        self.objective = [a - factor * b for a, b in zip(self.objective, row, strict=True)]
        self.value += factor * constant
        self.basic[leaving], self.other[entering] = self.other[entering], self.basic[leaving]


def _integers(multipliers: Sequence[Fraction]) -> tuple[int, ...]:
    """The same ratios in lowest terms."""
    scale = math.lcm(*(m.denominator for m in multipliers))
    numbers = [int(m * scale) for m in multipliers]
    divisor = math.gcd(*numbers) or 1
    return tuple(n // divisor for n in numbers)
