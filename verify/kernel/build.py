"""The root system of a region, built block by block from the exact network: integer intervals, then rows of (S).

Every value v of block b is held as ν = v / 2^scale_b with |ν| <= 1; the scales are hints, and rejected when too small.
A weight that is no multiple of 2^-P in these scales is rounded down, and charged one unit: it multiplies a |ν| <= 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.network import Block, Network
from verify.core.normal_form import Region
from verify.core.query import Row
from verify.kernel.stream import RejectedError
from verify.kernel.system import ONE, Form, Node, P, add, lower

Entry = tuple[int, int]  # (block, row)


@dataclass(frozen=True)
class Plain:
    """A row over s and over earlier values ν, not yet over ρ: |row - (c + Σ s·a + Σ ν·w)| <= e, in units of 2^-P."""

    s: dict[int, int]
    values: dict[Entry, int]
    constant: int
    error: int


class Frame:
    """What the rows of blocks and query are made in: the box and the scales."""

    def __init__(self, network: Network, region: Region, scales: Sequence[int]) -> None:
        self.network, self.box, self.scales = network, region.box, scales
        self.first = len(network.inputs)
        self.offsets = [sum(p.size for p in network.inputs[:k]) for k in range(self.first)]


class Root(Frame):
    """Builds the node of a region, and keeps what the walk needs to know of it."""

    def __init__(self, network: Network, region: Region, rows: Sequence[Row], scales: Sequence[int]) -> None:
        super().__init__(network, region, scales)
        self.twins: dict[Entry, Entry] = {}
        self.plain: list[list[Plain]] = []
        self.low: list[list[int]] = []  # of each pre-activation, in its block's scale
        self.high: list[list[int]] = []
        self.variable: dict[Entry, int] = {}  # unstable ReLUs
        size = len(region.box.lower)
        self.node = Node({}, {}, [0] * size, [ONE] * size, {}, {}, tuple(range(len(region.cases))))
        if any(row.outputs for row in rows):
            for number, block in enumerate(network.blocks):
                self._add_block(number, block)
        for number, row in enumerate(rows):
            self.node.rows[number] = self.compose(query_row(self, row, scales[len(network.blocks) + number]))

    def _add_block(self, number: int, block: Block) -> None:
        rows = [plain_row(self, block, row, self.scales[number]) for row in range(block.size)]
        self.plain.append(rows)
        self.low.append([self._least(row, 1) for row in rows])
        self.high.append([-self._least(row, -1) for row in rows])
        low, high = self.low[number], self.high[number]
        self.twins |= {(number, i): (number, partner) for i, partner in find_twins(block).items()}
        for i, row in enumerate(rows):
            if not block.relu[i] or low[i] >= 0 or high[i] <= 0:
                continue
            partner = self.twins.get((number, i))
            if partner is not None and partner in self.variable:
                low[i], high[i] = max(low[i], -high[partner[1]]), min(high[i], -low[partner[1]])
                continue
            form = self.compose(row)
            low[i] = max(low[i], lower(self.node, form, 1).least)
            if low[i] < 0:
                high[i] = min(high[i], -lower(self.node, form, -1).least)
            if low[i] > high[i]:
                raise RejectedError(f"bounds of ReLU {i} of block {number} contradict each other")
            if low[i] < 0 < high[i]:
                j = self.variable[number, i] = len(self.variable)
                self.node.variables[j], self.node.low[j], self.node.high[j] = form, low[i], high[i]
        for i in range(block.size):
            bottom, top = self.range_of((number, i))
            if bottom < -ONE or top > ONE:
                raise RejectedError(f"the scale of block {number} is too small")

    def range_of(self, entry: Entry) -> tuple[int, int]:
        """Bounds of a value (behind its ReLU, if it has one)."""
        block, row = entry
        low, high = self.low[block][row], self.high[block][row]
        return (max(low, 0), max(high, 0)) if self.network.blocks[block].relu[row] else (low, high)

    def _least(self, row: Plain, sign: int) -> int:
        """A lower bound of sign · row by intervals."""
        total = sign * row.constant - row.error + sum(min(sign * a, 0) for a in row.s.values())
        for entry, w in row.values.items():
            low, high = self.range_of(entry)
            total += (sign * w * (low if sign * w > 0 else high)) >> P
        return total

    def compose(self, row: Plain) -> Form:
        """The row over s and ρ: values of known phase are replaced by their rows, last block first."""
        s, r = dict(row.s), dict[int, int]()
        constant, error = row.constant, row.error
        pending: dict[int, dict[int, int]] = {}
        for (block, i), w in row.values.items():
            pending.setdefault(block, {})[i] = w
        while pending:
            block = max(pending)
            for i, t in pending.pop(block).items():
                entry = (block, i)
                twin = self.twins.get(entry)
                if not t:
                    continue
                if self.network.blocks[block].relu[i] and self.high[block][i] <= 0:
                    continue  # the value is zero
                if entry in self.variable:
                    r[self.variable[entry]] = r.get(self.variable[entry], 0) + t
                    continue
                source = self.plain[block][i]
                if self.network.blocks[block].relu[i] and self.low[block][i] < 0:  # unstable, twin of a variable
                    assert twin is not None
                    r[self.variable[twin]] = r.get(self.variable[twin], 0) + t
                    source, t = self.plain[twin[0]][twin[1]], -t  # relu(-z) = relu(z) - z
                more, off = add((s, {}), t, Form(source.s, {}, source.constant, source.error))
                constant, error = constant + more, error + off
                for (earlier, k), w in source.values.items():
                    into = pending.setdefault(earlier, {})
                    into[k] = into.get(k, 0) + (t * w >> P)
                    error += 1
        return Form({k: a for k, a in s.items() if a}, {j: a for j, a in r.items() if a}, constant, error)


def plain_row(frame: Frame, block: Block, row: int, scale: int) -> Plain:
    """A block's row in the scale."""
    s: dict[int, Fraction] = {}
    values: dict[Entry, int] = {}
    constant, error = block.bias[row], 0
    for term in block.terms:
        if term.source < frame.first:
            offset = frame.offsets[term.source]
            constant += _add_inputs(frame, s, ((offset + column, w) for column, w in term.matrix.entries(row)))
            continue
        source = term.source - frame.first
        denominator, shift = term.matrix.values.integers()[1], frame.scales[source] - scale
        for column, numerator in term.matrix.numerators(row):
            w, off = _units(numerator, denominator, shift)
            values[source, column] = values.get((source, column), 0) + w
            error += off
    return _plain(s, values, constant, error, scale)


