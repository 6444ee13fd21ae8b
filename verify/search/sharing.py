"""One case's search by ReLU phases, shared by threads of this process.

A search is a stack of open nodes.  A thread without any takes the lowest node, the largest, of another's stack: it
comes last in the order of that stack's tree, so the two trees put one after the other are the tree of both.
"""

from __future__ import annotations

import os
import threading
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from verify.bounds.compressed import CompressedSystem
from verify.core.floats import Floats
from verify.native.machine import Explore
from verify.search.compiled import layout
from verify.search.compiled.session import PhaseSession
from verify.search.phase_proof import PhaseTree

ALONE_BOXES = 64  # nodes before others help: what is over by then is not worth a thread
THREADS = "OMP_NUM_THREADS"


def threads() -> int:
    """How many threads a search may use: what OMP_NUM_THREADS says, else as many as there are processors for it."""
    chosen = os.environ.get(THREADS, "")
    if chosen.isdigit():
        return max(1, int(chosen))
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Member:
    """One thread's session, its part of the tree, and how its last turn ended."""

    session: PhaseSession
    tree: PhaseTree
    status: int = layout.OUT_OF_BOXES

    def run(self, boxes: int) -> None:
        self.status = self.session.run(boxes)


class SharedPhases:
    """Explores one box and one case by ReLU phases with as many sessions as there are threads."""

    def __init__(
        self,
        explore: Explore,
        system: CompressedSystem,
        box: tuple[Floats, Floats],
        case: npt.NDArray[np.int64],
        tree: PhaseTree,
    ) -> None:
        self._arguments = (explore, system, box, case)
        self._members = [Member(PhaseSession(*self._arguments), tree)]
        self._working: list[Member] = []
        self._most = threads()
        self.left_open = False  # some node resisted with every phase fixed

    def run(self, boxes: int) -> int:
        """Visit at most `boxes` subproblems in every thread; returns CANDIDATE, DONE or OUT_OF_BOXES of `layout`."""
        if self.visited >= ALONE_BOXES:
            self._share_out()
        working = self._working = [member for member in self._members if member.session.open]
        others = [threading.Thread(target=member.run, args=(boxes,)) for member in working[1:]]
        for thread in others:
            thread.start()
        for member in working[:1]:
            member.run(boxes)
        for thread in others:
            thread.join()
        for member in working:
            member.tree.add(*member.session.take_tree())
            self.left_open |= member.status == layout.LEAF
        if any(member.status == layout.CANDIDATE for member in working):
            return layout.CANDIDATE
        return layout.OUT_OF_BOXES if self.open else layout.DONE

    def _share_out(self) -> None:
        """Give nodes to threads without any, while there are some to give."""
        for _ in range(self._most):
            idle = next((member for member in self._members if not member.session.open), None)
            donor = max(self._members, key=lambda member: member.session.lowest_share)
            if donor.session.open < 2 or (idle is None and len(self._members) == self._most):
                return
            if idle is None:
                idle = Member(PhaseSession(*self._arguments), donor.tree)
                idle.session.clear()
                self._members.append(idle)
            idle.tree = donor.tree.give()
            idle.session.take_lowest(donor.session)

    @property
    def settled(self) -> float:
        """Share of the box that is closed."""
        return sum(member.session.settled for member in self._members)

    @property
    def visited(self) -> int:
        return sum(member.session.visited for member in self._members)

    @property
    def open(self) -> int:
        return sum(member.session.open for member in self._members)

    def candidates(self) -> Floats:
        """The points found, a row each, after CANDIDATE."""
        return np.stack([m.session.candidate() for m in self._working if m.status == layout.CANDIDATE])
