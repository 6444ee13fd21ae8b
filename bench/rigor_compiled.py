"""Compressed systems and the compiled search against exact arithmetic: a part of bench/rigor.py."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from unittest import mock

import numpy as np

from bench.rigor_networks import Sample, within
from verify.bounds import compressed
from verify.bounds.enclosure import Enclosure
from verify.core.evaluate import Scaled
from verify.core.exact import integers_of_floats
from verify.core.network import Network
from verify.native.machine import Explore
from verify.search.compiled import cases, dual, layout, system, tilt, tree
from verify.search.compiled.session import BoxSession, PhaseSession, flatten, usable
from verify.search.problem import Problem

Neurons = list[tuple[int, int]]  # (block, row) per ReLU row of a system


class Tally:
    """Comparisons and violations by method."""

    def __init__(self) -> None:
        self.done: Counter[str] = Counter()
        self.wrong: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def check(self, method: str, good: bool, case: str) -> None:
        self.done[method] += 1
        if not good:
            self.wrong[method] += 1
            self.first.setdefault(method, case)

    @property
    def total(self) -> int:
        return sum(self.done.values())


def at_most(bound: float, number: int, denominator: int) -> bool:
    """bound <= number / denominator, exactly."""
    if not math.isfinite(bound):
        return bound < 0
    n, d = bound.as_integer_ratio()
    return n * denominator <= number * d


@dataclass
class Trial:
    """One network over one box: where comparisons are counted, and exact samples."""

    tally: Tally
    problem: Problem
    samples: list[Sample]
    rng: random.Random
    case: str
    rows: np.ndarray = field(init=False)  # of the query

    def __post_init__(self) -> None:
        self.rows = np.unique(self.problem.case_rows[0])

    def check(self, method: str, good: bool) -> None:
        self.tally.check(method, good, self.case)

    def some(self, size: int, most: int) -> list[int]:
        return self.rng.sample(range(size), min(size, most))


def row_error(
    coefficients: Sequence[float], columns: Sequence[Scaled], places: Sequence[int], constant: float, z: Fraction
) -> Fraction:
    """|Σ coefficient · column + constant - z|, exactly."""
    from array import array

    numbers, denominator = integers_of_floats(array("d", [*coefficients, constant]))
    total = Fraction(numbers[-1])
    grouped: dict[int, int] = {}
    for n, (value, d) in zip(numbers[:-1], ((columns[0][p], columns[1][p]) for p in places), strict=True):
        if n:
            grouped[d] = grouped.get(d, 0) + n * value
    total += sum((Fraction(n, d) for d, n in grouped.items()), Fraction(0))
    return abs(total / denominator - z)


def columns_at(sample: Sample, network: Network, neurons: list[tuple[int, int]]) -> tuple[list[int], list[int]]:
    """Numerators and denominators of x, then of the r's."""
    numbers, denominators = [], []
    for value in range(len(network.inputs)):
        n, d = sample.values[value]
        numbers += n
        denominators += [d] * len(n)
    for block, row in neurons:
        n, d = sample.values[len(network.inputs) + block]
        numbers.append(n[row])
        denominators.append(d)
    return numbers, denominators


def exact_rows(sample: Sample, neurons: list[tuple[int, int]], queried: np.ndarray) -> list[Fraction]:
    """z of the ReLU rows, then the query's rows."""
    result = [Fraction(sample.before[b][0][r], sample.before[b][1]) for b, r in neurons]
    numbers, denominator = sample.before[-1]
    return result + [Fraction(numbers[r], denominator) for r in queried.tolist()]


def check_compressed(trial: Trial, enclosure: Enclosure, explore: Mapping[str, Explore] | None) -> None:
    problem, rows = trial.problem, trial.rows
    with mock.patch.object(compressed, "_without_idle", lambda s: s):
        whole = compressed.compress(problem.plan, enclosure, rows)
    fresh = compressed._Builder(problem.plan, enclosure).fresh
    names = [(block, row) for block, chosen in enumerate(fresh) for row in chosen.tolist()]
    with np.errstate(all="ignore"):
        finite = usable(whole)
    if not finite:
        return
    tagged = compressed._without_idle(replace(whole, lower=np.arange(float(whole.unstable))))
    kept = [names[int(k)] for k in tagged.lower]
    small = compressed.compress(problem.plan, enclosure, rows)
    check_system(trial, "compressed", flatten(whole), 0, names, trial.samples)
    check_system(trial, "compressed", flatten(small), 0, kept, trial.samples)
    places = np.unique(np.searchsorted(rows, problem.case_rows[0]), axis=0)
    box = (enclosure.inputs[0][0], enclosure.inputs[1][0])
    Descent(trial, BoxSession(lambda *_: layout.DONE, small, box, places, problem.strict[rows]), kept).run()
    if explore is not None:
        session = BoxSession(explore["boxes"], small, box, places, problem.strict[rows])
        trial.check("search", session.run(300) != layout.DONE)
        for chosen in places:
            phases = PhaseSession(explore["phases"], small, box, np.array(list(dict.fromkeys(chosen.tolist()))))
            trial.check("search", phases.run(30) != layout.DONE)
        check_refined(trial, PhaseSession(explore["phases"], small, box, places[0]), kept)


