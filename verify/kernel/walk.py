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

from verify.core.network import Network
from verify.core.normal_form import Box, Region
from verify.core.payload import RejectedError, Stream
from verify.core.query import Row
from verify.kernel.build import Root, read_scales
from verify.kernel.exact import check_exact
from verify.kernel.system import ONE, SLOPE_BITS, Bound, Form, Hints, Node, add, clip, lower, substitute, tighten

LEAF, TIGHTEN, REDUCE, BOUND, CLIP, WEIGHTED, EXACT, LOW, HIGH, PHASES, CASES, AFRESH = range(12)
MOST_CASES = 1 << 16
MOST_NESTED = 16  # regions afresh inside one another


def prove_region(network: Network, region: Region, stream: Stream, counts: dict[str, int], nested: int = 0) -> None:
    """Read a region's scales and its tree.  Raises RejectedError unless every leaf is closed."""
    rows, cases = region.numbered()
    root = Root(network, region, rows, read_scales(network, rows, stream))
    Walk(network, region, rows, cases, stream, counts, nested).run(root.node)


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
        bounds, rule = dict[int, Bound](), "bound"
        while (opcode := self.stream.byte()) != LEAF:
            if opcode in (LOW, HIGH, PHASES, CASES):
                return split(node, opcode, self.stream.varint())
            if opcode in (TIGHTEN, REDUCE, BOUND, CLIP):
                node = self.narrow(node, opcode, bounds) if node else None
            elif opcode == WEIGHTED:
                self.weighted(node)
                node, rule = None, "weighted"
            elif opcode in (EXACT, AFRESH):  # with a proof of its own, that a closed node cannot have
                if node is None:
                    raise RejectedError(f"{'exact leaf' if opcode == EXACT else 'region afresh'} where nothing is open")
                rule = self.exact(node) if opcode == EXACT else self.afresh(node)
                node = None
            else:
                raise RejectedError(f"unknown opcode {opcode} at byte {self.stream.at}")
        if node is not None:
            return self.unclosed(node)
        self.counts[rule] = self.counts.get(rule, 0) + 1
        return ()

    def unclosed(self, node: Node) -> Sequence[Node | None]:
        """A leaf with open cases."""
        raise RejectedError(f"leaf {sum(self.counts.values())}: {len(node.cases)} cases are still open")

    def narrow(self, node: Node, opcode: int, bounds: dict[int, Bound]) -> Node | None:
        """One step; None where it closes the node.  `bounds`: the rows', as last bounded."""
        if opcode == TIGHTEN:
            return node if tighten(node) else None
        if opcode == REDUCE:
            substitute(node, sorted({r for c in node.cases for r in self.cases[c]}))
            return node
        if opcode == BOUND:
            bounds.clear()
            node.cases = tuple(case for case in node.cases if not self.excluded(node, case, bounds))
            return node if node.cases else None
        if len(node.cases) != 1:
            return node  # with several cases open there is no one half-space that all solutions lie in
        if any(r not in bounds for r in self.cases[node.cases[0]]):
            raise RejectedError("clipping needs the rows' bounds")
        return node if clip(node, [bounds[r] for r in self.cases[node.cases[0]]]) else None

    def excluded(self, node: Node, case: int, bounds: dict[int, Bound]) -> bool:
        """Whether some row of the case cannot hold; rows are bounded up to that one."""
        for r in self.cases[case]:
            if r not in bounds:
                bounds[r] = lower(node, node.rows[r], 1)
            if excludes(bounds[r].least, self.rows[r].strict):
                return True
        return False

    def weighted(self, node: Node | None) -> None:
        """A combination Σ γ_r row_r with γ >= 0 cannot be <= 0 anywhere, so not all rows of the case hold."""
        cases = []
        for _ in range(self.stream.varint()):
            cases.append(self.stream.varint())
            if cases[-1] >= len(self.cases):
                raise RejectedError(f"there is no case {cases[-1]}")
            gamma = [self.stream.byte() for _ in self.cases[cases[-1]]]
            slopes, betas = self._by_variable(1 << SLOPE_BITS), self._by_variable(1 << 50)
            if node is None:
                continue
            if node.cases[: len(cases)] != tuple(cases):
                raise RejectedError("weights for a case that is not the next open one")
            s, r, constant, error, strict = dict[int, int](), dict[int, int](), 0, 0, False
            for weight, row in zip(gamma, self.cases[cases[-1]], strict=True):
                more, off = add((s, r), weight * ONE, node.rows[row])
                constant, error, strict = constant + more, error + off, strict or (weight > 0 and self.rows[row].strict)
            if not excludes(lower(node, Form(s, r, constant, error), 1, slopes, betas).least, strict):
                raise RejectedError(f"weights do not close case {cases[-1]}")
        if node is not None and len(cases) != len(node.cases):
            raise RejectedError("weights for some open cases only")

    def _by_variable(self, limit: int) -> Hints:
        """Numbers 0 … limit by variable."""
        found, j = dict[int, int](), -1
        for _ in range(self.stream.varint()):
            j += 1 + self.stream.varint()
            found[j] = self.stream.varint()
            if found[j] > limit:
                raise RejectedError("a multiplier is out of range")
        return found

    def exact(self, node: Node) -> str:
        """Close every open case in unrounded numbers."""
        cases = [[self.rows[r] for r in self.cases[c]] for c in node.cases]
        check_exact(self.network, cases, exact_box(self.region, node.box_low, node.box_high), self.stream)
        return "exact"

    def afresh(self, node: Node) -> str:
        """The same claim in integers of other scales: a deep box has values far smaller than its region's."""
        if self.nested >= MOST_NESTED:
            raise RejectedError("too many regions inside one another")
        part = part_of(self.region, node.box_low, node.box_high, node.cases)
        prove_region(self.network, part, self.stream, self.counts, self.nested + 1)
        return "afresh"


