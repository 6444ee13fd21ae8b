"""Walking a proof tree: each node is a sequence of steps, ended by a leaf or a split.

    TIGHTEN     bound every unstable variable again; a contradiction closes the node
    REDUCE      substitute what has become stable
    BOUND       bound the rows of the open cases; a row that cannot hold closes its case
    CLIP        shrink the box to where the rows of the case, as last bounded, can hold, if only one is open
    WEIGHTED    for each open case in turn: weights of its rows, slopes, multipliers; their combination must close it
    EXACT       close every open case by an exact leaf
    AFRESH      close every open case by a proof of its own, of a region that is the node's box: scales, then steps
    LEAF        end of a leaf: no case may be open
    LOW, HIGH   split an input at the middle of its interval; the half that comes first in the stream
    PHASES      split a ReLU: inactive first
    CASES       split into the open cases, one after the other

Steps of a closed node are read and change nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Protocol

from verify.core.network import Network
from verify.core.normal_form import Box, Region
from verify.core.query import Row
from verify.kernel.build import Root, read_scales
from verify.kernel.exact import check_exact
from verify.kernel.stream import RejectedError, Stream
from verify.kernel.system import (
    ONE,
    SLOPE_BITS,
    Bound,
    Form,
    Hints,
    Node,
    add,
    clip,
    lower,
    substitute,
    tighten,
)

LEAF, TIGHTEN, REDUCE, BOUND, CLIP, WEIGHTED, EXACT, LOW, HIGH, PHASES, CASES, AFRESH = range(12)

MOST_CASES = 1 << 16
MOST_NESTED = 16  # regions afresh inside one another


def prove_region(network: Network, region: Region, stream: Stream, counts: dict[str, int], nested: int = 0) -> None:
    """Read a region's scales and its tree.  Raises RejectedError unless every leaf is closed."""
    rows, cases = numbered(region)
    root = Root(network, region, rows, read_scales(network, rows, stream))
    Walk(network, region, rows, cases, stream, counts, nested).run(root.node)


def numbered(region: Region) -> tuple[list[Row], list[list[int]]]:
    """The distinct rows of a region, and its cases as row numbers; the region's own rows belong to every case."""
    numbers: dict[Row, int] = {}
    cases = [[numbers.setdefault(row, len(numbers)) for row in (*case, *region.rows)] for case in region.cases]
    return list(numbers), cases


