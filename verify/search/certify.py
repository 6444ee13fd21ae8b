"""From a sketch to a certificate: follow the search's steps in the kernel's arithmetic, mend what rounding left open.

The kernel walks; this module only feeds it steps and notes the ones it took.  Where a leaf stays open for the kernel
the box is split once more, and leaves at ties get an exact proof.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from threading import Lock

from verify.core.floats import FloatPlan, OutOfRangeError
from verify.core.network import Network
from verify.core.normal_form import Region
from verify.core.payload import RejectedError, signed, varint
from verify.core.query import Query, Row
from verify.kernel.build import Entry, Root
from verify.kernel.check import Claim, claimed_regions
from verify.kernel.system import ONE, Node
from verify.kernel.walk import BOUND, EXACT, LOW, MOST_NESTED, Walk, exact_box
from verify.kernel_fast.check import Fast, FastWalk, Known, StoppedError, fast_path, never
from verify.kernel_fast.layout import AFRESH_STEP, DONE, NOT_CLOSED, OPEN_LEAF
from verify.kernel_fast.tables import RefusedError, WrongStepError
from verify.search.box_proof import BoxSteps
from verify.search.exact_leaf import Solution, prove_exactly
from verify.search.phase_proof import RootView
from verify.search.scales import UncertifiedError, fast_root, root_scales
from verify.search.script import Script
from verify.search.sharing import threads
from verify.search.sketch import AGAIN, DIRECT, OPEN, RegionSketch, Steps
from verify.search.slope_proof import Drafts, MendingDifferences, remaining

Again = Callable[[Region], Steps] | None
IntegerBox = tuple[list[int], list[int]]  # over s, in units of 2^-P

MOST_MENDED = 20_000  # leaves split again before the certificate is given up
FEW_MENDED = 64  # in a part: beyond, its box is another than the search had, and searched itself
EXACT_UNSTABLE = 3  # open leaves with so few unstable ReLUs get an exact proof, …
EXACT_UNSTABLE_SMALL, SMALL_WEIGHTS = 8, 2000  # … with so few if the network is small: exact programs are slow
EXACT_LEAVES = 256
TIE = ONE >> 26  # rows nearer to zero than this may be ties, which no split resolves …
SPLIT_FIRST = 200  # … others are split first, so many of them
FEW_REGIONS = 32  # after so many the pace tells how long the others will take
ROOM = 1 << 16  # in front of the steps, for those that mending puts there
FIRST_SHARE = 0.15  # of the parts, after which the pace tells as much


SEARCHING = Lock()


class MissedError(Exception):
    """A solution was found where the search had said that there is none: a defect."""


class TooManyError(RejectedError):
    """More leaves stay open than are to be mended."""


def certify(
    query: Query,
    sketches: Sequence[RegionSketch],
    claim: Claim,
    *,
    plan: FloatPlan | None = None,
    stop: Callable[..., bool] = never,
    again: Again = None,
    plain: bool = True,
    mend: bool = True,
    known: Known | None = None,
) -> bytes:
    """The payload for a claim, from one sketch per region of the claim.

    `plan`: the network's blocks in float64, if they are at hand; `again`: searches a part of a region; `plain`: by
    the kernel's plain path if need be; `mend`: else the search's own steps are taken as they are.
    Guarantee: none by itself; `verify.kernel.check` decides about the payload.
    Raises UncertifiedError, MissedError, RefusedError, StoppedError.
    """
    try:
        plan = plan or FloatPlan(query.network)
    except OutOfRangeError as problem:
        raise UncertifiedError(problem.message) from problem
    regions = claimed_regions(query, claim)
    payload = bytearray(varint(len(regions)))
    inside = stop if len(regions) == 1 else lambda _share=0.0: stop()  # with many, these tell the pace
    drafts, mending = Drafts(query.network), MendingDifferences(query.network, stop)
    means = Means(plan, again, plain, mend, known or Known())
    for number, (region, sketch) in enumerate(zip(regions, sketches, strict=True)):
        if stop(number / (2 * len(regions)) if number > FEW_REGIONS else 0.0):  # checking takes about as long again
            raise StoppedError
        section = drafts.section(region, sketch.closed)
        rest = remaining(region, sketch.closed)
        try:
            payload += mending.mend(region, section) if mend else section
            payload += _tree(Mender.of(query.network, rest, inside), sketch.steps, means) if rest else b""
        except RejectedError as problem:
            raise UncertifiedError(str(problem)) from problem
    return bytes(payload)


@dataclass(frozen=True)
class Means:
    """What certifying may use: see `certify`."""

    plan: FloatPlan
    again: Again
    plain: bool
    mend: bool
    known: Known


def _tree(mender: Mender, sketch: Steps, means: Means) -> bytes:
    """One region's scales and steps."""
    try:
        return _by_fast_path(mender, sketch, means, fast_path(mender.stop, means.known))
    except RefusedError:
        if not means.plain:
            raise
        return _by_plain_path(mender, sketch, means.plan, means.mend)


