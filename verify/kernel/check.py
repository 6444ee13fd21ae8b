"""The kernel's one entry: a network, a query, a payload; a value that says what was checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from verify.core.normal_form import Region, normal_form
from verify.core.query import Query, Row
from verify.kernel.build import Root, read_hints
from verify.kernel.slopes import Differences
from verify.kernel.stream import RejectedError, Stream
from verify.kernel.walk import Walk

Claim = Literal["unsat", "vacuous"]
RULE = "K1"
_MINT = object()


@dataclass(frozen=True)
class Checked:
    """What a payload was accepted for.  Only this package makes one."""

    claim: Claim
    network_digest: str
    leaves: dict[str, int]  # by the rule that closed them
    mode: Literal["reference", "fast"]
    mint: object

    def __post_init__(self) -> None:
        if self.mint is not _MINT:
            raise TypeError("only the kernel makes a Checked")


def check(query: Query, payload: bytes, claim: Claim) -> Checked:
    """Check a payload against "no x satisfies assumption and violation" or "no x satisfies the assumption".

    Guarantee: exact integer arithmetic; the payload holds hints only.
    Raises RejectedError; QueryError as normal_form does.
    """
    stream = Stream(payload)
    regions = claimed_regions(query, claim)
    counts: dict[str, int] = {}
    if stream.varint() != len(regions):
        raise RejectedError(f"the query has {len(regions)} regions, the proof another number")
    differences = Differences(query.network, stream, counts)
    for region in regions:
        remaining = differences.remaining(region)
        if remaining is None:
            continue
        rows, cases = numbered(remaining)
        root = Root(query.network, remaining, rows, *read_hints(query.network, rows, stream))
        Walk(query.network, remaining, rows, cases, stream, counts).run(root.node)
    stream.finish()
    return Checked(claim, query.network.digest, counts, "reference", _MINT)


def claimed_regions(query: Query, claim: Claim) -> Sequence[Region]:
    """The regions that must hold no point."""
    form = normal_form(query)
    if claim == "unsat":
        return form.regions
    if claim == "vacuous":
        return form.assumed
    raise RejectedError(f"unknown claim {claim!r}")


def numbered(region: Region) -> tuple[list[Row], list[list[int]]]:
    """The distinct rows of a region, and its cases as row numbers; the region's own rows belong to every case."""
    numbers: dict[Row, int] = {}
    cases = [[numbers.setdefault(row, len(numbers)) for row in (*case, *region.rows)] for case in region.cases]
    return list(numbers), cases
