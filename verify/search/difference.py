"""Properties that compare two copies of one network, closed by bounds on its slope.

Take a row  c·(f(b) - f(a)) + q·(b - a) <= β  and let the segment from a to b run through boxes C_1 … C_m.  On the part
in C_j, f changes by G_j times that part, with G_j in the slope bounds of C_j.  So the left side is a weighted mean of
the numbers (c G_j + q)·(b - a), and the row contradicts the region when in every box of a partition of the hull each of
these numbers is above β, for every difference b - a that the region allows.

At a = b both sides are exactly 0: no bound on f(a) and f(b) apart could ever close that, this one does, since it is
homogeneous in b - a.  It says nothing of a row that holds on average but not everywhere: the search goes on then.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product

import numpy as np

from verify.bounds.backward import propagate
from verify.bounds.rounding import float_above, float_below
from verify.bounds.slopes import product_bound, slope_bounds, slopes_at
from verify.core.floats import FloatPlan, Floats
from verify.core.normal_form import Region
from verify.core.pairing import Difference, Pairing, compared_values, difference_row, find_pairing
from verify.core.query import Affine, Row
from verify.search.attack import Point, is_solution
from verify.search.run import Run

MAX_SIGNS = 6  # inputs whose difference may have either sign
BATCH = 256
TIME_SHARE = 0.5  # of what is left, at most
MAX_BOXES = 400_000  # waiting at once
HALVINGS = 24  # of the step from a box's centre, looking for a counterexample

Interval = tuple[Fraction, Fraction]


def close_differences(run: Run, regions: tuple[Region, ...]) -> tuple[tuple[Region, ...], Point | None]:
    """(the regions and cases that slope bounds do not close, an exact solution met on the way if any).

    Guarantee: what is missing from the result holds no solution; the point is one.
    """
    with np.errstate(all="ignore"):  # infinities and NaN compare false and close nothing
        return _close_differences(run, regions)


def _close_differences(run: Run, regions: tuple[Region, ...]) -> tuple[tuple[Region, ...], Point | None]:
    pairings: dict[tuple[int, int], _Model | None] = {}
    still_open = []
    until = run.budget.clock() + TIME_SHARE * run.budget.remaining()
    for region in regions:
        cases = []
        for case in region.cases:
            attempt = _Attempt.of(run, region, case, pairings)
            if attempt is None or not attempt.closes(until):
                cases.append(case)
            if attempt is not None and attempt.solution is not None:
                return regions, attempt.solution
        if cases:
            still_open.append(region if len(cases) == len(region.cases) else replace(region, cases=tuple(cases)))
    return tuple(still_open), None


@dataclass(frozen=True, eq=False)
class _Model:
    pairing: Pairing
    plan: FloatPlan

    @classmethod
    def of(cls, pairing: Pairing | None) -> _Model | None:
        if pairing is None or pairing.model.outputs[0].value != len(pairing.model.value_sizes) - 1:
            return None
        return cls(pairing, FloatPlan(pairing.model))


@dataclass(eq=False)
class _Attempt:
    """One case of one region: its comparable rows, the hull of all points, the differences the region allows."""

    run: Run
    region: Region
    rows: list[Difference]
    model: _Model
    hull: tuple[Floats, Floats]
    steps: list[Interval]
    solution: Point | None = None

    @classmethod
    def of(
        cls, run: Run, region: Region, case: tuple[Row, ...], known: dict[tuple[int, int], _Model | None]
    ) -> _Attempt | None:
        """None when no row of the case compares two copies, or in too many directions."""
        network = run.query.network
        rows: list[tuple[Row, tuple[Fraction, ...]]] = []
        place: tuple[int, int] | None = None
        for row in case:
            compared = compared_values(network, row) if row.outputs else None
            if compared is not None and place in (None, compared[:2]):
                place = compared[:2]
                rows.append((row, compared[2]))
        if place is None:
            return None
        if place not in known:
            known[place] = _Model.of(find_pairing(network, *place))
        model = known[place]
        if model is None:
            return None
        ends = [
            (_range(a, region), _range(b, region))
            for a, b in zip(model.pairing.first, model.pairing.second, strict=True)
        ]
        hull = (
            np.array([float_below(min(a[0], b[0])) for a, b in ends]),
            np.array([float_above(max(a[1], b[1])) for a, b in ends]),
        )
        steps = [_step(d, region) for d in model.pairing.differences()]
        if any(low > high for low, high in steps) or not (np.isfinite(hull[0]).all() and np.isfinite(hull[1]).all()):
            return None
        if sum(low < 0 < high for low, high in steps) > MAX_SIGNS:
            return None
        return cls(run, region, [difference_row(r, c, model.pairing) for r, c in rows], model, hull, steps)

    def closes(self, until: float) -> bool:
        """Whether some row is contradicted, for each choice of signs of the difference; gives up at `until`."""
        return all(self._closes(signed, until) for signed in _signed(self.steps))

    def _closes(self, steps: list[Interval], until: float) -> bool:
        best = max(self.rows, key=lambda row: self._outlook(row, steps))
        return _Partition(self, best, steps).closed(until)

    def _outlook(self, row: Difference, steps: list[Interval]) -> float:
        """How well a row does at the centre of the hull."""
        centre = 0.5 * self.hull[0] + 0.5 * self.hull[1]
        part = _Partition(self, row, steps)
        return float(part.value_at(centre[None])[0]) - part.limit


class _Partition:
    """Splits the hull until the row is contradicted in every box; gives up when it cannot be."""

    def __init__(self, attempt: _Attempt, row: Difference, steps: list[Interval]) -> None:
        self.attempt, self.row = attempt, row
        self.plan = attempt.model.plan
        low = np.array([float_below(s[0]) for s in steps])
        high = np.array([float_above(s[1]) for s in steps])
        self.steps = (low, high)
        self.limit = float_above(row.bound - _range(row.rest, attempt.region)[0])
        exact = [(float_below(c), float_above(c)) for c in row.outputs]
        self.functional = (np.array([c[0] for c in exact]), np.array([c[1] for c in exact]))
        self.slope = tuple(np.array([f(q) for q in row.slope]) for f in (float_below, float_above))
        self.exact_steps = steps

    def closed(self, until: float) -> bool:
        if not np.isfinite(self.limit):
            return False
        run = self.attempt.run
        lower, upper = self.attempt.hull[0][None], self.attempt.hull[1][None]
        while len(lower):
            if run.stop() or run.budget.clock() > until or len(lower) > MAX_BOXES:
                return False
            low, high = lower[-BATCH:], upper[-BATCH:]
            lower, upper = lower[:-BATCH], upper[:-BATCH]
            run.subproblems += len(low)
            halves = self._visit(low, high)
            if halves is None:
                return False
            lower, upper = np.concatenate([lower, halves[0]]), np.concatenate([upper, halves[1]])
        return True

    def _visit(self, low: Floats, high: Floats) -> tuple[Floats, Floats] | None:
        """The halves of the boxes that stay open; None when the row cannot be contradicted everywhere."""
        enclosure = propagate(self.plan, (low, high), len(self.plan.blocks) - 1)
        bounds = slope_bounds(self.plan, enclosure, self.functional)
        with np.errstate(all="ignore"):
            slopes = (
                np.where(self.slope[0] == 0.0, bounds.lower, np.nextafter(bounds.lower + self.slope[0], -np.inf)),
                np.where(self.slope[1] == 0.0, bounds.upper, np.nextafter(bounds.upper + self.slope[1], np.inf)),
            )
        value = product_bound(slopes, self.steps)
        still_open = ~(value >= self.limit if self.row.strict else value > self.limit)
        if not still_open.any():
            return low[:0], high[:0]
        low, high = low[still_open], high[still_open]
        centres = 0.5 * low + 0.5 * high
        at_centre = self.value_at(centres)
        if (at_centre < self.limit).any():
            self._seek_solution(centres[int(np.argmin(at_centre))])
            return None
        score = (high - low) * bounds.influence[still_open]
        score = np.where(np.isfinite(score), score, 0.0)
        score = np.where((score > 0.0).any(axis=1, keepdims=True), score, high - low)
        chosen = np.argmax(score, axis=1)
        rows = np.arange(len(low))
        middle = centres[rows, chosen]
        if (middle <= low[rows, chosen]).any() or (middle >= high[rows, chosen]).any():
            return None  # as small as floats get
        left, right = high.copy(), low.copy()
        left[rows, chosen], right[rows, chosen] = middle, middle
        return np.concatenate([low, right]), np.concatenate([left, high])

    def value_at(self, points: Floats) -> Floats:
        """The least (c ∇f + q)·step at points, in plain floats."""
        gradient = slopes_at(self.plan, points, 0.5 * self.functional[0] + 0.5 * self.functional[1])
        gradient = gradient + self.slope[0]
        products = np.minimum(gradient * self.steps[0], gradient * self.steps[1])
        total: Floats = products.sum(axis=1)
        return total

    def _seek_solution(self, centre: Floats) -> None:
        """Try points along the worst difference through a centre where the slope is wrong, exactly."""
        run, region = self.attempt.run, self.attempt.region
        gradient = slopes_at(self.plan, centre[None], 0.5 * self.functional[0] + 0.5 * self.functional[1])[0]
        worst = (gradient + self.slope[0]) * self.steps[0] > (gradient + self.slope[0]) * self.steps[1]
        ends = [s[1] if high else s[0] for s, high in zip(self.exact_steps, worst, strict=True)]
        for point in _points(self.attempt, [Fraction(float(c)) for c in centre], ends):
            if is_solution(run.query, region, point) and run.accept([point]) is not None:
                self.attempt.solution = point
                return


def _points(attempt: _Attempt, centre: list[Fraction], step: list[Fraction]) -> Iterator[Point]:
    """Points of the query with second - first along `step`, around `centre`, ever closer; plain variables only."""
    box, pairing = attempt.region.box, attempt.model.pairing
    for halving in range(HALVINGS):
        x = [(low + high) / 2 for low, high in zip(box.lower, box.upper, strict=True)]
        for k, d in enumerate(step):
            part = d / 2**halving
            for affine, value in ((pairing.first[k], centre[k] - part / 2), (pairing.second[k], centre[k] + part / 2)):
                if len(affine.coefficients) == 1:
                    ((index, coefficient),) = affine.coefficients
                    wanted = (value - affine.constant) / coefficient
                    x[index] = min(max(wanted, box.lower[index]), box.upper[index])
        yield tuple(x)


def _range(affine: Affine, region: Region) -> Interval:
    """The exact range of an affine form over the region's box."""
    low = high = affine.constant
    for index, coefficient in affine.coefficients:
        ends = (coefficient * region.box.lower[index], coefficient * region.box.upper[index])
        low, high = low + min(ends), high + max(ends)
    return low, high


def _step(difference: Affine, region: Region) -> Interval:
    """The exact range of a difference over the region: its box, and the rows that are multiples of it."""
    low, high = _range(difference, region)
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


def _signed(steps: list[Interval]) -> Iterator[list[Interval]]:
    """The steps cut into parts without both signs."""
    zero = Fraction(0)
    parts = [[(low, zero), (zero, high)] if low < 0 < high else [(low, high)] for low, high in steps]
    for choice in product(*parts):
        yield list(choice)
