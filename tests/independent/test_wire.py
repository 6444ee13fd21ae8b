"""Protobuf's wire format: what is read, and what is refused."""

from __future__ import annotations

import struct

import pytest

from tests.independent.test_onnx_reader import nested, varint
from verify.independent.refusal import Allowance, RefusedError
from verify.independent.wire import Schema, read_message

SCHEMA: Schema = {
    1: ("number", "int"), 2: ("real", "float"), 3: ("name", "text"), 4: ("numbers", "ints"), 5: ("reals", "floats"),
    6: ("doubles", "doubles"), 7: ("parts", "messages"), 8: ("skipped", "ignored"), 9: ("never", "refused"),
    10: ("names", "texts"), 100: ("part", "message"),
}  # fmt: skip


def read(data: bytes, fields: int = 100) -> dict[str, object]:
    return read_message("message", SCHEMA, memoryview(data), Allowance("fields", fields))


def test_every_kind() -> None:
    two = struct.pack("<2f", 1.5, -2.0)
    data = b"".join([
        b"\x08", varint(2**63 + 5), b"\x15", struct.pack("<f", 0.1), nested(3, "é".encode()),
        b"\x20\x07", nested(4, varint(300) + varint(2**64 - 1)), b"\x20\x00",
        b"\x2d", two[:4], nested(5, two), nested(6, struct.pack("<d", 0.1)), b"\x31", struct.pack("<d", 3.0),
        nested(7, b"ab"), nested(7, b""), nested(8, b"\xff\xff"), nested(8, b""), nested(10, b"x"), nested(10, b"x"),
        nested(100, b"z"),
    ])  # fmt: skip
    assert read(data) == {
        "number": 5 - 2**63,
        "real": struct.unpack("<f", struct.pack("<f", 0.1))[0],
        "name": "é",
        "numbers": [7, 300, -1, 0],
        "reals": two[:4] + two,
        "doubles": struct.pack("<2d", 0.1, 3.0),
        "parts": [b"ab", b""],
        "names": ["x", "x"],
        "part": b"z",
    }
    assert read(b"") == {}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x08\x01\x08\x01", "field number occurs twice"),
        (nested(3, b"a") * 2, "field name occurs twice"),
        (b"\xf8\x0a\x01", "unknown field 175"),
        (b"\x00\x01", "unknown field 0"),
        (b"\x0a\x00", "field number has wire type 2"),
        (b"\x1d\0\0\0\0", "field name has wire type 5"),
        (b"\x40\x01", "field skipped has wire type 0"),
        (nested(9, b""), "never is not supported"),
        (b"\x0b", "wire type 3"),
        (b"\x0c", "wire type 4"),
        (b"\x0e", "wire type 6"),
        (b"\x08", "ends inside a number"),
        (b"\x08\x80", "ends inside a number"),
        (b"\x08" + b"\x80" * 9 + b"\x02", "more than 64 bits"),
        (b"\x08" + b"\x80" * 10 + b"\x01", "more than 64 bits"),
        (b"\x15\0\0\0", "ends inside a field"),
        (b"\x31\0\0\0\0\0\0\0", "ends inside a field"),
        (b"\x3a\x03ab", "ends inside a field"),
        (b"\x42\x03ab", "ends inside a field"),
        (nested(4, b"\x80"), "ends inside a number"),
        (nested(5, b"\0" * 6), "field reals is cut short"),
        (nested(6, b"\0" * 12), "field doubles is cut short"),
        (nested(3, b"\xff"), "no UTF-8 text"),
        (nested(10, b"\xff"), "no UTF-8 text"),
    ],
)
def test_refused(data: bytes, reason: str) -> None:
    with pytest.raises(RefusedError, match=reason):
        read(data)


def test_the_largest_number_and_a_padded_one() -> None:
    assert read(b"\x08" + b"\xff" * 9 + b"\x01") == {"number": -1}
    assert read(b"\x08\x85\x80\x00") == {"number": 5}


def test_fields_are_counted() -> None:
    assert read(b"\x20\x01" * 3, fields=3) == {"numbers": [1, 1, 1]}
    assert read(nested(4, b"\1\1"), fields=3) == {"numbers": [1, 1]}
    for data in (b"\x20\x01" * 4, nested(4, b"\1\1\1"), nested(8, b"") * 4):
        with pytest.raises(RefusedError, match="more than 3 fields"):
            read(data, fields=3)
