"""How far any float32 evaluation of a program is from its exact network, over a box: integers, rounded outwards.

With d = (float32 value) - (exact value), a row z = Σ w v + b of the program has d_z = Σ w d_v + local, where
|local| <= γ_n Σ |w| |v + d_v| + γ_m |b| + underflow, and relu(z + d) - relu(z) = t d with t in [0, 1], 1 where both are
active, 0 where both are inactive.  `Spread` bounds |local| of every row and finds those phases in one pass forwards;
its `error` follows a row over the outputs backwards through the recursion of d.  See docs/kernel.md, "float32".

Everything is an integer in units of 2^-P.  `>> P` and `//` round down, `-(-a // b)` rounds up.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import compress
from operator import mul

from verify.core.network import Block, Matrix
from verify.core.payload import RejectedError
from verify.core.program import Program
from verify.core.query import Affine

P = 64
ONE = 1 << P
PRECISION = 1 << 24  # 1 / u
LIMIT = ONE << 100  # no sum of float32 magnitudes may be larger: nothing overflows, whatever is summed first
CHORD_BITS = 20
MAX_SYMBOLS = 16  # inputs up to which values are tracked as affine forms, beyond intervals alone
INACTIVE, ACTIVE, UNSTABLE = range(3)
Ints = Sequence[int]
Lines = list[tuple[list[int], list[int]]]  # the places of a line's numbers, ascending, and the numbers


class Weights:
    """A matrix as integers over one denominator; a product takes and gives lists of integers, exactly."""

    def __init__(self, matrix: Matrix) -> None:
        self.rows, self.columns = matrix.rows, matrix.columns
        _, self.denominator = matrix.values.integers()
        entries = [list(matrix.numerators(row)) for row in range(matrix.rows)]
        turned: list[list[tuple[int, int]]] = [[] for _ in range(matrix.columns)]
        for row, line in enumerate(entries):
            for column, n in line:
                turned[column].append((row, n))
        self.forward, self.backward = _by_line(entries), _by_line(turned)
        self.forward_absolute = [(places, [abs(n) for n in numbers]) for places, numbers in self.forward]
        self.backward_absolute = [(places, [abs(n) for n in numbers]) for places, numbers in self.backward]


def _by_line(lines: Sequence[Sequence[tuple[int, int]]]) -> Lines:
    return [([k for k, _ in line], [n for _, n in line]) for line in lines]


def product(lines: Lines, vector: Ints) -> list[int]:
    """Σ n · vector[place] of every line."""
    if all(len(places) == len(vector) for places, _ in lines):
        return [sum(map(mul, numbers, vector)) for _, numbers in lines]
    return [sum(map(mul, numbers, map(vector.__getitem__, places))) for places, numbers in lines]


class Live:
    """A matrix without the columns whose entries all meet zeros: ReLUs that are inactive in the box."""

    def __init__(self, lines: Lines, absolute: Lines, live: Sequence[bool]) -> None:
        self.live = None if all(live) else live
        self.lines, self.absolute = lines, absolute
        if self.live is not None and all(len(places) == len(live) for places, _ in lines):
            own = list(range(sum(live)))
            self.lines = [(own, list(compress(numbers, live))) for _, numbers in lines]
            self.absolute = [(own, list(compress(numbers, live))) for _, numbers in absolute]
        else:
            self.live = None  # sparse: nothing to gain

    def times(self, vector: Ints) -> list[int]:
        return product(self.lines, vector if self.live is None else list(compress(vector, self.live)))

    def absolute_times(self, vector: Ints) -> list[int]:
        return product(self.absolute, vector if self.live is None else list(compress(vector, self.live)))


@dataclass(eq=False)
class Value:
    """What is known of one value of the program: low <= v <= high, |float32 value - v| <= off, and for s in [-1, 1]
    |v - (centre + Σ slopes·s)| <= error, unless there are no slopes (many inputs).
    """

    low: list[int]
    high: list[int]
    off: list[int]
    centre: list[int]
    slopes: list[list[int]] | None  # per symbol
    error: list[int]


class Rounding:
    """A program made ready: its weights as integers."""

    def __init__(self, program: Program) -> None:
        self.program, self.network = program, program.network
        self.first = len(self.network.inputs)
        self.weights = [[Weights(term.matrix) for term in block.terms] for block in self.network.blocks]
        self.biases = [_units(block) for block in self.network.blocks]


def _units(block: Block) -> tuple[list[int], list[int]]:
    """The bias, rounded down, and rounded up."""
    numbers, denominator = block.bias.integers()
    return [n * ONE // denominator for n in numbers], [-(-n * ONE // denominator) for n in numbers]


class Spread:
    """One box: bounds of every row's own rounding, the phases of its ReLUs, and rows over outputs bounded from them.

    `inputs`: the model's inputs as affine functions of so many symbols in [-1, 1], exactly.
    Raises RejectedError where a magnitude may be above 2^100.
    """

    def __init__(self, rounding: Rounding, inputs: Sequence[Affine], symbols: int) -> None:
        self.rounding = rounding
        self.local: list[list[int]] = []
        self.phases: list[list[int]] = []
        values: list[Value] = []
        self._turned: dict[int, tuple[list[bool], list[Live]]] = {}
        position = 0
        for port in rounding.network.inputs:
            values.append(_input(inputs[position : position + port.size], symbols))
            position += port.size
        if any(max(-a, b) > LIMIT for v in values for a, b in zip(v.low, v.high, strict=True)):
            raise RejectedError("float32: inputs may be beyond 2^100")
        self.input_off = [off for value in values for off in value.off]
        for number in range(len(rounding.network.blocks)):
            values.append(self._rectified(number, self._summed(number, values)))

    def _summed(self, number: int, values: Sequence[Value]) -> Value:
        """z of a block; notes its rows' own roundings."""
        rounding = self.rounding
        block, weights = rounding.network.blocks[number], rounding.weights[number]
        down, up = rounding.biases[number]
        sources = [values[term.source] for term in block.terms]
        z = Value(list(down), list(up), [0] * block.size, list(down), None, [1] * block.size)
        magnitude = [0] * block.size
        if all(s.slopes is not None for s in sources):
            count = max((len(s.slopes) for s in sources if s.slopes is not None), default=0)
            z.slopes = [[0] * block.size for _ in range(count)]
        for w, v in zip(weights, sources, strict=True):
            largest = [max(-a, b) + off for a, b, off in zip(v.low, v.high, v.off, strict=True)]
            live = Live(w.forward, w.forward_absolute, [m > 0 for m in largest])
            _add_interval(z, live, w.denominator, v)
            _add_form(z, live, w.denominator, v)
            for i, m in enumerate(live.absolute_times(largest)):
                magnitude[i] -= -m // w.denominator
            for i, m in enumerate(live.absolute_times(v.off)):
                z.off[i] -= -m // w.denominator
        shift = [max(-a, b) for a, b in zip(down, up, strict=True)]
        local = list(map(_local, rounding.program.products[number], magnitude, rounding.program.biases[number], shift))
        z.off = [a + b for a, b in zip(z.off, local, strict=True)]
        if any(m + s + off > LIMIT for m, s, off in zip(magnitude, shift, z.off, strict=True)):
            raise RejectedError(f"float32: values of step {number} may be beyond 2^100")
        self.local.append(local)
        if z.slopes is not None:
            for i, (c, e) in enumerate(zip(z.centre, z.error, strict=True)):
                radius = sum(abs(g[i]) for g in z.slopes) + e
                z.low[i], z.high[i] = max(z.low[i], c - radius), min(z.high[i], c + radius)
        return z

    def _rectified(self, number: int, z: Value) -> Value:
        """The block's values behind its ReLUs, in place; notes the phases."""
        phases = [ACTIVE] * len(z.low)
        for i, relu in enumerate(self.rounding.network.blocks[number].relu):
            if not relu:
                continue
            low, high, off = z.low[i], z.high[i], z.off[i]
            if high + off <= 0:
                phases[i] = INACTIVE
                z.off[i] = 0
            elif low - off < 0:
                phases[i] = UNSTABLE
            if low < 0:
                _relax(z, i)
                z.low[i], z.high[i] = 0, max(high, 0)
        self.phases.append(phases)
        return z

    def error(self, outputs: Sequence[Fraction]) -> tuple[int, list[int]]:
        """E >= |Σ outputs · (float32 outputs - exact outputs)|, and how much it would change with each input at most.

        Both in units of 2^-P; the inputs' own rounding is part of E.
        """
        rounding = self.rounding
        bounds: dict[int, tuple[list[int], list[int]]] = {}
        position = 0
        for port in rounding.network.outputs:
            low, high = bounds.setdefault(port.value, ([0] * port.size, [0] * port.size))
            for i in range(port.size):
                c = outputs[position + i]
                low[i] += _floor(c)
                high[i] -= _floor(-c)
            position += port.size
        total = 0  # in units of 2^-2P
        for number in reversed(range(len(rounding.network.blocks))):
            found = bounds.pop(rounding.first + number, None)
            if found is None:
                continue
            low, high = found
            for i, phase in enumerate(self.phases[number]):
                if phase == INACTIVE:
                    low[i] = high[i] = 0
                elif phase == UNSTABLE:
                    low[i], high[i] = min(low[i], 0), max(high[i], 0)
            total += sum(map(mul, map(max, map(int.__neg__, low), high), self.local[number]))
            live = [a < b or a != 0 for a, b in zip(low, high, strict=True)]
            turned = zip(rounding.weights[number], self._backward(number, live), strict=True)
            for term, (w, lines) in zip(rounding.network.blocks[number].terms, turned, strict=True):
                into = bounds.setdefault(term.source, ([0] * w.columns, [0] * w.columns))
                _pull_back(lines, w.denominator, low, high, into)
        slopes: list[int] = []
        for port in rounding.network.inputs:
            low, high = bounds.get(port.value, ([0] * port.size, [0] * port.size))
            slopes += map(max, map(int.__neg__, low), high)
        total += sum(map(mul, slopes, self.input_off))
        return -(-total >> P), slopes

    def _backward(self, number: int, live: list[bool]) -> list[Live]:
        """Wᵀ of a block's terms, without the rows that are not `live`; usually they are the same for all outputs."""
        known = self._turned.get(number)
        if known is None or known[0] != live:
            weights = self.rounding.weights[number]
            known = self._turned[number] = (live, [Live(w.backward, w.backward_absolute, live) for w in weights])
        return known[1]


