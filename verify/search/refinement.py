"""Tighter bounds of a wide box's ReLUs, before its phases are split: slopes optimised for each, and small searches.

A ReLU's bound over the box is found by ascent, and then by splitting the phases of the ReLUs before it a few times.  It
pays because an early layer has few unstable ReLUs, and what is known of them bounds all later ones.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from verify.bounds.compressed import CompressedSystem, Indices, compress, with_bounds
from verify.bounds.enclosure import Enclosure
from verify.core.floats import FloatPlan, Floats
from verify.native.machine import Explore
from verify.search.compiled.session import PhaseSession, usable
from verify.search.run import Run
from verify.search.sharing import threads

ROUNDS = ((0,), (8, 32), (128,))  # splits for one bound: of every block in turn, round after round
ENOUGH = 0.95  # a last round that leaves more than this share of the widths is not repeated
WORK = 2e9  # multiplications for one bound of one ReLU, about, at most
PASSES = 30  # of one split: a few steps of ascent in both halves, and looking ahead


class Refinement:
    """One box's system and how far its bounds have been refined."""

    def __init__(
        self,
        run: Run,
        explore: Explore,
        plan: FloatPlan,
        enclosure: Enclosure,
        system: CompressedSystem,
        rows: Indices,
    ) -> None:
        self._run, self._explore, self._plan, self._enclosure = run, explore, plan, enclosure
        self.system, self.rows = system, rows
        self.box = (enclosure.inputs[0][0], enclosure.inputs[1][0])

    @property
    def deep(self) -> bool:
        """Whether some unstable ReLU depends on others; the bounds of those that do not are the best there are."""
        return len(np.unique(self.system.places[:, 0])) > 1

    @property
    def width(self) -> float:
        """Of all unstable ReLUs' bounds together."""
        return float((self.system.upper - self.system.lower).sum())

    def rounds(self, until: Callable[[], float]) -> Iterator[bool]:
        """Refine a round at a time; yields whether it was the last: nothing more is to be gained so.

        until(): when, on the clock, the next round must be over.
        """
        for ladder in itertools.chain(ROUNDS, itertools.repeat(ROUNDS[-1])):
            before = self.width
            self._round(ladder, until())
            last = not self.deep or (ladder is ROUNDS[-1] and self.width > ENOUGH * before)
            yield last
            if last:
                return

    def _round(self, ladder: Sequence[int], until: float) -> None:
        """Refine the blocks one after the other, so that later ones gain from earlier ones."""
        for block in np.unique(self.system.places[:, 0])[1:]:
            for splits in ladder:
                chosen = np.flatnonzero(self.system.places[:, 0] == block)
                if not len(chosen) or self._over(until):
                    break
                self._run.report("bounding", 0.0, 1)
                bounds = self._refined(chosen, self._affordable(splits), until)
                enclosure = with_bounds(self._enclosure, self.system, *bounds)
                system = compress(self._plan, enclosure, self.rows)
                if usable(system):
                    self._enclosure, self.system = enclosure, system

    def _over(self, until: float) -> bool:
        return self._run.budget.clock() >= until or self._run.stop()

    def _affordable(self, splits: int) -> int:
        numbers = self.system.unstable * (self.system.unstable + self.system.inputs)
        return int(min(splits, WORK / (PASSES * max(1, numbers))))

    def _refined(self, chosen: Indices, splits: int, until: float) -> tuple[Floats, Floats]:
        """Bounds of the system's ReLUs, those chosen refined; they are shared out among threads."""
        workers = min(threads(), len(chosen))
        sessions = [
            PhaseSession(self._explore, self.system, self.box, np.zeros(1, dtype=np.int64)) for _ in range(workers)
        ]

        def work(number: int) -> None:
            for relu in chosen[number::workers].tolist():
                if self._over(until):
                    break
                sessions[number].refine(relu, splits)

        others = [threading.Thread(target=work, args=(number,)) for number in range(1, workers)]
        for thread in others:
            thread.start()
        work(0)
        for thread in others:
            thread.join()
        bounds = [session.bounds() for session in sessions]
        return np.max([low for low, _ in bounds], axis=0), np.min([high for _, high in bounds], axis=0)
