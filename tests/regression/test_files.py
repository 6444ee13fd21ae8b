"""A damaged .gz file ended in a traceback: zlib.error is no OSError."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

import verify


def test_damaged_gzip_body(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(b"(declare-const X_0 Real)\n" * 200, mtime=0))
    data[14:24] = b"\xff" * 10
    file = tmp_path / "p.vnnlib.gz"
    file.write_bytes(data)
    with pytest.raises(verify.VnnlibError) as caught:
        verify.read_spec(file, networks={"": tmp_path / "none.onnx"})
    assert caught.value.code == "E291"
