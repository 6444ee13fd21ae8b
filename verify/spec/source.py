"""The text of a spec, and places in it."""

from __future__ import annotations

import bisect
import re
from functools import cached_property

from verify.errors import Place

_COMMENT = re.compile(r"#[^\n]*")


class Source:
    """A file's text, with lines for caret messages."""

    def __init__(self, text: str, file: str) -> None:
        self.text = text
        self.file = file

    @cached_property
    def _starts(self) -> list[int]:
        return [0, *(m.end() for m in re.finditer("\n", self.text))]

    @cached_property
    def _lines(self) -> list[str]:
        return [line.rstrip("\r") for line in self.text.split("\n")]

    def place(self, start: int, end: int) -> Place:
        """The place of text[start:end]; a span over several lines ends with its first line."""
        line = bisect.bisect_right(self._starts, start)
        begin = self._starts[line - 1]
        source = self._lines[line - 1]
        width = min(end, begin + len(source)) - start
        return Place(self.file, line, start - begin + 1, max(1, width), source)

    def offset(self, line: int, column: int) -> int:
        """Where a place is in the text."""
        return self._starts[line - 1] + column - 1

    def snippet(self, start: int, end: int) -> str:
        """text[start:end] on one line, without comments."""
        return " ".join(_COMMENT.sub("", self.text[start:end]).split())
