"""Slope bounds: for two points of one box, f(b) - f(a) = G (b - a) with G in a guaranteed interval."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from verify.bounds.enclosure import Enclosure
from verify.bounds.rounding import gamma, inflate, underflow
from verify.core.floats import FloatMatrix, FloatPlan, Floats


@dataclass(frozen=True, eq=False)
class SlopeBounds:
    """Per box: lower <= G <= upper, and how much of the width the still unstable ReLUs cause per input.

    Shapes: (B, d) each.
    """

    lower: Floats
    upper: Floats
    influence: Floats


def slope_bounds(plan: FloatPlan, enclosure: Enclosure, functional: tuple[Floats, Floats]) -> SlopeBounds:
    """Enclose G in  c·(f(b) - f(a)) = G·(b - a)  for all a, b of each box and some c with low <= c <= high.

    Shapes: functional (m,) twice, over the plan's last value; result (B, d).
    Needs: `enclosure` with bounds for every block with a ReLU.
    Guarantee: for the exact real network; float64, rounded outwards; NaN and infinity give no bound (they compare
    false with everything).
    Method: relu(z') - relu(z) = s (z' - z) with s = 1 where both are active, 0 where both are inactive, s in [0, 1]
    otherwise; an interval is pulled back through the blocks (Jordan and Dimakis, NeurIPS 2020), as midpoint and
    radius.  Rounding: by (1) of verify.bounds.rounding a pulled back midpoint is off by at most
    γ (|m| + r)|W| + underflow, the rounding of stored weights included.
    """
    batch = enclosure.size
    low, high = (np.broadcast_to(c, (batch, c.size)) for c in functional)
    middle, radius = _middle_radius(low, high)
    last = len(plan.sizes) - 1
    parts: dict[int, tuple[Floats, Floats, Floats]] = {last: (middle, radius, np.zeros_like(middle))}
    with np.errstate(all="ignore"):
        for value in range(last, plan.first_block - 1, -1):
            part = parts.pop(value, None)
            if part is None:
                continue
            block = plan.blocks[value - plan.first_block]
            if block.has_relu:
                part = _through_relu(block.relu, enclosure, value - plan.first_block, part)
            for term in block.terms:
                _add(parts, term.source, _pull_back(term.matrix, part))
        zeros = [np.zeros((batch, size)) for size in plan.input_sizes]
        found = [parts.get(k, (z, z, z)) for k, z in enumerate(zeros)]
        middle, radius, influence = (np.concatenate([f[k] for f in found], axis=1) for k in range(3))
        return SlopeBounds(*_ends(middle, radius), np.abs(influence))


def slopes_at(plan: FloatPlan, points: Floats, functional: Floats) -> Floats:
    """The gradient of functional·f at points (B, d), in plain float64: a guide, no bound."""
    _, before = plan.pre_activations(points)
    last = len(plan.sizes) - 1
    parts: dict[int, Any] = {last: np.broadcast_to(functional, (len(points), functional.size))}
    for value in range(last, plan.first_block - 1, -1):
        part = parts.pop(value, None)
        if part is None:
            continue
        number = value - plan.first_block
        block = plan.blocks[number]
        if block.has_relu:
            part = part * (~block.relu | (before[number] > 0.0))
        for term in block.terms:
            more = term.matrix.pull_back(part)
            parts[term.source] = parts[term.source] + more if term.source in parts else more
    zeros = [np.zeros((len(points), size)) for size in plan.input_sizes]
    return np.concatenate([parts.get(k, z) for k, z in enumerate(zeros)], axis=1)


def product_bound(slopes: tuple[Floats, Floats], step: tuple[Floats, Floats]) -> Floats:
    """A lower bound of Σ g_k d_k for g in `slopes` (B, d), d in `step` (d,); exactly 0 where every product is.

    Guarantee: over the exact reals; float64, rounded downwards.
    """
    with np.errstate(all="ignore"):
        corners = []
        for g in slopes:
            for d in step:
                corners.append(np.where((g == 0.0) | (d == 0.0), 0.0, np.nextafter(g * d, -np.inf)))
        least = np.minimum(np.minimum(corners[0], corners[1]), np.minimum(corners[2], corners[3]))
        count = least.shape[1]
        total = least.sum(axis=1)
        off = inflate(gamma(count) * np.abs(least).sum(axis=1))
        bound = np.nextafter(total - off, -np.inf)
        positive = (least >= 0.0).all(axis=1)
        result: Floats = np.where(positive, np.maximum(bound, 0.0), bound)
        return result


def _through_relu(
    relu: Any, enclosure: Enclosure, index: int, part: tuple[Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    middle, radius, influence = part
    low, high = _ends(middle, radius)
    before, after = enclosure.lower[index], enclosure.upper[index]
    inactive, unstable = relu & (after <= 0.0), relu & (before < 0.0) & (after > 0.0)
    low = np.where(unstable, np.minimum(low, 0.0), low)
    high = np.where(unstable, np.maximum(high, 0.0), high)
    widened_middle, widened_radius = _middle_radius(low, high)
    middle = np.where(inactive, 0.0, np.where(unstable, widened_middle, middle))
    radius = np.where(inactive, 0.0, np.where(unstable, widened_radius, radius))
    influence = np.where(inactive, 0.0, influence + np.where(unstable, high - low, 0.0))
    return middle, radius, influence


def _pull_back(matrix: FloatMatrix, part: tuple[Floats, Floats, Floats]) -> tuple[Floats, Floats, Floats]:
    middle, radius, influence = part
    weight = np.abs(middle) + radius
    charge = 2.0 * gamma(matrix.rows)
    spread = _absolute(matrix, radius) + charge * _absolute(matrix, weight)
    tiny = 4.0 * underflow(matrix.rows, weight.sum(axis=1, keepdims=True))
    reached = _absolute(matrix, (weight != 0.0).astype(np.float64), signs=True) != 0.0
    if not matrix.exact:
        reached[:] = True  # a stored 0 may stand for a number below the float range
    radius = np.where(reached, inflate(spread * (1.0 + charge) + tiny), 0.0)  # a slope of 0 stays exactly 0
    return np.where(reached, matrix.pull_back(middle), 0.0), radius, _absolute(matrix, influence)


def _absolute(matrix: FloatMatrix, coefficients: Floats, *, signs: bool = False) -> Floats:
    """coefficients (B, rows) -> coefficients |W| (B, columns); with `signs`, 1 in the place of every stored weight."""
    weights = np.sign(matrix.absolute) if signs else matrix.absolute
    product = coefficients @ weights if matrix.dense is not None else (weights.T @ coefficients.T).T
    return np.ascontiguousarray(product)


def _add(parts: dict[int, tuple[Floats, Floats, Floats]], value: int, more: tuple[Floats, Floats, Floats]) -> None:
    present = parts.get(value)
    if present is None:
        parts[value] = more
        return
    middle = present[0] + more[0]
    rounding = 2.0 * gamma(0) * (np.abs(present[0]) + np.abs(more[0]))
    total = present[1] + more[1] + rounding
    parts[value] = (middle, np.where(total == 0.0, 0.0, inflate(total)), present[2] + more[2])


def _middle_radius(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    middle = 0.5 * low + 0.5 * high
    zero = (low == 0.0) & (high == 0.0)
    return middle, np.where(zero, 0.0, np.nextafter(np.maximum(high - middle, middle - low), np.inf))


def _ends(middle: Floats, radius: Floats) -> tuple[Floats, Floats]:
    """middle ∓ radius, rounded outwards; a radius of 0 is an exact 0."""
    zero = (middle == 0.0) & (radius == 0.0)
    return (
        np.where(zero, 0.0, np.nextafter(middle - radius, -np.inf)),
        np.where(zero, 0.0, np.nextafter(middle + radius, np.inf)),
    )
