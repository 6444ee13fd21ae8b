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
from verify.core.network import Network
from verify.core.normal_form import Region
from verify.core.query import Query, Row
from verify.kernel.build import Root
from verify.kernel.check import Claim, claimed_regions, numbered, read_hints
from verify.kernel.stream import RejectedError, Stream
from verify.kernel.system import Node
from verify.kernel.walk import EXACT, LOW, NodeBox, Walk, exact_box
from verify.kernel_fast.check import FastWalk, StoppedError, fast_path, never
from verify.kernel_fast.layout import OPEN_LEAF
from verify.kernel_fast.tables import RefusedError
from verify.search.exact_leaf import Solution, prove_exactly, signed, varint
from verify.search.problem import build_problem
from verify.search.sketch import AGAIN, OPEN

MOST_MENDED = 20_000  # leaves split again before the certificate is given up
EXACT_UNSTABLE = 8  # open leaves with so few unstable ReLUs get an exact proof
EXACT_LEAVES = 256
ROOM = 1 << 16  # in front of the steps, for those that mending puts there


class MissedError(Exception):
    """A solution was found where the search had said that there is none: a defect."""


class UncertifiedError(Exception):
    """No certificate could be made; the message says why."""


def certify(
    query: Query, sketches: Sequence[bytes], claim: Claim, *, stop: Callable[[], bool] = never, plain: bool = True
) -> bytes:
    """The payload for a claim, from one sketch per region; `plain`: by the kernel's plain path if need be.

    Raises UncertifiedError, MissedError, RefusedError, StoppedError.

    Guarantee: none by itself; `verify.kernel.check` decides about the payload.
    """
    regions = claimed_regions(query, claim)
    payload = bytearray(varint(len(regions)))
    for region, sketch in zip(regions, sketches, strict=True):
        payload += _region(query, region, sketch, stop, plain)
    return bytes(payload)


def draft(query: Query, sketches: Sequence[bytes], claim: Claim) -> bytes:
    """The payload as it is when nothing needs mending: the search's own steps.  Raises UncertifiedError."""
    regions = claimed_regions(query, claim)
    parts = [header(query, region) + sketch for region, sketch in zip(regions, sketches, strict=True)]
    return varint(len(regions)) + b"".join(parts)


def _region(query: Query, region: Region, sketch: bytes, stop: Callable[[], bool], plain: bool) -> bytes:
    rows, cases = numbered(region)
    head = header(query, region)
    hints = read_hints(query.network, rows, Stream(head))
    mender = Mender(query.network, region, rows, cases, stop)
    try:
        try:
            walk = FastWalk(fast_path(stop), query.network, region, rows, cases, *hints)
            return head + mend_fast(walk, sketch, mender)
        except RefusedError:
            if not plain:
                raise
        mender.mended = 0
        root = Root(query.network, region, rows, *hints)
        script = Script(sketch)
        Mending(query.network, region, rows, cases, script, mender=mender).run(root.node)
    except RejectedError as problem:
        raise UncertifiedError(str(problem)) from problem
    return head + bytes(script.taken)


def header(query: Query, region: Region) -> bytes:
    """Scales and twins of a region's root."""
    try:
        with np.errstate(all="ignore"):
            scales, twins = root_hints(query, region)
    except OutOfRangeError as problem:
        raise UncertifiedError(problem.message) from problem
    out = bytearray()
    for scale in scales:
        out += signed(scale)
    out += varint(len(twins))
    for block, row, partner in twins:
        out += varint(block) + varint(row) + varint(partner)
    return bytes(out)


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


class Script(Stream):
    """A stream that can be added to in front, and remembers what was read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.taken = bytearray()

    def byte(self) -> int:
        value = super().byte()
        self.taken.append(value)
        return value

    def insert(self, data: bytes) -> None:
        """These bytes come next."""
        self.data, self.at = data + self.data[self.at :], 0

    def replace_last(self, data: bytes) -> None:
        """Forget the last byte read, and read these instead."""
        self.taken.pop()
        self.insert(data)


@dataclass
class Mender:
    """Says how to go on where a leaf is open."""

    network: Network
    region: Region
    rows: Sequence[Row]
    cases: Sequence[Sequence[int]]
    stop: Callable[[], bool]
    mended: int = 0

    def steps(self, node: NodeBox, open_cases: Sequence[int], unstable: int) -> bytes:
        """Prove a leaf exactly where few phases are open, else split it once more; this stands for the LEAF.

        Raises RejectedError, MissedError, StoppedError.
        """
        self.mended += 1
        if self.stop():
            raise StoppedError
        if self.mended > MOST_MENDED:
            raise RejectedError("too many leaves stay open")
        exact = self._exact_steps(node, open_cases) if unstable <= EXACT_UNSTABLE else None
        if exact is not None:
            return bytes([EXACT]) + exact + OPEN
        axis = max(range(len(node.box_low)), key=lambda k: self._width(node, k))
        if self._width(node, axis) < 2:
            raise RejectedError("a leaf cannot be split further")
        return bytes([LOW]) + varint(axis) + AGAIN + AGAIN

    def _width(self, node: NodeBox, k: int) -> int:
        """Of a side, in the region's own measure; 0 for an input that does not vary."""
        sides = self.region.box
        return node.box_high[k] - node.box_low[k] if sides.lower[k] < sides.upper[k] else 0

    def _exact_steps(self, node: NodeBox, open_cases: Sequence[int]) -> bytes | None:
        cases = [[self.rows[r] for r in self.cases[c]] for c in open_cases]
        outcome = prove_exactly(self.network, cases, exact_box(self.region, node), leaves=EXACT_LEAVES)
        if isinstance(outcome, Solution):
            raise MissedError(f"the search missed a solution: {', '.join(map(str, outcome.x))}")
        return outcome.steps if outcome is not None else None


@dataclass
class Mending(Walk):
    """A walk that, where a leaf is open, goes on instead of rejecting."""

    mender: Mender | None = None

    def unclosed(self, node: Node) -> Sequence[Node | None]:
        script = self.stream
        assert isinstance(script, Script) and self.mender is not None
        unstable = sum(node.low[j] < 0 < node.high[j] for j in node.variables)
        script.replace_last(self.mender.steps(node, node.cases, unstable))
        return self.visit(node)


def mend_fast(walk: FastWalk, sketch: bytes, mender: Mender) -> bytes:
    """The steps that the compiled walk took.  Raises RefusedError, RejectedError, MissedError."""
    buffer = bytearray(ROOM) + sketch
    taken, begun = bytearray(), ROOM
    while True:
        walk.begin(np.frombuffer(buffer, np.uint8), begun)
        if walk.go() != OPEN_LEAF:
            return bytes(taken + buffer[begun : walk.position])
        end = walk.position
        taken += buffer[begun : end - 1]
        low, high = walk.bounds()
        unstable = sum(a < 0 < b for a, b in zip(low, high, strict=True))
        steps = mender.steps(walk.box(), walk.open_cases(), unstable)
        begun = end - len(steps)
        if begun < 0:
            raise RefusedError("mending takes too many steps")
        buffer[begun:end] = steps