@dataclass
class Walk:
    """One region's tree.  `cases` are row numbers of its cases; `counts` tells how leaves were closed."""

    network: Network
    region: Region
    rows: Sequence[Row]
    cases: Sequence[Sequence[int]]
    stream: Stream
    counts: dict[str, int] = field(default_factory=dict)
    nested: int = 0

    def run(self, root: Node) -> None:
        """Rejects unless every leaf is closed."""
        pending: list[Node | None] = [root]
        while pending:
            pending += reversed(self.visit(pending.pop()))

    def visit(self, node: Node | None) -> Sequence[Node | None]:
        """Follow the steps of one node (None: already closed); its children, the first one first."""
        bounds: dict[int, Bound] = {}
        rule = "bound"
        while True:
            opcode = self.stream.byte()
            if opcode == LEAF:
                if node is not None:
                    return self.unclosed(node)
                self.counts[rule] = self.counts.get(rule, 0) + 1
                return ()
            if opcode in (LOW, HIGH):
                halves = split_input(node, self.stream.varint())
                return halves if opcode == LOW else halves[::-1]
            if opcode == PHASES:
                return split_phase(node, self.stream.varint())
            if opcode == CASES:
                return split_cases(node, self.stream.varint())
            if opcode == TIGHTEN:
                node = node if node and tighten(node) else None
            elif opcode == REDUCE:
                if node:
                    substitute(node, sorted({r for c in node.cases for r in self.cases[c]}))
            elif opcode == BOUND:
                bounds, node = self.bound(node)
            elif opcode == CLIP:
                node = self.clip(node, bounds)
            elif opcode == WEIGHTED:
                self.weighted(node)
                node, rule = None, "weighted"
            elif opcode == EXACT:
                self.exact(node)
                node, rule = None, "exact"
            elif opcode == AFRESH:
                self.afresh(node)
                node, rule = None, "afresh"
            else:
                raise RejectedError(f"unknown opcode {opcode} at byte {self.stream.at}")

    def unclosed(self, node: Node) -> Sequence[Node | None]:
        """A leaf with open cases."""
        raise RejectedError(f"leaf {sum(self.counts.values())}: {len(node.cases)} cases are still open")

    def bound(self, node: Node | None) -> tuple[dict[int, Bound], Node | None]:
        """Bound rows case by case until one of them closes the case."""
        bounds: dict[int, Bound] = {}
        if node is None:
            return bounds, None
        still = []
        for case in node.cases:
            for r in self.cases[case]:
                if r not in bounds:
                    bounds[r] = lower(node, node.rows[r], 1)
                if bounds[r].least > 0 or (bounds[r].least == 0 and self.rows[r].strict):
                    break
            else:
                still.append(case)
        node.cases = tuple(still)
        return bounds, node if still else None

    def clip(self, node: Node | None, bounds: dict[int, Bound]) -> Node | None:
        if node is None or len(node.cases) != 1:
            return node  # with several cases open there is no one half-space that all solutions lie in
        rows = self.cases[node.cases[0]]
        if any(r not in bounds for r in rows):
            raise RejectedError("clipping needs the rows' bounds")
        return node if clip(node, [bounds[r] for r in rows]) else None

    def weighted(self, node: Node | None) -> None:
        """A combination Σ γ_r row_r with γ >= 0 cannot be <= 0 anywhere, so not all rows of the case hold."""
        count = self.stream.varint()
        for number in range(count):
            case = self.stream.varint()
            if case >= len(self.cases):
                raise RejectedError(f"there is no case {case}")
            gamma = [self.stream.byte() for _ in self.cases[case]]
            hints = Hints(*(self._by_variable(limit) for limit in (1 << SLOPE_BITS, 1 << 50)))
            if node is None:
                continue
            if number >= len(node.cases) or node.cases[number] != case:
                raise RejectedError("weights for a case that is not the next open one")
            s: dict[int, int] = {}
            r: dict[int, int] = {}
            constant = error = 0
            for weight, row in zip(gamma, self.cases[case], strict=True):
                form = node.rows[row]
                more, off = add((s, r), weight * ONE, form)
                constant, error = constant + more, error + off
            least = lower(node, Form(s, r, constant, error), 1, hints).least
            strict = any(w and self.rows[row].strict for w, row in zip(gamma, self.cases[case], strict=True))
            if not (least > 0 or (least == 0 and strict)):
                raise RejectedError(f"weights do not close case {case}")
        if node is not None and count != len(node.cases):
            raise RejectedError("weights for some open cases only")

    def _by_variable(self, limit: int) -> dict[int, int]:
        """Numbers 0 … limit by variable."""
        found, j = {}, -1
        for _ in range(self.stream.varint()):
            j += 1 + self.stream.varint()
            found[j] = self.stream.varint()
            if found[j] > limit:
                raise RejectedError("a multiplier is out of range")
        return found

    def exact(self, node: Node | None) -> None:
        """The leaf's own multipliers are in the stream, so a closed node cannot have one."""
        if node is None:
            raise RejectedError("an exact leaf where nothing is open")
        cases = [[self.rows[r] for r in self.cases[c]] for c in node.cases]
        check_exact(self.network, cases, exact_box(self.region, node), self.stream)

    def afresh(self, node: Node | None) -> None:
        """The same claim in integers of other scales: a deep box has values far smaller than its region's."""
        if node is None:
            raise RejectedError("a region afresh where nothing is open")
        if self.nested >= MOST_NESTED:
            raise RejectedError("too many regions inside one another")
        part = part_of(self.region, node, node.cases)
        prove_region(self.network, part, self.stream, self.counts, self.nested + 1)


class NodeBox(Protocol):
    """Anything with a box over s, in units of 2^-P."""

    box_low: list[int]
    box_high: list[int]


def part_of(region: Region, node: NodeBox, cases: Sequence[int]) -> Region:
    """The node's box with its open cases; nothing else of the region can hold a solution that the node may hold."""
    low, high = exact_box(region, node)
    return replace(region, box=Box(tuple(low), tuple(high)), cases=tuple(region.cases[c] for c in cases))


def exact_box(region: Region, node: NodeBox) -> tuple[list[Fraction], list[Fraction]]:
    """The node's box in the query's variables."""
    low, high = (
        [a + (b - a) * Fraction(s, ONE) for s, a, b in zip(side, region.box.lower, region.box.upper, strict=True)]
        for side in (node.box_low, node.box_high)
    )
    return low, high


def split_input(node: Node | None, k: int) -> Sequence[Node | None]:
    """Both halves of the box along s_k."""
    if node is None:
        return (None, None)
    if k >= len(node.box_low):
        raise RejectedError(f"there is no input {k}")
    middle = (node.box_low[k] + node.box_high[k]) >> 1
    if middle == node.box_low[k]:
        raise RejectedError(f"input {k} cannot be split further")
    low, high = node.child(), node.child()
    low.box_high[k] = high.box_low[k] = middle
    return (low, high)


def split_phase(node: Node | None, j: int) -> Sequence[Node | None]:
    """ζ_j <= 0, then ζ_j >= 0."""
    if node is None:
        return (None, None)
    if j not in node.variables or node.low[j] >= 0 or node.high[j] <= 0:
        raise RejectedError(f"variable {j} cannot be split")
    inactive, active = node.child(), node.child()
    inactive.high[j] = active.low[j] = 0
    return (inactive, active)


def split_cases(node: Node | None, count: int) -> Sequence[Node | None]:
    """As many nodes as there are open cases, each with one of them."""
    if count > MOST_CASES:
        raise RejectedError(f"{count} cases are too many")
    if node is None:
        return (None,) * count
    if count != len(node.cases):
        raise RejectedError(f"{len(node.cases)} cases are open, not {count}")
    nodes = [node.child() for _ in range(count)]
    for child, case in zip(nodes, node.cases, strict=True):
        child.cases = (case,)
    return nodes
