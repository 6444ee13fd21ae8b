from __future__ import annotations

import json
import struct
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.core import packing
from verify.core.canonical_json import dumps
from verify.core.certificate import MAGIC, MAX_HEADER, Certificate, FileRef, Subject, decode, encode
from verify.errors import EvidenceError, RejectedError, VerifyError

SUBJECT = Subject(
    "p",
    FileRef("../s.nnspec", "0a" * 32),
    {"pi": FileRef("../m.onnx", "1b" * 32), "q": FileRef("q.onnx", "2c" * 32)},
    {"eps": "1/10"},
    "3d" * 32,
    "4e" * 32,
    producer={"name": "policyproof", "version": "1"},
)
EXAMPLE = Certificate(SUBJECT, "PROVED", b'{"a":1}', b"\0proof", {"K1": 3, "exact": 0})


def parts(data: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack_from("<I", data, len(MAGIC))
    start = len(MAGIC) + 4
    return json.loads(data[start : start + length]), data[start + length :]


def with_header(header: bytes, rest: bytes) -> bytes:
    return MAGIC + struct.pack("<I", len(header)) + header + rest


def reheaded(**change: Any) -> bytes:
    header, rest = parts(encode(EXAMPLE))
    header.update(change)
    return with_header(dumps({key: value for key, value in header.items() if value is not ...}), rest)


def with_body(body: bytes) -> bytes:
    header, _ = parts(encode(EXAMPLE))
    return with_header(dumps(header), zlib.compress(body))


@pytest.mark.parametrize("verdict", ["PROVED", "NO WITNESS", "VACUOUS"])
def test_round_trip(verdict: str) -> None:
    written = Certificate(SUBJECT, verdict, b'{"a":1}', b"\0proof", {"K1": 3})
    assert decode(encode(written)) == written
    assert written.claim == ("vacuous" if verdict == "VACUOUS" else "unsat")


@given(st.binary(max_size=200), st.binary(max_size=200))
def test_any_query_and_payload(query: bytes, payload: bytes) -> None:
    written = Certificate(SUBJECT, "PROVED", query, payload, {})
    assert decode(encode(written)) == written


def refused(data: bytes, code: str = "E510") -> str:
    with pytest.raises(VerifyError) as error:
        decode(data)
    assert error.value.code == code
    assert isinstance(error.value, RejectedError if code == "E510" else EvidenceError)
    return error.value.message


def test_every_truncation_is_refused() -> None:
    data = encode(EXAMPLE)
    for length in range(len(data)):
        refused(data[:length])


def test_no_flipped_bit_changes_what_is_read() -> None:
    """Hashes can be forged, which the checker finds; all else is refused or says the same."""
    data = encode(EXAMPLE)
    for position in range(8 * len(data)):
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        try:
            found = decode(bytes(flipped))
        except VerifyError as error:
            assert error.code in ("E502", "E510")
        else:
            assert (found.query, found.payload) == (EXAMPLE.query, EXAMPLE.payload)


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"rule": ...},
        {"rule": 1},
        {"claim": "vacuous"},
        {"claim": "sat"},
        {"verdict": "REFUTED"},
        {"verdict": "VACUOUS"},
        {"semantics": "float"},
        {"leaves": {"a": -1}},
        {"leaves": {"a": "1"}},
        {"leaves": []},
        {"leaves": {"a": True}},
        {"network_digest": "3D" * 32},
        {"query_digest": "4e" * 31},
        {"query_digest": None},
        {"spec": {"file": "s", "sha256": "x" * 64}},
        {"spec": {"file": "", "sha256": "0a" * 32}},
        {"spec": "s"},
        {"spec": {"file": "a\0b", "sha256": "0a" * 32}},
        {"spec": {"file": "s", "sha256": "0a" * 32, "more": 1}},
        {"networks": {"pi": "m"}},
        {"networks": []},
        {"params": {"eps": 1}},
        {"params": None},
        {"lowering": True},
        {"lowering": "1"},
        {"lowering": 10**20},
        {"producer": {"name": "x"}},
        {"producer": {"name": "x", "version": 1}},
        {"property": 1},
        {"property": None},
    ],
)
def test_headers_of_another_schema_are_refused(change: dict[str, Any]) -> None:
    refused(reheaded(**change))


def test_headers_that_are_not_canonical_are_refused() -> None:
    header, rest = parts(encode(EXAMPLE))
    good = dumps(header)
    refused(with_header(json.dumps(header).encode(), rest))
    refused(with_header(json.dumps(dict(reversed(header.items())), separators=(",", ":")).encode(), rest))
    refused(with_header(good.replace(b'{"claim":', b'{"claim":"unsat","claim":', 1), rest))
    refused(with_header(good + b" ", rest))
    refused(with_header(b"[" * 10_000, rest))
    refused(with_header(b"[]", rest))


def test_other_versions_are_not_supported() -> None:
    refused(b"VCERT 2\n" + encode(EXAMPLE)[8:], "E502")
    refused(reheaded(rule="K9"), "E502")
    assert "not a certificate" in refused(b"\x7fELF")


def test_lengths_are_limited_before_they_are_believed() -> None:
    refused(MAGIC + struct.pack("<I", MAX_HEADER + 1) + b"{}")
    refused(MAGIC + struct.pack("<I", 0xFFFFFFFF) + b"{}")
    refused(with_body(struct.pack("<I", 0xFFFFFFFF) + b"{}"))
    refused(with_body(b"\1"))


def test_bombs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    most = packing.MAX_BODY
    monkeypatch.setattr(packing, "MAX_BODY", 1 << 16)
    assert "more than" in refused(with_body(struct.pack("<I", 0) + bytes(1 << 16)))
    decode(with_body(struct.pack("<I", 0) + bytes((1 << 16) - 4)))
    assert most <= 1 << 27


def test_one_whole_stream_and_nothing_more() -> None:
    data = encode(EXAMPLE)
    assert "follow" in refused(data + b"x")
    assert "follow" in refused(data + zlib.compress(b"x"))
    header, rest = parts(data)
    damaged = bytearray(rest)
    damaged[-1] ^= 1  # of the checksum
    refused(with_header(dumps(header), bytes(damaged)))
    refused(with_header(dumps(header), b""))
