"""The kernel stays small enough to be read: its alarm level is a test."""

from __future__ import annotations

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import verify.kernel

MOST_LINES = 500  # of code, in all of verify/kernel
BLANK = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}


def lines_of_code(source: str) -> int:
    """Lines that hold more than blanks, comments and docstrings."""
    lines = {
        line
        for token in tokenize.generate_tokens(io.StringIO(source).readline)
        if token.type not in BLANK
        for line in range(token.start[0], token.end[0] + 1)
    }
    for place in ast.walk(ast.parse(source)):
        if isinstance(place, (ast.Module, ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(place) is not None:
            lines -= set(range(place.body[0].lineno, (place.body[0].end_lineno or 0) + 1))
    return len(lines)


def test_docstrings_comments_and_blanks_do_not_count() -> None:
    source = '"""Two\nlines."""\n\n# a comment\ndef f(\n    x,\n):\n    """One."""\n    return """a\n\nb"""\n'
    assert lines_of_code(source) == 6


def test_the_kernel_has_at_most_500_lines() -> None:
    files = sorted(Path(verify.kernel.__file__).parent.rglob("*.py"))
    counts = {file.name: lines_of_code(file.read_text(encoding="utf-8")) for file in files}
    assert len(counts) >= 6
    assert sum(counts.values()) <= MOST_LINES, counts


def test_it_loads_nothing_but_itself_and_the_exact_core() -> None:
    code = "import sys, verify.kernel; print(*sorted(n for n in sys.modules if n.partition('.')[0] == 'verify'))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    allowed = {"canonical_json", "corners", "evaluate", "exact", "network", "normal_form", "payload", "query"}
    allowed |= {"query_text", "rational", "version"}
    core = {f"verify.core.{name}" for name in allowed} | {"verify", "verify.core", "verify.errors", "verify.places"}
    own = {f"verify.kernel.{name}" for name in ("build", "check", "exact", "system", "walk")} | {"verify.kernel"}
    assert own <= loaded
    assert loaded <= own | core | {"verify.codes"}, loaded - own - core
