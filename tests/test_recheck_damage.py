"""Evidence files with any part replaced by anything: no traceback, and nothing false is accepted."""

from __future__ import annotations

import json
import struct
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.core.test_canonical_json import values
from tests.evidence import kernel
from tests.run.conftest import Write, write
from verify import api
from verify.core.canonical_json import dumps, readable
from verify.core.certificate import MAGIC, encode
from verify.core.witness_file import WitnessFile
from verify.recheck import Checker, decode
from verify.run.recording import record_of, relative_to

__all__ = ["write"]
strange = values | st.sampled_from(
    ["p0", "p1", "forall", "exists", "PROVED", "and", "or", "<", "<=", "1/3", "0", -1, 2**40]
)
many = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=150)


@pytest.fixture
def files(write: Write, tmp_path: Path) -> tuple[bytes, bytes]:
    """A witness file of p0 and a certificate of p1, as they would be in `tmp_path`."""
    from verify.run import recording

    spec = api.read_spec(write(["n(s).y <= 0.5", "n(s).y <= 1"]))
    found = []
    for result, prop in zip(api.prove(spec), spec.properties, strict=True):
        record = record_of(replace(result, payload=b"proof", leaves=(("stub", 3),)), prop, spec)
        assert record is not None
        found.append(recording.encode(relative_to(tmp_path, record)))
    return found[0], found[1]


def replaced(data: st.DataObject, value: Any) -> Any:
    """The value with one node, drawn at random, replaced or removed."""
    if isinstance(value, (dict, list)) and value and data.draw(st.integers(0, 5)):
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        key = data.draw(st.sampled_from(keys))
        copy = value.copy()
        if data.draw(st.integers(0, 9)) == 0:
            del copy[key]
        else:
            copy[key] = replaced(data, value[key])
        return copy
    return data.draw(strange)


def judge(tmp_path: Path, damaged: bytes, original: bytes) -> None:
    """Rejected, or an error, or the same claim about the same query."""
    (tmp_path / "damaged").write_bytes(damaged)
    outcome = Checker(kernel=kernel).check(tmp_path / "damaged")
    assert outcome.exit_code in (0, 1, 3)
    if outcome.accepted:
        assert outcome.record is not None
        before, after = decode(original), outcome.record
        assert after.subject.query_digest == before.subject.query_digest
        if isinstance(after, WitnessFile) and isinstance(before, WitnessFile):
            assert {after.verdict, before.verdict} <= {"REFUTED", "FRAGILE"}
        else:
            assert after.verdict == before.verdict


@many
@given(st.data())
def test_headers(files: tuple[bytes, bytes], tmp_path: Path, data: st.DataObject) -> None:
    certificate = files[1]
    (length,) = struct.unpack_from("<I", certificate, len(MAGIC))
    start = len(MAGIC) + 4
    header = dumps(replaced(data, json.loads(certificate[start : start + length])))
    judge(tmp_path, MAGIC + struct.pack("<I", len(header)) + header + certificate[start + length :], certificate)


@many
@given(st.data())
def test_queries(files: tuple[bytes, bytes], tmp_path: Path, data: st.DataObject) -> None:
    record: Any = decode(files[1])
    query = dumps(replaced(data, json.loads(record.query)))
    judge(tmp_path, encode(replace(record, query=query)), files[1])


@many
@given(st.data())
def test_witnesses(files: tuple[bytes, bytes], tmp_path: Path, data: st.DataObject) -> None:
    judge(tmp_path, readable(replaced(data, json.loads(files[0]))), files[0])


@many
@given(st.binary(max_size=60), st.booleans())
def test_any_bytes(files: tuple[bytes, bytes], tmp_path: Path, noise: bytes, packed: bool) -> None:
    (length,) = struct.unpack_from("<I", files[1], len(MAGIC))
    head = files[1][: len(MAGIC) + 4 + length]
    judge(tmp_path, head + (zlib.compress(noise) if packed else noise), files[1])
    judge(tmp_path, noise, files[1])
