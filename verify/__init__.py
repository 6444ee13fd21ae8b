"""policyproof: can this neural policy ever do that?  See `verify.api` for the Python interface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from verify.core.version import __version__

if TYPE_CHECKING:
    from verify.api import Evaluation, Spec, check, evaluate, load, prove, prove_files, read_spec, read_spec_text
    from verify.core.report import Progress, Report, Result
    from verify.core.verdict import Evidence, Verdict
    from verify.errors import (
        DefectError,
        InputError,
        ModelError,
        QueryError,
        SpecError,
        UsageError,
        VerifyError,
        VnnlibError,
    )
    from verify.spec.builder import Field, SpecBuilder

_HOME = {
    **dict.fromkeys(("Evaluation", "Spec", "check", "evaluate", "load", "prove", "prove_files"), "verify.api"),
    **dict.fromkeys(("read_spec", "read_spec_text"), "verify.api"),
    **dict.fromkeys(("Field", "SpecBuilder"), "verify.spec.builder"),
    **dict.fromkeys(("Progress", "Report", "Result"), "verify.core.report"),
    **dict.fromkeys(("Evidence", "Verdict"), "verify.core.verdict"),
    **dict.fromkeys(
        (
            *("DefectError", "InputError", "ModelError", "QueryError"),
            *("SpecError", "UsageError", "VerifyError", "VnnlibError"),
        ),
        "verify.errors",
    ),
}
__all__ = [
    "DefectError",
    "Evaluation",
    "Evidence",
    "Field",
    "InputError",
    "ModelError",
    "Progress",
    "QueryError",
    "Report",
    "Result",
    "Spec",
    "SpecBuilder",
    "SpecError",
    "UsageError",
    "Verdict",
    "VerifyError",
    "VnnlibError",
    "__version__",
    "check",
    "evaluate",
    "load",
    "prove",
    "prove_files",
    "read_spec",
    "read_spec_text",
]


def __getattr__(name: str) -> Any:
    """Import the public names on first use, so that `verify --version` costs nothing."""
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module 'verify' has no attribute {name!r}")
