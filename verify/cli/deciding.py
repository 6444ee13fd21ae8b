"""The work of `verify run`: read, decide, report as results come, and end in order whatever happens."""

from __future__ import annotations

import hashlib
import sys
from dataclasses import dataclass, field
from pathlib import Path

from verify import api
from verify.cli.output import EXIT_INTERRUPTED, complain, emit_document, emit_lines
from verify.cli.run import Request
from verify.cli.signals import Interruptions
from verify.core.property import selects
from verify.core.report import Progress, Report, Result
from verify.core.verdict import Verdict
from verify.errors import DefectError, UsageError, VerifyError
from verify.report.document import result_document
from verify.report.progress import ProgressLine
from verify.report.replay_command import Invocation
from verify.report.text import result_lines, summary_line
from verify.run.process import WorkerProcess


@dataclass
class _Observer:
    """Shows results as they are settled and remembers them for an interruption."""

    request: Request
    line: ProgressLine
    interruptions: Interruptions
    results: list[Result] = field(default_factory=list)
    header: api.Header | None = None

    def on_spec(self, header: api.Header) -> None:
        self.header = header

    def on_progress(self, progress: Progress) -> None:
        self.line(progress)

    def on_result(self, result: Result) -> None:
        self.line.erase()
        with self.interruptions.held():
            self.results.append(result)
            if not self.request.json:
                emit_lines(
                    result_lines(
                        result, Invocation(self.request.spec, self.request.given_networks, self.request.given_params)
                    )
                )


def execute(request: Request, first: WorkerProcess | None) -> int:
    """Read, decide, report; the exit code.  `first` is a worker that has been started."""
    with Interruptions() as interruptions:
        observer = _Observer(request, ProgressLine(sys.stderr), interruptions)
        try:
            report = api.prove_files(
                request.spec,
                networks=request.networks,
                params=request.params,
                properties=request.properties or None,
                timeout=request.timeout,
                memory=request.memory,
                seed=request.seed,
                semantics=request.semantics,
                jobs=request.jobs,
                certificates=request.certificates,
                on_progress=observer.on_progress,
                on_result=observer.on_result,
                on_spec=observer.on_spec,
                first=first,
            )
        except (UsageError, DefectError):
            raise
        except VerifyError as error:
            interruptions.ignore()
            return _failed(observer, error)
        except KeyboardInterrupt:
            interruptions.ignore()
            return _interrupted(observer)
        finally:
            observer.line.erase()
        interruptions.ignore()
        return _finished(request, report)


def _finished(request: Request, report: Report) -> int:
    if request.json:
        emit_document(result_document(report))
        for result in report:
            if result.error is not None:
                complain(result.error)
    else:
        emit_lines([summary_line(report)])
    return report.exit_code


def _failed(observer: _Observer, error: VerifyError) -> int:
    """The spec or a model cannot be used: say so on stderr, and as a document if one is wanted."""
    request = observer.request
    complain(error)
    stem = Path(request.spec).name.removesuffix(".gz")
    name = stem.rsplit(".", 1)[0] if "." in stem[1:] else stem
    observer.results.append(Result(name, Verdict.ERROR, 0.0, error=error, settled=0.0, origin=error.place))
    report = _report(observer)
    if request.json:
        emit_document(result_document(report))
    return report.exit_code


def _interrupted(observer: _Observer) -> int:
    """Ctrl-C: finished results stay, those at work are UNKNOWN."""
    request, header = observer.request, observer.header
    report = _report(observer)
    if request.json:
        emit_document(result_document(report))
    elif header is None:
        sys.stderr.write("interrupted\n")
    else:
        wanted = request.properties
        chosen = [o for o in header.outlines if not wanted or any(selects(p, o.name) for p in wanted)]
        emit_lines([summary_line(report, interrupted=True, total=len(chosen))])
    return EXIT_INTERRUPTED


def _report(observer: _Observer) -> Report:
    """A report made here, when `prove_files` could not return one."""
    header, results, request = observer.header, tuple(observer.results), observer.request
    if header is not None:
        return Report(header.file, header.sha256, header.networks, dict(header.params), results, request.semantics)
    return Report(request.spec, _sha256(request.spec), {}, request.params, results, request.semantics)


def _sha256(file: str) -> str:
    """Of the file's bytes; empty when it cannot be read."""
    try:
        path = Path(file)
        return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
    except (OSError, ValueError):
        return ""
