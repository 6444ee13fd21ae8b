"""The compressed system: a region's network with every stable ReLU substituted out.

Over one box most ReLUs have a fixed phase.  Writing r_j for the output of the j-th unstable ReLU and z_i for its
pre-activation, everything that is left of the network is

    z_i  =  M_i x + Σ_{j<i} R_ij r_j + c_i  ±  e_i,      r_j = relu(z_j),                                  (S)

followed by the query's rows in the same form.  `e_i` bounds the float64 rounding of the composition over the box.
Deep in the search a few rows of a few numbers remain, whatever the size of the network.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verify.bounds.enclosure import Enclosure
from verify.bounds.rounding import gamma, inflate, underflow
from verify.core.floats import FloatPlan, Floats


@dataclass(frozen=True, eq=False)
class CompressedSystem:
    """(S) for U unstable ReLUs in topological order, then K query rows.

    Shapes: matrix (U + K, d + U) over x, then r; constant, error, magnitude (U + K,); lower, upper (U,).
    `magnitude` is at least Σ|coefficient||variable| + |constant| of the stored floats over the box.
    Guarantee: (S) holds for the exact real network at every x of the box; lower <= z <= upper there.
    """

    matrix: Floats
    constant: Floats
    error: Floats
    magnitude: Floats
    lower: Floats
    upper: Floats

    @property
    def unstable(self) -> int:
        return len(self.lower)

    @property
    def inputs(self) -> int:
        return int(self.matrix.shape[1]) - self.unstable


@dataclass(frozen=True, eq=False)
class _Forms:
    """A value's entries as affine forms over (x, r): rows of coefficients, constants, error bounds, magnitudes."""

    matrix: Floats
    constant: Floats
    error: Floats
    magnitude: Floats


def compress(plan: FloatPlan, enclosure: Enclosure, rows: np.ndarray) -> CompressedSystem:
    """Build (S) over the single box of `enclosure` for the given rows of the last block.

    Method: forms are carried forward block by block; a stable ReLU passes its form or zero, an unstable one becomes
    a new variable.  Rounding: each new coefficient is a sum of fan-in products of stored numbers, so by (1) of
    verify.bounds.rounding the form is off by at most γ Σ_j |W_ij| magnitude_j, plus |W| times the old errors.
    """
    last = len(plan.blocks) - 1
    unstable = [
        block.relu & (low[0] < 0) & (high[0] > 0)
        for block, low, high in zip(plan.blocks[:last], enclosure.lower[:last], enclosure.upper[:last], strict=True)
    ]
    counts = [int(u.sum()) for u in unstable]
    total, inputs = sum(counts), int(enclosure.inputs[0].shape[1])
    reach = np.maximum(np.abs(enclosure.inputs[0][0]), np.abs(enclosure.inputs[1][0]))
    tops = [enclosure.upper[k][0][unstable[k]] for k in range(last)]
    largest = np.concatenate([reach, *tops])
    forms: list[_Forms] = []
    position = 0
    for size in plan.input_sizes:
        matrix = np.zeros((size, inputs + total))
        matrix[:, position : position + size] = np.eye(size)
        forms.append(_Forms(matrix, np.zeros(size), np.zeros(size), largest[position : position + size].copy()))
        position += size
    kept: list[_Forms] = []
    column = inputs
    for index in range(last + 1):
        before = _substitute(plan, forms, index, largest, rows if index == last else None)
        if index == last:
            kept.append(before)
            break
        chosen = np.nonzero(unstable[index])[0]
        kept.append(_take(before, chosen))
        forms.append(_after_relu(plan, enclosure, index, before, chosen, column, largest))
        column += len(chosen)
    lows = [enclosure.lower[k][0][unstable[k]] for k in range(last)]
    return CompressedSystem(
        np.ascontiguousarray(np.concatenate([k.matrix for k in kept])),
        np.concatenate([k.constant for k in kept]),
        np.concatenate([k.error for k in kept]),
        np.concatenate([k.magnitude for k in kept]),
        np.concatenate([*lows, np.zeros(0)]),
        np.concatenate([*tops, np.zeros(0)]),
    )


def _substitute(plan: FloatPlan, forms: list[_Forms], index: int, largest: Floats, rows: np.ndarray | None) -> _Forms:
    """The forms of block `index`'s pre-activations (or of some of its rows)."""
    block = plan.blocks[index]
    chosen = np.arange(block.bias.size) if rows is None else rows
    bias = block.bias[chosen]
    width = forms[0].matrix.shape[1]
    matrix, constant = np.zeros((len(chosen), width)), bias.copy()
    error, weight = np.zeros(len(chosen)), np.abs(bias)
    spread = 0.0
    with np.errstate(all="ignore"):
        for term in block.terms:
            source = forms[term.source]
            if rows is None:
                matrix = matrix + term.matrix.apply(np.ascontiguousarray(source.matrix.T)).T
                constant = constant + term.matrix.apply(source.constant[None])[0]
                error = error + term.matrix.apply_absolute(source.error[None])[0]
                weight = weight + term.matrix.apply_absolute(source.magnitude[None])[0]
            else:
                w = term.matrix.take_rows(chosen)
                matrix, constant = matrix + w @ source.matrix, constant + w @ source.constant
                error, weight = error + np.abs(w) @ source.error, weight + np.abs(w) @ source.magnitude
            spread += float(source.magnitude.sum())
        charge = gamma(block.fan_in + len(block.terms))
        tiny = underflow(block.fan_in, np.array(spread + largest.sum()))
        error = inflate(error * (1.0 + charge) + 2.0 * charge * weight + 4.0 * tiny)
        magnitude = inflate((np.abs(matrix) @ largest + np.abs(constant)) * (1.0 + gamma(width))) + tiny
    return _Forms(matrix, constant, error, magnitude)


def _after_relu(
    plan: FloatPlan, enclosure: Enclosure, index: int, before: _Forms, chosen: np.ndarray, column: int, largest: Floats
) -> _Forms:
    """Forms of the block's value: zero where inactive, a fresh variable where unstable, else as before."""
    block = plan.blocks[index]
    if not block.has_relu:
        return before
    matrix, constant = before.matrix.copy(), before.constant.copy()
    error, magnitude = before.error.copy(), before.magnitude.copy()
    replaced = np.nonzero(block.relu & ~(enclosure.lower[index][0] >= 0))[0]
    for array in (matrix, constant, error, magnitude):
        array[replaced] = 0.0
    new = column + np.arange(len(chosen))
    matrix[chosen, new] = 1.0
    magnitude[chosen] = largest[new]
    return _Forms(matrix, constant, error, magnitude)


def _take(forms: _Forms, rows: np.ndarray) -> _Forms:
    return _Forms(forms.matrix[rows], forms.constant[rows], forms.error[rows], forms.magnitude[rows])