def excludes(least: int, strict: bool) -> bool:
    """Whether something that is at least `least` cannot be <= 0 (< 0 where strict)."""
    return least > 0 or (least == 0 and strict)


def part_of(region: Region, low: Sequence[int], high: Sequence[int], cases: Sequence[int]) -> Region:
    """A node's box with its open cases; nothing else of the region can hold a solution that the node may hold."""
    return replace(region, box=exact_box(region, low, high), cases=tuple(region.cases[c] for c in cases))


def exact_box(region: Region, low: Sequence[int], high: Sequence[int]) -> Box:
    """A box over s, in units of 2^-P, in the query's variables."""
    sides = list(zip(region.box.lower, region.box.upper, strict=True))
    ends = ([a + (b - a) * Fraction(s, ONE) for s, (a, b) in zip(end, sides, strict=True)] for end in (low, high))
    return Box(*map(tuple, ends))


def split(node: Node | None, opcode: int, number: int) -> Sequence[Node | None]:
    """The children of a node, the first one first; those of a closed node are closed."""
    if opcode == CASES and number > MOST_CASES:
        raise RejectedError(f"{number} cases are too many")
    if node is None:
        return (None,) * (number if opcode == CASES else 2)
    children = {PHASES: split_phase, CASES: split_cases}.get(opcode, split_input)(node, number)
    return children[::-1] if opcode == HIGH else children


def split_input(node: Node, k: int) -> Sequence[Node]:
    """Both halves of the box along s_k."""
    if k >= len(node.box_low):
        raise RejectedError(f"there is no input {k}")
    middle = (node.box_low[k] + node.box_high[k]) >> 1
    if middle == node.box_low[k]:
        raise RejectedError(f"input {k} cannot be split further")
    low, high = node.child(), node.child()
    low.box_high[k] = high.box_low[k] = middle
    return (low, high)


def split_phase(node: Node, j: int) -> Sequence[Node]:
    """ζ_j <= 0, then ζ_j >= 0."""
    if j not in node.variables or node.low[j] >= 0 or node.high[j] <= 0:
        raise RejectedError(f"variable {j} cannot be split")
    inactive, active = node.child(), node.child()
    inactive.high[j] = active.low[j] = 0
    return (inactive, active)


def split_cases(node: Node, count: int) -> Sequence[Node]:
    """As many nodes as there are open cases, each with one of them."""
    if count != len(node.cases):
        raise RejectedError(f"{len(node.cases)} cases are open, not {count}")
    return [replace(node.child(), cases=(case,)) for case in node.cases]
