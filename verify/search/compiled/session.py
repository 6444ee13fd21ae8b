"""One region's compiled search: the two flat arrays, and what comes back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from verify.bounds.compressed import CompressedSystem
from verify.core.floats import Floats
from verify.native.machine import Explore
from verify.search.compiled import layout

DEPTH_LIMIT = 120
PHASE_DEPTH_LIMIT = 200
PER_RELU_TILTED = 7  # of scratch, by boxes: number, a zero, then slope, coefficient and three to spare
PER_RELU = 6  # as in `phases`, which would import Numba
NUMBERS_FLOATS = 1 << 18  # room for what closes leaves
MAX_ARENA = 1 << 24  # floats kept for systems (128 MB, touched only as far as needed)


class Session:
    """The two arrays of one search under way, and what can be asked of any."""

    explore: Explore
    integers: npt.NDArray[np.int64]
    floats: Floats

    def run(self, boxes: int) -> int:
        """Visit at most `boxes` subproblems; returns a status of `layout`."""
        self.integers[layout.BOX_LIMIT] = boxes
        status = self.explore(self.integers.ctypes.data, self.floats.ctypes.data)
        if status == layout.MISTAKEN:
            raise AssertionError("a session was given another kind's compiled entry")
        return status

    @property
    def settled(self) -> float:
        """Share of the box that is closed."""
        return float(self.floats[self.integers[layout.CLOSED_SHARE]])

    @property
    def visited(self) -> int:
        return int(self.integers[layout.BOXES_DONE])

    @property
    def open(self) -> int:
        return int(self.integers[layout.DEPTH])

    def take_log(self) -> bytes:
        """The steps taken since the last call, as verify.search.box_proof reads them."""
        at, used = self.integers[layout.LOG], self.integers[layout.LOG_USED]
        self.integers[layout.LOG_USED] = 0
        return self.integers[at : at + used].astype(np.uint8).tobytes()

    def candidate(self) -> Floats:
        """The point found, after CANDIDATE."""
        at, d = self.integers[layout.POINT], self.integers[layout.INPUTS]
        point: Floats = self.floats[at : at + d].copy()
        return point


class BoxSession(Session):
    """Explores one box with the compiled search.

    `cases` are rows of numbers into the system's query rows, all of one length; `strict` is per query row; `numbers`
    is what the log calls the system's ReLUs, if not by their places.
    """

    def __init__(
        self,
        explore: Explore,
        system: CompressedSystem,
        box: tuple[Floats, Floats],
        cases: npt.NDArray[np.int64],
        strict: npt.NDArray[np.bool_],
        numbers: npt.NDArray[np.int64] | None = None,
    ) -> None:
        self.explore = explore
        d, unstable = system.inputs, system.unstable
        count = len(system.constant) - unstable
        root = flatten(system)
        frame_floats, frame_ints = 2 * d + 1 + 3 * unstable, 4 + len(cases)
        frames = 2 * DEPTH_LIMIT + 8
        scratch = self._scratch_size(d, unstable, count)
        arena = max(2 * len(root), min(MAX_ARENA, len(root) * (2 + DEPTH_LIMIT)))
        header = layout.HEADER
        log = header + cases.size + 2 * count + len(cases) + frames * frame_ints
        P = np.zeros(log + layout.LOG_WORDS, dtype=np.int64)
        F = np.zeros(frames * frame_floats + arena + scratch + 2 + 4 * d + 1)
        self.integers, self.floats = P, F
        P[layout.INT_LENGTH], P[layout.FLOAT_LENGTH] = len(P), len(F)
        P[layout.INPUTS], P[layout.ROWS], P[layout.CASES], P[layout.CASE_LENGTH] = d, count, *cases.shape
        P[layout.CASE_ROWS] = header
        P[layout.STRICT] = header + cases.size
        P[layout.NEEDED] = header + cases.size + count
        P[layout.MASK] = header + cases.size + 2 * count
        P[layout.INT_FRAMES] = P[layout.MASK] + len(cases)
        P[layout.FRAME_INTS], P[layout.FRAME_FLOATS], P[layout.FRAME_LIMIT] = frame_ints, frame_floats, frames
        P[layout.LOG], P[layout.LOG_SIZE] = log, layout.LOG_WORDS
        P[layout.ARENA], P[layout.ARENA_SIZE] = frames * frame_floats, arena
        P[layout.SCRATCH] = frames * frame_floats + arena
        P[layout.TINY] = P[layout.SCRATCH] + scratch
        P[layout.CLOSED_SHARE] = P[layout.TINY] + 1
        P[layout.POINT] = P[layout.TINY] + 2
        P[layout.ROOT_WIDTHS] = P[layout.POINT] + 3 * d + 1
        F[P[layout.ROOT_WIDTHS] : P[layout.ROOT_WIDTHS] + d] = box[1] - box[0]
        P[layout.WIDEST], P[layout.DEPTH_LIMIT], P[layout.JUDGE_BELOW] = unstable, DEPTH_LIMIT, -1
        P[header : header + cases.size] = cases.ravel()
        P[header + cases.size : header + cases.size + count] = strict
        self._write_root(system, root, box, np.arange(unstable) if numbers is None else numbers)

    @staticmethod
    def _scratch_size(d: int, unstable: int, count: int) -> int:
        per_relu = 2 + 4 + d + 1 + 1 + count + 1 + 1 + PER_RELU_TILTED
        return unstable * per_relu + 1 + count * (1 + (d + 1) + 3) + 5 * d + 2

    def _write_root(
        self, system: CompressedSystem, root: Floats, box: tuple[Floats, Floats], numbers: npt.NDArray[np.int64]
    ) -> None:
        P, F = self.integers, self.floats
        F[P[layout.ARENA] : P[layout.ARENA] + len(root)] = root
        F[P[layout.TINY]] = underflow_allowance(system, root, box)
        frame = np.concatenate([box[0], box[1], [1.0], system.lower, system.upper, numbers])
        F[: len(frame)] = frame
        F[P[layout.TINY] - 1 - (PER_RELU_TILTED - 2) * system.unstable] = 1.0  # the weight of a row that is tilted
        head = P[layout.INT_FRAMES]
        P[head : head + 4] = (P[layout.ARENA], system.unstable, len(root), 0)
        P[head + 4 : head + 4 + P[layout.CASES]] = 1
        P[layout.DEPTH] = 1

    def candidates(self) -> Floats:
        """The point found, as one row, after CANDIDATE."""
        return self.candidate()[None]

    def judge_below(self, unstable: int) -> None:
        """Hand every open box with at most so many unstable ReLUs to the exact judge (-1: only near ties)."""
        self.integers[layout.JUDGE_BELOW] = unstable

    def leaf(self) -> tuple[Floats, Floats, float]:
        """The box for the exact judge and its share, after LEAF."""
        at, d = self.integers[layout.POINT], self.integers[layout.INPUTS]
        low, high = self.floats[at + d : at + 2 * d], self.floats[at + 2 * d : at + 3 * d]
        return low.copy(), high.copy(), float(self.floats[at + 3 * d])

    def drop(self) -> tuple[Floats, Floats, float]:
        """Take the top box off the stack, after FULL: its bounds and share."""
        self.integers[layout.DEPTH] -= 1
        d = int(self.integers[layout.INPUTS])
        at = int(self.integers[layout.FRAMES] + self.integers[layout.DEPTH] * self.integers[layout.FRAME_FLOATS])
        low, high = self.floats[at : at + d], self.floats[at + d : at + 2 * d]
        return low.copy(), high.copy(), float(self.floats[at + 2 * d])


def underflow_allowance(system: CompressedSystem, root: Floats, box: tuple[Floats, Floats]) -> float:
    """More than underflow can add in one pass: 2^-1074 per operation, times the largest numbers it may meet."""
    reach = np.maximum(np.abs(system.lower), np.abs(system.upper)).sum() + system.magnitude.sum()
    largest = np.maximum(np.abs(box[0]), np.abs(box[1])).sum() + reach + 1.0
    operations = len(root) + len(system.constant) * (system.matrix.shape[1] + 8)
    return float(2.0**-1067 * operations * largest)


def flatten(system: CompressedSystem) -> Floats:
    """A compressed system as the compiled search stores it: META numbers per row, then x part and band per row."""
    d, rows = system.inputs, len(system.constant)
    row, column = system.matrix.nonzero()
    value = np.asarray(system.matrix[row, column]).ravel()
    banded = column >= d
    first, last = np.full(rows, system.unstable), np.zeros(rows, dtype=np.int64)
    np.minimum.at(first, row[banded], column[banded] - d)
    np.maximum.at(last, row[banded], column[banded] - d + 1)
    first = np.minimum(first, last)
    places = layout.META * rows + np.concatenate([[0], np.cumsum(d + last - first)])
    flat = np.zeros(int(places[-1]))
    meta = np.stack([places[:-1], first, last, system.constant, system.error, system.magnitude], axis=1)
    flat[: meta.size] = meta.ravel()
    flat[places[row] + np.where(banded, column - first[row], column)] = value
    return flat


def usable(system: CompressedSystem) -> bool:
    """Whether every number of a system is finite, as the compiled search needs."""
    matrix = system.matrix if isinstance(system.matrix, np.ndarray) else system.matrix.data
    arrays = (matrix, system.constant, system.error, system.magnitude, system.lower, system.upper)
    return all(bool(np.isfinite(a).all()) for a in arrays)


class PhaseSession(Session):
    """Explores one box and one case by splitting ReLU phases; the box stays whole."""

    def __init__(
        self,
        explore: Explore,
        system: CompressedSystem,
        box: tuple[Floats, Floats],
        case: npt.NDArray[np.int64],
    ) -> None:
        self.explore = explore
        d, unstable, count = system.inputs, system.unstable, len(system.constant) - system.unstable
        root = flatten(system)
        frames, frame_floats = PHASE_DEPTH_LIMIT + 8, 1 + PER_RELU * unstable
        scratch = 5 * d + count + 2 + 2 * len(case) + unstable * (PER_RELU + 4 + 1 + 2 + 1 + 2)
        header = layout.HEADER
        log, numbers = header + len(case) + 1 + frames, frames * frame_floats + len(root) + scratch + 2 + 3 * d + 1
        room = max(NUMBERS_FLOATS, 16 * (2 * unstable + len(case)))
        P = np.zeros(log + layout.PHASE_LOG_WORDS, dtype=np.int64)
        F = np.zeros(numbers + room)
        self.integers, self.floats = P, F
        P[layout.INT_LENGTH], P[layout.FLOAT_LENGTH], P[layout.BY_PHASES] = len(P), len(F), 1
        P[layout.INPUTS], P[layout.ROWS], P[layout.CASES], P[layout.CASE_LENGTH] = d, count, 1, len(case)
        P[layout.CASE_ROWS], P[layout.INT_FRAMES] = header, header + len(case) + 1
        P[layout.FRAME_INTS], P[layout.FRAME_FLOATS], P[layout.FRAME_LIMIT] = 1, frame_floats, frames
        P[layout.SCRATCH] = frames * frame_floats + len(root)
        P[layout.TINY] = P[layout.SCRATCH] + scratch
        P[layout.CLOSED_SHARE] = P[layout.TINY] + 1
        P[layout.POINT] = P[layout.TINY] + 2
        P[layout.WIDEST], P[layout.DEPTH_LIMIT] = unstable, PHASE_DEPTH_LIMIT
        P[layout.REFINE] = -1
        P[layout.LOG], P[layout.LOG_SIZE] = log, layout.PHASE_LOG_WORDS
        P[layout.NUMBERS], P[layout.NUMBERS_SIZE] = numbers, room
        P[header : header + len(case)] = case
        P[P[layout.INT_FRAMES] - 1] = frames * frame_floats
        F[frames * frame_floats : frames * frame_floats + len(root)] = root
        F[P[layout.TINY]] = underflow_allowance(system, root, box)
        steep = (system.upper > -system.lower).astype(np.float64)
        zeros = np.zeros(unstable)
        frame = np.concatenate([[1.0], system.lower, system.upper, steep, zeros, zeros, zeros])
        F[: len(frame)] = frame
        at = P[layout.SCRATCH]
        F[at : at + 2 * d] = np.concatenate(box)
        weights = at + 3 * d + unstable * (PER_RELU + 4 + 1 + 2 + 1) + count + d + 2
        F[weights : weights + len(case)] = 1.0 / len(case)
        P[layout.DEPTH] = 1

    def take_tree(self) -> tuple[npt.NDArray[np.int64], Floats]:
        """Splits and leaves since the last call, and what closed the leaves: see verify.search.phase_proof."""
        P = self.integers
        codes = P[P[layout.LOG] : P[layout.LOG] + P[layout.LOG_USED]].copy()
        numbers = self.floats[P[layout.NUMBERS] : P[layout.NUMBERS] + P[layout.NUMBERS_USED]].copy()
        P[layout.LOG_USED] = P[layout.NUMBERS_USED] = 0
        return codes, numbers

    def clear(self) -> None:
        """Forget the root: the nodes of this stack will come from another's."""
        self.integers[layout.DEPTH] = 0

    @property
    def lowest_share(self) -> float:
        """Share of the lowest node of the stack; 0 when there are no two nodes on it."""
        return float(self.floats[self.integers[layout.FRAMES]]) if self.open > 1 else 0.0

    def take_lowest(self, other: PhaseSession) -> None:
        """Take the lowest node off the stack of another session of the same system as the only one of this stack."""
        assert not self.open and other.open
        P, size = other.integers, int(other.integers[layout.FRAME_FLOATS])
        left = other.open - 1
        start, head = int(P[layout.FRAMES]), int(P[layout.INT_FRAMES])
        self.floats[start : start + size] = other.floats[start : start + size]
        self.integers[head] = P[head]
        other.floats[start : start + left * size] = other.floats[start + size : start + (left + 1) * size].copy()
        P[head : head + left] = P[head + 1 : head + 1 + left].copy()
        P[layout.DEPTH], self.integers[layout.DEPTH] = left, 1

    def refine(self, relu: int, splits: int) -> None:
        """Tighten one ReLU's bounds over the whole box; for each the box may be split so often."""
        assert 0 <= splits < PHASE_DEPTH_LIMIT
        self.integers[layout.REFINE], self.integers[layout.REFINE_SPLITS] = relu, splits
        self.run(1)
        self.integers[layout.REFINE] = -1

    def bounds(self) -> tuple[Floats, Floats]:
        """Lower and upper bounds of the ReLUs at the root, before the search has begun."""
        unstable = int(self.integers[layout.WIDEST])
        return self.floats[1 : 1 + unstable].copy(), self.floats[1 + unstable : 1 + 2 * unstable].copy()
