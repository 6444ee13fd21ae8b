"""Write every expected message anew, each case in the file of its code; then docs/errors.md."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

from tests.errors.cases import FOLDER, Case, code_of, files, read, render
from tests.errors.index import INDEX, index


def main() -> None:
    prose: dict[str, str] = {}
    found: dict[str, list[str]] = {}
    for path in files():
        words, cases = read(path)
        prose[path.stem] = words
        for case in cases:
            message = _message(case)
            several = path.stem == "several"
            stem = "several" if several else code_of(message)
            found.setdefault(stem, []).append(f"=== {case.name}\n{case.source}\n---\n{message}\n")
    for path in files():
        path.unlink()
    for stem in sorted({*found, *(s for s in prose if prose[s])}):
        texts = found.get(stem, [])
        parts = [prose.get(stem, ""), *texts]
        (FOLDER / f"{stem}.txt").write_text(_joined(parts), encoding="utf-8")
        if re.fullmatch(r"E\d{3}", stem) and not prose.get(stem):
            print(f"{stem}.txt needs its first paragraph: what it means, what to do")  # noqa: T201
    INDEX.write_text(index(), encoding="utf-8")


def _joined(parts: list[str]) -> str:
    """The prose, a blank line, and the cases with one between them."""
    return "\n\n".join(p.strip("\n") for p in parts if p) + "\n"


def _message(case: Case) -> str:
    with tempfile.TemporaryDirectory() as folder:
        return render(case, Path(folder))


if __name__ == "__main__":
    main()
