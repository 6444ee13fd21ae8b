from __future__ import annotations

from xml.etree import ElementTree

from tests.report.golden import check_golden
from verify.ci.keep import CHECKED, DECIDED, Case
from verify.core.verdict import Verdict
from verify.errors import SpecError
from verify.report.ci import case_lines, markdown, totals
from verify.report.junit import junit_xml
from verify.report.terminal import plain

CASES = (
    Case("a.nnspec", "up", Verdict.PROVED, None, CHECKED, 0.01, "proofs/a/n.up.0.vcert"),
    Case(
        "a.nnspec", "down", Verdict.REFUTED, Verdict.PROVED, DECIDED, 1.5, problems=("REFUTED, but …", "it was PROVED")
    ),
    Case("a.nnspec", "n.old.1.vcert", problems=("this file is not …",), file="proofs/a/n.old.1.vcert"),
    Case("b <|>.nnspec", "", error=SpecError("E301", "no\x00 <spec>")),
)


def test_text() -> None:
    lines = [row for case in CASES for row in case_lines(case)]
    check_golden("ci.txt", plain([*lines, totals(CASES)]))


def test_markdown() -> None:
    text = markdown(CASES)
    rows = text.splitlines()
    assert rows[6].startswith("| ❌ | a.nnspec down") and rows[-1].startswith("| ✅")
    assert all(row.replace("\\|", "").count("|") == 7 for row in rows[4:])
    check_golden("ci.md", text)


def test_junit() -> None:
    text = junit_xml(CASES)
    root = ElementTree.fromstring(text.encode())
    assert (root.get("tests"), root.get("failures"), root.get("errors")) == ("4", "2", "1")
    assert [len(suite) for suite in root] == [3, 1]
    assert [case.find("failure") is not None for case in root[0]] == [False, True, True]
    assert root[1][0].find("error") is not None
    check_golden("ci.xml", text)


def test_all_is_well() -> None:
    assert totals(CASES[:1]).text == "1 case: 1 from stored evidence, 0 decided again; all is well (exit 0)"
