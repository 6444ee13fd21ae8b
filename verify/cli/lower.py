"""`verify lower`: what is decided, in exact numbers."""

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
        networks=options.parse_networks(values.network),
        params=options.parse_assignments(options.PARAM, values.param),
        properties=tuple(dict.fromkeys(values.property)),
    )


def execute(spec_file: str, *, networks: dict[str, str], params: dict[str, str], properties: tuple[str, ...]) -> int:
    """Read, lower, print; the exit code.  Raises VerifyError."""
    from verify import api  # start-up time: a usage error needs none of these
    from verify.cli.output import emit_text
    from verify.report.normal_form import normal_form_lines

    spec = api.read_spec(spec_file, networks=networks, params=params)
    lines = [line for prop in api.chosen_properties(spec, properties or None) for line in normal_form_lines(prop)]
    emit_text("".join(f"{line}\n" for line in lines))
    return 0


COMMAND = Command(
    name="lower",
    argument="SPEC",
    argument_help="a .nnspec file, or a VNN-LIB file with --network",
    summary="print what is decided, in exact numbers",
    description="Print the normal form of each property: the regions of raw inputs, and the cases one of\n"
    "whose rows all hold where the property is violated.  Every number is exact.",
    epilog="Exit code: 0, or 3 when the spec or a model cannot be used.",
    options=(options.NETWORK, options.PROPERTY, options.PARAM),
    prepare=prepare,
)
