"""From blocks under import to core's Network, and back."""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.importer.arithmetic import Array, Ints, fractions, numbers
from verify.importer.graph import Builder, Rows
from verify.importer.simplify import keep_live, simplify


@dataclass(frozen=True, eq=False)
class Output:
    """An output tensor under import: the ids of its elements, in its shape."""

    name: str
    ids: Ints
    element_type: str


def assemble(inputs: Sequence[Port], outputs: Sequence[Output], build: Builder) -> Network:
    """The Network of everything built so far, simplified and without dead rows.  Exact.

    Every output gets a value of its own or shares one whose elements it is, in order.
    """
    size = sum(p.size for p in inputs)
    ends = [build.combine([(o.ids.ravel(), 1.0)]) for o in outputs]
    blocks = simplify(build.blocks, size)
    wanted = np.concatenate(ends) if ends else np.zeros(0, dtype=np.int64)
    live = keep_live(blocks, size, wanted)
    bounds = np.cumsum([0, *(p.size for p in inputs), *(b.size for b in live.blocks)], dtype=np.int64)
    first = [int(live.new_id[ids[0]]) if ids.size else -1 for ids in ends]
    index = [int(np.searchsorted(bounds, f, side="right")) - 1 for f in first]
    alias = {v: _copied_value(live.blocks[v - len(inputs)], bounds) for v in index if v >= len(inputs)}
    dropped = {v for v, target in alias.items() if target is not None}
    place, kept = _places(len(inputs), live.blocks, dropped)
    ports = []
    for output, value in zip(outputs, index, strict=True):
        target = alias.get(value)
        final = value if target is None else target
        ports.append(Port(output.name, tuple(output.ids.shape), place[final], output.element_type))
    lowered = tuple(_block(live.blocks[k], bounds, place) for k in kept)
    return Network(tuple(inputs), tuple(ports), lowered, tuple(build.notes))


def as_built(inputs: Sequence[Port], outputs: Sequence[Output], build: Builder) -> Network:
    """The Network of everything built so far, block by block, and one more block for each output.  Exact."""
    ends = [build.combine([(o.ids.ravel(), 1.0)]) for o in outputs]
    bounds = np.cumsum([0, *(p.size for p in inputs), *(b.size for b in build.blocks)], dtype=np.int64)
    place = {v: v for v in range(len(bounds) - 1)}
    first = len(place) - len(ends)
    ports = [Port(o.name, tuple(o.ids.shape), first + k, o.element_type) for k, o in enumerate(outputs)]
    return Network(tuple(inputs), tuple(ports), tuple(_block(b, bounds, place) for b in build.blocks))


def _places(inputs: int, blocks: Sequence[Rows], dropped: set[int]) -> tuple[dict[int, int], list[int]]:
    """New value numbers once the `dropped` values are gone, and the blocks that stay."""
    place = {v: v for v in range(inputs)}
    kept: list[int] = []
    for k in range(len(blocks)):
        if inputs + k not in dropped:
            place[inputs + k] = inputs + len(kept)
            kept.append(k)
    return place, kept


def _copied_value(block: Rows, bounds: Ints) -> int | None:
    """The value a block copies whole and in order, or None.  Only output blocks are asked: nobody reads them."""
    if block.relu.any() or len(block.columns) != block.size or not block.size:
        return None
    if (np.diff(block.starts) != 1).any() or (block.values != 1).any() or (block.bias != 0).any():
        return None
    value = int(np.searchsorted(bounds, block.columns[0], side="right")) - 1
    whole = np.arange(bounds[value], bounds[value + 1])
    return value if np.array_equal(block.columns, whole) else None


