"""The root system of a region, built block by block from the exact network: integer intervals, then rows of (S).

Every value v of block b is held as ν = v / 2^scale_b with |ν| <= 1; the scales are hints, and rejected when too small.
A weight that is no multiple of 2^-P in these scales is rounded down, and charged one unit: it multiplies a |ν| <= 1.
"""

from __future__ import annotations

from collections.abc import Sequence
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


class Root:
    """Builds the node of a region, and keeps what the walk needs to know of it."""

    def __init__(
        self, network: Network, region: Region, rows: Sequence[Row], scales: Sequence[int], twins: dict[Entry, Entry]
    ) -> None:
        self.network, self.box, self.scales, self.twins = network, region.box, scales, twins
        self.first = len(network.inputs)
        self.plain: list[list[Plain]] = []
        self.low: list[list[int]] = []  # of each pre-activation, in its block's scale
        self.high: list[list[int]] = []
        self.variable: dict[Entry, int] = {}  # unstable ReLUs
        size = len(region.box.lower)
        self.node = Node({}, {}, [0] * size, [ONE] * size, {}, {}, tuple(range(len(region.cases))))
        self.offsets = [sum(p.size for p in network.inputs[:k]) for k in range(self.first)]
        if any(row.outputs for row in rows):
            for number, block in enumerate(network.blocks):
                self._add_block(number, block)
        for number, row in enumerate(rows):
            self._add_row(number, row, scales[len(network.blocks) + number])

    def _add_block(self, number: int, block: Block) -> None:
        rows = [plain_row(self, block, row, self.scales[number]) for row in range(block.size)]
        self.plain.append(rows)
        self.low.append([self._least(row, 1) for row in rows])
        self.high.append([-self._least(row, -1) for row in rows])
        low, high = self.low[number], self.high[number]
        for i, row in enumerate(rows):
            if not block.relu[i] or low[i] >= 0 or high[i] <= 0:
                continue
            partner = self.twins.get((number, i))
            if partner is not None and partner in self.variable:
                check_twins(block, i, partner, number)
                low[i], high[i] = max(low[i], -high[partner[1]]), min(high[i], -low[partner[1]])
                continue
            form = self.compose(row)
            low[i] = max(low[i], lower(self.node, form, 1).least)
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

    def _add_row(self, number: int, row: Row, scale: int) -> None:
        """A row of the query, left side minus bound, in a scale of its own."""
        places = [(port.value, element) for port in self.network.outputs for element in range(port.size)]
        values = [(places[index], coefficient) for index, coefficient in row.outputs]
        self.node.rows[number] = self.compose(_rounded(self, row.inputs, values, -row.bound, scale))

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


def plain_row(root: Root, block: Block, row: int, scale: int) -> Plain:
    inputs: list[tuple[int, Fraction]] = []
    values: list[tuple[Entry, Fraction]] = []
    for term in block.terms:
        for column, weight in term.matrix.entries(row):
            if term.source < root.first:
                inputs.append((root.offsets[term.source] + column, weight))
            else:
                values.append(((term.source - root.first, column), weight))
    return _rounded(root, inputs, [((e[0] + root.first, e[1]), w) for e, w in values], block.bias[row], scale)


def _rounded(
    root: Root,
    inputs: Sequence[tuple[int, Fraction]],
    values: Sequence[tuple[tuple[int, int], Fraction]],
    constant: Fraction,
    scale: int,
) -> Plain:
    """Σ inputs·x + Σ values·v + constant in the scale; `values` are by (value index, element)."""
    s: dict[int, Fraction] = {}
    weights: dict[Entry, int] = {}
    error = 0
    for index, weight in inputs:
        low, high = root.box.lower[index], root.box.upper[index]
        constant += weight * low
        s[index] = s.get(index, Fraction(0)) + weight * (high - low)
    for (value, element), weight in values:
        if value < root.first:  # an output that is an input
            inputs_again = root.offsets[value] + element
            low, high = root.box.lower[inputs_again], root.box.upper[inputs_again]
            constant += weight * low
            s[inputs_again] = s.get(inputs_again, Fraction(0)) + weight * (high - low)
            continue
        entry = (value - root.first, element)
        w, off = _units(weight, root.scales[entry[0]] - scale)
        weights[entry], error = weights.get(entry, 0) + w, error + off
    rounded = {}
    for k, a in s.items():
        rounded[k], off = _units(a, -scale)
        error += off
    units, off = _units(constant, -scale)
    return Plain({k: a for k, a in rounded.items() if a}, {e: w for e, w in weights.items() if w}, units, error + off)


def _units(number: Fraction, shift: int) -> tuple[int, int]:
    """(number · 2^shift in units of 2^-P, rounded down; 1 if that is not exact, else 0)."""
    power = shift + P
    numerator = number.numerator << power if power >= 0 else number.numerator
    denominator = number.denominator if power >= 0 else number.denominator << -power
    units, rest = divmod(numerator, denominator)
    return units, int(rest != 0)


def check_twins(block: Block, row: int, partner: Entry, number: int) -> None:
    """Reject unless the two rows are in the same block and exact negations of each other."""
    same = partner[0] == number and block.bias[row] == -block.bias[partner[1]]
    for term in block.terms if same else ():
        same = same and dict(term.matrix.entries(row)) == {k: -w for k, w in term.matrix.entries(partner[1])}
    if not same:
        raise RejectedError(f"rows {row} and {partner[1]} of block {number} are no negations of each other")
