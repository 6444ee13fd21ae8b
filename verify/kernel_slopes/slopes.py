"""Two points of one model: cases closed because the model's slope contradicts a row between them.

The segment from a to b runs through the boxes of a partition of the hull; on the part within one box the model changes
by G times that part, with G in bounds that hold for every two points of the box.  Slopes are computed from the exact
weights without any rounding; only the phases of ReLUs come from the integer bounds of `system`.  See docs/kernel.md.

    per region: the number of cases closed here, and for each, ascending: its number, the hints of the model's root
    where this hull is new, then for each sign pattern of the difference the row that is contradicted and, unless that
    has been shown before (a and b may have changed places), a tree:
    LEAF            the row must be contradicted in this box
    LOW, HIGH       split an input of the model at the middle; the half that comes first in the stream
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from verify.core.network import Network, Term
from verify.core.normal_form import Box, Region
from verify.core.pairing import Difference
from verify.core.payload import RejectedError, Stream
from verify.core.query import Query, Row
from verify.kernel.build import Root, read_scales
from verify.kernel.check import Checked, Claim, Path, Remaining
from verify.kernel.check import check as check_along
from verify.kernel.system import Node, P, lower, substitute
from verify.kernel.walk import HIGH, LEAF, LOW, split_input
from verify.kernel_slopes.comparison import Comparison, Contradiction, Interval, Pairings, Place, compare

INACTIVE, ACTIVE, UNSTABLE = range(3)
NEAR = 1 << 16  # more than rounding can move a value, in units of 2^-P: so near zero either side may decide
Phases = list[list[int]]  # per block and row; rows without ReLU are active


@dataclass
class Part:
    """A box of the hull (a node of the model's system) and what is known of the phases there."""

    node: Node
    phases: Phases


class Model:
    """The model's blocks as integers, and its slopes over parts of one hull or another."""

    def __init__(self, network: Network) -> None:
        self.network, self.first = network, len(network.inputs)
        self.output = network.outputs[0].value
        self.denominators = {self.output: 1}  # of the slopes with respect to a value
        self.terms: dict[int, list[tuple[int, list[list[tuple[int, int]]]]]] = {}
        reduced = {}
        for value in range(self.output, self.first - 1, -1):
            for number, term in enumerate(self._block_terms(value)):
                numerators, denominator = term.matrix.values.integers()
                common = math.gcd(denominator, *numerators)
                reduced[value, number] = (common, denominator // common)
                own = self.denominators[value] * (denominator // common)
                self.denominators[term.source] = math.lcm(self.denominators.get(term.source, 1), own)
        for value in range(self.output, self.first - 1, -1):
            self.terms[value] = []
            for number, term in enumerate(self._block_terms(value)):
                common, denominator = reduced[value, number]
                factor = self.denominators[term.source] // (self.denominators[value] * denominator)
                rows = [
                    [(k, n // common * factor) for k, n in term.matrix.numerators(row)]
                    for row in range(term.matrix.rows)
                ]
                self.terms[value].append((term.source, rows))

    def _block_terms(self, value: int) -> Sequence[Term]:
        return self.network.blocks[value - self.first].terms if value in self.denominators else ()

    def slopes(self, phases: Phases, outputs: Sequence[int]) -> list[Interval]:
        """Bounds on G in  outputs·(f(b) - f(a)) = G·(b - a)  for any two points where the phases hold.

        relu(z') - relu(z) = t (z' - z) with t = 1 where both are active, 0 where both are inactive, 0 <= t <= 1 else.
        """
        bounds = {self.output: (list(outputs), list(outputs))}
        for value in range(self.output, self.first - 1, -1):
            if value not in bounds:
                continue
            low, high = bounds.pop(value)
            for i, phase in enumerate(phases[value - self.first]):
                if phase == INACTIVE:
                    low[i] = high[i] = 0
                elif phase == UNSTABLE:
                    low[i], high[i] = min(low[i], 0), max(high[i], 0)
            for source, rows in self.terms[value]:
                if source not in bounds:
                    size = self.network.value_sizes[source]
                    bounds[source] = ([0] * size, [0] * size)
                _pull_back(rows, low, high, *bounds[source])
        found: list[Interval] = []
        for port in self.network.inputs:
            zeros = [0] * port.size
            denominator = self.denominators.get(port.value, 1)
            ends = zip(*bounds.get(port.value, (zeros, zeros)), strict=True)
            found += [(Fraction(a, denominator), Fraction(b, denominator)) for a, b in ends]
        return found


def _pull_back(
    rows: Sequence[Sequence[tuple[int, int]]],
    low: Sequence[int],
    high: Sequence[int],
    into_low: list[int],
    into_high: list[int],
) -> None:
    """into += Wᵀ [low, high], exactly."""
    for entries, a, b in zip(rows, low, high, strict=True):
        if a == b:
            if a:
                for k, w in entries:
                    product = w * a
                    into_low[k] += product
                    into_high[k] += product
            continue
        for k, w in entries:
            if w > 0:
                into_low[k] += w * a
                into_high[k] += w * b
            else:
                into_low[k] += w * b
                into_high[k] += w * a


class Differences:
    """Reads, region by region, which cases are closed by slopes, and checks that they are."""

    def __init__(self, network: Network, stream: Stream, counts: dict[str, int]) -> None:
        self.network, self.stream, self.counts = network, stream, counts
        self.pairings: Pairings = {}
        self.models: dict[Place, Model] = {}
        self.roots: dict[tuple[Place, Box], tuple[Root, Part]] = {}
        self.shown: set[Contradiction] = set()

    def remaining(self, region: Region) -> Region | None:
        """The region with the cases that are not closed here; None when all are."""
        closed: list[int] = []
        for _ in range(self.stream.varint()):
            case = self.stream.varint()
            if not (closed[-1] if closed else -1) < case < len(region.cases):
                raise RejectedError(f"slopes for case {case} after {closed[-1:]} of {len(region.cases)}")
            comparison = compare(self.network, region, region.cases[case], self.pairings)
            if comparison is None:
                raise RejectedError(f"no row of case {case} compares two points of one model")
            self.close(comparison)
            closed.append(case)
        if not closed:
            return region
        cases = tuple(rows for case, rows in enumerate(region.cases) if case not in closed)
        return replace(region, cases=cases) if cases else None

    def close(self, comparison: Comparison) -> None:
        """Rejects unless in each sign pattern some row is contradicted on the whole hull."""
        if any(low > high for low, high in comparison.steps):
            raise RejectedError("a difference has no value")
        root, part = self.root(comparison)
        for steps in comparison.signed_steps():
            row = self.stream.varint()
            if row >= len(comparison.rows):
                raise RejectedError(f"no row {row} compares two points")
            contradiction = comparison.contradiction(row, steps)
            if contradiction[0] not in self.shown:
                model, limit = self.models[comparison.place], comparison.limits[row]
                self.follow(SlopeTree(model, root, row, comparison.rows[row], limit, steps), part)
                self.shown.update(contradiction)

    def root(self, comparison: Comparison) -> tuple[Root, Part]:
        """The model's system over the hull; its hints are in the stream where the hull is new."""
        place, model = comparison.place, comparison.pairing.model
        if place not in self.models:
            self.models[place] = Model(model)
        known = self.roots.get((place, comparison.hull))
        if known is None:
            region = hull_region(model, comparison.hull)
            (rows,) = region.cases
            root = Root(model, region, rows, read_scales(model, rows, self.stream))
            known = self.roots[place, comparison.hull] = (root, Part(root.node, root_phases(root)))
        return known

    def follow(self, tree: SlopeTree, whole: Part) -> None:
        """Follow splits down to leaves, all of which must contradict the row."""
        pending = [whole]
        while pending:
            part = pending.pop()
            opcode = self.stream.byte()
            if opcode == LEAF:
                if tree.contradicts(part):
                    self.counts["slopes"] = self.counts.get("slopes", 0) + 1
                else:
                    pending += self.unclosed(tree, part)
            elif opcode in (LOW, HIGH):
                low, high = tree.halves(part, self.stream.varint())
                pending += (high, low) if opcode == LOW else (low, high)
            else:
                raise RejectedError(f"slopes: unknown opcode {opcode} at byte {self.stream.at}")

    def unclosed(self, tree: SlopeTree, part: Part) -> Sequence[Part]:
        """A leaf in which the row may hold."""
        number, unstable = self.counts.get("slopes", 0), sum(block.count(UNSTABLE) for block in part.phases)
        raise RejectedError(f"leaf {number} of slopes: row {tree.number} may hold, {unstable} phases are open")


@dataclass(frozen=True, eq=False)
class SlopeTree:
    """One row under one sign pattern."""

    model: Model
    root: Root
    number: int
    row: Difference
    limit: Fraction
    steps: tuple[Interval, ...]

    def contradicts(self, part: Part) -> bool:
        """Whether (outputs·G + slope)·step is above the limit for all slopes of the part and all differences."""
        denominator = math.lcm(*(c.denominator for c in self.row.outputs))
        outputs = [c.numerator * (denominator // c.denominator) for c in self.row.outputs]
        least = Fraction(0)
        for (low, high), q, step in zip(
            self.model.slopes(part.phases, outputs), self.row.slope, self.steps, strict=True
        ):
            if any(step):
                ends = (low / denominator + q, high / denominator + q)
                least += min(g * d for g in ends for d in step)
        return least >= self.limit if self.row.strict else least > self.limit

    def halves(self, part: Part, k: int) -> tuple[Part, Part]:
        """Both halves along input k, with bounds and phases of their own."""
        low, high = split_input(part.node, k)
        return self._narrowed(low, part), self._narrowed(high, part)

    def _narrowed(self, node: Node, parent: Part) -> Part:
        bound_phases(node)
        phases = self.phases(parent.phases, node.low, node.high)
        substitute(node, [e for e, c in enumerate(self.row.outputs) if c])
        return Part(node, phases)

    def phases(self, known: Phases, low: Mapping[int, int], high: Mapping[int, int]) -> Phases:
        """What is known in a part, from what is known around it and bounds of the variables in the part."""
        phases = [block[:] for block in known]
        for (block, i), j in self.root.variable.items():
            if j in low:
                if low[j] >= 0:
                    phases[block][i] = ACTIVE
                elif high[j] <= 0:
                    phases[block][i] = INACTIVE
        for (block, i), (_, partner) in self.root.twins.items():  # z' = -z
            if phases[block][i] == UNSTABLE != phases[block][partner]:
                phases[block][i] = ACTIVE if phases[block][partner] == INACTIVE else INACTIVE
        return phases


def read_slopes(network: Network, stream: Stream, counts: dict[str, int]) -> Remaining:
    """What reads the cases that slopes close, for a `Path`."""
    return Differences(network, stream, counts).remaining


REFERENCE = Path("reference", read_slopes)


def check(query: Query, payload: bytes, claim: Claim) -> Checked:
    """`verify.kernel.check` with the rule of slopes added.  Guarantee and errors: its own."""
    return check_along(query, payload, claim, REFERENCE)


def bound_phases(node: Node) -> None:
    """Bound unstable variables again, first to last; those that no other depends on only on the side that may decide.

    Which side that is, a point shows; what is left out would not have given a phase.
    """
    relaxed = {i for form in node.variables.values() for i in form.r}
    values = centre_values(node)
    for j, form in node.variables.items():
        if node.low[j] >= 0 or node.high[j] <= 0:
            continue
        if j in relaxed or values[j] > -NEAR:
            node.low[j] = max(node.low[j], lower(node, form, 1).least)
        if node.low[j] < 0 and (j in relaxed or values[j] < NEAR):
            node.high[j] = min(node.high[j], -lower(node, form, -1).least)
        if node.low[j] > node.high[j]:
            raise RejectedError("bounds contradict each other")


def centre_values(node: Node) -> dict[int, int]:
    """Each variable's ζ at the centre of the box, about."""
    s = [(low + high) >> 1 for low, high in zip(node.box_low, node.box_high, strict=True)]
    values: dict[int, int] = {}
    for j, form in node.variables.items():
        total = sum(a * s[k] for k, a in form.s.items())
        total += sum(a * values[i] for i, a in form.r.items() if values[i] > 0)
        values[j] = form.constant + (total >> P)
    return values


def hull_region(model: Network, hull: Box) -> Region:
    """The hull as a region of the model, with a row for each of its outputs."""
    rows = tuple(Row((), ((e, Fraction(1)),), Fraction(0)) for e in range(model.output_size))
    return Region(hull, (), (rows,))


def root_phases(root: Root) -> Phases:
    """From the bounds of every pre-activation on the whole hull."""
    phases: Phases = []
    for block, lows, highs in zip(root.network.blocks, root.low, root.high, strict=True):
        phases.append([
            ACTIVE if not relu or low >= 0 else INACTIVE if high <= 0 else UNSTABLE
            for relu, low, high in zip(block.relu, lows, highs, strict=True)
        ])  # fmt: skip
    return phases
