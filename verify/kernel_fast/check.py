"""The fast path's entry: tables for the compiled walk, and what it leaves to Python (exact leaves, messages)."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from verify.core.floats import Floats
from verify.core.network import Network
from verify.core.normal_form import Region
from verify.core.payload import RejectedError, Stream
from verify.core.query import Query
from verify.kernel.build import Entry, read_scales
from verify.kernel.check import Checked, Claim, Path, Remaining, check
from verify.kernel.exact import check_exact
from verify.kernel.system import ONE
from verify.kernel.walk import AFRESH, HIGH, LEAF, LOW, MOST_NESTED, REDUCE, TIGHTEN, exact_box, part_of
from verify.kernel_fast import layout as at
from verify.kernel_fast.tables import RefusedError, WrongStepError, tables
from verify.kernel_slopes.slopes import REFERENCE, Differences, Part, SlopeTree, hull_region
from verify.native import machine

START_PLACES = 1 << 18  # free places to begin with
MOST_PLACES = 1 << 27  # a gigabyte: above, the fast path refuses
PATIENCE = 20_000_000  # products before it looks at the clock
RULES = ("bound", "weighted", "exact", "afresh")
PART = bytes([TIGHTEN, LEAF])  # what is done in every part of a hull; the open leaf gives its bounds away


class StoppedError(Exception):
    """Told to stop before the check had ended."""

    def __str__(self) -> str:
        return "checking it takes longer than is left"


def never(_share: float = 0.0) -> bool:
    return False


@dataclass(frozen=True)
class Closed:
    """What closed a region: all steps, leaves by rule, how many regions afresh lie inside one another."""

    steps: bytes
    counts: dict[str, int]
    depth: int


@dataclass(frozen=True)
class Known:
    """Regions that walks of this process have closed, by network, region and scales.

    Only `FastWalk` adds to it, and only steps that it has taken.  Where the same bytes come again for the same region
    afresh, they need not be walked again.
    """

    closed: dict[tuple[Network, Region, tuple[int, ...]], Closed] = field(default_factory=dict)


def check_fast(
    query: Query,
    payload: bytes,
    claim: Claim,
    *,
    stop: Callable[[], bool] = never,
    plain: bool = True,
    known: Known | None = None,
) -> Checked:
    """`verify.kernel.check` at compiled speed; with `plain` by the reference itself where that cannot be had.

    `known`: of regions afresh, what need not be walked again.
    Guarantee: the same integers as the reference's, or no result; `mode` says which path gave it.
    Raises RejectedError; StoppedError; RefusedError unless `plain`; QueryError as normal_form does.
    """
    try:
        return check(query, payload, claim, fast_path(stop, known).path())
    except WrongStepError as problem:
        if not plain:
            raise RejectedError(str(problem)) from None
    except RefusedError:
        if not plain:
            raise
    return check(query, payload, claim, REFERENCE)


def fast_path(stop: Callable[[], bool] = never, known: Known | None = None) -> Fast:
    """The compiled path.  Raises RefusedError where this machine has not compiled it yet."""
    explore = machine.cached("kernel")
    if explore is None:
        raise RefusedError("nothing is compiled here")
    return Fast(explore, stop, known or Known())


@dataclass(frozen=True)
class Fast:
    """Follows a region's proof in compiled code.  Raises RefusedError where only the reference can tell."""

    explore: machine.Explore
    stop: Callable[[], bool]
    known: Known = field(default_factory=Known)

    def path(self) -> Path:
        return Path("fast", self.differences, self.region)

    def region(self, network: Network, region: Region, stream: Stream, counts: dict[str, int]) -> None:
        if self.stop():
            raise StoppedError
        self.prove_region(network, region, stream, counts)

    def prove_region(
        self, network: Network, region: Region, stream: Stream, counts: dict[str, int], nested: int = 0
    ) -> int:
        """As `verify.kernel.walk.prove_region`; returns how many regions afresh lie inside one another.

        Of the query's own regions nothing is taken as known: they are walked, but for such parts.
        """
        scales = read_scales(network, region.numbered()[0], stream)
        closed = self.known.closed.get((network, region, tuple(scales))) if nested else None
        if not closed or nested + closed.depth > MOST_NESTED or not stream.data.startswith(closed.steps, stream.at):
            walk = FastWalk(self, network, region, scales, nested)
            walk.begin(stream.data, stream.at)
            if walk.go() == at.OPEN_LEAF:
                leaf = sum(walk.counts().values())
                raise RejectedError(f"leaf {leaf}: {len(walk.open_cases())} cases are still open")
            closed = walk.closed()
        stream.at += len(closed.steps)
        for rule, count in closed.counts.items():
            counts[rule] = counts.get(rule, 0) + count
        return closed.depth

    def differences(self, network: Network, stream: Stream, counts: dict[str, int]) -> Remaining:
        return FastDifferences(self, network, stream, counts).remaining


