"""The lowered form against direct evaluation of the property, exactly, at sampled points.

    python -m bench.lowering [--points 1000000] [--seconds 3600] [--seed 0]

Random specs of every shape (`tests.spec.sentences`) are lowered; `tests.spec.reference` walks the syntax tree instead,
with rationals.  Points are random, on a coarse grid where ties are common, at the ends of ranges, and, by secant steps
along lines, exactly on the boundaries of the lowered form's rows.  The exit code is 1 after a difference.
"""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from tests.spec.reference import Reference
from tests.spec.sentences import NETWORKS, property_text
from verify.core.evaluate import evaluate
from verify.core.property import Property
from verify.core.query import Formula, Row, holds
from verify.errors import VerifyError
from verify.spec import lower, parse
from verify.spec.syntax import SpecFile

Point = list[Fraction]
SECANTS = 4


@dataclass
class Found:
    specs: int = 0
    points: int = 0
    boundary: int = 0  # points exactly on some row's boundary
    held: int = 0  # points that satisfy assumption and violation
    refused: int = 0  # specs outside what can be lowered (too many cases)
    failures: list[str] = field(default_factory=list)


def compare(rng: random.Random, *, points: int, per_spec: int = 400, until: float = float("inf")) -> Found:
    """Compare until so many points are done, or the monotonic clock shows `until`, or a few have failed."""
    found = Found()
    while found.points < points and len(found.failures) < 5 and time.monotonic() < until:
        text = property_text(rng.choice)
        spec = parse(text, "random.nnspec")
        try:
            (prop,) = lower(spec, NETWORKS, {})
        except VerifyError:
            found.refused += 1
            continue
        found.specs += 1
        _compare_one(rng, spec, prop, text, per_spec, found)
    return found


def _compare_one(rng: random.Random, spec: SpecFile, prop: Property, text: str, count: int, found: Found) -> None:
    query = prop.query
    rows = list({*_rows(query.assumption), *_rows(query.violation)})
    for x in _points(rng, prop, rows, count):
        y = evaluate(query.network, x)
        physical = {f.name: f.physical(v) for f, v in zip(query.inputs, x, strict=True)}
        assumed, asserted = Reference(spec, NETWORKS, physical).judge("p")
        wanted = asserted if query.quantifier == "exists" else not asserted
        lowered = holds(query.assumption, x, y), holds(query.violation, x, y)
        found.points += 1
        found.held += all(lowered)
        found.boundary += any(not row.slack(x, y) for row in rows)
        if lowered != (assumed, wanted):
            found.failures.append(f"{text}\nat {physical}: lowered {lowered}, direct {(assumed, wanted)}")
            return


def _points(rng: random.Random, prop: Property, rows: Sequence[Row], count: int) -> Iterator[Point]:
    """Raw points: a third random, a third on a grid or at the ends of ranges, a third on boundaries."""
    inputs = prop.query.inputs
    before: Point | None = None
    for number in range(count):
        kind = rng.randrange(3)
        if kind == 0:
            physical = [Fraction(rng.randint(-3200, 3200), 1000) for _ in inputs]
        else:
            physical = [rng.choice((Fraction(rng.randint(-13, 13), 4), Fraction(rng.randint(-3, 3)))) for _ in inputs]
        x = [f.raw(v) for f, v in zip(inputs, physical, strict=True)]
        if kind == 2 and before is not None and rows:
            x = _onto(rng.choice(rows), prop, before, x)
        if number % 5 == 0 or before is None:
            before = x
        yield x


def _onto(row: Row, prop: Property, start: Point, end: Point) -> Point:
    """A point of the line through both where the row holds with equality, if some secant steps find one."""
    for _ in range(SECANTS):
        first, last = (row.slack(x, evaluate(prop.query.network, x)) for x in (start, end))
        if not last or first == last:
            return end
        share = first / (first - last)
        if not -1 <= share <= 2:
            return end
        start, end = end, [a + share * (b - a) for a, b in zip(start, end, strict=True)]
    return end


def _rows(formula: Formula) -> Iterator[Row]:
    if isinstance(formula, Row):
        yield formula
        return
    for child in formula.children:
        yield from _rows(child)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--seconds", type=float, default=3600.0)
    parser.add_argument("--seed", type=int, default=0)
    values = parser.parse_args()
    until = time.monotonic() + values.seconds
    found = compare(random.Random(values.seed), points=values.points, until=until)
    for failure in found.failures:
        print(failure)
    print(
        f"{found.points} points of {found.specs} specs ({found.refused} refused): {len(found.failures)} differences; "
        f"{found.boundary} exactly on a boundary, {found.held} satisfy assumption and violation; seed {values.seed}"
    )
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
