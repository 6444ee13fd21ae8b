"""Deciding one property in this process: budget, search, witness, typed result."""

from __future__ import annotations

import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TYPE_CHECKING

from verify.core.budget import Budget
from verify.core.child import resident_mb
from verify.core.property import Property
from verify.core.report import Progress, Result
from verify.core.verdict import Decision, Verdict, Witness
from verify.errors import UsageError, VerifyError
from verify.run.reading import Outline

if TYPE_CHECKING:
    from verify.core.query import Query
    from verify.importer.model import Model
    from verify.witness import Confirmation

DEFAULT_TIMEOUT_S = 60.0
SEMANTICS = ("real", "float32")  # the exact network; any order of evaluation of its operations in float32
FOREVER_S = 1e9  # 30 years; infinity is more than clocks and solvers take
PROGRESS_EVERY_S = 0.1
INTERRUPT_AFTER_S = 0.1  # beyond the deadline: a solver that has not noticed is told
OnProgress = Callable[[Progress], None]


@dataclass(frozen=True)
class Limits:
    """`timeout` in seconds per property (overrides the property's own), `memory` in MB; `semantics`: see SEMANTICS."""

    timeout: float | None = None
    memory: float | None = None
    seed: int = 0
    semantics: str = "real"

    def check(self) -> None:
        """Raises UsageError E001, E020."""
        if self.semantics not in SEMANTICS:
            what = f"no semantics {self.semantics!r}"
            raise UsageError("E020", what, fix=f"there are {', '.join(SEMANTICS)}")
        for what, limit in (("timeout", self.timeout), ("memory", self.memory)):
            if limit is not None and not limit > 0:
                raise UsageError("E001", f"{what} must be above 0, not {limit}", fix=f"give a positive {what}")

    def seconds(self, own: float | None) -> float:
        """The limit of a property whose own one is `own`."""
        return min(
            self.timeout if self.timeout is not None else own if own is not None else DEFAULT_TIMEOUT_S, FOREVER_S
        )


@dataclass(frozen=True)
class Proofs:
    """What is done about evidence.

    `wanted`: results carry a record of it, and no query is split among processes, since the parts' proofs are not
    put together.  `known`: payloads of earlier proofs by property, for the search to try first.
    """

    wanted: bool = False
    known: Mapping[str, bytes] = field(default_factory=dict)


NO_PROOFS = Proofs()


def prove_one(
    prop: Property,
    models: Mapping[str, Model],
    limits: Limits,
    on_progress: OnProgress | None = None,
    *,
    part: Query | None = None,
    hint: bytes | None = None,
    certificate: bool = False,
) -> Result:
    """Decide a property, or only the `part` of its query; out of time or memory is UNKNOWN, not an exception.

    `hint`: the payload of an earlier proof of the property, for the search to try first; `certificate`: make one
    whatever it costs within the limits, else only where it is cheap.
    Guarantee: the limits are kept as well as the process can; `verify.run.pool` enforces them from outside.
    """
    from verify.witness import Confirmation

    start = time.monotonic()
    seconds = limits.seconds(prop.timeout_s)
    budget = Budget(
        start + seconds, time.monotonic, limits.memory if limits.memory is not None else math.inf, resident_mb
    )
    confirmation = Confirmation(prop.query, models)
    report = _Reporter(prop.name, start, on_progress)
    try:
        with _interrupting_solver(seconds + INTERRUPT_AFTER_S):
            decision = _decider(prop, models, limits)(
                part if part is not None else prop.query,
                budget,
                seed=limits.seed,
                confirm=lambda x: _in_balls(prop, x) and confirmation.agrees(x),
                report=report,
                hint=hint,
                certificate=certificate,
            )
        result = _explained(prop, _from_decision(prop, decision, confirmation, start))
        return replace(result, semantics=limits.semantics)
    except VerifyError as problem:
        return _result(prop, Verdict.ERROR, start, error=problem)
    except Exception as problem:
        if not _is_memory(problem):
            raise
        return _result(
            prop, Verdict.UNKNOWN, start, decision=Decision("unknown", reason="memory", settled=report.settled)
        )


def _decider(prop: Property, models: Mapping[str, Model], limits: Limits) -> Callable[..., Decision]:
    """The search under the semantics asked for.  Raises ModelError E123 for what float32 has no rule for."""
    if limits.semantics == "float32":
        from functools import partial

        from verify.importer.rounding import float32_programs
        from verify.search.float32 import decide_float32

        return partial(decide_float32, programs=float32_programs(prop.query, models))
    from verify.search.decide import decide

    return decide


