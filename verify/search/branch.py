"""Branch and bound by splitting the input boxes, depth first, in batches."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from verify.bounds.backward import LinearBound, lower_bounds, propagate
from verify.bounds.enclosure import Enclosure
from verify.core.floats import Floats
from verify.core.normal_form import Box, Region
from verify.search.problem import Problem
from verify.smt.encode import Phases, encode
from verify.smt.solve import Judgement, judge

Indices = npt.NDArray[np.int64]
Mask = npt.NDArray[np.bool_]

BATCH_NEURONS = 1 << 15  # pre-activations bounded at once, over all boxes of a batch
MAX_BATCH = 128
TIE_SCALE = 2.0**-30  # a bound this close to 0, relative to its magnitude, goes to the exact judge
JUDGE_UNSTABLE = 8  # boxes with at most so many unstable ReLUs may go to the exact judge
JUDGE_SECONDS = 2.0
MAX_JUDGED_WEIGHTS = 200_000


@dataclass(eq=False)
class Batch:
    """Subproblems: boxes (B, d), their regions, shares of the whole domain, and bounds inherited from parents."""

    lower: Floats
    upper: Floats
    region: Indices
    share: Floats
    inherited: Enclosure | None

    def __len__(self) -> int:
        return len(self.region)


@dataclass(frozen=True, eq=False)
class Open:
    """The subproblems of a batch that bounds did not close, with what was learnt about them."""

    batch: Batch
    enclosure: Enclosure
    unstable: Indices  # unstable ReLUs that matter
    tie: Mask  # within rounding reach of being closed
    corner: Floats  # minimiser of the tightest row's linear bound: where a counterexample would be
    split: Indices  # input to split


class Frontier:
    """The open subproblems, deepest last."""

    def __init__(self, problem: Problem) -> None:
        total = len(problem.regions)
        neurons = max(1, sum(b.bias.size for b in problem.plan.blocks))
        self.batch_size = int(max(1, min(MAX_BATCH, BATCH_NEURONS // neurons)))
        self.settled = 0.0
        everything = Batch(problem.lower, problem.upper, np.arange(total), np.full(total, 1.0 / total), None)
        self.stack: list[Batch] = []
        self.push(everything)

    def __len__(self) -> int:
        return sum(len(b) for b in self.stack)

    def push(self, batch: Batch) -> None:
        for begin in range(0, len(batch), self.batch_size):
            self.stack.append(take(batch, np.arange(begin, min(len(batch), begin + self.batch_size))))

    def pop(self) -> Batch:
        return self.stack.pop()

    def settle(self, share: float) -> None:
        self.settled = min(1.0, self.settled + share)


def take(batch: Batch, chosen: Indices) -> Batch:
    inherited = None if batch.inherited is None else batch.inherited.take(chosen)
    return Batch(batch.lower[chosen], batch.upper[chosen], batch.region[chosen], batch.share[chosen], inherited)


def bound(problem: Problem, batch: Batch, stop: Callable[[], bool]) -> tuple[float, Open | None]:
    """Bound a batch: (share of the domain closed, what stays open).

    A box is closed when every case of its region has a row whose left side minus bound is > 0 (>= 0 if the row is
    strict) over the whole box.  Guarantee: outward-rounded float64.
    """
    plan, last = problem.plan, problem.row_block
    enclosure = propagate(plan, (batch.lower, batch.upper), last, batch.inherited, stop)
    rows, positions = problem.region_rows(batch.region)
    linear = lower_bounds(plan, enclosure, last, rows, keep_sensitivity=True)
    interval = np.take_along_axis(enclosure.lower[last], rows, axis=1)
    lowest = np.maximum(linear.bound, interval)
    violated = (lowest > 0.0) | (problem.strict[rows] & (lowest >= 0.0))
    in_cases: Mask = np.take_along_axis(violated, positions.reshape(len(batch), -1), axis=1).reshape(positions.shape)
    closed: Mask = np.all(np.any(in_cases, axis=2), axis=1)
    share = float(batch.share[closed].sum())
    still = np.nonzero(~closed)[0]
    if not len(still):
        return share, None
    return share, _describe(
        problem, take(batch, still), enclosure.take(still), _pick(linear, lowest, still), rows[still]
    )


def _pick(linear: LinearBound, lowest: Floats, still: Indices) -> tuple[LinearBound, Floats]:
    kept = LinearBound(linear.bound[still], linear.slope[still], {k: s[still] for k, s in linear.sensitivity.items()})
    return kept, lowest[still]


def _describe(
    problem: Problem,
    batch: Batch,
    enclosure: Enclosure,
    bounds: tuple[LinearBound, Floats],
    rows: Indices,
) -> Open:
    linear, lowest = bounds
    everyone = np.arange(len(batch))
    bends = np.zeros(lowest.shape, dtype=np.bool_)
    for sensitivity in linear.sensitivity.values():
        bends |= sensitivity.max(axis=2) > 0
    row = np.where(bends, lowest, lowest - np.inf).argmax(axis=1)  # nearest to closing, of those that splits tighten
    row = np.where(bends.any(axis=1), row, lowest.argmax(axis=1))
    slope = linear.slope[everyone, row]
    corner = np.where(slope > 0, batch.lower, batch.upper)
    magnitude = enclosure.magnitude[-1][everyone, rows[everyone, row]]
    unstable = np.zeros(len(batch), dtype=np.int64)
    for index, sensitivity in linear.sensitivity.items():
        block = problem.plan.blocks[index]
        shaky = block.relu & (enclosure.lower[index] < 0) & (enclosure.upper[index] > 0)
        unstable += (shaky & (sensitivity.max(axis=1) > 0)).sum(axis=1)
    return Open(
        batch,
        enclosure,
        unstable,
        lowest[everyone, row] > -TIE_SCALE * (1.0 + magnitude),
        corner,
        _split_choice(problem, batch, enclosure, linear, row),
    )


def _split_choice(problem: Problem, batch: Batch, enclosure: Enclosure, linear: LinearBound, row: Indices) -> Indices:
    """The input whose halving should shrink the relaxation most: Σ |sensitivity| · |∂z/∂x_i| · width_i, plus slope.

    ∂z/∂x is estimated at the box's centre.
    """
    width = batch.upper - batch.lower
    everyone = np.arange(len(batch))
    score = 1e-3 * np.abs(linear.slope[everyone, row]) * width
    sensitivity = {k: s[everyone, row] for k, s in linear.sensitivity.items()}
    plan = problem.plan
    centre = 0.5 * batch.lower + 0.5 * batch.upper
    with np.errstate(all="ignore"):
        _, before = plan.pre_activations(centre)
        influence: dict[int, Floats] = {}
        for index in range(len(plan.blocks) - 2, -1, -1):
            block, value = plan.blocks[index], plan.first_block + index
            flow = influence.pop(value, np.zeros((len(batch), block.bias.size)))
            if block.has_relu:
                flow = np.where(block.relu & (before[index] <= 0), 0.0, flow)
            gap_width = np.where(
                np.isfinite(enclosure.upper[index]), enclosure.upper[index] - enclosure.lower[index], 1.0
            )
            if index in sensitivity:
                flow = flow + sensitivity[index] / np.maximum(gap_width, 1e-300)
            for term in block.terms:
                part = (
                    flow @ term.matrix.absolute
                    if term.matrix.dense is not None
                    else (term.matrix.absolute.T @ flow.T).T
                )
                influence[term.source] = influence.get(term.source, 0.0) + part
        parts = [influence.get(v, np.zeros((len(batch), size))) for v, size in enumerate(plan.input_sizes)]
        score = score + np.nan_to_num(np.concatenate(parts, axis=1) * width)
    score = np.where(splittable(batch), score + 1e-12 * width, -1.0)
    chosen: Indices = score.argmax(axis=1)
    return chosen


def splittable(batch: Batch) -> Mask:
    """(B, d): whether a float64 lies strictly between the ends."""
    middle = 0.5 * batch.lower + 0.5 * batch.upper
    inside: Mask = (batch.lower < middle) & (middle < batch.upper)
    return inside


def split(found: Open, chosen: Indices) -> Batch:
    """Both halves of the chosen open boxes, each with the parent's bounds; halves share the dividing face."""
    batch, rows = take(found.batch, chosen), np.arange(len(chosen))
    axis = found.split[chosen]
    middle = 0.5 * batch.lower[rows, axis] + 0.5 * batch.upper[rows, axis]
    upper, lower = batch.upper.copy(), batch.lower.copy()
    upper[rows, axis], lower[rows, axis] = middle, middle
    order = np.argsort(np.concatenate([rows, rows]), kind="stable")
    twice = np.concatenate([chosen, chosen])[order]
    return Batch(
        np.concatenate([batch.lower, lower])[order],
        np.concatenate([upper, batch.upper])[order],
        found.batch.region[twice],
        0.5 * found.batch.share[twice],
        found.enclosure.take(twice),
    )


