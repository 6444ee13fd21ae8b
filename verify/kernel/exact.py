"""Exact leaves: what rounding can never close.  Phases fixed, unrounded rational box, big-integer multipliers."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from verify.core.corners import Affine, Forms, Phases, affine_forms, minimum
from verify.core.network import Network
from verify.core.normal_form import Box
from verify.core.payload import RejectedError, Stream
from verify.core.query import Row

CLOSED, SPLIT = 0, 1


def constraints(forms: Forms, phases: Phases, case: Sequence[Row]) -> list[tuple[Affine, bool]]:
    """What every solution satisfies, as (form, strict) for form <= 0 or < 0: the splits, then rows of known forms."""
    found = [(tuple(-a for a in form) if phases[entry] else form, False) for entry, form in forms.splits.items()]
    for row in case:
        if row.outputs and forms.outputs is None:
            continue
        total = [-row.bound] + [Fraction(0)] * (len(forms.inputs[0]) - 1)
        for source, entries in ((forms.inputs, row.inputs), (forms.outputs or [], row.outputs)):
            for index, coefficient in entries:
                total = [a + coefficient * b for a, b in zip(total, source[index], strict=True)]
        found.append((tuple(total), row.strict))
    return found


def check_exact(network: Network, cases: Sequence[Sequence[Row]], box: Box, stream: Stream) -> int:
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
            forms = affine_forms(network, box, phases)
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
    least = minimum(tuple(sum((m * form[k] for m, form, _ in used), Fraction(0)) for k in range(len(used[0][1]))))
    if not (least > 0 or (least == 0 and any(strict for _, _, strict in used))):
        raise RejectedError("exact leaf: the multipliers do not close a case")
