"""What the rows of a case compare: two points of one model, their hull, the range of their difference; exactly."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product

from verify.core.network import Network
from verify.core.normal_form import Box, Region
from verify.core.pairing import Difference, Pairing, compared_values, difference_row, find_pairing
from verify.core.query import Affine, Row

Interval = tuple[Fraction, Fraction]
Place = tuple[int, int]  # the two values of the network that are compared
Pairings = dict[Place, Pairing | None]  # found so far
Contradiction = tuple[object, ...]  # equal for equal statements about slopes


@dataclass(frozen=True, eq=False)
class Comparison:
    """Rows of one case of one region as  outputs·(f(b) - f(a)) + slope·(b - a) <= limit  (< when strict).

    At every point of the region that satisfies the case these hold, a and b lie in `hull`, and b - a in `steps`.
    """

    place: Place
    pairing: Pairing
    rows: tuple[Difference, ...]
    limits: tuple[Fraction, ...]  # per row: its bound minus the least value of its rest
    hull: Box
    steps: tuple[Interval, ...]  # per input of the model

    def signed_steps(self) -> Iterator[tuple[Interval, ...]]:
        """The steps cut into parts in which no difference has both signs; together the parts cover them."""
        zero = Fraction(0)
        parts = [[(low, zero), (zero, high)] if low < 0 < high else [(low, high)] for low, high in self.steps]
        return product(*parts)

    def contradiction(self, row: int, steps: tuple[Interval, ...]) -> tuple[Contradiction, Contradiction]:
        """That  (outputs·G + slope)·d > limit  for slopes G on the hull and d in `steps`; the same said of -d."""
        found, limit = self.rows[row], self.limits[row]
        shared = (self.place, self.hull, limit, found.strict)
        mirrored = tuple((-high, -low) for low, high in steps)
        minus = (tuple(-c for c in found.outputs), tuple(-q for q in found.slope))
        return (*shared, found.outputs, found.slope, steps), (*shared, *minus, mirrored)


def compare(network: Network, region: Region, case: Sequence[Row], known: Pairings) -> Comparison | None:
    """The rows of `case` that compare the same two values as the first that compares any; None without such a row."""
    rows: list[tuple[Row, tuple[Fraction, ...]]] = []
    place: Place | None = None
    for row in case:
        compared = compared_values(network, row) if row.outputs else None
        if compared is not None and place in (None, compared[:2]):
            place = compared[:2]
            rows.append((row, compared[2]))
    if place is None:
        return None
    if place not in known:
        known[place] = find_pairing(network, *place)
    pairing = known[place]
    if pairing is None:
        return None
    differences = tuple(difference_row(row, outputs, pairing) for row, outputs in rows)
    points = zip(pairing.first, pairing.second, strict=True)
    ends = [(affine_range(a, region), affine_range(b, region)) for a, b in points]
    hull = Box(tuple(min(a[0], b[0]) for a, b in ends), tuple(max(a[1], b[1]) for a, b in ends))
    limits = tuple(row.bound - affine_range(row.rest, region)[0] for row in differences)
    steps = tuple(_step(d, region) for d in pairing.differences())
    return Comparison(place, pairing, differences, limits, hull, steps)


def affine_range(affine: Affine, region: Region) -> Interval:
    """The exact range of an affine form over the region's box."""
    low = high = affine.constant
    for index, coefficient in affine.coefficients:
        ends = (coefficient * region.box.lower[index], coefficient * region.box.upper[index])
        low, high = low + min(ends), high + max(ends)
    return low, high


def _step(difference: Affine, region: Region) -> Interval:
    """A range of a difference over the region: from its box, and from the rows that are multiples of it."""
    low, high = affine_range(difference, region)
    coefficients = dict(difference.coefficients)
    for row in region.rows:
        if not coefficients or {i for i, _ in row.inputs} != set(coefficients):
            continue
        ratios = {c / coefficients[i] for i, c in row.inputs}
        if len(ratios) == 1:
            (ratio,) = ratios
            end = row.bound / ratio + difference.constant
            low, high = (low, min(high, end)) if ratio > 0 else (max(low, end), high)
    return low, high
