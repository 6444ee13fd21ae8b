"""The one shared file of hypothesis strategies: small exact networks, boxes, rows, formulas, queries."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import And, Field, Formula, Or, Query, Row, identity_copy

integer_weights = st.integers(-3, 3).map(float)
float_weights = st.floats(-8, 8, width=32)
wild_floats = st.floats(allow_nan=False, allow_infinity=False)
rationals = st.fractions(min_value=-4, max_value=4, max_denominator=12)
coefficients = st.integers(-3, 3).map(Fraction)


@st.composite
def matrices(draw: DrawFn, rows: int, columns: int, weights: SearchStrategy[float]) -> Matrix:
    values = draw(st.lists(weights, min_size=rows * columns, max_size=rows * columns))
    return Matrix.dense(rows, columns, Numbers.of_floats(values))


@st.composite
def networks(
    draw: DrawFn,
    *,
    weights: SearchStrategy[float] | None = None,
    max_relus: int = 8,
    max_inputs: int = 3,
    skips: bool = True,
) -> Network:
    """Chains and, with `skips`, blocks that read any earlier values; one or several inputs and outputs."""
    weights = draw(st.sampled_from([integer_weights, float_weights])) if weights is None else weights
    input_sizes = draw(st.lists(st.integers(1, 2), min_size=1, max_size=2).filter(lambda s: sum(s) <= max_inputs))
    sizes = list(input_sizes)
    blocks: list[Block] = []
    left = max_relus
    count = draw(st.integers(1, 4))
    for number in range(count):
        size = draw(st.integers(1, 4))
        mask = [] if number == count - 1 else draw(st.lists(st.booleans(), min_size=size, max_size=size))
        relu = bytes(1 if k < len(mask) and mask[k] and sum(mask[:k]) < left else 0 for k in range(size))
        left -= sum(relu)
        before = [len(sizes) - 1] if blocks else list(range(len(input_sizes)))
        more = draw(st.lists(st.integers(0, len(sizes) - 1), max_size=2)) if skips else []
        terms = [Term(s, draw(matrices(size, sizes[s], weights))) for s in sorted({*before, *more})]
        bias = Numbers.of_floats(draw(st.lists(weights, min_size=size, max_size=size)))
        blocks.append(Block(tuple(terms), bias, relu))
        sizes.append(size)
    outputs = [len(sizes) - 1]
    if skips and draw(st.booleans()):
        outputs.append(draw(st.integers(0, len(sizes) - 1)))
    return Network(
        tuple(Port(f"in{i}", (1, size), i) for i, size in enumerate(input_sizes)),
        tuple(Port(f"out{k}", (sizes[v],), v) for k, v in enumerate(outputs)),
        tuple(blocks),
    )


def points(size: int) -> SearchStrategy[tuple[Fraction, ...]]:
    return st.tuples(*[rationals] * size)


@st.composite
def boxes(draw: DrawFn, size: int) -> tuple[tuple[Fraction, ...], tuple[Fraction, ...]]:
    """(lower, upper), lower <= upper."""
    sides = [sorted((draw(rationals), draw(rationals))) for _ in range(size)]
    return tuple(s[0] for s in sides), tuple(s[1] for s in sides)


def box_rows(lower: Sequence[Fraction], upper: Sequence[Fraction]) -> tuple[Row, ...]:
    """lower <= x <= upper as rows."""
    return tuple(Row.of({i: -1}, {}, -v) for i, v in enumerate(lower)) + tuple(
        Row.of({i: 1}, {}, v) for i, v in enumerate(upper)
    )


def _sides(size: int) -> SearchStrategy[dict[int, Fraction]]:
    return st.dictionaries(st.integers(0, size - 1), coefficients, max_size=2) if size else st.just({})


def rows(inputs: int, outputs: int) -> SearchStrategy[Row]:
    """Rows over inputs, outputs, both or none; `outputs` 0 gives input rows."""
    return st.builds(
        lambda x, y, bound, strict: Row.of(x, y, bound, strict=strict),
        _sides(inputs),
        _sides(outputs),
        rationals | st.integers(-2, 2).map(Fraction),
        st.booleans(),
    )


def formulas(inputs: int, outputs: int, *, max_leaves: int = 8) -> SearchStrategy[Formula]:
    """Any nesting of And and Or, empty ones too."""
    return st.recursive(
        rows(inputs, outputs),
        lambda child: (
            st.builds(And, st.lists(child, max_size=3).map(tuple))
            | st.builds(Or, st.lists(child, max_size=3).map(tuple))
        ),
        max_leaves=max_leaves,
    )


def query_of(network: Network, assumption: Formula, violation: Formula) -> Query:
    """A query over a network's raw inputs, fields X_i and Y_i."""
    return Query(
        network,
        tuple(Field(f"X_{i}") for i in range(network.input_size)),
        tuple(Field(f"Y_{i}") for i in range(network.output_size)),
        assumption,
        violation,
        (identity_copy("network", "", network.input_size),),
    )