def _in_balls(prop: Property, x: Sequence[Fraction]) -> bool:
    return all(ball.contains(x) for ball in prop.balls)


@dataclass
class _Reporter:
    """Passes progress on, at most ten times a second, and remembers the settled share."""

    name: str
    start: float
    on_progress: OnProgress | None
    settled: float = 0.0
    shown: float = -math.inf

    def __call__(self, phase: str, settled: float, still_open: int) -> None:
        self.settled = settled
        now = time.monotonic()
        if self.on_progress is None or now - max(self.shown, self.start) < PROGRESS_EVERY_S:
            return
        self.shown = now
        from verify.native.machine import compiling  # loaded by the search already

        self.on_progress(Progress(self.name, now - self.start, settled, still_open, compiling() or phase))


@contextmanager
def _interrupting_solver(seconds: float) -> Iterator[None]:
    """Interrupt Z3 after so many seconds: some of its steps do not look at its own time limit.

    An interrupt while nothing runs changes nothing.
    """

    def interrupt() -> None:
        if "z3" in sys.modules:
            import z3

            z3.main_ctx().interrupt()

    timer = threading.Timer(min(seconds, threading.TIMEOUT_MAX), interrupt)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _is_memory(problem: Exception) -> bool:
    """Python's, NumPy's and Z3's ways to say that memory has run out."""
    foreign = type(problem).__module__.partition(".")[0] == "z3"
    return isinstance(problem, MemoryError) or (foreign and "memory" in str(problem))


def _from_decision(prop: Property, decision: Decision, confirmation: Confirmation, start: float) -> Result:
    from verify.witness import build_witness

    universal = prop.query.quantifier == "forall"
    witness: Witness | None = None
    if decision.answer == "sat" and decision.x is not None and not _in_balls(prop, decision.x):
        note = "only points outside the l2 ball, in its flat-sided hull, were found to violate the property"
        decision = Decision("unknown", reason="relaxation", settled=0.0, notes=(note,), statistics=decision.statistics)
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


def _explained(prop: Property, result: Result) -> Result:
    """With what its author should know about a verdict that means little."""
    if not prop.premises:
        return result
    from verify.run.meaning import clashing_assumptions, holds_without_network

    if result.verdict is Verdict.VACUOUS:
        clash = clashing_assumptions(prop)
        if clash:
            parts = ", ".join(f"{p.text} (line {p.place.line})" for p in clash)
            return replace(result, notes=(*result.notes, f"these contradict each other: {parts}"))
    if result.verdict is Verdict.PROVED and holds_without_network(prop):
        text = f"property `{prop.name}` follows from its assumptions alone, whatever the network computes"
        return replace(result, warnings=(*result.warnings, text))
    return result


def _result(
    prop: Property,
    verdict: Verdict,
    start: float,
    *,
    decision: Decision | None = None,
    witness: Witness | None = None,
    error: VerifyError | None = None,
) -> Result:
    decision = decision or Decision("unknown", settled=0.0)
    seconds = time.monotonic() - start
    blank = undecided(Outline.of(prop), verdict=verdict, seconds=seconds, settled=decision.settled, error=error)
    return replace(
        blank,
        reason=decision.reason,
        evidence=decision.evidence,
        witness=witness,
        query=prop.query,
        steps=prop.steps if witness is not None else (),
        notes=(*blank.notes, *decision.notes),
        statistics=decision.statistics,
        payload=decision.payload,
        kernel_mode=decision.kernel_mode,
        leaves=decision.leaves,
    )


def undecided(
    outline: Outline,
    *,
    verdict: Verdict = Verdict.UNKNOWN,
    seconds: float,
    reason: str | None = None,
    settled: float = 0.0,
    error: VerifyError | None = None,
) -> Result:
    """A result without evidence: UNKNOWN with its reason, or ERROR."""
    return Result(
        name=outline.name,
        verdict=verdict,
        seconds=seconds,
        title=outline.title,
        source=outline.source,
        expected=outline.expected,
        reason=reason,
        error=error,
        settled=settled,
        origin=outline.origin,
        warnings=outline.warnings,
        notes=outline.notes,
    )
