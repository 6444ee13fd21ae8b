"""Backward linear relaxation (CROWN, DeepPoly) over the block graph, in batches, rounded outwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from verify.bounds.enclosure import Enclosure
from verify.bounds.interval import interval_block
from verify.bounds.rounding import SMALLEST, gamma, inflate, reject_non_finite, underflow
from verify.core.floats import FloatPlan, Floats

CHUNK_ENTRIES = 1 << 21  # coefficients held at once in one backward pass (16 MB)

Indices = npt.NDArray[np.int64]


@dataclass(eq=False)
class LinearBound:
    """For B boxes and R rows: row >= slope·x + offset - error over the box, and what that gives.

    Shapes: bound (B, R); slope (B, R, d); sensitivity[k] (B, R, n_k) the |coefficient| times triangle gap on block k
    (only where asked for).
    """

    bound: Floats
    slope: Floats
    sensitivity: dict[int, Floats] = field(default_factory=dict)


def lower_bounds(
    plan: FloatPlan,
    enclosure: Enclosure,
    index: int,
    rows: Indices,
    sign: float = 1.0,
    *,
    keep_sensitivity: bool = False,
) -> LinearBound:
    """Lower bounds of sign · z[rows] for block `index`, by substituting the blocks before it backwards.

    Shapes: rows (B, R), row numbers of the block for each box (padding may repeat a row); sign is 1 or -1.
    Needs: `enclosure` with bounds for every block before `index`.
    Guarantee: bound <= sign · z over the exact reals in each box; float64 rounded outwards.
    Method: Zhang et al., NeurIPS 2018 (CROWN), with slope 0 or 1 below (whichever leaves less area) and the chord
    above.  Rounding: with the functional F = Σ A_j v_j + c held in floats,
      - substituting relu multiplies A by a slope in [0, 1]: at most two roundings of d = fl(A λ), each worth u|d||z|;
      - substituting z = Wv + b is a sum of products, charged γ|d|·(|W||v| + |b|), |z| <= that magnitude included;
      - adding into existing coefficients (skips) is one rounding, charged u|A'||v|;
      - constants and the final concretisation are sums charged γ times the sum of their absolute values.
    """
    batch, count = rows.shape
    widest = max(max(plan.sizes), 1)
    chunk = max(1, CHUNK_ENTRIES // (batch * widest))
    if count <= chunk:
        return _Pass(plan, enclosure, index, rows, sign, keep_sensitivity).run()
    parts = [
        _Pass(plan, enclosure, index, rows[:, k : k + chunk], sign, keep_sensitivity).run()
        for k in range(0, count, chunk)
    ]
    return LinearBound(
        np.concatenate([p.bound for p in parts], axis=1),
        np.concatenate([p.slope for p in parts], axis=1),
        {k: np.concatenate([p.sensitivity[k] for p in parts], axis=1) for k in parts[0].sensitivity},
    )


class _Pass:
    """One backward pass; holds the functional's coefficients per value, its constant and its error so far."""

    def __init__(
        self, plan: FloatPlan, enclosure: Enclosure, index: int, rows: Indices, sign: float, keep_sensitivity: bool
    ) -> None:
        self.plan, self.enclosure, self.index, self.rows, self.sign = plan, enclosure, index, rows, sign
        self.keep_sensitivity = keep_sensitivity
        self.coefficients: dict[int, Floats] = {}
        self.constant = np.zeros(rows.shape)
        self.absolute = np.zeros(rows.shape)  # sum of |summands| of the constant
        self.error = np.zeros(rows.shape)
        self.summands = 0
        self.sensitivity: dict[int, Floats] = {}

    def run(self) -> LinearBound:
        with np.errstate(all="ignore"):
            self._start()
            for value in range(self.plan.first_block + self.index - 1, self.plan.first_block - 1, -1):
                coefficients = self.coefficients.pop(value, None)
                if coefficients is not None:
                    self._through_block(value - self.plan.first_block, coefficients)
            return self._concretise()

    def _start(self) -> None:
        block = self.plan.blocks[self.index]
        magnitude = np.take_along_axis(self.enclosure.magnitude[self.index], self.rows, axis=1)
        for term in block.terms:
            self._add(term.source, self.sign * term.matrix.take_rows(self.rows))
        self._constant(self.sign * block.bias[self.rows], 1)
        self.error += gamma(block.fan_in) * magnitude
        self._underflow(block.fan_in, [t.source for t in block.terms], np.ones((1, 1)))

    def _through_block(self, index: int, coefficients: Floats) -> None:
        block = self.plan.blocks[index]
        if block.has_relu:
            coefficients = self._relax(index, coefficients)
        for term in block.terms:
            self._add(term.source, term.matrix.pull_back(coefficients))
        self._constant(coefficients @ block.bias, block.bias.size)
        charge = gamma(block.bias.size + block.fan_in)
        self.error += charge * _dot(np.abs(coefficients), self.enclosure.magnitude[index])
        weight = np.abs(coefficients).sum(axis=2)
        self._underflow(block.bias.size + block.fan_in, [t.source for t in block.terms], weight)

    def _relax(self, index: int, coefficients: Floats) -> Floats:
        """Replace v by z: slopes and intercepts of relu over each box; identity rows and stable rows are exact."""
        block = self.plan.blocks[index]
        low, high = self.enclosure.lower[index], self.enclosure.upper[index]
        below, above, intercept = relu_relaxation(low, high)
        below = np.where(block.relu, below, 1.0)[:, None, :]
        above = np.where(block.relu, above, 1.0)[:, None, :]
        intercept = np.where(block.relu, intercept, 0.0)
        negative = np.minimum(coefficients, 0.0)
        if self.keep_sensitivity:
            gap = np.where(
                block.relu & (low < 0) & (high > 0), np.minimum(np.maximum(-low, 0), np.maximum(high, 0)), 0.0
            )
            self.sensitivity[index] = np.abs(coefficients) * gap[:, None, :]
        shift = _dot(negative, intercept)
        self._constant(shift, block.bias.size)
        unsure = np.where(intercept > 0, np.maximum(np.abs(low), np.abs(high)), 0.0)
        self.error += SMALLEST * unsure.sum(axis=1, keepdims=True)
        return np.maximum(coefficients, 0.0) * below + negative * above

    def _concretise(self) -> LinearBound:
        low, high = self.enclosure.inputs
        batch, count = self.rows.shape
        slope = np.zeros((batch, count, low.shape[1]))
        position = 0
        for value, size in enumerate(self.plan.input_sizes):
            if value in self.coefficients:
                slope[:, :, position : position + size] = self.coefficients[value]
            position += size
        positive, negative = np.maximum(slope, 0.0), np.minimum(slope, 0.0)
        self._constant(_dot(positive, low) + _dot(negative, high), 2 * low.shape[1])
        largest = np.maximum(np.abs(low), np.abs(high))
        self.absolute += 2.0 * _dot(np.abs(slope), largest)
        self.error += gamma(self.summands + 2 * low.shape[1] + len(self.plan.blocks)) * self.absolute
        self.error += underflow(2 * low.shape[1] + self.summands, np.zeros(1))
        bound, _ = reject_non_finite(np.nextafter(self.constant - inflate(self.error), -np.inf), np.zeros(1))
        return LinearBound(bound, slope, self.sensitivity)

    def _add(self, value: int, coefficients: Floats) -> None:
        present = self.coefficients.get(value)
        if present is not None:
            coefficients = present + coefficients
            largest = self.enclosure.value_magnitude(self.plan, value)
            self.error += 2.0 * gamma(0) * _dot(np.abs(coefficients), largest)
        self.coefficients[value] = coefficients

    def _constant(self, summand: Floats, count: int) -> None:
        """Add a sum of `count` products to the constant; callers charge the products' own rounding or bound it here."""
        self.constant = self.constant + summand
        self.absolute = self.absolute + np.abs(summand) + np.abs(self.constant)
        self.summands += count

    def _underflow(self, count: int, sources: list[int], weight: Floats) -> None:
        """Charge underflow in `count` products and in stored weights, which coefficients of sum `weight` multiply."""
        for value in sources:
            total = self.enclosure.value_magnitude(self.plan, value).sum(axis=1, keepdims=True)
            self.error += underflow(count, total) * (1.0 + weight)


