"""What VNN-LIB 2 files mean, against the evaluator of their text in `test_meaning`."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spec_vnnlib.test_meaning import meaning
from tests.strategies import rationals, vnnlib_conditions
from verify.core.evaluate import evaluate
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import FALSE, TRUE, Query, Row, Selection, conjunction, holds
from verify.errors import QueryError, VnnlibError
from verify.spec.vnnlib import is_version_2
from verify.spec.vnnlib2 import Document, parse
from verify.spec.vnnlib2_binding import bind
from verify.spec.vnnlib2_matching import FLOAT32_MAX, BoundModel, Variables, input_box

HEADER = (
    "(vnnlib-version <2.0>)\n"
    "(declare-network N (declare-input X real [1,2]) (declare-output Y real [2]))\n"
    "(declare-network M (equal-to N) (declare-input A real [1,2]) (declare-output B real [2]))\n"
)
INPUTS = ["X[0,0]", "X[0,1]", "A[0,0]", "A[0,1]"]
OUTPUTS = ["Y[0]", "Y[1]", "B[0]", "B[1]"]


def twisted() -> Network:
    """(a, b) to (b, relu(a - b)), so that an index that slips is seen."""
    matrix = Matrix.dense(2, 2, Numbers.of_floats([0.0, 1.0, 1.0, -1.0]))
    block = Block((Term(0, matrix),), Numbers.zeros(2), bytes([0, 1]))
    return Network((Port("x", (1, 2), 0),), (Port("y", (2,), 1),), (block,))


def bound(document: Document) -> Query:
    return bind(document, {d.name: BoundModel(twisted()) for d in document.networks}).query


def satisfied(document: Document, given_inputs: list[Fraction]) -> bool:
    """Whether the query holds at values of all declared inputs; False when they differ where they must not."""
    query, variables = bound(document), Variables.read(document)
    x = [given_inputs[i] for i in variables.first]
    if any(x[v] != value for v, value in zip(variables.of, given_inputs, strict=True)):
        return False
    y = evaluate(query.network, x)
    return holds(conjunction([query.assumption, query.violation]), x, y)


ties = st.sampled_from(
    ["(== X[0,0] A[0,0])", "(= A[0,1] X[0,1])", "(and (<= (- X[0,1] A[0,0]) 0) (>= X[0,1] A[0,0]))", "(!= X[0,1] 1)"]
)
small = st.integers(-2, 2).map(Fraction) | rationals


@given(
    st.lists(vnnlib_conditions([*INPUTS, *OUTPUTS]), min_size=1, max_size=2),
    st.lists(ties, max_size=2),
    st.lists(small, min_size=4, max_size=4),
    st.booleans(),
)
def test_a_file_means_what_its_text_says(
    conditions: list[str], equal: list[str], values: list[Fraction], together: bool
) -> None:
    text = HEADER + "".join(f"(assert {c})\n" for c in [*conditions, *equal])
    if together:  # points where the equations hold are rare
        values = [values[0], values[1], values[0], values[1]]
    y = [*evaluate(twisted(), values[:2]), *evaluate(twisted(), values[2:])]
    expected = meaning(text, dict(zip([*INPUTS, *OUTPUTS], [*values, *y], strict=True)))
    assert satisfied(parse(text, "f"), values) is expected


@pytest.mark.parametrize(
    ("condition", "below", "at", "above"),
    [
        ("(== X[0,0] 0.1)", False, True, False),
        ("(!= X[0,0] 0.1)", True, False, True),
        ("(< X[0, 0] 1e-1)", True, False, False),
        ("(>= X [0,0] 0.1)", False, True, True),
        ("(not (!= X[0,0] 0.1))", False, True, False),
    ],
)
def test_strict_and_exact(condition: str, below: bool, at: bool, above: bool) -> None:
    document = parse(HEADER + f"(assert {condition})", "f")
    tenth, little, zero = Fraction(1, 10), Fraction(1, 10**30), Fraction(0)
    found = [satisfied(document, [v, zero, zero, zero]) for v in (tenth - little, tenth, tenth + little)]
    assert found == [below, at, above]


def test_scalars_and_names_and_order() -> None:
    """Tensors with ONNX names are taken by name, others as they come; a scalar has no index."""
    network = Network((Port("a", (), 0), Port("b", (2,), 1)), (Port("b", (2,), 1), Port("a", (), 0)), ())
    text = (
        "; by name\n(vnnlib-version <2.1>)"
        '(declare-network N (declare-input P real [2] "b") (declare-input Q real [] "a")'
        "(declare-output U real [2]) (declare-output V real []))"
        "(assert (== P[1] 3))(assert (== Q 2))(assert (== U[1] 3.0))(assert (== V 2))"
    )
    assert is_version_2(text)
    query = bind(parse(text, "f"), {"N": BoundModel(network)}).query
    assert [f.name for f in query.inputs + query.outputs] == ["P[0]", "P[1]", "Q", "U[0]", "U[1]", "V"]
    x = [Fraction(0), Fraction(3), Fraction(2)]
    assert holds(conjunction([query.assumption, query.violation]), x, evaluate(query.network, x))
    (copy,) = query.copies
    assert [a(x) for a in copy.raw_inputs] == [2, 0, 3]


def test_a_query_about_one_network_searches_it_as_it_is() -> None:
    network = twisted()
    text = "(vnnlib-version <2.0>)(declare-network N (declare-input X real [1,2])(declare-output Y real [2]))"
    item = bind(parse(text + "(assert (<= X[0,0] Y[1]))", "dir/q.vnnlib"), {"N": BoundModel(network)})
    assert item.query.network is network
    assert (item.name, item.notes, str(item.origin)) == ("q", (), "dir/q.vnnlib")
    assert item.query.assumption == TRUE
    assert item.query.violation == Row.of({0: 1}, {1: -1}, 0)


def test_equal_inputs_are_one_variable() -> None:
    query = bound(
        parse(HEADER + "(assert (== X[0,0] A[0,0]))(assert (and (<= X[0,1] A[0,1]) (>= X[0,1] A[0,1])))", "f")
    )
    assert [f.name for f in query.inputs] == ["X[0,0]", "X[0,1]"]
    assert query.assumption == query.violation == TRUE
    assert query.copies[0].raw_inputs == query.copies[1].raw_inputs
    apart = bound(parse(HEADER + "(assert (or (== X[0,0] A[0,0]) (<= X[0,0] 0)))(assert (< X[0,1] A[0,1]))", "f"))
    assert len(apart.inputs) == 4


def test_hidden_nodes_follow_the_outputs() -> None:
    network = Network((Port("x", (2,), 0),), (Port("y", (2,), 0), Port("h", (1, 2), 0)), ())
    text = (
        '(vnnlib-version <2.0>)(declare-network N (declare-input X real [2]) (declare-hidden H float32 [1,2] "h")'
        "(declare-output Y real [2]))(assert (<= H[0,1] Y[0]))"
    )
    query = bind(parse(text, "f"), {"N": BoundModel(network, hidden=1)}).query
    assert [f.name for f in query.outputs] == ["Y[0]", "Y[1]", "H[0,0]", "H[0,1]"]
    assert query.violation == Row.of({}, {3: 1, 0: -1}, 0)
    with pytest.raises(VnnlibError, match=r"H is declared with shape \[2\], but hidden 'h' has \[1, 2\]"):
        bind(parse(text.replace("[1,2] ", "[2] ").replace("H[0,1]", "H[1]"), "f"), {"N": BoundModel(network, hidden=1)})


def test_initialized_inputs_are_their_defaults() -> None:
    text = (
        "(vnnlib-version <2.0>)(declare-network N (declare-input X real [1,2]) (declare-input W real [2] initialized)"
        "(declare-output Y real [2]))(assert (<= (+ X[0,0] W[1]) 1))(assert (<= W[0] 0))"
    )
    defaults = {"w": ((2,), (Fraction(-1), Fraction(1, 2)))}
    query = bind(parse(text, "f"), {"N": BoundModel(twisted(), defaults=defaults)}).query
    assert [f.name for f in query.inputs] == ["X[0,0]", "X[0,1]"]
    assert query.assumption == Row.of({0: 1}, {}, Fraction(1, 2))
    against = bind(parse(text + "(assert (> W[0] -1))", "f"), {"N": BoundModel(twisted(), defaults=defaults)}).query
    assert not holds(against.assumption, (Fraction(0), Fraction(0)), ())


def test_choices_come_last_of_all() -> None:
    """Two networks with a choice and a guard each: the guards stand behind all outputs that a runtime returns."""
    network = Network(
        (Port("x", (1, 2), 0), Port("choices", (1,), 1)), (Port("y", (1, 2), 0), Port("guards", (1,), 1)), ()
    )
    selection = Selection(Row.of({2: 1}, {2: -1}, 0), ("g[0]",), guards=1)
    text = HEADER.replace("Y real [2]", "Y real [1,2]").replace("B real [2]", "B real [1,2]")
    document = parse(text + "(assert (<= Y[0,0] B[0,1]))", "f")
    query = bind(document, {n: BoundModel(network, selection=selection) for n in "NM"}).query
    names = [f.name for f in query.inputs + query.outputs]
    assert names[4:6] == ["N: choice g[0]", "M: choice g[0]"]
    assert names[-2:] == ["N: guard 0", "M: guard 0"]
    assert query.violation == Row.of({}, {0: 1, 3: -1}, 0)
    assert query.assumption == conjunction([Row.of({4: 1}, {4: -1}, 0), Row.of({5: 1}, {5: -1}, 0)])
    x = tuple(map(Fraction, range(6)))
    assert evaluate(query.network, x) == (0, 1, 2, 3, 4, 5)
    assert all(len(c.raw_inputs) == 2 for c in query.copies)


# -- bounds ----------------------------------------------------------------------------------------------------------


def box_of(conditions: str, header: str = HEADER) -> list[tuple[Fraction, Fraction]]:
    document = parse(header + conditions, "f")
    return list(input_box(document, document.networks[0], twisted().inputs))


def test_the_box_holds_every_solution() -> None:
    text = (
        "(assert (or (and (<= X[0,0] 1) (>= X[0,0] 0)) (and (<= X[0,0] 5) (>= (* 2 X[0,0]) 8) (<= Y[0] 0))))"
        "(assert (>= X[0,1] -1))(assert (<= X[0,1] 3))(assert (< X[0,1] 2))"
    )
    assert box_of(text) == [(0, 5), (-1, 2)]
    assert box_of(text + "(assert (or (and (< X[0,0] 0) (> X[0,0] 0)) (<= X[0,0] 4)))")[0] == (0, 4)
    assert box_of("(assert false)") == [(0, 0)] * 2


def test_an_equal_input_bounds_the_other() -> None:
    text = "(assert (== X[0,0] A[0,0]))(assert (<= 0 A[0,0]))(assert (<= A[0,0] 1))(assert (<= 2 X[0,1] 3))"
    assert box_of(text) == [(0, 1), (2, 3)]


def test_unbounded_inputs() -> None:
    """A real input without a bound is an error; a float32 input has its type's."""
    text = "(assert (<= X[0,0] 1))(assert (<= 0 X[0,1] 1))(assert (<= Y[0] 0))"
    with pytest.raises(QueryError, match=r"input 'X\[0,0\]' has no lower bound"):
        box_of(text)
    header = HEADER.replace("real", "float32")
    assert box_of(text, header) == [(-FLOAT32_MAX, 1), (0, 1)]
    assert float(FLOAT32_MAX) == 3.4028234663852886e38
    item = bind(parse(header + text, "f"), {n: BoundModel(twisted()) for n in "NM"})
    assert item.notes[-1].startswith("unbounded float32 inputs range over the finite numbers of their type: X, A")
    assert holds(item.query.assumption, (-FLOAT32_MAX, Fraction(0), Fraction(0), Fraction(0)), ())
    assert not holds(item.query.assumption, (-FLOAT32_MAX - 1, Fraction(0), Fraction(0), Fraction(0)), ())


def test_a_contradiction_stays_one() -> None:
    assert bound(parse(HEADER + "(assert false)(assert (<= X[0,0] Y[0]))", "f")).assumption == FALSE
