"""The network: the one block form that evaluation, bounds, search, SMT and kernel all read (standard library only).

    z_k = Σ_j W_kj · v_j + b_k          over any earlier values j (dense or sparse W)
    v_k = z_k, or relu(z_k) where the block's mask says so

Values are numbered: 0 … len(inputs)-1 are the inputs, then one value per block, in topological order.
Everything is exact and immutable.
"""

from __future__ import annotations

import hashlib
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property

from verify.core.exact import Numbers

DIGEST_HEADER = b"verify/network/1\n"


@dataclass(frozen=True, eq=False)
class Matrix:
    """An exact matrix: dense row-major, or compressed sparse rows (`starts`, `columns`).

    Build with `dense` or `sparse`, which choose the storage by content alone (dense when at least half of the
    entries are non-zero), so that equal matrices have equal storage.
    """

    rows: int
    columns: int
    values: Numbers
    starts: array[int] | None = None  # rows + 1 offsets into `indices`; None when dense
    indices: array[int] | None = None  # the column of each value, ascending in each row

    @classmethod
    def dense(cls, rows: int, columns: int, values: Numbers) -> Matrix:
        """From rows * columns entries, row by row."""
        if len(values) != rows * columns:
            raise ValueError(f"{rows}x{columns} matrix from {len(values)} values")
        zeros = values.floats.count(0.0) if values.floats is not None else values.numerators.count(0)
        if 2 * (len(values) - zeros) >= rows * columns:
            return cls(rows, columns, values)
        raw = values.floats if values.floats is not None else values.numerators
        starts, indices, kept = array("q", [0]), array("q"), []
        for row in range(rows):
            for column, value in enumerate(raw[row * columns : (row + 1) * columns]):
                if value:
                    indices.append(column)
                    kept.append(row * columns + column)
            starts.append(len(indices))
        return cls(rows, columns, _take(values, kept), starts, indices)

    @classmethod
    def sparse(cls, rows: int, columns: int, starts: Sequence[int], indices: Sequence[int], values: Numbers) -> Matrix:
        """From compressed sparse rows; columns ascend strictly within a row, values are non-zero."""
        starts = starts if isinstance(starts, array) else array("q", starts)
        indices = indices if isinstance(indices, array) else array("q", indices)
        if len(starts) != rows + 1 or starts[0] != 0 or starts[-1] != len(indices) or len(indices) != len(values):
            raise ValueError("malformed sparse matrix")
        zeros = values.floats.count(0.0) if values.floats is not None else values.numerators.count(0)
        if zeros:
            raise ValueError("a sparse matrix stores no zeros")
        if 2 * len(indices) < rows * columns:
            return cls(rows, columns, values, starts, indices)
        if values.floats is not None:
            floats = array("d", bytes(8 * rows * columns))
            for row in range(rows):
                for k in range(starts[row], starts[row + 1]):
                    floats[row * columns + indices[k]] = values.floats[k]
            return cls(rows, columns, Numbers(floats))
        exact = [0] * (rows * columns)
        for row in range(rows):
            for k in range(starts[row], starts[row + 1]):
                exact[row * columns + indices[k]] = values.numerators[k]
        return cls(rows, columns, Numbers(None, tuple(exact), values.denominator))

    @classmethod
    def from_rows(cls, columns: int, rows: Sequence[dict[int, Fraction]]) -> Matrix:
        """From one {column: value} mapping per row (small matrices: normalisations, spec rows)."""
        starts, indices, values = [0], [], []
        for row in rows:
            for column in sorted(row):
                if row[column]:
                    indices.append(column)
                    values.append(row[column])
            starts.append(len(indices))
        return cls.sparse(len(rows), columns, starts, indices, Numbers.of(values))

    @classmethod
    def identity(cls, size: int) -> Matrix:
        return cls.sparse(size, size, range(size + 1), range(size), Numbers.of_floats([1.0] * size))

    @property
    def is_dense(self) -> bool:
        return self.starts is None

    def entries(self, row: int) -> Iterator[tuple[int, Fraction]]:
        """The (column, value) pairs of one row, zeros left out."""
        if self.starts is None or self.indices is None:
            base = row * self.columns
            for column in range(self.columns):
                value = self.values[base + column]
                if value:
                    yield column, value
        else:
            for k in range(self.starts[row], self.starts[row + 1]):
                yield self.indices[k], self.values[k]

    def numerators(self, row: int) -> Iterator[tuple[int, int]]:
        """The (column, numerator) pairs of one row over `values.integers()`'s denominator, zeros left out."""
        numbers, _ = self.values.integers()
        if self.starts is None or self.indices is None:
            base = row * self.columns
            pairs = enumerate(numbers[base : base + self.columns])
        else:
            begin, end = self.starts[row], self.starts[row + 1]
            pairs = zip(self.indices[begin:end], numbers[begin:end], strict=True)  # type: ignore[assignment]
        return ((column, n) for column, n in pairs if n)

    def digest_into(self, hasher: hashlib._Hash) -> None:
        hasher.update(f"m{self.rows},{self.columns},{'d' if self.is_dense else 's'};".encode())
        if self.starts is not None and self.indices is not None:
            hasher.update(self.starts.tobytes() + self.indices.tobytes())
        self.values.digest_into(hasher)


