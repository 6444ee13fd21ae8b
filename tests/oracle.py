"""Brute-force oracles for tiny queries, and random queries aimed at values the network really takes.

Independent of verify.bounds, verify.search, verify.smt and of normal_form and evaluate in core: they read
blocks and formulas alone.  Phases are enumerated depth first, each linear program is decided exactly.
"""

from __future__ import annotations

import itertools
import random
import struct
from collections.abc import Iterator, Sequence
from fractions import Fraction

from tests.exact_lp import ONE, ZERO, Form, Half, feasible, half, minimum
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import And, Field, Formula, Or, Query, Row, identity_copy

# -- phases ------------------------------------------------------------------------------------------------------


def cells(network: Network, rows: set[Half]) -> Iterator[tuple[set[Half], list[Form]]]:
    """Every non-empty linear piece inside a polyhedron: its rows and the outputs as forms in x."""
    size = network.input_size
    forms: list[list[Form]] = []
    position = 0
    for port in network.inputs:
        forms.append([(_unit(size, position + k), ZERO) for k in range(port.size)])
        position += port.size
    if feasible(rows, size):
        yield from _cells(network, forms, [], rows)


def _cells(
    network: Network, values: list[list[Form]], current: list[Form], rows: set[Half]
) -> Iterator[tuple[set[Half], list[Form]]]:
    number = len(values) - len(network.inputs)
    if number == len(network.blocks):
        yield rows, [form for port in network.outputs for form in values[port.value]]
        return
    block = network.blocks[number]
    if len(current) == block.size:
        yield from _cells(network, [*values, current], [], rows)
        return
    z = _pre_activation(block, len(current), values, network.input_size)
    if not block.relu[len(current)]:
        yield from _cells(network, values, [*current, z], rows)
        return
    coefficients, constant = z
    zero: Form = (tuple(ZERO for _ in coefficients), ZERO)
    for form, sign in ((z, -1), (zero, 1)):  # active: -z <= 0; inactive: z <= 0
        phase = rows | {half([sign * c for c in coefficients], -sign * constant, False)}
        if feasible(phase, network.input_size):
            yield from _cells(network, values, [*current, form], phase)


def _pre_activation(block: Block, row: int, values: list[list[Form]], size: int) -> Form:
    coefficients, constant = [ZERO] * size, block.bias[row]
    for term in block.terms:
        for column, weight in term.matrix.entries(row):
            source, offset = values[term.source][column]
            constant += weight * offset
            for i, c in enumerate(source):
                coefficients[i] += weight * c
    return tuple(coefficients), constant


def _unit(size: int, index: int) -> tuple[Fraction, ...]:
    return tuple(ONE if i == index else ZERO for i in range(size))


def row_form(row: Row, outputs: Sequence[Form], size: int) -> Form:
    """The left side of a row minus its bound, as a form in x on one linear piece."""
    coefficients, constant = [ZERO] * size, -row.bound
    for i, c in row.inputs:
        coefficients[i] += c
    for j, c in row.outputs:
        source, offset = outputs[j]
        constant += c * offset
        for i, d in enumerate(source):
            coefficients[i] += c * d
    return tuple(coefficients), constant


def halves(rows: Sequence[Row], outputs: Sequence[Form], size: int) -> set[Half]:
    result = set()
    for row in rows:
        coefficients, constant = row_form(row, outputs, size)
        result.add(half(coefficients, -constant, row.strict))
    return result


def disjuncts(formula: Formula) -> list[tuple[Row, ...]]:
    if isinstance(formula, Row):
        return [(formula,)]
    if isinstance(formula, Or):
        return [d for child in formula.children for d in disjuncts(child)]
    products = itertools.product(*(disjuncts(child) for child in formula.children))
    return [tuple(itertools.chain.from_iterable(parts)) for parts in products]


def phase_enumeration(query: Query) -> bool:
    """Whether the query is satisfiable, by enumerating all ReLU phases (meant for at most ten ReLUs)."""
    size = query.network.input_size
    groups: dict[tuple[Row, ...], list[list[Row]]] = {}
    for rows in disjuncts(And((query.assumption, query.violation))):
        inputs = tuple(r for r in rows if not r.outputs)
        groups.setdefault(inputs, []).append([r for r in rows if r.outputs])
    return any(
        feasible(polyhedron | halves(case, outputs, size), size)
        for inputs, cases in groups.items()
        for polyhedron, outputs in cells(query.network, halves(inputs, (), size))
        for case in cases
    )


