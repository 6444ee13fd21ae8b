"""The canonical form of blocks under construction: one forward pass, then dead rows are dropped.

    inline   a row that is factor·element + offset is replaced by that element in its readers
    absorb   a block of such rows takes over the rows it reads, when nobody else reads them
    live     rows that no output depends on are dropped

Every step keeps the exact function and is taken only where every number it makes, partial sums in the order of the
columns included, is a float64.  The form must equal the importer's: equal digests are the evidence that both read the
same network.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, pairwise

from verify.independent.rows import Columns, Rows, Values, exact_product, exact_sum, without_zeros

Copy = tuple[int, float, float]  # source, factor, offset; factor 0 where the row reads nothing
Entry = tuple[int, float]


def starts_of(blocks: Iterable[Rows], input_size: int) -> list[int]:
    """The first id of every block, and the number of elements."""
    return list(accumulate(map(len, blocks), initial=input_size))


def canonical(blocks: Sequence[Rows], input_size: int) -> list[Rows]:
    """The blocks after inline and absorb.  Rows keep their ids; some are read by nobody any more."""
    work = _Pass(list(blocks), input_size)
    for number in range(len(work.blocks)):
        work.inline(number)
        work.absorb(number)
        work.remember_copies(number)
    return work.blocks


class _Pass:
    def __init__(self, blocks: list[Rows], input_size: int) -> None:
        self.blocks = blocks
        self.input_size = input_size
        self.starts = starts_of(blocks, input_size)
        self.uses = [0] * self.starts[-1]  # by how many entries an element is read
        self.copies: dict[int, Copy] = {}
        for block in blocks:
            shared = {id(c): c for c in block.columns}
            for key, times in Counter(map(id, block.columns)).items():
                for column in shared[key]:
                    self.uses[column] += times

    def remember_copies(self, number: int) -> None:
        """Of a block whose every row is factor·element + offset."""
        block = self.blocks[number]
        if any(block.relu) or any(len(c) > 1 for c in block.columns):
            return
        for row, columns in enumerate(block.columns):
            source, factor = (columns[0], block.values[row][0]) if columns else (0, 0.0)
            self.copies[self.starts[number] + row] = source, factor, block.bias[row]

    def inline(self, number: int) -> None:
        """Replace the copies that a block reads: all of them, or else the plain ones, or else none."""
        block = self.blocks[number]
        read = {column for columns in {id(c): c for c in block.columns}.values() for column in columns}
        known = read & self.copies.keys()
        plain = {c for c in known if self.copies[c][1:] == (1.0, 0.0)}
        for chosen in [known] if plain == known else [known, plain]:
            found = self._inlined(block, chosen) if chosen else None
            if found is not None:
                self._recount(block, chosen)
                self.blocks[number] = found
                return

    def _inlined(self, block: Rows, chosen: set[int]) -> Rows | None:
        renamed: dict[int, Columns | None] = {}  # by identity: columns after a mere renaming, None where it is more
        result = Rows([], [], [], block.relu)
        for columns, values, bias in zip(block.columns, block.values, block.bias, strict=True):
            if id(columns) not in renamed:
                renamed[id(columns)] = self._renamed(columns, chosen)
            merely = renamed[id(columns)]
            if merely is not None:
                result.columns.append(merely)
                result.values.append(values)
                result.bias.append(bias)
                continue
            row = self._inlined_row(columns, values, bias, chosen)
            if row is None:
                return None
            result.columns.append(row[0])
            result.values.append(row[1])
            result.bias.append(row[2])
        return result

    def _renamed(self, columns: Columns, chosen: set[int]) -> Columns | None:
        """The columns with plain copies renamed; None when a copy is not plain or the order would change."""
        if chosen.isdisjoint(columns):
            return columns
        if any(c in chosen and self.copies[c][1:] != (1.0, 0.0) for c in columns):
            return None
        found = tuple(self.copies[c][0] if c in chosen else c for c in columns)
        return found if all(a < b for a, b in pairwise(found)) else None

    def _inlined_row(
        self, columns: Columns, values: Values, bias: float, chosen: set[int]
    ) -> tuple[Columns, Values, float] | None:
        entries: list[Entry] = []
        total = bias
        for column, value in zip(columns, values, strict=True):
            if column not in chosen:
                entries.append((column, value))
                continue
            source, factor, offset = self.copies[column]
            weight, amount = exact_product(value, factor), exact_product(value, offset)
            if weight is None or amount is None:
                return None
            entries.append((source, weight))
            moved = exact_sum(total, amount)
            if moved is None:
                return None
            total = moved
        merged = _merged(entries)
        return None if merged is None else (*merged, total)

    def _recount(self, block: Rows, chosen: set[int]) -> None:
        """The block now reads the sources of the chosen copies instead of the copies."""
        reached = set()
        for columns in block.columns:
            for column in columns:
                if column in chosen:
                    source, factor, _ = self.copies[column]
                    self.uses[column] -= 1
                    if factor:
                        self.uses[source] += 1
                        reached.add(column)
        for source in [self.copies[column][0] for column in reached if not self.uses[column]]:
            self.uses[source] -= 1  # by the copy, which is dead now

    def absorb(self, number: int) -> None:
        """Let a block of copies, rectified or not, take over the rows that it alone reads."""
        block = self.blocks[number]
        read = [columns[0] for columns in block.columns if columns]
        if not read or any(len(columns) > 1 for columns in block.columns):
            return
        if min(read) < self.input_size or any(self.uses[column] != 1 for column in read):
            return
        result = Rows([], [], [], bytearray())
        for columns, values, bias, relu in zip(block.columns, block.values, block.bias, block.relu, strict=True):
            row = self._absorbed_row(columns[0], values[0], bias, relu) if columns else (columns, values, bias, relu)
            if row is None:
                return
            result.columns.append(row[0])
            result.values.append(row[1])
            result.bias.append(row[2])
            result.relu.append(row[3])
        self.blocks[number] = result

    def _absorbed_row(
        self, column: int, factor: float, offset: float, relu: int
    ) -> tuple[Columns, Values, float, int] | None:
        """relu?(factor·row + offset) as one row."""
        owner = bisect_right(self.starts, column) - 1
        block, row = self.blocks[owner], column - self.starts[owner]
        if block.relu[row] and (factor < 0 or offset):
            return None  # relu(z)·d + c is a relu for d > 0 and c = 0 only
        values, bias = block.values[row], block.bias[row]
        if factor != 1.0:
            scaled = [exact_product(v, factor) for v in values]
            moved = exact_product(bias, factor)
            if moved is None or None in scaled:
                return None
            values, bias = array("d", [v for v in scaled if v is not None]), moved
        total = exact_sum(bias, offset)
        return None if total is None else (block.columns[row], values, total, relu | block.relu[row])


def _merged(entries: Sequence[Entry]) -> tuple[Columns, Values] | None:
    """Entries by ascending column without zeros; None when a sum on the way is no float64."""
    ordered = sorted((e for e in entries if e[1]), key=lambda e: e[0])
    columns: list[int] = []
    values: list[float] = []
    for column, value in ordered:
        if columns and columns[-1] == column:
            total = exact_sum(values[-1], value)
            if total is None:
                return None
            values[-1] = total
        else:
            columns.append(column)
            values.append(value)
    return without_zeros(tuple(columns), array("d", values))


def live_rows(blocks: Sequence[Rows], input_size: int, outputs: Iterable[int]) -> tuple[list[Rows], dict[int, int]]:
    """The rows that the outputs depend on, renumbered: inputs first.  Also the new number of every live element."""
    starts = starts_of(blocks, input_size)
    live = bytearray(starts[-1])
    live[:input_size] = b"\1" * input_size
    for element in outputs:
        live[element] = 1
    for number in reversed(range(len(blocks))):
        marked: set[int] = set()  # columns by identity
        for row, columns in enumerate(blocks[number].columns):
            if live[starts[number] + row] and id(columns) not in marked:
                marked.add(id(columns))
                for column in columns:
                    live[column] = 1
    new_id = {element: position for position, element in enumerate(e for e, alive in enumerate(live) if alive)}
    kept = []
    for number, block in enumerate(blocks):
        rows = [row for row in range(len(block)) if live[starts[number] + row]]
        if rows:
            kept.append(_taken(block, rows, new_id.__getitem__))
    return kept, new_id


def _taken(block: Rows, rows: Sequence[int], new_id: Callable[[int], int]) -> Rows:
    renamed = {id(block.columns[row]): tuple(map(new_id, block.columns[row])) for row in rows}
    return Rows(
        [renamed[id(block.columns[row])] for row in rows],
        [block.values[row] for row in rows],
        [block.bias[row] for row in rows],
        bytearray(block.relu[row] for row in rows),
    )
