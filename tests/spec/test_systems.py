"""Closed loops: what `next` and `run` mean, which quantities they introduce, and what is said of a counterexample."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.importer.models import build, node
from tests.spec.models import affine_network
from verify import SpecError, api
from verify.cli.main import main
from verify.core import query_text
from verify.core.evaluate import evaluate
from verify.core.pairing import MAX_BLOCKS, find_pairing
from verify.core.property import Property
from verify.core.query import Affine, holds
from verify.spec import lower, parse

LOOP = """unit m  unit s
network ctl = onnx("ctl.onnx") { input p [m] in [-9, 9]  input v [m/s] in [-9, 9]  output u [m/s^2] }
system cart {
  state p [m] in [-2, 2]
  state v [m/s] in [-1, 1]
  disturbance w [m/s^2] in [-0.25, 0.25]
  let dt = 0.5[s]
  let push = max(-1[m/s^2], min(1[m/s^2], ctl(p = p, v = v).u))
  next p = p + dt * v
  next v = v + dt * (push + w)
}
"""
HALF = Fraction(1, 2)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """ctl.onnx: u = -p - 2 v."""
    weights: Any = np.array([[-1], [-2]], dtype=np.float32)
    model = build([node("MatMul", "x W", "u")], {"x": [1, 2]}, ["u"], {"W": weights})
    (tmp_path / "ctl.onnx").write_bytes(model.SerializeToString())
    return tmp_path


def lowered(*statements: str, block: str = LOOP) -> Property:
    text = block + "property it {\n  " + "\n  ".join(statements) + "\n}\n"
    return lower(parse(text, "t.nnspec"), {"ctl": affine_network([[-1.0, -2.0]], [0.0])}, {})[0]


def variables(prop: Property) -> list[str]:
    return [field.name for field in prop.query.inputs]


def step(p: Fraction, v: Fraction, w: Fraction) -> tuple[Fraction, Fraction]:
    push = max(Fraction(-1), min(Fraction(1), -p - 2 * v))
    return p + HALF * v, v + HALF * (push + w)


def after(x: Sequence[Fraction]) -> tuple[Fraction, Fraction]:
    """The state that the disturbances x[2], x[3], … lead to from p = x[0], v = x[1]."""
    state = (x[0], x[1])
    for w in x[2:]:
        state = step(*state, w)
    return state


def points(p: Sequence[int | Fraction], v: Sequence[int | Fraction], *w: Fraction) -> list[list[Fraction]]:
    """All starts with all disturbances of three steps."""
    return [[Fraction(n) for n in x] for x in product(p, v, w, w, w)]


def test_every_step_has_disturbances_of_its_own() -> None:
    prop = lowered("forall q : cart.state", "assert run(cart, q, 3)[3].v <= 1[m/s]")
    assert variables(prop) == ["q.p", "q.v", "q.w", "q[1].w", "q[2].w"]
    assert [s.state for s in prop.steps] == ["q[1]", "q[2]", "q[3]"]


def test_a_disturbance_that_nothing_depends_on_is_left_out() -> None:
    assert variables(lowered("forall q : cart.state", "assert cart.next(q).p <= 3[m]")) == ["q.p", "q.v"]


def test_the_same_next_is_the_same_successor() -> None:
    """Written twice, by nesting or as a state of a run: never two different disturbances."""
    prop = lowered("forall q : cart.state", "assert cart.next(q).v == cart.next(q).v")
    assert prop.query.violation == lowered("forall q : cart.state", "assert 0 == 0").query.violation
    same = "cart.next(cart.next(q)).v == run(cart, q, 5)[2].v and q.p == run(cart, q, 5)[0].p"
    twice = lowered("forall q : cart.state", f"assert {same}")
    assert variables(twice) == ["q.p", "q.v"]


def test_two_starts_have_disturbances_of_their_own() -> None:
    prop = lowered("forall q, r : cart.state", "assert cart.next(q).v <= cart.next(r).v")
    assert variables(prop) == ["q.p", "q.v", "r.p", "r.v", "q.w", "r.w"]


def test_steps_with_equal_states_still_differ_in_their_disturbances() -> None:
    """The state forgets everything but the last disturbance: equal terms must not make equal steps."""
    block = "system c { state x in [0, 1]  disturbance w in [0, 1]  next x = 0 * x + w }\n"
    prop = lowered("forall q : c.state", "assert run(c, q, 2)[1].x == run(c, q, 2)[2].x", block=block)
    assert variables(prop) == ["q.x", "q.w", "q[1].w"]
    x = [Fraction(0), Fraction(1), Fraction(0)]
    assert holds(prop.query.violation, x, ())


def test_a_run_begins_with_its_start() -> None:
    prop = lowered("forall q : cart.state", "assert all r in run(cart, q, 0) : r.p <= 1[m]")
    assert holds(prop.query.violation, [Fraction(2), Fraction(0)], ())


def test_ranges_hold_at_the_start_only() -> None:
    """From p = 2 with v = 1 the next p leaves the declared range: a counterexample, not an excluded point."""
    query = lowered("forall q : cart.state", "assert cart.next(q).p <= 2[m]").query
    x = [Fraction(2), Fraction(1)]
    y = evaluate(query.network, x)
    assert holds(query.assumption, x, y) and holds(query.violation, x, y)
    assert not holds(query.assumption, [Fraction(2), Fraction(2)], y)


def test_a_network_range_is_not_assumed_in_a_loop() -> None:
    narrow = LOOP.replace("in [-9, 9]", "in [0, 0]")
    query = lowered("forall q : cart.state", "assert cart.next(q).p <= 2[m]", block=narrow).query
    assert holds(query.assumption, [Fraction(2), Fraction(1)], evaluate(query.network, [Fraction(2), Fraction(1)]))


@pytest.mark.parametrize("quantifier", ["forall", "exists"])
def test_three_steps_equal_the_loop_computed_by_hand(quantifier: str) -> None:
    prop = lowered(f"{quantifier} q : cart.state", "let r = run(cart, q, 3)", "assert r[3].p + 1[s] * r[3].v <= 0[m]")
    for x in points([-2, 1], [-1, HALF], Fraction(-1, 4), Fraction(1, 5)):
        state = after(x)
        y = evaluate(prop.query.network, x)
        asserted = state[0] + state[1] <= 0
        assert holds(prop.query.violation, x, y) is (asserted if quantifier == "exists" else not asserted)
        assert tuple(a([*x, *y]) for a in prop.steps[-1].values) == state


def test_chained_copies_survive_their_text() -> None:
    query = lowered("forall q : cart.state", "assert run(cart, q, 3)[3].v <= 1[m/s]").query
    indices = {i for c in query.copies for a in c.raw_inputs for i, _ in a.coefficients}
    assert max(indices) >= len(query.inputs)  # some copy is fed with another's output
    again = query_text.decode(query_text.encode(query), query.network)
    assert again.digest == query.digest and again.copies == query.copies


def test_copies_cannot_be_fed_with_later_outputs() -> None:
    query = lowered("forall q : cart.state", "assert run(cart, q, 3)[3].v <= 1[m/s]").query
    first = query.copies[0]
    with pytest.raises(ValueError, match="computed after it"):
        wrong = Affine(((len(query.inputs) + first.first_output, Fraction(1)),))
        replace(query, copies=(replace(first, raw_inputs=(wrong, *first.raw_inputs[1:])), *query.copies[1:]))


def test_steps_of_a_long_run_are_not_compared_beyond_the_stack() -> None:
    """Each step is computed alike, so that the recursion of pairing went down the whole run."""
    block = (
        LOOP.split("system")[0]
        + """system c {
      state p [m] in [-1, 1]
      next p = max(-1[m], min(1[m], 1[s^2] * ctl(p = p, v = 0).u))
    }
    """
    )
    prop = lowered("forall q : c.state", "let r = run(c, q, 115)", "assert r[115].p <= r[114].p", block=block)
    network = prop.query.network
    last = [port.value for port in network.outputs if port.name.startswith("ctl")]
    assert 500 < len(network.blocks) <= 2 * MAX_BLOCKS
    assert find_pairing(network, last[-2], last[-1]) is None


def test_units_of_states_are_converted() -> None:
    block = """unit m  unit km = 1000[m]
    system c { state x [km] in [0, 1]  next x = x + 500[m] }
    """
    query = lowered("forall q : c.state", "assert c.next(q).x <= 1.25[km]", block=block).query
    assert holds(query.violation, [Fraction(4, 5)], ()) and not holds(query.violation, [Fraction(3, 4)], ())


def test_definitions_take_states_and_tell_them_apart() -> None:
    other = "system other { state p in [0, 1]  next p = p }\ndefine calm(q: other.state) = q.p <= 1\n"
    with pytest.raises(SpecError, match=r"`other\.state` is needed, but `q` is a state of `cart`"):
        lowered("forall q : cart.state", "assert calm(q)", block=LOOP + other)


def test_no_warning_where_an_invariant_needs_no_network() -> None:
    assert lowered("forall q : cart.state", "assert q.p <= 2[m]").warnings == ()


# --- decided, replayed and told ----------------------------------------------------------------------------


def spec_file(folder: Path, *properties: str) -> Path:
    path = folder / "loop.nnspec"
    path.write_text(LOOP + "\n".join(properties) + "\n", encoding="utf-8")
    return path


def test_planted_counterexamples_are_found(folder: Path) -> None:
    """The bound is the exact greatest value after three steps (all corners tried), or a little below it."""
    best = max(after(x)[0] for x in points([-2, 2], [-1, 1], Fraction(-1, 4), Fraction(1, 4)))
    text = "property {} {{ forall q : cart.state  assert run(cart, q, 3)[3].p {} {}[m] }}"
    below = f"{best.numerator} / {best.denominator} * 1"
    lower_bound = f"{float(best) - 2**-20:.12f}"
    path = spec_file(folder, text.format("strict", "<", below), text.format("lower", "<=", lower_bound))
    for result in api.prove(api.read_spec(path), timeout=20):
        assert result.verdict.value == "REFUTED", result
        assert result.witness is not None and result.query is not None
        y = evaluate(result.query.network, result.witness.x)
        assert y == result.witness.outputs and holds(result.query.violation, result.witness.x, y)


def test_an_invariant_is_proved_with_evidence_that_is_accepted_again(folder: Path, tmp_path: Path) -> None:
    path = spec_file(
        folder,
        "property stays { forall q : cart.state  assume abs(q.p) <= 1[m] and abs(q.v) <= 0.5[m/s]"
        "  assert all r in run(cart, q, 2) : abs(r.p) <= 1.7[m] }",
    )
    (result,) = api.prove(api.read_spec(path), timeout=30, certificates=tmp_path / "evidence")
    assert result.verdict.value == "PROVED" and result.certificate is not None
    assert api.check(result.certificate).accepted


REFUTED = "property far { forall q : cart.state  assume q.p >= 1.5[m]  assert run(cart, q, 2)[2].p <= 2[m] }"


def test_a_counterexample_is_told_step_by_step(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec_file(folder, REFUTED)
    assert main(["run", str(path), "--format", "json"]) == 1
    (found,) = json.loads(capsys.readouterr().out)["results"]
    point = {name: Fraction(v["exact"]) for name, v in found["witness"]["inputs"].items()}
    first, second = found["witness"]["steps"]
    assert [first["state"], second["state"]] == ["q[1]", "q[2]"] and first["disturbances"] == ["q.w"]
    reached = step(point["q.p"], point["q.v"], point["q.w"])
    assert Fraction(first["values"]["q[1].p"]["exact"]) == reached[0]
    assert Fraction(first["values"]["q[1].v"]["exact"]) == reached[1]
    assert second["values"].keys() == {"q[2].p"}  # its speed is asked for by nothing
    assert Fraction(second["values"]["q[2].p"]["exact"]) == reached[0] + HALF * reached[1] > 2
    assert second["values"]["q[2].p"]["replay"] == pytest.approx(float(reached[0] + HALF * reached[1]))
    assert found["witness"]["replay"]["agrees"] is True


def test_text_and_eval_show_the_states(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = spec_file(folder, REFUTED)
    assert main(["run", str(path)]) == 1
    text = capsys.readouterr().out
    assert "step 1: q.w = " in text and "(ONNX Runtime -" in text and "q[1].p = " in text and "max#" not in text
    assert main(["eval", str(path), "--at", "p=2", "--at", "v=1", "--at", "w=0.25"]) == 0
    text = capsys.readouterr().out
    assert "states after each step" in text
    assert "q[1].p = 2.5 m   q[1].v = 0.625 m/s   q[2].p = 2.8125 m" in text
    assert "far  fails by 0.8125: a counterexample" in text


def test_exports(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """SMT-LIB says all of it; VNN-LIB 2 ties copies together, but has no max between them."""
    path = spec_file(folder, REFUTED)
    assert main(["export", str(path), "--to", "smtlib2"]) == 0
    assert "(check-sat)" in capsys.readouterr().out
    assert main(["export", str(path), "--to", "vnnlib2"]) == 3
    assert "error[E410]" in capsys.readouterr().err
    plain = LOOP.replace("max(-1[m/s^2], min(1[m/s^2], ctl(p = p, v = v).u))", "ctl(p = p, v = v).u")
    last = "property far { forall q : cart.state  assert run(cart, q, 3)[3].p <= 9[m] }\n"
    path.write_text(plain + last, encoding="utf-8")
    assert main(["export", str(path), "--to", "vnnlib2"]) == 0
    text = capsys.readouterr().out
    assert "(equal-to N1)" in text and "(* -0.5 Y1[0,0])" in text
    (direct,) = api.prove(api.read_spec(path), timeout=20)
    (folder / "far.vnnlib").write_text(text, encoding="utf-8")
    (again,) = api.prove(api.read_spec(folder / "far.vnnlib", networks={"N1": folder / "ctl.onnx"}), timeout=20)
    assert {direct.verdict.value, again.verdict.value} == {"PROVED"}
