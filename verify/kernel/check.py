"""The kernel's one entry: a network, a query, a payload; a value that says what was checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from verify.core.network import Network
from verify.core.normal_form import Region, normal_form
from verify.core.query import Query
from verify.kernel.slopes import Differences
from verify.kernel.stream import RejectedError, Stream
from verify.kernel.walk import prove_region

Claim = Literal["unsat", "vacuous"]
Mode = Literal["reference", "fast"]
RULE = "K1"
_MINT = object()


@dataclass(frozen=True)
class Checked:
    """What a payload was accepted for.  Only this package makes one."""

    claim: Claim
    network_digest: str
    leaves: dict[str, int]  # by the rule that closed them
    mode: Mode
    mint: object

    def __post_init__(self) -> None:
        if self.mint is not _MINT:
            raise TypeError("only the kernel makes a Checked")


class Follow(Protocol):
    """Reads one region's proof off the stream and counts leaves by rule.  Raises RejectedError unless all close."""

    @property
    def mode(self) -> Mode: ...

    def __call__(self, network: Network, region: Region, stream: Stream, counts: dict[str, int]) -> None: ...

    def differences(self, network: Network, stream: Stream, counts: dict[str, int]) -> Differences:
        """What reads the cases that slopes close."""
        ...


class Reference:
    """The plain path: this package alone."""

    mode: Mode = "reference"

    def __call__(self, network: Network, region: Region, stream: Stream, counts: dict[str, int]) -> None:
        prove_region(network, region, stream, counts)

    def differences(self, network: Network, stream: Stream, counts: dict[str, int]) -> Differences:
        return Differences(network, stream, counts)


def check(query: Query, payload: bytes, claim: Claim, follow: Follow | None = None) -> Checked:
    """Check a payload against "no x satisfies assumption and violation" or "no x satisfies the assumption".

    Guarantee: exact integer arithmetic; the payload holds hints only.  `follow` is another way to read a region's proof
    that makes the same integers; the result names it.
    Raises RejectedError; QueryError as normal_form does.
    """
    follow = follow or Reference()
    stream = Stream(payload)
    regions = claimed_regions(query, claim)
    counts: dict[str, int] = {}
    if stream.varint() != len(regions):
        raise RejectedError(f"the query has {len(regions)} regions, the proof another number")
    differences = follow.differences(query.network, stream, counts)
    for region in regions:
        remaining = differences.remaining(region)
        if remaining is not None:
            follow(query.network, remaining, stream, counts)
    stream.finish()
    return Checked(claim, query.network.digest, counts, follow.mode, _MINT)


def claimed_regions(query: Query, claim: Claim) -> Sequence[Region]:
    """The regions that must hold no point."""
    form = normal_form(query)
    if claim == "unsat":
        return form.regions
    if claim == "vacuous":
        return form.assumed
    raise RejectedError(f"unknown claim {claim!r}")
