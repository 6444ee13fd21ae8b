"""Writing to stdout and stderr."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from verify.core.report import EXIT_ERROR
from verify.errors import MOST_ERRORS, InputError, VerifyError
from verify.report.document import dumps, error_fields
from verify.report.terminal import Line, write

EXIT_INTERRUPTED = 130


def emit_lines(lines: Iterable[Line]) -> None:
    """Readable lines on stdout, at once."""
    with _writing():
        write(lines, sys.stdout)


def emit_document(document: Mapping[str, Any]) -> None:
    """One JSON document on stdout."""
    emit_text(dumps(document))


def emit_text(text: str) -> None:
    with _writing():
        sys.stdout.write(text)
        sys.stdout.flush()


@contextmanager
def _writing() -> Iterator[None]:
    """A full disk is an error with a fix; a reader that has gone is left to `main`."""
    try:
        yield
    except BrokenPipeError:
        silence_stdout()
        raise
    except OSError as problem:
        silence_stdout()
        reason = problem.strerror or str(problem)
        raise InputError("E015", f"the answer cannot be written: {reason}", fix="check where stdout goes") from problem


def silence_stdout() -> None:
    """Send what is still buffered nowhere, or the interpreter complains about it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def complain(error: VerifyError) -> None:
    """An error, and further ones found with it, on stderr: code, place, caret, fix."""
    sys.stderr.write("\n\n".join(map(str, (error, *error.more))) + "\n")
    if error.more:
        count = len(error.more) + 1
        rest = "; more may show once these are mended" if count >= MOST_ERRORS else ""
        sys.stderr.write(f"\n{count} errors{rest}\n")
    sys.stderr.flush()


def explain_failure(error: VerifyError, document: Mapping[str, Any] | None) -> int:
    """An unusable input: the error on stderr and, where JSON is wanted, in `document` on stdout; the exit code."""
    complain(error)
    if document is not None:
        emit_document({**document, "error": error_fields(error)})
    return EXIT_ERROR


def write_file(file: str, text: str) -> None:
    """Write a report.  Raises InputError E015."""
    try:
        with open(file, "w", encoding="utf-8", errors="backslashreplace") as stream:
            stream.write(text)
    except (OSError, ValueError) as problem:
        raise InputError("E015", f"{file} cannot be written: {problem}", fix="name another file") from None