def relu_relaxation(low: Floats, high: Floats) -> tuple[Floats, Floats, Floats]:
    """(below, above, intercept): below·z <= relu(z) <= above·z + intercept for every real z in [low, high].

    Guarantee: holds exactly for the returned floats, whatever rounding produced them.
    above is any number in [0, 1]; the intercept max(-above·low, (1 - above)·high) is rounded up.
    """
    active, inactive = low >= 0.0, high <= 0.0
    width = np.where(active | inactive, 1.0, high - low)
    chord = np.minimum(np.maximum(np.where(np.isfinite(width), high / width, 1.0), 0.0), 1.0)
    above = np.where(active, 1.0, np.where(inactive, 0.0, chord))
    raw = np.maximum(-above * low, (1.0 - above) * high)
    intercept = np.where(active | inactive, 0.0, np.nextafter(raw * (1.0 + 2.0**-50), np.inf))
    below = np.where(active, 1.0, np.where(inactive, 0.0, (high > -low).astype(np.float64)))
    return below, above, intercept


def _dot(rows: Floats, vector: Floats) -> Floats:
    """(B, R, n) · (B, n) -> (B, R)."""
    product: Floats = np.matmul(rows, vector[:, :, None])[:, :, 0]
    return product


def propagate(
    plan: FloatPlan,
    boxes: tuple[Floats, Floats],
    last: int,
    inherited: Enclosure | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Enclosure:
    """Enclose all blocks up to and including `last`: intervals, then backward bounds for unstable ReLU rows.

    `inherited` holds valid bounds over larger boxes (a parent's); results are intersected with it.
    `stop` is asked between blocks; once true only intervals are used.  Guarantee: as the two methods'.
    """
    enclosure = Enclosure(boxes, [], [], [])
    for index in range(last + 1):
        lower, upper, magnitude = interval_block(plan, enclosure, index)
        if inherited is not None:
            lower, upper = np.maximum(lower, inherited.lower[index]), np.minimum(upper, inherited.upper[index])
            magnitude = np.minimum(magnitude, inherited.magnitude[index])
        enclosure.lower.append(lower)
        enclosure.upper.append(upper)
        enclosure.magnitude.append(magnitude)
        block = plan.blocks[index]
        if block.has_relu and _behind_blocks(plan, index) and not stop():
            tighten(plan, enclosure, index)
    return enclosure


def tighten(plan: FloatPlan, enclosure: Enclosure, index: int) -> None:
    """Intersect the bounds of the unstable ReLU rows of block `index` with their backward bounds, in place."""
    low, high = enclosure.lower[index], enclosure.upper[index]
    unstable = plan.blocks[index].relu & (low < 0.0) & (high > 0.0)
    if not unstable.any():
        return
    rows = padded_rows(unstable)
    below = lower_bounds(plan, enclosure, index, rows).bound
    above = -lower_bounds(plan, enclosure, index, rows, -1.0).bound
    boxes = np.arange(rows.shape[0])[:, None]
    low, high = low.copy(), high.copy()
    np.maximum.at(low, (boxes, rows), below)
    np.minimum.at(high, (boxes, rows), above)
    enclosure.lower[index], enclosure.upper[index] = low, high


def padded_rows(chosen: npt.NDArray[np.bool_]) -> Indices:
    """(B, n) mask -> (B, R) row numbers, R the largest count; short rows are padded with other rows."""
    count = int(chosen.sum(axis=1).max())
    return np.argsort(~chosen, axis=1, kind="stable")[:, :count].astype(np.int64)


def _behind_blocks(plan: FloatPlan, index: int) -> bool:
    """Whether substitution can gain anything: straight behind the inputs, intervals are already tight."""
    return any(term.source >= plan.first_block for term in plan.blocks[index].terms)
