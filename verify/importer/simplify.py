"""Exact simplification of blocks: the function stays the same rational function of the inputs.

    inline   a row that is a scaled or shifted copy of one element is replaced by that element in its readers
    absorb   a block of such rows takes over the rows it reads, when nobody else reads them
             (bias adds, reluing a pre-activation, transposing before it, exact scalings)
    prune    rows that no output depends on are dropped

A step is taken only where every number it makes is exactly a float64 (or was a rational before).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from verify.importer.arithmetic import (
    Array,
    Ints,
    add_at,
    float_add_at,
    float_product,
    float_sum,
    fractions,
    product,
    total,
)
from verify.importer.graph import Rows, canonical


def simplify(blocks: Sequence[Rows], input_size: int) -> list[Rows]:
    """One forward pass of inline and absorb.  Ids keep their meaning; rows become dead, none move.  Exact."""
    work = _Pass(list(blocks), input_size)
    for number in range(len(work.blocks)):
        work.inline(number)
        work.absorb(number)
        work.mark_copies(number)
    return work.blocks


@dataclass(frozen=True, eq=False)
class Live:
    """The blocks that the outputs depend on, renumbered: inputs first, then the rows that are left."""

    blocks: list[Rows]
    new_id: Ints  # old id -> new id; meaningless for dropped rows


def keep_live(blocks: Sequence[Rows], input_size: int, outputs: Ints) -> Live:
    """Drop every row and block that no id of `outputs` depends on."""
    bounds = _bounds(blocks, input_size)
    live = np.zeros(bounds[-1], dtype=bool)
    live[:input_size] = True
    live[outputs] = True
    kept: list[Rows] = []
    for number in reversed(range(len(blocks))):
        alive = live[bounds[number] : bounds[number + 1]]
        if not alive.any():
            continue
        block = blocks[number] if alive.all() else take_rows(blocks[number], np.flatnonzero(alive))
        live[block.columns] = True
        kept.append(block)
    new_id = np.cumsum(live) - 1
    return Live([_renumbered(b, new_id) for b in reversed(kept)], new_id)


def take_rows(block: Rows, rows: Ints) -> Rows:
    """The given rows of a block, in the given order."""
    counts = (block.starts[1:] - block.starts[:-1])[rows]
    starts = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(counts, out=starts[1:])
    entries = np.arange(starts[-1]) + np.repeat(block.starts[:-1][rows] - starts[:-1], counts)
    return Rows(starts, block.columns[entries], block.values[entries], block.bias[rows], block.relu[rows])


def _renumbered(block: Rows, new_id: Ints) -> Rows:
    return Rows(block.starts, new_id[block.columns], block.values, block.bias, block.relu)


def _bounds(blocks: Sequence[Rows], input_size: int) -> Ints:
    return np.cumsum([input_size, *(b.size for b in blocks)], dtype=np.int64)


class _Pass:
    """State of one forward pass.  `uses` counts the entries that read an element."""

    def __init__(self, blocks: list[Rows], input_size: int) -> None:
        self.blocks = blocks
        self.bounds = _bounds(blocks, input_size)  # block k has ids bounds[k] … bounds[k + 1] - 1
        count = int(self.bounds[-1])
        self.uses = np.zeros(count, dtype=np.int64)
        for block in blocks:
            self._count(block.columns, 1)
        self.is_copy = np.zeros(count, dtype=bool)
        self.source = np.zeros(count, dtype=np.int64)
        self.factor = np.zeros(count, dtype=np.float64)
        self.offset = np.zeros(count, dtype=np.float64)

    def _count(self, columns: Ints, change: int) -> None:
        if columns.size:
            low = int(columns.min())
            found = np.bincount(columns - low)
            self.uses[low : low + len(found)] += change * found

    def mark_copies(self, number: int) -> None:
        """Remember the rows of a block whose every row is factor·element + offset."""
        block = self.blocks[number]
        counts = np.diff(block.starts)
        if block.relu.any() or (counts > 1).any() or block.values.dtype == object or block.bias.dtype == object:
            return
        own = slice(int(self.bounds[number]), int(self.bounds[number + 1]))
        self.is_copy[own] = True
        self.offset[own] = block.bias
        self.source[own][counts == 1] = block.columns
        self.factor[own][counts == 1] = block.values

    def inline(self, number: int) -> None:
        """Replace copies by what they copy, all of them or at least the plain ones."""
        block = self.blocks[number]
        hit = self.is_copy[block.columns]
        if not hit.any():
            return
        plain = hit & (self.factor[block.columns] == 1.0) & (self.offset[block.columns] == 0.0)
        for chosen in (hit, plain):
            found = self._inlined(block, chosen) if chosen.any() else None
            if found is not None:
                self._recount(block.columns[chosen])
                self.blocks[number] = found
                return
            if (hit == plain).all():
                return

    def _recount(self, copies: Ints) -> None:
        """A reader now reads the sources of `copies` instead of the copies."""
        self._count(copies, -1)
        sources = copies[self.factor[copies] != 0.0]
        self._count(self.source[sources], 1)
        idle = np.unique(sources)
        self._count(self.source[idle[self.uses[idle] == 0]], -1)

    def _inlined(self, block: Rows, chosen: NDArray[np.bool_]) -> Rows | None:
        rows = np.repeat(np.arange(block.size), np.diff(block.starts))
        old, values, bias = block.columns[chosen], block.values.copy(), block.bias
        columns = block.columns.copy()
        columns[chosen] = self.source[old]
        factor, offset = self.factor[old], self.offset[old]
        if (factor != 1.0).any():
            scaled = _product(values[chosen], factor)
            if scaled is None:
                return None
            values[chosen] = scaled
        shifted = offset != 0.0
        if shifted.any():
            amounts = _product(block.values[chosen][shifted], offset[shifted])
            shift = add_at if bias.dtype == object else float_add_at
            if amounts is None or (amounts.dtype == object and bias.dtype != object):
                return None
            moved = shift(bias, rows[chosen][shifted], amounts)
            if moved is None:
                return None
            bias = moved
        found = canonical(rows, columns, values, rational=False)
        if found is None:
            return None
        rows, columns, values = found
        starts = np.zeros(block.size + 1, dtype=np.int64)
        np.cumsum(np.bincount(rows, minlength=block.size), out=starts[1:])
        return Rows(starts, columns, values, bias, block.relu)

    def absorb(self, number: int) -> None:
        """Let a block of copies (masked or not) take over the rows it reads, if it is their only reader."""
        block = self.blocks[number]
        counts = np.diff(block.starts)
        if not block.columns.size or (counts > 1).any() or block.values.dtype == object:
            return
        columns = block.columns
        if int(columns.min()) < self.bounds[0] or (self.uses[columns] != 1).any():
            return
        taken = self._gather(columns)
        full = len(columns) == block.size
        where = np.arange(block.size) if full else np.flatnonzero(counts)
        neutral = (block.values > 0) & (block.bias[where] == 0)
        if (taken.relu & ~neutral).any():  # relu(z)·d + c is no relu unless d > 0 and c = 0
            return
        values: Array | None = taken.values
        bias: Array | None = taken.bias
        if (block.values != 1.0).any():
            values = _product(taken.values, np.repeat(block.values, np.diff(taken.starts)))
            bias = _product(taken.bias, block.values)
        if values is None or bias is None:
            return
        bias = _total(bias, block.bias[where])
        if bias is None:
            return
        mask = block.relu.copy()
        mask[where] |= taken.relu
        if full:
            self.blocks[number] = Rows(taken.starts, taken.columns, values, bias, mask)
            return
        wide_counts = np.zeros(block.size, dtype=np.int64)
        wide_counts[where] = np.diff(taken.starts)
        wide_bias = block.bias if bias.dtype != object else fractions(block.bias)
        wide_bias = wide_bias.copy()
        wide_bias[where] = bias
        starts = np.concatenate([[0], np.cumsum(wide_counts)])
        self.blocks[number] = Rows(starts, taken.columns, values, wide_bias, mask)

    def _gather(self, columns: Ints) -> Rows:
        """The rows with these ids, of whatever blocks."""
        owners = np.searchsorted(self.bounds, columns, side="right") - 1
        unique = np.unique(owners)
        if len(unique) == 1:
            owner = self.blocks[int(unique[0])]
            rows = columns - self.bounds[unique[0]]
            if len(rows) == owner.size and (np.diff(rows) == 1).all():
                return owner
            return take_rows(owner, rows)
        pool, offsets, size = [self.blocks[int(k)] for k in unique], {}, 0
        for k, block in zip(unique.tolist(), pool, strict=True):
            offsets[k] = size - int(self.bounds[k])
            size += block.size
        shift = np.array([offsets[k] for k in unique.tolist()], dtype=np.int64)
        return take_rows(_stacked(pool), columns + shift[np.searchsorted(unique, owners)])


def _stacked(pool: Sequence[Rows]) -> Rows:
    counts = np.concatenate([np.diff(b.starts) for b in pool])
    starts = np.concatenate([[0], np.cumsum(counts)])
    return Rows(
        starts,
        np.concatenate([b.columns for b in pool]),
        _joined([b.values for b in pool]),
        _joined([b.bias for b in pool]),
        np.concatenate([b.relu for b in pool]),
    )


def _joined(arrays: Sequence[Array]) -> Array:
    if any(a.dtype == object for a in arrays):
        arrays = [fractions(a) for a in arrays]
    return np.concatenate(arrays)


def _product(a: Array, b: Array) -> Array | None:
    """a·b exactly, or None when floats would become rationals."""
    return product(a, b) if object in (a.dtype, b.dtype) else float_product(a, b)


def _total(a: Array, b: Array) -> Array | None:
    """a + b exactly, or None when floats would become rationals."""
    return total(a, b) if object in (a.dtype, b.dtype) else float_sum(a, b)
