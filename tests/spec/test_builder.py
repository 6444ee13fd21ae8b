"""The Python builder writes the language: what it says is what the parser reads."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import verify
from tests.spec.models import affine_network, random_network
from verify.core.evaluate import evaluate
from verify.core.query import Query, holds
from verify.spec import lower, parse
from verify.spec.builder import Field, PropertyBuilder, SpecBuilder, StepBuilder, linf, same, scores
from verify.spec.expressions import Quantity, if_, maximum, minimum, quantity
from verify.spec.layout import format_text

MODEL = Path(__file__).parents[2] / "models" / "distilled" / "teacher.onnx"


def cartpole() -> SpecBuilder:
    spec = SpecBuilder()
    for unit in ("m", "rad", "s"):
        spec.unit(unit)
    spec.unit("km", "1000 m")
    limit = spec.const("limit", "2 m")
    lean = spec.param("lean", "0.15", unit="rad", low=0, high="0.42")
    pi = spec.network(
        "pi",
        inputs=[Field("x", "m", "-4.8", "4.8"), Field("theta", "rad", "-0.42", "0.42", raw="value / 0.42")],
        outputs=scores("left right"),
    )

    @spec.property("never push left", expect="refuted", timeout=30)
    def lean_right(p: PropertyBuilder) -> None:
        state = p.forall(pi.input)
        p.assume((state.theta >= lean) & (abs(state.x) <= limit))
        p.prove(pi(state).argmax.is_strictly("right"))

    @spec.property()
    def related(p: PropertyBuilder) -> None:
        a, b = p.forall(pi.input, "a"), p.forall(pi.input, "b")
        p.assume(same(a, b, excepting=["x"]), a.x.between("-1 m", b.x))
        high = p.let("high", maximum(pi(a).left, pi(a)["right"]))
        p.prove((high <= minimum(pi(b).left, 3) * 2) >> (~pi(b).argmin.may_be("left") | (high == 0)))

    return spec


def test_text_is_the_language_and_round_trips() -> None:
    text = cartpole().to_text()
    expected = """unit m

unit rad

unit s

unit km = 1000[m]

const limit = 2[m]

param lean [rad] in [0, 0.42] = 0.15

network pi = onnx() {
  input x [m] in [-4.8, 4.8]
  input theta [rad] in [-0.42, 0.42] raw = value / 0.42
  output left
  output right
}

@expect(refuted)
@timeout(30)
property lean_right "never push left" {
  forall s : pi.input
  assume s.theta >= lean and abs(s.x) <= limit
  assert argmax(pi(s)) is strictly right
}

