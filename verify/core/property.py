"""One property of a spec, ready to decide."""

from __future__ import annotations

from dataclasses import dataclass

from verify.core.query import Query
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
