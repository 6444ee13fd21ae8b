"""From a search by ReLU phases to steps of the kernel: splits in its order, multipliers in its units.

The search bounds  Σ γ_r row_r - Σ ±β_j z_j  with slopes α_j.  In the kernel row r is held divided by 2^{s_r} and z_j by
2^{s_j}, so its weights are γ_r 2^{s_r} and its multipliers β_j 2^{s_j}, all times one common factor.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from verify.core.floats import Floats
from verify.core.payload import varint
from verify.core.query import Row
from verify.kernel.build import Entry
from verify.kernel.system import ONE
from verify.kernel.walk import CASES, LEAF, PHASES, WEIGHTED
from verify.kernel_fast.check import StoppedError, never
from verify.search.scales import UncertifiedError

MOST_LEAVES = 400_000
STOP_EVERY = 1 << 12  # nodes: some hundredths of a second
LARGEST_WEIGHT, LARGEST_PULL = 255, 1 << 10  # of rows and of split ReLUs, in the kernel's units
NO_SLOPE = -1  # the kernel's default is meant, or no slope plays a part


@dataclass(frozen=True)
class Leaf:
    """What closed a node: slopes per ReLU in units of 2^-8 (or NO_SLOPE), β of split ReLUs, weights of its rows."""

    slopes: NDArray[np.int16]
    split: NDArray[np.int16]  # the ReLUs with β …
    betas: Floats  # … and theirs
    weights: tuple[float, ...]


@dataclass
class PhaseTree:
    """One case's tree as the search went through it, nodes before their halves.

    `codes`: 0 is a leaf, 2 j + 2 a split of ReLU j, one more where its active half came first.
    `places[j]` is ReLU j's (block, row); `rows` are the case's.  `given` are subtrees that others went through: the
    last nodes of this tree, each before those given earlier.
    """

    places: list[Entry]
    rows: tuple[Row, ...]
    codes: array[int] = field(default_factory=lambda: array("i"))
    leaves: list[Leaf] = field(default_factory=list)
    given: list[PhaseTree] = field(default_factory=list)

    def give(self) -> PhaseTree:
        """The tree of the last open node, which another will go through."""
        self.given.append(PhaseTree(self.places, self.rows))
        return self.given[-1]

    def whole(self) -> PhaseTree:
        """The same tree in one piece."""
        if not self.given:
            return self
        whole = PhaseTree(self.places, self.rows, array("i", self.codes), list(self.leaves))
        for part in reversed(self.given):
            rest = part.whole()
            whole.codes.extend(rest.codes)
            whole.leaves.extend(rest.leaves)
        return whole

    def add(self, codes: NDArray[np.int64], numbers: Floats) -> None:
        """What a session wrote down: codes, and per leaf slopes, β and weights.  Too many leaves are not kept."""
        unstable, rows = len(self.places), len(self.rows)
        if len(self.leaves) > MOST_LEAVES:
            return
        table = numbers.reshape(-1, 2 * unstable + rows)
        slopes = table[:, :unstable].astype(np.int16)
        for k, row in enumerate(table):
            used = np.flatnonzero(row[unstable : 2 * unstable])
            betas = row[unstable + used]
            self.leaves.append(Leaf(slopes[k], used.astype(np.int16), betas, tuple(row[2 * unstable :].tolist())))
        self.codes.extend(codes.tolist())

    def nodes(self) -> int:
        return len(self.codes) + sum(part.nodes() for part in self.given)

    def complete(self) -> bool:
        return len(self.leaves) == self.codes.count(0) and len(self.codes) == 2 * len(self.leaves) - 1


@dataclass(frozen=True)
class RootView:
    """What a translation needs to know of the kernel's root."""

    rows: Sequence[Row]
    cases: Sequence[Sequence[int]]
    scales: Sequence[int]
    blocks: int
    variables: dict[Entry, int]
    is_active: Callable[[Entry], bool]  # of a ReLU that is no variable
    stop: Callable[[], bool] = never


