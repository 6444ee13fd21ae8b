"""The standalone command: a certificate, a model and a VNN-LIB file, read and checked without the rest of the package.

Exit codes: 0 accepted, 1 rejected, 2 wrong call, 3 a file is not read.
"""

from __future__ import annotations

import hashlib
import sys
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TextIO

from verify.core.query import Query
from verify.errors import VerifyError
from verify.independent.onnx_reader import read_network
from verify.independent.refusal import RefusedError
from verify.independent.vnnlib_reader import read_query

ACCEPTED, REJECTED, USAGE, NOT_READ = 0, 1, 2, 3
MOST_BYTES = 64 << 20
GZIP = b"\x1f\x8b"
WITH_HEADER = 31  # zlib: gzip header and trailer


@dataclass(frozen=True)
class Case:
    """What a certificate is checked against: the exact query as read here, and the un-gzipped files' SHA-256 (hex)."""

    query: Query
    model_sha256: str
    spec_sha256: str


class NotAcceptedError(Exception):
    """The certificate does not prove its claim about these files; the message says why."""


Check = Callable[[bytes, Case], str]  # what was checked, for people; raises NotAcceptedError


def run(arguments: Sequence[str], check: Check, *, out: TextIO | None = None) -> int:
    """Check one certificate; writes one line of outcome.  Result: the exit code.  Never raises for bad files."""
    out = sys.stdout if out is None else out
    if len(arguments) != 3:
        out.write("usage: CERTIFICATE MODEL SPEC\n")
        return USAGE
    try:
        certificate, model, spec = map(read_file, arguments)
        case = read_case(model, spec)
    except (RefusedError, VerifyError) as problem:
        out.write(f"not read: {problem}\n")
        return NOT_READ
    try:
        checked = check(certificate, case)
    except (NotAcceptedError, VerifyError) as problem:
        out.write(f"rejected: {problem}\n")
        return REJECTED
    out.write(f"accepted: {checked}\n")
    return ACCEPTED


def read_case(model: bytes, spec: bytes) -> Case:
    """The query of two files.  Raises RefusedError."""
    try:
        text = spec.decode("utf-8")
    except UnicodeDecodeError:
        raise RefusedError("the spec is no UTF-8 text") from None
    query = read_query(text, read_network(model))
    return Case(query, hashlib.sha256(model).hexdigest(), hashlib.sha256(spec).hexdigest())


def read_file(path: str) -> bytes:
    """A file's bytes, un-gzipped, at most MOST_BYTES.  Raises RefusedError."""
    try:
        with open(path, "rb") as stream:
            data = stream.read(MOST_BYTES + 1)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else problem
        raise RefusedError(f"{path}: {reason}") from None
    if data[:2] == GZIP:
        data = _unpacked(path, data)
    if len(data) > MOST_BYTES:
        raise RefusedError(f"{path}: more than {MOST_BYTES} bytes")
    return data


def _unpacked(path: str, data: bytes) -> bytes:
    unpacker = zlib.decompressobj(WITH_HEADER)
    try:
        unpacked = unpacker.decompress(data, MOST_BYTES + 1)
    except zlib.error as problem:
        raise RefusedError(f"{path}: a damaged gzip file: {problem}") from None
    if len(unpacked) <= MOST_BYTES and (not unpacker.eof or unpacker.unused_data):
        raise RefusedError(f"{path}: a damaged gzip file, or several in one")
    return unpacked
