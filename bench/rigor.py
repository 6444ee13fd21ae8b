"""Compare every float64 bound with exact arithmetic on extreme random networks.

    python bench/rigor.py [--comparisons 1000000] [--seed 0]

Chains, skips and several inputs, depth 3 to 5, width 50 and more; normal, integer and rational weights, weights from
1e-30 to 1e+30, cancelling ones (w beside -w, 1 + eps patterns on twin neurons) and denormal ones; boxes of width 0,
tiny, normal and huge.  At exact points of each box (corners, the bounds' own minimisers, floats inside) every exact
pre-activation must lie inside

    interval     interval propagation
    backward     backward bounds of every block, as propagated and for sampled rows
    inherited    the same over a part of the box with bounds inherited from the whole
    magnitude    (at least Σ|W||v| + |b|)
    compressed   the compressed system: stored row at the true r, within its error of the exact value
    compiled     bounds and linear forms of the compiled functions, on systems shrunk along random splits
    substituted  the compiled search's smaller systems, within their errors
    clipped      solutions stay in the clipped box
    refined      bounds of single ReLUs by slopes and small searches of their own
    search       the compiled search never closes a box that holds a solution, by inputs or by phases

Prints counts and violations per method and the seconds; exits 1 on a violation.
"""

from __future__ import annotations

import argparse
import math
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from unittest import mock

sys.path.insert(0, ".")

import numpy as np

from verify.bounds import compressed
from verify.bounds.backward import lower_bounds, propagate
from verify.bounds.enclosure import Enclosure
from verify.bounds.rounding import float_above, float_below
from verify.core.evaluate import Scaled, pre_activation
from verify.core.exact import Numbers, integers_of_floats
from verify.core.floats import OutOfRangeError
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.normal_form import normal_form
from verify.core.query import And, Field, Query, Row, identity_copy
from verify.native.machine import Explore
from verify.search.compiled import layout, system, tree
from verify.search.compiled.session import BoxSession, PhaseSession, flatten, usable
from verify.search.problem import Problem, build_problem

KINDS = ("normal", "integer", "wide", "cancelling", "denormal", "steep", "rational")
BOXES = ("point", "tiny", "normal", "huge")
Point = tuple[Fraction, ...]


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


# -- networks and boxes ------------------------------------------------------------------------------------------