def _block(block: Rows, bounds: Ints, place: dict[int, int]) -> Block:
    terms = []
    if block.columns.size:
        low, high = int(block.columns.min()), int(block.columns.max())
        first, last = (int(np.searchsorted(bounds, c, side="right")) - 1 for c in (low, high))
        rows = np.repeat(np.arange(block.size), np.diff(block.starts)) if first != last else None
        for value in range(first, last + 1):
            begin, width = int(bounds[value]), int(bounds[value + 1] - bounds[value])
            if rows is None:
                terms.append(Term(place[value], matrix(width, block.starts, block.columns - begin, block.values)))
                continue
            mine = (block.columns >= begin) & (block.columns < begin + width)
            if mine.any():
                starts = np.concatenate([[0], np.cumsum(np.bincount(rows[mine], minlength=block.size))])
                terms.append(Term(place[value], matrix(width, starts, block.columns[mine] - begin, block.values[mine])))
    terms.sort(key=lambda term: term.source)
    return Block(tuple(terms), numbers(block.bias), block.relu.astype(np.uint8).tobytes())


def matrix(width: int, starts: Ints, columns: Ints, values: Array) -> Matrix:
    """Compressed rows as core's Matrix, handed over in the storage its rule asks for."""
    rows = len(starts) - 1
    if 2 * len(values) < rows * width:
        return Matrix.sparse(rows, width, _offsets(starts), _offsets(columns), numbers(values))
    if len(values) == rows * width:
        return Matrix.dense(rows, width, numbers(values))
    flat = np.zeros(rows * width, dtype=values.dtype)
    flat[np.repeat(np.arange(rows), np.diff(starts)) * width + columns] = values
    return Matrix.dense(rows, width, numbers(flat))


def _offsets(values: Ints) -> array[int]:
    result = array("q")
    flat = np.ascontiguousarray(values, dtype=np.int64)
    if flat.size:
        result.frombytes(flat.data.cast("B"))
    return result


def prune(network: Network, outputs: Sequence[int]) -> Network:
    """The network of some of the concatenated outputs: the rest is dropped with all that only it needs.

    Result: the same inputs; every port keeps its chosen elements in ascending order, in shape (k,); ports without
    any are left out.  Exact.
    """
    build = Builder([p.size for p in network.inputs])
    bounds = np.cumsum([0, *network.value_sizes], dtype=np.int64)
    build.blocks = [_rows(block, bounds) for block in network.blocks]
    build._next = int(bounds[-1])
    build.notes = list(network.notes)
    chosen, position, ports = np.unique(np.asarray(outputs, dtype=np.int64)), 0, []
    if chosen.size and not 0 <= chosen[0] <= chosen[-1] < network.output_size:
        raise ValueError(f"outputs {list(outputs)} of {network.output_size}")
    for port in network.outputs:
        mine = chosen[(chosen >= position) & (chosen < position + port.size)] - position
        position += port.size
        if mine.size:
            ports.append(Output(port.name, bounds[port.value] + mine, port.element_type))
    return assemble(network.inputs, ports, build)


def _rows(block: Block, bounds: Ints) -> Rows:
    rows, columns, values = [], [], []
    for term in block.terms:
        entries, base = exact_array(term.matrix.values), int(bounds[term.source])
        if term.matrix.starts is None or term.matrix.indices is None:
            present = np.flatnonzero(entries != 0)
            row, column = np.divmod(present, term.matrix.columns)
            entries = entries[present]
        else:
            starts: Ints = np.asarray(term.matrix.starts, dtype=np.int64)
            row = np.repeat(np.arange(block.size), starts[1:] - starts[:-1])
            column = np.asarray(term.matrix.indices, dtype=np.int64)
        rows.append(row)
        columns.append(column + base)
        values.append(entries)
    none = np.zeros(0, dtype=np.int64)
    row, column = np.concatenate([none, *rows]), np.concatenate([none, *columns])
    if any(v.dtype == object for v in values):
        values = [fractions(v) for v in values]
    order = np.lexsort((column, row))
    offsets = np.concatenate([[0], np.cumsum(np.bincount(row, minlength=block.size))]).astype(np.int64)
    joined = np.concatenate(values)[order] if values else np.zeros(0)
    relu = np.frombuffer(block.relu, dtype=np.uint8).astype(bool)
    return Rows(offsets, column[order], joined, exact_array(block.bias), relu)


def exact_array(values: Numbers) -> Array:
    """core's Numbers as an exact array (float64, or Fractions)."""
    if values.floats is not None:
        return np.array(values.floats, dtype=np.float64)
    result = np.empty(len(values), dtype=object)
    result[:] = list(values)
    return result
