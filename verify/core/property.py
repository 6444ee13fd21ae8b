"""One property of a spec, ready to decide."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.query import Affine, Field, Formula, Query
from verify.core.verdict import Verdict
from verify.errors import Place


@dataclass(frozen=True)
class Property:
    """A named query with what its author expects of it.

    `origin` is the `assert` (or the file, for VNN-LIB); `source` the assert as written, for reports.
    """

    name: str
    query: Query
    origin: Place
    title: str = ""
    source: str = ""
    expected: Verdict | None = None  # @expect
    timeout_s: float | None = None  # @timeout
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    premises: tuple[Premise, ...] = ()  # the assumption in parts, for explanations
    balls: tuple[Ball, ...] = ()  # what the query only contains: a solution must lie in each of them
    steps: tuple[Step, ...] = ()  # of closed loops, in order, for reports


@dataclass(frozen=True)
class Premise:
    """One declared range or one `assume`: as written, where, and what it says."""

    text: str
    place: Place
    formula: Formula


@dataclass(frozen=True)
class Ball:
    """Σ offset(x)² <= radius², for offsets affine in the query's variables."""

    offsets: tuple[Affine, ...]
    radius: Fraction

    def contains(self, x: Sequence[Fraction]) -> bool:
        """Exactly."""
        return sum((offset(x) ** 2 for offset in self.offsets), Fraction(0)) <= self.radius**2


@dataclass(frozen=True)
class Step:
    """One step of a closed loop: its disturbances, what networks gave in it, and the state after it.

    `inputs` and `outputs` number the query's.  `values` are physical, affine over raw variables, then raw outputs.
    """

    state: str  # after the step: "q[1]"
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    fields: tuple[Field, ...]
    values: tuple[Affine, ...]


def row_name(name: str, row: str | None) -> str:
    """The name of one row of a swept property: `robust[3]`."""
    return name if row is None else f"{name}[{row}]"


def split_name(name: str) -> tuple[str, str | None]:
    """(property, row) of such a name."""
    match = re.fullmatch(r"([A-Za-z_]\w*)\[(.*)\]", name, re.DOTALL)
    return (match[1], match[2]) if match else (name, None)


def selects(wanted: str, name: str) -> bool:
    """Whether `wanted` names this property, or all rows of it."""
    return wanted in (name, split_name(name)[0])
