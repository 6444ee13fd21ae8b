"""Exact proofs of small leaves: phases one by one, exact linear programs, and the multipliers that close each case.

Where float64 or the kernel's integers round, a tie stays open for ever; here nothing is rounded.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.corners import Affine, Phases, affine_forms
from verify.core.network import Network
from verify.core.normal_form import Box
from verify.core.payload import varint
from verify.core.query import Row
from verify.kernel.exact import CLOSED, SPLIT, constraints
from verify.search.exact_lp import Infeasible, solve

MAX_LEAVES = 4096


@dataclass(frozen=True)
class Solution:
    """A point of the box that satisfies a case, exactly."""

    x: tuple[Fraction, ...]


@dataclass(frozen=True)
class Proof:
    """The steps of an exact leaf, as verify.kernel.exact reads them."""

    steps: bytes


def prove_exactly(
    network: Network,
    cases: Sequence[Sequence[Row]],
    box: Box,
    *,
    leaves: int = MAX_LEAVES,
) -> Proof | Solution | None:
    """Show that no point of the box satisfies all rows of a case, or find one that does; None: too many leaves.

    Guarantee: exact.  Each ReLU whose phase the box does not fix is split, depth first.
    """
    steps = bytearray()
    pending: list[Phases] = [{}]
    while pending:
        leaves -= 1
        if leaves < 0:
            return None
        phases = pending.pop()
        forms = affine_forms(network, box, phases)
        outcomes = [_outcome(constraints(forms, phases, case)) for case in cases]
        if all(isinstance(o, Infeasible) for o in outcomes):
            steps.append(CLOSED)
            for outcome in outcomes:
                assert isinstance(outcome, Infeasible)
                for multiplier in outcome.multipliers:
                    steps += varint(multiplier)
        elif forms.unknown:
            entry = forms.unknown[0]
            steps.append(SPLIT)
            steps += varint(entry[0]) + varint(entry[1])
            pending += [{**phases, entry: False}, {**phases, entry: True}]
        else:
            point = next(o for o in outcomes if not isinstance(o, Infeasible))
            return Solution(_at(box, point))
    return Proof(bytes(steps))


def _outcome(rows: Sequence[tuple[Affine, bool]]) -> Infeasible | tuple[Fraction, ...]:
    if not rows:
        return ()
    return solve(rows)


def _at(box: Box, tau: Sequence[Fraction]) -> tuple[Fraction, ...]:
    """The point with the given shares of the sides that have a length."""
    shares = iter(tau)
    sides = zip(box.lower, box.upper, strict=True)
    return tuple(low if low == high else low + (high - low) * next(shares, Fraction(0)) for low, high in sides)
