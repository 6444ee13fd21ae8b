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

from collections.abc import Iterable
from typing import Any

from verify.places import Mark, Place, excerpt

__all__ = [
    "MOST_ERRORS",
    "DefectError",
    "InputError",
    "Mark",
    "ModelError",
    "Place",
    "QueryError",
    "SpecError",
    "UsageError",
    "VerifyError",
    "VnnlibError",
    "combine",
]

MOST_ERRORS = 20  # reported of one input in one run


FIX_OF_REJECTED = "make it anew from the files as they are: `verify run SPEC --certificate DIR`"


class VerifyError(Exception):
    """A problem the user can mend.  `code` is stable; `fix` says what to do, or is empty.

    `label` is said at the place itself, `also` are other places that clash with it, `more` are further errors of the
    same input, each independent of this one.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        fix: str = "",
        place: Place | None = None,
        label: str = "",
        also: Iterable[Mark] = (),
        more: Iterable[VerifyError] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fix = fix
        self.place = place
        self.label = label
        self.also = tuple(also)
        self.more = tuple(more)

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        rest = {"fix": self.fix, "place": self.place, "label": self.label, "also": self.also, "more": self.more}
        return _rebuild, (type(self), self.code, self.message, rest)

    def __str__(self) -> str:
        """This error alone, as a person reads it."""
        lines = [f"error[{self.code}]: {self.message}"]
        if self.place is not None:
            lines += excerpt(Mark(self.place, self.label), self.also)
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

    def __init__(self, code: str, message: str, **rest: Any) -> None:
        super().__init__(code, message, **{**rest, "fix": rest.get("fix") or FIX_OF_REJECTED})


class QueryError(InputError):
    """The query is well formed but outside what can be decided (unbounded input, too many disjuncts)."""


class DefectError(VerifyError):
    """The program itself is at fault: exit code 70."""


def combine(errors: Iterable[VerifyError]) -> VerifyError:
    """One error that carries all of them (at least one), in the order of their places."""
    flat = list(dict.fromkeys(e for error in errors for e in (error, *error.more)))
    first, *rest = sorted(flat, key=lambda e: (e.place.line, e.place.column) if e.place is not None else (0, 0))
    first.more = tuple(rest)
    for error in rest:
        error.more = ()
    return first


def _rebuild(kind: type[VerifyError], code: str, message: str, rest: dict[str, Any]) -> VerifyError:
    error = kind.__new__(kind)
    VerifyError.__init__(error, code, message, **rest)  # a subclass may take other arguments
    return error
