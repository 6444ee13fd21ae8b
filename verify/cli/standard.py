"""`verify verify`: the VNN-LIB standard's interface of a solver.

The first line of stdout is the verdict, and only a verdict is printed there; everything else goes to stderr.  Any
verdict exits 0.  Callers kill at the very second they name, so that the answer is due before it.
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from verify.cli import options
from verify.cli.options import Command, Option

if TYPE_CHECKING:
    from verify.core.report import Result

WORDS = {"PROVED": "unsat", "VACUOUS": "unsat", "REFUTED": "sat", "FRAGILE": "sat"}
STYLES = {
    "vnnlib": {"timeout": "timed-out", "unknown": "unknown"},
    "vehicle": {"timeout": "timeout", "unknown": "timeout"},  # it knows sat, unsat and timeout only
}
DEFAULT_SECONDS = 60.0
ANSWER_SHARE, ANSWER_LEAST_S = 0.05, 0.35  # of the time, and seconds, kept back to end the work and to answer
LAST_MOMENT_S = 0.12  # before the end: answer whatever the work is at
START_UP_AT_MOST_S = 10.0


@dataclass(frozen=True)
class Request:
    """A checked call."""

    query: str
    networks: dict[str, str]
    timeout: float
    memory: float | None
    seed: int
    jobs: int
    style: str
    strict_types: bool
    text_file: str | None
    folder: str | None


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    options.check_limit(options.TIMEOUT, values.timeout)
    options.check_limit(options.MEMORY, values.memory)
    options.check_seed(values.seed)
    options.check_jobs(values.jobs)
    request = Request(
        query=values.QUERY,
        networks=options.parse_networks(values.network),
        timeout=values.timeout,
        memory=values.memory,
        seed=values.seed,
        jobs=values.jobs,
        style=getattr(values, VERDICT_STYLE.name),
        strict_types=getattr(values, STRICT_TYPES.name),
        text_file=values.assignments,
        folder=getattr(values, SERIALISE.name),
    )
    return functools.partial(_execute, request)


def _execute(request: Request) -> int:
    from verify.core import child
    from verify.run.process import WorkerProcess

    age = child.age_s()
    started = age if age < START_UP_AT_MOST_S else 0.0  # an older process was not started for this call
    first: WorkerProcess | None = None
    with _last_moment(request, request.timeout - started) as answering:
        try:
            if child.possible():
                first = WorkerProcess(request.jobs)
            return _decide(request, started, first, answering)
        finally:
            if first is not None:
                first.close()


def _decide(request: Request, started: float, first: object, answering: threading.Lock) -> int:
    from verify import api
    from verify.cli.output import complain, emit_text
    from verify.core.report import EXIT_DEFECT, EXIT_ERROR
    from verify.errors import DefectError, UsageError, VerifyError
    from verify.run.process import WorkerProcess

    assert first is None or isinstance(first, WorkerProcess)
    kept = max(ANSWER_LEAST_S, ANSWER_SHARE * request.timeout)
    seconds = max(min(0.1, request.timeout / 2), request.timeout - started - kept)
    try:
        report = api.prove_files(
            request.query,
            networks=request.networks,
            timeout=seconds,
            memory=request.memory,
            seed=request.seed,
            jobs=request.jobs,
            first=first,
            standard=True,
            strict_types=request.strict_types,
        )
    except (UsageError, DefectError):
        raise
    except VerifyError as error:
        complain(error)
        return EXIT_ERROR
    (result,) = report.results
    if result.error is not None:
        complain(result.error)
        return EXIT_DEFECT if isinstance(result.error, DefectError) else EXIT_ERROR
    lines = _answer(request, result)
    with answering:
        emit_text("".join(f"{line}\n" for line in lines))
    return 0


def _answer(request: Request, result: Result) -> list[str]:
    """The verdict and the assignment; what is to be said besides goes to stderr."""
    from verify.core.verdict import Verdict

    word = WORDS.get(str(result.verdict))
    notes = [*result.warnings, *result.notes]
    if result.verdict is Verdict.FRAGILE:
        notes.append("satisfied over the real numbers, but not reproduced in the model's own float arithmetic")
    if result.verdict is Verdict.VACUOUS:
        notes.append("the constraints on the inputs contradict each other")
    for note in notes:
        sys.stderr.write(f"note: {note}\n")
    if word is None:
        return [STYLES[request.style]["timeout" if result.reason == "timeout" else "unknown"]]
    return [word, *_assignment(request, result)] if word == "sat" else [word]


def _assignment(request: Request, result: Result) -> list[str]:
    """The lines for stdout; none when the assignment is written elsewhere."""
    from pathlib import Path

    from verify.errors import InputError, VnnlibError
    from verify.report.assignments import assignments, write_text
    from verify.run.reading import read_text

    assert result.query is not None and result.witness is not None
    text, _ = read_text(Path(request.query), VnnlibError)
    found = assignments(text, request.query, request.networks, result.query, result.witness)
    try:
        if request.folder is not None:
            from verify.importer.tensors import write_tensor

            folder = Path(request.folder)
            folder.mkdir(parents=True, exist_ok=True)
            for a in found:
                path = folder / f"{a.name}.pb"
                write_tensor(path, a.name, element_type=a.element_type, shape=a.shape, values=a.values)
        if request.text_file is not None:
            write_text(Path(request.text_file), found)
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise InputError(
            "E015", f"the assignment cannot be written: {reason}", fix="check the path and its folder"
        ) from problem
    elsewhere = request.folder is not None or request.text_file is not None
    return [] if elsewhere else [line for a in found for line in a.lines()]


@contextmanager
def _last_moment(request: Request, seconds: float) -> Iterator[threading.Lock]:
    """Say that time is up just before it is, whatever the work is at; whoever holds the lock answers."""
    answering = threading.Lock()

    def answer() -> None:
        if answering.acquire(blocking=False):
            os.write(1, f"{STYLES[request.style]['timeout']}\n".encode())
            os._exit(0)

    timer = threading.Timer(min(max(seconds - LAST_MOMENT_S, 0.5 * seconds, 0.05), threading.TIMEOUT_MAX), answer)
    timer.daemon = True
    timer.start()
    try:
        yield answering
    finally:
        timer.cancel()


VERDICT_STYLE = Option(
    ("--verdict-style",),
    "|".join(STYLES),
    "the words for a verdict: the standard's, or those that Vehicle understands",
    default="vnnlib",
    choices=tuple(STYLES),
)
STRICT_TYPES = Option(
    ("--strict-types",), "", "refuse float types: what is decided is the network over the real numbers", kind=bool
)
SERIALISE = Option(("--serialise-assignments",), "DIR", "write a satisfying assignment as DIR/NAME.pb, ONNX tensors")
ASSIGNMENTS = Option(("--assignments",), "FILE", "write a satisfying assignment to FILE instead of stdout")
TIMEOUT = Option(("--timeout",), "S", "answer within so many seconds, start-up included; default 60", kind=float,
                 default=DEFAULT_SECONDS)  # fmt: skip

COMMAND = Command(
    name="verify",
    argument="QUERY",
    argument_help="a VNN-LIB file",
    summary="decide a VNN-LIB query: sat, unsat, unknown or timed-out",
    description="Decide a VNN-LIB query as the standard asks a solver to. `verify QUERY.vnnlib …` does the same.",
    epilog="The first line of stdout is sat, unsat, unknown or timed-out; for sat the assignment follows.\n"
    "Exit code: 0 for any verdict, 2 wrong usage, 3 query or model unusable, 70 a defect of verify.",
    options=(
        options.NETWORK,
        TIMEOUT,
        ASSIGNMENTS,
        SERIALISE,
        VERDICT_STYLE,
        STRICT_TYPES,
        options.MEMORY,
        options.JOBS,
        options.SEED,
    ),
    prepare=prepare,
)
