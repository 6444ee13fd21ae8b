"""The Python API: load a model, read a spec, prove its properties.

import verify
model = verify.load("policy.onnx")                       # Model
spec = verify.read_spec("policy.nnspec")                 # Spec
report = verify.prove(spec, timeout=10)                  # Report of typed Results
report["lean_right"].verdict is verify.Verdict.PROVED
verify.evaluate(spec, {"theta": 0.2, "omega": "1/2"})    # one physical point through the spec
verify.check("evidence/pi.lean_right.0123abcd.vcert").accepted
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from os import fspath
from typing import TYPE_CHECKING

from verify.core.property import Property
from verify.core.report import Progress, Report, Result
from verify.errors import UsageError
from verify.evaluation import CopyAt, Evaluation, PropertyAt, evaluate_at
from verify.run.deciding import Limits, Proofs
from verify.run.execute import Observers, choose, from_files, in_process, in_workers
from verify.run.messages import Header
from verify.run.process import WorkerProcess
from verify.run.reading import FilePath, Outline, Request, Spec, load, network_infos, read, read_nnspec

if TYPE_CHECKING:
    from verify.recheck import Outcome
    from verify.spec.builder import SpecBuilder

__all__ = [
    "CopyAt",
    "Evaluation",
    "Header",
    "PropertyAt",
    "Spec",
    "check",
    "chosen_properties",
    "evaluate",
    "load",
    "network_infos",
    "prove",
    "prove_files",
    "read_spec",
    "read_spec_text",
]

OnProgress = Callable[[Progress], None]
OnResult = Callable[[Result], None]


def read_spec(
    path: FilePath, *, networks: Mapping[str, FilePath] | None = None, params: Mapping[str, str] | None = None
) -> Spec:
    """Read a .nnspec file, or a .vnnlib(.gz) file with networks={"": model file}.

    `networks` gives or overrides model files by name; `params` sets params of the spec.
    Raises UsageError, SpecError, VnnlibError, ModelError, QueryError.
    """
    return read(Request.of(path, networks, params))


def read_spec_text(
    spec: str | SpecBuilder,
    *,
    file: FilePath = "spec.nnspec",
    networks: Mapping[str, FilePath] | None = None,
    params: Mapping[str, str] | None = None,
) -> Spec:
    """Read the text of a spec, or one written in Python; `file` names it in messages, model files are relative to it.

    Raises as `read_spec`.
    """
    text = spec if isinstance(spec, str) else spec.to_text()
    found = read_nnspec(text, hashlib.sha256(text.encode()).hexdigest(), Request.of(file, networks, params))
    if isinstance(spec, str) or not spec.echoes:
        return found
    return replace(found, properties=tuple(replace(p, notes=(*p.notes, *spec.echoes)) for p in found.properties))


def chosen_properties(spec: Spec, names: Sequence[str] | None = None) -> tuple[Property, ...]:
    """The named properties (default all), in the spec's order.  Raises UsageError E002."""
    places = choose([Outline.of(p) for p in spec.properties], names, spec.file)
    return tuple(spec.properties[place] for place in places)


def prove(
    spec: Spec,
    *,
    properties: Sequence[str] | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    seed: int = 0,
    semantics: str = "real",
    jobs: int = 1,
    certificates: FilePath | None = None,
    known: Mapping[str, bytes] | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
) -> Report:
    """Decide every property (or the named ones); `timeout` in seconds per property, `memory` in MB.

    jobs=1 decides in this process; more decide in as many processes, which share `memory`, and split a query when
    fewer properties are left; those limits are enforced by ending processes.
    semantics: "real", the exact network; "float32", every evaluation of its operations in float32 (docs/kernel.md).
    certificates: the directory that evidence is written to, a file per decided property (queries are not split then).
    known: payloads of earlier proofs by property, which the search may try first.
    on_progress is called at most ten times a second; on_result once per property, in the spec's order.
    KeyboardInterrupt passes through, after results for what is finished (and UNKNOWN for what was at work).
    Raises UsageError for an unknown property name, a limit that is not above 0, or jobs below 1.
    """
    limits = _limits(Limits(timeout, memory, seed, semantics), jobs)
    proofs = Proofs(certificates is not None, known or {})

    def decide(on_result: OnResult) -> Report:
        observers = Observers(on_progress, on_result)
        if jobs == 1:
            return in_process(spec, properties, limits, observers, proofs)
        return in_workers(spec, properties, limits, jobs, observers, proofs)

    return _writing(certificates, on_result, decide)