def plain_z3(query: Query) -> bool:
    """Whether the query is satisfiable, by Z3 on the network written out with If."""
    import z3

    def number(value: Fraction) -> z3.ArithRef:
        return z3.Q(value.numerator, value.denominator)

    x = [z3.Real(f"x{i}") for i in range(query.network.input_size)]
    values, position = [], 0
    for port in query.network.inputs:
        values.append(x[position : position + port.size])
        position += port.size
    for block in query.network.blocks:
        value = []
        for row in range(block.size):
            parts = [number(w) * values[t.source][c] for t in block.terms for c, w in t.matrix.entries(row)]
            z = z3.Sum([*parts, number(block.bias[row])])
            value.append(z3.If(z >= 0, z, z3.RealVal(0)) if block.relu[row] else z)
        values.append(value)
    y = [v for port in query.network.outputs for v in values[port.value]]

    def encode(formula: Formula) -> z3.BoolRef:
        if isinstance(formula, Row):
            terms = [number(c) * x[i] for i, c in formula.inputs] + [number(c) * y[i] for i, c in formula.outputs]
            left = z3.Sum([*terms, z3.RealVal(0)])
            return left < number(formula.bound) if formula.strict else left <= number(formula.bound)
        parts = [encode(child) for child in formula.children]
        return z3.And(parts) if isinstance(formula, And) else z3.Or(parts)

    solver = z3.Solver()
    solver.add(encode(query.assumption), encode(query.violation))
    answer = solver.check()
    if answer == z3.unknown:
        raise RuntimeError(solver.reason_unknown())
    return bool(answer == z3.sat)


# -- random queries ----------------------------------------------------------------------------------------------

Pieces = list[tuple[set[Half], list[Form]]]
SHAPES: list[tuple[tuple[int, ...], tuple[int, ...]]] = [
    *[((1,), hidden) for hidden in ((3,), (3, 3), (2, 3, 2))],
    *[((2,), hidden) for hidden in ((4,), (6,), (8,), (3, 3), (4, 4), (2, 3, 3))],
    *[((3,), hidden) for hidden in ((4,), (8,), (2, 3), (4, 4))],
    *[((1, 1), hidden) for hidden in ((4,), (3, 2))],
    ((2, 1), (4,)),
]  # sizes of the inputs, ReLUs of the hidden blocks
SATISFIED, MISSED = ("tie", "above", "point", "equal"), ("strict tie", "below", "equal below")
STEPS = (ONE, Fraction(1, 3), Fraction(1, 1000), Fraction(1, 2**40))


def random_tiny_query(rng: random.Random, integer_weights: bool) -> Query:
    """A query over a network of at most eight ReLUs, with bounds aimed at values it really takes."""
    network = random_network(rng, integer_weights)
    assumption, points = _random_assumption(rng, network.input_size)
    pieces = [piece for rows in disjuncts(assumption) for piece in cells(network, halves(rows, (), network.input_size))]
    return Query(
        network,
        tuple(Field(f"X_{i}") for i in range(network.input_size)),
        tuple(Field(f"Y_{i}") for i in range(network.output_size)),
        assumption,
        _random_violation(rng, network, pieces, points),
        (identity_copy("network", "", network.input_size),),
    )


def decided_by_tie(query: Query) -> bool:
    """Whether `<` against `<=` in the violation changes the verdict (the two rows of an equality stay)."""
    closed = _with_strictness(query.violation, False)
    opened = _with_strictness(query.violation, True)
    return phase_enumeration(_replace(query, closed)) and not phase_enumeration(_replace(query, opened))


def _replace(query: Query, violation: Formula) -> Query:
    return Query(query.network, query.inputs, query.outputs, query.assumption, violation, query.copies)


def _with_strictness(formula: Formula, strict: bool) -> Formula:
    if isinstance(formula, Row):
        return Row(formula.inputs, formula.outputs, formula.bound, strict)
    if isinstance(formula, Or):
        return Or(tuple(_with_strictness(c, strict) for c in formula.children))
    reverse = {(c.inputs, c.outputs, c.bound) for c in map(_reverse, formula.children) if isinstance(c, Row)}
    return And(
        tuple(
            c if isinstance(c, Row) and (c.inputs, c.outputs, c.bound) in reverse else _with_strictness(c, strict)
            for c in formula.children
        )
    )


def _reverse(formula: Formula) -> Formula:
    """-row, so that an equality is a row together with its reverse."""
    if not isinstance(formula, Row):
        return formula
    inputs, outputs = ({i: -c for i, c in side} for side in (formula.inputs, formula.outputs))
    return Row.of(inputs, outputs, -formula.bound, strict=formula.strict)


def random_network(rng: random.Random, integer_weights: bool) -> Network:
    """At most eight ReLUs: chains, skips, several inputs; some rows of a ReLU block are the identity."""

    def weight() -> float:
        if integer_weights:
            return float(rng.choice((-3, -2, -1, -1, 0, 1, 1, 2, 3)))
        return float(struct.unpack("f", struct.pack("f", rng.gauss(0, 1)))[0])

    def block(size: int, sources: Sequence[int], relu: bytes) -> Block:
        terms = [
            Term(s, Matrix.dense(size, sizes[s], Numbers.of_floats([weight() for _ in range(size * sizes[s])])))
            for s in sources
        ]
        return Block(tuple(terms), Numbers.of_floats([weight() for _ in range(size)]), relu)

    input_sizes, hidden = rng.choice(SHAPES)
    sizes = list(input_sizes)
    blocks: list[Block] = []
    last = list(range(len(input_sizes)))
    for width in (*hidden, rng.choice((1, 1, 2, 3))):
        is_output = len(blocks) == len(hidden)
        sources = set(last)
        if blocks and rng.random() < 0.3:
            sources.add(rng.randrange(len(sizes)))
        relu = bytes(0 if is_output or rng.random() < 0.05 else 1 for _ in range(width))
        blocks.append(block(width, sorted(sources), relu))
        last = [len(sizes)]
        sizes.append(width)
    ports = tuple(Port(f"in{i}", (size,), i) for i, size in enumerate(input_sizes))
    return Network(ports, (Port("out", (sizes[-1],), len(sizes) - 1),), tuple(blocks))


