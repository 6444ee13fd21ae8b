"""Falsification: corners, random points and sign-gradient steps in plain float64, confirmed exactly.

Nothing here proves anything; a candidate counts only after exact evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from verify.core.evaluate import evaluate
from verify.core.floats import Floats
from verify.core.normal_form import Region
from verify.core.query import Query
from verify.search.problem import Problem

FIRST_RATE, LAST_SHARE = 0.5, 0.05  # a step's share of each side of the box, and what is left of it at the end
MOMENTUM = 0.75
TINY = 1e-300

Point = tuple[Fraction, ...]
Chosen = npt.NDArray[np.int64]


class Attack:
    """Searches all regions of a problem for points that satisfy every row of some case.

    A point's margin is min over the rows of a case of -(left side - bound), max over cases: >= 0 means found.
    """

    def __init__(self, problem: Problem, seed: int) -> None:
        self.problem = problem
        self.random = np.random.default_rng(seed)
        self.points = 0
        self._tried: set[Point] = set()

    def margins(self, x: Floats, regions: Chosen) -> tuple[Floats, Chosen]:
        """Float64 margins (P,) and the row that decides each, at points x (P, d) of the given regions."""
        values = self._rows_at(x)
        return self._decide(values, regions)

    def sample(self, regions: Chosen) -> Floats:
        """One point per entry of `regions`: in turn uniform, a corner, half of the coordinates at ends, uniform."""
        low, high = self.problem.lower[regions], self.problem.upper[regions]
        mix = self.random.random(low.shape)
        ends = np.where(self.random.random(low.shape) < 0.5, 0.0, 1.0)
        share = np.array([0.0, 1.0, 0.5, 0.0])[np.arange(len(regions)) % 4][:, None]
        mix = np.where(self.random.random(low.shape) < share, ends, mix)
        return low + mix * (high - low)

    def climb(self, x: Floats, regions: Chosen, steps: int, stop: Callable[[], bool], case: Chosen) -> Floats:
        """Sign-gradient ascent with momentum of the margin inside the boxes; returns the best point from each start.

        Each start aims at its own `case`; -1 aims at whichever case is nearest.  Source: Dong et al., CVPR 2018.
        """
        low, high = self.problem.lower[regions], self.problem.upper[regions]
        best, best_margin = x, np.full(len(x), -np.inf)
        rate, direction = FIRST_RATE, np.zeros_like(x)
        for _ in range(steps):
            gradient, margin = self._gradient(x, regions, case)
            better = margin > best_margin
            best, best_margin = np.where(better[:, None], x, best), np.where(better, margin, best_margin)
            if stop() or bool((best_margin >= 0).any()):
                break
            direction = MOMENTUM * direction + gradient / (np.abs(gradient).sum(axis=1, keepdims=True) + TINY)
            x = np.clip(x + rate * (high - low) * np.sign(direction), low, high)
            rate *= LAST_SHARE ** (1 / steps)
        return best

    def candidates(self, x: Floats, regions: Chosen, most: int = 4) -> Iterator[Point]:
        """Exact solutions among the points, best float margin first; each point of the input at most once."""
        margin, _ = self.margins(x, regions)
        promising = np.nonzero(margin >= -1e-9 * (1.0 + np.abs(x).max(initial=0.0)))[0]
        order = promising[np.argsort(-margin[promising], kind="stable")][:most]
        for number in order:
            region = self.problem.regions[int(regions[number])]
            for point in exact_points(x[number], region):
                if point not in self._tried:
                    self._tried.add(point)
                    if is_solution(self.problem.query, region, point):
                        yield point
                        break

    def run(self, *, count: int, steps: int, stop: Callable[[], bool]) -> Iterator[Point]:
        """One round over all regions: sample, keep the best, climb; yields exact solutions as they are found."""
        total = len(self.problem.regions)
        per_region = max(1, count // total)
        for begin in range(0, total, max(1, count // per_region)):
            regions = np.arange(begin, min(total, begin + max(1, count // per_region)))
            chosen = np.repeat(regions, per_region)
            x = self._with_anchors(self.sample(chosen), chosen, per_region)
            self.points += len(x)
            margin, _ = self.margins(x, chosen)
            yield from self.candidates(x, chosen)
            keep = np.argsort(-margin, kind="stable")[: max(8, count // 8)]
            cases = self.problem.case_rows.shape[1]
            turn = np.arange(len(keep)) // 2 % cases
            aim = np.where((np.arange(len(keep)) % 2 == 0) | (cases == 1), -1, turn)
            x = self.climb(x[keep], chosen[keep], steps, stop, aim)
            self.points += steps * len(keep)
            yield from self.candidates(x, chosen[keep])
            if stop():
                return

    def _with_anchors(self, x: Floats, regions: Chosen, per_region: int) -> Floats:
        """Make the first points of each region its centre, its low and its high corner."""
        low, high = self.problem.lower[regions], self.problem.upper[regions]
        position = np.arange(len(x)) % per_region
        for place, anchor in enumerate((0.5 * low + 0.5 * high, low, high)):
            x = np.where((position == place)[:, None], anchor, x)
        return x

    def _rows_at(self, x: Floats) -> Floats:
        _, before = self.problem.plan.pre_activations(x)
        return before[-1]

    def _decide(self, values: Floats, regions: Chosen, aim: Chosen | None = None) -> tuple[Floats, Chosen]:
        table = self.problem.case_rows[regions]  # (P, C, M)
        per_row = -np.take_along_axis(values, table.reshape(len(regions), -1), axis=1).reshape(table.shape)
        worst = per_row.argmin(axis=2)
        case_margin = np.take_along_axis(per_row, worst[:, :, None], axis=2)[:, :, 0]
        case = case_margin.argmax(axis=1)
        if aim is not None:
            case = np.where(aim < 0, case, aim)
        everyone = np.arange(len(regions))
        margin = case_margin[everyone, case]
        return np.where(np.isnan(margin), -np.inf, margin), table[everyone, case, worst[everyone, case]]

    def _gradient(self, x: Floats, regions: Chosen, case: Chosen) -> tuple[Floats, Floats]:
        """Gradient (P, d) of each point's margin by reverse accumulation, and the margin."""
        plan = self.problem.plan
        _, before = plan.pre_activations(x)
        margin, row = self._decide(before[-1], regions, case)
        adjoint: dict[int, Floats] = {}
        last = plan.blocks[-1]
        for term in last.terms:
            adjoint[term.source] = -term.matrix.take_rows(row)
        for index in range(len(plan.blocks) - 2, -1, -1):
            value = plan.first_block + index
            if value not in adjoint:
                continue
            block = plan.blocks[index]
            flow = adjoint.pop(value)
            if block.has_relu:
                flow = np.where(block.relu & (before[index] <= 0), 0.0, flow)
            for term in block.terms:
                part = term.matrix.pull_back(flow)
                adjoint[term.source] = adjoint[term.source] + part if term.source in adjoint else part
        gradient = [adjoint.get(v, np.zeros((len(x), size))) for v, size in enumerate(plan.input_sizes)]
        return np.concatenate(gradient, axis=1), margin


def exact_points(x: Floats, region: Region) -> Iterator[Point]:
    """Exact points near a float64 point, inside the exact box: rounded to float32 first, then as it is."""
    rounded = x.astype(np.float32).astype(np.float64)
    yield _clip(rounded, region)
    if not np.array_equal(rounded, x):
        yield _clip(x, region)


def _clip(x: Floats, region: Region) -> Point:
    bounds = zip(region.box.lower, region.box.upper, strict=True)
    return tuple(min(max(Fraction(float(v)), low), high) for v, (low, high) in zip(x, bounds, strict=True))


def is_solution(query: Query, region: Region, x: Point) -> bool:
    """Whether x lies in the region and satisfies a case, exactly."""
    inside = all(low <= v <= high for v, low, high in zip(x, region.box.lower, region.box.upper, strict=True))
    if not inside or not all(row.holds(x, ()) for row in region.rows):
        return False
    y = evaluate(query.network, x)
    return any(all(row.holds(x, y) for row in case) for case in region.cases)
