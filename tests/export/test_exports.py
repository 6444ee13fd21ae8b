"""Exports read back to the same verdict; what cannot be said is an error; the texts are golden."""

from __future__ import annotations

import importlib.util
from fractions import Fraction
from pathlib import Path

import pytest

import verify
from bench.exports import compare, write_case
from tests.strategies import query_of
from verify import api
from verify.cli.main import main
from verify.core.network import Network, Port
from verify.core.property import Property
from verify.core.query import FALSE, TRUE, And, Or, Row, Selection
from verify.errors import Place, QueryError
from verify.export.conditions import Writer, decimal, is_decimal
from verify.export.smtlib2 import write_smtlib2
from verify.export.vnnlib1 import write_vnnlib1
from verify.export.vnnlib2 import ModelOutline, write_vnnlib2

GOLDEN = Path(__file__).parent
NETWORK = Network((Port("x", (1, 2), 0),), (Port("y", (1, 2), 0),), ())
SPEC = """unit m
network n = onnx("hat.onnx") {
  input a [m] in [-1, 1/3] raw = (value - 1) / 3
  input b in [0, 0.5]
  output y
}
property p "a title" {
  forall s, t : n.input
  assume s.b == t.b and s.a < t.a
  assert n(s).y <= n(t).y or n(s).y + 0.5 * s.b != 1/3
}
property q {
  exists s : n.input
  assert n(s).y >= 2/3 * s.b
}
"""


@pytest.mark.parametrize("seed", range(12))
def test_round_trip(seed: int, tmp_path: Path) -> None:
    """`python -m bench.exports` does it for hundreds."""
    outcome = compare(write_case(tmp_path, seed), tmp_path)
    assert outcome.agrees, outcome


@pytest.fixture
def spec(tmp_path: Path) -> Path:
    from tests.importer.models import build, node, save, tensor

    nodes = [node("Gemm", "x w", "z"), node("Relu", "z", "h"), node("Gemm", "h v", "y")]
    stored = {"w": tensor("w", [[1.0, 0.0], [0.5, -1.0]]), "v": tensor("v", [[1.0], [0.1]])}
    save(build(nodes, {"x": [1, 2]}, {"y": None}, stored, opset=18), tmp_path, "hat.onnx")
    file = tmp_path / "a.nnspec"
    file.write_text(SPEC, encoding="utf-8")
    return file


@pytest.mark.parametrize(
    ("target", "name", "golden"),
    [
        ("vnnlib2", "p", "two_copies.vnnlib"),
        ("vnnlib1", "q", "one_network.vnnlib"),
        ("smtlib2", "q", "one_network.smt2"),
        ("lower", "p", "two_copies.txt"),
    ],
)
def test_golden(target: str, name: str, golden: str, spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call = ["lower", str(spec), "-k", name] if target == "lower" else ["export", str(spec), "--to", target, "-k", name]
    assert main(call) == 0
    out, err = capsys.readouterr()
    assert out.replace(str(spec.parent), "DIR") == (GOLDEN / golden).read_text(encoding="utf-8")
    assert err.startswith("note: q: 2 bounds of inputs rounded outwards: ") if target == "vnnlib1" else err == ""


def test_exact_version_1(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(spec), "--to", "vnnlib1", "--exact", "-k", "q"]) == 0
    out, err = capsys.readouterr()
    assert "(assert (<= (* -3.0 X_0) 2.0))" in out and err == ""


def test_to_a_folder(spec: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for target, suffix in (("vnnlib2", "vnnlib"), ("smtlib2", "smt2")):
        assert main(["export", str(spec), "--to", target, "-o", str(tmp_path / "out")]) == 0
        assert {f"p.{suffix}", f"q.{suffix}"} <= {f.name for f in (tmp_path / "out").iterdir()}
    assert capsys.readouterr().out == ""
    expected_p = api.prove(api.read_spec(spec), timeout=30)["p"].verdict
    for name, expected in (("p", expected_p), ("q", verify.Verdict.REFUTED)):
        back = api.read_spec(tmp_path / "out" / f"{name}.vnnlib", networks={"": tmp_path / "hat.onnx"})
        assert api.prove(back, timeout=30)[name].verdict is expected
    assert main(["export", str(spec), "--to", "vnnlib2", "-o", str(spec)]) == 3
    assert "error[E015]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        ([], "E018", "--to with one of vnnlib1, vnnlib2, smtlib2"),
        (["--to", "vnnlib2"], "E018", "add -o DIR, or -k with one of: p, q"),
        (["--to", "vnnlib3"], "E013", "verify export --help"),
        (["--to", "vnnlib2", "-k", "r"], "E002", "There are: p, q"),
    ],
)
def test_wrong_usage(words: list[str], code: str, hint: str, spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(spec), *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error[{code}]") and hint in err


def test_what_version_1_cannot_say(spec: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(spec), "--to", "vnnlib1", "-k", "p"]) == 3
    assert capsys.readouterr().err == (
        "error[E410]: cannot be exported: VNN-LIB 1 is about one network and its raw inputs\n"
        "  = help: export it with --to vnnlib2 or smtlib2\n"
    )