class FastDifferences(Differences):
    """Bounds the parts of a hull in compiled code; their slopes, and whether they contradict the row, are the kernel's.

    Raises RefusedError, and WrongStepError where a part seems to be empty: only the reference can tell.
    """

    def __init__(self, path: Fast, network: Network, stream: Stream, counts: dict[str, int]) -> None:
        super().__init__(network, stream, counts)
        self.path = path

    def follow(self, tree: SlopeTree, whole: Part) -> None:
        """As `Differences.follow`: the walk stands in one part after the other, at a leaf that is open."""
        walk = FastWalk(self.path, tree.root.network, hull_region(tree.root.network, tree.root.box), tree.root.scales)
        walk.build()
        pending, steps, reduce = [whole.phases], bytes([LEAF]), b""
        while pending:
            if self.path.stop():
                raise StoppedError
            walk.take(steps, at.OPEN_LEAF)
            phases = tree.phases(pending.pop(), *walk.bounds_by_number())
            begun, opcode = self.stream.at, self.stream.byte()
            if opcode in (LOW, HIGH):
                self.stream.varint()
                steps = reduce + self.stream.data[begun : self.stream.at] + PART
                pending, reduce = [*pending, phases, phases], bytes([REDUCE])  # the reference leaves the whole as it is
            elif opcode == LEAF and tree.contradicts(Part(whole.node, phases)):
                self.counts["slopes"] = self.counts.get("slopes", 0) + 1
                walk.close()
                steps = bytes([LEAF]) + PART
            else:
                raise WrongStepError("a leaf of slopes is open")
        walk.take(steps, at.DONE)


