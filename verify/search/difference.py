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
from dataclasses import dataclass, field, replace
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from verify.bounds.backward import propagate
from verify.bounds.rounding import float_above, float_below
from verify.bounds.slopes import product_bound, slope_bounds, slopes_at
from verify.core.floats import FloatPlan, Floats
from verify.core.normal_form import Region
from verify.core.payload import varint
from verify.core.query import Row
from verify.kernel.walk import LEAF, LOW
from verify.kernel_slopes.comparison import Comparison, Contradiction, Interval, Pairings, Place, compare
from verify.search.attack import Point, is_solution
from verify.search.run import Run
from verify.search.sketch import Pattern

MAX_SIGNS = 6  # inputs whose difference may have either sign
BATCH = 256
TIME_SHARE = 0.5  # of what is left, at most
MAX_BOXES = 400_000  # waiting at once
HALVINGS = 24  # of the step from a box's centre, looking for a counterexample

Indices = npt.NDArray[np.int64]


def close_differences(run: Run, regions: tuple[Region, ...]) -> tuple[tuple[Region, ...], Point | None]:
    """(the regions and cases that slope bounds do not close, an exact solution met on the way if any).

    Guarantee: what is missing from the result holds no solution; the point is one.
    """
    with np.errstate(all="ignore"):  # infinities and NaN compare false and close nothing
        return _close_differences(run, regions)


def _close_differences(run: Run, regions: tuple[Region, ...]) -> tuple[tuple[Region, ...], Point | None]:
    known = _Known()
    still_open = []
    until = run.budget.clock() + TIME_SHARE * run.budget.remaining()
    for k, region in enumerate(regions):
        cases = []
        for number, case in enumerate(region.cases):
            attempt = _Attempt.of(run, region, case, known)
            proof = attempt.closes(until) if attempt is not None else None
            if proof is None:
                cases.append(case)
            else:
                run.sketch.close(k, number, proof)
            if attempt is not None and attempt.solution is not None:
                return regions, attempt.solution
        if cases:
            still_open.append(region if len(cases) == len(region.cases) else replace(region, cases=tuple(cases)))
    return tuple(still_open), None


@dataclass(eq=False)
class _Known:
    """What several cases share."""

    pairings: Pairings = field(default_factory=dict)
    plans: dict[Place, FloatPlan] = field(default_factory=dict)
    trees: dict[Contradiction, bytes] = field(default_factory=dict)  # of rows contradicted so far


@dataclass(eq=False)
class _Attempt:
    """One case of one region: what it compares, in floats too."""

    run: Run
    region: Region
    comparison: Comparison
    known: _Known
    hull: tuple[Floats, Floats]
    solution: Point | None = None

    @classmethod
    def of(cls, run: Run, region: Region, case: tuple[Row, ...], known: _Known) -> _Attempt | None:
        """None when no row of the case compares two copies, or in too many directions."""
        comparison = compare(run.query.network, region, case, known.pairings)
        if comparison is None:
            return None
        model, hull, steps = comparison.pairing.model, comparison.hull, comparison.steps
        if model.outputs[0].value != len(model.value_sizes) - 1:
            return None
        lower = np.array([float_below(low) for low in hull.lower])
        upper = np.array([float_above(high) for high in hull.upper])
        if any(low > high for low, high in steps) or not (np.isfinite(lower).all() and np.isfinite(upper).all()):
            return None
        if sum(low < 0 < high for low, high in steps) > MAX_SIGNS:
            return None
        if comparison.place not in known.plans:
            known.plans[comparison.place] = FloatPlan(model)
        return cls(run, region, comparison, known, (lower, upper))

    @property
    def plan(self) -> FloatPlan:
        return self.known.plans[self.comparison.place]

    def closes(self, until: float) -> list[Pattern] | None:
        """How some row is contradicted, for each choice of signs of the difference; gives up at `until`."""
        found = []
        for steps in self.comparison.signed_steps():
            partitions = [_Partition(self, row, steps) for row in range(len(self.comparison.rows))]
            best = max(partitions, key=self._outlook)
            contradiction = self.comparison.contradiction(best.row, steps)
            if contradiction[0] not in self.known.trees:
                if not best.closed(until):
                    return None
                self.known.trees.update(dict.fromkeys(contradiction, best.tree()))
            found.append(Pattern(best.row, self.known.trees[contradiction[0]]))
        return found

    def _outlook(self, part: _Partition) -> float:
        """How well a row does at the centre of the hull."""
        centre = 0.5 * self.hull[0] + 0.5 * self.hull[1]
        return float(part.value_at(centre[None])[0]) - part.limit


@dataclass(frozen=True, eq=False)
class _Boxes:
    """Boxes by their sides (B, d), and their names (B,)."""

    low: Floats
    high: Floats
    names: Indices

    def parted(self, count: int) -> tuple[_Boxes, _Boxes]:
        """(the last `count`, the others)."""
        return (
            _Boxes(self.low[-count:], self.high[-count:], self.names[-count:]),
            _Boxes(self.low[:-count], self.high[:-count], self.names[:-count]),
        )

    def joined(self, more: _Boxes) -> _Boxes:
        return _Boxes(
            np.concatenate([self.low, more.low]),
            np.concatenate([self.high, more.high]),
            np.concatenate([self.names, more.names]),
        )


