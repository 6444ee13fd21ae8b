"""The float64 view of a network: what attack and bounds compute with (NumPy, scipy.sparse where it is sparse).

Each stored weight is the float64 nearest to the exact one, so |W - fl(W)| <= 2^-53 |W| + 2^-1075: the bounds
charge that as one more rounding (see verify.bounds.rounding).  Evaluation here is plain float64 and proves nothing.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network
from verify.errors import QueryError

Floats = npt.NDArray[np.float64]
DENSE_LIMIT = 1 << 18  # entries up to which a sparse matrix is handled as a dense one


class OutOfRangeError(QueryError):
    """An exact number beyond the float64 range, which bounds cannot be computed with."""

    def __init__(self) -> None:
        super().__init__(
            "E403", "a number of the query is beyond 1.8e308", fix="rescale the quantity, for example by its unit"
        )


def float_array(numbers: Numbers) -> Floats:
    """The float64 nearest to each entry.  Raises OutOfRangeError beyond 1.8e308."""
    if numbers.floats is not None:
        return np.frombuffer(numbers.floats, dtype=np.float64) if len(numbers) else np.zeros(0)
    try:
        return np.array([n / numbers.denominator for n in numbers.numerators], dtype=np.float64)
    except OverflowError as problem:
        raise OutOfRangeError from problem


class FloatMatrix:
    """fl(W) with |fl(W)|, dense or compressed sparse rows; products take and give stacks of row vectors."""

    def __init__(self, matrix: Matrix) -> None:
        self.rows, self.columns = matrix.rows, matrix.columns
        values = float_array(matrix.values)
        self.exact = matrix.values.floats is not None  # fl(W) = W
        self.dense: Floats | None = None
        self.sparse: Any = None
        if matrix.starts is None or matrix.indices is None:
            self.dense = values.reshape(matrix.rows, matrix.columns)
        elif matrix.rows * matrix.columns <= DENSE_LIMIT:
            self.dense = np.zeros((matrix.rows, matrix.columns))
            row_of = np.repeat(np.arange(matrix.rows), np.diff(_integers(matrix.starts)))
            self.dense[row_of, _integers(matrix.indices)] = values
        else:
            from scipy.sparse import csr_array

            self.sparse = csr_array(
                (values, _integers(matrix.indices), _integers(matrix.starts)), shape=(matrix.rows, matrix.columns)
            )

    @cached_property
    def absolute(self) -> Any:
        return abs(self.sparse) if self.dense is None else np.abs(self.dense)

    def apply(self, v: Floats) -> Floats:
        """v (…, columns) -> v Wᵀ (…, rows)."""
        return self._times_transpose(self.sparse if self.dense is None else self.dense, v)

    def apply_absolute(self, v: Floats) -> Floats:
        """v (…, columns) -> v |W|ᵀ (…, rows)."""
        return self._times_transpose(self.absolute, v)

    def pull_back(self, coefficients: Floats) -> Floats:
        """coefficients (…, rows) -> coefficients W (…, columns)."""
        flat = coefficients.reshape(-1, self.rows)
        product = flat @ self.dense if self.dense is not None else (self.sparse.T @ flat.T).T
        return np.ascontiguousarray(product).reshape(*coefficients.shape[:-1], self.columns)

    def take_rows(self, rows: npt.NDArray[np.int64]) -> Floats:
        """Rows by an index array of any shape -> (*rows.shape, columns), dense."""
        if self.dense is not None:
            return self.dense[rows]
        taken: Floats = self.sparse[rows.ravel()].toarray()
        return taken.reshape(*rows.shape, self.columns)

    def row_keys(self, row: int) -> tuple[bytes, bytes]:
        """Keys of a row and of its negation: equal keys, equal stored rows."""
        if self.dense is not None:
            places, values = np.nonzero(self.dense[row])[0], self.dense[row][self.dense[row] != 0]
        else:
            part = slice(self.sparse.indptr[row], self.sparse.indptr[row + 1])
            places, values = self.sparse.indices[part].astype(np.int64), self.sparse.data[part]
        return places.tobytes() + values.tobytes(), places.tobytes() + (-values).tobytes()

    @staticmethod
    def _times_transpose(matrix: Any, v: Floats) -> Floats:
        flat = v.reshape(-1, v.shape[-1])
        product = flat @ matrix.T if isinstance(matrix, np.ndarray) else (matrix @ flat.T).T
        return np.ascontiguousarray(product).reshape(*v.shape[:-1], matrix.shape[0])


@dataclass(frozen=True, eq=False)
class FloatTerm:
    source: int
    matrix: FloatMatrix


@dataclass(frozen=True, eq=False)
class FloatBlock:
    """One block: terms, fl(bias), and which rows are rectified."""

    terms: tuple[FloatTerm, ...]
    bias: Floats
    relu: npt.NDArray[np.bool_]
    exact: bool  # weights and bias are float64 numbers exactly

    @cached_property
    def has_relu(self) -> bool:
        return bool(self.relu.any())

    @cached_property
    def fan_in(self) -> int:
        """Upper bound on the number of summands of one row."""
        return sum(t.matrix.columns for t in self.terms) + 1

    @cached_property
    def twins(self) -> npt.NDArray[np.int64]:
        """For each rectified row the earlier one whose exact weights and bias are its negation, else -1.

        A row is in at most one pair.
        """
        twins = np.full(self.bias.size, -1, dtype=np.int64)
        seen: dict[bytes, int] = {}
        for row in np.nonzero(self.relu)[0].tolist() if self.exact else ():
            keys = [t.matrix.row_keys(row) for t in self.terms]
            bias = float(self.bias[row]) + 0.0
            key = b"|".join(k for k, _ in keys) + np.float64(bias).tobytes()
            opposite = b"|".join(k for _, k in keys) + np.float64(0.0 - bias).tobytes()
            if opposite in seen:
                twins[row] = seen.pop(opposite)
            else:
                seen.setdefault(key, row)
        return twins


class FloatPlan:
    """All blocks of a network in float64, and batched evaluation."""

    def __init__(self, network: Network) -> None:
        self.input_sizes = tuple(p.size for p in network.inputs)
        self.sizes = network.value_sizes
        self.outputs = tuple(p.value for p in network.outputs)
        self.blocks = tuple(_float_block(block) for block in network.blocks)

    @property
    def first_block(self) -> int:
        """The value index of the first block."""
        return len(self.input_sizes)

    def split_inputs(self, x: Floats) -> list[Floats]:
        """x (…, d) -> one array per input."""
        return np.split(x, np.cumsum(self.input_sizes)[:-1], axis=-1)

    def pre_activations(self, x: Floats) -> tuple[list[Floats], list[Floats]]:
        """(values, pre-activations per block) at points x (batch, d), in plain float64."""
        values = self.split_inputs(x)
        before = []
        for block in self.blocks:
            z = np.broadcast_to(block.bias, (x.shape[0], block.bias.size))
            for term in block.terms:
                z = z + term.matrix.apply(values[term.source])
            before.append(z)
            values.append(np.where(block.relu, np.maximum(z, 0.0), z) if block.has_relu else z)
        return values, before

    def evaluate(self, x: Floats) -> Floats:
        """Outputs (batch, m), concatenated, at points x (batch, d); plain float64, no guarantee."""
        values, _ = self.pre_activations(x)
        return np.concatenate([values[v] for v in self.outputs], axis=-1)


def _float_block(block: Block) -> FloatBlock:
    terms = tuple(FloatTerm(t.source, FloatMatrix(t.matrix)) for t in block.terms)
    return FloatBlock(
        terms,
        float_array(block.bias),
        np.frombuffer(block.relu, dtype=np.uint8).astype(np.bool_),
        exact=block.bias.floats is not None and all(t.matrix.exact for t in terms),
    )


def _integers(values: array[int]) -> npt.NDArray[np.int64]:
    return np.frombuffer(values, dtype=np.int64) if len(values) else np.zeros(0, dtype=np.int64)
