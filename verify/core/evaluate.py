"""Exact evaluation of a network in integer arithmetic (standard library only)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from operator import mul

from verify.core.network import Block, Matrix, Network

KEPT_NUMBERS = 1 << 17  # matrices with so many entries at most keep them as integers, some 36 bytes each
Scaled = tuple[list[int], int]  # integers over one positive denominator


def evaluate(network: Network, x: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The exact outputs (concatenated) at the exact inputs `x` (concatenated).

    Shapes: x (input_size,); result (output_size,).  Guarantee: exact rationals, no rounding.
    """
    values = evaluate_values(network, x)
    return tuple(Fraction(n, values[p.value][1]) for p in network.outputs for n in values[p.value][0])


def evaluate_values(network: Network, x: Sequence[Fraction]) -> list[Scaled]:
    """Every value (inputs, then blocks) as integers over a denominator of its own."""
    if len(x) != network.input_size:
        raise ValueError(f"{network.input_size} inputs needed, not {len(x)}")
    values: list[Scaled] = []
    position = 0
    for port in network.inputs:
        part = [Fraction(v) for v in x[position : position + port.size]]
        denominator = math.lcm(1, *(v.denominator for v in part))
        values.append(([v.numerator * (denominator // v.denominator) for v in part], denominator))
        position += port.size
    for block in network.blocks:
        numerators, denominator = pre_activation(block, values)
        values.append(([max(n, 0) if r else n for n, r in zip(numerators, block.relu, strict=True)], denominator))
    return values


def pre_activation(block: Block, values: Sequence[Scaled]) -> Scaled:
    """z of one block from the values before it, exactly."""
    parts: list[Scaled] = [block.bias.integers()]
    for term in block.terms:
        source, source_denominator = values[term.source]
        numbers = term.matrix.values
        weights, weight_denominator = numbers.integers() if len(numbers) <= KEPT_NUMBERS else numbers.compute_integers()
        parts.append((_product(term.matrix, weights, source), weight_denominator * source_denominator))
    scaled, denominator = over_one_denominator(parts)
    total = [sum(column) for column in zip(*scaled, strict=True)]
    return _reduced(total, denominator)


def over_one_denominator(values: Sequence[Scaled]) -> tuple[list[list[int]], int]:
    """The same numbers, all of them over the least common denominator."""
    denominator = math.lcm(*(d for _, d in values))
    return [[n * (denominator // d) for n in numerators] for numerators, d in values], denominator


def _product(matrix: Matrix, weights: Sequence[int], source: Sequence[int]) -> list[int]:
    if matrix.starts is None or matrix.indices is None:
        width = matrix.columns
        return [sum(map(mul, weights[row * width : (row + 1) * width], source)) for row in range(matrix.rows)]
    result = []
    for row in range(matrix.rows):
        begin, end = matrix.starts[row], matrix.starts[row + 1]
        result.append(sum(map(mul, weights[begin:end], map(source.__getitem__, matrix.indices[begin:end]))))
    return result


def _reduced(numerators: list[int], denominator: int) -> Scaled:
    """Divide out the common power of two, so that numbers stay short from block to block."""
    spare = (denominator & -denominator).bit_length() - 1
    for n in numerators:
        if n:
            spare = min(spare, (n & -n).bit_length() - 1)
            if not spare:
                return numerators, denominator
    return [n >> spare for n in numerators], denominator >> spare
