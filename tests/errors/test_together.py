"""Several wrong properties in one file: every mistake is reported, and no other."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from tests.errors.cases import HEADER, Case, all_cases, expanded
from verify.spec.diagnose import diagnose

ONE_PROPERTY = re.compile(r"@header\n((?:@[^\n]*\n)*property p( \"[^\n]*\")? \{\n(?:[^\n]*\n)*\})\s*")


def alone(case: Case) -> bool:
    """Whether the case is the standard header and one property with one mistake."""
    match = ONE_PROPERTY.fullmatch(case.source)
    final = case.code in ("E304", "E308", "E344")  # told alone, or looked for only when nothing else is wrong
    return match is not None and case.expected.count("error[") == 1 and not final


CASES = [case for case in all_cases() if alone(case)]


def codes(text: str) -> list[str]:
    return sorted(e.code for e in diagnose(text, "f.nnspec", {}).errors)


def test_there_are_many() -> None:
    assert len(CASES) >= 80
    assert len({case.code for case in CASES}) >= 20


@given(st.lists(st.sampled_from(CASES), min_size=2, max_size=12))
def test_all_are_told(chosen: list[Case]) -> None:
    bodies = []
    for number, case in enumerate(chosen):
        body = expanded(case.source, "").strip()
        bodies.append(re.sub(r"^property p\b", f"property p{number}", body, count=1, flags=re.MULTILINE))
    assert codes(HEADER + "\n\n".join(bodies) + "\n") == sorted(case.code for case in chosen)
