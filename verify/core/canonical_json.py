"""JSON that has exactly one text per value, for files that are not trusted (standard library only)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, NoReturn

from verify.errors import RejectedError

MAX_DEPTH = 100
MAX_INTEGER_DIGITS = 15
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)
_BRACKET = re.compile(rb"[\[\]{}]")


def dumps(value: Any) -> bytes:
    """ASCII, keys sorted, no blanks.  Floats keep their shortest text; NaN and infinity are refused."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def readable(value: Any) -> bytes:
    """The same, one entry a line."""
    return (json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def loads(data: bytes, what: str, write: Callable[[Any], bytes] = dumps) -> Any:
    """The value of a text in the canonical form that `write` gives.

    Raises RejectedError E510: not JSON, not canonical, nested too deeply, a key twice, a number too long.
    """
    if depth(data) > MAX_DEPTH:
        raise malformed(f"{what} is nested too deeply")
    try:
        value = json.loads(data, object_pairs_hook=_without_repetition, parse_int=_integer, parse_constant=_no_constant)
    except (ValueError, RecursionError) as problem:
        raise malformed(f"{what} is not JSON: {' '.join(str(problem).split())[:200]}") from None
    try:
        canonical = write(value) == data
    except ValueError:  # 1e999 reads as infinity
        canonical = False
    if not canonical:
        raise malformed(f"{what} is not in canonical form")
    return value


def malformed(message: str) -> RejectedError:
    return RejectedError("E510", message)


def closed(value: Any, types: Mapping[str, type | tuple[type, ...]], what: str) -> dict[str, Any]:
    """`value` as an object with exactly these keys, of these types.  Raises RejectedError E510."""
    if not isinstance(value, dict):
        raise malformed(f"{what} is not an object")
    for key in types:
        if key not in value:
            raise malformed(f"{what} has no {key!r}")
    for key, entry in value.items():
        if key not in types:
            raise malformed(f"{what} has an unknown key {key[:40]!r}")
        expected = types[key]
        if not isinstance(entry, expected) or (isinstance(entry, bool) and expected is not bool):
            raise malformed(f"{what}: {key!r} has the wrong type")
    return value


def table(value: Any, kind: type, what: str) -> dict[str, Any]:
    """`value` as an object whose entries are all of one type.  Raises RejectedError E510."""
    if not isinstance(value, dict) or not all(type(entry) is kind for entry in value.values()):
        raise malformed(f"{what} is not a table of {kind.__name__}")
    return value


def depth(data: bytes) -> int:
    """How deep brackets nest outside strings (or deeper, where a string does not end): json's own reader recurses."""
    deepest = depth = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key is given twice")
    return found


def _integer(text: str) -> int:
    digits = len(text.removeprefix("-"))
    if digits > MAX_INTEGER_DIGITS:
        raise ValueError(f"an integer of {digits} digits")
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is not a number")
