"""`verify fmt`: specs in canonical layout."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable, Sequence
from pathlib import Path

from verify.cli import options
from verify.cli.options import Command


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    return functools.partial(execute, tuple(dict.fromkeys(values.FILE)), check=values.check)


def execute(files: Sequence[str], *, check: bool) -> int:
    """Format the files in place, or standard input to standard output for `-`; the exit code."""
    from verify.cli.output import complain, emit_lines, emit_text  # start-up time
    from verify.core.report import EXIT_ERROR, EXIT_OK
    from verify.errors import InputError
    from verify.report.terminal import line

    changed = failed = 0
    for file in files:
        try:
            text, wanted = _formatted(file)
            if file == "-" and not check:
                emit_text(wanted)
            elif text != wanted:
                changed += 1
                if not check:
                    _replace(Path(file), wanted)
                emit_lines([line("would change " if check else "changed ", file)])
        except InputError as error:
            failed += 1
            complain(error)
    if failed:
        return EXIT_ERROR
    return 1 if check and changed else EXIT_OK


def _formatted(file: str) -> tuple[str, str]:
    """The text of a file as it is, and as it should be."""
    import sys

    from verify.errors import Place, SpecError
    from verify.run.reading import read_text
    from verify.spec.layout import format_text

    if file != "-":
        text, _ = read_text(Path(file), SpecError)
        return text, format_text(text, file)
    try:
        text = sys.stdin.buffer.read().decode("utf-8")
    except UnicodeDecodeError as problem:
        place = Place("<stdin>")
        raise SpecError("E392", f"not UTF-8 text (byte {problem.start})", fix="save it as UTF-8", place=place) from None
    return text, format_text(text, "<stdin>")


def _replace(path: Path, text: str) -> None:
    """Write the whole file or nothing.  Raises SpecError E393."""
    import os  # start-up time
    import shutil
    import tempfile

    from verify.errors import Place, SpecError

    target, temporary = path.resolve(), ""
    try:
        handle, temporary = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        with os.fdopen(handle, "wb") as stream:
            stream.write(text.encode("utf-8"))
        shutil.copymode(target, temporary)
        os.replace(temporary, target)
    except OSError as problem:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        reason = problem.strerror or str(problem)
        raise SpecError(
            "E393", f"cannot be written: {reason}", fix="check its permissions", place=Place(str(path))
        ) from None


COMMAND = Command(
    name="fmt",
    argument="FILE",
    argument_help=".nnspec files; `-` reads standard input and writes standard output",
    summary="bring specs into canonical layout",
    description="Bring specs into canonical layout: one declaration or statement per line, two spaces of indent,\n"
    "aligned fields. Comments, and line breaks inside a statement, stay.",
    epilog="Exit code: 0; with --check 1 when a file would change; 3 when a file cannot be read or does not parse.",
    options=(options.CHECK,),
    prepare=prepare,
    many=True,
)
