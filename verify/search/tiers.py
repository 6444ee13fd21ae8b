"""The tiers of the search: attack, one bound pass, then depth-first splitting (compiled as soon as it can be).

What attack or one pass of bounds settles never waits for compiled code.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from verify.bounds.backward import propagate
from verify.bounds.compressed import Indices, compress
from verify.core.floats import Floats
from verify.core.normal_form import Region
from verify.core.verdict import Decision, Evidence
from verify.native import machine
from verify.native.machine import Compiler, Explore, awaited
from verify.search.attack import Attack, Point, is_solution
from verify.search.box_proof import Names
from verify.search.branch import (
    JUDGE_SECONDS,
    JUDGE_UNSTABLE,
    Batch,
    Frontier,
    Open,
    ask_judge,
    bound,
    split,
    take,
    wants_judge,
)
from verify.search.compiled import layout
from verify.search.compiled.session import BoxSession, usable
from verify.search.problem import Problem, build_problem
from verify.search.refinement import Refinement
from verify.search.run import Run
from verify.search.sharing import SharedPhases
from verify.search.sketch import OPEN

ATTACK_WORK = 4e8  # multiplications of the first attack round, about
ATTACK_POINTS = (64, 1024)
ATTACK_STEPS = 20
ATTACK_EVERY = 32  # batches between attack rounds, doubling
NARROW = 16  # with more inputs than this that vary, ReLU phases are split instead
FEW_INPUTS = 8  # with more than this, phases are tried too, unless splitting of inputs seems to end soon:
BOXES_TRIAL, BOXES_PROMISING = 2.0, 10.0  # seconds before that is asked, and what the whole may take then
FEW_REGIONS = 8  # up to so many regions go to the compiled search without a bound pass of all of them together
FIRST_BOXES, MOST_BOXES = 256, 1 << 14  # boxes per call of the compiled search
CHUNK_SECONDS = 0.1
REFINE_SHARE = 0.4  # of the time that is left, at most, for tightening a wide box before it is split
FIRST_TRIAL = 1.0  # seconds by phases before bounds are refined further; later as long as the box has taken so far
ATTACK_PAUSE, PHASES_PAUSE = 2.0, 4.0  # seconds of splitting per second of attack; by phases more after every round
SMALL_WEIGHTS = 1000  # networks that Z3 decides whole when few ReLUs are unstable
MOST_NESTED = 50  # boxes searched anew inside one another, for want of memory
MANY_TIES = 64  # after so many questions ties lie along a face, and larger boxes go to the judge


class Search:
    """One search over all regions of a problem."""

    def __init__(self, run: Run, problem: Problem, seed: int) -> None:
        self.run, self.problem = run, problem
        self.attack = Attack(problem, seed)
        self.frontier = Frontier(problem)
        self.postponed: list[Batch] = []  # leaves the judge could not settle in its short time
        weights = sum(t.matrix.rows * t.matrix.columns for b in problem.plan.blocks for t in b.terms)
        self.attack_points = int(np.clip(ATTACK_WORK / (8 * ATTACK_STEPS * max(1, weights)), *ATTACK_POINTS))
        widths = (problem.upper > problem.lower).sum(axis=1)
        self.narrow = int(widths.max()) <= NARROW  # few enough inputs to split them, rather than ReLU phases
        self.found: Point | None = None
        self.entry = "boxes" if self.narrow else "phases"
        self.compiler = Compiler(None)
        self.phases_left_open = False
        self.unsettled = False  # some part of the domain was given up
        self.sketch = run.sketch
        self.nested = 0  # boxes under way that were searched anew inside one another

    def decide(self) -> Decision:
        """Run the tiers one after the other until one of them decides."""
        for tier in (self.falsify, self.bound_roots, self.split_until_compiled, self.explore_compiled):
            tier()
            if self.found is not None:
                return self.run.sat(self.found)
        still_open = bool(self.frontier.stack) or self.unsettled or self.retry_postponed()
        if self.found is not None:
            return self.run.sat(self.found)
        return self.run.undecided(self.frontier.settled) if still_open else self.run.unsat()

    def accept(self, points: Iterator[Point]) -> bool:
        """Take exact solutions; true when one of them ends the search."""
        self.found = self.run.accept(points)
        return self.found is not None

    def falsify(self, scale: int = 1) -> bool:
        """One attack round, `scale` times the usual size."""
        self.run.report("attack", self.frontier.settled, len(self.frontier))
        rounds = self.attack.run(count=scale * self.attack_points, steps=scale * ATTACK_STEPS, stop=self.run.stop)
        done = self.accept(rounds)
        self.run.attack_points = self.attack.points
        return done

    def visit(self, batch: Batch) -> Open | None:
        """Bound one batch; returns what stays open after trying its corners (self.found may be set)."""
        self.run.subproblems += len(batch)
        share, remaining = bound(self.problem, batch, self.run.stop)
        self.frontier.settle(share)
        self.run.report("splitting", self.frontier.settled, len(self.frontier))
        if remaining is not None:
            self.accept(self.attack.candidates(remaining.corner, remaining.batch.region))
        return remaining

    def bound_roots(self) -> bool:
        """One bound pass over every region; open ones stay on the frontier, small ones go to the judge."""
        small = problem_is_small(self.problem)
        if not small and self.narrow and len(self.problem.regions) <= FEW_REGIONS:
            self.compiler = Compiler(self.entry)
            if self.compiler.ready() is not None:
                return False  # the compiled search bounds faster
        roots, self.frontier.stack = self.frontier.stack, []
        while roots:
            if self.run.stop():
                self.frontier.stack += roots
                return False
            remaining = self.visit(roots.pop())
            if self.found is not None:
                return True
            if remaining is not None and self.judge_leaves(remaining, everything=small):
                return True
        if self.frontier.stack and self.compiler.entry is None:
            self.compiler = Compiler(self.entry)
        return bool(self.frontier.stack) and not self.narrow and self.falsify(2)  # little beside splitting phases

    def split_until_compiled(self) -> bool:
        """Split with NumPy while the compiled search is not there yet; once it is, it starts over from the roots."""
        roots, settled, batches, next_attack = list(self.frontier.stack), self.frontier.settled, 0, ATTACK_EVERY
        while self.frontier.stack and not self.run.stop() and self.compiler.ready() is None:
            remaining = self.visit(self.frontier.pop())
            if self.found is not None:
                return True
            if remaining is not None and self.judge_leaves(remaining, halve=True):
                return True
            batches += 1
            if batches >= next_attack:
                next_attack = 2 * batches
                if self.falsify(2):
                    return True
        if batches and self.frontier.stack and self.compiler.ready() is not None:
            self.frontier.stack, self.frontier.settled = roots, settled
        return False

    def judge_leaves(self, remaining: Open, *, halve: bool = False, everything: bool = False) -> bool:
        """Put suitable boxes before Z3; the others go back on the frontier, halved or whole."""
        keep = np.ones(len(remaining.batch), dtype=np.bool_)
        wanted = wants_judge(self.problem, remaining)
        if everything or self.run.solver_calls > MANY_TIES:
            wanted = wanted | (remaining.unstable <= JUDGE_UNSTABLE)
        for number in np.nonzero(wanted)[0]:
            if self.run.stop():
                break
            keep[number] = not self.judged(remaining, int(number), JUDGE_SECONDS)
            if self.found is not None:
                return True
        chosen = np.nonzero(keep)[0]
        if len(chosen):
            self.frontier.push(split(remaining, chosen) if halve else take(remaining.batch, chosen))
        return False

    def judged(self, remaining: Open, number: int, seconds: float) -> bool:
        """Ask Z3 about one box; true when that settles it (self.found is set when it holds a solution)."""
        self.run.solver_calls += 1
        verdict = ask_judge(self.problem, remaining, number, min(seconds, max(0.01, self.run.budget.remaining())))
        if verdict.answer == "unsat":
            self.run.evidence = Evidence.SOLVER
            self.frontier.settle(float(remaining.batch.share[number]))
            return True
        if verdict.answer == "sat":
            region = self.problem.regions[int(remaining.batch.region[number])]
            if not is_solution(self.problem.query, region, verdict.x):
                raise AssertionError("the solver's point does not satisfy the query")
            self.accept(iter([verdict.x]))
        return False

    def explore_compiled(self) -> bool:
        """Decide every box on the frontier with the compiled search, if there is one."""
        explore = self.compiler.ready()
        while explore is not None and self.frontier.stack and not self.run.stop():
            batch = self.frontier.pop()
            for number in range(len(batch)):
                if self.explore_box(explore, take(batch, np.array([number]))):
                    return True
        return False

    def explore_box(self, explore: Explore, batch: Batch, *, nested: bool = False) -> bool:
        """Search one box to the end; what the budget or non-finite numbers leave open is noted as unsettled.

        `explore` is the compiled entry of `self.entry`.
        """
        problem, box = self.problem, (batch.lower, batch.upper)
        intervals_only = self.narrow and batch.inherited is None
        enclosure = propagate(
            problem.plan, box, problem.row_block, batch.inherited, lambda: intervals_only or self.run.stop()
        )
        cases = problem.case_rows[int(batch.region[0])]
        rows = np.unique(cases)
        system = compress(problem.plan, enclosure, rows)
        if self.run.stop() or not usable(system):
            self.unsettled = True
            return False
        places = np.unique(np.searchsorted(rows, cases), axis=0)
        if not self.narrow:
            settled = self.frontier.settled
            refinement = Refinement(self.run, explore, problem.plan, enclosure, system, rows)
            self.explore_wide(explore, refinement, batch, places)
            if self.found is not None or self.unsettled or not self.phases_left_open:
                if nested:
                    self.sketch.add(int(batch.region[0]), OPEN)
                return self.found is not None
            self.frontier.settled, system = settled, refinement.system  # inputs are split after all
        by_inputs = explore if self.narrow else awaited("boxes", self.run.stop)
        if by_inputs is None:
            self.unsettled = True
            return False
        if not nested:
            self.sketch.begin(int(batch.region[0]), Names.of([problem.rows[r] for r in rows], places))
        numbers = self.sketch.names_of(int(batch.region[0])).numbers(system)
        session = BoxSession(by_inputs, system, (batch.lower[0], batch.upper[0]), places, problem.strict[rows], numbers)
        share = float(batch.share[0])
        if nested:
            return self.drive(explore, session, batch, share)
        if self.narrow and np.count_nonzero(batch.upper > batch.lower) > FEW_INPUTS:
            settled, began = self.frontier.settled, self.run.budget.clock()
            if self.drive(explore, session, batch, share, began + BOXES_TRIAL):
                return True
            slow = session.settled < BOXES_TRIAL / BOXES_PROMISING
            if session.open and slow and self.try_phases(batch, rows, places, settled):
                return self.found is not None
        return bool(session.open) and not self.unsettled and self.drive(explore, session, batch, share)

    def try_phases(self, batch: Batch, rows: Indices, places: Indices, settled: float) -> bool:
        """Search by ReLU phases for a while what splitting of inputs does not seem to end soon; true when that is over.

        `settled`: the share of the domain that was settled before this box.
        """
        plan, reached, clock = self.problem.plan, self.frontier.settled, self.run.budget.clock
        explore = machine.cached("phases")
        if explore is None:
            return False
        enclosure = propagate(plan, (batch.lower, batch.upper), self.problem.row_block, batch.inherited, self.run.stop)
        refinement = Refinement(self.run, explore, plan, enclosure, compress(plan, enclosure, rows), rows)
        self.frontier.settled = settled
        limit = clock() + REFINE_SHARE * self.run.budget.remaining()
        over = self.explore_wide(explore, refinement, batch, places, limit)
        if self.found is None and (self.phases_left_open or not over):
            self.frontier.settled = reached
            return False
        self.sketch.by_phases(int(batch.region[0]))
        return True

    def explore_wide(
        self, explore: Explore, refinement: Refinement, batch: Batch, places: Indices, limit: float = math.inf
    ) -> bool:
        """Search one box by ReLU phases, case by case, and refine its bounds while that takes long; true when over.

        It is over with every case, or with a solution; not at the `limit` on the clock.
        self.phases_left_open says whether some node resisted.
        """
        self.phases_left_open = False
        clock, cases, began = self.run.budget.clock, list(places), self.run.budget.clock()
        for last in refinement.rounds(lambda: min(limit, clock() + REFINE_SHARE * self.run.budget.remaining())):
            until = limit if last else min(limit, clock() + max(FIRST_TRIAL, clock() - began))
            cases = self.explore_phases(explore, refinement, batch, cases, len(places), until)
            if self.found is not None or not cases:
                return True
            if self.unsettled or clock() >= limit:
                break
            self.sketch.refined = True
        return False

    def explore_phases(
        self,
        explore: Explore,
        refinement: Refinement,
        batch: Batch,
        cases: Sequence[Indices],
        parts: int,
        until: float,
    ) -> list[Indices]:
        """Search cases one by one, until they are done, a solution is found or the time is up; returns those open."""
        system, rows = refinement.system, [self.problem.rows[r] for r in refinement.rows]
        share, region = float(batch.share[0]) / parts, int(batch.region[0])
        for number, case in enumerate(cases):
            self.unsettled |= self.run.stop()  # this case and those after it
            if self.unsettled or self.found is not None or self.run.budget.clock() >= until:
                return list(cases[number:])
            case = np.array(list(dict.fromkeys(case)))
            tree = self.sketch.tree(region, [tuple(p) for p in system.places.tolist()], tuple(rows[i] for i in case))
            session = SharedPhases(explore, system, (batch.lower[0], batch.upper[0]), case, tree)
            settled = self.frontier.settled
            self.drive(explore, session, batch, share, until)
            if session.open:
                if not self.unsettled:
                    self.frontier.settled = settled
                return list(cases[number:])
            self.phases_left_open |= session.left_open  # by rounding or a tie
        return []

    def drive(
        self,
        explore: Explore,
        session: BoxSession | SharedPhases,
        batch: Batch,
        share: float,
        until: float = math.inf,
    ) -> bool:
        """Run one session to its end, to the end of the budget or to `until`, with attacks in between."""
        clock = self.run.budget.clock
        base = self.frontier.settled - share * session.settled
        boxes = FIRST_BOXES if isinstance(session, BoxSession) else 1
        longer = 0.0 if isinstance(session, BoxSession) else PHASES_PAUSE
        next_attack, pause = clock() + CHUNK_SECONDS, longer or ATTACK_PAUSE
        while True:
            if isinstance(session, BoxSession):
                session.judge_below(JUDGE_UNSTABLE if self.run.solver_calls > MANY_TIES else -1)
            before, start = session.visited, clock()
            status = session.run(boxes)
            if isinstance(session, BoxSession):
                self.sketch.add(int(batch.region[0]), session.take_log())
            self.run.subproblems += session.visited - before
            self.frontier.settled = min(1.0, base + share * session.settled)
            self.run.report("splitting", self.frontier.settled, session.open)
            if status == layout.DONE:
                return False
            if status == layout.CANDIDATE:
                points = session.candidates()
                if self.accept(self.attack.candidates(points, np.repeat(batch.region, len(points)))):
                    return True
            if isinstance(session, BoxSession) and status in (layout.LEAF, layout.FULL):
                low, high, part = session.leaf() if status == layout.LEAF else session.drop()
                if self.settle_leaf(explore, batch, (low, high), share * part, judge=status == layout.LEAF):
                    return True
                base = self.frontier.settled - share * session.settled
            self.compiler.ready()  # other entries that are missing are made meanwhile
            if self.run.stop():
                self.unsettled = True
                return False
            if clock() >= until:
                return False
            if status == layout.OUT_OF_BOXES and clock() - start < CHUNK_SECONDS:
                boxes = min(2 * boxes, MOST_BOXES)
            elif clock() - start > 2 * CHUNK_SECONDS:
                boxes = max(1, boxes // 2)
            if clock() > next_attack:
                start = clock()
                if self.falsify(2):
                    return True
                next_attack, pause = clock() + pause * (clock() - start), pause + longer

    def settle_leaf(
        self, explore: Explore, parent: Batch, box: tuple[Floats, Floats], share: float, *, judge: bool
    ) -> bool:
        """A box the compiled search hands back: to the judge, or (out of memory there) to a fresh session."""
        leaf = Batch(box[0][None], box[1][None], parent.region, np.array([share]), parent.inherited)
        if not judge:
            self.nested += 1
            self.unsettled |= self.nested > MOST_NESTED  # not even its root fits: no use in trying that again
            found = not self.unsettled and self.explore_box(explore, leaf, nested=True)
            self.nested -= 1
            return found
        self.sketch.add(int(parent.region[0]), OPEN)
        _, remaining = bound(self.problem, leaf, self.run.stop)
        if remaining is None:
            self.frontier.settle(share)
        elif not self.judged(remaining, 0, JUDGE_SECONDS) and self.found is None:
            self.postponed.append(leaf)
        return self.found is not None

    def retry_postponed(self) -> bool:
        """Give the judge the rest of the time for leaves it could not settle; true when the search stays open."""
        while self.postponed and not self.run.stop():
            leaf = self.postponed.pop()
            _, remaining = bound(self.problem, leaf, self.run.stop)
            if remaining is not None and not self.judged(remaining, 0, self.run.budget.remaining()):
                return True
        return bool(self.postponed)


def problem_is_small(problem: Problem) -> bool:
    """Whether Z3 decides a region of few unstable ReLUs sooner than splitting would."""
    return sum(t.matrix.rows * t.matrix.columns for b in problem.plan.blocks for t in b.terms) <= SMALL_WEIGHTS


def search(run: Run, regions: tuple[Region, ...], seed: int) -> Decision:
    """Search non-contradictory regions whose cases all have rows."""
    with np.errstate(all="ignore"):  # infinities and NaN are dealt with by value, wherever they can arise
        problem = build_problem(run.query, regions)
        run.sketch.plan = problem.plan
        return Search(run, problem, seed).decide()
