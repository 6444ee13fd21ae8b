"""A kernel that accepts the payload b"proof", and specs with evidence to check."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from verify.core.query import Query
from verify.errors import RejectedError


@dataclass(frozen=True)
class Accepted:
    claim: str
    network_digest: str
    leaves: Mapping[str, int] = field(default_factory=lambda: {"stub": 3})
    mode: str = "reference"
    depth: int = 2


def kernel(query: Query, payload: bytes, claim: str) -> Accepted:
    if payload != b"proof":
        raise RejectedError("E512", "rule stub, leaf 2: the bound is not above 0")
    return Accepted(claim, query.network.digest)