def header(scales: Sequence[int]) -> bytes:
    """What a region's steps begin with."""
    return b"".join(map(signed, scales))


def _by_plain_path(mender: Mender, sketch: Steps, plan: FloatPlan, mend: bool) -> bytes:
    network, region, rows = mender.network, mender.region, mender.rows
    scales = root_scales(network, region, rows, plan)
    mender.mended = 0
    root = Root(network, region, rows, scales)

    def is_active(entry: Entry) -> bool:
        return root.low[entry[0]][entry[1]] >= 0

    steps = sketch(
        lambda: RootView(rows, mender.cases, scales, len(network.blocks), root.variable, is_active, mender.stop)
    )
    if not mend:
        return header(scales) + steps
    try:
        return header(scales) + _mended(mender, root, steps)
    except TooManyError:
        raise
    except RejectedError:  # weights that do not close a node here: from the root, then
        return header(scales) + _mended(mender, Root(network, region, rows, scales), DIRECT)


def _mended(mender: Mender, root: Root, steps: bytes) -> bytes:
    script = Script(steps)
    Mending(mender.network, mender.region, mender.rows, mender.cases, script, mender=mender).run(root.node)
    return bytes(script.taken)


def _by_fast_path(mender: Mender, sketch: Steps, means: Means, fast: Fast) -> bytes:
    network, region = mender.network, mender.region
    scales, walk = fast_root(network, region, mender.rows, means.plan, fast)

    def view() -> RootView:
        walk.build()
        return RootView(
            mender.rows, mender.cases, scales, len(network.blocks), walk.variables(), walk.is_active, mender.stop
        )

    parts = list[BoxSteps]()
    if isinstance(sketch, BoxSteps) and mender.nested < MOST_NESTED:
        sketch, parts = sketch.cut()
    if not (means.mend or parts or mender.nested):
        return header(scales) + sketch(view)
    try:
        cut, steps = Cut(mender, means, fast, parts), sketch(view)
        if len(parts) > 1 and not mender.nested and threads() > 1:
            cut.ahead(FastWalk(fast, network, region, scales), steps)
        return header(scales) + cut.mend(walk, steps)
    except WrongStepError:  # steps that are none here: from the root, then
        return header(scales) + Cut(mender, means, fast, []).mend(FastWalk(fast, network, region, scales), DIRECT)


@dataclass
class Mender:
    """Says how to go on where a leaf is open."""

    network: Network
    region: Region
    rows: Sequence[Row]
    cases: Sequence[Sequence[int]]
    stop: Callable[..., bool]
    most: int = MOST_MENDED
    nested: int = 0  # regions afresh around this one
    mended: int = 0

    @classmethod
    def of(cls, network: Network, region: Region, stop: Callable[..., bool]) -> Mender:
        return cls(network, region, *region.numbered(), stop)

    def inside(self, part: Region, most: int) -> Mender:
        """For a region afresh.  Its stop is told no share: the pace is that of the whole."""
        rows, cases = part.numbered()
        return Mender(self.network, part, rows, cases, lambda _share=0.0: self.stop(), most, self.nested + 1)

    def steps(self, box: IntegerBox, open_cases: Sequence[int], unstable: int, slack: int = 0) -> bytes:
        """Prove a leaf exactly where few phases are open, else split it once more; this stands for the LEAF.

        `slack`: how far the rows' bounds stay below zero, in units of 2^-P.
        Raises RejectedError, MissedError, StoppedError.
        """
        self.count()
        small = sum(len(t.matrix.values) for b in self.network.blocks for t in b.terms) <= SMALL_WEIGHTS
        few = unstable <= (EXACT_UNSTABLE_SMALL if small else EXACT_UNSTABLE)
        axis = max(range(len(box[0])), key=lambda k: self._width(box, k))
        whole = self._width(box, axis) < 2
        exact = None
        if whole or (few and (slack < TIE or self.mended > SPLIT_FIRST)):
            exact = self._exact_steps(box, open_cases)
        if exact is not None:
            return bytes([EXACT]) + exact + OPEN
        if whole:
            raise RejectedError("a leaf cannot be split further")
        return bytes([LOW]) + varint(axis) + AGAIN + AGAIN

    def count(self) -> None:
        """One more leaf is mended.  Raises TooManyError, StoppedError."""
        self.mended += 1
        if self.stop():
            raise StoppedError
        if self.mended > self.most:
            raise TooManyError("too many leaves stay open")

    def _width(self, box: IntegerBox, k: int) -> int:
        """Of a side, in the region's own measure; 0 for an input that does not vary."""
        sides = self.region.box
        return box[1][k] - box[0][k] if sides.lower[k] < sides.upper[k] else 0

    def _exact_steps(self, box: IntegerBox, open_cases: Sequence[int]) -> bytes | None:
        cases = [[self.rows[r] for r in self.cases[c]] for c in open_cases]
        outcome = prove_exactly(self.network, cases, exact_box(self.region, *box), leaves=EXACT_LEAVES)
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
        script.replace_last(self.mender.steps((node.box_low, node.box_high), node.cases, unstable))
        return self.visit(node)


