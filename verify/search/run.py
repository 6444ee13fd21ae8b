"""What one decision carries along: budget, replay, evidence so far, counters."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from verify.core.budget import Budget
from verify.core.query import Query
from verify.core.verdict import Decision, Evidence, Statistics
from verify.search.attack import Point

MAX_FRAGILE = 12  # unconfirmed solutions after which the search stops looking for a better one


@dataclass(eq=False)
class Run:
    """One decision under way.  `evidence` only ever gets weaker: bounds, then solver."""

    query: Query
    budget: Budget
    confirm: Callable[[Point], bool]
    report: Callable[[str, float, int], None]  # phase, settled share, open subproblems
    evidence: Evidence = Evidence.BOUNDS
    unconfirmed: list[Point] = field(default_factory=list)
    subproblems: int = 0
    solver_calls: int = 0
    attack_points: int = 0
    hint: bytes | None = None  # the payload of an earlier proof of a like query

    def accept(self, points: Iterable[Point]) -> Point | None:
        """The first exact solution that the replay confirms; others are kept as fragile, up to a limit."""
        for point in points:
            if self.confirm(point):
                return point
            self.unconfirmed.append(point)
            if len(self.unconfirmed) >= MAX_FRAGILE:
                return point
        return None

    def stop(self) -> bool:
        return self.budget.exhausted() is not None

    def sat(self, x: Point) -> Decision:
        """A solution was found; the caller evaluated it exactly."""
        return Decision("sat", x=x, statistics=self._statistics())

    def unsat(self) -> Decision:
        """Everything is closed, unless an unconfirmed solution is known."""
        if self.unconfirmed:
            return self.sat(self.unconfirmed[0])
        return Decision("unsat", evidence=self.evidence, statistics=self._statistics())

    def vacuous(self) -> Decision:
        return Decision("vacuous", evidence=self.evidence, statistics=self._statistics())

    def undecided(self, settled: float) -> Decision:
        """Out of budget: an unconfirmed solution still decides, else "unknown" with the reason."""
        if self.unconfirmed:
            return self.sat(self.unconfirmed[0])
        reason = self.budget.exhausted() or "timeout"
        return Decision("unknown", reason=reason, settled=min(settled, 1.0), statistics=self._statistics())

    def _statistics(self) -> Statistics:
        return Statistics(self.subproblems, self.solver_calls, self.attack_points)
