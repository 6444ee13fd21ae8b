"""`verify export`: a property as VNN-LIB or SMT-LIB text."""

from __future__ import annotations

import functools
import re
from argparse import Namespace
from collections.abc import Callable
from typing import TYPE_CHECKING

from verify.cli import options
from verify.cli.options import Command, Option
from verify.errors import UsageError

if TYPE_CHECKING:
    from verify.core.property import Property
    from verify.run.reading import Spec

SUFFIXES = {"vnnlib1": ".vnnlib", "vnnlib2": ".vnnlib", "smtlib2": ".smt2"}
TO = Option(("--to",), "|".join(SUFFIXES), "the language to write", choices=tuple(SUFFIXES))
EXACT = Option(("--exact",), "", "in vnnlib1, write bounds that are no finite decimals as scaled rows", kind=bool)
OUTPUT = Option(("--output", "-o"), "DIR", "write DIR/PROPERTY.vnnlib or .smt2 instead of stdout")


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    if values.to is None:
        raise UsageError("E018", "--to is missing", fix=f"write --to with one of {', '.join(SUFFIXES)}")
    return functools.partial(
        execute,
        values.SPEC,
        target=values.to,
        networks=options.parse_networks(values.network),
        params=options.parse_assignments(options.PARAM, values.param),
        properties=tuple(dict.fromkeys(values.property)),
        folder=values.output,
        exact=values.exact,
    )


def execute(
    spec_file: str,
    *,
    target: str,
    networks: dict[str, str],
    params: dict[str, str],
    properties: tuple[str, ...],
    folder: str | None,
    exact: bool,
) -> int:
    """Read, export, write; the exit code.  Raises VerifyError."""
    import sys

    from verify import api  # start-up time: a usage error needs none of these
    from verify.cli.output import emit_text

    spec = api.read_spec(spec_file, networks=networks, params=params)
    chosen = api.chosen_properties(spec, properties or None)
    if folder is None and len(chosen) > 1:
        names = ", ".join(p.name for p in chosen)
        raise UsageError("E018", "several properties need a folder", fix=f"add -o DIR, or -k with one of: {names}")
    for prop in chosen:
        text, notes = _text(prop, spec, target, exact=exact)
        for note in notes:
            sys.stderr.write(f"note: {prop.name}: {note}\n")
        if folder is None:
            emit_text(text)
        else:
            _write(folder, f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', prop.name)}{SUFFIXES[target]}", text)
    return 0


def _text(prop: Property, spec: Spec, target: str, *, exact: bool) -> tuple[str, tuple[str, ...]]:
    if target == "vnnlib1":
        from verify.export.vnnlib1 import write_vnnlib1

        return write_vnnlib1(prop, exact=exact)
    if target == "vnnlib2":
        from verify.export.vnnlib2 import ModelOutline, write_vnnlib2

        models = {name: ModelOutline(m.file, m.network, m.hidden) for name, m in spec.networks.items()}
        return write_vnnlib2(prop, models), ()
    from verify.export.smtlib2 import write_smtlib2

    return write_smtlib2(prop), ()


def _write(folder: str, name: str, text: str) -> None:
    from pathlib import Path

    from verify.errors import InputError

    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        (Path(folder) / name).write_text(text, encoding="utf-8")
    except OSError as problem:
        reason = problem.strerror or str(problem)
        raise InputError("E015", f"{folder}/{name} cannot be written: {reason}", fix="check -o") from problem


COMMAND = Command(
    name="export",
    argument="SPEC",
    argument_help="a .nnspec file, or a VNN-LIB file with --network",
    summary="write properties as VNN-LIB or SMT-LIB",
    description="Write properties for other tools; satisfiable means violated (for `exists`: witnessed).\n"
    "vnnlib2 and smtlib2 are exact; in vnnlib1 a bound that is no finite decimal is rounded outwards, with a note.",
    epilog="Exit code: 0, or 3 when the spec, a model or the target cannot be used.",
    options=(TO, OUTPUT, EXACT, options.NETWORK, options.PROPERTY, options.PARAM),
    prepare=prepare,
)
