"""Every code of the package: in a table, with golden cases, in docs/errors.md."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.errors.cases import Case, all_cases, files, read, render, vnnlib_codes
from tests.errors.index import CODES, INDEX, index

PACKAGE = Path(__file__).parents[2] / "verify"
INNER = {"E310"}  # raised inside, never shown by itself: FollowUpError


@pytest.mark.parametrize("case", all_cases(), ids=lambda c: f"{c.code}-{c.name}")
def test_message(case: Case, tmp_path: Path) -> None:
    assert render(case, tmp_path) == case.expected


def test_cases_are_in_the_file_of_their_code_with_names_of_their_own() -> None:
    for path in files():
        prose, cases = read(path)
        names = [case.name for case in cases]
        assert len(set(names)) == len(names), path.name
        if path.stem != "several":
            assert {case.code for case in cases} <= {path.stem}
            assert prose, f"{path.name} says nothing before its cases"


def test_every_code_has_two_cases_and_there_are_three_hundred() -> None:
    count = Counter([case.code for case in all_cases()] + vnnlib_codes())
    assert {code: count[code] for code in CODES if count[code] < 2} == {}
    assert set(count) <= set(CODES)
    assert len(CODES) >= 60
    assert count.total() >= 300


def test_the_tables_hold_the_codes_of_the_source_and_no_others() -> None:
    written: set[str] = set()
    for path in PACKAGE.rglob("*.py"):
        if not path.name.endswith("codes.py"):
            text = path.read_text(encoding="utf-8")
            written |= set(re.findall(r'"(E\d{3})"', text))
            written |= {f"E{family}9{n}" for n in re.findall(r'f"\{prefix\}9(\d)"', text) for family in "23"}
    assert written == set(CODES)


def test_every_message_says_what_to_do() -> None:
    silent = [f"{c.code} {c.name}" for c in all_cases() if "= help:" not in c.expected and not c.code.startswith("E9")]
    assert silent == []


def test_the_index_is_up_to_date() -> None:
    assert INDEX.read_text(encoding="utf-8") == index()
