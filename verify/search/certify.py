"""From a sketch to a certificate: follow the search's steps in the kernel's arithmetic, mend what rounding left open.

The kernel walks; this module only feeds it steps and notes the ones it took.  Where a leaf stays open for the kernel
the box is split once more, and leaves at ties get an exact proof.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verify.bounds.backward import propagate
from verify.core.floats import OutOfRangeError
from verify.core.normal_form import Region
from verify.core.query import Query
from verify.kernel.build import Root, read_hints
from verify.kernel.check import Claim, claimed_regions, numbered
from verify.kernel.stream import RejectedError, Stream
from verify.kernel.system import Node
from verify.kernel.walk import EXACT, LOW, Walk, exact_box
from verify.search.exact_leaf import Solution, prove_exactly, signed, varint
from verify.search.problem import build_problem
from verify.search.script import Script
from verify.search.sketch import AGAIN, OPEN, RegionSketch
from verify.search.slope_proof import Drafts, MendingDifferences, remaining

MOST_MENDED = 20_000  # leaves split again before the certificate is given up
EXACT_UNSTABLE = 8  # open leaves with so few unstable ReLUs get an exact proof
EXACT_LEAVES = 256


class MissedError(Exception):
    """A solution was found where the search had said that there is none: a defect."""


class UncertifiedError(Exception):
    """No certificate could be made; the message says why."""


def certify(query: Query, sketches: Sequence[RegionSketch], claim: Claim, stop: Callable[[], bool]) -> bytes:
    """The payload for a claim, from one sketch per region.  Raises UncertifiedError, MissedError.

    Guarantee: none by itself; `verify.kernel.check` decides about the payload.
    """
    regions = claimed_regions(query, claim)
    payload = bytearray(varint(len(regions)))
    drafts, mending = Drafts(query.network, scales_of), MendingDifferences(query.network, stop)
    for region, sketch in zip(regions, sketches, strict=True):
        try:
            payload += mending.mend(region, drafts.section(region, sketch.closed))
        except RejectedError as problem:
            raise UncertifiedError(str(problem)) from problem
        rest = remaining(region, sketch.closed)
        if rest is not None:
            payload += _region(query, rest, sketch.steps, stop)
    return bytes(payload)


def draft(query: Query, sketches: Sequence[RegionSketch], claim: Claim) -> bytes:
    """The payload as it is when nothing needs mending: the search's own steps.  Raises UncertifiedError."""
    regions = claimed_regions(query, claim)
    payload, drafts = bytearray(varint(len(regions))), Drafts(query.network, scales_of)
    for region, sketch in zip(regions, sketches, strict=True):
        payload += drafts.section(region, sketch.closed)
        rest = remaining(region, sketch.closed)
        if rest is not None:
            payload += header(query, rest) + sketch.steps
    return bytes(payload)


def _region(query: Query, region: Region, sketch: bytes, stop: Callable[[], bool]) -> bytes:
    rows, cases = numbered(region)
    try:
        head = header(query, region)
        root = Root(query.network, region, rows, *read_hints(query.network, rows, Stream(head)))
        script = Script(sketch)
        Mending(query.network, region, rows, cases, script, stop=stop).run(root.node)
    except RejectedError as problem:
        raise UncertifiedError(str(problem)) from problem
    return head + bytes(script.taken)


def header(query: Query, region: Region) -> bytes:
    """Scales and twins of a region's root."""
    scales, twins = _finite_hints(query, region)
    out = bytearray()
    for scale in scales:
        out += signed(scale)
    out += varint(len(twins))
    for block, row, partner in twins:
        out += varint(block) + varint(row) + varint(partner)
    return bytes(out)


def scales_of(query: Query, region: Region) -> list[int]:
    """Scales of a region's root.  Raises UncertifiedError."""
    return _finite_hints(query, region)[0]


def _finite_hints(query: Query, region: Region) -> tuple[list[int], list[tuple[int, int, int]]]:
    try:
        with np.errstate(all="ignore"):
            return root_hints(query, region)
    except OutOfRangeError as problem:
        raise UncertifiedError(problem.message) from problem


def root_hints(query: Query, region: Region) -> tuple[list[int], list[tuple[int, int, int]]]:
    """Exponents of every block and row, with one bit to spare; exact twins among each block's ReLUs."""
    rows, _ = numbered(region)
    if not rows:
        return [0] * len(query.network.blocks), []
    problem = build_problem(query, (Region(region.box, (), (tuple(rows),)),))
    plan, last = problem.plan, problem.row_block
    enclosure = propagate(plan, (problem.lower, problem.upper), last)
    lows = [*plan.split_inputs(enclosure.inputs[0][0]), *(low[0] for low in enclosure.lower)]
    highs = [*plan.split_inputs(enclosure.inputs[1][0]), *(high[0] for high in enclosure.upper)]
    scales = []
    for number, block in enumerate(plan.blocks):
        weight = np.abs(block.bias)
        for term in block.terms:
            reach = np.maximum(np.abs(lows[term.source]), np.abs(highs[term.source]))
            weight = weight + term.matrix.apply_absolute(reach)
        scales += [_exponent(float(w)) for w in (weight if number == last else [weight.max(initial=0.0)])]
    twins = [
        (number, row, int(partner))
        for number, block in enumerate(plan.blocks[:last])
        if block.has_relu
        for row, partner in enumerate(block.twins)
        if partner >= 0
    ]
    return scales, twins


def _exponent(size: float) -> int:
    if not math.isfinite(size):
        raise UncertifiedError("bounds are not finite")
    return math.frexp(size)[1] + 1 if size > 0 else 0


@dataclass
class Mending(Walk):
    """A walk that, where a leaf is open, goes on instead of rejecting."""

    stop: Callable[[], bool] = lambda: False
    mended: int = 0

    def unclosed(self, node: Node) -> Sequence[Node | None]:
        """Prove a leaf exactly where few phases are open, else split it once more."""
        script = self.stream
        assert isinstance(script, Script)
        self.mended += 1
        if self.mended > MOST_MENDED or self.stop():
            raise RejectedError("too many leaves stay open")
        unstable = sum(node.low[j] < 0 < node.high[j] for j in node.variables)
        steps = self.exact_steps(node) if unstable <= EXACT_UNSTABLE else None
        if steps is not None:
            script.replace_last(bytes([EXACT]) + steps + OPEN)
            return self.visit(node)
        axis = max(range(len(node.box_low)), key=lambda k: self.width(node, k))
        if self.width(node, axis) < 2:
            raise RejectedError("a leaf cannot be split further")
        script.replace_last(bytes([LOW]) + varint(axis) + AGAIN + AGAIN)
        return self.visit(node)

    def width(self, node: Node, k: int) -> int:
        """Of a side, in the region's own measure; 0 for an input that does not vary."""
        sides = self.region.box
        return node.box_high[k] - node.box_low[k] if sides.lower[k] < sides.upper[k] else 0

    def exact_steps(self, node: Node) -> bytes | None:
        cases = [[self.rows[r] for r in self.cases[c]] for c in node.cases]
        outcome = prove_exactly(self.network, cases, exact_box(self.region, node), leaves=EXACT_LEAVES)
        if isinstance(outcome, Solution):
            raise MissedError(f"the search missed a solution: {', '.join(map(str, outcome.x))}")
        return outcome.steps if outcome is not None else None
