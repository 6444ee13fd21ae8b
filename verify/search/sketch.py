"""What the search did, region by region, in the words of a proof: the raw material of a certificate.

Nothing here is trusted: `verify.search.certify` follows a sketch with the kernel's own arithmetic and mends it where
float64 had closed a box that integers leave open.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from verify.core.floats import FloatPlan
from verify.core.query import Row
from verify.kernel.build import Entry
from verify.kernel.walk import BOUND, LEAF, REDUCE, TIGHTEN
from verify.search.box_proof import BoxSteps, Names
from verify.search.phase_proof import PhaseTree, RootView, phase_steps

Steps = Callable[[Callable[[], RootView]], bytes]  # what to do in a region, given a way to build the kernel's root

DIRECT = bytes([BOUND, LEAF])  # at a root: the kernel has bounded every ReLU while building it
AGAIN = bytes([TIGHTEN, REDUCE, BOUND, LEAF])  # one bound pass of a smaller box
CLOSED_CASES, TREE_BYTES = 8, 32  # closed by slopes, and of their trees: about as long to check as a bound pass
OPEN = bytes([LEAF])  # a leaf whose proof is still to be found


@dataclass(frozen=True)
class Pattern:
    """One sign pattern of a difference: which comparing row of the case is contradicted, and the tree of splits."""

    row: int
    tree: bytes


@dataclass(frozen=True)
class RegionSketch:
    """Cases that slopes closed, and the steps that closed the others, once their root is known."""

    closed: dict[int, list[Pattern]]
    steps: Steps


def slope_passes(sketches: Sequence[RegionSketch]) -> int:
    """What checking the slopes costs, about, in bound passes of the network on the kernel's plain path."""
    cases = sum(len(sketch.closed) for sketch in sketches)
    trees = {pattern.tree for sketch in sketches for patterns in sketch.closed.values() for pattern in patterns}
    return math.ceil(cases / CLOSED_CASES + sum(map(len, trees)) / TREE_BYTES)


@dataclass
class Sketch:
    """Steps per region of the query; a region without any was closed by one bound pass.

    The search numbers only the regions that hold a point: its k-th one is number `numbers[k]` of the query.
    """

    numbers: tuple[int, ...] = ()
    plan: FloatPlan | None = None  # the search's; the network's own blocks come first
    steps: dict[int, list[bytes]] = field(default_factory=dict)
    names: dict[int, Names] = field(default_factory=dict)  # of what these steps mention
    trees: dict[int, dict[frozenset[Row], PhaseTree]] = field(default_factory=dict)  # regions closed by phases, by case
    closed: dict[int, dict[int, list[Pattern]]] = field(default_factory=dict)
    refined: bool = False  # some trees rest on bounds that took splits of their own, which no step tells

    def begin(self, k: int, names: Names) -> None:
        """Steps of this region follow, from its root."""
        self.steps[self.numbers[k]], self.names[self.numbers[k]] = [], names

    def names_of(self, k: int) -> Names:
        """Of a region whose steps have begun."""
        return self.names[self.numbers[k]]

    def add(self, k: int, steps: bytes) -> None:
        """Further steps; without a beginning they would make no sense, and are dropped."""
        if self.numbers[k] in self.steps:
            self.steps[self.numbers[k]].append(steps)

    def by_phases(self, k: int) -> None:
        """What closes this region after all are its trees."""
        del self.steps[self.numbers[k]]

    def close(self, k: int, case: int, patterns: list[Pattern]) -> None:
        """Slopes close this case of the region."""
        self.closed.setdefault(self.numbers[k], {})[case] = patterns

    def tree(self, k: int, places: list[Entry], rows: tuple[Row, ...]) -> PhaseTree:
        """A tree by phases follows, for one case of this region; the one that counts is the last."""
        tree = PhaseTree(places, rows)
        self.trees.setdefault(self.numbers[k], {})[frozenset(rows)] = tree
        return tree

    def size(self, number: int) -> int:
        """About how many bound passes the steps of a region ask for."""
        nodes = sum(tree.nodes() for tree in self.trees.get(number, {}).values())
        return nodes + sum(map(len, self.steps.get(number, [DIRECT]))) // len(DIRECT)

    def tree_nodes(self) -> int:
        """Of all trees by phases."""
        return sum(tree.nodes() for trees in self.trees.values() for tree in trees.values())

    def of(self, number: int) -> RegionSketch:
        """What is known of a region of the query."""
        steps = b"".join(self.steps.get(number, [DIRECT])) or DIRECT
        trees, closed = self.trees.get(number), self.closed.get(number, {})
        if trees is None or number in self.steps:
            return RegionSketch(closed, BoxSteps(steps, self.names.get(number)))
        return RegionSketch(closed, lambda root: phase_steps(trees, root()) or DIRECT)
