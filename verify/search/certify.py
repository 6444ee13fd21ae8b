"""From a sketch to a certificate: follow the search's steps in the kernel's arithmetic, mend what rounding left open.

The kernel walks; this module only feeds it steps and notes the ones it took.  Where a leaf stays open for the kernel
the box is split once more, and leaves at ties get an exact proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verify.core.floats import FloatPlan, OutOfRangeError
from verify.core.network import Network
from verify.core.normal_form import Region
from verify.core.query import Query, Row
from verify.kernel.build import Entry, Root
from verify.kernel.check import Claim, claimed_regions, numbered
from verify.kernel.stream import RejectedError, Stream
from verify.kernel.system import Node
from verify.kernel.walk import EXACT, LOW, NodeBox, Walk, exact_box
from verify.kernel_fast.check import Fast, FastWalk, StoppedError, fast_path, never
from verify.kernel_fast.layout import OPEN_LEAF
from verify.kernel_fast.tables import RefusedError, WrongStepError
from verify.search.exact_leaf import Solution, prove_exactly, signed, varint
from verify.search.phase_proof import RootView
from verify.search.scales import UncertifiedError, root_scales
from verify.search.sketch import AGAIN, DIRECT, OPEN, Steps

MOST_MENDED = 20_000  # leaves split again before the certificate is given up
EXACT_UNSTABLE = 3  # open leaves with so few unstable ReLUs get an exact proof, …
EXACT_UNSTABLE_SMALL, SMALL_WEIGHTS = 8, 2000  # … with so few if the network is small: exact programs are slow
EXACT_LEAVES = 256
ROOM = 1 << 16  # in front of the steps, for those that mending puts there


class MissedError(Exception):
    """A solution was found where the search had said that there is none: a defect."""


def certify(
    query: Query,
    sketches: Sequence[Steps],
    claim: Claim,
    *,
    plan: FloatPlan | None = None,
    stop: Callable[[], bool] = never,
    plain: bool = True,
) -> bytes:
    """The payload for a claim, from one sketch per region of the claim.

    `plan`: the network's blocks in float64, if they are at hand; `plain`: by the kernel's plain path if need be.
    Guarantee: none by itself; `verify.kernel.check` decides about the payload.
    Raises UncertifiedError, MissedError, RefusedError, StoppedError.
    """
    try:
        plan = plan or FloatPlan(query.network)
    except OutOfRangeError as problem:
        raise UncertifiedError(problem.message) from problem
    regions = claimed_regions(query, claim)
    payload = bytearray(varint(len(regions)))
    for region, sketch in zip(regions, sketches, strict=True):
        rows, cases = numbered(region)
        mender = Mender(query.network, region, rows, cases, stop)
        try:
            try:
                payload += _by_fast_path(mender, sketch, plan, fast_path(stop))
            except RefusedError:
                if not plain:
                    raise
                payload += _by_plain_path(mender, sketch, plan)
        except RejectedError as problem:
            raise UncertifiedError(str(problem)) from problem
    return bytes(payload)


def header(scales: Sequence[int]) -> bytes:
    """What a region's steps begin with."""
    return b"".join(map(signed, scales))


def _by_plain_path(mender: Mender, sketch: Steps, plan: FloatPlan) -> bytes:
    network, region, rows = mender.network, mender.region, mender.rows
    scales = root_scales(network, region, rows, plan)
    mender.mended = 0
    root = Root(network, region, rows, scales)

    def is_active(entry: Entry) -> bool:
        return root.low[entry[0]][entry[1]] >= 0

    view = RootView(rows, mender.cases, scales, len(network.blocks), root.variable, is_active)
    script = Script(sketch(view))
    Mending(network, region, rows, mender.cases, script, mender=mender).run(root.node)
    return header(scales) + bytes(script.taken)


def _by_fast_path(mender: Mender, sketch: Steps, plan: FloatPlan, fast: Fast) -> bytes:
    network, region = mender.network, mender.region
    scales = root_scales(network, region, mender.rows, plan, fast)
    walk = FastWalk(fast, network, region, scales)
    walk.build()
    view = RootView(mender.rows, mender.cases, scales, len(network.blocks), walk.variables(), walk.is_active)
    try:
        return header(scales) + mend_fast(walk, sketch(view), mender)
    except WrongStepError:  # multipliers that do not close a node here: from the root, then
        return header(scales) + mend_fast(FastWalk(fast, network, region, scales), DIRECT, mender)


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
        small = sum(len(t.matrix.values) for b in self.network.blocks for t in b.terms) <= SMALL_WEIGHTS
        few = unstable <= (EXACT_UNSTABLE_SMALL if small else EXACT_UNSTABLE)
        exact = self._exact_steps(node, open_cases) if few else None
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
