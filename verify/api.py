"""The Python API: load a model, read a spec, prove its properties.

import verify
model = verify.load("policy.onnx")                       # Model
spec = verify.read_spec("policy.nnspec")                 # Spec
report = verify.prove(spec, timeout=10)                  # Report of typed Results
report["lean_right"].verdict is verify.Verdict.PROVED
verify.evaluate(spec, {"theta": 0.2, "omega": "1/2"})    # one physical point through the spec
"""

from __future__ import annotations

import gzip
import hashlib
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Union

from verify.core.budget import Budget
from verify.core.property import Property
from verify.core.report import NetworkInfo, Progress, Report, Result
from verify.core.verdict import Decision, Verdict, Witness
from verify.errors import InputError, Place, SpecError, UsageError, VerifyError, VnnlibError
from verify.evaluation import CopyAt, Evaluation, PropertyAt, evaluate_at
from verify.importer.model import Model
from verify.witness import Confirmation, build_witness

FilePath = Union[str, "PathLike[str]"]

__all__ = ["CopyAt", "Evaluation", "PropertyAt", "Spec", "evaluate", "load", "prove", "read_spec"]

DEFAULT_TIMEOUT_S = 60.0
PROGRESS_EVERY_S = 0.1


@dataclass(frozen=True, eq=False)
class Spec:
    """A spec read together with its networks: properties ready to decide."""

    file: str
    sha256: str
    properties: tuple[Property, ...]
    networks: Mapping[str, Model]
    params: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Spec({self.file!r}, properties={[p.name for p in self.properties]})"


def load(path: FilePath) -> Model:
    """Import an ONNX model exactly.  Raises ModelError."""
    from verify.importer import load as load_model

    return load_model(path)


def read_spec(
    path: FilePath, *, networks: Mapping[str, FilePath] | None = None, params: Mapping[str, str] | None = None
) -> Spec:
    """Read a .nnspec file, or a .vnnlib(.gz) file with networks={"": model file}.

    `networks` gives or overrides model files by name; `params` sets params of the spec.
    Raises UsageError, SpecError, VnnlibError, ModelError, QueryError.
    """
    networks, params = dict(networks or {}), dict(params or {})
    file = Path(path)
    is_vnnlib = ".vnnlib" in file.suffixes
    text, digest = _read_text(file, VnnlibError if is_vnnlib else SpecError)
    if is_vnnlib:
        return _read_vnnlib(file, text, digest, networks, params)
    from verify.spec import lower, parse

    tree = parse(text, str(path))
    unknown = [name for name in networks if name not in tree.networks]
    if unknown:
        known = ", ".join(tree.networks) or "none"
        raise UsageError(
            "E003",
            f"the spec declares no network {unknown[0]!r}" if unknown[0] else "the network needs a name here",
            fix=f"write --network NAME=FILE with one of: {known}",
        )
    models = {}
    for name, declared in tree.networks.items():
        if name in networks:
            models[name] = load(networks[name])
        elif declared is None:
            raise UsageError("E004", f"network {name!r} has no file", fix=f"give it: --network {name}=FILE.onnx")
        else:
            models[name] = load(file.parent / declared)
    properties = lower(tree, {name: model.network for name, model in models.items()}, params)
    return Spec(str(path), digest, properties, models, params)


def _read_vnnlib(file: Path, text: str, digest: str, networks: dict[str, FilePath], params: dict[str, str]) -> Spec:
    from verify.spec import vnnlib

    if len(networks) != 1:
        raise UsageError("E004", "a VNN-LIB file needs one network", fix="give it: --network FILE.onnx")
    if params:
        raise UsageError("E005", "a VNN-LIB file has no params", fix="leave out -p / --param")
    ((name, model_file),) = networks.items()
    model = load(model_file)
    return Spec(str(file), digest, (vnnlib.read(text, str(file), model.network),), {name: model}, {})


def _read_text(file: Path, error: type[InputError]) -> tuple[str, str]:
    """The text of a file (un-gzipped when it ends in .gz) and the SHA-256 of its bytes."""
    prefix = "E2" if error is VnnlibError else "E3"
    place = Place(str(file))
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8"), hashlib.sha256(data).hexdigest()
    except FileNotFoundError:
        raise error(f"{prefix}90", "no such file", place=place, fix="check the path") from None
    except UnicodeDecodeError as problem:
        raise error(
            f"{prefix}92", f"not UTF-8 text (byte {problem.start})", place=place, fix="save the file as UTF-8"
        ) from None
    except (OSError, EOFError) as problem:
        raise error(f"{prefix}91", f"cannot be read: {problem}", place=place, fix="check the file") from None


