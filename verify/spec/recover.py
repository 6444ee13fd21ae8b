"""After a syntax error: read the other declarations and statements, so that one run tells all mistakes.

The text is cut into declarations (at a declaration's first word on a line, and after the `}` that closes one); each is
parsed by itself.  In one that fails, the failing statement is blanked and the rest is parsed again.  What has been
blanked is not checked further; the names it declares count as broken.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator

from verify.errors import MOST_ERRORS, Place, SpecError
from verify.spec.source import Source
from verify.spec.syntax import Item, SpecFile
from verify.spec.syntax_errors import DECLARATION

_STATEMENT = {
    "forall", "exists", "let", "assume", "assert", "input", "output", "hidden", "state", "disturbance", "next",
}  # fmt: skip
_TOKEN = re.compile(r'#[^\n]*|"[^"\n]*"|[{}]|@|[A-Za-z_]\w*|\.\s*[A-Za-z_]\w*')
_DECLARED = re.compile(r"\b(const|param|dataset|network|system|define|unit)\s+([A-Za-z_]\w*)")

AGAIN = 500_000  # characters that are parsed again in all: damaged files must not take minutes

ParsePart = Callable[[Source], "tuple[Item, ...]"]


class Part(Source):
    """A stretch of a source; offsets count from its start, places are those of the whole file."""

    def __init__(self, whole: Source, start: int, text: str) -> None:
        super().__init__(text, whole.file)
        self._whole = whole
        self._start = start

    def place(self, start: int, end: int) -> Place:
        return self._whole.place(self._start + start, self._start + end)

    def inside(self, place: Place) -> int | None:
        """The offset of a place of the file; None where it is outside of this part."""
        offset = self._whole.offset(place.line, place.column) - self._start
        return offset if 0 <= offset <= len(self.text) else None


def recover(source: Source, parse: ParsePart) -> tuple[SpecFile, list[SpecError]]:
    """What can be read of a text that does not parse, and what is wrong with the rest."""
    items: list[Item] = []
    errors: list[SpecError] = []
    broken: set[str] = set()
    again = AGAIN
    for start, end in _declarations(source.text):
        text = source.text[start:end]
        most = min(MOST_ERRORS - len(errors), 1 + again // max(1, len(text)))
        found, part_errors = _part(source, start, text, parse, most)
        again -= max(0, len(part_errors) - 1) * len(text)
        errors += part_errors
        if part_errors:
            broken |= {name for _, name in _DECLARED.findall(text)}
        else:
            items += found
        if len(errors) >= MOST_ERRORS:
            break
    return SpecFile(source.file, tuple(items), frozenset(broken)), errors


def _part(
    whole: Source, start: int, text: str, parse: ParsePart, limit: int
) -> tuple[tuple[Item, ...], list[SpecError]]:
    errors: list[SpecError] = []
    while True:
        part = Part(whole, start, text)
        try:
            return parse(part), errors
        except SpecError as problem:
            errors.append(problem)
        if len(errors) >= limit:
            return (), errors
        blanked = _blank(part, errors[-1])
        if blanked is None or blanked == text:
            return (), errors
        text = blanked


def _blank(part: Part, problem: SpecError) -> str | None:
    """The text without the statement that fails; None where there is no telling which."""
    place, text = problem.place, part.text
    if place is None or not place.line or (problem.code in ("E302", "E303") and place.source[place.column - 1] in "{}"):
        return None
    at = part.inside(place)
    if at is None:
        return None
    starts = [m.start() for m in _words(text, _STATEMENT)]
    before = [k for k in starts if k < at]
    if not before:
        return None
    first, last = before[-1], next((k for k in starts if k >= at and k > before[-1]), len(text))
    depth = 0
    for match in _TOKEN.finditer(text, first, last):
        depth += {"{": 1, "}": -1}.get(match.group(), 0)
        alone = match.group() == "}" and not text[text.rfind("\n", 0, match.start()) + 1 : match.start()].strip()
        if depth < 0 or alone:
            last = match.start()
            break
    blank = re.sub(r"[^\n]", " ", text[first:last])
    return text[:first] + blank + text[last:]


def _words(text: str, words: set[str]) -> Iterator[re.Match[str]]:
    return (m for m in _TOKEN.finditer(text) if m.group() in words)


def _declarations(text: str) -> Iterator[tuple[int, int]]:
    cuts, depth, marked = [0], 0, False
    for match in _TOKEN.finditer(text):
        word, at = match.group(), match.start()
        if word[0] in '#".':
            continue
        if word in DECLARATION | {"@"}:
            line = text.rfind("\n", 0, at) + 1
            if not text[line:at].strip() and not marked:
                cuts.append(at)
                depth = 0
            marked = word == "@"
        elif depth == 0 and not marked and text[at - 1 : at] == "\n":
            cuts.append(at)
        elif word == "{":
            depth += 1
        elif word == "}":
            depth -= 1
            if depth == 0:
                cuts.append(match.end())
    cuts.append(len(text))
    return ((a, b) for a, b in itertools.pairwise(cuts) if text[a:b].strip())
