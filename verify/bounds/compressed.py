"""The compressed system: a region's network with every stable ReLU substituted out.

Over one box most ReLUs have a fixed phase.  Writing r_j for the output of the j-th unstable ReLU and z_i for its
pre-activation, everything that is left of the network is

    z_i  =  M_i x + Σ_{j<i} R_ij r_j + c_i  ±  e_i,      r_j = relu(z_j),                                  (S)

followed by the query's rows in the same form.  `e_i` bounds the float64 rounding of the composition over the box.
Where two ReLUs of a block are exact twins, z_j = -z_i (the usual way to carry a signed number), only one becomes a
variable, since relu(-z) = relu(z) - z.  ReLUs that no row depends on are left out.
Deep in the search a few rows of a few numbers remain, whatever the size of the network.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from verify.bounds.enclosure import Enclosure
from verify.bounds.rounding import gamma, inflate, underflow
from verify.core.floats import FloatMatrix, FloatPlan, Floats

WIDE = 1500  # columns from which forms are kept sparse
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class CompressedSystem:
    """(S) for U unstable ReLUs in topological order, then K query rows.

    Shapes: matrix (U + K, d + U) over x, then r, dense or scipy sparse; constant, error, magnitude (U + K,);
    lower, upper (U,); places (U, 2), the block and row of each ReLU where known.
    `magnitude` is at least Σ|coefficient||variable| + |constant| of the stored floats over the box.
    Guarantee: (S) holds for the exact real network at every x of the box; lower <= z <= upper there.
    """

    matrix: Any
    constant: Floats
    error: Floats
    magnitude: Floats
    lower: Floats
    upper: Floats
    places: Indices = field(default_factory=lambda: np.zeros((0, 2), dtype=np.int64))

    @property
    def unstable(self) -> int:
        return len(self.lower)

    @property
    def inputs(self) -> int:
        return int(self.matrix.shape[1]) - self.unstable


@dataclass(frozen=True, eq=False)
class _Forms:
    """A value's entries as affine forms over (x, r): rows of coefficients, constants, error bounds, magnitudes."""

    matrix: Any
    constant: Floats
    error: Floats
    magnitude: Floats


def compress(plan: FloatPlan, enclosure: Enclosure, rows: Indices) -> CompressedSystem:
    """Build (S) over the single box of `enclosure` for the given rows of the last block.

    Method: forms are carried forward block by block; a stable ReLU passes its form or zero, an unstable one becomes
    a new variable (its twin that variable minus the form).  Rounding: each new coefficient is a sum of fan-in products
    of stored numbers, so by (1) of verify.bounds.rounding the form is off by at most γ Σ_j |W_ij| magnitude_j, plus
    |W| times the old errors.
    """
    build = _Builder(plan, enclosure)
    last = len(plan.blocks) - 1
    kept = []
    for index in range(last):
        before = build.substitute(index, None)
        kept.append(_take(before, build.fresh[index]))
        build.forms.append(build.after_relu(index, before))
    kept.append(build.substitute(last, rows))
    lows = [enclosure.lower[k][0][build.fresh[k]] for k in range(last)]
    highs = [enclosure.upper[k][0][build.fresh[k]] for k in range(last)]
    whole = CompressedSystem(
        build.stack([k.matrix for k in kept]),
        np.concatenate([k.constant for k in kept]),
        np.concatenate([k.error for k in kept]),
        np.concatenate([k.magnitude for k in kept]),
        np.concatenate([*lows, np.zeros(0)]),
        np.concatenate([*highs, np.zeros(0)]),
        np.concatenate(
            [
                np.zeros((0, 2), dtype=np.int64),  # a network may have no blocks: its outputs are its inputs
                *(np.stack([np.full(len(f), k), f], axis=1) for k, f in enumerate(build.fresh)),
            ]
        ),
    )
    return _without_idle(whole)


