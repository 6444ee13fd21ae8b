"""`verify ci`: keep the proofs of a repository."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable

from verify.cli import options
from verify.cli.options import Command

SETTINGS = "verify.toml"


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    return functools.partial(
        execute,
        getattr(values, "verify.toml") or SETTINGS,
        update=values.update,
        junit=values.junit,
        summary=values.summary,
    )


def execute(settings: str, *, update: bool, junit: str | None, summary: str | None) -> int:
    """Check, decide, report case by case; the exit code.  Raises EvidenceError."""
    from verify.ci.keep import Case, Keeper  # start-up time: a usage error needs none of these
    from verify.ci.settings import read_settings
    from verify.cli.output import emit_lines, write_file
    from verify.core.report import worst_exit_code
    from verify.recheck import Checker
    from verify.report.ci import case_lines, markdown, totals
    from verify.report.junit import junit_xml

    checker = Checker()
    cases: list[Case] = []
    for target in read_settings(settings):
        keeper = Keeper(target, update, checker, lambda case: emit_lines(case_lines(case)))
        cases += keeper.run()
    emit_lines([totals(cases)])
    if junit is not None:
        write_file(junit, junit_xml(cases))
    if summary is not None:
        write_file(summary, markdown(cases))
    return worst_exit_code(case.exit_code for case in cases)


COMMAND = Command(
    name="ci",
    argument="verify.toml",
    argument_help="the settings; default verify.toml here",
    summary="check stored proofs, prove what has changed",
    description="Check the evidence that a repository stores and decide again what has changed. Fails when a\n"
    "proof is missing, stale or lost, or an @expect is broken; --update writes new evidence.",
    epilog="Exit code: 0 all is well, 1 something is not, 2 wrong usage, 3 settings, spec or model unreadable.\n"
    "docs/ci.md describes the settings.",
    options=(options.UPDATE, options.JUNIT, options.SUMMARY),
    prepare=prepare,
    optional=True,
)