def phase_steps(trees: dict[frozenset[Row], PhaseTree], root: RootView) -> bytes | None:
    """The steps of a region whose cases were each closed by phases; None when a tree is missing.

    Raises UncertifiedError where a tree had too many leaves to be kept, StoppedError.
    """
    steps = bytearray()
    if len(root.cases) != 1:
        steps += bytes([CASES]) + varint(len(root.cases))
    for number, case in enumerate(root.cases):
        tree = trees.get(frozenset(root.rows[r] for r in case))
        whole = tree.whole() if tree else None
        if whole is None:
            return None
        if not whole.complete():
            raise UncertifiedError("too many splits of ReLUs")
        steps += _tree_steps(whole, number, root)
    return bytes(steps)


def _tree_steps(tree: PhaseTree, case: int, root: RootView) -> bytes:
    seconds = _second_halves(tree.codes)
    leaf_numbers = (np.cumsum(np.array(tree.codes) == 0) - 1).tolist()
    leaves, steps, pending = _Leaves(tree, case, root), bytearray(), [0]
    while pending:
        at = pending.pop()
        if at % STOP_EVERY == 0 and root.stop():
            raise StoppedError
        code = tree.codes[at]
        if code == 0:
            steps += leaves.steps(tree.leaves[leaf_numbers[at]])
            continue
        entry = tree.places[code // 2 - 1]
        inactive, active = (seconds[at], at + 1) if code % 2 else (at + 1, seconds[at])
        variable = root.variables.get(entry)
        if variable is None:  # the kernel knows its phase; the other half is empty
            pending.append(active if root.is_active(entry) else inactive)
        else:
            steps += bytes([PHASES]) + varint(variable)
            pending += [active, inactive]
    return bytes(steps)


def _second_halves(codes: Sequence[int]) -> list[int]:
    """By node the place of its second half."""
    seconds, ends = [0] * len(codes), list[int]()  # ends: behind the subtrees to the right, nearest last
    for at in range(len(codes) - 1, -1, -1):
        if codes[at] == 0:
            ends.append(at + 1)
        else:
            seconds[at] = ends.pop()
    return seconds


class _Leaves:
    """Writes the leaves of one case's tree; what is the same for all of them is looked up once."""

    def __init__(self, tree: PhaseTree, case: int, root: RootView) -> None:
        scale_of = {row: root.scales[root.blocks + r] for r, row in enumerate(root.rows)}
        place_of = {row: k for k, row in enumerate(tree.rows)}
        self.row_scales = [scale_of[row] for row in tree.rows]
        self.order = [place_of[root.rows[r]] for r in root.cases[case]]
        self.variables = [root.variables.get(entry) for entry in tree.places]
        self.scales = [root.scales[entry[0]] for entry in tree.places]
        self.begin = bytes([WEIGHTED, 1]) + varint(case)

    def steps(self, leaf: Leaf) -> bytes:
        weights = list(map(math.ldexp, leaf.weights, self.row_scales))
        scales = [self.scales[j] for j in leaf.split.tolist()]
        pulls = list(map(math.ldexp, leaf.betas.tolist(), scales))
        factor = common_factor(max(weights), max(pulls, default=0.0))
        slopes, betas = [], []
        used = np.flatnonzero(leaf.slopes != NO_SLOPE)
        for j, slope in zip(used.tolist(), leaf.slopes[used].tolist(), strict=True):
            variable = self.variables[j]
            if variable is not None:
                slopes.append((variable, slope))
        for j, pull in zip(leaf.split.tolist(), pulls, strict=True):
            variable = self.variables[j]
            if variable is not None:
                betas.append((variable, min(round(pull * factor * ONE), LARGEST_PULL * ONE)))
        gammas = bytes(round(weights[k] * factor) for k in self.order)
        return self.begin + gammas + by_variable(slopes) + by_variable(betas) + bytes([LEAF])


def common_factor(weight: float, pull: float) -> float:
    """What makes the largest weight of a row a whole number in range, and keeps multipliers in theirs if it can."""
    if weight <= 0.0:
        return 0.0
    whole = LARGEST_WEIGHT if pull <= 0.0 else min(LARGEST_WEIGHT, LARGEST_PULL * weight / pull)
    return max(1, int(whole)) / weight


def by_variable(numbers: list[tuple[int, int]]) -> bytes:
    """Numbers of variables, as the kernel reads them."""
    out, before = bytearray(varint(len(numbers))), -1
    for variable, number in sorted(numbers):
        out += varint(variable - before - 1) + varint(number)
        before = variable
    return bytes(out)
