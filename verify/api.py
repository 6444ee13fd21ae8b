"""The Python API: load a model, read a spec, prove its properties.

    import verify
    model = verify.load("policy.onnx")                       # Model
    spec = verify.read_spec("policy.nnspec")                 # Spec
    report = verify.prove(spec, timeout=10)                  # Report of typed Results
    report["lean_right"].verdict is verify.Verdict.PROVED
    verify.evaluate(spec, {"theta": 0.2, "omega": "1/2"})    # one physical point through the spec
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from os import PathLike
from typing import Union

from verify.core.property import Property
from verify.core.report import Progress, Report, Result
from verify.importer.model import Model

FilePath = Union[str, "PathLike[str]"]


@dataclass(frozen=True, eq=False)
class Spec:
    """A spec read together with its networks: properties ready to decide."""

    file: str
    sha256: str
    properties: tuple[Property, ...]
    networks: Mapping[str, Model]
    params: Mapping[str, str]


def load(path: FilePath) -> Model:
    """Import an ONNX model exactly.  Raises ModelError."""
    raise NotImplementedError


def read_spec(
    path: FilePath, *, networks: Mapping[str, FilePath] | None = None, params: Mapping[str, str] | None = None
) -> Spec:
    """Read a .nnspec file, or a .vnnlib(.gz) file with networks={"": model file}.

    `networks` gives or overrides model files by name; `params` sets params of the spec.
    Raises UsageError, SpecError, VnnlibError, ModelError, QueryError.
    """
    raise NotImplementedError


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
    Raises UsageError for an unknown property name or a timeout that is not above 0.
    """
    raise NotImplementedError


@dataclass(frozen=True)
class PropertyAt:
    """How one property fares at one point."""

    name: str
    assumption_holds: bool
    assertion_holds: bool  # for `exists`: the asserted condition holds at this point
    margin: Fraction | None  # by how much the assertion holds (negative: fails)


@dataclass(frozen=True)
class CopyAt:
    """One network use at one point: what is fed and what comes out."""

    label: str  # "acas(s)"
    model: str
    raw_input: tuple[Fraction, ...]
    replay_input: tuple[float, ...]
    raw_output: tuple[Fraction, ...]
    replay_output: tuple[float, ...]  # () when ONNX Runtime could not run the model
    outputs: Mapping[str, tuple[Fraction, str | None]]  # field name -> (physical value, unit)


@dataclass(frozen=True)
class Evaluation:
    """One physical point through a spec; properties that quantify over other variables are left out."""

    inputs: Mapping[str, tuple[Fraction, str | None]]  # field name -> (physical value, unit)
    copies: tuple[CopyAt, ...]
    properties: tuple[PropertyAt, ...]
    runtime: str


def evaluate(spec: Spec, at: Mapping[str, Fraction | int | float | str]) -> Evaluation:
    """Evaluate `spec` exactly at one physical point, given by field name ("rho", or "s.rho").

    Raises UsageError when a field is missing, unknown or not a number.
    """
    raise NotImplementedError
