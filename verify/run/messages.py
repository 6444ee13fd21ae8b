"""What the parent and its workers tell each other, and how it goes through a pipe: length, then a pickle.

Both ends are this program, the pipe is private to them: nothing from outside is ever unpickled.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO, Union

from verify.core.report import NetworkInfo, Progress, Result
from verify.errors import VerifyError
from verify.run.deciding import Limits
from verify.run.reading import Outline, Request

# --- to a worker


@dataclass(frozen=True)
class Read:
    """Read a spec; `share` asks for the pickled Spec, for other workers."""

    request: Request
    share: bool


@dataclass(frozen=True)
class Load:
    """Take over a pickled Spec."""

    spec: bytes


@dataclass(frozen=True)
class Task:
    """Decide the part `part` of `parts` of a property until `deadline` (on the machine's monotonic clock)."""

    property: int
    part: int
    parts: int
    deadline: float
    limits: Limits


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
LENGTH_BYTES = 8


def encode(message: ToWorker | FromWorker) -> bytes:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH_BYTES, "little") + data


def write(descriptor: int, message: ToWorker | FromWorker) -> None:
    """Raises BrokenPipeError when the other end is gone."""
    rest = memoryview(encode(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read(stream: BinaryIO) -> ToWorker | None:
    """The next message; None when the other end is gone."""
    head = stream.read(LENGTH_BYTES)
    size = int.from_bytes(head, "little")
    data = stream.read(size) if len(head) == LENGTH_BYTES else b""
    if not data or len(data) < size:
        return None
    message: ToWorker = pickle.loads(data)
    return message


class Decoder:
    """Messages out of what has arrived so far."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> Iterator[Any]:
        self._data += data
        while len(self._data) >= LENGTH_BYTES:
            end = LENGTH_BYTES + int.from_bytes(self._data[:LENGTH_BYTES], "little")
            if len(self._data) < end:
                return
            message = pickle.loads(memoryview(self._data)[LENGTH_BYTES:end])
            self._data = self._data[end:]
            yield message