class FastWalk:
    """One region's tree in compiled code."""

    def __init__(self, path: Fast, network: Network, region: Region, scales: Sequence[int], nested: int = 0) -> None:
        self.path, self.network, self.region, self.nested = path, network, region, nested
        self.others: dict[str, int] = {}  # leaves of regions afresh
        self.depth = 0  # of these
        self.scales = tuple(scales)
        self.taken, self.since = bytearray(), 0  # the steps taken, but for those from here on
        self.by_itself = True  # nothing but these steps closes the root
        self.rows, self.cases = region.numbered()
        filled = tables(network, region, self.scales)
        self.numbers = np.zeros(len(filled) + START_PLACES, np.int64)
        self.numbers[: len(filled)] = filled
        self.numbers[at.SIZE] = len(self.numbers)

    def begin(self, data: bytes | bytearray, position: int) -> None:
        """The steps to follow, from a place on; they are not copied."""
        self.data, self.payload = data, np.frombuffer(data, np.uint8)
        self.numbers[at.POS], self.numbers[at.END], self.since = position, len(data), position

    @property
    def position(self) -> int:
        return int(self.numbers[at.POS])

    def go(self) -> int:
        """Walk until the tree has ended (layout.DONE) or a leaf is open (layout.OPEN_LEAF).

        Raises RefusedError; StoppedError; RejectedError of exact leaves and of regions afresh.
        """
        while (status := self.advance()) == at.AFRESH_STEP:
            self._afresh()
        if status == at.NOT_CLOSED:
            raise RejectedError(f"leaf {sum(self.counts().values())}: weights do not close its cases")
        return status

    def advance(self) -> int:
        """As `go`, but it returns before a region afresh (AFRESH_STEP), and behind weights that fail (NOT_CLOSED).

        An open LEAF and weights that fail are not taken; the walk stands before the one and behind the other.
        """
        while True:
            self.numbers[at.PATIENCE] = PATIENCE
            status = self.path.explore(self.numbers.ctypes.data, self.payload.ctypes.data)
            if status in (at.DONE, at.OPEN_LEAF, at.AFRESH_STEP, at.NOT_CLOSED, at.BUILT):
                self.numbers[at.POS] -= status == at.OPEN_LEAF
                self.taken += self.data[self.since : self.numbers[at.NEED if status == at.NOT_CLOSED else at.POS]]
                self.since = self.position
                if status == at.DONE and self.by_itself:
                    self.path.known.closed[self.network, self.region, self.scales] = self.closed()
                return status
            if status == at.PAUSED:
                if self.path.stop():
                    raise StoppedError
            elif status == at.MORE:
                self._grow()
            elif status == at.EXACT_STEP:
                self._exact()
            elif status == at.REJECTED:
                raise WrongStepError("a step is not accepted")
            else:
                raise RefusedError("numbers are too large for 64 bits")

    def closed(self) -> Closed:
        """What has closed the region, after DONE."""
        return Closed(bytes(self.taken), self.counts(), self.depth)

    def take(self, steps: bytes, expected: int) -> None:
        """Take these steps, after which the walk must stand so.  Raises WrongStepError, else as `go`."""
        self.begin(steps, 0)
        if self.go() != expected:
            raise WrongStepError("the walk went elsewhere")

    def close(self) -> None:
        """The node at hand is closed, for a reason that the walk does not know."""
        self.numbers[at.SYSTEM], self.by_itself = 0, False

    def build(self) -> None:
        """Make the root, and stop there.  Raises RefusedError, StoppedError."""
        self.begin(b"", 0)
        if self.go() != at.BUILT:
            raise RefusedError("the root cannot be built")

    def variables(self) -> dict[Entry, int]:
        """The root's variables by (block, row)."""
        starts = self._array(at.BLOCK_START, int(self.numbers[at.BLOCKS]) + 1)
        found = self._array(at.VARIABLE, int(self.numbers[at.VALUES]))
        return {
            (block, v - a): found[v]
            for block, (a, b) in enumerate(itertools.pairwise(starts))
            for v in range(a, b)
            if found[v] >= 0
        }

    def is_active(self, entry: Entry) -> bool:
        """Whether a ReLU that is no variable is never inactive, once the root is built."""
        block, row = entry
        value = int(self.numbers[int(self.numbers[at.BLOCK_START]) + block]) + row
        return bool(self.numbers[int(self.numbers[at.VALUE_LOW]) + value] >= 0)

    def root_bounds(self) -> list[Floats]:
        """Bounds on the size of every block's pre-activations, in units of 2^-P of its scale, by building alone."""
        self.build()
        starts = self._array(at.BLOCK_START, int(self.numbers[at.BLOCKS]) + 1)
        values = int(self.numbers[at.VALUES])
        low, high = (np.array(self._array(place, values), np.float64) for place in (at.VALUE_LOW, at.VALUE_HIGH))
        return [np.maximum(-low, high)[a:b] for a, b in itertools.pairwise(starts)]

    def _grow(self) -> None:
        size = max(2 * len(self.numbers), len(self.numbers) + int(self.numbers[at.NEED]))
        if size > MOST_PLACES:
            raise RefusedError("it takes too much memory")
        old, self.numbers = self.numbers, np.zeros(size, np.int64)
        self.numbers[: len(old)] = old
        self.numbers[at.SIZE] = size

    def _exact(self) -> None:
        stream = self.stream()
        cases = [[self.rows[r] for r in self.cases[c]] for c in self.open_cases()]
        check_exact(self.network, cases, exact_box(self.region, *self.box()), stream)
        self.numbers[at.POS], self.numbers[at.SYSTEM], self.numbers[at.RULE] = stream.at, 0, at.BY_EXACT

    def _afresh(self) -> None:
        if self.is_closed or self.nested >= MOST_NESTED:
            raise WrongStepError("a step is not accepted")
        stream = self.stream()
        self._prove_part(stream)
        self.numbers[at.POS] = stream.at

    def take_afresh(self, proof: bytes) -> None:
        """Close the node by a proof of its own, scales and steps, whatever comes next.  Raises as `go`."""
        self.taken += bytes([AFRESH])
        self.taken += proof
        self._prove_part(Stream(proof))

    def _prove_part(self, stream: Stream) -> None:
        inside = self.path.prove_region(self.network, self.part(), stream, self.others, self.nested + 1)
        self.depth = max(self.depth, 1 + inside)
        self.numbers[at.SYSTEM], self.numbers[at.RULE] = 0, at.BY_AFRESH

    @property
    def is_bounded(self) -> bool:
        """Whether the node's rows have been bounded."""
        return any(self._array(at.VALID, len(self.rows)))

    @property
    def is_closed(self) -> bool:
        """Whether the node needs no more steps."""
        return not self.numbers[at.SYSTEM]

    def stream(self) -> Stream:
        """What stands behind the step at hand."""
        stream = Stream(self.data)
        stream.at = self.position + 1
        return stream

    def skip(self, position: int) -> None:
        """Go on at this place; what stands before it is not taken."""
        self.numbers[at.POS] = self.since = position

    def part(self) -> Region:
        """What is open of the node, as a region of its own."""
        return part_of(self.region, *self.box(), self.open_cases())

    def _array(self, place: int, count: int) -> list[int]:
        start = int(self.numbers[place])
        found: list[int] = self.numbers[start : start + count].tolist()
        return found

    def open_cases(self) -> list[int]:
        return self._array(at.OPEN, int(self.numbers[at.OPEN_COUNT]))

    def slack(self) -> int:
        """How far below zero the best bounded row of the worst open case stays, in units of 2^-P; 0 without any."""
        valid, least = (self._array(place, len(self.rows)) for place in (at.VALID, at.LEAST))
        best = (max((least[r] for r in self.cases[c] if valid[r]), default=0) for c in self.open_cases())
        return max(0, -min(best, default=0))

    def at_root(self) -> bool:
        """Whether the node's box is the region's."""
        low, high = self.box()
        return not any(low) and all(end == ONE for end in high)

    def box(self) -> tuple[list[int], list[int]]:
        """The node's box over s, in units of 2^-P."""
        d = int(self.numbers[at.INPUTS])
        both = self._array(at.BOX, 2 * d)
        return both[:d], both[d:]

    def bounds(self) -> tuple[list[int], list[int]]:
        """Of ζ, by variable of the node's system."""
        n = int(self.numbers[self.numbers[at.SYSTEM]])
        return self._array(at.LOW, n), self._array(at.HIGH, n)

    def bounds_by_number(self) -> tuple[dict[int, int], dict[int, int]]:
        """Of ζ, by number of the variable."""
        low, high = self.bounds()
        first = int(self.numbers[at.SYSTEM]) + 2 + at.NUMBER
        numbers: list[int] = self.numbers[first : first + at.META * len(low) : at.META].tolist()
        return dict(zip(numbers, low, strict=True)), dict(zip(numbers, high, strict=True))

    def counts(self) -> dict[str, int]:
        """Leaves by the rule that closed them."""
        found = self.numbers[at.COUNTS : at.COUNTS + len(RULES)].tolist()
        own = {rule: count for rule, count in zip(RULES, found, strict=True) if count}
        return {rule: own.get(rule, 0) + self.others.get(rule, 0) for rule in (*own, *self.others)}
