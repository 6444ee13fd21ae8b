"""JUnit XML of `verify ci`: a suite per spec, a test case per property."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from verify.ci.keep import CHECKED, Case
from verify.report.ci import problems

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit_xml(cases: Sequence[Case]) -> str:
    """The document.  A failure is a problem with evidence or verdict, an error an input that cannot be used."""
    root = ElementTree.Element("testsuites", {"name": "verify ci", **_counts(cases)})
    for spec in dict.fromkeys(case.spec for case in cases):
        own = [case for case in cases if case.spec == spec]
        suite = ElementTree.SubElement(root, "testsuite", {"name": _text(spec), **_counts(own)})
        for case in own:
            seconds = f"{case.seconds:.3f}"
            node = ElementTree.SubElement(
                suite, "testcase", classname=_text(spec), name=_text(case.name or spec), time=seconds
            )
            if case.exit_code:
                message = _text("; ".join(problems(case)))
                kind = "failure" if case.error is None else "error"
                ElementTree.SubElement(node, kind, message=message, type="evidence").text = message
            if case.verdict is not None:
                how = "from stored evidence" if case.how == CHECKED else "decided again"
                ElementTree.SubElement(node, "system-out").text = f"{case.verdict}, {how}"
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _counts(cases: Sequence[Case]) -> dict[str, str]:
    errors = sum(case.error is not None for case in cases)
    failures = sum(case.exit_code != 0 for case in cases) - errors
    seconds = sum(case.seconds for case in cases)
    return {"tests": str(len(cases)), "failures": str(failures), "errors": str(errors), "time": f"{seconds:.3f}"}


def _text(text: str) -> str:
    """Without characters that XML cannot hold."""
    return _FORBIDDEN.sub("�", text)
