"""The error tree.  A person sees code, place, problem and fix; a program reads the same as attributes.

    VerifyError                 everything this package raises on purpose
    ├── UsageError              the call is wrong                              exit 2   E0xx
    ├── InputError              a file cannot be read or is not supported      exit 3
    │   ├── ModelError          the ONNX model                                          E1xx
    │   ├── SpecError           the .nnspec file                                        E3xx
    │   ├── VnnlibError         the VNN-LIB file                                        E2xx
    │   └── EvidenceError       an evidence file, or the settings of `verify ci`        E50x
    ├── QueryError              a well-formed spec whose query is not decidable here    E4xx (exit 3)
    ├── RejectedError           evidence that does not show what it claims      exit 1   E51x
    └── DefectError             a bug of this program, or a process of it that crashed exit 70  E9xx

A timeout is a verdict, not an exception.  `assert` states what only a bug can break.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


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


class VerifyError(Exception):
    """A problem the user can mend.  `code` is stable; `fix` says what to do, or is empty."""

    def __init__(self, code: str, message: str, *, fix: str = "", place: Place | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        return _rebuild, (type(self), self.code, self.message, self.fix, self.place)

    def __str__(self) -> str:
        lines = [f"error[{self.code}]: {self.message}"]
        if self.place is not None:
            lines.append(f"  --> {self.place}")
            if self.place.source and self.place.line:
                gutter = f"{self.place.line:4d} | "
                lines.append(gutter + self.place.source)
                if self.place.column:
                    lead = "".join("\t" if c == "\t" else " " for c in self.place.source[: self.place.column - 1])
                    lines.append(" " * len(gutter) + lead + "^" * max(1, self.place.width))
        if self.fix:
            lines.append(f"  = help: {self.fix}")
        return "\n".join(lines)


class UsageError(VerifyError):
    """The call is wrong: exit code 2."""


class InputError(VerifyError):
    """A file cannot be read or is not supported: exit code 3."""


class ModelError(InputError):
    """The ONNX model is malformed or outside what is supported."""


class SpecError(InputError):
    """The .nnspec file does not parse, does not type-check, or cannot be lowered."""


class VnnlibError(InputError):
    """The VNN-LIB file does not parse or is outside what is supported."""


class EvidenceError(InputError):
    """An evidence file or verify.toml cannot be read, or is of a kind that is not supported."""


class RejectedError(VerifyError):
    """A certificate or witness file that does not show what it claims: exit code 1."""


class QueryError(InputError):
    """The query is well formed but outside what can be decided (unbounded input, too many disjuncts)."""


class DefectError(VerifyError):
    """The program itself is at fault: exit code 70."""


def _rebuild(kind: type[VerifyError], code: str, message: str, fix: str, place: Place | None) -> VerifyError:
    return kind(code, message, fix=fix, place=place)
