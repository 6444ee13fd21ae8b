"""Lines of styled text, and writing them: colour on a terminal only, the same plain text everywhere else."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TextIO

WIDTH = 88  # lists are wrapped here; fixed, so that piped text equals terminal text


@dataclass(frozen=True)
class Line:
    """One line as (text, style) spans; style is a rich style or empty."""

    spans: tuple[tuple[str, str], ...]

    @property
    def text(self) -> str:
        return "".join(text for text, _ in self.spans)


def line(*parts: str | tuple[str, str]) -> Line:
    return Line(tuple((part, "") if isinstance(part, str) else part for part in parts))


def plain(lines: Iterable[Line]) -> str:
    return "".join(row.text.rstrip() + "\n" for row in lines)


def wrap(cells: Sequence[str], *, indent: str, gap: str = "   ", hanging: str | None = None) -> list[str]:
    """Join cells into lines of at most WIDTH characters, never breaking a cell."""
    rows, current = [], indent
    empty = True
    for cell in cells:
        if not empty and len(current) + len(gap) + len(cell) > WIDTH:
            rows.append(current)
            current, empty = hanging if hanging is not None else indent, True
        current += cell if empty else gap + cell
        empty = False
    return [*rows, current]


def printable(text: str) -> str:
    """Text from a file that is not trusted, without characters that steer a terminal."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text)


def colour_wanted(stream: TextIO) -> bool:
    """A terminal that has not been told otherwise (NO_COLOR, TERM=dumb)."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def write(lines: Iterable[Line], stream: TextIO) -> None:
    """Write lines, coloured if `stream` is a terminal, and flush."""
    if colour_wanted(stream):
        from rich.console import Console
        from rich.text import Text

        console = Console(file=stream, highlight=False, markup=False, emoji=False)
        for row in lines:
            console.print(Text.assemble(*row.spans), soft_wrap=True)
    else:
        stream.write(plain(lines))
    stream.flush()