def wants_judge(problem: Problem, found: Open) -> Mask:
    """Which open boxes the exact judge should see: affine ones, near ties, and those that cannot be split."""
    few = found.unstable <= JUDGE_UNSTABLE
    stuck: Mask = ~np.any(splittable(found.batch), axis=1)
    wanted: Mask = (found.unstable == 0) | (few & found.tie) | stuck
    weights = sum(len(t.matrix.values) for b in problem.network.blocks for t in b.terms)
    return wanted if weights <= MAX_JUDGED_WEIGHTS else stuck


def ask_judge(problem: Problem, found: Open, number: int, timeout_s: float) -> Judgement:
    """Put one open box before Z3, cut to the exact region."""
    region = problem.regions[int(found.batch.region[number])]
    box = exact_box(found.batch.lower[number], found.batch.upper[number], region)
    phases = Phases(
        [a[number].tolist() for a in found.enclosure.lower[:-1]],
        [a[number].tolist() for a in found.enclosure.upper[:-1]],
    )
    text = encode(problem.query.network, region, box, phases)
    return judge(text, problem.query.network.input_size, timeout_s=timeout_s)


def exact_box(lower: Floats, upper: Floats, region: Region) -> Box:
    """The float64 box intersected with the region's exact box (a face between two halves belongs to both)."""
    return Box(
        tuple(max(Fraction(float(v)), low) for v, low in zip(lower, region.box.lower, strict=True)),
        tuple(min(Fraction(float(v)), high) for v, high in zip(upper, region.box.upper, strict=True)),
    )