def _random_assumption(rng: random.Random, size: int) -> tuple[Formula, list[tuple[Fraction, ...]]]:
    """A box (seldom two), sometimes cut or contradictory; and the corners and centres of the boxes."""
    boxes, points = [], []
    for _ in range(2 if rng.random() < 0.07 else 1):
        unit = rng.choice((1, 2, 10))
        lower = [Fraction(rng.randint(-2 * unit, unit), unit) for _ in range(size)]
        upper = [low + Fraction(rng.randint(0 if rng.random() < 0.1 else 1, 3 * unit), unit) for low in lower]
        rows = [Row.of({i: -1}, {}, -lower[i]) for i in range(size)] + [
            Row.of({i: 1}, {}, upper[i]) for i in range(size)
        ]
        corners = [tuple(p) for p in itertools.product(*zip(lower, upper, strict=True))]
        center = tuple((low + high) / 2 for low, high in zip(lower, upper, strict=True))
        cut = {i: rng.choice((-2, -1, 1, 1)) for i in range(size)}
        values = [sum((c * p[i] for i, c in cut.items()), ZERO) for p in corners]
        if rng.random() < 0.2:
            inside = sum((c * center[i] for i, c in cut.items()), ZERO)
            rows.append(Row.of(cut, {}, inside, strict=rng.random() < 0.3))
        if rng.random() < 0.05:
            touching = rng.random() < 0.5
            rows.append(Row.of(cut, {}, min(values) - (0 if touching else Fraction(1, 7)), strict=touching))
        boxes.append(And(tuple(rows)))
        points.extend([*corners, center])
    return boxes[0] if len(boxes) == 1 else Or(tuple(boxes)), points


def _random_violation(
    rng: random.Random, network: Network, pieces: Pieces, points: list[tuple[Fraction, ...]]
) -> Formula:
    def aimed(kinds: Sequence[str], extra: Sequence[Row] = ()) -> Formula:
        return _aimed_row(rng, network, pieces, points, rng.choice(kinds), extra)

    kinds = rng.choice((SATISFIED, MISSED))
    shape = rng.random()
    if shape < 0.55 or not pieces:
        return aimed(kinds)
    if shape < 0.75:
        children = [aimed(kinds), *(aimed(MISSED) for _ in range(rng.randint(1, 2)))]
        rng.shuffle(children)
        return Or(tuple(children))
    first = aimed(("above", "point"))
    second = aimed(kinds, (first,) if isinstance(first, Row) else ())
    both = And((first, *(second.children if isinstance(second, And) else (second,))))
    if shape < 0.9:
        return both
    return Or((both, And((aimed(MISSED), Row.of({0: 1}, {}, points[-1][0])))))


def _aimed_row(
    rng: random.Random,
    network: Network,
    pieces: Pieces,
    points: list[tuple[Fraction, ...]],
    kind: str,
    extra: Sequence[Row],
) -> Formula:
    """A row (or an equality) whose bound is the least value of its left side under `extra`, or near it."""
    size = network.input_size
    outputs: dict[int, int] = {}
    while not outputs:
        outputs = {j: c for j in range(network.output_size) if (c := rng.choice((-2, -1, -1, 0, 0, 1, 1, 2)))}
    inputs = {rng.randrange(size): rng.choice((-1, 1, 2))} if rng.random() < 0.15 else {}
    template = Row.of(inputs, outputs, 0)
    found = [minimum(rows | halves(extra, forms, size), row_form(template, forms, size)) for rows, forms in pieces]
    least = min((f[0] for f in found if f is not None), default=ZERO)
    step = rng.choice(STEPS)
    if kind in ("point", "equal"):
        x = rng.choice(points)
        values = [_value(row_form(template, forms, size), x) for rows, forms in pieces if _contains(rows, x)]
        least = values[0] if values and rng.random() < 0.8 else least
    bound = least + {"above": step, "below": -step, "equal below": -step}.get(kind, ZERO)
    if kind.startswith("equal"):
        return And((Row.of(inputs, outputs, bound), _reverse(Row.of(inputs, outputs, bound))))
    strict = kind == "strict tie" or (kind in ("above", "below") and rng.random() < 0.3)
    return Row.of(inputs, outputs, bound, strict=strict)


def _value(form: Form, x: Sequence[Fraction]) -> Fraction:
    return sum((c * v for c, v in zip(form[0], x, strict=True)), form[1])


def _contains(rows: set[Half], x: Sequence[Fraction]) -> bool:
    for numbers, strict in rows:
        left = sum((a * v for a, v in zip(numbers[:-1], x, strict=True)), ZERO)
        if left > numbers[-1] or (strict and left == numbers[-1]):
            return False
    return True
