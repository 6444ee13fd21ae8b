"""Verdicts and what they rest on."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from fractions import Fraction


class Verdict(str, Enum):
    """The answer to one property; see the contract in docs/reference.md."""

    PROVED = "PROVED"
    REFUTED = "REFUTED"
    FRAGILE = "FRAGILE"
    VACUOUS = "VACUOUS"
    WITNESSED = "WITNESSED"
    NO_WITNESS = "NO WITNESS"
    UNKNOWN = "UNKNOWN"
    ERROR = "ERROR"

    def __str__(self) -> str:
        return self.value

    def __bool__(self) -> bool:
        raise TypeError("a verdict is not a truth value; compare it: result.verdict is Verdict.PROVED")


class Evidence(str, Enum):
    """What PROVED, NO WITNESS or VACUOUS rests on; the weakest link counts."""

    KERNEL = "kernel"  # a certificate the independent kernel accepted
    BOUNDS = "bounds"  # outward-rounded float64 bounds
    SOLVER = "solver"  # Z3's word

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True)
class Replay:
    """What ONNX Runtime answered at the rounded witness."""

    runtime: str
    inputs: tuple[tuple[float, ...], ...]  # one per copy
    outputs: tuple[float, ...]  # all outputs, concatenated; () when the runtime could not run the model
    agrees: bool  # the violation holds exactly on the floats it returned
    left_region: bool  # rounding moved the point out of the assumed region
    note: str = ""


@dataclass(frozen=True)
class Witness:
    """An exact point of the region that violates the property (or witnesses an `exists`)."""

    x: tuple[Fraction, ...]  # the query's variables, raw
    outputs: tuple[Fraction, ...]  # exact
    margin: Fraction | None  # by how much the assert fails; 0 marks an exact tie
    replay: Replay | None = None


@dataclass(frozen=True)
class Statistics:
    """What the decision cost."""

    subproblems: int = 0
    solver_calls: int = 0
    attack_points: int = 0


@dataclass(frozen=True)
class Decision:
    """What the search found out about one query, before replay and expectations."""

    answer: str  # "sat", "unsat", "vacuous" or "unknown"
    x: tuple[Fraction, ...] | None = None
    evidence: Evidence | None = None  # KERNEL only together with a payload that the kernel accepted
    reason: str | None = None  # for "unknown": timeout, memory or interrupted
    settled: float = 1.0
    notes: tuple[str, ...] = ()
    statistics: Statistics = field(default_factory=Statistics)
    payload: bytes | None = None  # the proof of "unsat" or "vacuous", for the kernel
    kernel_mode: str | None = None  # "reference" or "fast": the path of the kernel that accepted the payload
    leaves: tuple[tuple[str, int], ...] = ()  # of the payload, by the rule that closes them
