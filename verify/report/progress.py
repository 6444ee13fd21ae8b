"""The live progress line on a terminal."""

from __future__ import annotations

import os
import shutil
from typing import TextIO

from verify.core.report import Progress
from verify.report.numbers import percent

_ERASE = "\r\x1b[K"


def progress_text(progress: Progress) -> str:
    """`lean_right  42.1 % settled  12 open  3.2 s  bounds`"""
    parts = [
        progress.property,
        f"{percent(progress.settled)} settled",
        f"{progress.open_subproblems} open",
        f"{progress.elapsed_s:.1f} s",
        progress.phase,
    ]
    return "  ".join(part for part in parts if part)


class ProgressLine:
    """One line on `stream`, rewritten in place; silent when `stream` is no terminal.  It never uses colour."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty() and os.environ.get("TERM") != "dumb"
        self._visible = False

    def __call__(self, progress: Progress) -> None:
        if not self._live:
            return
        columns = shutil.get_terminal_size().columns
        self._stream.write(_ERASE + progress_text(progress)[: max(columns - 1, 1)])
        self._stream.flush()
        self._visible = True

    def erase(self) -> None:
        """Leave an empty line for whatever is printed next."""
        if self._visible:
            self._stream.write(_ERASE)
            self._stream.flush()
            self._visible = False