property related {
  forall a : pi.input
  forall b : pi.input
  assume same(a, b) except {x}
  assume -1[m] <= a.x <= b.x
  let high = max(pi(a).left, pi(a)[right])
  assert high <= min(pi(b).left, 3) * 2 => not argmin(pi(b)) may be left or high == 0
}
"""
    assert text == expected
    assert len(lower(parse(text, "b.nnspec"), {"pi": random_network(2, 2)}, {})) == 2


OPERATORS = {
    "+": lambda a, b: a + b, "-": lambda a, b: a - b, "*": lambda a, b: a * b, "/": lambda a, b: a / b,
}  # fmt: skip


@given(st.recursive(
    st.one_of(st.sampled_from(["x", "y"]), st.fractions(-5, 5, max_denominator=12)),
    lambda inner: st.tuples(st.sampled_from("+-*/n"), inner, inner),
    max_leaves=8,
))  # fmt: skip
def test_precedence_survives_the_text(tree: Any) -> None:
    """The text means what the operators said: compared as values, with x = 3 and y = -1/2."""
    values = {"x": Fraction(3), "y": Fraction(-1, 2)}

    def build(node: Any) -> tuple[Any, Fraction]:
        if isinstance(node, str):
            return Quantity(node), values[node]
        if isinstance(node, Fraction):
            return quantity(node), node
        (word, left, right) = node
        (a, x), (b, y) = build(left), build(right)
        if word == "n":
            return -a, -x
        if word == "/" and y == 0:
            word = "+"
        return OPERATORS[word](a, b), OPERATORS[word](x, y)

    expression, value = build(tree)
    text = f"const x = 3\nconst y = -1 / 2\nproperty p {{ forall z : [0, 1]  assert z >= {expression.text} }}"
    (prop,) = lower(parse(text, "t.nnspec"), {}, {})
    assert holds(prop.query.violation, [value], []) is False
    below = value - Fraction(1, 10**6)
    assert holds(prop.query.violation, [below], []) is True


def test_numbers_are_exact_and_floats_are_echoed() -> None:
    texts = {
        "1500 ft": "1500[ft]", "-0.06[rad]": "-0.06[rad]", "1/3": "1 / 3", "5 m/s": "5[m/s]", "1e-3": "1e-3",
    }  # fmt: skip
    assert {t: quantity(t).text for t in texts} == texts
    assert quantity(Fraction(1, 3)).text == "1 / 3" and quantity(Decimal("0.10")).text == "0.1"
    assert quantity(0.1).text == "0.1" and quantity(0.1).floats == (0.1,)
    assert quantity(np.float64(0.1)).text == "3602879701896397 / 36028797018963968"
    assert quantity(np.float32(0.1)).text == "0.100000001490116119384765625"
    assert quantity(np.int64(3)).text == "3" and quantity(np.float64(0.1)).floats == ()
    spec = SpecBuilder()
    net = spec.network("n", inputs=[Field("x", low=0, high=1)], outputs=scores("a"))

    @spec.property()
    def p(p: PropertyBuilder) -> None:
        state = p.forall(net.input)
        p.prove(net(state).a <= state.x + 0.1)

    assert spec.echoes == ("0.1 is read as 1/10",)


@pytest.mark.parametrize(
    ("attempt", "words"),
    [
        (lambda x: 0 <= x <= 1, "between"),
        (lambda x: (x <= 1) and (x >= 0), "&"),
        (lambda x: not (x <= 1), "~"),
        (lambda x: 1 if x else 0, "compare it"),
        (lambda x: x <= 1 & (x >= 0), "bind less tightly"),
        (lambda x: (x <= 1) & x, "condition"),
        (lambda x: x + "two", "quantity"),
        (lambda x: x + True, "number"),
        (lambda x: float(x), "no value"),
        (lambda x: x + (x <= 1), "number"),
    ],
)
def test_what_python_cannot_say_is_explained(attempt: Any, words: str) -> None:
    with pytest.raises((TypeError, ValueError), match=words):
        attempt(Quantity("s.x"))


def test_unknown_fields_and_decisions_are_explained() -> None:
    spec = SpecBuilder()
    net = spec.network("n", inputs=[Field("speed", low=0, high=1)], outputs=scores("left right"))
    state = PropertyBuilder().forall(net.input)
    with pytest.raises(AttributeError, match="did you mean `speed`"):
        _ = state.sped
    with pytest.raises(TypeError, match="is_strictly"):
        _ = net(state).argmax == "left"
    with pytest.raises(TypeError, match="condition"):
        PropertyBuilder().prove(net(state).left)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="both ends"):
        Field("x", low=0).line("input")


def test_decides_and_reads_back(tmp_path: Path) -> None:
    spec = SpecBuilder()
    net = spec.network(
        "t",
        str(MODEL),
        inputs=[Field("x", low=-1, high=1), Field("y", low=-1, high=1)],
        outputs=scores("left stay right"),
    )

    @spec.property(expect="proved")
    def robust(p: PropertyBuilder) -> None:
        a = p.forall(net.input)
        b = p.forall(linf(a, 0.001))
        p.prove(abs(net(a).left - net(b).left) <= if_(a.x >= 0, "0.02", "0.01"))

    read = verify.read_spec_text(spec, file=tmp_path / "built.nnspec")
    result = verify.prove(read, timeout=20)["robust"]
    assert result.verdict is verify.Verdict.PROVED
    assert result.notes == ("0.001 is read as 1/1000",)
    (tmp_path / "built.nnspec").write_text(spec.to_text(), encoding="utf-8")
    again = verify.read_spec(tmp_path / "built.nnspec")
    assert [p.name for p in again.properties] == ["robust"]


def test_same_meaning_as_written_by_hand() -> None:
    header = "network n = onnx() {\n  input x in [0, 1]\n  input y in [0, 1]\n  output a\n}\n"
    by_hand = header + "property p { forall s : n.input  assume s.x + s.y <= 1  assert n(s).a <= 2 or s.x > 1/2 }"
    spec = SpecBuilder()
    net = spec.network("n", inputs=[Field("x", low=0, high=1), Field("y", low=0, high=1)], outputs=scores("a"))

    @spec.property()
    def p(p: PropertyBuilder) -> None:
        state = p.forall(net.input)
        p.assume(state.x + state.y <= 1)
        p.prove((net(state).a <= 2) | (state.x > "1/2"))

    model = affine_network([[1.0, 2.0]], [0.0])
    queries: list[Query] = [
        lower(parse(text, "t.nnspec"), {"n": model}, {})[0].query for text in (by_hand, spec.to_text())
    ]
    assert queries[0].violation == queries[1].violation and queries[0].assumption == queries[1].assumption
    assert evaluate(queries[0].network, [Fraction(1), Fraction(1)]) == (Fraction(3),)


# --- closed loops ------------------------------------------------------------------------------------------


def closed_loop() -> SpecBuilder:
    spec = SpecBuilder()
    spec.unit("m")
    spec.unit("s")
    ctl = spec.network(
        "ctl",
        inputs=[Field("p", "m", -9, 9), Field("v", "m/s", -9, 9)],
        outputs=[Field("u", "m/s^2")],
    )

    @spec.system(
        states=[Field("p", "m", -2, 2), Field("v", "m/s", -1, 1)],
        disturbances=[Field("w", "m/s^2", "-0.25", "0.25")],
    )
    def cart(s: StepBuilder) -> None:
        dt = s.let("dt", "0.5 s")
        s.next(p=s.p + dt * s.v, v=s.v + dt * (ctl(p=s.p, v=s.v).u + s.w))

    @spec.property(expect="refuted")
    def stays(p: PropertyBuilder) -> None:
        q = p.forall(cart.state, "q")
        p.assume(q.p.between("-1 m", "1 m"))
        run = cart.run(q, 2)
        p.prove(run.all(lambda r: abs(r.p) <= "1 m") & (cart.next(q).v <= run[1].v))
        p.prove(run.any(lambda r: r.v == 0))

    return spec


def test_closed_loops_are_written_as_the_language() -> None:
    text = closed_loop().to_text()
    assert (
        """system cart {
  state p [m] in [-2, 2]
  state v [m/s] in [-1, 1]
  disturbance w [m/s^2] in [-0.25, 0.25]
  let dt = 0.5[s]
  next p = p + dt * v
  next v = v + dt * (ctl(p=p, v=v).u + w)
}"""
        in text
    )
    assert "assert (all r in run(cart, q, 2) : abs(r.p) <= 1[m]) and cart.next(q).v <= run(cart, q, 2)[1].v" in text
    (prop,) = lower(parse(text, "t.nnspec"), {"ctl": affine_network([[-1.0, -2.0]], [0.0])}, {})
    assert [f.name for f in prop.query.inputs] == ["q.p", "q.v", "q.w", "q[1].w"]
    assert lower(parse(format_text(text, "t.nnspec"), "t.nnspec"), {"ctl": affine_network([[-1.0, -2.0]], [0.0])}, {})


def test_wrong_steps_are_refused_in_python() -> None:
    spec = SpecBuilder()
    with pytest.raises(TypeError, match="next needs a value for each of `p` and `v`, not `p`"):

        @spec.system(states=[Field("p"), Field("v")])
        def loop(s: StepBuilder) -> None:
            s.next(p=s.p)

    with pytest.raises(AttributeError, match="no state or disturbance `speed`; there are `p`"):

        @spec.system(states=[Field("p")])
        def other(s: StepBuilder) -> None:
            s.next(p=s.speed)
