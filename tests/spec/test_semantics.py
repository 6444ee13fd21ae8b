"""The lowered formula means what the property says, exactly, at every point: against an independent interpreter."""

from __future__ import annotations

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from tests.spec.models import random_network, two_port_network
from tests.spec.reference import Reference
from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.query import Query, holds
from verify.spec import lower, parse

HEADER = """
unit m  unit s  unit km = 1000[m]
const near = 1.5[m]
param gain in [0, 5] = 1/2
network f = onnx("f.onnx") {
  input x [m] in [-2, 3] raw = (value - 0.5) / 2
  input w in [-1, 1]
  output go, stay, back raw = 2 * value - 1
}
network g = onnx("g.onnx") {
  input x [m] in [-3, 3]
  input w in [-2, 2] raw = 1 - value / 3
  output cost [km] raw = -value * 4
  output speed [m/s] raw = (value + 1) / 3
}
network h = onnx("h.onnx") {
  input k in [-1, 1]
  input v[2] in [-2, 2] raw = value / 2
  output p[2]
  output q raw = 3 * value
}
define close(u: f.input) = abs(u.x) <= near and not u.w == 0
define reach(u: f.input) = max(u.x / 1[m], u.w, -u.w)
"""
NETWORKS = {"f": random_network(2, 3, seed=1), "g": random_network(2, 2, seed=2), "h": two_port_network(3)}

BARE = {
    "one": ["s.w", "s.x / 1[m]", "f(s).go", "f(s).back", "f(s)[stay]", "f(s)[0]", "reach(s)", "gain", "2", "-0.25"],
    "two": ["a.w", "b.w", "f(a).go", "f(b).go", "f(b)[2]", "f(a).stay", "reach(b)", "1", "max(f(a))"],
    "mixed": ["s.w", "f(s).go", "g(s).cost / 1[km]", "g(s).speed / 1[m/s]", "f(x=s.x, w=2*s.w-1).back", "0.5"],
    "ports": ["s.k", "s.v[0]", "s.v[1]", "h(s).p[0]", "h(s).p[1]", "h(s).q", "h(s)[1]", "min(h(s))", "1/3"],
}
FACTS = {
    "one": ["close(s)", "argmax(f(s)) is stay", "argmin(f(s)) may be back", "argmax(f(s)) is strictly 0",
            "s.x <= 0.001[km]", "all k in {go, back}: f(s)[k] <= f(s).stay", "any i in 0..2 : f(s)[i] == 0"],
    "two": ["same(a, b) except w", "argmax(f(a)) is argmax(f(b))", "argmin(f(a)) may be argmin(f(b))", "a.x < b.x",
            "argmax(f(a)) is strictly argmax(f(b))", "close(b)"],
    "mixed": ["close(s)", "g(s).cost <= 2[m]", "argmax(f(s)) is go", "-1[m/s] < g(s).speed <= 2[m/s]"],
    "ports": ["h(s).p[0] == h(s).q", "all i in 0..1: s.v[i] <= h(s).p[i]"],
}  # fmt: skip
START = {
    "one": "s : f.input", "two": "a, b : f.input", "mixed": "s : f.input", "ports": "s : h.input",
}  # fmt: skip


@st.composite
def number(draw: DrawFn, world: str, depth: int) -> str:
    if depth == 0 or draw(st.integers(0, 2)) == 0:
        return draw(st.sampled_from(BARE[world]))
    part = number(world, depth - 1)
    form = draw(st.integers(0, 6))
    a, b = draw(part), draw(part)
    if form == 6:
        return f"(if {draw(condition(world, depth - 1))} then {a} else {b})"
    return [
        f"abs({a})", f"max({a}, {b})", f"min({a}, {b}, 1)", f"({a} + {b})", f"({a} - {b})",
        f"{draw(st.sampled_from(['2', '-1', '1/3', 'gain']))} * ({a})",
    ][form]  # fmt: skip


@st.composite
def condition(draw: DrawFn, world: str, depth: int) -> str:
    form = draw(st.integers(0, 6 if depth else 1))
    if form == 0:
        return draw(st.sampled_from(FACTS[world]))
    compare = st.sampled_from(["<", "<=", ">", ">=", "==", "!="])
    if form <= 2:
        terms = [draw(number(world, min(depth, 2))) for _ in range(draw(st.integers(2, 3)))]
        text = terms[0]
        for term in terms[1:]:
            text += f" {draw(compare)} {term}"
        return text
    part = condition(world, depth - 1)
    a, b = draw(part), draw(part)
    return [
        f"({a}) and ({b})", f"({a}) or ({b})", f"not ({a})", f"(({a}) => ({b}))",
    ][form - 3]  # fmt: skip


@st.composite
def cases(draw: DrawFn) -> tuple[str, list[list[Fraction]]]:
    world = draw(st.sampled_from(sorted(START)))
    quantifier = draw(st.sampled_from(["forall", "exists"]))
    body = [f"{quantifier} {START[world]}"]
    if draw(st.booleans()):
        body.append(f"assume {draw(condition(world, 2))}")
    body += [f"assert {draw(condition(world, 2))}" for _ in range(draw(st.integers(1, 2)))]
    points = st.lists(st.sampled_from([Fraction(n, 4) for n in range(-13, 14)]), min_size=8, max_size=8)
    text = HEADER + "property p {\n  " + "\n  ".join(body) + "\n}\n"
    return text, draw(st.lists(points, min_size=1, max_size=6))


@settings(max_examples=250, deadline=None)
@given(cases())
def test_lowered_formula_equals_direct_evaluation(case: tuple[str, list[list[Fraction]]]) -> None:
    text, points = case
    spec = parse(text, "random.nnspec")
    (prop,) = lower(spec, NETWORKS, {})
    query = prop.query
    for numbers in points:
        physical = {f.name: numbers[k] for k, f in enumerate(query.inputs)}
        x = [f.raw(physical[f.name]) for f in query.inputs]
        y = evaluate(query.network, x)
        reference = Reference(spec, NETWORKS, physical)
        assumed, asserted = reference.judge("p")
        assert holds(query.assumption, x, y) == assumed
        assert holds(query.violation, x, y) == (asserted if query.quantifier == "exists" else not asserted)
        _check_copies(prop.query, x, y)


def _check_copies(query: Query, x: list[Fraction], y: tuple[Fraction, ...]) -> None:
    """What each copy is said to be fed gives, through its own model, the outputs the query has."""
    for copy in query.copies:
        model: Network = NETWORKS[copy.model]
        fed = [a(x) for a in copy.raw_inputs]
        assert evaluate(model, fed) == y[copy.first_output : copy.first_output + model.output_size]
        name = query.outputs[copy.first_output].name
        assert name.startswith(copy.label + ".")
