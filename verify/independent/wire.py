"""Protobuf's wire format: one message at a time, by a table of its fields.

Source: protobuf.dev/programming-guides/encoding.  Stricter than protobuf itself: a field that is not in the table, a
second value of a single field, a group and an overlong varint are refused, so that no two readers can disagree.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

from verify.independent.refusal import Allowance, RefusedError

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
LONGEST_VARINT = 10

# kind of field: the wire types that may carry it; the plural ones repeat, numbers also packed
WIRES: Mapping[str, tuple[int, ...]] = {
    "int": (VARINT,),
    "float": (FIXED32,),
    "text": (DELIMITED,),
    "bytes": (DELIMITED,),
    "message": (DELIMITED,),
    "ints": (VARINT, DELIMITED),
    "floats": (FIXED32, DELIMITED),
    "doubles": (FIXED64, DELIMITED),
    "texts": (DELIMITED,),
    "messages": (DELIMITED,),
    "ignored": (DELIMITED,),  # skipped unread
    "refused": (VARINT, FIXED64, DELIMITED, FIXED32),
}
SINGLE = frozenset(["int", "float", "text", "bytes", "message"])
Schema = Mapping[int, tuple[str, str]]  # field number: name, kind


def read_message(what: str, schema: Schema, data: memoryview, allowance: Allowance) -> dict[str, Any]:
    """The fields of one message by name.

    A single field is its value; a repeated one a list, `floats` and `doubles` the little-endian bytes of all values.
    Absent fields are absent.  Nested messages stay memoryviews.  Raises RefusedError.
    """
    found: dict[str, Any] = {}
    position, end = 0, len(data)
    while position < end:
        allowance.spend(1)
        tag, position = _varint(data, position)
        number, wire = tag >> 3, tag & 7
        value, position = _value(data, position, wire)
        if number not in schema:
            raise RefusedError(f"{what}: unknown field {number}")
        name, kind = schema[number]
        if wire not in WIRES[kind]:
            raise RefusedError(f"{what}: field {name} has wire type {wire}")
        if kind == "refused":
            raise RefusedError(f"{what}: {name} is not supported")
        if kind in SINGLE:
            if name in found:
                raise RefusedError(f"{what}: field {name} occurs twice")
            found[name] = _single(what, name, kind, value)
        elif kind != "ignored":
            _collect(what, found, (name, kind), value, allowance)
    return found


def _single(what: str, name: str, kind: str, value: Any) -> Any:
    if kind == "int":
        return _signed(value)
    if kind == "float":
        return struct.unpack("<f", value)[0]
    return _text(what, name, value) if kind == "text" else value


def _collect(what: str, found: dict[str, Any], field: tuple[str, str], value: Any, allowance: Allowance) -> None:
    """Append a value of a repeated field, or all of a packed one."""
    name, kind = field
    if kind in ("floats", "doubles"):
        if len(value) % (4 if kind == "floats" else 8):
            raise RefusedError(f"{what}: field {name} is cut short")
        found.setdefault(name, bytearray()).extend(value)
        return
    values: list[Any] = found.setdefault(name, [])
    if kind == "ints" and not isinstance(value, int):
        position = 0
        while position < len(value):
            allowance.spend(1)
            number, position = _varint(value, position)
            values.append(_signed(number))
    elif kind == "ints":
        values.append(_signed(value))
    else:
        values.append(_text(what, name, value) if kind == "texts" else value)


def _varint(data: memoryview, position: int) -> tuple[int, int]:
    """An unsigned varint below 2^64 in at most ten bytes, and the position after it."""
    result = 0
    for place in range(LONGEST_VARINT):
        if position + place >= len(data):
            raise RefusedError("the file ends inside a number")
        byte = data[position + place]
        result |= (byte & 0x7F) << (7 * place)
        if byte < 0x80:
            if result >= 1 << 64:
                break
            return result, position + place + 1
    raise RefusedError("a number of more than 64 bits")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _value(data: memoryview, position: int, wire: int) -> tuple[Any, int]:
    if wire == VARINT:
        return _varint(data, position)
    if wire == DELIMITED:
        length, position = _varint(data, position)
    elif wire in (FIXED32, FIXED64):
        length = 4 if wire == FIXED32 else 8
    else:
        raise RefusedError(f"wire type {wire} is not supported")
    if length > len(data) - position:
        raise RefusedError("the file ends inside a field")
    return data[position : position + length], position + length


def _text(what: str, name: str, value: memoryview) -> str:
    try:
        return str(value, "utf-8")
    except UnicodeDecodeError:
        raise RefusedError(f"{what}: {name} is no UTF-8 text") from None
