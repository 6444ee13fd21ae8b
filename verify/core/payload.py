"""A proof's payload: bytes, varints, opcodes.  Everything read is a hint; a malformed stream is rejected."""

from __future__ import annotations

MAX_VARINT_BYTES = 4096  # multipliers of exact leaves are long integers


class RejectedError(Exception):
    """A proof that does not prove its claim; the message names rule and place."""


class Stream:
    """A cursor over the payload."""

    def __init__(self, data: bytes | bytearray) -> None:
        self.data, self.at = data, 0

    def byte(self) -> int:
        if self.at >= len(self.data):
            raise RejectedError(f"the payload ends at byte {self.at}, in the middle of the proof")
        self.at += 1
        return self.data[self.at - 1]

    def varint(self) -> int:
        """An unsigned integer, seven bits a byte, lowest first."""
        number = shift = 0
        while True:
            byte = self.byte()
            number |= (byte & 127) << shift
            if byte < 128:
                return number
            shift += 7
            if shift > 7 * MAX_VARINT_BYTES:
                raise RejectedError(f"a number at byte {self.at} is too long")

    def signed(self) -> int:
        """A signed integer: 0, -1, 1, -2, 2, … as 0, 1, 2, 3, 4, …"""
        number = self.varint()
        return -(number >> 1) - 1 if number & 1 else number >> 1

    def finish(self) -> None:
        if self.at != len(self.data):
            raise RejectedError(f"{len(self.data) - self.at} bytes are left after the proof")


def varint(number: int) -> bytes:
    """What `Stream.varint` reads."""
    if number < 128:  # nearly all are
        return bytes((number,))
    out = bytearray()
    while number >= 128:
        out.append(128 | number & 127)
        number >>= 7
    out.append(number)
    return bytes(out)


def signed(number: int) -> bytes:
    """What `Stream.signed` reads."""
    return varint(2 * number if number >= 0 else -2 * number - 1)