def with_bounds(enclosure: Enclosure, system: CompressedSystem, lower: Floats, upper: Floats) -> Enclosure:
    """The enclosure of a single box with other (tighter, valid) bounds of the system's ReLUs put in."""
    lows, highs = [a.copy() for a in enclosure.lower], [a.copy() for a in enclosure.upper]
    for (block, row), low, high in zip(system.places.tolist(), lower, upper, strict=True):
        lows[block][0, row], highs[block][0, row] = max(lows[block][0, row], low), min(highs[block][0, row], high)
    return Enclosure(enclosure.inputs, lows, highs, enclosure.magnitude)


class _Builder:
    """Carries forms forward over one box."""

    def __init__(self, plan: FloatPlan, enclosure: Enclosure) -> None:
        self.plan, self.enclosure = plan, enclosure
        last = len(plan.blocks) - 1
        self.unstable = [
            block.relu & (low[0] < 0) & (high[0] > 0)
            for block, low, high in zip(plan.blocks[:last], enclosure.lower[:last], enclosure.upper[:last], strict=True)
        ]
        self.twins = [
            np.where(u[b.twins], b.twins, -1) if u.any() else np.full(b.bias.size, -1)
            for b, u in zip(plan.blocks[:last], self.unstable, strict=True)
        ]
        self.fresh = [np.nonzero(u & (t < 0))[0] for u, t in zip(self.unstable, self.twins, strict=True)]
        low, high = enclosure.inputs[0][0], enclosure.inputs[1][0]
        tops = [enclosure.upper[k][0][self.fresh[k]] for k in range(last)]
        self.largest = np.concatenate([np.maximum(np.abs(low), np.abs(high)), *tops])
        self.width = len(self.largest)
        self.column = len(low)
        self.sparse = self.width > WIDE
        self.forms: list[_Forms] = []
        position = 0
        for size in plan.input_sizes:
            chosen = position + np.arange(size)
            zeros = np.zeros(size)
            self.forms.append(_Forms(self.units(chosen), zeros, zeros, self.largest[chosen]))
            position += size

    def units(self, columns: Indices) -> Any:
        """One unit row per column."""
        if self.sparse:
            from scipy.sparse import csr_array

            count = len(columns)
            return csr_array((np.ones(count), columns, np.arange(count + 1)), shape=(count, self.width))
        matrix = np.zeros((len(columns), self.width))
        matrix[np.arange(len(columns)), columns] = 1.0
        return matrix

    def stack(self, matrices: list[Any]) -> Any:
        if self.sparse:
            from scipy.sparse import vstack

            return vstack(matrices, format="csr")
        return np.concatenate(matrices)

    def magnitude(self, matrix: Any, constant: Floats) -> Floats:
        return inflate((abs(matrix) @ self.largest + np.abs(constant)) * (1.0 + gamma(self.width)))

    def substitute(self, index: int, rows: Indices | None) -> _Forms:
        """The forms of block `index`'s pre-activations (or of some of its rows)."""
        block = self.plan.blocks[index]
        chosen = np.arange(block.bias.size) if rows is None else rows
        constant = block.bias[chosen].copy()
        matrix: Any = None
        error, weight = np.zeros(len(chosen)), np.abs(constant)
        spread = float(self.largest.sum())
        with np.errstate(all="ignore"):
            for term in block.terms:
                source = self.forms[term.source]
                weights = self.weights(term.matrix, rows)
                part = weights @ source.matrix
                matrix = part if matrix is None else matrix + part
                constant = constant + weights @ source.constant
                error = error + abs(weights) @ source.error
                weight = weight + abs(weights) @ source.magnitude
                spread += float(source.magnitude.sum())
            if matrix is None:
                matrix = self.units(np.zeros(len(chosen), dtype=np.int64)) * 0.0
            charge = gamma(block.fan_in + len(block.terms))
            tiny = underflow(block.fan_in, np.array(spread))
            error = inflate(error * (1.0 + charge) + 2.0 * charge * weight + 4.0 * tiny)
            return _Forms(matrix, constant, error, self.magnitude(matrix, constant) + tiny)

    def weights(self, matrix: FloatMatrix, rows: Indices | None) -> Any:
        """fl(W), as scipy sparse where forms are."""
        if rows is None:
            whole = matrix.dense if matrix.dense is not None else matrix.sparse
        else:
            whole = matrix.take_rows(rows)
        if self.sparse or (rows is None and matrix.dense is None):
            from scipy.sparse import csr_array

            return csr_array(whole)
        return whole

    def after_relu(self, index: int, before: _Forms) -> _Forms:
        """Forms of the block's value: zero where inactive, a fresh variable where unstable, else as before."""
        block = self.plan.blocks[index]
        if not block.has_relu:
            return before
        fresh, twins, unstable = self.fresh[index], self.twins[index], self.unstable[index]
        stays = (~block.relu | (self.enclosure.lower[index][0] >= 0)).astype(np.float64)
        columns = self.column + np.arange(len(fresh))
        self.column += len(fresh)
        doubled = np.nonzero(unstable & (twins >= 0))[0]
        partner = twins[doubled]
        column_of = np.full(block.bias.size, -1)
        column_of[fresh] = columns
        place, units = np.concatenate([fresh, doubled]), self.units(np.concatenate([columns, column_of[partner]]))
        matrix = self.kept(stays, before.matrix) + self.scattered(place, block.bias.size, units)
        constant, error = stays * before.constant, stays * before.error
        if len(doubled):
            matrix = matrix - self.scattered(doubled, block.bias.size, before.matrix[partner])
            constant[doubled], error[doubled] = -before.constant[partner], before.error[partner]
        magnitude = stays * before.magnitude
        magnitude[fresh] = self.largest[columns]
        magnitude[doubled] = inflate(self.largest[column_of[partner]] + before.magnitude[partner])
        error[doubled] = inflate(error[doubled] + gamma(4) * magnitude[doubled])
        return _Forms(matrix, constant, error, magnitude)

    def kept(self, stays: Floats, matrix: Any) -> Any:
        """The rows where `stays` is 1, zeros elsewhere.  Dense forms need no scipy, whose import takes 0.1 s."""
        if not self.sparse:
            return np.where(stays[:, None] > 0, matrix, 0.0)
        from scipy.sparse import diags_array

        return diags_array(stays, format="csr") @ matrix

    def scattered(self, rows: Indices, size: int, matrix: Any) -> Any:
        """`size` rows: row k of `matrix` at rows[k], which are distinct, zeros elsewhere."""
        if not self.sparse:
            result = np.zeros((size, self.width))
            result[rows] = matrix
            return result
        from scipy.sparse import csr_array

        count = len(rows)
        return csr_array((np.ones(count), (rows, np.arange(count))), shape=(size, count)) @ matrix


def _without_idle(system: CompressedSystem) -> CompressedSystem:
    """Drop the ReLUs that no query row depends on."""
    count, d = system.unstable, system.inputs
    if not count:
        return system
    rows, columns = system.matrix.nonzero()
    linked = columns >= d
    order = np.argsort(-rows[linked], kind="stable")
    needed = np.zeros(len(system.constant), dtype=np.bool_)
    needed[count:] = True
    for row, column in zip(rows[linked][order].tolist(), (columns[linked][order] - d).tolist(), strict=True):
        if needed[row]:
            needed[column] = True
    if needed.all():
        return system
    keep = np.nonzero(needed)[0]
    relus = keep[keep < count]
    matrix = system.matrix[keep][:, np.concatenate([np.arange(d), d + relus])]
    return CompressedSystem(
        matrix,
        system.constant[keep],
        system.error[keep],
        system.magnitude[keep],
        system.lower[relus],
        system.upper[relus],
        system.places[relus],
    )


def _take(forms: _Forms, rows: Indices) -> _Forms:
    return _Forms(forms.matrix[rows], forms.constant[rows], forms.error[rows], forms.magnitude[rows])
