"""What the docs show is executed: verdicts, commands with their output, error messages.

A fenced block with a file name, `nnspec NAME.nnspec`, is added to that file; in the end each file is decided and every
property must be as it says with `@expect`.  `csv NAME.csv` is a data file.  `nnspec NAME` alone is a wrong spec; the
`text NAME` block after it is what check-spec says.  `sh` holds commands, `$ verify …`, each with lines of its output,
in order; `…` stands for anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

import verify
from verify.cli.main import main
from verify.spec.layout import format_text

ROOT = Path(__file__).parents[2]
PAGES = ["cookbook.md", "language-tour.md"]
BLOCK = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    language: str
    name: str
    text: str


def blocks(page: str) -> list[Block]:
    text = (ROOT / "docs" / page).read_text(encoding="utf-8")
    return [Block(language, name.strip(), body) for language, name, body in BLOCK.findall(text)]


def files(page: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for block in blocks(page):
        if block.language in ("nnspec", "csv") and block.name.endswith(block.language):
            found.setdefault(block.name, []).append(block.text)
    return {name: "\n".join(texts) for name, texts in found.items()}


def write_files(page: str) -> None:
    for name, text in files(page).items():
        Path(name).write_text(text, encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").symlink_to(ROOT / "models")
    return tmp_path


SPECS = [(page, name) for page in PAGES for name in files(page) if name.endswith(".nnspec")]


@pytest.mark.parametrize(("page", "name"), SPECS, ids=lambda v: v.split(".")[0])
@pytest.mark.usefixtures("folder")
def test_verdicts(page: str, name: str) -> None:
    write_files(page)
    models = re.findall(r'onnx\("(.*?)"\)', files(page)[name])
    if not all(Path(model).exists() for model in models):
        pytest.skip("a recipe for models that are not here yet")
    for result in verify.prove(verify.read_spec(name), timeout=60):
        assert result.expected is not None, f"{result.name} says no @expect"
        assert result.verdict is result.expected, result


@pytest.mark.parametrize(("page", "name"), SPECS, ids=lambda v: v.split(".")[0])
def test_layout(page: str, name: str) -> None:
    text = files(page)[name]
    assert format_text(text, name) == text


def commands(page: str) -> Iterator[tuple[str, list[str]]]:
    for block in blocks(page):
        if block.language == "sh":
            for part in re.split(r"^\$ verify ", block.text, flags=re.MULTILINE)[1:]:
                words, *expected = part.rstrip("\n").split("\n")
                yield words, expected


@pytest.mark.parametrize(
    ("page", "words", "expected"), [(p, w, e) for p in PAGES for w, e in commands(p)], ids=lambda v: str(v)[:40]
)
def test_commands(page: str, words: str, expected: list[str], folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    del folder
    write_files(page)
    main(words.split())
    shown = "".join(capfd.readouterr())
    pattern = "\n".join(re.escape(line).replace("…", ".*") for line in expected)
    assert re.match(pattern, shown, flags=re.DOTALL), f"{shown}\n--- does not match\n{pattern}"
    if not expected:
        assert shown == ""


@pytest.mark.parametrize("page", PAGES)
def test_wrong_specs(page: str, folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = blocks(page)
    for wrong, message in pairwise(found):
        if wrong.language == "nnspec" and not wrong.name.endswith(".nnspec"):
            assert (message.language, message.name) == ("text", wrong.name)
            (folder / f"{wrong.name}.nnspec").write_text(wrong.text, encoding="utf-8")
            assert main(["check-spec", f"{wrong.name}.nnspec"]) == 3
            assert capfd.readouterr().err == message.text


def test_there_are_twelve_recipes_at_least() -> None:
    assert len(re.findall(r"^## \d+\. ", (ROOT / "docs/cookbook.md").read_text(encoding="utf-8"), re.MULTILINE)) >= 12
