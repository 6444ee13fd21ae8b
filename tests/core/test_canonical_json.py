from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from verify.core.canonical_json import MAX_DEPTH, closed, depth, dumps, loads, readable, table
from verify.errors import RejectedError

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**14), 10**14)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda child: st.lists(child, max_size=3) | st.dictionaries(st.text(), child, max_size=3),
    max_leaves=8,
)


@given(values)
@example(-(10**14))  # as many digits as a number may have, and a sign
def test_round_trip(value: Any) -> None:
    assert loads(dumps(value), "it") == value
    assert loads(readable(value), "it", readable) == value


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"\xff",
        b'{"a":1,"a":1}',
        b'{"a":1,"a":2}',
        b'{ "a":1}',
        b'{"b":1,"a":2}',
        b"[1] ",
        b"1.0e0",
        b"NaN",
        b"Infinity",
        b"1e999",
        b"-0",
        b"1" * 16,
        b"9" * 10_000,
        b'"\\u0041"',
        b'"\xc3\xa9"',
        b"nul",
        b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
        b"[" * 10**6,
        b'{"a":' * 10**5,
        b'"',
        b'"\\"' + b"[" * 500,
    ],
)
def test_refused(data: bytes) -> None:
    with pytest.raises(RejectedError) as error:
        loads(data, "it")
    assert error.value.code == "E510" and error.value.message.startswith("it is")


def test_depth_counts_brackets_outside_texts() -> None:
    assert depth(b'[{"[[[\\"[[":[]}]') == 3
    assert loads(dumps(["[" * 500]), "it") == ["[" * 500]


def test_closed_schema() -> None:
    types = {"a": int, "b": (str, type(None)), "c": bool}
    good = {"a": 1, "b": None, "c": True}
    assert closed(good, types, "it") == good
    for bad in ([], {**good, "d": 1}, {"a": 1, "b": None}, {**good, "a": True}, {**good, "a": 1.0}, {**good, "c": 1}):
        with pytest.raises(RejectedError):
            closed(bad, types, "it")


def test_tables_are_of_one_type() -> None:
    assert table({"a": 1}, int, "it") == {"a": 1}
    for bad in ([], {"a": True}, {"a": "1"}, {"a": 1, "b": None}):
        with pytest.raises(RejectedError):
            table(bad, int, "it")