def make_network(rng: random.Random, kind: str, width: int, depth: int) -> Network:
    """`depth` ReLU blocks of at least `width` rows and an affine one; some skips, some rows that are the identity."""
    sizes = rng.choice(([3], [4], [2, 2], [1, 3]))
    inputs = len(sizes)
    sizes = list(sizes)
    blocks: list[Block] = []
    for number in range(depth + 1):
        rows = 3 if number == depth else rng.randint(width, width + width // 5)
        sources = set(range(inputs)) if not number else {len(sizes) - 1}
        if number and rng.random() < 0.4:
            sources.add(rng.randrange(len(sizes)))
        if kind == "steep" and number == depth:
            sources.add(0)
        weights = {s: [[_weight(rng, kind, number) for _ in range(sizes[s])] for _ in range(rows)] for s in sources}
        bias = [_weight(rng, kind, number) for _ in range(rows)]
        if kind in ("cancelling", "integer") and number < depth:
            for row in range(1, rows, 2):  # twins: the same row again, or its exact negation
                sign = rng.choice((1, 1, -1))
                for s in sources:
                    weights[s][row] = [sign * w for w in weights[s][row - 1]]
                bias[row] = sign * bias[row - 1]
        if kind == "cancelling" and number:
            for table in weights.values():
                for values in table:
                    _cancel(rng, values)
        if rng.random() < 0.3:
            for table in weights.values():
                for values in table:
                    values[:] = [w if rng.random() < 0.2 else w * 0 for w in values]
        relu = bytes(0 if number == depth or rng.random() < 0.05 else 1 for _ in range(rows))
        terms = tuple(
            Term(s, Matrix.dense(rows, sizes[s], _numbers([w for row in weights[s] for w in row])))
            for s in sorted(sources)
        )
        blocks.append(Block(terms, _numbers(bias), relu))
        sizes.append(rows)
    ports = tuple(Port(f"in{i}", (size,), i) for i, size in enumerate(sizes[:inputs]))
    return Network(ports, (Port("out", (sizes[-1],), len(sizes) - 1),), tuple(blocks))


def _numbers(values: Sequence[float | Fraction]) -> Numbers:
    if any(isinstance(v, Fraction) for v in values):
        return Numbers.of(Fraction(v) for v in values)
    return Numbers.of_floats([float(v) for v in values])


def _weight(rng: random.Random, kind: str, layer: int) -> float | Fraction:
    if kind == "normal":
        return float(np.float32(rng.gauss(0, 0.4)))
    if kind == "integer":
        return float(rng.choice((-3, -2, -1, -1, 0, 0, 1, 1, 2, 3)))
    if kind == "rational":
        power = rng.choice((0, -3, 5, 250, 280) if layer % 2 else (0, -330, -322, -320))
        return Fraction(rng.randint(-9, 9), rng.choice((3, 7, 10))) * Fraction(10) ** power
    if kind == "denormal":
        if layer % 2:
            return rng.choice((-1.0, 1.0)) * 10.0 ** rng.uniform(0, 300)
        return rng.choice((-1.0, 1.0)) * rng.choice((5e-324, 1e-320, 1e-310, 1e-300, 1e-170)) * rng.randint(0, 3)
    if kind == "steep":
        size = 5e-324 * rng.randint(0, 2**40) if layer % 2 else 10.0 ** rng.uniform(280, 299)
        return rng.choice((-1.0, 1.0)) * size
    return rng.choice((-1.0, 1.0)) * rng.uniform(1, 10) * 10.0 ** rng.uniform(-30, 30)


def _cancel(rng: random.Random, values: list[float | Fraction]) -> None:
    """w beside -w, or beside -w (1 + eps): on twin neurons almost everything cancels."""
    for column in range(1, len(values), 2):
        slip = rng.choice((1.0, 1.0, 1.0 + 2.0**-52, 1.0 - 2.0**-53, 1.0 + 2.0**-30))
        values[column] = -float(values[column - 1]) * slip


def make_box(rng: random.Random, kind: str, size: int) -> tuple[list[float], list[float]]:
    middle = [rng.choice((rng.gauss(0, 1), float(rng.randint(-2, 2)), 0.0)) for _ in range(size)]
    if kind == "point":
        return middle, middle
    if kind == "tiny":
        high = [float(np.nextafter(m, np.inf)) if rng.random() < 0.5 else m + abs(m) * 1e-12 for m in middle]
        return middle, high
    reach = 10.0 ** rng.uniform(3, 20) if kind == "huge" else rng.uniform(0.01, 1)
    return [m - reach for m in middle], [m + reach * rng.uniform(0, 1) for m in middle]


def centred(network: Network, rng: random.Random, box: tuple[list[float], list[float]]) -> Network:
    """Biases changed so that many rows are near zero in the box, where phases are decided."""
    point = [Fraction(rng.choice(ends)) for ends in zip(*box, strict=True)]
    blocks: list[Block] = []
    for index, block in enumerate(network.blocks):
        if block.bias.floats is not None and index < len(network.blocks) - 1:
            before = exact_values(Network(network.inputs, (), (*blocks, block)), point)[0][-1]
            bias = list(block.bias.floats)
            for row, n in enumerate(before[0]):
                value = bias[row] - n / before[1] if abs(n) < before[1] << 1000 else bias[row]
                if rng.random() < 0.4 and math.isfinite(value):
                    bias[row] = value
            block = Block(block.terms, Numbers.of_floats(bias), block.relu)
        blocks.append(block)
    return replace(network, blocks=tuple(blocks))


def make_problem(rng: random.Random, network: Network, box: tuple[list[float], list[float]], x: Point) -> Problem:
    """Two cases of two rows, which `x` meets exactly (every row of the first case with equality)."""
    before, _ = exact_values(network, x)
    y = [Fraction(n, before[-1][1]) for n in before[-1][0]]

    def aimed(strict: bool = False) -> Row:
        row = Row.of({0: rng.choice((0, 1))}, {j: rng.choice((-1, 1, 1, 2)) for j in range(len(y))}, 0)
        return replace(row, bound=-row.slack(x, y), strict=strict)

    sides = [Row.of({i: -1}, {}, -Fraction(v)) for i, v in enumerate(box[0])]
    sides += [Row.of({i: 1}, {}, Fraction(v)) for i, v in enumerate(box[1])]
    size = network.input_size
    fields = tuple(Field(f"X_{i}") for i in range(size)), tuple(Field(f"Y_{i}") for i in range(len(y)))
    violation = And((aimed(), aimed()))
    query = Query(network, *fields, And(tuple(sides)), violation, (identity_copy("n", "", size),))
    return build_problem(query, normal_form(query).regions)


# -- exact values ------------------------------------------------------------------------------------------------


def exact_values(network: Network, x: Sequence[Fraction]) -> tuple[list[Scaled], list[Scaled]]:
    """(pre-activations per block, all values), as integers over a denominator each."""
    values: list[Scaled] = []
    position = 0
    for port in network.inputs:
        part = list(x[position : position + port.size])
        denominator = math.lcm(1, *(v.denominator for v in part))
        values.append(([int(v * denominator) for v in part], denominator))
        position += port.size
    before = []
    for block in network.blocks:
        z = pre_activation(block, values)
        before.append(z)
        values.append(([max(n, 0) if r else n for n, r in zip(z[0], block.relu, strict=True)], z[1]))
    return before, values


@dataclass
class Sample:
    """One exact point with what the network does there."""

    x: Point
    before: list[Scaled]
    values: list[Scaled]


def sample_points(
    rng: random.Random, network: Network, box: tuple[list[float], list[float]], aims: np.ndarray, count: int
) -> Iterator[Sample]:
    """Corners, minimisers of linear forms (`aims`, one per row), and floats inside."""
    low, high = box
    for number in range(count):
        if number % 3 == 0 and len(aims):
            slope = aims[rng.randrange(len(aims))] * rng.choice((1, -1))
            x = [a if s > 0 else b for a, b, s in zip(low, high, slope, strict=True)]
        elif number % 3 == 1:
            x = [rng.choice(ends) for ends in zip(low, high, strict=True)]
        else:
            x = [min(max(a + rng.random() * (b - a), a), b) for a, b in zip(low, high, strict=True)]
        point = tuple(map(Fraction, x))
        yield Sample(point, *exact_values(network, point))
        if low == high:
            return


# -- the checks --------------------------------------------------------------------------------------------------


def check_enclosure(tally: Tally, method: str, enclosure: Enclosure, samples: list[Sample], case: str) -> None:
    for lower, upper, before in zip(
        enclosure.lower, enclosure.upper, zip(*(s.before for s in samples), strict=True), strict=True
    ):
        low, high = lower[0].tolist(), upper[0].tolist()
        for numbers, denominator in before:
            for l, u, n in zip(low, high, numbers, strict=True):  # noqa: E741
                tally.check(method, at_most(l, n, denominator) and at_most(-u, -n, denominator), case)


def check_magnitude(
    tally: Tally, problem: Problem, enclosure: Enclosure, samples: list[Sample], rng: random.Random, case: str
) -> None:
    for index, block in enumerate(problem.network.blocks):
        for row in rng.sample(range(block.size), min(4, block.size)):
            for sample in samples[:2]:
                total = abs(block.bias[row])
                for term in block.terms:
                    numbers, denominator = sample.values[term.source]
                    total += sum(abs(w * numbers[c]) for c, w in term.matrix.entries(row)) / Fraction(denominator)
                found = float(enclosure.magnitude[index][0, row])
                tally.check("magnitude", not math.isfinite(found) or Fraction(found) >= total, case)


def bound_rows(
    problem: Problem, enclosure: Enclosure, rng: random.Random
) -> tuple[np.ndarray, list[tuple[int, np.ndarray, np.ndarray, float]]]:
    """Backward bounds of sampled rows of every block; (slopes to aim at, bounds to compare later)."""
    aims, bounds = [], []
    for index, block in enumerate(problem.plan.blocks):
        rows = np.array([rng.sample(range(block.bias.size), min(8, block.bias.size))])
        for sign in (1.0, -1.0):
            found = lower_bounds(problem.plan, enclosure, index, rows, sign)
            aims.append(sign * found.slope[0])
            bounds.append((index, rows[0], found.bound[0], sign))
    return np.concatenate(aims), bounds


def compare_rows(
    tally: Tally, bounds: list[tuple[int, np.ndarray, np.ndarray, float]], samples: list[Sample], case: str
) -> None:
    for index, rows, found, sign in bounds:
        for row, bound in zip(rows.tolist(), found.tolist(), strict=True):
            for sample in samples:
                numbers, denominator = sample.before[index]
                tally.check("backward", at_most(bound, int(sign) * numbers[row], denominator), case)


@dataclass
class Held:
    """A system as the compiled search holds it, with which neuron each ReLU row is."""

    place: int
    neurons: list[tuple[int, int]]  # (block, row) per ReLU row


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


def check_compressed(
    tally: Tally,
    problem: Problem,
    enclosure: Enclosure,
    samples: list[Sample],
    rng: random.Random,
    case: str,
    explore: Mapping[str, Explore] | None,
) -> None:
    rows = np.unique(problem.case_rows[0])
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
    check_system(tally, "compressed", flatten(whole), 0, names, whole.inputs, problem, samples, rows, rng, case)
    check_system(tally, "compressed", flatten(small), 0, kept, small.inputs, problem, samples, rows, rng, case)
    places = np.unique(np.searchsorted(rows, problem.case_rows[0]), axis=0)
    box = (enclosure.inputs[0][0], enclosure.inputs[1][0])
    session = BoxSession(lambda *_: layout.DONE, small, box, places, problem.strict[rows])
    check_compiled(tally, session, problem, kept, samples, rows, rng, case)
    if explore is not None:
        session = BoxSession(explore["boxes"], small, box, places, problem.strict[rows])
        tally.check("search", session.run(300) != layout.DONE, case)
        for chosen in places:
            phases = PhaseSession(explore["phases"], small, box, np.array(list(dict.fromkeys(chosen.tolist()))))
            tally.check("search", phases.run(30) != layout.DONE, case)
        check_refined(tally, PhaseSession(explore["phases"], small, box, places[0]), kept, samples, rows, rng, case)


def check_refined(
    tally: Tally,
    session: PhaseSession,
    names: list[tuple[int, int]],
    samples: list[Sample],
    rows: np.ndarray,
    rng: random.Random,
    case: str,
) -> None:
    """Some ReLUs' bounds after slopes and splits of their own hold at every sample."""
    chosen = rng.sample(range(len(names)), min(len(names), 6))
    for relu in chosen:
        session.refine(relu, 6)
    low, high = session.bounds()
    for sample in samples:
        z = exact_rows(sample, names, rows)
        for relu in chosen:
            tally.check("refined", Fraction(low[relu]) <= z[relu] <= Fraction(high[relu]), case)


def check_system(
    tally: Tally,
    method: str,
    F: np.ndarray,
    place: int,
    names: list[tuple[int, int]],
    d: int,
    problem: Problem,
    samples: list[Sample],
    rows: np.ndarray,
    rng: random.Random,
    case: str,
) -> None:
    """Every sampled row of a flat system at the true r is within its error of the exact z."""
    total = len(names) + len(rows)
    chosen = sorted({*rng.sample(range(total), min(total, 20)), *range(len(names), total)})
    for sample in samples:
        columns, z = columns_at(sample, problem.network, names), exact_rows(sample, names, rows)
        for row in chosen:
            meta = place + layout.META * row
            data, first, last = place + int(F[meta]), int(F[meta + 1]), int(F[meta + 2])
            constant, error = float(F[meta + 3]), float(F[meta + 4])
            stored = F[data : data + d + last - first].tolist()
            if not all(map(math.isfinite, (*stored, constant, error))):
                continue
            where = [*range(d), *range(d + first, d + last)]
            off = row_error(stored, columns, where, constant, z[row])
            tally.check(method, off <= Fraction(error), case)


def check_compiled(
    tally: Tally,
    session: BoxSession,
    problem: Problem,
    names: list[tuple[int, int]],
    samples: list[Sample],
    rows: np.ndarray,
    rng: random.Random,
    case: str,
) -> None:
    """Tighten, bound, clip, substitute and halve down one random path, as `tree.explore` does."""
    P, F = session.integers, session.floats
    d, count, widest, tiny = (int(P[k]) for k in (layout.INPUTS, layout.ROWS, layout.WIDEST, layout.TINY))
    tiny = float(F[tiny])
    box = int(P[layout.SCRATCH])
    lows = box + 3 * d
    highs = lows + widest
    relaxations = highs + widest
    slopes = relaxations + 4 * widest
    form = slopes + widest * d + widest + count
    note = form + widest + d
    forms = note + 2
    row_bounds = forms + count * (d + 1)
    sensitivities = row_bounds + 3 * count
    buffer = sensitivities + count * widest
    mapping = buffer + widest + d
    at = (form, relaxations, box, note)
    place, top, unstable = int(P[layout.ARENA]), int(P[int(P[layout.INT_FRAMES]) + 2]), len(names)
    F[box : box + 2 * d] = F[: 2 * d]
    F[lows : lows + unstable] = F[2 * d + 1 : 2 * d + 1 + unstable]
    F[highs : highs + unstable] = F[2 * d + 1 + unstable : 2 * d + 1 + 2 * unstable]
    P[int(P[layout.MASK]) : int(P[layout.MASK]) + int(P[layout.CASES])] = 1
    for _ in range(6):
        fixed = system.tighten(F, place, d, unstable, lows, highs, slopes, at, tiny)
        inside = [s for s in samples if within(s.x, F[box : box + 2 * d])]
        if fixed < 0:
            tally.check("compiled", not inside, case)
            return
        for sample in inside:
            z = exact_rows(sample, names, rows)
            for i in rng.sample(range(unstable), min(16, unstable)):
                n, q = z[i].numerator, z[i].denominator
                good = at_most(float(F[lows + i]), n, q) and at_most(-float(F[highs + i]), -n, q)
                tally.check("compiled", good, case)
        total = unstable + count
        for i in sorted({*rng.sample(range(total), min(16, total)), *range(unstable, total)}):
            for sign in (1.0, -1.0):
                bound = system.backward(F, place, d, i, min(i, unstable), sign, at, tiny, -1)
                slope, constant = F[form : form + d].tolist(), float(F[note])
                finite = all(map(math.isfinite, (*slope, constant)))
                for sample in inside:
                    value = int(sign) * exact_rows(sample, names, rows)[i]
                    good = math.isnan(bound) or at_most(bound, value.numerator, value.denominator)  # NaN closes nothing
                    if finite:
                        line = sum((Fraction(a) * v for a, v in zip(slope, sample.x, strict=True)), Fraction(constant))
                        good = good and line <= value
                    tally.check("compiled", good, case)
        for flag in range(count):
            F[row_bounds + 3 * flag + 2] = 0.0
        still, _, _ = tree.bound_rows(
            F, P, place, d, unstable, int(P[layout.MASK]), forms, row_bounds, sensitivities, at, tiny
        )
        solutions = [s for s in inside if all(v <= 0 for v in exact_rows(s, [], rows))]
        if not still:
            tally.check("compiled", not solutions, case)
            return
        kept = tree.clip(F, P, d, int(P[layout.MASK]), forms, box)
        for sample in solutions:
            tally.check("clipped", kept != 0.0 and within(sample.x, F[box : box + 2 * d]), case)
        if not kept > 0.0:
            return
        system.tighten(F, place, d, unstable, lows, highs, slopes, at, tiny)
        new, left, new_top = tree.shrink(F, P, place, d, unstable, top, relaxations, mapping, buffer, tiny)
        if left < 0:
            return
        numbers = F[mapping : mapping + unstable].tolist()
        keep = [k for k, number in enumerate(numbers) if number >= 0]
        names = [names[k] for k in keep]
        low, high = F[lows : lows + unstable][keep].copy(), F[highs : highs + unstable][keep].copy()
        F[lows : lows + left], F[highs : highs + left] = low, high
        place, top, unstable = int(new), int(new_top), int(left)
        inside = [s for s in samples if within(s.x, F[box : box + 2 * d])]
        check_system(tally, "substituted", F, place, names, d, problem, inside[:3], rows, rng, case)
        axis = rng.randrange(d)
        middle = 0.5 * F[box + axis] + 0.5 * F[box + d + axis]
        halves = [sum(s.x[axis] <= middle for s in inside), sum(s.x[axis] >= middle for s in inside)]
        F[box + axis + (d if halves[0] >= halves[1] else 0)] = middle


def within(x: Point, box: np.ndarray) -> bool:
    d = len(x)
    return all(low <= v <= high for v, low, high in zip(x, box[:d].tolist(), box[d:].tolist(), strict=True))


def check_one(
    tally: Tally, rng: random.Random, *, width: int, explore: Mapping[str, Explore] | None, case: str
) -> None:
    """One network over one box, all methods."""
    kind, box_kind = rng.choice(KINDS), rng.choice(BOXES)
    case = f"{case} {kind} {box_kind}"
    network = make_network(rng, kind, width, rng.choice((3, 3, 4, 5)))
    box = make_box(rng, box_kind, network.input_size)
    if kind != "integer":
        network = centred(network, rng, box)
    x = tuple(Fraction(rng.choice((a, b, min(max(0.5 * a + 0.5 * b, a), b)))) for a, b in zip(*box, strict=True))
    try:
        problem = make_problem(rng, network, box, x)
    except OutOfRangeError:
        return  # refused by name: a value beyond 1.8e308
    boxes = (np.array([box[0]]), np.array([box[1]]))
    last = problem.row_block
    plain = propagate(problem.plan, boxes, last, stop=lambda: True)
    tight = propagate(problem.plan, boxes, last)
    aims, bounds = bound_rows(problem, tight, rng)
    samples = [Sample(x, *exact_values(problem.network, x))]
    samples += sample_points(rng, problem.network, box, aims, 5)
    check_enclosure(tally, "interval", plain, samples, case)
    check_enclosure(tally, "backward", tight, samples, case)
    compare_rows(tally, bounds, samples, case)
    check_magnitude(tally, problem, tight, samples, rng, case)
    axis = rng.randrange(len(x))
    middle = min(max(0.5 * box[0][axis] + 0.5 * box[1][axis], box[0][axis]), box[1][axis])
    part = (boxes[0].copy(), boxes[1].copy())
    part[rng.choice((0, 1))][0, axis] = middle
    inside = [s for s in samples if within(s.x, np.concatenate([part[0][0], part[1][0]]))]
    check_enclosure(tally, "inherited", propagate(problem.plan, part, last, tight), inside, case) if inside else None
    check_compressed(tally, problem, tight, samples, rng, case, explore)


def run(comparisons: int, seed: int, *, width: int = 50, explore: Mapping[str, Explore] | None = None) -> Tally:
    """Random networks until `comparisons` have been made."""
    tally = Tally()
    number = 0
    assert float_below(Fraction(1, 3)) < float_above(Fraction(1, 3))
    while tally.total < comparisons:
        rng = random.Random(f"{seed} {number}")
        check_one(tally, rng, width=width, explore=explore, case=f"--seed {seed} network {number}")
        number += 1
    return tally


def main() -> int:
    from verify.native import machine

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--comparisons", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--width", type=int, default=50)
    options = parser.parse_args()
    explore = None
    if not os.environ.get("NUMBA_DISABLE_JIT"):
        machine.store(("boxes", "phases"))
        explore = {entry: found for entry in ("boxes", "phases") if (found := machine.cached(entry)) is not None}
    start = time.perf_counter()
    tally = run(options.comparisons, options.seed, width=options.width, explore=explore)
    for method in sorted(tally.done):
        first = f"   first: {tally.first[method]}" if method in tally.first else ""
        print(f"{method:12s} {tally.done[method]:9,d} comparisons, {tally.wrong[method]} violations{first}")
    wrong = sum(tally.wrong.values())
    print(f"{tally.total:,d} comparisons, {wrong} violations, {time.perf_counter() - start:.0f} s")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
