"""`verify check`: check evidence files again, without search and solver."""

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
        values.FILE,
        spec=values.spec,
        networks=options.parse_networks(values.network),
        params=options.parse_assignments(options.PARAM, values.param),
        reference=values.reference,
        explain=values.explain,
        as_json=values.format == "json",
    )


def execute(
    files: list[str],
    *,
    spec: str | None,
    networks: dict[str, str],
    params: dict[str, str],
    reference: bool,
    explain: bool,
    as_json: bool,
) -> int:
    """Check and report file by file; the exit code."""
    from verify.cli.output import emit_document, emit_lines  # start-up time: a usage error needs none of these
    from verify.core.report import worst_exit_code
    from verify.recheck import Checker
    from verify.report.check import check_document, outcome_lines, summary_line

    checker = Checker(spec=spec, networks=networks, params=params, reference=reference)
    outcomes = []
    for file in files:
        outcome = checker.check(file)
        outcomes.append(outcome)
        if not as_json:
            emit_lines(outcome_lines(outcome, explain=explain))
    if as_json:
        emit_document(check_document(outcomes))
    else:
        emit_lines([summary_line(outcomes)])
    return worst_exit_code(outcome.exit_code for outcome in outcomes)


COMMAND = Command(
    name="check",
    argument="FILE",
    argument_help=".vcert and .witness files that `verify run --certificate` or `verify ci` wrote",
    summary="check evidence again, in exact arithmetic",
    description="Check evidence again in exact arithmetic, without search and solver. Spec and models are\n"
    "found where the files say, seen from the files; options name others.",
    epilog="Exit code: 0 all accepted, 1 a file rejected, 2 wrong usage, 3 a file, spec or model unreadable.",
    options=(
        options.NETWORK,
        options.SPEC,
        options.PARAM,
        options.REFERENCE,
        options.EXPLAIN,
        options.FORMAT,
    ),
    prepare=prepare,
    many=True,
)
