"""docs/errors.md, made from the code tables and the first golden case of every code."""

from __future__ import annotations

import re

from tests.errors.cases import FOLDER, VNNLIB, files, read
from verify.codes import CODES as OTHER_CODES
from verify.spec.codes import CODES as SPEC_CODES
from verify.spec.vnnlib_codes import CODES as VNNLIB_CODES

INDEX = FOLDER.parents[1] / "docs" / "errors.md"
CODES = dict(sorted({**OTHER_CODES, **SPEC_CODES, **VNNLIB_CODES}.items()))
FAMILIES = {
    "E0": "The call",
    "E1": "The model",
    "E2": "The VNN-LIB file",
    "E3": "The spec",
    "E4": "The query",
    "E9": "The program",
}
TOP = """# Errors

Every error has a code that stays the same between releases, the place, the source with the spot underlined, what is
wrong, and `help`: what to do. Where two places clash, both are shown. One run reports up to 20 mistakes of a spec;
`verify check-spec SPEC` finds them without reading the models.

This page is generated from the table of codes and the tests' cases (`python -m tests.errors`).
"""


def index() -> str:
    prose, examples = _prose_and_examples()
    lines = [TOP]
    for family, title in FAMILIES.items():
        lines.append(f"## {title} ({family}xx)\n")
        for code, meaning in CODES.items():
            if not code.startswith(family):
                continue
            lines.append(f"### {code}: {meaning}\n")
            if prose.get(code):
                lines.append(prose[code] + "\n")
            if code in examples:
                lines.append(f"```text\n{examples[code]}\n```\n")
    return "\n".join(lines)


def _prose_and_examples() -> tuple[dict[str, str], dict[str, str]]:
    prose: dict[str, str] = {}
    examples: dict[str, str] = {}
    for path in files():
        words, cases = read(path)
        if re.fullmatch(r"E\d{3}", path.stem):
            prose[path.stem] = words
        for case in cases:
            if path.stem == case.code:
                examples.setdefault(case.code, case.expected)
    for path in VNNLIB:
        for case in read(path)[1]:
            examples.setdefault(case.code, case.expected)
    return prose, examples


__all__ = ["CODES", "INDEX", "index"]
