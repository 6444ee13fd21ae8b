"""What `verify ci` says: a line per property, and a summary in Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from verify.ci.keep import CHECKED, DECIDED, Case
from verify.core.report import worst_exit_code
from verify.report.terminal import Line, line, printable

_HOW = {CHECKED: "stored evidence accepted", DECIDED: "decided again"}


def case_lines(case: Case) -> list[Line]:
    """One case: well or not, and why not."""
    word, style = ("ok", "green") if not case.exit_code else ("FAILED", "bold red")
    verdict = "" if case.verdict is None else f"{case.verdict}  "
    how = f"  ({_HOW[case.how]}, {case.seconds:.2f} s)" if case.how else ""
    lines = [line((word.ljust(7), style), f" {verdict}{_title(case)}{how}")]
    return lines + [line("        ", text) for text in problems(case)]


def problems(case: Case) -> list[str]:
    """Everything that is wrong."""
    found = [*case.problems]
    if case.error is not None:
        found.append(f"[{case.error.code}] {' '.join(case.error.message.split())}")
    return list(map(printable, found))


def totals(cases: Sequence[Case]) -> Line:
    """Counts, and the exit code."""
    checked, decided = (sum(case.how == how for case in cases) for how in (CHECKED, DECIDED))
    failed = sum(case.exit_code != 0 for case in cases)
    code = worst_exit_code(case.exit_code for case in cases)
    text = f"{len(cases)} case{'s' if len(cases) != 1 else ''}: {checked} from stored evidence, {decided} decided again"
    return line(f"{text}; {f'{failed} failed' if failed else 'all is well'} (exit {code})")


def markdown(cases: Sequence[Case]) -> str:
    """A summary for a job's page or a comment; failures first."""
    rows = [totals(cases).text, "", "| | property | verdict | how | seconds | |", "|---|---|---|---|---|---|"]
    for case in sorted(cases, key=lambda c: c.exit_code == 0):
        cells = (
            "✅" if not case.exit_code else "❌",
            _title(case),
            "" if case.verdict is None else str(case.verdict),
            _HOW.get(case.how, ""),
            f"{case.seconds:.2f}" if case.how else "",
            "; ".join(problems(case)),
        )
        rows.append("| " + " | ".join(_cells(cells)) + " |")
    return "\n".join(["## verify ci", "", *rows]) + "\n"


def _title(case: Case) -> str:
    return f"{case.spec} {case.name}".rstrip()


def _cells(texts: Iterable[str]) -> list[str]:
    """Texts that cannot end a cell or start markup."""
    marks = str.maketrans({mark: f"\\{mark}" for mark in "\\|`<>[]*_"} | {"\n": " ", "\r": " "})
    return [text.translate(marks) for text in texts]
