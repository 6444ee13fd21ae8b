"""The two forms of a certificate's body: both are read back byte by byte, and neither can be used to fill memory."""

from __future__ import annotations

import contextlib
import lzma
import struct
import time
import tracemalloc
import zlib
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.search.networks import network
from tests.strategies import box_rows, query_of
from verify.core import packing
from verify.core.packing import XZ, compress, decompress, pack, unpack
from verify.core.query import And, Row
from verify.core.query_text import encode
from verify.errors import EvidenceError, RejectedError


def text_of(lower: list[Fraction], upper: list[Fraction]) -> bytes:
    """A query over such a box."""
    d = len(lower)
    rows = [
        row for pair in zip(box_rows(lower, [0] * d)[:d], box_rows([0] * d, upper)[d:], strict=True) for row in pair
    ]
    net = network(d, ([(0, [[1] * d])], [0], False))
    return encode(query_of(net, And(tuple(rows)), Row.of({}, {0: 1}, Fraction(1, 3))))


NUMBERS = st.one_of(
    st.fractions(),
    st.floats(allow_nan=False, allow_infinity=False).map(Fraction),
    st.decimals(allow_nan=False, allow_infinity=False).map(Fraction),
    st.integers(-3, 3).map(Fraction),
)


@given(st.lists(st.tuples(NUMBERS, NUMBERS, st.booleans()), min_size=1, max_size=12), st.binary(max_size=9))
def test_queries_are_read_back(sides: list[tuple[Fraction, Fraction, bool]], payload: bytes) -> None:
    query = text_of([low for low, _, _ in sides], [low if same else high for low, high, same in sides])
    assert unpack(pack(query)) == query
    assert decompress(compress(query, payload)) == (query, payload)


@given(st.text(alphabet='0123456789/-"[],<=\x01\x02\x03\x04 x', max_size=60))
def test_anything_is_read_back_or_left_as_it_is(text: str) -> None:
    assert decompress(compress(text.encode(), b"p")) == (text.encode(), b"p")


@pytest.mark.parametrize(
    "name",
    ["4/10", "1/5", "01/5", "-0/5", "12/50 1/8", "1/50", "10/5", "5/0", "1/" + "1" + "0" * 500, "7/" + str(2**399)],
)
def test_names_that_look_like_numbers(name: str) -> None:
    query = f'{{"inputs":["{name}"],"x":"{name}"}}'.encode()
    assert decompress(compress(query, b"")) == (query, b"")


def test_long_queries_become_short() -> None:
    """Many inputs whose bounds are decimals of 16 places, as in files of other tools."""
    ends = [Fraction(k * 7919 % 10**4 * 10**12 + k * k * 104729 % 10**12, 10**16) for k in range(400)]
    query = text_of(ends, [end if k % 3 else end + Fraction(1 + k, 10**3) for k, end in enumerate(ends)])
    found = compress(query, b"\0")
    assert found.startswith(XZ) and 2 * len(found) < len(zlib.compress(query, 9))
    assert decompress(found) == (query, b"\0")


def test_short_ones_stay_as_they_were() -> None:
    """So are files of earlier versions: both forms are read."""
    assert compress(b'{"a":1}', b"\0proof") == zlib.compress(struct.pack("<I", 7) + b'{"a":1}' + b"\0proof", 9)


def body(query: bytes, payload: bytes = b"") -> bytes:
    return lzma.compress(struct.pack("<I", len(query)) + query + payload)


def refused(data: bytes) -> str:
    with pytest.raises(RejectedError) as caught:
        decompress(data)
    assert caught.value.code == "E510"
    return str(caught.value)


@pytest.mark.parametrize(
    "query",
    [
        b"\xff",
        b"\x05",
        b"\x01a\x03b",
        b"a\x03",
        b"\x011\x03",
        b"\x041",
        b"x\x041",
        b"1\x04",
        b"1\x04x",
        b"1\x04999",
        b"1\x04401",
        b"-\x041",
    ],
)
def test_damaged_marks_are_refused(query: bytes) -> None:
    assert "packed query" in refused(body(query))


def test_damaged_files_are_refused() -> None:
    whole = body(b'{"a":1}', b"\0proof")
    for length in range(len(XZ), len(whole)):
        refused(whole[:length])
    assert "follow" in refused(whole + b"x")
    for place in range(len(XZ), len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 16
        refused(bytes(damaged))


def test_bombs_are_refused() -> None:
    assert packing.MAX_PACKED <= 1 << 20
    tracemalloc.start()
    try:
        assert "decompresses to more" in refused(lzma.compress(bytes(1 << 26)))
        assert "decompresses to more" in refused(body(b"x" * (1 << 20)))
        assert "decompresses to more" in refused(body(b"\x011\x031\x03" * (1 << 17)))
        assert "decompresses to more" in refused(body(b"1\x04400 " * (1 << 17)))
        assert tracemalloc.get_traced_memory()[1] < 1 << 28
    finally:
        tracemalloc.stop()
    assert "damaged" in refused(lzma.compress(b"x", filters=[{"id": lzma.FILTER_LZMA2, "dict_size": 1 << 30}]))


ODD = [
    b"1",
    b"\x01",
    b"1/",
    b"1/3 ",
    b"1/" + str(2**399).encode() + b" ",
    b"1\x040x",
    b"9x1\x04400",
    b"x1\x040",
    b"1" * 997 + b"x1\x040",
    b"9" * 2000 + b"\x044",
    b"-" + b"7" * 399 + b"/" + b"3" * 400,
]


@pytest.mark.parametrize("piece", ODD)
def test_odd_texts_take_no_longer(piece: bytes) -> None:
    """As long as may be, they are read or refused, and written, in seconds and some dozen megabytes."""
    text = piece * ((1 << 20) // len(piece) - 1)
    tracemalloc.start()
    began = time.process_time()
    with contextlib.suppress(RejectedError):
        decompress(body(text))
    decompress(compress(text, b""))
    seconds, most = time.process_time() - began, tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert seconds < 30 and most < 1 << 28


def test_a_python_without_xz_reads_and_writes_the_other_form(monkeypatch: pytest.MonkeyPatch) -> None:
    query = text_of([Fraction(k, 10**9) for k in range(200)], [Fraction(1)] * 200)
    packed = compress(query, b"p")
    monkeypatch.setattr(packing, "find_spec", lambda _: None)
    plain = compress(query, b"p")
    assert packed.startswith(XZ) and not plain.startswith(XZ) and decompress(plain) == (query, b"p")
    with pytest.raises(EvidenceError, match="xz"):
        decompress(packed)
