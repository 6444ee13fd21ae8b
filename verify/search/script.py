"""A stream for mending proofs: steps can be put in front of what is left, and what was read is remembered."""

from __future__ import annotations

from verify.core.payload import Stream


class Script(Stream):
    """A stream that can be added to in front, and remembers what was read."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self.taken = bytearray()

    def byte(self) -> int:
        value = super().byte()
        self.taken.append(value)
        return value

    def insert(self, data: bytes) -> None:
        """These bytes come next."""
        self.data, self.at = data + self.data[self.at :], 0

    def replace_last(self, data: bytes) -> None:
        """Forget the last byte read, and read these instead."""
        self.taken.pop()
        self.insert(data)
