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
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

if __name__ == "__main__":  # the repository, not this folder, whose profile.py would hide the standard library's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import numpy as np

from bench.rigor_compiled import Tally, Trial, at_most, check_compressed
from bench.rigor_networks import (
    BOXES,
    KINDS,
    Sample,
    centred,
    exact_values,
    make_box,
    make_network,
    make_problem,
    sample_points,
    within,
)
from verify.bounds.backward import lower_bounds, propagate
from verify.bounds.enclosure import Enclosure
from verify.bounds.rounding import float_above, float_below
from verify.core.floats import OutOfRangeError
from verify.native.machine import Explore
from verify.search.problem import Problem


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
    check_compressed(Trial(tally, problem, samples, rng, case), tight, explore)


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
