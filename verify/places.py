"""Places in text files, and their excerpt: the source line with carets under what is meant."""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

TAB = 4
WINDOW = 160  # characters of a line that are shown
_GUTTER = "       "


@dataclass(frozen=True)
class Place:
    """Where in a file a problem is.  `line` and `column` count from 1; 0 means unknown."""

    file: str
    line: int = 0
    column: int = 0
    width: int = 1
    source: str = ""  # the offending line, without its line break

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}" if self.column else f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Mark:
    """A place and what is to be said at it; "" says nothing."""

    place: Place
    label: str = ""


def excerpt(main: Mark, also: Sequence[Mark] = ()) -> list[str]:
    """The lines that show `main` with `^` and `also` with `-`, in the order of the file; other files come last."""
    place = main.place
    lines = [f"  --> {place}"]
    shown = [(m, "-") for m in also if m.place.line and m.place.source]
    if place.line and place.source:
        shown.append((main, "^"))
    own = sorted({m.place.line for m, _ in shown if m.place.file == place.file})
    for number in own:
        lines += _line([(m, c) for m, c in shown if (m.place.file, m.place.line) == (place.file, number)])
    for mark, sign in shown:
        if mark.place.file != place.file:
            lines += [f"  ::: {mark.place}", *_line([(mark, sign)])]
    return lines


def _line(marks: Sequence[tuple[Mark, str]]) -> list[str]:
    """One source line with all its marks: one row of signs, the last label beside it, the others below."""
    marks = sorted(marks, key=lambda m: m[0].place.column)
    first = marks[0][0].place
    start = max(0, first.column - 1 - WINDOW // 2) if len(first.source) > WINDOW else 0
    end = start + WINDOW
    cells, text = _cells(first.source[start:end])
    dots = "…" if start else ""
    result = [f"{first.line:4d} | {dots}{text}{'…' if len(first.source) > end else ''}"]
    inside = [(m, c) for m, c in marks if m.place.column and m.place.column - 1 <= end]
    if not inside:
        return result
    row = ""
    for mark, sign in inside:
        left, right = (min(max(0, at - start), len(cells) - 1) for at in _span(mark.place))
        begin = len(dots) + cells[left]
        row = row.ljust(begin) + sign * max(1, cells[right] - cells[left] - max(0, len(row) - begin))
    *others, (last, _) = inside
    result.append(f"{_GUTTER}{row} {last.label}".rstrip())
    for mark, _ in reversed(others):
        if mark.label:
            left = min(max(0, mark.place.column - 1 - start), len(cells) - 1)
            result.append(f"{_GUTTER}{' ' * (len(dots) + cells[left])}{mark.label}")
    return result


def _span(place: Place) -> tuple[int, int]:
    return place.column - 1, place.column - 1 + max(1, place.width)


def _cells(source: str) -> tuple[list[int], str]:
    """The terminal column at which every character starts (and where the text ends), and the text that is shown.

    Tabs become spaces, wide characters take two columns, accents none; what a terminal might obey is replaced.
    """
    cells, shown, column = [], [], 0
    for character in source:
        cells.append(column)
        category = unicodedata.category(character)
        if character == "\t":
            text, width = " " * (TAB - column % TAB), TAB - column % TAB
        elif category in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"):
            text, width = "\N{REPLACEMENT CHARACTER}", 1
        elif category in ("Mn", "Me"):
            text, width = character, 0
        else:
            text, width = character, 2 if unicodedata.east_asian_width(character) in "WF" else 1
        shown.append(text)
        column += width
    return [*cells, column, column + 1], "".join(shown)