def check_refined(trial: Trial, session: PhaseSession, names: Neurons) -> None:
    """Some ReLUs' bounds after slopes and splits of their own hold at every sample."""
    chosen = trial.some(len(names), 6)
    for relu in chosen:
        session.refine(relu, 6)
    low, high = session.bounds()
    for sample in trial.samples:
        z = exact_rows(sample, names, trial.rows)
        for relu in chosen:
            trial.check("refined", Fraction(low[relu]) <= z[relu] <= Fraction(high[relu]))


def check_system(
    trial: Trial, method: str, F: np.ndarray, place: int, names: Neurons, samples: Sequence[Sample]
) -> None:
    """Every sampled row of a flat system at the true r is within its error of the exact z."""
    d, total = trial.problem.network.input_size, len(names) + len(trial.rows)
    chosen = sorted({*trial.some(total, 20), *range(len(names), total)})
    for sample in samples:
        columns, z = columns_at(sample, trial.problem.network, names), exact_rows(sample, names, trial.rows)
        for row in chosen:
            meta = place + layout.META * row
            data, first, last = place + int(F[meta]), int(F[meta + 1]), int(F[meta + 2])
            constant, error = float(F[meta + 3]), float(F[meta + 4])
            stored = F[data : data + d + last - first].tolist()
            if not all(map(math.isfinite, (*stored, constant, error))):
                continue
            where = [*range(d), *range(d + first, d + last)]
            off = row_error(stored, columns, where, constant, z[row])
            trial.check(method, off <= Fraction(error))