@st.composite
def queries(draw: DrawFn, *, weights: SearchStrategy[float] | None = None, max_relus: int = 8) -> Query:
    """A bounded query: a box, further assumptions over inputs, and any violation."""
    network = draw(networks(weights=weights, max_relus=max_relus))
    lower, upper = draw(boxes(network.input_size))
    further = draw(st.just(And(())) | formulas(network.input_size, 0, max_leaves=3))
    violation = draw(formulas(network.input_size, network.output_size, max_leaves=4))
    return query_of(network, And((*box_rows(lower, upper), further)), violation)


decimal_literals = st.sampled_from(["0", "-1", "2.5", "+0.1", "1e-2", "-3.E1", ".5", "12345678901234567890.5", "-0.0"])


def vnnlib_terms(names: Sequence[str]) -> SearchStrategy[str]:
    """Linear expressions in VNN-LIB's syntax over some variables."""
    constant = st.recursive(
        decimal_literals,
        lambda c: (
            st.builds("({} {} {})".format, st.sampled_from("+-*"), c, c)
            | st.builds("(- {})".format, c)
            | st.builds("(/ {} {})".format, c, st.sampled_from(["3", "-0.7", "(+ 1 1e1)"]))
        ),
        max_leaves=3,
    )
    return st.recursive(
        st.sampled_from(list(names)) | constant,
        lambda t: (
            st.builds("({} {} {})".format, st.sampled_from("+-"), t, t)
            | st.builds("(+ {} {} {})".format, t, t, t)
            | st.builds("({} {})".format, st.sampled_from("+-"), t)
            | st.builds("(* {} {} {})".format, constant, t, constant)
            | st.builds("(/ {} 7)".format, t)
        ),
        max_leaves=4,
    )


def vnnlib_conditions(names: Sequence[str]) -> SearchStrategy[str]:
    """Conditions in VNN-LIB's syntax over some variables."""
    term, relation = vnnlib_terms(names), st.sampled_from(["<=", ">=", "<", ">", "="])
    name, literal = st.sampled_from(list(names)), decimal_literals
    comparison = (
        st.builds("({} {} {})".format, relation, name, literal)
        | st.builds("({} {} {})".format, relation, literal, name)
        | st.builds("({} {} {})".format, relation, term, term)
        | st.builds("({} {} {} {})".format, relation, term, term, term)
    )
    return st.recursive(
        comparison | st.sampled_from(["true", "false"]),
        lambda c: (
            st.builds("({} {})".format, st.sampled_from(["and", "or", "not"]), c)
            | st.builds("({} {} {})".format, st.sampled_from(["and", "or", "=>"]), c, c)
            | st.builds("({}\n {} ; a remark (\n{} {})".format, st.sampled_from(["and", "or", "=>"]), c, c, c)
        ),
        max_leaves=6,
    )
