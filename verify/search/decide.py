"""Deciding one query: feasibility, search, vacuity."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from verify.core.budget import Budget
from verify.core.normal_form import NormalForm, Region, normal_form
from verify.core.query import Query
from verify.core.verdict import Decision, Evidence
from verify.search.attack import Point, is_solution
from verify.search.difference import close_differences
from verify.search.evidence import proved_by, with_certificate
from verify.search.run import Run
from verify.search.tiers import search
from verify.smt.encode import encode_inputs
from verify.smt.solve import judge


def decide(
    query: Query,
    budget: Budget,
    *,
    seed: int = 0,
    confirm: Callable[[Point], bool] = lambda _: True,
    report: Callable[[str, float, int], None] = lambda _phase, _settled, _open: None,
    certificate: bool = False,
    hint: bytes | None = None,
    since: float | None = None,
) -> Decision:
    """Answer "sat" with an exact point, "unsat", "vacuous" (the assumption itself is contradictory) or "unknown".

    `confirm` says whether the float replay reproduces a solution; unconfirmed ones are returned only when nothing
    better was found.  `certificate`: make one whatever it costs, within the budget; else only where it is cheap.
    `hint` is the payload of an earlier proof of a like query, to be tried first.  `since`: when work on this answer
    began, on the budget's clock, if that was earlier: what is cheap is measured by it.
    Guarantee: "sat" points are exact solutions; "unsat" and "vacuous" rest on `evidence`.
    Raises QueryError E401, E402.
    """
    run = Run(query, budget, confirm, report)
    form = normal_form(query)
    started = since if since is not None else budget.clock()
    decision = proved_by(run, hint) or _decide(run, form, seed)
    if decision.answer == "unsat":
        decision = _unless_vacuous(run, form, decision)
    if decision.answer in ("unsat", "vacuous") and decision.payload is None:
        decision = with_certificate(run, form, decision, started=None if certificate else started)
    return decision


def _decide(run: Run, form: NormalForm, seed: int) -> Decision:
    regions: list[Region] = []
    numbers: dict[int, int] = {}  # of the regions in the normal form, by their boxes
    for number, region in enumerate(form.regions):
        always = () in region.cases  # nothing is asked of the outputs: any point of the region is a solution
        if always or region.rows:
            point = _point_of(run, region)
            if point == ():
                continue  # contradictory: no solution there
            if always:
                return run.undecided(0.0) if point is None else run.sat(point)
            if point is not None and is_solution(run.query, region, point) and run.accept([point]) is not None:
                return run.sat(point)
        regions.append(region)
        numbers[id(region.box)] = number
    run.sketch.numbers = tuple(numbers[id(region.box)] for region in regions)
    still_open, point = close_differences(run, tuple(regions))
    if point is not None:
        return run.sat(point)
    run.sketch.numbers = tuple(numbers[id(region.box)] for region in still_open)
    return search(run, still_open, seed) if still_open else run.unsat()


def _point_of(run: Run, region: Region) -> Point | None:
    """Some point of the region; () when it has none; None when Z3 ran out of time."""
    centre = tuple((low + high) / 2 for low, high in zip(region.box.lower, region.box.upper, strict=True))
    if all(row.holds(centre, ()) for row in region.rows):
        return centre
    run.solver_calls += 1
    verdict = judge(encode_inputs(region), len(centre), timeout_s=max(0.05, run.budget.remaining()))
    if verdict.answer == "unsat":
        run.evidence = Evidence.SOLVER
        return ()
    return verdict.x if verdict.answer == "sat" else None


def _unless_vacuous(run: Run, form: NormalForm, decision: Decision) -> Decision:
    """Turn "unsat" into "vacuous" when the assumption on inputs has no point."""
    for region in form.assumed:
        point = _point_of(run, region)
        if point == ():
            continue
        if point is None:
            return run.undecided(1.0)
        notes = ("nonvacuous: unknown (the assumption mentions outputs)",) if form.assumption_uses_outputs else ()
        return replace(decision, notes=notes)
    return run.vacuous()