def prove_files(
    path: FilePath,
    *,
    networks: Mapping[str, FilePath] | None = None,
    params: Mapping[str, str] | None = None,
    properties: Sequence[str] | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    seed: int = 0,
    semantics: str = "real",
    jobs: int = 1,
    certificates: FilePath | None = None,
    known: Mapping[str, bytes] | None = None,
    on_progress: OnProgress | None = None,
    on_result: OnResult | None = None,
    on_spec: Callable[[Header], None] | None = None,
    first: WorkerProcess | None = None,
    standard: bool = False,
    strict_types: bool = False,
) -> Report:
    """As prove(read_spec(…)), with everything in worker processes: nothing can hang, crash or fill this one.

    `timeout` bounds reading too: the time of reading counts for every property.  Results carry no network.
    on_spec is called when the spec is there; `first` is a worker that has been started already.
    `standard` reads `path` as VNN-LIB whatever its name; `strict_types` refuses tensors of a float type, since what is
    decided is the network over the real numbers.
    Raises what both raise, and DefectError.
    """
    limits = _limits(Limits(timeout, memory, seed, semantics), jobs)
    proofs = Proofs(certificates is not None, known or {})
    request = replace(Request.of(path, networks, params), standard=standard, strict_types=strict_types)

    def decide(on_result: OnResult) -> Report:
        observers = Observers(on_progress, on_result, on_spec or _ignore)
        return from_files(request, properties, limits, jobs, observers, proofs=proofs, first=first)

    return _writing(certificates, on_result, decide)


def check(
    file: FilePath,
    *,
    spec: FilePath | None = None,
    networks: Mapping[str, FilePath] | None = None,
    params: Mapping[str, str] | None = None,
    reference: bool = False,
) -> Outcome:
    """Check an evidence file again: exact arithmetic, no search, no solver.  Whatever is wrong is in the outcome.

    `spec`, `networks`, `params` replace what the file names; `reference` takes the kernel's plain exact path.
    """
    from verify.recheck import Checker  # start-up time

    files = {name: fspath(path) for name, path in (networks or {}).items()}
    return Checker(None if spec is None else fspath(spec), files, params or {}, reference).check(file)


def _limits(limits: Limits, jobs: int) -> Limits:
    if jobs < 1:
        raise UsageError("E001", f"jobs must be at least 1, not {jobs}", fix="give the number of processes")
    limits.check()
    return limits


def _writing(directory: FilePath | None, on_result: OnResult | None, decide: Callable[[OnResult], Report]) -> Report:
    """What `decide` reports, with the evidence of its results written to `directory`, if one is named."""
    if directory is None:
        return decide(on_result or _ignore)
    from verify.run.recording import Keeper  # start-up time

    keeper = Keeper(directory, on_result or _ignore)
    return keeper.complete(decide(keeper))


def _ignore(_: object) -> None:
    pass


def evaluate(spec: Spec, at: Mapping[str, Fraction | int | float | str]) -> Evaluation:
    """Evaluate `spec` exactly at one physical point, given by field name ("rho", or "s.rho").

    Every property whose variables are all given is evaluated; a float means its shortest decimal.
    Raises UsageError when a field is missing, unknown or not a number.
    """
    return evaluate_at(spec.properties, spec.networks, at)
