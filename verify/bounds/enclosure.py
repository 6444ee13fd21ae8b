"""Enclosures: for a batch of boxes, guaranteed intervals around every value and pre-activation."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verify.core.floats import FloatPlan, Floats


@dataclass(eq=False)
class Enclosure:
    """Bounds over a batch of B boxes.  Shapes: (B, n) per array.

    `lower[k]`, `upper[k]` contain every exact pre-activation of block k over each box; `magnitude[k]` is at least
    Σ|W||v| + |b| of block k there.  `inputs` are the boxes.  Guarantee: float64, rounded outwards.
    Bounds only ever tighten; a row with lower > upper says that the box holds no point at all.
    """

    inputs: tuple[Floats, Floats]
    lower: list[Floats]
    upper: list[Floats]
    magnitude: list[Floats]

    @property
    def size(self) -> int:
        return int(self.inputs[0].shape[0])

    def take(self, rows: np.ndarray) -> Enclosure:
        """The same for a selection of the boxes (indices, repeats allowed)."""
        return Enclosure(
            (self.inputs[0][rows], self.inputs[1][rows]),
            [a[rows] for a in self.lower],
            [a[rows] for a in self.upper],
            [a[rows] for a in self.magnitude],
        )

    def value_bounds(self, plan: FloatPlan, value: int) -> tuple[Floats, Floats]:
        """Bounds (B, n) of a value: an input part, or the block's output after its mask."""
        if value < plan.first_block:
            begin = sum(plan.input_sizes[:value])
            part = slice(begin, begin + plan.input_sizes[value])
            return self.inputs[0][:, part], self.inputs[1][:, part]
        block = plan.blocks[value - plan.first_block]
        low, high = self.lower[value - plan.first_block], self.upper[value - plan.first_block]
        if not block.has_relu:
            return low, high
        return np.where(block.relu, np.maximum(low, 0.0), low), np.where(block.relu, np.maximum(high, 0.0), high)

    def value_magnitude(self, plan: FloatPlan, value: int) -> Floats:
        """At least |v| for every entry of a value (B, n)."""
        low, high = self.value_bounds(plan, value)
        return np.maximum(np.abs(low), np.abs(high))