class Descent:
    """Tighten, bound, clip, substitute and halve down one random path, as `tree.explore` does, comparing each step."""

    def __init__(self, trial: Trial, session: BoxSession, names: Neurons) -> None:
        self.trial, self.P, self.F, self.names = trial, session.integers, session.floats, names
        P, F = self.P, self.F
        d, count, widest = (int(P[k]) for k in (layout.INPUTS, layout.ROWS, layout.WIDEST))
        self.d, self.count, self.tiny = d, count, float(F[int(P[layout.TINY])])
        self.box = box = int(P[layout.SCRATCH])
        self.lows = lows = box + 3 * d
        self.highs = highs = lows + widest
        self.relaxations = highs + widest
        self.slopes = self.relaxations + 4 * widest
        self.form = self.slopes + widest * d + widest + count
        self.note = self.form + widest + d
        self.forms = self.note + 2
        self.row_bounds = self.forms + count * (d + 1)
        self.sensitivities = self.row_bounds + 3 * count
        self.buffer = self.sensitivities + count * widest
        self.mapping = self.buffer + widest + d
        self.at = (self.form, self.relaxations, box, self.note)
        zeros = self.mapping + 2 * widest
        self.weight, self.alphas, self.spare = zeros + widest, zeros + widest + 1, zeros + 3 * widest + 1
        coefficients = self.alphas + widest
        self.tilt_at = (
            self.form,
            self.relaxations,
            box,
            self.weight,
            self.alphas,
            zeros,
            zeros,
            coefficients,
            self.tiny,
        )
        self.place, self.top = int(P[layout.ARENA]), int(P[int(P[layout.INT_FRAMES]) + 2])
        self.unstable, unstable = len(names), len(names)
        F[box : box + 2 * d] = F[: 2 * d]
        F[lows : lows + unstable] = F[2 * d + 1 : 2 * d + 1 + unstable]
        F[highs : highs + unstable] = F[2 * d + 1 + unstable : 2 * d + 1 + 2 * unstable]
        P[int(P[layout.MASK]) : int(P[layout.MASK]) + int(P[layout.CASES])] = 1

    def run(self) -> None:
        for _ in range(6):
            if not self.step():
                return

    def inside(self) -> list[Sample]:
        return [s for s in self.trial.samples if within(s.x, self.F[self.box : self.box + 2 * self.d])]

    def step(self) -> bool:
        """One box of the path; whether there is another."""
        samples = self.inside()
        if self.tighten() < 0:
            self.trial.check("compiled", not samples)
            return False
        self.check_bounds(samples)
        self.check_lines(samples)
        self.check_tilted(samples)
        if not self.clip(samples) or not self.substitute():
            return False
        self.halve()
        return True

    def tighten(self) -> int:
        places = (self.lows, self.highs, self.slopes, self.at)
        return int(system.tighten(self.F, self.place, self.d, self.unstable, *places, self.tiny))

    def check_bounds(self, samples: Sequence[Sample]) -> None:
        for sample in samples:
            z = exact_rows(sample, self.names, self.trial.rows)
            for i in self.trial.some(self.unstable, 16):
                n, q = z[i].numerator, z[i].denominator
                low, high = float(self.F[self.lows + i]), float(self.F[self.highs + i])
                self.trial.check("compiled", at_most(low, n, q) and at_most(-high, -n, q))

    def check_lines(self, samples: Sequence[Sample]) -> None:
        """Backward bounds and their linear forms."""
        F, total = self.F, self.unstable + self.count
        for i in sorted({*self.trial.some(total, 16), *range(self.unstable, total)}):
            for sign in (1.0, -1.0):
                upto = min(i, self.unstable)
                bound = system.backward(F, self.place, self.d, i, upto, sign, self.at, self.tiny, -1)
                slope, constant = F[self.form : self.form + self.d].tolist(), float(F[self.note])
                finite = all(map(math.isfinite, (*slope, constant)))
                for sample in samples:
                    value = int(sign) * exact_rows(sample, self.names, self.trial.rows)[i]
                    good = math.isnan(bound) or at_most(bound, value.numerator, value.denominator)  # NaN closes nothing
                    if finite:
                        line = sum((Fraction(a) * v for a, v in zip(slope, sample.x, strict=True)), Fraction(constant))
                        good = good and line <= value
                    self.trial.check("compiled", good)

    def check_tilted(self, samples: Sequence[Sample]) -> None:
        """Bounds of the query's rows with slopes that were improved, and with any."""
        F, P, widest = self.F, self.P, int(self.P[layout.WIDEST])
        numbers = (self.place, self.d, self.unstable)
        self.trial.check("tilted", F[self.weight] == 1.0 and not F[self.weight - widest : self.weight].any())
        for m in range(int(P[layout.CASES]) * int(P[layout.CASE_LENGTH])):
            row = int(P[layout.CASE_ROWS]) + m
            closed = tilt.tilt(F, P, *numbers, row, self.box + 2 * self.d, self.spare, self.tilt_at)
            exact = [exact_rows(s, [], self.trial.rows)[int(P[row])] for s in samples]
            for _ in range(2):
                bound = dual.dual_bound(F, P, *numbers, self.unstable, row, np.int64(1), self.tilt_at)
                for value in exact:
                    good = at_most(bound, value.numerator, value.denominator) and not (closed and value <= 0)
                    self.trial.check("tilted", math.isnan(bound) or good)
                F[self.alphas : self.alphas + self.unstable] = [self.trial.rng.random() for _ in range(self.unstable)]
                closed = False

    def clip(self, samples: Sequence[Sample]) -> bool:
        """Bound the rows and clip the box; whether anything is left."""
        F, P, mask = self.F, self.P, int(self.P[layout.MASK])
        for flag in range(self.count):
            F[self.row_bounds + 3 * flag + 2] = 0.0
        places = (mask, self.forms, self.row_bounds, self.sensitivities, self.at)
        still, _, _ = cases.bound_rows(F, P, self.place, self.d, self.unstable, *places, self.tiny)
        solutions = [s for s in samples if all(v <= 0 for v in exact_rows(s, [], self.trial.rows))]
        if not still:
            self.trial.check("compiled", not solutions)
            return False
        kept = cases.clip(F, P, self.d, mask, self.forms, self.box)
        for sample in solutions:
            self.trial.check("clipped", kept != 0.0 and within(sample.x, F[self.box : self.box + 2 * self.d]))
        return bool(kept > 0.0)

    def substitute(self) -> bool:
        """Go on with the smaller system; False where there is no room for it."""
        F = self.F
        self.tighten()
        places = (self.relaxations, self.mapping, self.buffer)
        new, left, new_top = tree.shrink(F, self.P, self.place, self.d, self.unstable, self.top, *places, self.tiny)
        if left < 0:
            return False
        keep = [k for k, number in enumerate(F[self.mapping : self.mapping + self.unstable].tolist()) if number >= 0]
        self.names = [self.names[k] for k in keep]
        low, high = (F[side : side + self.unstable][keep].copy() for side in (self.lows, self.highs))
        F[self.lows : self.lows + left], F[self.highs : self.highs + left] = low, high
        self.place, self.top, self.unstable = int(new), int(new_top), int(left)
        check_system(self.trial, "substituted", F, self.place, self.names, self.inside()[:3])
        return True

    def halve(self) -> None:
        """Keep the half with more samples, along some input."""
        axis, F, inside = self.trial.rng.randrange(self.d), self.F, self.inside()
        low, high = self.box + axis, self.box + self.d + axis
        middle = 0.5 * F[low] + 0.5 * F[high]
        halves = [sum(s.x[axis] <= middle for s in inside), sum(s.x[axis] >= middle for s in inside)]
        F[high if halves[0] >= halves[1] else low] = middle
