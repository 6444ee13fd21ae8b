"""Tensors under import, and the builder that turns operators into exact rows.

While a model is imported every element of a dynamic tensor has a number (`id`): the inputs' elements first, then
the rows of each block in the order they were emitted.  A dynamic tensor is an integer array of such ids, so that
reshaping, slicing, gathering and padding are NumPy indexing.  Negative ids are constants of a pool; -1 is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Union

import numpy as np
from numpy.typing import NDArray

from verify.errors import ModelError
from verify.importer.arithmetic import Array, Ints, add_at, exact, float_add_at, fractions, product

if TYPE_CHECKING:
    from verify.importer.choices import Choices

ZERO = -1
MISSING = np.iinfo(np.int64).min  # a pooling window's element outside the tensor


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor that depends on the inputs: the ids of its elements, in its shape."""

    ids: Ints

    @property
    def shape(self) -> tuple[int, ...]:
        return self.ids.shape


Value = Union[Tensor, Array]  # an array is a constant


@dataclass(frozen=True, eq=False)
class Rows:
    """A block under import: z = matrix · elements + bias in compressed rows, columns being ids.

    Ids ascend strictly within a row, all are ≥ 0, no stored value is zero; values and bias are exact arrays.
    """

    starts: Ints
    columns: Ints
    values: Array
    bias: Array
    relu: NDArray[np.bool_]

    @property
    def size(self) -> int:
        return len(self.bias)


@dataclass(frozen=True)
class Node:
    """One ONNX node, attributes decoded."""

    name: str
    op: str
    opset: int
    attributes: Mapping[str, Any]
    outputs: int  # outputs asked for
    kinds: tuple[str, ...] = ()  # of its inputs: float, bool, int8 … int64; filled in where choices are allowed

    def ints(self, name: str, default: Sequence[int]) -> list[int]:
        return [int(v) for v in self.attributes.get(name, default)]

    def integer(self, name: str, default: int) -> int:
        return int(self.attributes.get(name, default))

    def number(self, name: str, default: float) -> float:
        return float(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)

    def __str__(self) -> str:
        return f"node {self.name!r} ({self.op})"


