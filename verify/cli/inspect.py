"""`verify inspect`: what is in an ONNX model, and a spec to start from."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable

from verify.cli import options
from verify.cli.options import Command


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    return functools.partial(execute, values.MODEL, as_json=values.format == "json")


def execute(model: str, *, as_json: bool) -> int:
    """Inspect and report; the exit code."""
    from verify.cli.output import emit_document, emit_lines, explain_failure  # start-up time
    from verify.core.report import EXIT_ERROR, EXIT_OK
    from verify.errors import UsageError, VerifyError
    from verify.importer.inspection import inspect
    from verify.report.document import tool
    from verify.report.model import SCHEMA, inspection_document, inspection_lines

    try:
        inspection = inspect(model)
    except UsageError:
        raise
    except VerifyError as error:
        return explain_failure(error, {"schema": SCHEMA, "tool": tool()} if as_json else None)
    if as_json:
        emit_document(inspection_document(inspection))
    else:
        emit_lines(inspection_lines(inspection))
    return EXIT_ERROR if inspection.unsupported else EXIT_OK


COMMAND = Command(
    name="inspect",
    argument="MODEL",
    argument_help="an ONNX model",
    summary="show what is in a model, and a spec to start from",
    description="Show a model's inputs and outputs with their tensor indices, its operators, what is\n"
    "unsupported and how to rewrite it, and a spec to start from.",
    epilog="Exit code: 0, or 3 when the model cannot be read or has unsupported parts.",
    options=(options.FORMAT,),
    prepare=prepare,
)
