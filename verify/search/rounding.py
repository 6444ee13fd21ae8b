"""Into which parts a query is cut for float32 semantics: until rounding is small beside what a property has to spare.

The choice proves nothing; the kernel's own bounds are asked for every part that is considered.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction

import numpy as np

from verify.core.floats import FloatPlan, OutOfRangeError
from verify.core.normal_form import MAX_CASES, Box, Region, normal_form
from verify.core.query import Row
from verify.kernel_float32.relax import Part, Rounded, halves

MOST_PARTS = 4000
MOST_EXCESS = 1e3  # near a counterexample no part is small enough: it must not get all the work
MOST_VARIABLES = 16  # beyond, halving boxes gets nowhere


@dataclass(eq=False)
class Node:
    """A part, or the two halves along `axis` it was cut into."""

    part: Part
    axis: int = -1
    halves: list[Node] = field(default_factory=list)


def choose_parts(rounded: Rounded, share: float, stop: Callable[[], bool]) -> bytes:
    """The parts as the kernel's payload names them.

    `share`: of a row's distance from holding, at the middle of a part, what its error may be at most.  `stop` is asked
    between parts.  The same call again goes on where the last one stopped: what was computed is kept in `rounded`.
    Raises RejectedError.
    """
    query = rounded.query
    regions = normal_form(query).regions
    try:
        plan = FloatPlan(query.network)
    except OutOfRangeError:
        return bytes(len(regions))
    roots = [Node(rounded.part(region.box)) for region in regions]
    waiting: list[tuple[float, int, Node, Region]] = []
    count, order = len(roots), itertools.count()

    def consider(node: Node, region: Region) -> None:
        excess = excess_of(node.part, region, plan, share)
        if excess > 1.0:
            heapq.heappush(waiting, (-excess * volume(node.part.box, region.box), next(order), node, region))

    for node, region in zip(roots, regions, strict=True):
        if sum(map(Fraction.__lt__, region.box.lower, region.box.upper)) <= MOST_VARIABLES:
            consider(node, region)
    most = min(MOST_PARTS, MAX_CASES // max(1, max((len(r.cases) for r in regions), default=1)))
    while waiting and count < most and not stop():
        _, _, node, region = heapq.heappop(waiting)
        node.axis = axis_of(node.part)
        node.halves = [Node(rounded.part(box)) for box in halves(node.part.box, node.axis)]
        count += 1
        for half in node.halves:
            consider(half, region)
    return b"".join(map(encoded, roots))


def encoded(root: Node) -> bytes:
    """Preorder, lower half first."""
    result, stack = bytearray(), [root]
    while stack:
        node = stack.pop()
        number = node.axis + 1
        while number > 127:
            result.append(number & 127 | 128)
            number >>= 7
        result.append(number)
        stack += reversed(node.halves)
    return bytes(result)


def excess_of(part: Part, region: Region, plan: FloatPlan, share: float) -> float:
    """How many times too large the errors are, in the worst case of the region; at most 1: small enough."""
    middle = np.array([[float(a + b) / 2 for a, b in zip(part.box.lower, part.box.upper, strict=True)]])
    outputs = plan.evaluate(middle)[0]
    worst = 0.0
    for case in region.cases:
        spare: list[tuple[float, Row]] = []
        for row in case:
            if row.outputs:
                left = sum(float(c) * middle[0, i] for i, c in row.inputs)
                left += sum(float(c) * outputs[i] for i, c in row.outputs)
                spare.append((share * (left - float(row.bound)), row))
        least = MOST_EXCESS
        for most, row in sorted(spare, key=lambda pair: -pair[0]):
            error = float(part.error(row.outputs))
            least = min(least, error / most if most > 0 else MOST_EXCESS)
            if least <= 1.0:
                break  # one row that surely fails is enough
        worst = max(worst, least)
    return worst


def volume(box: Box, whole: Box) -> float:
    """The share of a box in the whole."""
    share = 1.0
    for a, b, low, high in zip(box.lower, box.upper, whole.lower, whole.upper, strict=True):
        if low < high:
            share *= float((b - a) / (high - low))
    return share


def axis_of(part: Part) -> int:
    """The variable along whose side the rows that were looked at may change most."""
    change = [0.0] * len(part.box.lower)
    for bound in part.known.values():
        for copy, slopes in zip(part.rounded.query.copies, bound.slopes, strict=True):
            for affine, slope in zip(copy.raw_inputs, slopes, strict=True):
                for i, c in affine.coefficients:
                    change[i] = max(change[i], abs(float(c)) * float(slope))
    width = [float(b - a) for a, b in zip(part.box.lower, part.box.upper, strict=True)]
    score = [c * w if w > 0 else -1.0 for c, w in zip(change, width, strict=True)]
    return score.index(max(score))