@dataclass(frozen=True)
class Cut:
    """Mends in compiled code.  `parts`: what the number after AFRESH stands for; `made`: their steps, once they are."""

    mender: Mender
    means: Means
    fast: Fast
    parts: Sequence[BoxSteps]
    made: dict[tuple[int, Region], bytes] = field(default_factory=dict)

    def ahead(self, walk: FastWalk, sketch: bytes) -> None:
        """Make the parts side by side, each as the sketch alone leads to it.  Raises as `mend`."""
        wanted = self.scout(walk, sketch)
        size = sum(len(self.parts[number].raw) for number, _ in wanted)
        done = 0
        with ThreadPoolExecutor(min(threads(), max(1, len(wanted)))) as pool:
            under_way = {
                pool.submit(self.part, region, self.parts[number]): (number, region) for number, region in wanted
            }
            try:
                for part in as_completed(under_way):
                    self.made[under_way[part]] = part.result()
                    done += len(self.parts[under_way[part][0]].raw)
                    self.keep_pace(done, size)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def keep_pace(self, done: int, size: int) -> None:
        """Raises StoppedError where the other parts would take too long.  They differ much: the first tell little."""
        if self.mender.stop(done / size if done > FIRST_SHARE * size else 0.0):
            raise StoppedError

    def scout(self, walk: FastWalk, sketch: bytes) -> list[tuple[int, Region]]:
        """Which parts the steps come to; what they leave open besides is left alone."""
        found: list[tuple[int, Region]] = []
        walk.begin(sketch, 0)
        while (status := walk.advance()) != DONE:
            if status == AFRESH_STEP:
                stream = walk.stream()
                number = stream.varint()
                if not walk.is_closed:
                    found.append((number, walk.part()))
                walk.skip(stream.at)
            if status != NOT_CLOSED:
                walk.close()
        return found

    def mend(self, walk: FastWalk, sketch: bytes) -> bytes:
        """The steps that the walk took.  Raises RefusedError, RejectedError, MissedError, StoppedError."""
        buffer, failed = bytearray(ROOM) + sketch, False
        walk.begin(buffer, ROOM)
        while (status := walk.advance()) != DONE:
            if status == AFRESH_STEP:
                self.afresh(walk)
            elif status == OPEN_LEAF and not (failed and self.searched_at(walk)):
                after = walk.position + 1
                steps = self.open_leaf(walk)
                if len(steps) > after:
                    raise RefusedError("mending takes too many steps")
                buffer[after - len(steps) : after] = steps
                walk.skip(after - len(steps))
            failed = status == NOT_CLOSED
        return bytes(walk.taken)

    def open_leaf(self, walk: FastWalk) -> bytes:
        """What stands for a leaf that is open."""
        if not walk.is_bounded:  # the search had no use for it here, but the kernel may
            return bytes([BOUND]) + OPEN
        unstable = sum(low < 0 < high for low, high in zip(*walk.bounds(), strict=True))
        return self.mender.steps(walk.box(), walk.open_cases(), unstable, walk.slack())

    def searched_at(self, walk: FastWalk) -> bool:
        """Close the node by a search of its own: where slopes did not, halves without any would be far too many."""
        if self.means.again is None or self.mender.nested >= MOST_NESTED or walk.at_root():
            return False
        self.mender.count()
        walk.take_afresh(self.searched(walk.part(), self.means.again))
        return True

    def afresh(self, walk: FastWalk) -> None:
        """Close the node by a part's steps, and go on after their number."""
        stream = walk.stream()
        number = stream.varint()
        if not walk.is_closed:
            region = walk.part()
            made = self.made.pop((number, region), None)
            if made is None:
                self.keep_pace(*(sum(len(p.raw) for p in parts) for parts in (self.parts[:number], self.parts)))
                made = self.part(region, self.parts[number])
            walk.take_afresh(made)
        walk.skip(stream.at)

    def part(self, region: Region, sketch: BoxSteps) -> bytes:
        """A part's scales and steps: by its sketch, or by a search of its own where that fits another box."""
        mender = self.mender.inside(region, FEW_MENDED if self.means.again else MOST_MENDED)
        try:
            return _by_fast_path(mender, sketch, self.means, self.fast)
        except TooManyError:
            if self.means.again is None:
                raise
        return self.searched(region, self.means.again)

    def searched(self, region: Region, again: Callable[[Region], Steps]) -> bytes:
        """A part's scales and steps by a search of its own; one at a time, since Z3 may take part in it."""
        with SEARCHING:
            steps = again(region)
        return _by_fast_path(self.mender.inside(region, MOST_MENDED), steps, self.means, self.fast)
