"""Deciding one query: attack, bounds, input splitting, and the exact judge for what is left."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from verify.core.budget import Budget
from verify.core.normal_form import NormalForm, Region, normal_form
from verify.core.query import Query
from verify.core.verdict import Decision, Evidence, Statistics
from verify.search.attack import Attack, Point, is_solution
from verify.search.branch import JUDGE_SECONDS, Frontier, ask_judge, bound, split, wants_judge
from verify.search.problem import Problem, build_problem
from verify.smt.encode import encode_inputs
from verify.smt.solve import judge

ATTACK_POINTS = 1024
ATTACK_STEPS = 25
ATTACK_EVERY = 32  # batches between attack rounds, doubling
MAX_FRAGILE = 12  # unconfirmed solutions after which the search stops looking for a better one


@dataclass
class Run:
    """What one decision carries along."""

    query: Query
    budget: Budget
    confirm: Callable[[Point], bool]
    report: Callable[[str, float, int], None]  # phase, settled share, open subproblems
    evidence: Evidence = Evidence.BOUNDS
    unconfirmed: list[Point] = field(default_factory=list)
    subproblems: int = 0
    solver_calls: int = 0
    attack_points: int = 0

    def accept(self, points: Iterator[Point]) -> Point | None:
        """The first point the replay confirms; others are kept as fragile."""
        for point in points:
            if self.confirm(point):
                return point
            self.unconfirmed.append(point)
            if len(self.unconfirmed) >= MAX_FRAGILE:
                return point
        return None

    def stop(self) -> bool:
        return self.budget.exhausted() is not None

    def finish(self, answer: str, **details: object) -> Decision:
        statistics = Statistics(self.subproblems, self.solver_calls, self.attack_points)
        return Decision(answer, statistics=statistics, **details)  # type: ignore[arg-type]

    def undecided(self, settled: float) -> Decision:
        if self.unconfirmed:
            return self.finish("sat", x=self.unconfirmed[0])
        return self.finish("unknown", reason=self.budget.exhausted() or "timeout", settled=settled)


def decide(
    query: Query,
    budget: Budget,
    *,
    seed: int = 0,
    confirm: Callable[[Point], bool] = lambda _: True,
    report: Callable[[str, float, int], None] = lambda _phase, _settled, _open: None,
) -> Decision:
    """Answer "sat" with an exact point, "unsat", "vacuous" (the assumption itself is contradictory) or "unknown".

    `confirm` says whether the float replay reproduces a solution; unconfirmed ones are returned only when nothing
    better was found.  Guarantee: "sat" points are exact solutions; "unsat" and "vacuous" rest on `evidence`.
    Raises QueryError E401, E402.
    """
    run = Run(query, budget, confirm, report)
    form = normal_form(query)
    decision = _decide(run, form, seed)
    if decision.answer == "unsat":
        return _unless_vacuous(run, form, decision)
    return decision


def _decide(run: Run, form: NormalForm, seed: int) -> Decision:
    regions = []
    for region in form.regions:
        always = () in region.cases  # nothing is asked of the outputs: any point of the region is a solution
        if always or region.rows:
            point = _point_of(run, region)
            if point == ():
                continue  # contradictory: no solution there
            if always:
                return run.undecided(0.0) if point is None else run.finish("sat", x=point)
            if point is not None and is_solution(run.query, region, point) and run.accept(iter([point])) is not None:
                return run.finish("sat", x=point)
        regions.append(region)
    if not regions:
        return run.finish("unsat", evidence=run.evidence)
    problem = build_problem(run.query, NormalForm(tuple(regions), (), False))
    return _search(run, problem, seed)


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


def _search(run: Run, problem: Problem, seed: int) -> Decision:
    attack = Attack(problem, seed)
    found = _attack(run, attack, ATTACK_POINTS, ATTACK_STEPS)
    if found is not None:
        return run.finish("sat", x=found)
    frontier = Frontier(problem)
    batches, next_attack = 0, ATTACK_EVERY
    while frontier.stack:
        if run.stop():
            return run.undecided(frontier.settled)
        batch = frontier.pop()
        run.subproblems += len(batch)
        share, remaining = bound(problem, batch, run.stop)
        frontier.settle(share)
        run.report("splitting", frontier.settled, len(frontier))
        if remaining is not None:
            point = run.accept(attack.candidates(remaining.corner, remaining.batch.region))
            if point is not None:
                return run.finish("sat", x=point)
            keep = np.ones(len(remaining.batch), dtype=np.bool_)
            for number in np.nonzero(wants_judge(problem, remaining))[0]:
                if run.stop():
                    return run.undecided(frontier.settled)
                run.solver_calls += 1
                limit = min(JUDGE_SECONDS, max(0.01, run.budget.remaining()))
                verdict = ask_judge(problem, remaining, int(number), limit)
                if verdict.answer == "unsat":
                    run.evidence = Evidence.SOLVER
                    keep[number] = False
                    frontier.settle(float(remaining.batch.share[number]))
                elif verdict.answer == "sat":
                    region = problem.regions[int(remaining.batch.region[number])]
                    if not is_solution(problem.query, region, verdict.x):
                        raise AssertionError("the solver's point does not satisfy the query")
                    if run.accept(iter([verdict.x])) is not None:
                        return run.finish("sat", x=verdict.x)
            chosen = np.nonzero(keep)[0]
            if len(chosen):
                frontier.push(split(remaining, chosen))
        batches += 1
        if batches >= next_attack:
            next_attack = 2 * batches
            found = _attack(run, attack, 2 * ATTACK_POINTS, 2 * ATTACK_STEPS)
            if found is not None:
                return run.finish("sat", x=found)
    if run.unconfirmed:
        return run.finish("sat", x=run.unconfirmed[0])
    return run.finish("unsat", evidence=run.evidence)


def _attack(run: Run, attack: Attack, count: int, steps: int) -> Point | None:
    run.report("attack", 0.0, 0)
    point = run.accept(attack.run(count=count, steps=steps, stop=run.stop))
    run.attack_points = attack.points
    return point


def _unless_vacuous(run: Run, form: NormalForm, decision: Decision) -> Decision:
    """Turn "unsat" into "vacuous" when the assumption on inputs has no point."""
    for region in form.assumed:
        point = _point_of(run, region)
        if point == ():
            continue
        if point is None:
            return run.undecided(1.0)
        note = ("nonvacuous: unknown (the assumption mentions outputs)",) if form.assumption_uses_outputs else ()
        return run.finish("unsat", evidence=decision.evidence, notes=note)
    return run.finish("vacuous", evidence=run.evidence)
