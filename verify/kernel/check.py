"""The kernel's one entry: a network, a query, a payload; a value that says what was checked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from verify.core.network import Network
from verify.core.normal_form import Region, normal_form
from verify.core.payload import RejectedError, Stream
from verify.core.query import Query
from verify.kernel.walk import prove_region

Claim = Literal["unsat", "vacuous"]
Mode = Literal["reference", "fast"]
Counts = dict[str, int]  # leaves by the rule that closed them
Remaining = Callable[[Region], "Region | None"]  # reads which cases of a region are closed otherwise; what is left
_MINT = object()


@dataclass(frozen=True)
class Checked:
    """What a payload was accepted for.  Only this package makes one."""

    claim: Claim
    network_digest: str
    leaves: Counts
    mode: Mode
    mint: object

    def __post_init__(self) -> None:
        if self.mint is not _MINT:
            raise TypeError("only the kernel makes a Checked")


def all_remain(_network: Network, stream: Stream, _counts: Counts) -> Remaining:
    """No case is closed but by its region's tree.  The maker of a `Remaining` for one payload."""

    def remaining(region: Region) -> Region:
        if stream.varint():
            raise RejectedError("some cases are closed by slopes, which verify.kernel_slopes checks")
        return region

    return remaining


@dataclass(frozen=True)
class Path:
    """How to read what closes cases otherwise, and a region's tree.  Both raise RejectedError unless all is closed."""

    mode: Mode = "reference"
    others: Callable[[Network, Stream, Counts], Remaining] = all_remain
    region: Callable[[Network, Region, Stream, Counts], None] = prove_region


def check(query: Query, payload: bytes, claim: Claim, path: Path = Path()) -> Checked:
    """Check a payload against "no x satisfies assumption and violation" or "no x satisfies the assumption".

    Guarantee: exact integer arithmetic; the payload holds hints only.  `path` is another way to read it that makes
    the same integers, or knows more rules; the result names it.
    Raises RejectedError; QueryError as normal_form does.
    """
    stream, regions, counts = Stream(payload), claimed_regions(query, claim), Counts()
    if stream.varint() != len(regions):
        raise RejectedError(f"the query has {len(regions)} regions, the proof another number")
    remaining = path.others(query.network, stream, counts)
    for region in regions:
        rest = remaining(region)
        if rest is not None:
            path.region(query.network, rest, stream, counts)
    stream.finish()
    return Checked(claim, query.network.digest, counts, path.mode, _MINT)


def claimed_regions(query: Query, claim: Claim) -> Sequence[Region]:
    """The regions that must hold no point."""
    form = normal_form(query)
    if claim not in ("unsat", "vacuous"):
        raise RejectedError(f"unknown claim {claim!r}")
    return form.regions if claim == "unsat" else form.assumed
