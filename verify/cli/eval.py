"""`verify eval`: one physical point through a spec."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable

from verify.cli import options
from verify.cli.options import Command


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    return functools.partial(
        execute,
        values.SPEC,
        point=options.parse_assignments(options.AT, values.at),
        networks=options.parse_networks(values.network),
        params=options.parse_assignments(options.PARAM, values.param),
        as_json=values.format == "json",
    )


def execute(
    spec_file: str, *, point: dict[str, str], networks: dict[str, str], params: dict[str, str], as_json: bool
) -> int:
    """Read, evaluate, report; the exit code."""
    from verify import api  # start-up time: a usage error needs none of these
    from verify.cli.output import emit_document, emit_lines, explain_failure
    from verify.errors import UsageError, VerifyError
    from verify.report.document import tool
    from verify.report.point import SCHEMA, evaluation_document, evaluation_lines

    try:
        spec = api.read_spec(spec_file, networks=networks, params=params)
        evaluation = api.evaluate(spec, point)
    except UsageError:
        raise
    except VerifyError as error:
        return explain_failure(error, {"schema": SCHEMA, "tool": tool()} if as_json else None)
    if as_json:
        emit_document(evaluation_document(evaluation, spec))
    else:
        emit_lines(evaluation_lines(evaluation, spec))
    return 0


COMMAND = Command(
    name="eval",
    argument="SPEC",
    argument_help="a .nnspec file, or a .vnnlib file with --network",
    summary="put one physical point through a spec",
    description="Put one physical point through a spec: what each network is fed, what comes out in\n"
    "units, exactly and in ONNX Runtime, and which properties hold there.",
    epilog="Example: verify eval cartpole.nnspec --at s.x=0.3 --at s.v=-1/3 --at s.theta=0 --at s.omega=0",
    options=(options.AT, options.NETWORK, options.PARAM, options.FORMAT),
    prepare=prepare,
)
