"""What `verify check-spec` shows."""

from __future__ import annotations

from verify.errors import VerifyError
from verify.report.document import Document, error_fields, tool
from verify.report.terminal import Line, line
from verify.spec.diagnose import Diagnosis

SCHEMA = "verify/check-spec/1"


def diagnosis_document(diagnosis: Diagnosis, digest: str) -> Document:
    """The JSON document of one spec; `errors` in the order of the file."""
    spec = diagnosis.spec
    return {
        "schema": SCHEMA,
        "tool": tool(),
        "spec": {"file": spec.file, "sha256": digest},
        "networks": list(spec.networks),
        "params": list(spec.params),
        "properties": list(spec.properties),
        "errors": [_error(error) for error in diagnosis.errors],
        "warnings": list(diagnosis.warnings),
    }


def _error(error: VerifyError) -> Document:
    """An error as data, with the width of its place and the places it clashes with."""
    related = [
        {
            "file": mark.place.file,
            "line": mark.place.line or None,
            "column": mark.place.column or None,
            "width": mark.place.width,
            "label": mark.label or None,
        }
        for mark in error.also
    ]
    return {**error_fields(error), "width": error.place.width if error.place else None, "related": related}


def diagnosis_lines(diagnosis: Diagnosis) -> list[Line]:
    """One line for a spec without errors, and its warnings."""
    spec = diagnosis.spec
    count = len(spec.properties)
    lines = [line(("warning: ", "yellow"), text) for text in diagnosis.warnings]
    properties = f"{count} propert{'y' if count == 1 else 'ies'}"
    return [*lines, line((spec.file, "bold"), f": no mistakes in {properties}; its models were not read")]
