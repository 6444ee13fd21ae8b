"""The console entry `verify`: reads the call, runs one command, turns every end into an exit code."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import TYPE_CHECKING

from verify.errors import DefectError, UsageError, VerifyError

if TYPE_CHECKING:
    from verify.cli.options import Command

EXIT_BROKEN_PIPE = 141  # as a shell reports a process that SIGPIPE ended

# Modules of this package by the command they hold, imported when it is called: all of them cost 10 ms.
COMMANDS = {
    "run": "run",
    "check": "check",
    "ci": "ci",
    "check-spec": "check_spec",
    "fmt": "fmt",
    "eval": "eval",
    "inspect": "inspect",
    "lower": "lower",
    "export": "export",
    "verify": "standard",
    "supports": "supports",
    "lsp": "lsp",
}
QUERY_SUFFIXES = (".vnnlib", ".vnnlib.gz", ".txt")  # alone they mean `verify verify`, as VNN-LIB's callers expect


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (default: the process's) and return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # more threads cost CPU seconds here and win no time
    _prepare_streams()
    try:
        code = _dispatch(words)
    except DefectError as problem:
        return _defect(problem)
    except VerifyError as error:
        from verify.cli.output import complain
        from verify.core.report import EXIT_ERROR, EXIT_USAGE

        complain(error)
        return EXIT_USAGE if isinstance(error, UsageError) else EXIT_ERROR
    except KeyboardInterrupt:
        from verify.cli.output import EXIT_INTERRUPTED

        sys.stderr.write("interrupted\n")
        return EXIT_INTERRUPTED
    except BrokenPipeError:
        return EXIT_BROKEN_PIPE
    except Exception as problem:  # noqa: BLE001 - the edge of the program
        return _defect(problem)
    return code


def _dispatch(words: list[str]) -> int:
    first, rest = (words[0] if words else None), words[1:]
    if first in ("--version", "-V"):
        return _version()
    if first == "--name":
        return _name()
    if first in ("--help", "-h"):
        return _help()
    if first is not None and first.endswith(QUERY_SUFFIXES):
        first, rest = "verify", words
    if first in COMMANDS:
        command = load_command(first)
        if "--help" in rest or "-h" in rest:
            from verify.cli.output import emit_text

            emit_text(command.help())
            return 0
        return command.prepare(command.parse(rest))()
    raise _unknown(first)


def load_command(name: str) -> Command:
    """One of COMMANDS."""
    command: Command = import_module(f"verify.cli.{COMMANDS[name]}").COMMAND
    return command


def _unknown(word: str | None) -> UsageError:
    """Name the nearest command or option."""
    from verify.cli.options import nearest

    names = ", ".join(COMMANDS)
    if word is None:
        return UsageError("E011", "no command is given", fix=f"one of {names}; `verify --help` explains them")
    if word.startswith("-"):
        flag = word.split("=", 1)[0]
        near = nearest(flag, ["--version", "--name", "--help"])
        fix = f"did you mean {near}? Options of a command come after it ({names})"
        return UsageError("E012", f"no such option: {flag}", fix=fix)
    if word.endswith((".vcert", ".witness")):
        fix = f"did you mean `verify check {word}`?"
    elif word.endswith(".nnspec"):
        fix = f"did you mean `verify run {word}`?"
    elif word.endswith(".onnx"):
        fix = f"did you mean `verify inspect {word}`?"
    else:
        fix = f"did you mean `verify {nearest(word, list(COMMANDS))}`? The commands are {names}"
    return UsageError("E011", f"no such command: {word}", fix=fix)


def _version() -> int:
    from verify import __version__
    from verify.cli.output import emit_text

    emit_text(f"{__version__}\n")
    return 0


def _name() -> int:
    from verify.cli.output import emit_text

    emit_text("policyproof\n")
    return 0


def _help() -> int:
    from verify.cli.output import emit_text

    commands = map(load_command, COMMANDS)
    rows = "".join(f"  {f'{c.name} {c.usage}':18}{c.summary}\n" for c in commands)
    emit_text(
        "usage: verify COMMAND …\n\nCan this neural policy ever do that?\n\n"
        f"commands:\n{rows}\n"
        "options:\n  --version       show the version\n  --name          show the name\n"
        "  --help          show this help; also after a command\n"
    )
    return 0


def _prepare_streams() -> None:
    """Never fail on a character the terminal lacks, on a closed stream, or on a long exact number."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="replace")
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)


def _defect(problem: Exception) -> int:
    from verify.core.report import EXIT_DEFECT

    if os.environ.get("VERIFY_DEBUG") == "1":
        import traceback

        traceback.print_exception(problem)
    text = " ".join((problem.message if isinstance(problem, DefectError) else str(problem)).split())
    name = "" if isinstance(problem, DefectError) else f"internal error: {type(problem).__name__}{': ' if text else ''}"
    sys.stderr.write(
        f"verify: {name}{text}\n"
        "  This is a defect of verify, not of your spec or model; no verdict was given.\n"
        "  Please report it with the command, the files and the output of the same call under VERIFY_DEBUG=1.\n"
    )
    return EXIT_DEFECT
