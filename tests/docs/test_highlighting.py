"""The highlighting grammar knows the language's keywords, no more and no fewer."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from verify.spec.scope import BUILT_IN

ROOT = Path(__file__).parents[2]
EDITOR = ROOT / "docs/editor"


def repository() -> dict[str, Any]:
    grammar = json.loads((EDITOR / "syntaxes/nnspec.tmLanguage.json").read_text(encoding="utf-8"))
    assert {p["include"].removeprefix("#") for p in grammar["patterns"]} == set(grammar["repository"])
    return grammar["repository"]


def words(pattern: str) -> set[str]:
    """The alternatives of the first group of plain words."""
    match = re.search(r"\(([a-z_|]+)\)", pattern)
    assert match is not None
    return set(match[1].split("|"))


def keywords_of_the_language() -> set[str]:
    """Every terminal of the parser's grammar that is a word."""
    grammar = (ROOT / "verify/spec/grammar.lark").read_text(encoding="utf-8")
    found: set[str] = set()
    for pattern in re.findall(r"^_?[A-Z]+\.2: /(.*)\\b/$", grammar, flags=re.MULTILINE):
        found |= set(pattern.strip("()").split("|"))
    assert "forall" in found
    return found


def test_keywords() -> None:
    known = repository()
    highlighted = [words(known[part]["match"]) for part in ("declaration", "statement", "operator", "constant")]
    assert set().union(*highlighted) == keywords_of_the_language()
    assert sum(map(len, highlighted)) == len(set().union(*highlighted))


def test_functions() -> None:
    assert words(repository()["function"]["match"]) == set(BUILT_IN)


@pytest.mark.parametrize(
    ("part", "text", "matched"),
    [
        ("comment", "x # why", "# why"),
        ("string", 'property p "a b" {', '"a b"'),
        ("attribute", "@expect(proved)", "@expect"),
        ("unit", "5[m/s^2] <= x", "[m/s^2]"),
        ("unit", "input v [m/s] in [0, 1]", " [m/s]"),
        ("unit", "x in [0, 1]", None),
        ("unit", "s.px[0, 1]", None),
        ("number", "0.5e-3", "0.5e-3"),
        ("number", "x1", None),
        ("field", "n.input", "input"),
        ("statement", "n.input", None),
        ("statement", "  input x", "input"),
        ("symbol", "0..3", ".."),
        ("declaration", "property p {", "property p"),
    ],
)
def test_patterns(part: str, text: str, matched: str | None) -> None:
    match = re.search(repository()[part]["match"], text)
    assert (match.group() if match else None) == matched


def test_the_extension_names_files_that_exist() -> None:
    package = json.loads((EDITOR / "package.json").read_text(encoding="utf-8"))["contributes"]
    for entry in (package["languages"][0]["configuration"], package["grammars"][0]["path"]):
        json.loads((EDITOR / entry).read_text(encoding="utf-8"))
