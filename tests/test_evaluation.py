"""`verify.evaluate`: one physical point through a spec, and every witness reproduced by it."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import verify
from tests.importer.models import build, node, save

SPEC = """unit m  unit s
network n = onnx("n.onnx") {
  input pos [m]    in [-2, 2]   raw = (value - 1) / 4
  input vel [m/s]  in [-3, 3]
  output push [m]  raw = (value - 10) / 2
  output rest
}
param top [m] = 11
property bounded { forall s : n.input  assume s.vel >= 0[m/s]  assert n(s).push <= top }
property close { forall a, b : n.input  assume same(a, b) except vel  assert n(a).rest <= n(b).rest + 4 }
property low { exists s : n.input  assert n(s).rest < 0.1 }
"""


@pytest.fixture
def spec(tmp_path: Path) -> verify.Spec:
    weights = {"w": np.array([[4.0, 1.0], [1.0, -1.0]]), "v": np.array([[1.0, 0.0], [0.5, 1.0]])}
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "y")]
    save(build(nodes, {"x": [1, 2]}, ["y"], weights), tmp_path, "n.onnx")
    (tmp_path / "s.nnspec").write_text(SPEC)
    return verify.read_spec(tmp_path / "s.nnspec")


def by_hand(pos: Fraction, vel: Fraction) -> tuple[Fraction, Fraction]:
    raw = (pos - 1) / 4
    first, second = max(4 * raw + vel, Fraction(0)), max(raw - vel, Fraction(0))
    return 2 * (first + second / 2) + 10, second


def test_one_point(spec: verify.Spec) -> None:
    found = verify.evaluate(spec, {"s.pos": "1.5", "s.vel": Fraction(-1, 3)})
    push, rest = by_hand(Fraction(3, 2), Fraction(-1, 3))
    (copy,) = found.copies
    assert found.inputs == {"s.pos": (Fraction(3, 2), "m"), "s.vel": (Fraction(-1, 3), "m/s")}
    assert {k.rpartition(".")[2]: v for k, v in copy.outputs.items()} == {"push": (push, "m"), "rest": (rest, None)}
    assert copy.raw_input == (Fraction(1, 8), Fraction(-1, 3))
    assert copy.replay_input == (0.125, float(np.float32(-1 / 3)))
    assert copy.replay_output == pytest.approx([float(v) for v in copy.raw_output], rel=1e-6)
    fares = {p.name: p for p in found.properties}
    assert set(fares) == {"bounded", "low"}
    assert not fares["bounded"].assumption_holds and fares["bounded"].margin == 11 - push
    assert fares["bounded"].assertion_holds == (push <= 11) and fares["low"].assertion_holds == (rest < Fraction(1, 10))


def test_forms_of_numbers(spec: verify.Spec) -> None:
    expected = verify.evaluate(spec, {"s.pos": Fraction(1, 4), "s.vel": 1}).copies
    for pos in (0.25, "0.25", "1/4", "25e-2", "0.25 m", "0.25[m]"):
        assert verify.evaluate(spec, {"s.pos": pos, "s.vel": "1"}).copies == expected
    assert verify.evaluate(spec, {"pos": 0.1, "vel": 0}).inputs["s.pos"][0] == Fraction(1, 10)


def test_a_bare_name_serves_every_variable(spec: verify.Spec) -> None:
    found = verify.evaluate(spec, {"pos": 1, "vel": 0, "b.vel": 2})
    assert {p.name for p in found.properties} == {"bounded", "close", "low"}
    assert found.inputs["a.vel"] == found.inputs["s.vel"] == (0, "m/s") and found.inputs["b.vel"] == (2, "m/s")


def test_two_copies(spec: verify.Spec) -> None:
    found = verify.evaluate(spec, {"a.pos": 1, "a.vel": 0, "b.pos": 1, "b.vel": 2})
    assert {p.name for p in found.properties} == {"close"} and len(found.copies) == 2


@pytest.mark.parametrize(
    ("at", "code"),
    [
        ({"pos": 1}, "E006"),
        ({}, "E006"),
        ({"pos": 1, "vel": 1, "speed": 2}, "E007"),
        ({"pos": "one", "vel": 1}, "E008"),
        ({"pos": "1 s", "vel": 1}, "E008"),
        ({"pos": float("nan"), "vel": 1}, "E008"),
        ({"pos": float("inf"), "vel": 1}, "E008"),
        ({"pos": "1/0", "vel": 1}, "E008"),
        ({"pos": "1e999999999", "vel": 1}, "E008"),
    ],
)
def test_wrong_points(spec: verify.Spec, at: dict[str, object], code: str) -> None:
    with pytest.raises(verify.UsageError) as caught:
        verify.evaluate(spec, at)  # type: ignore[arg-type]
    assert caught.value.code == code and caught.value.fix


@pytest.mark.parametrize("seed", range(3))
def test_witnesses_are_reproduced(spec: verify.Spec, seed: int) -> None:
    report = verify.prove(spec, timeout=20, seed=seed)
    for name in ("bounded", "low"):
        result = report[name]
        assert result.witness is not None and result.query is not None
        at = {f.name: f.physical(v) for f, v in zip(result.query.inputs, result.witness.x, strict=True)}
        found = verify.evaluate(spec, at)
        (fares,) = [p for p in found.properties if p.name == name]
        assert fares.assumption_holds and fares.assertion_holds == (name == "low")
        (copy,) = found.copies
        assert copy.raw_output == result.witness.outputs
        assert result.witness.replay is not None
        assert copy.replay_output == result.witness.replay.outputs
        assert fares.margin is not None and result.witness.margin == (fares.margin if name == "low" else -fares.margin)
