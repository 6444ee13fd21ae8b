"""Extreme random networks over boxes, with points whose values are known exactly: what bench/rigor.py compares with."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import numpy as np

from verify.core.evaluate import Scaled, pre_activation
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.normal_form import normal_form
from verify.core.query import And, Field, Query, Row, identity_copy
from verify.search.problem import Problem, build_problem

KINDS = ("normal", "integer", "wide", "cancelling", "denormal", "steep", "rational")
BOXES = ("point", "tiny", "normal", "huge")
Point = tuple[Fraction, ...]


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


def within(x: Point, box: np.ndarray) -> bool:
    d = len(x)
    return all(low <= v <= high for v, low, high in zip(x, box[:d].tolist(), box[d:].tolist(), strict=True))