def _local(products: int, magnitude: int, biases: int, shift: int) -> int:
    """γ_n · magnitude + γ_m · shift + underflow, rounded up.  γ_n = n u / (1 - n u); 2^-149 a summand is no unit."""
    if not products and not biases:
        return 0
    return 1 - (-products * magnitude // (PRECISION - products)) - (-biases * shift // (PRECISION - biases))


def _input(inputs: Sequence[Affine], symbols: int) -> Value:
    """Exact inputs, and what rounding them to float32 changes: u |x| + 2^-150."""
    low, high = [], []
    for affine in inputs:
        radius = sum((abs(g) for _, g in affine.coefficients), Fraction(0))
        low.append(_floor(affine.constant - radius))
        high.append(-_floor(-affine.constant - radius))
    off = [1 - (-max(-a, b) // PRECISION) for a, b in zip(low, high, strict=True)]
    centre = [_floor(affine.constant) for affine in inputs]
    if symbols > MAX_SYMBOLS:
        return Value(low, high, off, centre, None, [0] * len(inputs))
    slopes = [[0] * len(inputs) for _ in range(symbols)]
    for i, affine in enumerate(inputs):
        for k, g in affine.coefficients:
            slopes[k][i] = _floor(g)
    return Value(low, high, off, centre, slopes, [1 + symbols] * len(inputs))


def _floor(value: Fraction) -> int:
    return value.numerator * ONE // value.denominator


def _add_interval(z: Value, w: Live, denominator: int, v: Value) -> None:
    """z's interval += W [low, high]: middle and radius, both doubled."""
    middle = w.times([a + b for a, b in zip(v.low, v.high, strict=True)])
    radius = w.absolute_times([b - a for a, b in zip(v.low, v.high, strict=True)])
    half = 2 * denominator
    for i, (m, r) in enumerate(zip(middle, radius, strict=True)):
        z.low[i] += (m - r) // half
        z.high[i] -= (-m - r) // half


def _add_form(z: Value, w: Live, denominator: int, v: Value) -> None:
    """z's form += W · form: each number is rounded down by less than one unit and multiplies an s in [-1, 1]."""
    if z.slopes is None or v.slopes is None:
        return
    for i, m in enumerate(w.times(v.centre)):
        z.centre[i] += m // denominator
    for own, slopes in zip(z.slopes, v.slopes, strict=False):
        for i, m in enumerate(w.times(slopes)):
            own[i] += m // denominator
    for i, m in enumerate(w.absolute_times(v.error)):
        z.error[i] += 1 + len(v.slopes) - (-m // denominator)


def _relax(z: Value, i: int) -> None:
    """z_i's form becomes one of relu(z_i), where z_i may be negative.

    For every λ in [0, 1], relu(z) - λ z is convex in z and at least 0: it lies in [0, max(-λ low, (1 - λ) high)].
    """
    if z.slopes is None:
        return
    low, high = z.low[i], z.high[i]
    if high <= 0:
        z.centre[i] = z.error[i] = 0
        for own in z.slopes:
            own[i] = 0
        return
    chord = (high << CHORD_BITS) // (high - low)
    gap = max(-chord * low, ((1 << CHORD_BITS) - chord) * high) + 1 >> 1  # half of it, in units of 2^-P-CHORD_BITS
    z.centre[i] = chord * z.centre[i] + gap >> CHORD_BITS
    for own in z.slopes:
        own[i] = chord * own[i] >> CHORD_BITS
    z.error[i] = -(-(chord * z.error[i] + gap) >> CHORD_BITS) + 2 + len(z.slopes)


def _pull_back(w: Live, denominator: int, low: Ints, high: Ints, into: tuple[list[int], list[int]]) -> None:
    """into += Wᵀ [low, high], rounded outwards."""
    middle = w.times([a + b for a, b in zip(low, high, strict=True)])
    radius = w.absolute_times([b - a for a, b in zip(low, high, strict=True)])
    half = 2 * denominator
    for k, (m, r) in enumerate(zip(middle, radius, strict=True)):
        into[0][k] += (m - r) // half
        into[1][k] -= (-m - r) // half
