"""Messages through a pipe: length, then a pickle.

Both ends are this program, and the pipe is private to them: nothing from outside is ever unpickled.
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from typing import Any, BinaryIO

LENGTH_BYTES = 8


def encode(message: object) -> bytes:
    data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return len(data).to_bytes(LENGTH_BYTES, "little") + data


def write(descriptor: int, message: object) -> None:
    """Raises BrokenPipeError when the other end is gone."""
    rest = memoryview(encode(message))
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def read(stream: BinaryIO) -> Any:
    """The next message; None when the other end is gone."""
    head = stream.read(LENGTH_BYTES)
    size = int.from_bytes(head, "little")
    data = stream.read(size) if len(head) == LENGTH_BYTES else b""
    if not data or len(data) < size:
        return None
    return pickle.loads(data)


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
