"""The arrays that the compiled walk starts from: the same rounded weights as `verify.kernel.build.plain_row` makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from verify.core.network import Block, Matrix, Network
from verify.core.normal_form import Region
from verify.kernel.build import Entry, Frame, Plain, plain_row, query_row
from verify.kernel.system import ONE, P
from verify.kernel_fast import layout as at

Ints = NDArray[np.int64]
LIMIT = 1 << at.SUM_BITS
KEPT = 64  # blocks whose tables are remembered: regions afresh differ in box and scales, by little …
KEPT_WEIGHTS = 1 << 16  # … and matrices with at most so many


class RefusedError(Exception):
    """The fast path cannot tell; the reference can.  The message says why."""


class WrongStepError(RefusedError):
    """A step that is not accepted; the reference says why."""


class Entries:
    """Rows over values and over s, one after the other."""

    def __init__(self) -> None:
        self.starts: list[Ints] = [np.zeros(1, np.int64)]
        self.columns: list[Ints] = []
        self.values: list[Ints] = []
        self.length = 0

    def add(self, counts: Ints, columns: Ints, values: Ints) -> None:
        """Rows with `counts` entries each."""
        self.starts.append(self.length + np.cumsum(counts))
        self.columns.append(columns)
        self.values.append(values)
        self.length += len(columns)

    def arrays(self) -> tuple[Ints, Ints, Ints]:
        empty = np.zeros(0, np.int64)
        starts, columns, values = (np.concatenate([empty, *p]) for p in (self.starts, self.columns, self.values))
        return starts, columns, values


class Rows:
    """All rows of blocks and query, in the order of their values."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.values, self.inputs = Entries(), Entries()
        self.constants: list[int] = []
        self.errors: list[int] = []
        blocks = frame.network.blocks
        self.block_starts = np.cumsum([0, *(block.size for block in blocks)])
        box = frame.box
        self.denominator = math.lcm(*(v.denominator for v in (*box.lower, *box.upper)))
        self.lower = [v.numerator * (self.denominator // v.denominator) for v in box.lower]
        upper = (v.numerator * (self.denominator // v.denominator) for v in box.upper)
        self.widths = [b - a for a, b in zip(self.lower, upper, strict=True)]

    def add_plain(self, rows: Sequence[Plain]) -> None:
        """Rows as the reference made them."""
        for entries, parts in (
            (self.values, [{self._number(e): w for e, w in row.values.items()} for row in rows]),
            (self.inputs, [row.s for row in rows]),
        ):
            counts = [len(part) for part in parts]
            columns = [k for part in parts for k in part]
            entries.add(_ints(counts), _ints(columns), _ints([w for part in parts for w in part.values()]))
        self.constants += [row.constant for row in rows]
        self.errors += [row.error for row in rows]

    def _number(self, entry: Entry) -> int:
        return int(self.block_starts[entry[0]]) + entry[1]

    def add_block(self, number: int, block: Block) -> None:
        frame = self.frame
        sources = [term.source for term in block.terms]
        inputs = [term for term in block.terms if term.source < frame.first]
        hidden = [term for term in block.terms if term.source >= frame.first]
        if len(set(sources)) < len(sources) or len(inputs) > 1 or any(t.matrix.values.floats is None for t in hidden):
            self.add_plain([plain_row(frame, block, row, frame.scales[number]) for row in range(block.size)])
            return
        errors = np.zeros(block.size, np.int64)
        parts = []
        for term in hidden:
            source = term.source - frame.first
            found, off = scaled(term.matrix, frame.scales[source] - frame.scales[number] + P)
            errors += off
            parts.append((found[0], found[1] + self.block_starts[source], found[2]))
        none = np.zeros(0, np.int64)
        rows, columns, units = (np.concatenate(part) for part in zip((none, none, none), *parts, strict=True))
        order = np.argsort(rows, kind="stable")
        self.values.add(np.bincount(rows, minlength=block.size), columns[order], units[order])
        power = P - frame.scales[number]
        if inputs:
            offset = frame.network.input_offsets[inputs[0].source]
            self._add_inputs(block, inputs[0].matrix, offset, power, errors.tolist())
        else:
            constants, off = biases(block, power)
            self.constants += constants
            self.errors += (errors + off).tolist()
            self.inputs.add(np.zeros(block.size, np.int64), none, none)

    def _add_inputs(self, block: Block, matrix: Matrix, offset: int, power: int, errors: list[int]) -> None:
        """A block's entries over s, its constants and errors, in integers all the way."""
        denominator = self.denominator * matrix.values.integers()[1]
        bias, bias_denominator = block.bias.integers()
        counts: list[int] = []
        columns: list[int] = []
        values: list[int] = []
        for row in range(block.size):
            constant, before = 0, len(columns)
            for column, w in matrix.numerators(row):
                constant += w * self.lower[offset + column]
                width = self.widths[offset + column]
                if not width:
                    continue
                units, off = _units(w * width, denominator, power)
                errors[row] += off
                if units:
                    columns.append(offset + column)
                    values.append(units)
            counts.append(len(columns) - before)
            numerator = bias[row] * denominator + constant * bias_denominator
            units, off = _units(numerator, denominator * bias_denominator, power)
            self.constants.append(units)
            errors[row] += off
        self.errors += errors
        self.inputs.add(_ints(counts), _ints(columns), _ints(values))


@lru_cache(maxsize=KEPT)
def biases(block: Block, power: int) -> tuple[list[int], Ints]:
    """⌊bias · 2^power⌋, and the errors of that."""
    numerators, denominator = block.bias.integers()
    found = [_units(n, denominator, power) for n in numerators]
    return [units for units, _ in found], _ints(off for _, off in found)


def scaled(matrix: Matrix, power: int) -> tuple[tuple[Ints, Ints, Ints], Ints]:
    """(row, column, ⌊w · 2^power⌋) of the weights for which that is not zero, and the errors of that by row."""
    return (_remembered if len(matrix.values) <= KEPT_WEIGHTS else _scaled)(matrix, power)


def _scaled(matrix: Matrix, power: int) -> tuple[tuple[Ints, Ints, Ints], Ints]:
    floats = np.frombuffer(matrix.values.floats or b"", np.float64)
    if matrix.starts is None or matrix.indices is None:
        place = np.flatnonzero(floats)
        row, column, weights = place // matrix.columns, place % matrix.columns, floats[place]
    else:
        row = np.repeat(np.arange(matrix.rows), np.diff(matrix.starts))
        column, weights = np.frombuffer(matrix.indices, np.int64), floats
    with np.errstate(all="ignore"):
        product = np.ldexp(weights, power)
        units = np.floor(product)
        if not (np.ldexp(product, -power) == weights).all() or not (np.abs(units) < LIMIT).all():
            raise RefusedError("numbers are too large for 64 bits")
    kept = units != 0
    errors = np.bincount(row[units != product], minlength=matrix.rows)
    return (row[kept], column[kept], units[kept].astype(np.int64)), errors


_remembered = lru_cache(maxsize=KEPT)(_scaled)


def _units(numerator: int, denominator: int, power: int) -> tuple[int, int]:
    """(numerator / denominator · 2^power, rounded down; 1 if that is not exact, else 0)."""
    if power >= 0:
        numerator <<= power
    else:
        denominator <<= -power
    units, rest = divmod(numerator, denominator)
    return units, int(rest != 0)


def _ints(values: Iterable[int]) -> Ints:
    """As 64-bit integers, all of them small enough.  Raises RefusedError."""
    values = list(values)
    if any(abs(v) >= LIMIT for v in values):
        raise RefusedError("numbers are too large for 64 bits")
    return np.array(values, np.int64)


@lru_cache(maxsize=2)  # the makers of a certificate and its checker come one after the other
def tables(network: Network, region: Region, scales: tuple[int, ...]) -> Ints:
    """Header and tables, not to be written to; free places must follow."""
    rows, cases = region.numbered()
    used = network.blocks if any(row.outputs for row in rows) else ()
    made = Rows(Frame(network, region, scales))
    for number, block in enumerate(used):
        made.add_block(number, block)
    made.add_plain([query_row(made.frame, row, scales[len(network.blocks) + r]) for r, row in enumerate(rows)])
    relu = np.frombuffer(b"".join(block.relu for block in used), np.uint8)
    values, inputs, most = len(relu), len(region.box.lower), int(relu.sum())
    twins = np.full(values, -1)
    for start, block in zip(made.block_starts.tolist(), used, strict=False):
        for row, partner in _twins(block).items():
            twins[start + row] = start + partner
    table = Table()
    for place, array in zip((at.W_START, at.W_COLUMN, at.W_VALUE), made.values.arrays(), strict=True):
        table.put(place, array)
    for place, array in zip((at.S_START, at.S_COLUMN, at.S_VALUE), made.inputs.arrays(), strict=True):
        table.put(place, array)
    table.put(at.BLOCK_START, made.block_starts[: len(used) + 1])
    table.put(at.RELU, relu)
    table.put(at.CONSTANT, _ints(made.constants))
    table.put(at.ERROR, _ints(made.errors))
    table.put(at.VARIABLE, np.full(values, -1))
    table.put(at.TWIN, twins)
    table.put(at.STRICT, np.array([row.strict for row in rows], np.int64))
    table.put(at.CASE_START, np.cumsum([0, *map(len, cases)]))
    table.put(at.CASE_ROW, np.array([r for case in cases for r in case], np.int64))
    table.put(at.BOX, np.repeat([0, ONE], inputs))
    table.put(at.OPEN, np.arange(len(cases)))
    for place in (at.VALUE_LOW, at.VALUE_HIGH, at.WORK_VALUES):
        table.put(place, np.zeros(values, np.int64))
    for place in (at.WORK_R, at.LOW, at.HIGH, at.SLOPE, at.BETA, at.POSITION, at.MARK):
        table.put(place, np.zeros(most, np.int64))
    table.put(at.SHARE, np.zeros(3 * most, np.int64))
    for place in (at.ROW_AT, at.VALID, at.LEAST):
        table.put(place, np.zeros(len(rows), np.int64))
    table.put(at.WORK_S, np.zeros(inputs, np.int64))
    table.put(at.FORM, np.zeros(len(rows) * (inputs + 1), np.int64))
    table.put(at.SYSTEM, np.zeros(2 + at.META * (most + len(rows)), np.int64))
    sizes = {at.INPUTS: inputs, at.VALUES: values, at.ROWS: len(rows), at.CASES: len(cases), at.MOST: most}
    return table.finish({**sizes, at.BLOCKS: len(used), at.OPEN_COUNT: len(cases)})


class Table:
    """Arrays one behind the other, their places in the header."""

    def __init__(self) -> None:
        self.header = np.zeros(at.HEADER, np.int64)
        self.parts: list[Ints] = [self.header]
        self.length = at.HEADER

    def put(self, place: int, array: NDArray[np.generic]) -> None:
        self.header[place] = self.length
        self.parts.append(array.astype(np.int64))
        self.length += len(array)

    def finish(self, numbers: dict[int, int]) -> Ints:
        for place, number in numbers.items():
            self.header[place] = number
        self.header[at.TOP] = self.length
        return np.concatenate(self.parts)


@lru_cache(maxsize=KEPT)
def _twins(block: Block) -> dict[int, int]:
    """`Block.twins`, by the bytes of floats where all numbers are floats."""
    if block.bias.floats is None or any(term.matrix.values.floats is None for term in block.terms):
        return block.twins()
    found, seen = dict[int, int](), dict[bytes, int]()
    bias = np.frombuffer(block.bias.floats, np.float64)
    parts = [_row_slices(term.matrix) for term in block.terms]
    for row in np.flatnonzero(np.frombuffer(block.relu, np.uint8)).tolist():
        keys = [key(row) for key in parts]
        key = b"|".join(k for k, _ in keys) + np.float64(bias[row] + 0.0).tobytes()
        partner = seen.pop(b"|".join(k for _, k in keys) + np.float64(0.0 - bias[row]).tobytes(), None)
        if partner is not None:
            found[row] = partner
        else:
            seen.setdefault(key, row)
    return found


def _row_slices(matrix: Matrix) -> Callable[[int], tuple[bytes, bytes]]:
    """Bytes of a row's entries that are not zero, and of their negation."""
    floats = np.frombuffer(matrix.values.floats or b"", np.float64)
    if matrix.starts is None or matrix.indices is None:
        table = floats.reshape(matrix.rows, matrix.columns) + 0.0  # -0.0 becomes 0.0
        negated = 0.0 - table
        return lambda row: (table[row].tobytes(), negated[row].tobytes())
    starts, columns, negative = matrix.starts, np.frombuffer(matrix.indices, np.int64), -floats

    def entries(row: int) -> tuple[bytes, bytes]:
        part = slice(starts[row], starts[row + 1])
        places = columns[part].tobytes()
        return places + floats[part].tobytes(), places + negative[part].tobytes()

    return entries
