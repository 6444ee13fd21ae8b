"""What VNN-LIB files mean, against an evaluator of their text that shares nothing with the reader."""

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import points, vnnlib_conditions
from verify.core.evaluate import evaluate
from verify.core.network import Network, Port
from verify.core.normal_form import normal_form
from verify.core.query import FALSE, TRUE, And, Or, Row, holds
from verify.errors import QueryError
from verify.spec.sexpr import decimal
from verify.spec.vnnlib import parse, property_name, read

NAMES = ["X_0", "X_1", "Y_0", "Y_1"]
HEADER = "".join(f"(declare-const {n} Real)\n" for n in NAMES)


def network(size: int = 2) -> Network:
    return Network((Port("x", (1, size), 0),), (Port("x", (1, size), 0),), ())


def meaning(text: str, values: dict[str, Fraction]) -> bool:
    """The conjunction of the asserts, by rewriting the text to nested Python lists."""
    text = re.sub(r";.*", "", text)
    tokens = re.sub(r"([()])", r" \1 ", text).split()
    nested = "".join({"(": "[", ")": "],"}.get(t, f"{t!r},") for t in tokens)
    return all(value_of(c[1], values) for c in eval(f"[{nested}]") if c[0] == "assert")


def value_of(e: list | str, values: dict[str, Fraction]):
    if isinstance(e, str):
        return values[e] if e in values else {"true": True, "false": False}.get(e) if e[0] in "tf" else Fraction(e)
    name, (first, *rest) = e[0], [value_of(a, values) for a in e[1:]]
    args = [first, *rest]
    pairs = list(zip(args, rest, strict=False))
    match name:
        case "and":
            return all(args)
        case "or":
            return any(args)
        case "not":
            return not first
        case "=>":
            return (not all(args[:-1])) or args[-1]
        case "<=":
            return all(a <= b for a, b in pairs)
        case ">=":
            return all(a >= b for a, b in pairs)
        case "<":
            return all(a < b for a, b in pairs)
        case ">":
            return all(a > b for a, b in pairs)
        case "=" | "==":
            return all(a == b for a, b in pairs)
        case "!=":
            return all(a != b for a, b in pairs)
        case "+":
            return sum(args)
        case "-":
            return first - sum(rest) if rest else -first
        case "*":
            product = first
            for r in rest:
                product *= r
            return product
        case "/":
            for r in rest:
                first /= r
            return first
    raise AssertionError(name)


grid = st.sampled_from([Fraction(n) for n in ("0", "-1", "2.5", "0.1", "0.01", "-30", "0.5", "12345678901234567890.5")])


@given(
    st.lists(vnnlib_conditions(NAMES), min_size=1, max_size=3),
    st.tuples(*[grid] * 4) | points(4),
)
def test_a_file_means_what_its_text_says(conditions: list[str], point: tuple[Fraction, ...]) -> None:
    text = HEADER + "".join(f"(assert {c})\n" for c in conditions)
    expected = meaning(text, dict(zip(NAMES, point, strict=True)))
    document = parse(text, "f")
    assert all(holds(a, point[:2], point[2:]) for a in document.asserts) is expected
    query = read(text, "f", network()).query
    assert (holds(query.assumption, point[:2], point[2:]) and holds(query.violation, point[:2], point[2:])) is expected


@pytest.mark.parametrize(
    ("condition", "below", "at", "above"),
    [
        ("(<= X_0 0.1)", True, True, False),
        ("(< X_0 0.1)", True, False, False),
        ("(>= X_0 0.1)", False, True, True),
        ("(> X_0 0.1)", False, False, True),
        ("(= X_0 0.1)", False, True, False),
        ("(<= 0.1 X_0)", False, True, True),
        ("(< 0.1 X_0)", False, False, True),
        ("(> 0.1 X_0)", True, False, False),
        ("(not (< X_0 0.1))", False, True, True),
        ("(not (= X_0 0.1))", True, False, True),
        ("(<= 0 X_0 0.1)", True, True, False),
        ("(< 0 X_0 0.1 0.2)", True, False, False),
        ("(<= (* 10 X_0) 1)", True, True, False),
        ("(<= (+ X_0 X_0 (- X_0)) (/ 1 10))", True, True, False),
        ("(>= (- X_0) -1e-1)", True, True, False),
    ],
)
def test_strict_and_exact(condition: str, below: bool, at: bool, above: bool) -> None:
    """0.1 is a tenth, not the nearest float."""
    (formula,) = parse(f"(declare-const X_0 Real)(assert {condition})", "f").asserts
    tenth, little = Fraction(1, 10), Fraction(1, 10**30)
    assert [holds(formula, (v,), ()) for v in (tenth - little, tenth, tenth + little)] == [below, at, above]


