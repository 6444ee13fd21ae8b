"""`verify check-spec`: everything that is wrong with a spec, without reading its models."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable

from verify.cli import options
from verify.cli.options import Command


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    from verify.errors import UsageError

    if values.SPEC.endswith((".vnnlib", ".vnnlib.gz", ".onnx")):
        raise UsageError(
            "E016",
            f"{values.SPEC} is no .nnspec file",
            fix="`verify run` reads VNN-LIB files and `verify inspect` models; check-spec reads .nnspec files",
        )
    params = options.parse_assignments(options.PARAM, values.param)
    return functools.partial(execute, values.SPEC, params=params, as_json=values.format == "json")


def execute(file: str, *, params: dict[str, str], as_json: bool) -> int:
    """Parse, check, report; the exit code."""
    from pathlib import Path  # start-up time

    from verify.cli.output import complain, emit_document, emit_lines, explain_failure
    from verify.core.report import EXIT_ERROR, EXIT_OK
    from verify.errors import SpecError, combine
    from verify.report.document import tool
    from verify.report.spec import SCHEMA, diagnosis_document, diagnosis_lines
    from verify.run.reading import read_text
    from verify.spec.diagnose import diagnose

    try:
        text, digest = read_text(Path(file), SpecError)
    except SpecError as error:
        return explain_failure(error, {"schema": SCHEMA, "tool": tool()} if as_json else None)
    diagnosis = diagnose(text, file, params)
    if diagnosis.errors:
        complain(combine(diagnosis.errors))
    if as_json:
        emit_document(diagnosis_document(diagnosis, digest))
    elif not diagnosis.errors:
        emit_lines(diagnosis_lines(diagnosis))
    return EXIT_ERROR if diagnosis.errors else EXIT_OK


COMMAND = Command(
    name="check-spec",
    argument="SPEC",
    argument_help="a .nnspec file",
    summary="find the mistakes in a spec, without its models",
    description="Find the mistakes in a spec: syntax, names, units, kinds, bounds. No model is read, so that the\n"
    "number of fields is not compared with the model's.",
    epilog="Exit code: 0, or 3 when there are errors. docs/errors.md explains every code.",
    options=(options.PARAM, options.FORMAT),
    prepare=prepare,
)