def query_row(frame: Frame, row: Row, scale: int) -> Plain:
    """A row of the query, left side minus bound, in the scale."""
    s: dict[int, Fraction] = {}
    values: dict[Entry, int] = {}
    constant, error = _add_inputs(frame, s, row.inputs) - row.bound, 0
    places = [(port.value, element) for port in frame.network.outputs for element in range(port.size)]
    for index, weight in row.outputs:
        value, element = places[index]
        if value < frame.first:  # an output that is an input
            constant += _add_inputs(frame, s, [(frame.offsets[value] + element, weight)])
            continue
        entry = (value - frame.first, element)
        w, off = _units(weight.numerator, weight.denominator, frame.scales[entry[0]] - scale)
        values[entry] = values.get(entry, 0) + w
        error += off
    return _plain(s, values, constant, error, scale)


def _add_inputs(frame: Frame, s: dict[int, Fraction], entries: Iterable[tuple[int, Fraction]]) -> Fraction:
    """Add Σ weight · x over s, exactly; returns the constant."""
    constant = Fraction(0)
    for index, weight in entries:
        low, high = frame.box.lower[index], frame.box.upper[index]
        constant += weight * low
        if low != high:
            s[index] = s.get(index, Fraction(0)) + weight * (high - low)
    return constant


def _plain(s: dict[int, Fraction], values: dict[Entry, int], constant: Fraction, error: int, scale: int) -> Plain:
    rounded: dict[int, int] = {}
    for k, a in s.items():
        rounded[k], off = _units(a.numerator, a.denominator, -scale)
        error += off
    units, off = _units(constant.numerator, constant.denominator, -scale)
    nonzero = {entry: w for entry, w in values.items() if w}
    return Plain({k: a for k, a in rounded.items() if a}, nonzero, units, error + off)


def _units(numerator: int, denominator: int, shift: int) -> tuple[int, int]:
    """(numerator / denominator · 2^shift in units of 2^-P, rounded down; 1 if that is not exact, else 0)."""
    power = shift + P
    if power >= 0:
        numerator <<= power
    else:
        denominator <<= -power
    units, rest = divmod(numerator, denominator)
    return units, int(rest != 0)


def find_twins(block: Block) -> dict[int, int]:
    """The rectified rows that are exact negations of an earlier one, which is in no other pair."""
    found, seen = dict[int, int](), dict[object, int]()
    bias, _ = block.bias.integers()
    for row in range(block.size):
        if block.relu[row]:
            entries = [list(term.matrix.numerators(row)) for term in block.terms]
            negation = (-bias[row], tuple((k, -w) for part in entries for k, w in (*part, (-1, 0))))
            partner = seen.pop(negation, None)
            if partner is not None:
                found[row] = partner
            else:
                seen.setdefault((bias[row], tuple((k, w) for part in entries for k, w in (*part, (-1, 0)))), row)
    return found
