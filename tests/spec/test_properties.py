"""What properties lower to: raw rows, ties, strictness, copies, quantifiers, warnings."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path

import pytest

from tests.spec.models import affine_network, random_network, two_port_network
from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.normal_form import normal_form
from verify.core.property import Property
from verify.core.query import FALSE, TRUE, Affine, Field, Row, holds
from verify.core.verdict import Verdict
from verify.errors import SpecError
from verify.spec import lower, parse

THREE = affine_network([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]], [0.0, 0.0, 0.0])
BLOCK = """
network n = onnx("n.onnx") {
  input x in [-4, 4]  input y in [-4, 4]
  output a, b, c
}
"""


def lower_one(body: str, networks: dict[str, Network] | None = None, *, header: str = BLOCK) -> Property:
    text = f"{header}\nproperty p {{ {body} }}\n"
    (prop,) = lower(parse(text, "t.nnspec"), networks or {"n": THREE}, {})
    return prop


def violated(prop: Property, *x: int | Fraction) -> bool:
    point = [Fraction(v) for v in x]
    return holds(prop.query.violation, point, evaluate(prop.query.network, point))


# --- ties, strictness, equality ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("claim", "point", "holds_there"),
    [
        # outputs are (x, y, x + y)
        ("argmax(n(s)) is a", (0, 0), True),  # all tie: the lowest index wins
        ("argmax(n(s)) is b", (0, 0), False),
        ("argmax(n(s)) is c", (0, 0), False),
        ("argmax(n(s)) is strictly a", (0, 0), False),
        ("argmax(n(s)) may be a", (0, 0), True),
        ("argmax(n(s)) may be c", (0, 0), True),
        ("argmax(n(s)) is b", (0, 1), True),  # b ties with c
        ("argmax(n(s)) is c", (0, 1), False),
        ("argmax(n(s)) may be c", (0, 1), True),
        ("argmax(n(s)) is strictly c", (1, 2), True),
        ("argmax(n(s)) is 2", (1, 2), True),
        ("argmin(n(s)) is a", (1, 1), True),
        ("argmin(n(s)) is b", (1, 1), False),
        ("argmin(n(s)) is strictly c", (-1, -2), True),
        ("not (argmin(n(s)) may be b)", (1, 1), False),
        ("argmax(n(s)) is argmin(n(s))", (0, 0), True),
        ("argmax(n(s)) is strictly argmin(n(s))", (0, 0), False),
        ("n(s).a < 1", (1, 0), False),
        ("n(s).a <= 1", (1, 0), True),
        ("n(s).a == 1", (1, 0), True),
        ("n(s).a != 1", (1, 0), False),
        ("0 < n(s).a <= 1", (0, 0), False),
        ("3 > n(s).c >= 1 != n(s).b", (1, 0), True),
        ("0.1 + 0.2 == 0.3", (0, 0), True),
        ("n(s).a == 1/3", (Fraction(1, 3), 0), True),
        ("n(s).a == 0.3333333333333333", (Fraction(1, 3), 0), False),
    ],
)
def test_ties_and_strictness(claim: str, point: tuple[int | Fraction, int | Fraction], holds_there: bool) -> None:
    assert violated(lower_one(f"forall s : n.input  assert {claim}"), *point) is not holds_there
    assert violated(lower_one(f"exists s : n.input  assert {claim}"), *point) is holds_there


def test_strict_stays_strict_in_the_rows() -> None:
    assert lower_one("forall s : n.input  assert n(s).a < 1").query.violation == Row.of({}, {0: -1}, -1)
    assert lower_one("forall s : n.input  assert n(s).a <= 1").query.violation == Row.of({}, {0: -1}, -1, strict=True)
    assert lower_one("exists s : n.input  assert n(s).a < 1").query.violation == Row.of({}, {0: 1}, 1, strict=True)


def test_constant_claims_fold() -> None:
    assert lower_one("forall s : n.input  assert true").query.violation == FALSE
    assert lower_one("forall s : n.input  assert 1 < 0").query.violation == TRUE
    assert lower_one("forall s : n.input  assume false  assert n(s).a <= 1").query.assumption == FALSE


# --- normalisation -----------------------------------------------------------------------------------------


def test_rows_are_in_raw_numbers() -> None:
    header = """
    unit ft
    network n = onnx("n.onnx") {
      input x [ft] in [0, 60760] raw = (value - 19791.091) / 60261
      output y [ft] raw = 5 - value / 2
    }
    """
    prop = lower_one(
        "forall s : n.input  assert n(s).y <= 1500[ft]", {"n": affine_network([[1.0]], [0.0])}, header=header
    )
    query = prop.query
    assert query.network.digest == affine_network([[1.0]], [0.0]).digest
    assert query.inputs == (Field("s.x", "ft", Fraction(60261), Fraction("19791.091")),)
    assert query.outputs == (Field("n(s).y", "ft", Fraction(-2), Fraction(10)),)
    (region,) = normal_form(query).regions
    assert region.box.lower == ((0 - Fraction("19791.091")) / 60261,)
    assert region.box.upper == ((60760 - Fraction("19791.091")) / 60261,)
    # violated when -2 raw + 10 > 1500, that is 2 raw < -1490
    assert region.cases == ((Row.of({}, {0: 2}, -1490, strict=True),),)
    assert query.copies[0].label == "n(s)" and query.copies[0].raw_inputs == (Affine(((0, Fraction(1)),)),)


def test_negative_input_slope_swaps_the_box() -> None:
    header = 'network n = onnx("n") { input x in [0, 3] raw = 1 - value  output y }'
    prop = lower_one("forall s : n.input  assert n(s).y <= 1", {"n": affine_network([[1.0]], [0.0])}, header=header)
    (region,) = normal_form(prop.query).regions
    assert (region.box.lower, region.box.upper) == ((Fraction(-2),), (Fraction(1),))


def test_derived_units_convert() -> None:
    header = """
    unit m  unit s  unit km = 1000[m]  unit h = 3600[s]
    network n = onnx("n") { input v [km/h] in [0, 36]  output d [km] }
    """
    net = affine_network([[1.0]], [0.0])
    prop = lower_one("forall s : n.input  assume s.v >= 5[m/s]  assert n(s).d < 1500[m]", {"n": net}, header=header)
    (region,) = normal_form(prop.query).regions
    assert (region.box.lower, region.box.upper) == ((Fraction(18),), (Fraction(36),))
    assert not violated(prop, Fraction("1.4999")) and violated(prop, Fraction("1.5"))
    assert prop.query.inputs[0].unit == "km/h"


def test_params_override_exactly() -> None:
    header = "unit m  unit km = 1000[m]\nparam eps [m] in [0, 3000] = 1/2\n" + BLOCK
    claim = "forall s : n.input  assert n(s).a * 1[m] <= eps"
    overrides = {
        "": Fraction(1, 2), "1/100": Fraction(1, 100), "0.3": Fraction(3, 10), "2e-2": Fraction(1, 50),
        "2 km": Fraction(2000), "2[km]": Fraction(2000), "5 m": Fraction(5),
    }  # fmt: skip
    for text, value in overrides.items():
        given = {"eps": text} if text else {}
        (prop,) = lower(parse(f"{header}\nproperty p {{ {claim} }}", "t.nnspec"), {"n": THREE}, given)
        assert prop.query.violation == Row.of({}, {0: -1}, -value, strict=True)


# --- several copies, networks, ports -----------------------------------------------------------------------


def test_two_copies_share_their_model() -> None:
    body = "forall s, t : n.input  assume same(s, t) except y  assume s.y <= t.y  assert n(s).c <= n(t).c"
    query = lower_one(body).query
    assert [f.name for f in query.inputs] == ["s.x", "s.y", "t.x", "t.y"]
    assert [f.name for f in query.outputs] == [f"n({v}).{k}" for v in "st" for k in "abc"]
    assert [(c.label, c.model, c.first_output) for c in query.copies] == [("n(s)", "n", 0), ("n(t)", "n", 3)]
    assert query.copies[1].raw_inputs == (Affine(((2, Fraction(1)),)), Affine(((3, Fraction(1)),)))
    assert evaluate(query.network, [Fraction(k) for k in (1, 2, 3, 4)]) == tuple(map(Fraction, (1, 2, 3, 3, 4, 7)))


def test_one_copy_per_distinct_application() -> None:
    query = lower_one("forall s : n.input  let u = n(s)  assert u.a <= n(s).b or n(x=s.x, y=s.y).c <= 0").query
    assert query.network is THREE and len(query.copies) == 1
    query = lower_one("forall s : n.input  assert n(s).a <= n(x=s.x, y=-s.y).a").query
    assert [c.label for c in query.copies] == ["n(s)", "n(x=s.x, y=-s.y)"]


def test_different_normalisations_share_physical_variables() -> None:
    header = """
    network f = onnx("f") { input x in [0, 2] raw = value / 2    output y }
    network g = onnx("g") { input x in [0, 9] raw = 3 * value - 1  output y }
    """
    nets = {"f": affine_network([[1.0]], [0.0]), "g": affine_network([[1.0]], [0.0])}
    query = lower_one("forall s : f.input  assert f(s).y <= g(s).y", nets, header=header).query
    assert query.inputs == (Field("s.x"),)
    assert evaluate(query.network, [Fraction(1, 3)]) == (Fraction(1, 6), Fraction(0))
    assert query.copies[1].raw_inputs == (Affine(((0, Fraction(3)),), Fraction(-1)),)
    (region,) = normal_form(query).regions
    assert (region.box.lower, region.box.upper) == ((Fraction(0),), (Fraction(2),))  # of the variable's own domain
    alone = lower_one("forall s : f.input  assert g(s).y <= 1", nets, header=header).query
    assert alone.inputs == (Field("s.x", None, Fraction(1, 3), Fraction(1, 3)),)  # searched in the raw space of g


def test_several_ports() -> None:
    header = 'network h = onnx("h") { input k in [0, 1]  input v[2] in [0, 1]  output p[2]  output q }'
    net = two_port_network()
    prop = lower_one("forall s : h.input  assert h(s).q <= h(s).p[1]", {"h": net}, header=header)
    assert [f.name for f in prop.query.inputs] == ["s.k", "s.v[0]", "s.v[1]"]
    assert [f.name for f in prop.query.outputs] == ["h(s).p[0]", "h(s).p[1]", "h(s).q"]
    twice = lower_one("forall s, t : h.input  assert h(s).q <= h(t).q", {"h": net}, header=header).query
    x = [Fraction(k, 3) for k in range(6)]
    assert evaluate(twice.network, x) == evaluate(net, x[:3]) + evaluate(net, x[3:])


def test_numbers_and_unused_networks() -> None:
    prop = lower_one("forall s : n.input  forall d : [0, 1]  forall k : {1, 2}  assert n(s).a + d <= 4 + k")
    assert [f.name for f in prop.query.inputs] == ["s.x", "s.y", "d", "k"]
    assert len(normal_form(prop.query).regions) == 2
    prop = lower_one("forall s : n.input  let t = n(s)  assert s.x <= 5")
    assert prop.query.network is THREE and prop.query.copies[0].label == "n(s)"
    assert prop.warnings[1:] == ("property `p` is decided without any network: it mentions no output",)
    prop = lower_one("forall d : [0, 1]  assert d <= 1")
    assert prop.query.network.output_size == 0 and prop.query.copies == ()


# --- what comes along --------------------------------------------------------------------------------------


def test_attributes_title_and_origin() -> None:
    text = BLOCK + '@expect(no_witness)\n@timeout(1/2)\nproperty q "no way" {\n  exists s : n.input\n'
    text += "  assert n(s).a   <= # a comment\n    1\n  assert n(s).b > 2\n}\n"
    (prop,) = lower(parse(text, "dir/t.nnspec"), {"n": THREE}, {})
    assert (prop.name, prop.title, prop.expected, prop.timeout_s) == ("q", "no way", Verdict.NO_WITNESS, 0.5)
    assert prop.source == "assert n(s).a <= 1; assert n(s).b > 2"
    assert str(prop.origin) == "dir/t.nnspec:10:3" and prop.origin.source.startswith("  assert n(s).a")
    assert prop.query.quantifier == "exists"


def test_suspicious_normalisation_warns() -> None:
    header = 'network n = onnx("n") { input x in [0, 60760] raw = value / 2  input y in [0, 1]  output a, b, c }'
    (warning,) = lower_one("forall s : n.input  assert n(s).a <= 1", header=header).warnings
    assert warning.startswith("t.nnspec:1:31: input `x` of `n` reaches the raw value 30380")
    assert not lower_one("forall s : n.input  assert n(s).a <= 1").warnings


def test_windows_line_ends_and_byte_order_mark() -> None:
    text = ("\ufeff" + BLOCK + "property p {\n forall s : n.input\n assert n(s).a <= 1[m]\n}\n").replace("\n", "\r\n")
    with pytest.raises(SpecError) as caught:
        lower(parse(text, "t.nnspec"), {"n": THREE}, {})
    place = caught.value.place
    assert place is not None and (place.line, place.column, place.source) == (8, 21, " assert n(s).a <= 1[m]")


# --- the design's examples ---------------------------------------------------------------------------------

EXAMPLES = Path(__file__).with_name("examples")
MODELS = {
    "acas": random_network(5, 5), "pi": random_network(4, 2), "rm": random_network(3, 1), "loan": random_network(3, 1),
    "teacher": random_network(2, 3), "student": random_network(2, 3, seed=1), "clf": random_network(784, 10),
    "ctl": random_network(2, 1),
}  # fmt: skip
CASES = {
    "acas": [1, 1, 1, 1], "cartpole": [1, 1], "monotone": [1], "fairness": [12], "distilled": [6, 2],
    "closed_loop": [40, 2, 4, 2, 16],
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_examples_lower(name: str) -> None:
    path = EXAMPLES / f"{name}.nnspec"
    properties = lower(parse(path.read_text(encoding="utf-8"), path.name), MODELS, {})
    assert [sum(len(r.cases) for r in normal_form(p.query).regions) for p in properties] == CASES[name]
    assert not any(p.warnings for p in properties)


def test_parse_tells_what_to_load() -> None:
    spec = parse((EXAMPLES / "robustness.nnspec").read_text(encoding="utf-8"), "r.nnspec")
    assert (spec.networks, spec.params, spec.properties) == ({"clf": None}, ("eps",), ("robust", "sweep"))


# --- documentation -----------------------------------------------------------------------------------------

PAGE = Path(__file__).parents[2] / "docs" / "spec-language.md"


def test_reference_snippets_are_valid() -> None:
    text = PAGE.read_text(encoding="utf-8")
    snippets = re.findall(r"```nnspec\n(.*?)```", text, re.DOTALL)
    assert snippets
    nets = {
        "pi": random_network(4, 2), "camera": random_network(12, 3), "teacher": random_network(2, 3),
        "student": random_network(2, 3, seed=1), "reward": random_network(3, 1), "ctl": random_network(2, 1),
    }  # fmt: skip
    for snippet in snippets:
        assert lower(parse(snippet, "docs"), nets, {})
