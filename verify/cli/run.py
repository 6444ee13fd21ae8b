"""`verify run`: decide the properties of a spec."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass

from verify.cli import options
from verify.cli.options import Command


@dataclass(frozen=True)
class Request:
    """A checked call of `verify run`; the `given_` words are repeated in replay commands."""

    spec: str
    networks: dict[str, str]
    properties: tuple[str, ...]
    params: dict[str, str]
    timeout: float | None
    memory: float | None
    seed: int
    semantics: str
    jobs: int
    certificates: str | None
    json: bool
    given_networks: tuple[str, ...]
    given_params: tuple[str, ...]


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    options.check_limit(options.TIMEOUT, values.timeout)
    options.check_limit(options.MEMORY, values.memory)
    options.check_seed(values.seed)
    options.check_jobs(values.jobs)
    request = Request(
        spec=values.SPEC,
        networks=options.parse_networks(values.network),
        properties=tuple(dict.fromkeys(values.property)),
        params=options.parse_assignments(options.PARAM, values.param),
        timeout=values.timeout,
        memory=values.memory,
        seed=values.seed,
        semantics=values.semantics,
        jobs=values.jobs,
        certificates=values.certificate,
        json=values.format == "json",
        given_networks=tuple(values.network),
        given_params=tuple(values.param),
    )
    return functools.partial(_execute, request)


def _execute(request: Request) -> int:
    """Start the first worker, which imports what it needs while this process imports the rest (40 ms of 320)."""
    from verify.core import child
    from verify.run.process import WorkerProcess

    first: WorkerProcess | None = None
    try:
        if child.possible():
            first = WorkerProcess(request.jobs)
        from verify.cli.deciding import execute

        return execute(request, first)
    finally:
        if first is not None:
            first.close()


COMMAND = Command(
    name="run",
    argument="SPEC",
    argument_help="a .nnspec file, or a .vnnlib file with --network",
    summary="decide the properties of a spec",
    description="Decide the properties of a spec; each gets a verdict and what it rests on.",
    epilog="Exit code: 0 all hold or are as expected, 1 not all, 2 wrong usage, 3 spec or model\n"
    "unusable, 4 undecided, 5 vacuous, 70 a defect of verify, 130 interrupted.",
    options=(
        options.NETWORK,
        options.PROPERTY,
        options.PARAM,
        options.TIMEOUT,
        options.MEMORY,
        options.JOBS,
        options.SEED,
        options.SEMANTICS,
        options.CERTIFICATE,
        options.FORMAT,
    ),
    prepare=prepare,
)
