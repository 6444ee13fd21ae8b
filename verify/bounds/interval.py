"""Interval propagation of one block."""

from __future__ import annotations

import numpy as np

from verify.bounds.enclosure import Enclosure
from verify.bounds.rounding import gamma, inflate, reject_non_finite, underflow
from verify.core.floats import FloatPlan, Floats


def interval_block(plan: FloatPlan, enclosure: Enclosure, index: int) -> tuple[Floats, Floats, Floats]:
    """Enclose the pre-activations of block `index` from the bounds of the values before it.

    Shapes: result (lower, upper, magnitude), each (B, n).
    Guarantee: contains the exact real values; float64 rounded outwards.
    Method: midpoint-radius.  With c + [-r, r] around each v (r rounded up so that it covers both ends),
    z lies in fl(Wc + b) ± (fl(|W| r)(1 + γ) + γ(|W||v| + |b|) + underflow), by (1) of verify.bounds.rounding with
    |c| <= |v|max; charging the magnitude term twice covers the magnitude's own rounding.
    """
    block = plan.blocks[index]
    batch = enclosure.size
    centre = np.broadcast_to(block.bias, (batch, block.bias.size))
    radius = np.zeros((batch, block.bias.size))
    magnitude = np.broadcast_to(np.abs(block.bias), (batch, block.bias.size))
    spread = np.zeros((batch, 1))
    with np.errstate(all="ignore"):
        for term in block.terms:
            low, high = enclosure.value_bounds(plan, term.source)
            largest = np.maximum(np.abs(low), np.abs(high))
            middle = 0.5 * low + 0.5 * high
            around = np.nextafter(np.maximum(high - middle, middle - low), np.inf)
            centre = centre + term.matrix.apply(middle)
            radius = radius + term.matrix.apply_absolute(around)
            magnitude = magnitude + term.matrix.apply_absolute(largest)
            spread = spread + largest.sum(axis=1, keepdims=True)
        charge = gamma(block.fan_in + len(block.terms))
        reach = inflate(
            radius * (1.0 + 2.0 * charge) + 2.0 * charge * magnitude + 4.0 * underflow(block.fan_in, spread)
        )
        lower, upper = reject_non_finite(np.nextafter(centre - reach, -np.inf), np.nextafter(centre + reach, np.inf))
        return lower, upper, inflate(magnitude * (1.0 + charge) + underflow(block.fan_in, spread))
