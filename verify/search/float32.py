"""Deciding a query under float32 semantics: what the kernel is to check is the relaxed query of `kernel.float32`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from verify.core.budget import Budget
from verify.core.evaluate import evaluate
from verify.core.payload import Stream
from verify.core.program import Program
from verify.core.query import Query, holds, mentions_outputs
from verify.core.verdict import Decision
from verify.kernel import RejectedError
from verify.kernel_float32.relax import Rounded, relax
from verify.search.attack import Point
from verify.search.decide import decide
from verify.search.rounding import choose_parts

FIRST_LOOK_S, FIRST_LOOK_SHARE = 1.0, 0.1  # for counterexamples of the exact network, before anything else
FIRST_SHARE, LEAST_SHARE = 0.5, 0.1  # see `choose_parts`; halved while the relaxed query has solutions
PARTS_SHARE = 0.3  # of what is left of the budget, for choosing parts once
ATTEMPTS_SHARE = 0.7  # of the budget, after which no attempt is begun
REACHED = "rounding of float32 may reach a violation: the proof over the reals does not leave room for it"
Report = Callable[[str, float, int], None]


def decide_float32(
    query: Query,
    budget: Budget,
    *,
    programs: Mapping[str, Program],
    seed: int = 0,
    confirm: Callable[[Point], bool] = lambda _: True,
    report: Report = lambda _phase, _settled, _open: None,
    certificate: bool = False,
    hint: bytes | None = None,
) -> Decision:
    """As `decide`, but "unsat" says that no float32 evaluation of the models gives a solution, in any order.

    "sat" is a solution of the query over the exact network, as there.  What is neither is "unknown": with reason
    "rounding" where rounding is what may reach a violation.  The payload is for `check_float32`.
    Raises QueryError E401, E402.
    """

    def both(x: Point) -> bool:
        return _solves(query, x) and confirm(x)

    solved = _first_look(query, budget, seed, confirm, report)
    if solved is not None:
        return solved
    try:
        search = _Search(Rounded(query, programs), budget, hint)
        found = search.attempt(both, seed=seed, report=report, certificate=certificate)
        while found.answer == "sat" and found.x is not None and not both(found.x) and search.refine():
            found = search.attempt(both, seed=seed, report=report, certificate=certificate)
    except RejectedError as problem:
        return Decision("unknown", reason="rounding", settled=0.0, notes=(str(problem),))
    if found.answer == "unsat":
        payload = None if found.payload is None else search.parts + found.payload
        notes = ("nonvacuous: unknown (the assumption mentions outputs)",) if mentions_outputs(query.assumption) else ()
        return replace(found, payload=payload, notes=(*found.notes, *notes))
    if found.answer == "vacuous":  # of the query itself, in which the parts play no role
        return decide(query, budget, seed=seed, confirm=confirm, report=report, certificate=certificate)
    if found.answer != "sat":
        return found
    assert found.x is not None
    return found if both(found.x) else _without_proof(query, budget, found, seed=seed, confirm=confirm, report=report)


def _first_look(
    query: Query, budget: Budget, seed: int, confirm: Callable[[Point], bool], report: Report
) -> Decision | None:
    """A counterexample of the exact network that the replay confirms, where one is found soon."""
    seconds = min(FIRST_LOOK_S, FIRST_LOOK_SHARE * budget.remaining())
    soon = replace(budget, deadline=min(budget.deadline, budget.clock() + seconds))
    found = decide(query, soon, seed=seed, confirm=confirm, report=report)
    return found if found.answer == "sat" and found.x is not None and confirm(found.x) else None


class _Search:
    """Attempts with ever smaller parts."""

    def __init__(self, rounded: Rounded, budget: Budget, hint: bytes | None) -> None:
        self.rounded, self.budget, self.share = rounded, budget, FIRST_SHARE
        self.began = budget.clock()
        self.stopped = False
        self.ends = self.began + ATTEMPTS_SHARE * budget.remaining()
        self.parts, self.rest = self._known(hint)

    def _known(self, hint: bytes | None) -> tuple[bytes, bytes | None]:
        """The parts of an earlier proof, if they fit, and the proof that follows them; else parts of our own."""
        if hint is not None:
            stream = Stream(hint)
            try:
                relax(self.rounded, stream)
            except RejectedError:
                pass  # a hint that is of no use
            else:
                return hint[: stream.at], hint[stream.at :]
        return self._choose(), None

    def _choose(self) -> bytes:
        until = self.budget.clock() + PARTS_SHARE * self.budget.remaining()
        self.stopped = False

        def stop() -> bool:
            self.stopped = self.budget.exhausted() is not None or self.budget.clock() > until
            return self.stopped

        return choose_parts(self.rounded, self.share, stop)

    def refine(self) -> bool:
        """Take smaller parts, or those that there was no time for; False when there are none, or no time left."""
        before = self.parts
        while self.parts == before and self.share > LEAST_SHARE and self.budget.clock() < self.ends:
            if not self.stopped:
                self.share /= 2
            self.parts, self.rest = self._choose(), None
        return self.parts != before

    def attempt(self, confirm: Callable[[Point], bool], *, seed: int, report: Report, certificate: bool) -> Decision:
        relaxed = relax(self.rounded, Stream(self.parts))
        return decide(
            relaxed,
            self.budget,
            seed=seed,
            confirm=confirm,
            report=report,
            certificate=certificate,
            hint=self.rest,
            since=self.began,
        )


def _without_proof(
    query: Query, budget: Budget, found: Decision, *, seed: int, confirm: Callable[[Point], bool], report: Report
) -> Decision:
    """The relaxed query has a solution: is there one of the query itself?"""
    exact = decide(query, budget, seed=seed, confirm=confirm, report=report)
    if exact.answer == "sat":
        return exact
    if exact.answer == "unsat":
        return Decision("unknown", reason="rounding", settled=0.0, notes=(REACHED,), statistics=found.statistics)
    return exact


def _solves(query: Query, x: Point) -> bool:
    y = evaluate(query.network, x)
    return holds(query.assumption, x, y) and holds(query.violation, x, y)
