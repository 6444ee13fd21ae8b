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
from verify.core.payload import RejectedError, Stream
from verify.core.query import Row
from verify.kernel.system import ONE, Form, Node, P, add, narrowed

Entry = tuple[int, int]  # (block, row)
MAX_SCALE = 4096


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
        low, high = [self._least(row, 1) for row in rows], [-self._least(row, -1) for row in rows]
        self.plain.append(rows)
        self.low.append(low)
        self.high.append(high)
        self.twins |= {(number, i): (number, partner) for i, partner in block.twins().items()}
        for i, row in enumerate(rows):
            if not block.relu[i] or low[i] >= 0 or high[i] <= 0:
                continue
            partner = self.twins.get((number, i))
            if partner is not None and partner in self.variable:
                low[i], high[i] = max(low[i], -high[partner[1]]), min(high[i], -low[partner[1]])
                continue
            form = self.compose(row)
            low[i], high[i] = narrowed(self.node, form, low[i], high[i])
            if low[i] > high[i]:
                raise RejectedError(f"bounds of ReLU {i} of block {number} contradict each other")
            if low[i] < 0 < high[i]:
                j = self.variable[number, i] = len(self.variable)
                self.node.variables[j], self.node.low[j], self.node.high[j] = form, low[i], high[i]
        ranges = [self.range_of((number, i)) for i in range(block.size)]
        if any(bottom < -ONE or top > ONE for bottom, top in ranges):
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
        s, r, constant, error = dict(row.s), dict[int, int](), row.constant, row.error
        pending = [dict[int, int]() for _ in self.plain]
        for (block, i), w in row.values.items():
            pending[block][i] = w
        for block in reversed(range(len(pending))):
            for i, t in pending[block].items():
                source, relu = self.plain[block][i], self.network.blocks[block].relu[i]
                if not t or (relu and self.high[block][i] <= 0):
                    continue  # the value is zero
                if relu and self.low[block][i] < 0:
                    entry = (block, i) if (block, i) in self.variable else self.twins[block, i]
                    r[self.variable[entry]] = r.get(self.variable[entry], 0) + t
                    if entry == (block, i):
                        continue
                    source, t = self.plain[block][entry[1]], -t  # a twin of a variable: relu(-z) = relu(z) - z
                more, off = add((s, {}), t, Form(source.s, {}, source.constant, source.error))
                constant, error = constant + more, error + off + len(source.values)
                for (earlier, k), w in source.values.items():
                    pending[earlier][k] = pending[earlier].get(k, 0) + (t * w >> P)
        return Form({k: a for k, a in s.items() if a}, {j: a for j, a in r.items() if a}, constant, error)


def plain_row(frame: Frame, block: Block, row: int, scale: int) -> Plain:
    """A block's row in the scale."""
    summands = (
        (term.source, column, n, term.matrix.values.integers()[1])
        for term in block.terms
        for column, n in term.matrix.numerators(row)
    )
    return _plain(frame, summands, block.bias[row], scale)


def query_row(frame: Frame, row: Row, scale: int) -> Plain:
    """A row of the query, left side minus bound, in the scale."""
    places = frame.network.output_places
    inputs = ((0, k, w.numerator, w.denominator) for k, w in row.inputs)
    outputs = ((*places[k], w.numerator, w.denominator) for k, w in row.outputs)
    return _plain(frame, (*inputs, *outputs), -row.bound, scale)


def _plain(frame: Frame, summands: Iterable[tuple[int, int, int, int]], constant: Fraction, scale: int) -> Plain:
    """Σ numerator/denominator · value[element] + constant in the scale, from (value, element, numerator, denominator).

    What multiplies inputs is summed exactly and rounded once.
    """
    s, values, error = dict[int, Fraction](), dict[Entry, int](), 0
    for value, element, numerator, denominator in summands:
        if value < frame.first:
            k, w = frame.network.input_offsets[value] + element, Fraction(numerator, denominator)
            low, high = frame.box.lower[k], frame.box.upper[k]
            constant += w * low
            if low != high:
                s[k] = s.get(k, Fraction(0)) + w * (high - low)
            continue
        entry = (value - frame.first, element)
        units, off = _units(numerator, denominator, frame.scales[entry[0]] - scale)
        values[entry] = values.get(entry, 0) + units
        error += off
    rounded = {k: _units(a.numerator, a.denominator, -scale) for k, a in s.items()}
    units, off = _units(constant.numerator, constant.denominator, -scale)
    error += off + sum(off for _, off in rounded.values())
    nonzero = {entry: w for entry, w in values.items() if w}
    return Plain({k: a for k, (a, _) in rounded.items() if a}, nonzero, units, error)


def _units(numerator: int, denominator: int, shift: int) -> tuple[int, int]:
    """(numerator / denominator · 2^shift in units of 2^-P, rounded down; 1 if that is not exact, else 0)."""
    power = shift + P
    units, rest = divmod(numerator << max(power, 0), denominator << max(-power, 0))
    return units, int(rest != 0)


def read_scales(network: Network, rows: Sequence[Row], stream: Stream) -> list[int]:
    """The scales of blocks and rows, from the stream."""
    scales = [stream.signed() for _ in range(len(network.blocks) + len(rows))]
    if any(abs(scale) > MAX_SCALE for scale in scales):
        raise RejectedError("a scale is out of range")
    return scales
