"""Exact leaves: what rounding can never close.  Phases fixed, unrounded rational box, big-integer multipliers.

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
from verify.core.query import Row
from verify.kernel.stream import RejectedError, Stream

Affine = tuple[Fraction, ...]  # constant, then the coefficient of each τ
Phases = dict[tuple[int, int], bool]  # (block, row) -> active, as splits have fixed it
CLOSED, SPLIT = 0, 1


@dataclass(frozen=True)
class Forms:
    """Exact forms over one box: the splits' own pre-activations, and all outputs (None: a phase is unknown)."""

    splits: dict[tuple[int, int], Affine]
    inputs: list[Affine]
    outputs: list[Affine] | None
    unknown: list[tuple[int, int]]  # the ReLUs of unknown phase in the first block that has any


def affine_forms(network: Network, low: Sequence[Fraction], high: Sequence[Fraction], phases: Phases) -> Forms:
    """Evaluate at the corners p, block by block, each ReLU with one phase for the whole box."""
    points = [list(low)]
    for k in range(len(low)):
        if high[k] != low[k]:
            points.append([*low[:k], high[k], *low[k + 1 :]])
    inputs = [_affine([p[k] for p in points]) for k in range(len(low))]
    values: list[list[Scaled]] = [[] for _ in points]
    position = 0
    for port in network.inputs:
        for value, point in zip(values, points, strict=True):
            part = [Fraction(v) for v in point[position : position + port.size]]
            value.append(_scaled(part))
        position += port.size
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
    places = [(port.value, element) for port in network.outputs for element in range(port.size)]
    outputs = [_affine([Fraction(v[at][0][i], v[at][1]) for v in values]) for at, i in places]
    return Forms(splits, inputs, outputs, [])


def constraints(forms: Forms, phases: Phases, case: Sequence[Row]) -> list[tuple[Affine, bool]]:
    """What every solution satisfies, as (form, strict) for form <= 0 or < 0: the splits, then rows of known forms."""
    found = []
    for entry, form in forms.splits.items():
        found.append((tuple(-a for a in form) if phases[entry] else form, False))
    for row in case:
        if row.outputs and forms.outputs is None:
            continue
        total = [-row.bound] + [Fraction(0)] * (len(next(iter(forms.inputs))) - 1)
        for source, entries in ((forms.inputs, row.inputs), (forms.outputs or [], row.outputs)):
            for index, coefficient in entries:
                total = [a + coefficient * b for a, b in zip(total, source[index], strict=True)]
        found.append((tuple(total), row.strict))
    return found


def check_exact(
    network: Network,
    cases: Sequence[Sequence[Row]],
    box: tuple[Sequence[Fraction], Sequence[Fraction]],
    stream: Stream,
) -> int:
    """Follow splits of ReLUs down to leaves that close every case of `cases`; returns the number of leaves."""
    leaves, pending = 0, [Phases()]
    while pending:
        phases = pending.pop()
        opcode = stream.byte()
        if opcode == SPLIT:
            entry = (stream.varint(), stream.varint())
            if entry in phases or entry[0] >= len(network.blocks) or entry[1] >= network.blocks[entry[0]].size:
                raise RejectedError(f"exact leaf: there is no ReLU {entry} to split")
            pending += [{**phases, entry: False}, {**phases, entry: True}]
        elif opcode == CLOSED:
            forms = affine_forms(network, *box, phases)
            for case in cases:
                _close(constraints(forms, phases, case), stream)
            leaves += 1
        else:
            raise RejectedError(f"exact leaf: unknown opcode {opcode}")
    return leaves


def _close(rows: Sequence[tuple[Affine, bool]], stream: Stream) -> None:
    """Reject unless the stream's multipliers >= 0 make a combination that no point of the box can keep <= 0."""
    multipliers = [stream.varint() for _ in rows]
    used = [(m, form, strict) for m, (form, strict) in zip(multipliers, rows, strict=True) if m]
    if not used:
        raise RejectedError("exact leaf: all multipliers are zero")
    total = tuple(sum((m * form[k] for m, form, _ in used), Fraction(0)) for k in range(len(used[0][1])))
    least = minimum(total)
    if not (least > 0 or (least == 0 and any(strict for _, _, strict in used))):
        raise RejectedError("exact leaf: the multipliers do not close a case")


def minimum(form: Affine) -> Fraction:
    """The least value over 0 <= τ <= 1."""
    return form[0] + sum((a for a in form[1:] if a < 0), Fraction(0))


def _affine(values: Sequence[Fraction]) -> Affine:
    return (values[0], *(v - values[0] for v in values[1:]))


def _scaled(values: Sequence[Fraction]) -> Scaled:
    denominator = math.lcm(*(v.denominator for v in values))
    return [v.numerator * (denominator // v.denominator) for v in values], denominator
