"""Choices: how an operator that jumps becomes part of an exact piecewise-linear network.

A comparison, a floor or a sign takes finitely many values over the queried box.  Each element becomes one more input
of the network, a *choice*, and every value it may take comes with rows over what decides it:

    g = (z > 0)   becomes   (g = 1 and -z < 0)  or  (g = 0 and z <= 0)

A query that conjoins these disjunctions is exactly the query over the jumping network, strictness included: there
is just one choice that meets them.  Bounds, search and solver see an ordinary network whose choices are fixed in
every region.  Only elements that the box does not decide already become choices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from verify.core.query import Formula, Row, Selection, conjunction, disjunction
from verify.importer.arithmetic import Array, Ints
from verify.importer.graph import Builder, UnsupportedError

MAX_CHOICES = 256
MAX_COMBINATIONS = 4096  # of the values of all choices
MAX_ENTRIES = 1_000_000  # of the rows enclosed exactly
REWRITE = "make the network smaller before it, restrict the inputs, or state the decision in the query"

Interval = tuple[Fraction, Fraction]


@dataclass(frozen=True)
class Bound:
    """sign · z <= limit, or < when strict."""

    sign: int
    limit: Fraction
    strict: bool


@dataclass(frozen=True)
class Option:
    """A value of the choice, and where it is taken."""

    value: Fraction
    bounds: tuple[Bound, ...]


Options = Callable[[Fraction, Fraction], Sequence[Option]]


class Choices:
    """Collects the choices of one import.  `box` holds every point the query allows, exactly; () when nothing asks."""

    def __init__(self, box: Sequence[Interval], capacity: int) -> None:
        self.box = tuple(box)
        self.capacity = capacity
        self.names: list[str] = []
        self.guards: list[int] = []  # ids of the rows that decide, each an output
        self._options: list[tuple[int, Sequence[Option]]] = []
        self._known: dict[tuple[int, str], int] = {}
        self._intervals: list[Interval] = []
        self._blocks = 0
        self._entries = 0
        self._combinations = 1

    def choose(self, build: Builder, node: str, z: Ints, kind: str, options: Options) -> Ints:
        """The ids of elements that take, for each z, the value of the option that z meets.  Exact over the box."""
        flat = [self._element(build, node, int(i), k, kind, options) for k, i in enumerate(z.ravel())]
        return np.asarray(flat, dtype=np.int64).reshape(z.shape)

    def _element(self, build: Builder, node: str, z: int, place: int, kind: str, options: Options) -> int:
        known = self._known.get((z, kind))
        if known is not None:
            return known
        low, high = self.interval(build, z)
        possible = [o for o in options(low, high) if _meets(o, low, high)]
        values = {o.value for o in possible}
        assert values, "some option holds everywhere"
        if len(values) == 1:
            (found,) = build.ids(np.asarray([float(values.pop())]))
        else:
            found = len(self.box) + len(self.names)
            self._combinations *= len(possible)
            if len(self.names) >= self.capacity or self._combinations > MAX_COMBINATIONS:
                raise UnsupportedError("it jumps in too many places of the queried box", REWRITE)
            self.names.append(f"{node}[{place}]")
            self._options.append((z, possible))
        self._known[z, kind] = int(found)
        return int(found)

    # -- enclosures ----------------------------------------------------------------------------------------------

    def interval(self, build: Builder, element: int) -> Interval:
        """Exact interval arithmetic over the box.  Contains every value the element takes there."""
        if element < 0:
            value = Fraction(build.constants(np.asarray([element]))[0])
            return value, value
        first = len(self.box)
        if element < first:
            return self.box[element]
        if element < first + self.capacity:
            values = [o.value for o in self._options[element - first][1]]
            return min(values), max(values)
        self._extend(build)
        return self._intervals[element - first - self.capacity]

    def _extend(self, build: Builder) -> None:
        for block in build.blocks[self._blocks :]:
            self._entries += len(block.columns)
            if self._entries > MAX_ENTRIES:
                raise UnsupportedError("it jumps, and the network before it is too large to split", REWRITE)
            columns, values = block.columns.tolist(), block.values.tolist()
            for row in range(block.size):
                low = high = Fraction(block.bias[row])
                for k in range(int(block.starts[row]), int(block.starts[row + 1])):
                    weight = Fraction(values[k])
                    sides = [weight * side for side in self._before(columns[k])]
                    low, high = low + min(sides), high + max(sides)
                if block.relu[row]:
                    low, high = max(low, Fraction(0)), max(high, Fraction(0))
                self._intervals.append((low, high))
        self._blocks = len(build.blocks)

    def _before(self, element: int) -> Interval:
        first = len(self.box)
        if element < first:
            return self.box[element]
        if element < first + self.capacity:
            values = [o.value for o in self._options[element - first][1]]
            return min(values), max(values)
        return self._intervals[element - first - self.capacity]

    # -- what a query must assume --------------------------------------------------------------------------------

    def selection(self, build: Builder, outputs: int) -> Selection:
        """The formula; guards that are no plain function of the inputs become outputs number `outputs` and on."""
        size, place, parts = len(self.box), dict[int, int](), []
        for number, (z, options) in enumerate(self._options):
            alternatives = []
            for option in options:
                rows: list[Formula] = [
                    Row.of({size + number: 1}, {}, option.value),
                    Row.of({size + number: -1}, {}, -option.value),
                ]
                affine = self._affine(build, z)
                if affine is None and option.bounds:
                    place.setdefault(z, outputs + len(place))
                rows += [_row(b, affine, place.get(z, 0)) for b in option.bounds]
                alternatives.append(conjunction(rows))
            parts.append(disjunction(alternatives))
        self.guards = list(place)
        return Selection(conjunction(parts), tuple(self.names), len(place))

    def _affine(self, build: Builder, z: int) -> tuple[dict[int, Fraction], Fraction] | None:
        """z as coefficients over the inputs and a constant, if it is one row over them."""
        size = len(self.box)
        if z < size:
            return {z: Fraction(1)}, Fraction(0)
        row = z - size - self.capacity
        if row < 0:
            return None
        for block in build.blocks:
            if row < block.size:
                span = slice(int(block.starts[row]), int(block.starts[row + 1]))
                columns = block.columns[span].tolist()
                if block.relu[row] or any(c >= size for c in columns):
                    return None
                values = map(Fraction, block.values[span].tolist())
                return dict(zip(columns, values, strict=True)), Fraction(block.bias[row])
            row -= block.size
        raise AssertionError("an id beyond all blocks")


def _row(bound: Bound, affine: tuple[dict[int, Fraction], Fraction] | None, output: int) -> Row:
    if affine is None:
        return Row.of({}, {output: bound.sign}, bound.limit, strict=bound.strict)
    coefficients, constant = affine
    scaled = {i: bound.sign * c for i, c in coefficients.items()}
    return Row.of(scaled, {}, bound.limit - bound.sign * constant, strict=bound.strict)


def _meets(option: Option, low: Fraction, high: Fraction) -> bool:
    """Whether some z in [low, high] may meet every bound (each is looked at alone)."""
    for bound in option.bounds:
        least = low if bound.sign > 0 else -high
        if least > bound.limit or (bound.strict and least == bound.limit):
            return False
    return True


def select(build: Builder, choices: Choices, condition: Ints, a: Ints, b: Ints) -> Ints:
    """a where the condition (elements that are 0 or 1) is 1, else b: b + relu(d + M(2c - 1)) - M·c with d = a - b.

    Exact over the box: M is a power of two that |d| does not exceed there.
    """
    condition, a, b = (np.asarray(v, dtype=np.int64) for v in np.broadcast_arrays(condition, a, b))
    difference = build.combine([(a, 1.0), (b, -1.0)])
    bounds = [choices.interval(build, int(i)) for i in difference.ravel()]
    large: Array = np.asarray([_power_above(max(-low, high)) for low, high in bounds]).reshape(a.shape)
    gated = build.combine([(difference, 1.0), (condition, 2 * large)], -large, relu=True)
    return build.combine([(b, 1.0), (gated, 1.0), (condition, -large)])


def _power_above(value: Fraction) -> float:
    """A power of two >= value, at least 1."""
    exponent = max(0, math.ceil(value) - 1).bit_length()
    if exponent > 900:
        raise UnsupportedError("its branches differ by too much", REWRITE)
    return math.ldexp(1.0, exponent)
