"""Scales for the kernel's root: exponents that leave its integers as many bits as there are.

Any scales that are large enough are sound; the kernel rejects smaller ones.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from verify.bounds.backward import propagate
from verify.core.floats import FloatPlan, Floats, OutOfRangeError
from verify.core.network import Network
from verify.core.normal_form import Region
from verify.core.query import Row
from verify.kernel.system import P
from verify.kernel_fast.check import Fast, FastWalk

SPARE_BITS = 4  # scales found by intervals that are no more than this too large are kept


class UncertifiedError(Exception):
    """No certificate could be made; the message says why."""


def fast_root(
    network: Network, region: Region, rows: Sequence[Row], plan: FloatPlan, fast: Fast
) -> tuple[list[int], FastWalk]:
    """Scales by intervals, or far better ones by the bounds that the kernel finds in those; a walk in them.

    Raises UncertifiedError, RefusedError, StoppedError.
    """
    scales = root_scales(network, region, rows, plan, intervals=True)
    walk = FastWalk(fast, network, region, scales)
    if any(row.outputs for row in rows):
        with np.errstate(all="ignore"):
            reach = [bound * 2.0 ** (k - P) for bound, k in zip(walk.root_bounds(), scales, strict=False)]
            better = _scales(network, region, rows, plan, reach)
        if any(b < a - SPARE_BITS for a, b in zip(scales, better, strict=True)):
            return better, FastWalk(fast, network, region, better)
    return scales, walk


def root_scales(
    network: Network, region: Region, rows: Sequence[Row], plan: FloatPlan, *, intervals: bool = False
) -> list[int]:
    """Exponents of every block and row, with one bit to spare.  Raises UncertifiedError.

    By the bounds of `verify.bounds`, or by its intervals alone.
    """
    if not any(row.outputs for row in rows):
        reach = [np.zeros(b.size) for b in network.blocks]
        return [0] * len(reach) + [_row_exponent(network, region, row, reach) for row in rows]
    with np.errstate(all="ignore"):
        try:
            box = tuple(np.array([[float(v) for v in side]]) for side in (region.box.lower, region.box.upper))
        except OverflowError as problem:
            raise UncertifiedError(OutOfRangeError().message) from problem
        enclosure = propagate(plan, (box[0], box[1]), len(network.blocks) - 1, stop=lambda: intervals)
        sides = zip(enclosure.lower, enclosure.upper, strict=True)
        return _scales(network, region, rows, plan, [np.maximum(-low[0], high[0]) for low, high in sides])


def _scales(
    network: Network, region: Region, rows: Sequence[Row], plan: FloatPlan, reach: Sequence[Floats]
) -> list[int]:
    """From bounds on the size of each block's pre-activations."""
    inputs = np.maximum(
        np.abs(np.array([float(v) for v in region.box.lower])), np.abs(np.array([float(v) for v in region.box.upper]))
    )
    values = [*plan.split_inputs(inputs), *reach]
    scales = []
    for block in plan.blocks[: len(network.blocks)]:
        weight = np.abs(block.bias)
        for term in block.terms:
            weight = weight + term.matrix.apply_absolute(values[term.source])
        scales.append(_exponent(float(weight.max(initial=0.0))))
    return scales + [_row_exponent(network, region, row, reach) for row in rows]


def _row_exponent(network: Network, region: Region, row: Row, reach: Sequence[Floats]) -> int:
    size = abs(float(row.bound))
    for index, weight in row.inputs:
        size += abs(float(weight)) * max(abs(float(region.box.lower[index])), abs(float(region.box.upper[index])))
    places = network.output_places
    first, offsets = len(network.inputs), np.cumsum([0, *(p.size for p in network.inputs)]).tolist()
    for index, weight in row.outputs:
        value, element = places[index]
        if value < first:
            ends = region.box.lower[offsets[value] + element], region.box.upper[offsets[value] + element]
            size += abs(float(weight)) * max(abs(float(ends[0])), abs(float(ends[1])))
        else:
            size += abs(float(weight)) * float(reach[value - first][element])
    return _exponent(size)


def _exponent(size: float) -> int:
    if not math.isfinite(size):
        raise UncertifiedError("bounds are not finite")
    return math.frexp(size)[1] + 1 if size > 0 else 0
