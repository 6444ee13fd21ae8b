"""One region's compiled search: the two flat arrays, and what comes back."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from verify.bounds.compressed import CompressedSystem
from verify.core.floats import Floats
from verify.search.compiled import layout
from verify.search.compiled.machine import Explore

DEPTH_LIMIT = 120
MAX_FLOATS = 1 << 25  # 256 MB


class Session:
    """Explores one box with the compiled search.

    `cases` are rows of numbers into the system's query rows, all of one length; `strict` is per query row.
    """

    def __init__(
        self,
        explore: Explore,
        system: CompressedSystem,
        box: tuple[Floats, Floats],
        cases: npt.NDArray[np.int64],
        strict: npt.NDArray[np.bool_],
    ) -> None:
        self.explore = explore
        d, unstable = system.inputs, system.unstable
        count = len(system.constant) - unstable
        frame_floats, frame_ints = 2 * d + 1 + 2 * unstable, 4 + len(cases)
        frames = 2 * DEPTH_LIMIT + 8
        root = (unstable + count) * (d + unstable + 3)
        scratch = self._scratch_size(d, unstable, count)
        arena = int(min(MAX_FLOATS // 2, root * (2 + min(DEPTH_LIMIT, max(8, unstable)))))
        header = layout.HEADER
        P = np.zeros(header + cases.size + count + len(cases) + frames * frame_ints, dtype=np.int64)
        points = 3 * d + 1
        F = np.zeros(frames * frame_floats + arena + scratch + 2 + points)
        self.integers, self.floats = P, F
        P[layout.INT_LENGTH], P[layout.FLOAT_LENGTH] = len(P), len(F)
        P[layout.INPUTS], P[layout.ROWS], P[layout.CASES], P[layout.CASE_LENGTH] = d, count, *cases.shape
        P[layout.CASE_ROWS] = header
        P[layout.STRICT] = header + cases.size
        P[layout.STACK] = header + cases.size + count + len(cases)
        P[layout.INT_FRAMES] = P[layout.STACK]
        P[layout.FRAME_INTS], P[layout.FRAME_FLOATS], P[layout.FRAME_LIMIT] = frame_ints, frame_floats, frames
        P[layout.FRAMES] = 0
        P[layout.ARENA], P[layout.ARENA_SIZE] = frames * frame_floats, arena
        P[layout.SCRATCH] = frames * frame_floats + arena
        P[layout.TINY] = P[layout.SCRATCH] + scratch
        P[layout.CLOSED_SHARE] = P[layout.TINY] + 1
        P[layout.POINT] = P[layout.TINY] + 2
        P[layout.WIDEST], P[layout.DEPTH_LIMIT], P[layout.JUDGE_BELOW] = unstable, DEPTH_LIMIT, -1
        P[header : header + cases.size] = cases.ravel()
        P[header + cases.size : header + cases.size + count] = strict
        self._write_root(system, box)

    @staticmethod
    def _scratch_size(d: int, unstable: int, count: int) -> int:
        return (
            3 * d
            + 2 * unstable
            + 4 * unstable
            + unstable * d
            + (unstable + count)
            + (unstable + d)
            + 2
            + count * (d + 1)
            + 3 * count
            + count * unstable
            + (unstable + d)
        )

    def _write_root(self, system: CompressedSystem, box: tuple[Floats, Floats]) -> None:
        P, F = self.integers, self.floats
        parts = [system.matrix.ravel(), system.constant, system.error, system.magnitude]
        flat = np.concatenate(parts)
        F[P[layout.ARENA] : P[layout.ARENA] + len(flat)] = flat
        largest = np.maximum(np.abs(box[0]), np.abs(box[1])).sum() + np.maximum(system.upper, 0).sum() + 1.0
        F[P[layout.TINY]] = 2.0**-1070 * (flat.size + 64) * 8 * largest
        frame = np.concatenate([box[0], box[1], [1.0], system.lower, system.upper])
        F[: len(frame)] = frame
        head = P[layout.INT_FRAMES]
        P[head : head + 4] = (P[layout.ARENA], system.unstable, len(flat), 0)
        P[head + 4 : head + 4 + P[layout.CASES]] = 1
        P[layout.DEPTH] = 1

    def run(self, boxes: int) -> int:
        """Visit at most `boxes` subproblems; returns a status of `layout`."""
        self.integers[layout.BOX_LIMIT] = boxes
        return self.explore(self.integers.ctypes.data, self.floats.ctypes.data)

    def judge_below(self, unstable: int) -> None:
        """Hand every open box with at most so many unstable ReLUs to the exact judge (-1: only near ties)."""
        self.integers[layout.JUDGE_BELOW] = unstable

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

    def candidate(self) -> Floats:
        """The point found, after CANDIDATE."""
        at, d = self.integers[layout.POINT], self.integers[layout.INPUTS]
        point: Floats = self.floats[at : at + d].copy()
        return point

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


def usable(system: CompressedSystem) -> bool:
    """Whether every number of a system is finite, as the compiled search needs."""
    arrays = (system.matrix, system.constant, system.error, system.magnitude, system.lower, system.upper)
    return all(bool(np.isfinite(a).all()) for a in arrays)