def prove(
    spec: Spec,
    *,
    properties: Sequence[str] | None = None,
    timeout: float | None = None,
    memory: float | None = None,
    seed: int = 0,
    on_progress: Callable[[Progress], None] | None = None,
    on_result: Callable[[Result], None] | None = None,
) -> Report:
    """Decide every property (or the named ones); `timeout` in seconds per property, `memory` in MB.

    on_progress is called at most ten times a second; on_result once per property, in order.
    Raises UsageError for an unknown property name or a limit that is not above 0.
    """
    for what, limit in (("timeout", timeout), ("memory", memory)):
        if limit is not None and not limit > 0:
            raise UsageError("E001", f"{what} must be above 0, not {limit}", fix=f"give a positive {what}")
    known = [p.name for p in spec.properties]
    for name in properties or ():
        if name not in known:
            raise UsageError("E002", f"no property {name!r} in {spec.file}", fix=f"there are: {', '.join(known)}")
    results = []
    for prop in spec.properties:
        if properties is None or prop.name in properties:
            result = _prove_one(spec, prop, timeout, memory, seed, on_progress)
            results.append(result)
            if on_result is not None:
                on_result(result)
    return Report(spec.file, spec.sha256, network_infos(spec), dict(spec.params), tuple(results))


def network_infos(spec: Spec) -> dict[str, NetworkInfo]:
    """Which model bytes `spec` speaks of, by network name."""
    return {n: NetworkInfo(m.file, m.sha256, m.network.digest) for n, m in spec.networks.items()}


def _prove_one(
    spec: Spec,
    prop: Property,
    timeout: float | None,
    memory: float | None,
    seed: int,
    on_progress: Callable[[Progress], None] | None,
) -> Result:
    from verify.search.decide import decide

    start = time.monotonic()
    limit = timeout if timeout is not None else prop.timeout_s if prop.timeout_s is not None else DEFAULT_TIMEOUT_S
    budget = Budget(start + limit, time.monotonic, memory if memory is not None else math.inf, resident_mb)
    confirmation = Confirmation(prop.query, spec.networks)
    shown = start

    def report(phase: str, settled: float, still_open: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if on_progress is not None and now - shown >= PROGRESS_EVERY_S:
            shown = now
            on_progress(Progress(prop.name, now - start, settled, still_open, phase))

    try:
        decision = decide(prop.query, budget, seed=seed, confirm=confirmation.agrees, report=report)
    except VerifyError as problem:
        return _result(prop, Verdict.ERROR, start, error=problem)
    except MemoryError:
        return _result(prop, Verdict.UNKNOWN, start, reason="memory", settled=0.0)
    return _from_decision(prop, decision, confirmation, start)


def _from_decision(prop: Property, decision: Decision, confirmation: Confirmation, start: float) -> Result:
    universal = prop.query.quantifier == "forall"
    witness: Witness | None = None
    if decision.answer == "sat":
        assert decision.x is not None
        witness = build_witness(prop.query, decision.x, confirmation)
        agrees = witness.replay is not None and witness.replay.agrees
        verdict = (Verdict.REFUTED if agrees else Verdict.FRAGILE) if universal else Verdict.WITNESSED
    elif decision.answer == "unsat":
        verdict = Verdict.PROVED if universal else Verdict.NO_WITNESS
    elif decision.answer == "vacuous":
        verdict = Verdict.VACUOUS
    else:
        verdict = Verdict.UNKNOWN
    return _result(prop, verdict, start, decision=decision, witness=witness)


def _result(
    prop: Property,
    verdict: Verdict,
    start: float,
    *,
    decision: Decision | None = None,
    witness: Witness | None = None,
    error: VerifyError | None = None,
    reason: str | None = None,
    settled: float = 1.0,
) -> Result:
    decision = decision or Decision("unknown", reason=reason, settled=0.0 if error else settled)
    return Result(
        name=prop.name,
        verdict=verdict,
        seconds=time.monotonic() - start,
        title=prop.title,
        source=prop.source,
        expected=prop.expected,
        reason=decision.reason,
        error=error,
        settled=decision.settled,
        evidence=decision.evidence,
        witness=witness,
        query=prop.query,
        origin=prop.origin,
        warnings=prop.warnings,
        notes=(*prop.notes, *prop.query.network.notes, *decision.notes),
        statistics=decision.statistics,
    )


def resident_mb() -> float:
    """Resident memory of this process in MB (0 where the system does not tell)."""
    try:
        with open("/proc/self/statm") as handle:
            return int(handle.read().split()[1]) * 4096 / 1e6
    except (OSError, ValueError, IndexError):
        return 0.0


def evaluate(spec: Spec, at: Mapping[str, Fraction | int | float | str]) -> Evaluation:
    """Evaluate `spec` exactly at one physical point, given by field name ("rho", or "s.rho").

    Every property whose variables are all given is evaluated; a float means its shortest decimal.
    Raises UsageError when a field is missing, unknown or not a number.
    """
    return evaluate_at(spec.properties, spec.networks, at)
