"""Verdicts in readable text."""

from __future__ import annotations

from collections import Counter

from verify.core.report import (
    EXIT_DEFECT,
    EXIT_ERROR,
    EXIT_OK,
    EXIT_UNKNOWN,
    EXIT_VACUOUS,
    EXIT_VIOLATED,
    Report,
    Result,
)
from verify.core.verdict import Evidence, Verdict
from verify.report.numbers import percent
from verify.report.replay_command import Invocation
from verify.report.terminal import WIDTH, Line, line
from verify.report.witness import witness_lines

_STYLE = {
    Verdict.PROVED: "bold green",
    Verdict.WITNESSED: "bold green",
    Verdict.REFUTED: "bold red",
    Verdict.NO_WITNESS: "bold red",
    Verdict.ERROR: "bold red",
    Verdict.FRAGILE: "bold yellow",
    Verdict.VACUOUS: "bold yellow",
    Verdict.UNKNOWN: "bold yellow",
}
_RESTS_ON = {
    Evidence.KERNEL: "a proof that the independent kernel accepted in exact arithmetic",
    Evidence.BOUNDS: "outward-rounded float64 bounds; there is no certificate",
    Evidence.SOLVER: "the solver Z3; there is no certificate",
}
_HINT = {
    "timeout": "raise --timeout, or narrow the assumptions",
    "memory": "raise --memory, or narrow the assumptions",
}
_ORDER = (
    Verdict.PROVED,
    Verdict.WITNESSED,
    Verdict.REFUTED,
    Verdict.NO_WITNESS,
    Verdict.FRAGILE,
    Verdict.VACUOUS,
    Verdict.UNKNOWN,
    Verdict.ERROR,
)
_MEANING = {
    EXIT_DEFECT: "a defect of verify",
    EXIT_ERROR: "the spec or the model cannot be used",
    EXIT_VACUOUS: "assumptions that no input satisfies",
    EXIT_UNKNOWN: "undecided",
}


def result_lines(result: Result, invocation: Invocation) -> list[Line]:
    """One result: its verdict, what it rests on, and the witness if there is one."""
    lines = [_header(result), *_source(result)]
    if result.expected is not None and result.expected is not result.verdict:
        lines.append(
            line("  ", ("unexpected", "bold red"), f": the spec says @expect({result.expected.value.lower()})")
        )
    lines += _body(result, invocation)
    lines += [line("  ", ("warning: ", "yellow"), text) for text in result.warnings]
    lines += [line("  ", ("note: ", "dim"), text) for text in result.notes]
    return lines


def summary_line(report: Report, *, interrupted: bool = False, total: int | None = None) -> Line:
    """Counts, and what the exit code says."""
    if interrupted:
        settled = sum(result.reason != "interrupted" for result in report.results)
        of = len(report.results) if total is None else total
        return line(f"interrupted: {settled} of {_properties(of)} settled (exit 130)")
    counts = Counter(result.verdict for result in report.results)
    parts = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _ORDER if counts[verdict])
    return line(f"{_properties(len(report))}: {parts or 'none'} – {_meaning(report)} (exit {report.exit_code})")


def _properties(count: int) -> str:
    return f"{count} propert{'y' if count == 1 else 'ies'}"


def _meaning(report: Report) -> str:
    unexpected = sum(r.expected is not None and r.expected is not r.verdict for r in report.results)
    if not report.results:
        return "nothing to decide"
    if report.exit_code == EXIT_OK:
        if any(r.expected is not None for r in report.results):
            return "all as expected"
        return "all hold"
    if report.exit_code == EXIT_VIOLATED:
        return f"{unexpected} not as expected" if unexpected else "not all hold"
    return _MEANING[report.exit_code]


def of_float32(result: Result) -> bool:
    """Whether the verdict says something of every float32 evaluation."""
    return result.semantics == "float32" and result.verdict in (Verdict.PROVED, Verdict.NO_WITNESS)


def _header(result: Result) -> Line:
    title = f'  "{result.title}"' if result.title else ""
    as_expected = "  (as expected)" if result.expected is result.verdict else ""
    float32 = "  (float32, any evaluation order)" if of_float32(result) else ""
    verdict, rest = str(result.verdict).ljust(8), f"{float32}  {result.name}{title}{as_expected}"
    seconds = f"{result.seconds:.2f} s"
    gap = max(2, WIDTH - len(verdict) - len(rest) - len(seconds))
    return line((verdict, _STYLE[result.verdict]), rest, " " * gap, (seconds, "dim"))


def _source(result: Result) -> list[Line]:
    """`cartpole.nnspec:18  assert …`"""
    if result.origin is None or result.verdict is Verdict.ERROR:
        return []
    place = f"{result.origin.file}:{result.origin.line}" if result.origin.line else result.origin.file
    source = " ".join((result.source or result.origin.source).split())
    return [line("  ", (place, "dim"), f"  {source}" if source else "")]


def _body(result: Result, invocation: Invocation) -> list[Line]:
    verdict = result.verdict
    if verdict is Verdict.ERROR:
        return [line("  " + row) for row in str(result.error or "unknown error").splitlines()]
    if verdict is Verdict.UNKNOWN:
        return _unknown(result)
    lines = []
    if verdict is Verdict.VACUOUS:
        lines.append(line("  no input satisfies the assumptions, so nothing was shown"))
    if verdict is Verdict.NO_WITNESS:
        lines.append(line("  no input that satisfies the assumptions satisfies the assert"))
    if result.evidence is not None:
        path = f" ({result.kernel_mode} path)" if result.kernel_mode else ""
        lines.append(line("  ", ("rests on: ", "dim"), _RESTS_ON[result.evidence] + path))
    if verdict is Verdict.VACUOUS:
        lines.append(
            line("  ", ("hint: ", "dim"), "look for an `assume` that contradicts another one or an input's range")
        )
    if result.witness is not None and result.query is not None:
        lines += witness_lines(result.witness, result.query, result.steps, invocation=invocation)
    if result.certificate is not None:
        lines.append(line("  ", ("evidence: ", "dim"), result.certificate))
    return lines


_REASON = {
    "timeout": "out of time",
    "memory": "out of memory",
    "interrupted": "interrupted",
    "relaxation": "undecided",
    "rounding": "undecided",
}


def _unknown(result: Result) -> list[Line]:
    reason = _REASON.get(result.reason or "", result.reason or "no reason given")
    lines = [line(f"  {reason} after {result.seconds:.1f} s; {percent(result.settled)} of the input domain is settled")]
    hint = _HINT.get(result.reason or "")
    return [*lines, line("  ", ("hint: ", "dim"), hint)] if hint else lines