def split_axes(low: Floats, high: Floats, influence: Floats) -> Indices:
    """Per box (B, d) the input whose width, times what unstable ReLUs make of it, is largest."""
    score = (high - low) * influence
    score = np.where(np.isfinite(score), score, 0.0)
    score = np.where((score > 0.0).any(axis=1, keepdims=True), score, high - low)
    chosen: Indices = np.argmax(score, axis=1).astype(np.int64)
    return chosen


class _Partition:
    """Splits the hull until the row is contradicted in every box; gives up when it cannot be."""

    def __init__(self, attempt: _Attempt, number: int, steps: tuple[Interval, ...]) -> None:
        row, limit = attempt.comparison.rows[number], attempt.comparison.limits[number]
        self.attempt, self.row, self.strict = attempt, number, row.strict
        self.plan = attempt.plan
        self.axis: list[int] = [-1]  # per box ever made, from the hull on: the input it is split along
        self.child: list[int] = [0]  # the half that is lower there; the other one is the next
        low = np.array([float_below(s[0]) for s in steps])
        high = np.array([float_above(s[1]) for s in steps])
        self.steps = (low, high)
        self.limit = float_above(limit)
        exact = [(float_below(c), float_above(c)) for c in row.outputs]
        self.functional = (np.array([c[0] for c in exact]), np.array([c[1] for c in exact]))
        self.slope = tuple(np.array([f(q) for q in row.slope]) for f in (float_below, float_above))
        self.exact_steps = steps

    def closed(self, until: float) -> bool:
        if not np.isfinite(self.limit):
            return False
        run = self.attempt.run
        waiting = _Boxes(self.attempt.hull[0][None], self.attempt.hull[1][None], np.zeros(1, np.int64))
        while len(waiting.names):
            if run.stop() or run.budget.clock() > until or len(waiting.names) > MAX_BOXES:
                return False
            boxes, waiting = waiting.parted(BATCH)
            run.subproblems += len(boxes.names)
            halves = self._visit(boxes)
            if halves is None:
                return False
            waiting = waiting.joined(halves)
        return True

    def tree(self) -> bytes:
        """The splits made, in the kernel's words."""
        steps, pending = bytearray(), [0]
        while pending:
            box = pending.pop()
            if self.axis[box] < 0:
                steps.append(LEAF)
                continue
            steps += bytes([LOW]) + varint(self.axis[box])
            pending += [self.child[box] + 1, self.child[box]]
        return bytes(steps)

    def _visit(self, boxes: _Boxes) -> _Boxes | None:
        """The halves of the boxes that stay open; None when the row cannot be contradicted everywhere."""
        low, high = boxes.low, boxes.high
        enclosure = propagate(self.plan, (low, high), len(self.plan.blocks) - 1)
        bounds = slope_bounds(self.plan, enclosure, self.functional)
        with np.errstate(all="ignore"):
            slopes = (
                np.where(self.slope[0] == 0.0, bounds.lower, np.nextafter(bounds.lower + self.slope[0], -np.inf)),
                np.where(self.slope[1] == 0.0, bounds.upper, np.nextafter(bounds.upper + self.slope[1], np.inf)),
            )
        value = product_bound(slopes, self.steps)
        still_open = ~(value >= self.limit if self.strict else value > self.limit)
        if not still_open.any():
            return _Boxes(low[:0], high[:0], boxes.names[:0])
        low, high = low[still_open], high[still_open]
        centres = 0.5 * low + 0.5 * high
        at_centre = self.value_at(centres)
        if (at_centre < self.limit).any():
            self._seek_solution(centres[int(np.argmin(at_centre))])
            return None
        chosen = split_axes(low, high, bounds.influence[still_open])
        rows = np.arange(len(low))
        middle = centres[rows, chosen]
        if (middle <= low[rows, chosen]).any() or (middle >= high[rows, chosen]).any():
            return None  # as small as floats get
        left, right = high.copy(), low.copy()
        left[rows, chosen], right[rows, chosen] = middle, middle
        names = self._name_halves(boxes.names[still_open], chosen)
        return _Boxes(np.concatenate([low, right]), np.concatenate([left, high]), names)

    def _name_halves(self, names: Indices, axes: Indices) -> Indices:
        """Note where each box is split; the names of all lower halves, then of all upper ones."""
        first = len(self.axis) + 2 * np.arange(len(names), dtype=np.int64)
        for name, axis, child in zip(names.tolist(), axes.tolist(), first.tolist(), strict=True):
            self.axis[name], self.child[name] = axis, child
        self.axis += [-1] * (2 * len(names))
        self.child += [0] * (2 * len(names))
        return np.concatenate([first, first + 1])

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
    box, pairing = attempt.region.box, attempt.comparison.pairing
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
