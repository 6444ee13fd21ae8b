"""`hidden NAME[SHAPE] at "TENSOR"`: conditions over tensors inside a network."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.importer.models import build, node
from verify import SpecError, api
from verify.cli.main import main
from verify.spec.builder import Field, Hidden, PropertyBuilder, SpecBuilder, scores

BLOCK = """network n = onnx("n.onnx") {
  hidden r[3] at "r"
  input a, b in [-1, 1]
  hidden h[1, 3] at "h"
  output y, z
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """n.onnx: h = (a, -b, a + b), r = relu(h), (y, z) = (r0 + r1, 2 r2)."""
    first: NDArray[np.float32] = np.array([[1, 0, 1], [0, -1, 1]], dtype=np.float32)
    second: NDArray[np.float32] = np.array([[1, 0], [1, 0], [0, 2]], dtype=np.float32)
    nodes = [node("MatMul", "x W", "h"), node("Relu", "h", "r"), node("MatMul", "r V", "o")]
    model = build(nodes, {"x": [1, 2]}, ["o"], {"W": first, "V": second})
    (tmp_path / "n.onnx").write_bytes(model.SerializeToString())
    return tmp_path


def verdicts(folder: Path, *statements: str, kind: str = "forall") -> list[str]:
    text = BLOCK + "".join(f"property p{k} {{ {kind} s : n.input  {t} }}\n" for k, t in enumerate(statements))
    report = api.prove(api.read_spec_text(text, file=folder / "s.nnspec"), timeout=20)
    return [r.verdict.value for r in report.results]


def test_verdicts(folder: Path) -> None:
    assert verdicts(
        folder,
        "assert n(s).h[0, 2] == s.a + s.b",
        "assert n(s).r[2] == max(n(s).h[0, 2], 0)",
        "assert n(s).h[0, 0] >= 0",
        "assume all k in 0..2 : n(s).h[0, k] <= 0  assert n(s).y <= 0 and n(s).z <= 0",
        "assume n(s).r[0] == 0  assert n(s).y <= 1",
        "assert argmax(n(s).r) is 0",
    ) == ["PROVED", "PROVED", "REFUTED", "PROVED", "PROVED", "REFUTED"]
    assert verdicts(folder, "assert n(s).r[1] > 0.5 and n(s).r[2] > 0.25", kind="exists") == ["WITNESSED"]


def test_decisions_are_about_outputs_only(folder: Path) -> None:
    """z = 2 relu(a + b) may be outdone by a hidden number, which is no output."""
    assert verdicts(folder, "assume s.a == 1 and s.b == -0.75  assert argmax(n(s)) is y") == ["PROVED"]
    for condition in ("argmax(n(s)) is h", "n(s)[2] <= 1", "n(s)[r] <= 1"):
        with pytest.raises(SpecError):
            verdicts(folder, f"assert {condition}")


def test_two_copies(folder: Path) -> None:
    text = BLOCK + "property p { forall s, t : n.input  assume s.a <= t.a  assert n(s).h[0, 0] <= n(t).h[0, 0] }"
    report = api.prove(api.read_spec_text(text, file=folder / "s.nnspec"), timeout=20)
    assert report.results[0].verdict.value == "PROVED"


def test_evaluation_and_witness_show_them(folder: Path) -> None:
    text = BLOCK + "property p { forall s : n.input  assert n(s).h[0, 0] >= 0 }"
    spec = api.read_spec_text(text, file=folder / "s.nnspec")
    copy = api.evaluate(spec, {"s.a": "1/2", "s.b": -1}).copies[0]
    assert {k: v for k, (v, _) in copy.outputs.items()} == {
        "n(s).y": Fraction(3, 2), "n(s).z": 0, "n(s).r[0]": Fraction(1, 2), "n(s).r[1]": 1, "n(s).r[2]": 0,
        "n(s).h[0,0]": Fraction(1, 2), "n(s).h[0,1]": 1, "n(s).h[0,2]": Fraction(-1, 2),
    }  # fmt: skip
    assert [float(v) for v in copy.replay_output] == [1.5, 0, 0.5, 1, 0, 0.5, 1, -0.5]
    witness = api.prove(spec, timeout=20).results[0].witness
    assert witness is not None and witness.replay is not None and witness.replay.agrees


@pytest.mark.parametrize(("bound", "answer"), [("1", "unsat"), ("0.5", "sat")])
def test_export_and_back(folder: Path, capsys: pytest.CaptureFixture[str], bound: str, answer: str) -> None:
    (folder / "s.nnspec").write_text(BLOCK + f"property p {{ forall s : n.input  assert n(s).h[0, 0] <= {bound} }}")
    assert main(["export", str(folder / "s.nnspec"), "--to", "vnnlib2"]) == 0
    text = capsys.readouterr().out
    assert text.count("declare-hidden") == 2
    (folder / "s.vnnlib").write_text(text)
    assert main(["verify", str(folder / "s.vnnlib"), "--network", f"N={folder / 'n.onnx'}"]) == 0
    assert capsys.readouterr().out.split()[0] == answer


def test_builder(folder: Path) -> None:
    spec = SpecBuilder()
    inputs, outputs = [Field("a", low=-1, high=1), Field("b", low=-1, high=1)], scores("y z")
    net = spec.network("n", "n.onnx", inputs=inputs, outputs=outputs, hidden=[Hidden("h", (1, 3), at="h")])

    @spec.property()
    def p(claim: PropertyBuilder) -> None:
        s = claim.forall(net.input)
        claim.prove(net(s).h[0, 2] == s.a + s.b)

    assert 'hidden h[1, 3] at "h"' in spec.to_text()
    assert api.prove(api.read_spec_text(spec, file=folder / "s.nnspec"), timeout=20)["p"].verdict.value == "PROVED"