class UnsupportedError(Exception):
    """This use of an operator is outside what is supported; collected, never shown as it is."""

    def __init__(self, reason: str, rewrite: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rewrite = rewrite


def malformed(node: Node, problem: str) -> ModelError:
    """The node contradicts the ONNX standard: shapes, attributes, missing inputs."""
    return ModelError(
        "E106", f"{node}: {problem}", fix="export the model again and check it with onnx.checker.check_model"
    )


def constant(node: Node, value: Value | None, what: str) -> Array:
    """`value` as a constant array.  Raises UnsupportedError when it depends on the inputs."""
    if value is None:
        raise malformed(node, f"{what} is missing")
    if isinstance(value, Tensor):
        raise UnsupportedError(f"{what} depends on the network's inputs", f"make {what} of {node.op} a constant")
    return value


class Builder:
    """Numbers elements and collects blocks, in topological order.

    With `choices` operators may jump; the choices' elements are the last of the inputs.
    """

    def __init__(self, input_sizes: Sequence[int], choices: Choices | None = None) -> None:
        self.choices = choices
        self.input_sizes = tuple(input_sizes)
        self.blocks: list[Rows] = []
        self.notes: list[str] = []
        self._next = sum(input_sizes)
        self._pool = np.zeros(1, dtype=np.float64)

    def ids(self, value: Value) -> Ints:
        """The ids of a value; a constant's elements join the pool.  Exact."""
        if isinstance(value, Tensor):
            return value.ids
        unique, inverse = np.unique(exact(value), return_inverse=True)
        if unique.dtype == object:
            raise UnsupportedError("an integer constant beyond 2^53 meets the inputs", "store it as a float")
        codes = -1 - (len(self._pool) + np.arange(len(unique)))
        codes[unique == 0.0] = ZERO
        self._pool = np.concatenate([self._pool, unique])
        return np.asarray(codes[inverse].reshape(value.shape), dtype=np.int64)

    def constants(self, ids: Ints) -> Array:
        """The pool's values at negative ids; zero at the others."""
        return np.asarray(np.where(ids < 0, self._pool[np.where(ids < 0, -1 - ids, 0)], 0.0))

    def value(self, ids: Ints) -> Value:
        """The tensor of these ids; a constant when none depends on the inputs."""
        if ids.size and (ids < 0).all():
            return np.asarray(self._pool[-1 - ids])
        return Tensor(ids)

    def emit(
        self, counts: Ints, columns: Ints, values: Array, bias: Array, *, relu: bool = False, clean: bool = False
    ) -> Ints:
        """Add a block whose row i is Σ values·element(columns) + bias[i] over the next counts[i] entries.

        Result: the ids (n,) of its rows.  Exact: duplicates and constant elements are summed exactly.
        `clean` promises no constants, no zeros, ids ascending strictly in each row.
        """
        values, bias = exact(values), exact(bias)
        if not clean:
            rows = np.repeat(np.arange(len(counts)), counts)
            rows, columns, values, bias = self._absorb_constants(rows, columns, values, bias)
            found = canonical(rows, columns, values)
            assert found is not None
            rows, columns, values = found
            counts = np.bincount(rows, minlength=len(bias))
        starts = np.zeros(len(counts) + 1, dtype=np.int64)
        np.cumsum(counts, out=starts[1:])
        first = self._next
        self._next += len(bias)
        self.blocks.append(Rows(starts, columns, values, bias, np.full(len(bias), relu)))
        return np.arange(first, self._next, dtype=np.int64)

    def table(self, ids: Ints, weights: Array, bias: Array, *, relu: bool = False) -> Ints:
        """Rows of equal length: result[i] = Σ_k weights[i, k]·element(ids[i, k]) + bias[i].  Exact."""
        counts = np.full(ids.shape[0], ids.shape[1], dtype=np.int64)
        return self.emit(counts, ids.ravel(), np.broadcast_to(weights, ids.shape).ravel(), bias, relu=relu)

    def combine(
        self, parts: Sequence[tuple[Ints, float | Array]], shift: float | Array = 0.0, *, relu: bool = False
    ) -> Ints:
        """Σ weight·part + shift elementwise, all parts of one shape (weights and shift broadcast).  Exact."""
        shape = parts[0][0].shape
        columns = np.stack([ids.ravel() for ids, _ in parts], axis=1)
        weights = [np.broadcast_to(exact(np.asarray(w)), shape).ravel() for _, w in parts]
        if any(w.dtype == object for w in weights):
            weights = [fractions(w) for w in weights]
        bias = np.broadcast_to(exact(np.asarray(shift)), shape).ravel()
        return self.table(columns, np.stack(weights, axis=1), bias, relu=relu).reshape(shape)

    def _absorb_constants(
        self, rows: Ints, columns: Ints, values: Array, bias: Array
    ) -> tuple[Ints, Ints, Array, Array]:
        known = columns < 0
        if known.any():
            weighty = known & (columns != ZERO)
            if weighty.any():
                amounts = product(values[weighty], self._pool[-1 - columns[weighty]])
                bias = add_at(bias, rows[weighty], amounts)
            rows, columns, values = rows[~known], columns[~known], values[~known]
        return rows, columns, values, bias


def canonical(rows: Ints, columns: Ints, values: Array, *, rational: bool = True) -> tuple[Ints, Ints, Array] | None:
    """Entries sorted by row and column, duplicates summed exactly, zeros dropped.  `rows` ascend.

    Result: None when not `rational` and float64 values would sum to something else.
    """
    present = values != 0
    if not present.all():
        rows, columns, values = rows[present], columns[present], values[present]
    if len(rows) < 2 or ((rows[1:] > rows[:-1]) | (columns[1:] > columns[:-1])).all():
        return rows, columns, values
    order = np.lexsort((columns, rows))
    rows, columns, values = rows[order], columns[order], values[order]
    fresh = np.ones(len(rows), dtype=bool)
    fresh[1:] = (rows[1:] != rows[:-1]) | (columns[1:] != columns[:-1])
    if fresh.all():
        return rows, columns, values
    group, repeated = np.cumsum(fresh) - 1, ~fresh
    merge = add_at if rational or values.dtype == object else float_add_at
    merged = merge(values[fresh], group[repeated], values[repeated])
    return None if merged is None else canonical(rows[fresh], columns[fresh], merged)


# The form of every operator's function: a node, its inputs (None where omitted), where to emit.
Lowering = Callable[[Node, Sequence[Union[Value, None]], Builder], Union[Value, "tuple[Value, ...]"]]
