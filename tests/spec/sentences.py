"""Random properties of every shape: nested conditions, ties, decisions, piecewise-linear terms, copies, balls.

`choose` takes one of some options: from hypothesis in a test, from a random.Random in a measurement.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tests.spec.models import random_network, two_port_network

Choose = Callable[[Sequence[Any]], Any]

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
system loop {
  state x [m] in [-2, 3]   state w in [-1, 1]
  disturbance d [km] in [0, 0.001]
  disturbance e in [-0.5, 0.5]
  let u = f(x=x, w=w)
  let push = max(-1, min(1, u.go - u.back))
  next x = x + 0.5[m] * push + d
  next w = 0.5 * w + abs(u.stay) / 3 + e
}
define settled(q: loop.state) = abs(q.x) <= near and q.w > 0
define close(u: f.input) = abs(u.x) <= near and not u.w == 0
define reach(u: f.input) = max(u.x / 1[m], u.w, -u.w)
"""
NETWORKS = {"f": random_network(2, 3, seed=1), "g": random_network(2, 2, seed=2), "h": two_port_network(3)}

BARE = {
    "one": ["s.w", "s.x / 1[m]", "f(s).go", "f(s).back", "f(s)[stay]", "f(s)[0]", "reach(s)", "gain", "2", "-0.25"],
    "two": ["a.w", "b.w", "f(a).go", "f(b).go", "f(b)[2]", "f(a).stay", "reach(b)", "1", "max(f(a))"],
    "ball": ["s.k", "t.k", "s.v[0]", "h(s).p[0]", "h(t).p[0]", "h(s).q", "h(t)[1]", "0.5"],
    "mixed": ["s.w", "f(s).go", "g(s).cost / 1[km]", "g(s).speed / 1[m/s]", "f(x=s.x, w=2*s.w-1).back", "0.5"],
    "loop": [
        "q.w",
        "q.x / 1[m]",
        "loop.next(q).w",
        "loop.next(q).x / 1[m]",
        "run(loop, q, 2)[2].w",
        "f(q).go",
        "0.5",
        "f(loop.next(q)).back",
        "loop.next(loop.next(q)).x / 1[m]",
        "f(x=q.x, w=loop.next(q).w).stay",
    ],
    "ports": ["s.k", "s.v[0]", "s.v[1]", "h(s).p[0]", "h(s).p[1]", "h(s).q", "h(s)[1]", "min(h(s))", "1/3"],
}
FACTS = {
    "one": ["close(s)", "argmax(f(s)) is stay", "argmin(f(s)) may be back", "argmax(f(s)) is strictly 0",
            "s.x <= 0.001[km]", "all k in {go, back}: f(s)[k] <= f(s).stay", "any i in 0..2 : f(s)[i] == 0"],
    "two": ["same(a, b) except w", "argmax(f(a)) is argmax(f(b))", "argmin(f(a)) may be argmin(f(b))", "a.x < b.x",
            "argmax(f(a)) is strictly argmax(f(b))", "close(b)"],
    "mixed": ["close(s)", "g(s).cost <= 2[m]", "argmax(f(s)) is go", "-1[m/s] < g(s).speed <= 2[m/s]"],
    "ball": ["argmax(h(s).p) is argmax(h(t).p)", "s.k == t.k", "h(s).q <= h(t).q", "s.v[1] > t.v[1]"],
    "loop": ["all r in run(loop, q, 2): r.w <= 1", "any r in run(loop, q, 1): abs(r.x) <= near", "settled(q)",
             "argmax(f(loop.next(q))) is go", "settled(loop.next(q))", "loop.next(q).x <= q.x"],
    "ports": ["h(s).p[0] == h(s).q", "all i in 0..1: s.v[i] <= h(s).p[i]"],
}  # fmt: skip
START = {
    "one": ["s : f.input"], "two": ["a, b : f.input"], "mixed": ["s : f.input"], "ports": ["s : h.input"],
    "loop": ["q : loop.state"],
    "ball": ["t : h.input", "s : linf(t, 3/4)"],
}  # fmt: skip


def number(choose: Choose, world: str, depth: int) -> str:
    if depth == 0 or choose(range(3)) == 0:
        return str(choose(BARE[world]))
    form = choose(range(7))
    a, b = number(choose, world, depth - 1), number(choose, world, depth - 1)
    if form == 6:
        return f"(if {condition(choose, world, depth - 1)} then {a} else {b})"
    return [
        f"abs({a})", f"max({a}, {b})", f"min({a}, {b}, 1)", f"({a} + {b})", f"({a} - {b})",
        f"{choose(['2', '-1', '1/3', 'gain'])} * ({a})",
    ][form]  # fmt: skip


def condition(choose: Choose, world: str, depth: int) -> str:
    form = choose(range(7 if depth else 2))
    if form == 0:
        return str(choose(FACTS[world]))
    if form <= 2:
        text = number(choose, world, min(depth, 2))
        for _ in range(choose([1, 2])):
            text += f" {choose(['<', '<=', '>', '>=', '==', '!='])} {number(choose, world, min(depth, 2))}"
        return text
    a, b = condition(choose, world, depth - 1), condition(choose, world, depth - 1)
    return [f"({a}) and ({b})", f"({a}) or ({b})", f"not ({a})", f"(({a}) => ({b}))"][form - 3]


def property_text(choose: Choose) -> str:
    """A spec of the networks above with one property `p`."""
    world = choose(sorted(START))
    quantifier = choose(["forall", "exists"])
    body = [f"{quantifier} {domain}" for domain in START[world]]
    if choose([False, True]):
        body.append(f"assume {condition(choose, world, 2)}")
    body += [f"assert {condition(choose, world, 2)}" for _ in range(choose([1, 2]))]
    return HEADER + "property p {\n  " + "\n  ".join(body) + "\n}\n"
