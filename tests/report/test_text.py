from __future__ import annotations

import io
import re
import shlex
from fractions import Fraction
from itertools import pairwise

import pytest

from tests.report.examples import INVOCATION, refuted, report, results, two_copies
from tests.report.golden import check_golden
from verify.core.report import Progress, Report
from verify.core.verdict import Verdict
from verify.report.progress import ProgressLine
from verify.report.terminal import plain, write
from verify.report.text import result_lines, summary_line


@pytest.mark.parametrize("name", list(results()))
def test_every_verdict_reads_as_agreed(name: str) -> None:
    check_golden(f"{name}.txt", plain(result_lines(results()[name], INVOCATION)))


def test_every_verdict_has_an_example() -> None:
    assert {r.verdict for r in results().values()} == set(Verdict)


def test_replay_command_is_exact_and_pastable() -> None:
    text = plain(result_lines(refuted(), INVOCATION))
    (command,) = (row.split("replay: ")[1] for row in text.splitlines() if "replay: " in row)
    assert shlex.split(command) == [
        *("verify", "eval", "cartpole.nnspec", "--network", "pi=policy v2.onnx", "-p", "eps=1/10"),
        *("--at", "s.x=0.3", "--at", "s.v=-3"),
    ]


def test_exact_values_survive_the_replay_command() -> None:
    result = results()["fragile"]
    assert result.witness is not None and result.query is not None
    text = plain(result_lines(result, INVOCATION))
    words = shlex.split(text.split("replay: ")[1])
    given = [Fraction(word.split("=")[1]) for flag, word in pairwise(words) if flag == "--at"]
    assert given == [f.physical(v) for f, v in zip(result.query.inputs, result.witness.x, strict=True)]


def test_infinite_replay_is_said() -> None:
    assert "ONNX Runtime 1.20.0: not finite, 1 – does not agree" in plain(result_lines(two_copies(), INVOCATION))


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["proved_bounds", "witnessed"], "2 properties: 1 PROVED, 1 WITNESSED – all hold (exit 0)"),
        (["proved_solver"], "1 property: 1 PROVED – all as expected (exit 0)"),
        (["proved_bounds", "refuted"], "2 properties: 1 PROVED, 1 REFUTED – not all hold (exit 1)"),
        (["refuted_tie_outside"], "1 property: 1 REFUTED – 1 not as expected (exit 1)"),
        (["unknown_timeout"], "1 property: 1 UNKNOWN – undecided (exit 4)"),
        (
            ["vacuous", "unknown_timeout"],
            "2 properties: 1 VACUOUS, 1 UNKNOWN – assumptions that no input satisfies (exit 5)",
        ),
        (["error", "refuted"], "2 properties: 1 REFUTED, 1 ERROR – the spec or the model cannot be used (exit 3)"),
    ],
)
def test_summary(names: list[str], expected: str) -> None:
    assert summary_line(report(*(results()[name] for name in names))).text == expected


def test_summary_of_an_empty_report_claims_nothing_but_itself() -> None:
    empty = Report("a.nnspec", "", {}, {}, ())
    assert summary_line(empty).text == "0 properties: none – nothing to decide (exit 0)"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_changes_no_character(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "40")
    for result in results().values():
        lines = result_lines(result, INVOCATION)
        terminal, pipe = Terminal(), io.StringIO()
        write(lines, terminal)
        write(lines, pipe)
        assert "\x1b[" in terminal.getvalue()
        assert "\x1b" not in pipe.getvalue()
        assert re.sub(r"\x1b\[[0-9;]*m", "", terminal.getvalue()) == pipe.getvalue()


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = Terminal()
    write(result_lines(refuted(), INVOCATION), terminal)
    assert "\x1b" not in terminal.getvalue()


def test_progress_line_is_live_and_erased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "60")
    terminal = Terminal()
    line = ProgressLine(terminal)
    line(Progress("lean_right", 3.21, 0.42199, 12, "bounds"))
    assert terminal.getvalue() == "\r\x1b[Klean_right  42.1 % settled  12 open  3.2 s  bounds"
    line.erase()
    line.erase()
    assert terminal.getvalue().endswith("bounds\r\x1b[K")


def test_progress_line_fits_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "20")
    terminal = Terminal()
    ProgressLine(terminal)(Progress("p" * 50, 1.0, 0.5, 1))
    assert len(terminal.getvalue()) == len("\r\x1b[K") + 19


def test_no_progress_when_piped() -> None:
    pipe = io.StringIO()
    line = ProgressLine(pipe)
    line(Progress("p", 1.0, 0.5, 1))
    line.erase()
    assert pipe.getvalue() == ""