def test_assumption_is_every_conjunct_over_inputs() -> None:
    text = HEADER + (
        "(assert (and (<= X_0 1) (>= Y_0 2) (or (<= X_1 0) (>= X_1 3))))\n"
        "(assert (<= (+ X_0 Y_1) 0))\n"
        "(assert (or (and (>= X_0 0) (>= Y_0 0))))\n"
    )
    query = read(text, "dir/safe_1.vnnlib.gz", network()).query
    low, high = Row.of({1: 1}, {}, 0), Row.of({1: -1}, {}, -3)
    assert query.assumption == And((Row.of({0: 1}, {}, 1), Or((low, high)), Row.of({0: -1}, {}, 0)))
    assert query.violation == And((Row.of({}, {0: -1}, -2), Row.of({0: 1}, {1: 1}, 0), Row.of({}, {0: -1}, 0)))


def test_without_outputs_the_region_is_the_unsafe_set() -> None:
    query = read(HEADER + "(assert (= X_0 X_1 1))", "f", network()).query
    assert query.violation == TRUE
    assert read(HEADER + "(assert (>= Y_0 0))", "f", network()).query.assumption == TRUE
    assert read(HEADER + "(assert (>= Y_0 0))(assert false)", "f", network()).query.assumption == FALSE


def test_a_property_bears_the_stem() -> None:
    item = read(HEADER + "(assert (<= X_0 1))", "../a/prop_1.0.vnnlib.gz", network())
    assert (item.name, item.query.quantifier, str(item.origin)) == ("prop_1.0", "forall", "../a/prop_1.0.vnnlib.gz")
    assert [f.name for f in item.query.inputs + item.query.outputs] == NAMES
    assert property_name("C:\\a\\b.vnnlib") == "b"
    assert property_name(".vnnlib") == ".vnnlib"
    (copy,) = item.query.copies
    assert [a((Fraction(3), Fraction(4))) for a in copy.raw_inputs] == [3, 4]


def test_several_ports_count_concatenated() -> None:
    ports = (Port("a", (1, 2), 0), Port("b", (1,), 1))
    net = Network(ports, (Port("b", (1,), 1), Port("a", (2,), 0)), ())
    declared = "".join(f"(declare-fun {c}_{i} () Real)" for c in "XY" for i in (2, 0, 1))
    query = read(declared + "(assert (= X_2 Y_0))(assert (= Y_1 X_0))(assert (= Y_2 X_1))", "f", net).query
    x = (Fraction(1), Fraction(2), Fraction(3))
    assert holds(query.violation, x, evaluate(net, x))


def test_other_commands_and_notation() -> None:
    text = (
        '\ufeff; a remark with ( and "\n(set-logic QF_LRA) (set-info :source |two ( words ; here|)\r\n'
        '(set-option :a "x ) y")(vnnlib-version <1.0>)(declare-fun X_0 () Real); end\r(declare-const Y_0 Real)\n'
        "(assert(and(<= X_0 1)(>= X_0 0)))(check-sat)(get-model)\n(exit) ; done"
    )
    assert len(parse(text, "f").asserts) == 1


def test_unions_of_boxes_reach_the_normal_form() -> None:
    parts = "".join(f"(and (>= X_0 {k}) (<= X_0 {k}.5) (<= Y_0 {k}))" for k in range(3000))
    text = f"(declare-const X_0 Real)(declare-const Y_0 Real)(assert (or {parts}))"
    form = normal_form(read(text, "f", network(1)).query)
    assert len(form.regions) == 3000
    assert form.regions[7].box.upper == (Fraction(15, 2),)


def test_nesting_up_to_the_limit_works_throughout() -> None:
    deep = "(<= X_0 1)"
    for level in range(199):
        deep = f"({'or' if level % 2 else 'and'} (<= X_0 {level}) (<= Y_0 {level}) {deep})"
    text = f"(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0))(assert (<= X_0 1))(assert {deep})"
    query = read(text, "f", network(1)).query
    assert holds(query.violation, (Fraction(0),), (Fraction(0),))
    assert len(normal_form(query).regions) >= 1
    (complement,) = parse(HEADER + f"(assert (not {deep}))", "f").asserts
    (formula,) = parse(HEADER + f"(assert {deep})", "f").asserts
    for x, y in ((0, 0), (2, 0), (300, 0), (0, 300)):
        point = ((Fraction(x),), (Fraction(y),))
        assert holds(complement, *point) is not holds(formula, *point)


def test_a_declared_input_without_bounds_is_an_error() -> None:
    query = read(HEADER + "(assert (<= 0 X_0 1))(assert (<= X_1 0))(assert (>= Y_0 0))", "f", network()).query
    with pytest.raises(QueryError, match="input 'X_1' has no lower bound"):
        normal_form(query)


@given(st.from_regex(r"[+-]?([0-9]{1,6}(\.[0-9]{0,30})?|\.[0-9]{1,5})([eE][+-]?[0-9]{1,2})?", fullmatch=True))
def test_decimals_are_exact(text: str) -> None:
    if text.isascii():
        assert decimal(text) == Fraction(text)


def test_size_limits_of_decimals() -> None:
    assert decimal("1e400") == Fraction(10**400)
    assert decimal("-1e-400") == Fraction(-1, 10**400)
    assert decimal("9" * 2000) == 10**2000 - 1
    assert [
        decimal(t) for t in ("1e401", "1e-401", "9" * 2001, "1e99999999999999999", "1_0", "٣", "0x1", "1e", "-")
    ] == [None] * 9
