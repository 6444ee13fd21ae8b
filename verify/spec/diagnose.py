"""Everything that is wrong with a spec, found without its models."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from verify.errors import MOST_ERRORS, SpecError, VerifyError, combine
from verify.spec.check import check_spec
from verify.spec.codes import FollowUpError
from verify.spec.lower import check_lowering
from verify.spec.parse import parse_and_recover
from verify.spec.syntax import SpecFile


@dataclass(frozen=True)
class Diagnosis:
    """`errors` in the order of the file; `spec` is what could be read.  Warnings are only there without errors."""

    spec: SpecFile
    errors: tuple[VerifyError, ...]
    warnings: tuple[str, ...] = ()


def diagnose(text: str, file: str, params: Mapping[str, str]) -> Diagnosis:
    """Parse and check `text`; what does not parse does not hide the mistakes of the rest.

    Sizes are not compared with the models: no model is read.
    """
    spec, syntax_errors = parse_and_recover(text, file)
    errors: list[VerifyError] = list(syntax_errors)
    try:
        checked = check_spec(spec, params)
        if not errors:
            return Diagnosis(spec, (), check_lowering(checked))
    except FollowUpError:
        pass
    except SpecError as problem:
        errors.append(problem)
    first = combine(errors)
    return Diagnosis(spec, (first, *first.more)[:MOST_ERRORS])
