"""From a decision to one with evidence: a certificate is made, and the kernel checks it, before PROVED is said.

Compiled, that costs about what the search did, so it is done by default within such a time.  The kernel's plain path
is some hundred times slower: without being asked for a certificate it is taken for small proofs only.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from verify.core.normal_form import NormalForm, Region
from verify.core.verdict import Decision, Evidence
from verify.kernel import Checked, Claim, RejectedError
from verify.kernel_fast import Known, RefusedError, StoppedError, check_fast
from verify.native import machine
from verify.native.machine import awaited
from verify.search.run import Run
from verify.search.sketch import Sketch, Steps, slope_passes

SECONDS_AT_LEAST, TIMES_THE_SEARCH = 2.5, 2.0  # what a certificate may take without being asked for, the greater of
CHEAP_WORK = 20_000  # weights times bound passes: up to here the plain path may be taken without being asked for
SECONDS_PER_WORK = 1e-5  # its pace at its slowest, about
FEW_WEIGHTS = 1000  # up to here mending on the plain path is not worth a thought
SECONDS_PER_NODE = 1e-5  # of a tree by phases, written down and checked, at the least
COMPILED_SLOPES = 6.0  # how much faster slopes are checked where the parts of a hull are bounded in compiled code


def proved_by(run: Run, hint: bytes | None) -> Decision | None:
    """What the kernel says to an earlier proof; None when it proves nothing here."""
    if hint is None:
        return None
    try:
        return _proved(run.unsat(), hint, check_fast(run.query, hint, "unsat", stop=run.stop))
    except (RejectedError, StoppedError):
        return None


def _proved(decision: Decision, payload: bytes, checked: Checked) -> Decision:
    leaves = tuple(sorted(checked.leaves.items()))
    return replace(decision, evidence=Evidence.KERNEL, payload=payload, kernel_mode=checked.mode, leaves=leaves)


def with_certificate(run: Run, form: NormalForm, decision: Decision, *, started: float | None) -> Decision:
    """The decision with a certificate that the kernel has accepted; as it was when that costs too much.

    `started`: when the search began, if a certificate may cost no more than that; None to spend the whole budget.
    A certificate that the kernel rejects means that search and kernel disagree: the answer is then "unknown".
    """
    from verify.search.certify import MissedError, certify
    from verify.search.scales import UncertifiedError

    claim: Claim = "vacuous" if decision.answer == "vacuous" else "unsat"
    regions = form.assumed if claim == "vacuous" else form.regions
    sketch = Sketch() if claim == "vacuous" else run.sketch
    sketches = [sketch.of(k) for k in range(len(regions))]
    now, until = run.budget.clock(), run.budget.deadline
    if started is not None:
        times = 0.0 if run.sketch.refined else TIMES_THE_SEARCH  # the kernel rarely finds refined bounds again
        until = min(until, now + max(SECONDS_AT_LEAST, times * (now - started)))
    weights = sum(len(t.matrix.values) for b in run.query.network.blocks for t in b.terms)
    work = weights * sum(sketch.size(k) for k in range(len(regions)))
    plain = work < CHEAP_WORK if started is not None else work * SECONDS_PER_WORK < run.budget.remaining()
    try:
        pace = until if started is not None else math.inf  # what was asked for is tried to the end
        stop = partial(_over, run, now, pace)
        if work >= CHEAP_WORK:
            _await_kernel(run, stop, until - (work * SECONDS_PER_WORK if plain else 0.0))
        if claim == "unsat" and run.sketch.tree_nodes() * SECONDS_PER_NODE > until - now:
            raise UncertifiedError("writing and checking its splits of ReLUs would take longer than is left")
        slopes = weights * slope_passes(sketches) * SECONDS_PER_WORK
        if slopes / (1.0 if machine.cached("kernel") is None else COMPILED_SLOPES) > until - now:
            raise UncertifiedError("checking its slopes would take longer than is left")
        allowed: dict[str, Any] = {"stop": stop, "plain": plain, "known": Known()}
        again = partial(_searched_again, run)
        certifying = partial(certify, run.query, sketches, claim, plan=run.sketch.plan, again=again, **allowed)
        checking = partial(check_fast, run.query, claim=claim, **allowed)
        mend = started is None or weights <= FEW_WEIGHTS or machine.cached("kernel") is not None
        payload, checked = _checked(certifying, checking, mend)
    except (UncertifiedError, StoppedError, RefusedError) as problem:
        note = f"no certificate: {problem}"
        return replace(decision, notes=(*decision.notes, note)) if started is None else decision
    except (MissedError, RejectedError) as problem:
        note = f"DEFECT: the proof of {decision.answer} does not hold: {problem}; please report this"
        return Decision("unknown", reason="defect", notes=(note,), statistics=decision.statistics)
    return _proved(decision, payload, checked)


def _await_kernel(run: Run, stop: Callable[[], bool], until: float) -> None:
    """Have the compiled kernel at hand, if it can be had in time."""

    def over() -> bool:
        run.report("certifying", 1.0, 0)
        return stop() or run.budget.clock() > until

    awaited("kernel", over)


def _checked(
    certifying: Callable[..., bytes], checking: Callable[[bytes], Checked], mend: bool
) -> tuple[bytes, Checked]:
    """What the kernel accepts: the search's own steps if it does, else mended ones; integers round otherwise."""
    try:
        payload = certifying(mend=False)
        return payload, checking(payload)
    except RejectedError as problem:
        if not mend:
            raise RefusedError(str(problem)) from problem
        payload = certifying(mend=True)
        return payload, checking(payload)


def _searched_again(run: Run, region: Region) -> Steps:
    """What closes a part of a region, as a search of its own finds it."""
    from verify.search.certify import MissedError
    from verify.search.tiers import search

    part = Run(run.query, run.budget, run.confirm, lambda _phase, _settled, _open: None, sketch=Sketch(numbers=(0,)))
    decision = search(part, (region,), seed=0)
    if decision.answer == "sat":
        raise MissedError("a part of what it had settled holds a solution")
    if decision.answer != "unsat":
        raise StoppedError
    return part.sketch.of(0).steps


def _over(run: Run, begun: float, until: float, share: float = 0.0) -> bool:
    """Whether time is out, or will be at this pace, a share of the work being done."""
    now = run.budget.clock()
    return run.stop() or now > until or (share > 0.0 and (now - begun) / share > until - begun)
