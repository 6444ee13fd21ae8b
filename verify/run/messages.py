"""What the parent and its workers tell each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Union

from verify.core.report import NetworkInfo, Progress, Result
from verify.errors import VerifyError
from verify.run.deciding import Limits
from verify.run.reading import Outline, Request

# --- to a worker


@dataclass(frozen=True)
class Read:
    """Read a spec; `share` asks for the pickled Spec, for other workers (given anyway with several properties)."""

    request: Request
    share: bool


@dataclass(frozen=True)
class Load:
    """Take over a pickled Spec."""

    spec: bytes


@dataclass(frozen=True)
class Task:
    """Decide the part `part` of `parts` of a property until `deadline` (on the machine's monotonic clock).

    `record`: the result shall carry a record of its evidence; `hint`: the payload of an earlier proof.
    """

    property: int
    part: int
    parts: int
    deadline: float
    limits: Limits
    record: bool = False
    hint: bytes | None = None


# --- from a worker


@dataclass(frozen=True)
class Announced:
    """The spec's text is sound; its models come next."""

    outlines: tuple[Outline, ...]


@dataclass(frozen=True)
class Loaded:
    """The spec is there.  `seconds` is the time that reading took, without starting up."""

    header: Header
    seconds: float
    spec: bytes | None


@dataclass(frozen=True)
class Refused:
    """The spec cannot be read."""

    error: VerifyError


@dataclass(frozen=True)
class Advanced:
    progress: Progress


@dataclass(frozen=True)
class Settled:
    """The result of a task; None where the query has fewer parts.  `by_box`: parts cover disjoint inputs."""

    result: Result | None
    by_box: bool


@dataclass(frozen=True)
class Crashed:
    """An exception that should not have been."""

    problem: str
    out_of_memory: bool


@dataclass(frozen=True)
class Header:
    """What a report says of a spec besides its results."""

    file: str
    sha256: str
    networks: Mapping[str, NetworkInfo]
    params: Mapping[str, str]
    outlines: tuple[Outline, ...]


ToWorker = Union[Read, Load, Task]
FromWorker = Union[Announced, Loaded, Refused, Advanced, Settled, Crashed]