def prop(violation: object) -> Property:
    box = And(tuple(Row.of({i: sign}, {}, 1) for i in (0, 1) for sign in (-1, 1)))
    return Property("p", query_of(NETWORK, box, violation), Place("f"))  # type: ignore[arg-type]


def test_jumps_and_no_network_cannot_be_said() -> None:
    guarded = Network((*NETWORK.inputs, Port("choices", (1,), 1)), (*NETWORK.outputs, Port("guards", (1,), 1)), ())
    query = query_of(guarded, TRUE, Row.of({}, {0: 1}, 0))
    from dataclasses import replace

    copy = replace(query.copies[0], raw_inputs=query.copies[0].raw_inputs[:2])
    jumping = Property("p", replace(query, copies=(copy,)), Place("f"))
    with pytest.raises(QueryError, match="operators of a network jump"):
        write_vnnlib2(jumping, {"": ModelOutline("m.onnx", guarded)})
    with pytest.raises(QueryError, match="there is none"):
        write_vnnlib2(Property("p", replace(query, copies=()), Place("f")), {})
    assert Selection(TRUE, (), 0).guards == 0


@pytest.mark.parametrize("violation", [FALSE, And((Or(()), Row.of({}, {0: 1}, 0))), Row.of({}, {}, -1)])
def test_a_contradiction_reads_back_as_one(violation: object, tmp_path: Path) -> None:
    from tests.importer.models import build, node, save

    model = save(build([node("Identity", "x", "y")], {"x": [1, 2]}, {"y": [1, 2]}, opset=18), tmp_path)
    texts = write_vnnlib1(prop(violation))[0], write_vnnlib2(prop(violation), {"": ModelOutline("m", NETWORK)})
    for text in texts:
        file = tmp_path / "f.vnnlib"
        file.write_text(text, encoding="utf-8")
        result = api.prove(api.read_spec(file, networks={"": model}), timeout=30)["f"]
        assert result.verdict in (verify.Verdict.PROVED, verify.Verdict.VACUOUS)
    assert "(assert false)" in write_smtlib2(prop(violation))


def test_numbers() -> None:
    assert [decimal(Fraction(n)) for n in ("0", "-1", "1/8", "-0.05", "100", "12.5")] == [
        "0.0", "-1.0", "0.125", "-0.05", "100.0", "12.5",
    ]  # fmt: skip
    assert not is_decimal(Fraction(1, 3))
    writer = Writer("x{}".format, "y{}".format, plain=True)
    third = Fraction(1, 3)
    assert writer.condition(Row.of({0: 1}, {}, third)) == "(<= x0 0.33333333333333334)"
    assert writer.condition(Row.of({0: -1}, {}, -third, strict=True)) == "(> x0 0.33333333333333333)"
    assert writer.condition(Row.of({0: 1}, {}, -1234 - third)) == "(<= x0 -1234.3333333333333)"
    assert writer.rounded == 3
    assert writer.condition(Row.of({}, {0: 1}, third)) == "(<= (* 3.0 y0) 1.0)"
    exact = Writer("x{}".format, "y{}".format)
    assert exact.condition(Row.of({0: 1}, {1: Fraction(1, 7)}, third)) == "(<= (+ (* 21.0 x0) (* 3.0 y1)) 7.0)"
    assert exact.condition(Row.of({0: 1}, {}, third)) == "(<= (* 3.0 x0) 1.0)"


@pytest.mark.skipif(importlib.util.find_spec("vnnlib") is None, reason="the package vnnlib is not installed")
def test_the_standards_parser_accepts_it(spec: Path, tmp_path: Path) -> None:
    import vnnlib  # type: ignore[import-not-found]

    assert main(["export", str(spec), "--to", "vnnlib2", "-o", str(tmp_path / "out")]) == 0
    for file in (tmp_path / "out").iterdir():
        vnnlib.parse_query_file(str(file))
