"""A network over a box where phases of ReLUs are known: affine functions, exactly (standard library only).

A box is the set of points p_0 + Σ_k τ_k (p_k - p_0), 0 <= τ_k <= 1, p_0 its lower corner, p_k that corner moved along
one side.  While every phase is known, each number of the network is affine over the box, so its values at the p's say
all: the constant is its value at p_0, the coefficient of τ_k its value at p_k minus that.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.evaluate import Scaled, over_one_denominator, pre_activation
from verify.core.network import Network
from verify.core.normal_form import Box

Affine = tuple[Fraction, ...]  # constant, then the coefficient of each τ
Phases = dict[tuple[int, int], bool]  # (block, row) -> active, as splits have fixed it


@dataclass(frozen=True)
class Forms:
    """Exact forms over one box: the splits' own pre-activations, and all outputs (None: a phase is unknown)."""

    splits: dict[tuple[int, int], Affine]
    inputs: list[Affine]
    outputs: list[Affine] | None
    unknown: list[tuple[int, int]]  # the ReLUs of unknown phase in the first block that has any


def affine_forms(network: Network, box: Box, phases: Phases) -> Forms:
    """Evaluate at the corners p, block by block, each ReLU with one phase for the whole box."""
    low, high = box.lower, box.upper
    points = [list(low)]
    for k in range(len(low)):
        if high[k] != low[k]:
            points.append([*low[:k], high[k], *low[k + 1 :]])
    inputs = [_affine([p[k] for p in points]) for k in range(len(low))]
    values: list[list[Scaled]] = [[] for _ in points]
    for port, position in zip(network.inputs, network.input_offsets, strict=True):
        for value, point in zip(values, points, strict=True):
            value.append(_scaled([Fraction(v) for v in point[position : position + port.size]]))
    splits: dict[tuple[int, int], Affine] = {}
    for number, block in enumerate(network.blocks):
        numbers, denominator = over_one_denominator([pre_activation(block, value) for value in values])
        zero, unknown = [False] * block.size, []
        for i in range(block.size):
            if block.relu[i]:
                constant, *moved = (n[i] for n in numbers)
                steps = [n - constant for n in moved]
                active = phases.get((number, i))
                if active is not None:
                    splits[number, i] = tuple(Fraction(a, denominator) for a in (constant, *steps))
                elif constant + sum(a for a in steps if a < 0) >= 0:
                    active = True
                elif constant + sum(a for a in steps if a > 0) <= 0:
                    active = False
                else:
                    unknown.append((number, i))
                zero[i] = not active
        if unknown:
            return Forms(splits, inputs, None, unknown)
        for value, row in zip(values, numbers, strict=True):
            value.append(([0 if z else n for n, z in zip(row, zero, strict=True)], denominator))
    outputs = [_affine([Fraction(v[at][0][i], v[at][1]) for v in values]) for at, i in network.output_places]
    return Forms(splits, inputs, outputs, [])


def minimum(form: Affine) -> Fraction:
    """The least value over 0 <= τ <= 1."""
    return form[0] + sum((a for a in form[1:] if a < 0), Fraction(0))


def _affine(values: Sequence[Fraction]) -> Affine:
    return (values[0], *(v - values[0] for v in values[1:]))


def _scaled(values: Sequence[Fraction]) -> Scaled:
    denominator = math.lcm(*(v.denominator for v in values))
    return [v.numerator * (denominator // v.denominator) for v in values], denominator
