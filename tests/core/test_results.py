"""Verdicts, exit codes and reports."""

import itertools

import pytest

from verify.core.budget import Budget
from verify.core.report import EXIT_ORDER, Report, Result
from verify.core.verdict import Evidence, Verdict
from verify.errors import Place, VnnlibError

CODES = {
    Verdict.PROVED: 0,
    Verdict.WITNESSED: 0,
    Verdict.REFUTED: 1,
    Verdict.FRAGILE: 1,
    Verdict.NO_WITNESS: 1,
    Verdict.UNKNOWN: 4,
    Verdict.ERROR: 3,
    Verdict.VACUOUS: 5,
}


def report(*verdicts: Verdict) -> Report:
    return Report("a.nnspec", "", {}, {}, tuple(Result(f"p{i}", v, 0.0) for i, v in enumerate(verdicts)))


@pytest.mark.parametrize("verdict", Verdict)
def test_exit_code_of_one_verdict(verdict: Verdict) -> None:
    assert report(verdict).exit_code == Result("p", verdict, 0.0).exit_code == CODES[verdict]


def test_the_worst_code_wins() -> None:
    assert EXIT_ORDER == (70, 3, 1, 5, 4, 0)
    for count in (2, 3):
        for verdicts in itertools.permutations(Verdict, count):
            codes = {CODES[v] for v in verdicts}
            assert report(*verdicts).exit_code == next(c for c in (3, 1, 5, 4, 0) if c in codes)
    assert report().exit_code == 0


@pytest.mark.parametrize("expected", [v for v in Verdict if v is not Verdict.ERROR])
@pytest.mark.parametrize("verdict", Verdict)
def test_expectations_decide_the_code(expected: Verdict, verdict: Verdict) -> None:
    code = Result("p", verdict, 0.0, expected=expected).exit_code
    assert code == (3 if verdict is Verdict.ERROR else 0 if verdict is expected else 1)


def test_nothing_is_a_truth_value() -> None:
    for value in (Verdict.PROVED, Result("p", Verdict.PROVED, 0.0), report(Verdict.PROVED)):
        with pytest.raises(TypeError, match="not a truth value"):
            bool(value)


def test_a_report_is_a_collection_by_name() -> None:
    both = report(Verdict.PROVED, Verdict.REFUTED)
    assert len(both) == 2
    assert [r.name for r in both] == ["p0", "p1"]
    assert both["p1"].verdict is Verdict.REFUTED
    with pytest.raises(KeyError, match="no property 'q'; there are p0, p1"):
        both["q"]


def test_reprs() -> None:
    result = Result("p", Verdict.UNKNOWN, 1.5, reason="timeout", evidence=Evidence.BOUNDS)
    assert repr(result) == "Result('p', UNKNOWN, reason='timeout', evidence='bounds', 1.50 s)"
    assert repr(report(Verdict.NO_WITNESS)) == "Report('a.nnspec', 1 properties)\n  Result('p0', NO WITNESS, 0.00 s)"


def test_budget() -> None:
    assert Budget(5.0, lambda: 4.0).exhausted() is None
    assert Budget(5.0, lambda: 5.0).exhausted() == "timeout"
    assert Budget(5.0, lambda: 4.0, 100.0, lambda: 101.0).exhausted() == "memory"
    assert Budget(5.0, lambda: 4.0).remaining() == 1.0


def test_errors_show_their_place() -> None:
    error = VnnlibError("E206", "unknown", fix="declare it", place=Place("f", 3, 3, 2, "\tab"))
    assert str(error) == "error[E206]: unknown\n  --> f:3:3\n   3 |     ab\n            ^^\n  = help: declare it"
    assert str(VnnlibError("E203", "empty", place=Place("f"))) == "error[E203]: empty\n  --> f"