@dataclass(frozen=True, eq=False)
class Term:
    """One summand `matrix · value[source]` of a block."""

    source: int
    matrix: Matrix


@dataclass(frozen=True, eq=False)
class Block:
    """z = Σ terms + bias; the value is relu(z) where `relu` has a 1, else z."""

    terms: tuple[Term, ...]
    bias: Numbers
    relu: bytes  # one byte per row: 1 = relu, 0 = identity

    @property
    def size(self) -> int:
        return len(self.bias)

    def twins(self) -> dict[int, int]:
        """The rectified rows that are exact negations of an earlier one, which is in no other pair."""
        found, seen = dict[int, int](), dict[object, int]()
        bias, _ = self.bias.integers()
        for row in range(self.size):
            if self.relu[row]:
                entries = [list(term.matrix.numerators(row)) for term in self.terms]
                negation = (-bias[row], tuple((k, -w) for part in entries for k, w in (*part, (-1, 0))))
                partner = seen.pop(negation, None)
                if partner is not None:
                    found[row] = partner
                else:
                    seen.setdefault((bias[row], tuple((k, w) for part in entries for k, w in (*part, (-1, 0)))), row)
        return found


@dataclass(frozen=True)
class Port:
    """A named input or output tensor.  `value` is the index of the value it is; elements count row-major."""

    name: str
    shape: tuple[int, ...]
    value: int
    element_type: str = "float32"  # as declared by the model: float32 or float64

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size


@dataclass(frozen=True, eq=False)
class Network:
    """An exact piecewise-linear function from the concatenated inputs to the concatenated outputs."""

    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    blocks: tuple[Block, ...]
    notes: tuple[str, ...] = ()  # declared roundings of the lowering, for verdict and certificate

    def __post_init__(self) -> None:
        sizes = list(self.value_sizes)
        for number, block in enumerate(self.blocks):
            own = len(self.inputs) + number
            if len(block.relu) != block.size:
                raise ValueError(f"block {number}: mask and bias differ in length")
            for term in block.terms:
                if not 0 <= term.source < own:
                    raise ValueError(f"block {number}: source {term.source} is not an earlier value")
                if (term.matrix.rows, term.matrix.columns) != (block.size, sizes[term.source]):
                    raise ValueError(f"block {number}: term of wrong shape")
        for position, port in enumerate(self.inputs):
            if port.value != position:
                raise ValueError("inputs must be the first values, in order")
        for port in self.outputs:
            if not 0 <= port.value < len(sizes) or sizes[port.value] != port.size:
                raise ValueError(f"output {port.name!r} does not match its value")

    @cached_property
    def value_sizes(self) -> tuple[int, ...]:
        """Length of every value: inputs, then blocks."""
        return tuple(p.size for p in self.inputs) + tuple(b.size for b in self.blocks)

    @cached_property
    def input_offsets(self) -> tuple[int, ...]:
        """Where each input begins among the concatenated inputs."""
        return tuple(sum(p.size for p in self.inputs[:k]) for k in range(len(self.inputs)))

    @cached_property
    def output_places(self) -> tuple[tuple[int, int], ...]:
        """The (value, element) that each of the concatenated outputs is."""
        return tuple((port.value, element) for port in self.outputs for element in range(port.size))

    @property
    def input_size(self) -> int:
        return sum(p.size for p in self.inputs)

    @property
    def output_size(self) -> int:
        return sum(p.size for p in self.outputs)

    @property
    def relu_count(self) -> int:
        return sum(b.relu.count(1) for b in self.blocks)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the canonical exact blocks; independent of names, of storage and of the ONNX bytes."""
        hasher = hashlib.sha256(DIGEST_HEADER)
        hasher.update(("i" + ",".join(str(p.size) for p in self.inputs) + ";").encode())
        for block in self.blocks:
            hasher.update(f"b{block.size},{len(block.terms)};".encode())
            for term in block.terms:
                hasher.update(f"t{term.source};".encode())
                term.matrix.digest_into(hasher)
            block.bias.digest_into(hasher)
            hasher.update(block.relu)
        hasher.update(("o" + ",".join(str(p.value) for p in self.outputs) + ";").encode())
        return hasher.hexdigest()

    def __repr__(self) -> str:
        ports = ", ".join(f"{p.name}{list(p.shape)}" for p in self.inputs)
        outs = ", ".join(f"{p.name}{list(p.shape)}" for p in self.outputs)
        return f"Network({ports} -> {outs}; {len(self.blocks)} blocks, {self.relu_count} ReLUs)"


def _take(values: Numbers, positions: Sequence[int]) -> Numbers:
    if values.floats is not None:
        return Numbers(array("d", (values.floats[k] for k in positions)))
    return Numbers.of(values[k] for k in positions)
