"""The work of `verify run`: read, decide, report as results come, and end in order whatever happens."""

from __future__ import annotations

import hashlib
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from verify import api
from verify.cli.output import EXIT_INTERRUPTED, complain, emit_document, emit_lines
from verify.cli.run import Request
from verify.core.report import Progress, Report, Result
from verify.core.verdict import Verdict
from verify.errors import UsageError, VerifyError
from verify.report.document import result_document
from verify.report.progress import ProgressLine
from verify.report.replay_command import Invocation
from verify.report.text import result_lines, summary_line


@dataclass
class _Observer:
    """Shows results as they are settled and remembers them for an interruption."""

    request: Request
    line: ProgressLine
    results: list[Result] = field(default_factory=list)
    latest: Progress | None = None
    started: float = field(default_factory=time.monotonic)

    def on_progress(self, progress: Progress) -> None:
        self.latest = progress
        self.line(progress)

    def on_result(self, result: Result) -> None:
        self.line.erase()
        self.results.append(result)
        self.latest = None
        self.started = time.monotonic()
        if not self.request.json:
            emit_lines(
                result_lines(
                    result, Invocation(self.request.spec, self.request.given_networks, self.request.given_params)
                )
            )


def execute(request: Request) -> int:
    """Read, decide, report; the exit code."""
    observer = _Observer(request, ProgressLine(sys.stderr))
    spec: api.Spec | None = None
    try:
        spec = api.read_spec(request.spec, networks=request.networks, params=request.params)
        report = api.prove(
            spec,
            properties=request.properties or None,
            timeout=request.timeout,
            memory=request.memory,
            seed=request.seed,
            on_progress=observer.on_progress,
            on_result=observer.on_result,
        )
    except UsageError:
        raise
    except VerifyError as error:
        observer.line.erase()
        return _failed(request, spec, [*observer.results, _error_result(request, error)])
    except KeyboardInterrupt:
        if spec is None:
            raise
        return _interrupted(request, spec, observer)
    finally:
        observer.line.erase()
    if request.json:
        emit_document(result_document(report))
        for result in report:
            if result.error is not None:
                complain(result.error)
    else:
        emit_lines([summary_line(report)])
    return report.exit_code


def _failed(request: Request, spec: api.Spec | None, results: list[Result]) -> int:
    """The spec or a model cannot be used: say so on stderr, and as a document if one is wanted."""
    error = results[-1].error
    assert error is not None
    complain(error)
    report = _report(request, spec, results)
    if request.json:
        emit_document(result_document(report))
    return report.exit_code


def _interrupted(request: Request, spec: api.Spec, observer: _Observer) -> int:
    """Ctrl-C: finished results stay, the one at work is UNKNOWN."""
    chosen = [p for p in spec.properties if not request.properties or p.name in request.properties]
    done = len(observer.results)
    if done < len(chosen):
        at_work = chosen[done]
        observer.on_result(
            Result(
                name=at_work.name,
                verdict=Verdict.UNKNOWN,
                seconds=time.monotonic() - observer.started,
                title=at_work.title,
                source=at_work.source,
                expected=at_work.expected,
                reason="interrupted",
                settled=observer.latest.settled if observer.latest else 0.0,
                query=at_work.query,
                origin=at_work.origin,
                warnings=at_work.warnings,
                notes=at_work.notes,
            )
        )
    report = _report(request, spec, observer.results)
    if request.json:
        emit_document(result_document(report))
    else:
        emit_lines([summary_line(report, interrupted=True, total=len(chosen))])
    return EXIT_INTERRUPTED


def _report(request: Request, spec: api.Spec | None, results: list[Result]) -> Report:
    """A report made here, when `prove` could not return one."""
    if spec is not None:
        return Report(spec.file, spec.sha256, api.network_infos(spec), dict(spec.params), tuple(results))
    return Report(request.spec, _sha256(request.spec), {}, request.params, tuple(results))


def _error_result(request: Request, error: VerifyError) -> Result:
    return Result(_stem(request.spec), Verdict.ERROR, 0.0, error=error, settled=0.0, origin=error.place)


def _stem(file: str) -> str:
    name = Path(file).name.removesuffix(".gz")
    return name.rsplit(".", 1)[0] if "." in name[1:] else name


def _sha256(file: str) -> str:
    """Of the file's bytes; empty when it cannot be read."""
    try:
        path = Path(file)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except (OSError, ValueError):
        return ""
