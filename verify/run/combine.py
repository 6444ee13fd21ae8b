"""The answers to the parts of one query, put together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from verify.core.report import Result
from verify.core.verdict import Evidence, Statistics, Verdict

DECISIVE = (Verdict.REFUTED, Verdict.WITNESSED)  # of one part: the others need not be waited for
CLOSED = (Verdict.PROVED, Verdict.NO_WITNESS, Verdict.VACUOUS)
STRENGTH = (Evidence.SOLVER, Evidence.BOUNDS, Evidence.KERNEL)  # weakest first
SEPARATE = "decided in parts, each with a proof that the kernel accepted, but with no proof of the whole"
REASONS = ("memory", "timeout", "interrupted")


def combine(results: Sequence[Result], *, by_box: bool, seconds: float) -> Result:
    """One result from those of all parts (or of some, when one of them is decisive).

    A solution of a part is one of the whole; no solution in any part is none in the whole, on the weakest part's
    evidence.  `by_box`: the parts cover disjoint shares of the inputs, else each covers all of them.
    """
    first = _leading(results)
    total = replace(first, seconds=seconds, statistics=_sum([r.statistics for r in results]))
    if first.verdict in CLOSED:
        weakest = min((r.evidence for r in results if r.evidence is not None), key=STRENGTH.index, default=None)
        notes = tuple(dict.fromkeys(note for r in results for note in r.notes))
        if len(results) > 1:
            total = replace(total, payload=None, kernel_mode=None, leaves=(), record=None)
            if weakest is Evidence.KERNEL:
                weakest, notes = Evidence.BOUNDS, (*notes, SEPARATE)
        return replace(total, evidence=weakest, notes=notes)
    if first.verdict is Verdict.UNKNOWN:
        reasons = [r.reason for r in results if r.verdict is Verdict.UNKNOWN]
        reason = next((r for r in REASONS if r in reasons), reasons[0])
        return replace(total, reason=reason, settled=settled_share([r.settled for r in results], by_box=by_box))
    return total


def settled_share(shares: Sequence[float], *, by_box: bool) -> float:
    """The share settled by all parts together; where each covers all inputs, what is certainly settled in each."""
    if by_box:
        return sum(shares) / len(shares)
    return max(0.0, 1.0 - sum(1.0 - share for share in shares))


def _leading(results: Sequence[Result]) -> Result:
    """The result that decides the verdict: a solution, else an error, else what is open, else what is closed."""
    order = (*DECISIVE, Verdict.FRAGILE, Verdict.ERROR, Verdict.UNKNOWN, Verdict.PROVED, Verdict.NO_WITNESS)
    for verdict in order:
        for result in results:
            if result.verdict is verdict:
                return result
    return results[0]  # all are vacuous


def _sum(parts: Sequence[Statistics]) -> Statistics:
    return Statistics(
        sum(p.subproblems for p in parts), sum(p.solver_calls for p in parts), sum(p.attack_points for p in parts)
    )
