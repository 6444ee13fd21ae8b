"""The Python API over small ONNX files: every verdict, overrides, limits and what is refused."""

from __future__ import annotations

import gzip
import math
import subprocess
import sys
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

import verify
from tests.importer.models import build, node, save
from tests.oracle import plain_z3
from verify.core.report import EXIT_ORDER
from verify.core.verdict import Evidence

Verdict = verify.Verdict
DECLARED = """unit m
network n = onnx("hat.onnx") {{
  input x [m] in [-1, 1]   raw = value
  output y
}}
{}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """hat.onnx: |x|; steep.onnx: 2|x|; rounded.onnx: relu(x + 2^24) - 2^24, which float32 rounds to whole numbers."""
    relu = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v c", "y")]
    for name, out in (("hat", 1.0), ("steep", 2.0)):
        weights = {"w": np.array([[1.0, -1.0]]), "b": np.zeros(2), "v": np.full((2, 1), out), "c": np.zeros(1)}
        save(build(relu, {"x": [1, 1]}, ["y"], weights), tmp_path, f"{name}.onnx")
    shift = {"w": np.array([[1.0]]), "b": np.array([2.0**24]), "v": np.ones((1, 1)), "c": np.array([-(2.0**24)])}
    save(build(relu, {"x": [1, 1]}, ["y"], shift), tmp_path, "rounded.onnx")
    return tmp_path


Write = Callable[..., verify.Spec]


@pytest.fixture
def write(folder: Path) -> Write:
    """Read a spec over hat.onnx with these properties."""

    def read(properties: str, *, header: str = DECLARED, name: str = "s.nnspec", **rest: object) -> verify.Spec:
        file = folder / name
        file.write_text(header.format(properties), encoding="utf-8")
        return verify.read_spec(file, **rest)  # type: ignore[arg-type]

    return read


def assertion(name: str, condition: str, assume: str = "", kind: str = "forall", before: str = "") -> str:
    assumption = f"assume {assume}" if assume else ""
    return f"{before}\nproperty {name} {{\n  {kind} s : n.input\n  {assumption}\n  assert {condition}\n}}\n"


def test_every_verdict(write: Write) -> None:
    spec = write(
        assertion("proved", "n(s).y <= 1")
        + assertion("refuted", "n(s).y <= 1/2")
        + assertion("vacuous", "n(s).y <= 1/2", "s.x >= 0.5[m] and s.x <= 0.25[m]")
        + assertion("witnessed", "n(s).y == 1/3", kind="exists")
        + assertion("none", "n(s).y < 0", kind="exists")
        + assertion("nowhere", "n(s).y >= 0", "s.x > 1[m]", kind="exists")
    )
    report = verify.prove(spec, timeout=20)
    assert [str(r.verdict) for r in report] == ["PROVED", "REFUTED", "VACUOUS", "WITNESSED", "NO WITNESS", "VACUOUS"]
    assert report.exit_code == 1 and report["proved"].exit_code == 0 and report["vacuous"].exit_code == 5
    assert report["proved"].evidence is Evidence.KERNEL
    assert report["refuted"].evidence is None and report["proved"].witness is None
    refuted = report["refuted"].witness
    assert refuted is not None and abs(refuted.x[0]) > Fraction(1, 2) and refuted.outputs == (abs(refuted.x[0]),)
    assert refuted.margin == refuted.outputs[0] - Fraction(1, 2)
    assert refuted.replay is not None and refuted.replay.agrees and not refuted.replay.left_region
    assert refuted.replay.outputs == (abs(refuted.replay.inputs[0][0]),)
    witnessed = report["witnessed"].witness
    assert witnessed is not None and abs(witnessed.x[0]) == Fraction(1, 3)


def test_truth_values_and_unknown_names_raise(write: Write) -> None:
    report = verify.prove(write(assertion("p", "n(s).y <= 1")), timeout=20)
    for value in (report, report["p"], report["p"].verdict):
        with pytest.raises(TypeError):
            bool(value)
    with pytest.raises(KeyError, match="there are p"):
        report["q"]
    assert "PROVED" in repr(report) and "s.nnspec" in repr(report)


def test_violated_over_the_reals_alone_is_fragile(folder: Path, write: Write) -> None:
    """The output is exactly x, but float32 returns whole numbers: 0 < y < 1 never shows in a replay."""
    spec = write(
        assertion("between", "n(s).y <= 1/4 or n(s).y >= 1/2", "s.x >= 0[m]"),
        networks={"n": folder / "rounded.onnx"},
    )
    found = verify.prove(spec, timeout=20)["between"]
    assert found.verdict is Verdict.FRAGILE and found.exit_code == 1
    assert found.witness is not None and Fraction(1, 4) < found.witness.x[0] < Fraction(1, 2)
    assert found.witness.outputs == found.witness.x
    assert found.witness.replay is not None and not found.witness.replay.agrees


@pytest.mark.parametrize(("relation", "verdict"), [("<=", "PROVED"), ("<", "REFUTED")])
def test_exact_tie_in_a_spec(write: Write, relation: str, verdict: str) -> None:
    found = verify.prove(write(assertion("tie", f"n(s).y {relation} 1")), timeout=20)["tie"]
    assert str(found.verdict) == verdict
    if found.witness is not None:
        assert found.witness.margin == 0 and abs(found.witness.x[0]) == 1


VNNLIB = """(declare-const X_0 Real) (declare-const Y_0 Real)
(assert (>= X_0 -1.0)) (assert (<= X_0 1.0))
(assert ({} Y_0 1.0))
"""


@pytest.mark.parametrize(("relation", "verdict"), [(">", "PROVED"), (">=", "REFUTED")])
@pytest.mark.parametrize("zipped", [False, True])
def test_exact_tie_in_vnnlib(folder: Path, relation: str, verdict: str, zipped: bool) -> None:
    text = VNNLIB.format(relation).encode()
    file = folder / ("tie.vnnlib.gz" if zipped else "tie.vnnlib")
    file.write_bytes(gzip.compress(text) if zipped else text)
    report = verify.prove(verify.read_spec(file, networks={"": folder / "hat.onnx"}), timeout=20)
    assert [(r.name, str(r.verdict)) for r in report] == [("tie", verdict)]


@pytest.mark.parametrize(("decision", "verdict"), [("is", "PROVED"), ("is strictly", "REFUTED"), ("may be", "PROVED")])
def test_ties_of_decisions(folder: Path, decision: str, verdict: str) -> None:
    model = build([node("Gemm", "x w", "y")], {"x": [1, 1]}, ["y"], {"w": np.array([[1.0, 1.0]])})
    save(model, folder, "twice.onnx")
    file = folder / "d.nnspec"
    file.write_text(
        'network n = onnx("twice.onnx") { input x in [-1, 1]  output a, b }\n'
        f"property p {{ forall s : n.input  assert argmax(n(s)) {decision} a }}\n"
    )
    assert str(verify.prove(verify.read_spec(file), timeout=20)["p"].verdict) == verdict


def test_expectations(write: Write) -> None:
    spec = write(
        assertion("right", "n(s).y <= 1/2", before="@expect(refuted)")
        + assertion("wrong", "n(s).y <= 1", before="@expect(refuted)")
    )
    report = verify.prove(spec, timeout=20)
    assert (report["right"].exit_code, report["wrong"].exit_code, report.exit_code) == (0, 1, 1)
    assert report["wrong"].verdict is Verdict.PROVED and report["wrong"].expected is Verdict.REFUTED
    assert verify.prove(spec, properties=["right"], timeout=20).exit_code == 0
    assert set(EXIT_ORDER) >= {0, 1, 3, 4, 5, 70}


def test_networks_and_params_override(folder: Path, write: Write) -> None:
    text = "param top in [0, 4] = 1\n" + assertion("p", "n(s).y <= top")
    for more, verdict in (
        ({}, Verdict.PROVED),
        ({"params": {"top": "1/2"}}, Verdict.REFUTED),
        ({"networks": {"n": folder / "steep.onnx"}}, Verdict.REFUTED),
        ({"networks": {"n": folder / "steep.onnx"}, "params": {"top": "2"}}, Verdict.PROVED),
    ):
        spec = write(text, **more)
        report = verify.prove(spec, timeout=20)
        assert report["p"].verdict is verdict
        assert report.networks["n"].digest == spec.networks["n"].network.digest
        assert dict(report.params) == dict(spec.params)
    for wrong in ({"params": {"nope": "1"}}, {"networks": {"nope": folder / "hat.onnx"}}):
        with pytest.raises(verify.VerifyError):
            write(text, **wrong)
    needs = "network n = onnx() {{ input x in [-1, 1] output y }}\n{}"
    with pytest.raises(verify.UsageError) as caught:
        write(assertion("p", "n(s).y <= 1"), header=needs)
    assert caught.value.code == "E004"


@pytest.mark.parametrize("limit", [0, -1, math.nan])
def test_limits_must_be_positive(write: Write, limit: float) -> None:
    spec = write(assertion("p", "n(s).y <= 1"))
    for which in ("timeout", "memory"):
        with pytest.raises(verify.UsageError) as caught:
            verify.prove(spec, **{which: limit})  # type: ignore[arg-type]
        assert caught.value.code == "E001"


def test_unknown_property(write: Write) -> None:
    with pytest.raises(verify.UsageError) as caught:
        verify.prove(write(assertion("p", "n(s).y <= 1")), properties=["q"])
    assert caught.value.code == "E002" and "p" in caught.value.fix


def test_tiny_limits_are_unknown_with_the_reason(write: Write) -> None:
    spec = write(assertion("p", "n(s).y <= 1"))
    late = verify.prove(spec, timeout=1e-9)["p"]
    assert (late.verdict, late.reason, late.exit_code) == (Verdict.UNKNOWN, "timeout", 4)
    assert 0 <= late.settled < 1 and late.witness is None and late.evidence is None
    large = verify.prove(spec, memory=0.001, timeout=20)["p"]
    assert (large.verdict, large.reason) == (Verdict.UNKNOWN, "memory")


def test_timeout_of_the_spec_yields_to_the_call(write: Write) -> None:
    spec = write(assertion("p", "n(s).y <= 1", before="@timeout(0.000000001)"))
    assert verify.prove(spec)["p"].verdict is Verdict.UNKNOWN
    assert verify.prove(spec, timeout=20)["p"].verdict is Verdict.PROVED


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("none.nnspec", None, "E390"),
        ("none.vnnlib", None, "E290"),
        ("bytes.nnspec", b"unit m\xff\xfe", "E392"),
        ("bytes.vnnlib", b"(assert \xff)", "E292"),
        ("cut.vnnlib.gz", gzip.compress(b"(declare-const X_0 Real)" * 99)[:40], "E291"),
        ("not.vnnlib.gz", b"plain text", "E291"),
    ],
)
def test_unreadable_files(folder: Path, name: str, data: bytes | None, code: str) -> None:
    if data is not None:
        (folder / name).write_bytes(data)
    networks = {"": folder / "hat.onnx"} if "vnnlib" in name else {}
    with pytest.raises(verify.InputError) as caught:
        verify.read_spec(folder / name, networks=networks)
    assert caught.value.code == code and caught.value.fix and caught.value.place is not None


def test_missing_model_and_folder(folder: Path, write: Write) -> None:
    with pytest.raises(verify.ModelError):
        verify.load(folder / "none.onnx")
    with pytest.raises(verify.ModelError):
        write(assertion("p", "n(s).y <= 1"), networks={"n": folder / "none.onnx"})
    with pytest.raises(verify.SpecError) as caught:
        verify.read_spec(folder)
    assert caught.value.code == "E391"


def test_vnnlib_needs_one_network_and_no_params(folder: Path) -> None:
    file = folder / "p.vnnlib"
    file.write_text(VNNLIB.format(">"))
    for rest, code in (
        ({}, "E004"),
        ({"networks": {"a": folder / "hat.onnx", "b": folder / "hat.onnx"}}, "E004"),
        ({"networks": {"": folder / "hat.onnx"}, "params": {"p": "1"}}, "E005"),
    ):
        with pytest.raises(verify.UsageError) as caught:
            verify.read_spec(file, **rest)  # type: ignore[arg-type]
        assert caught.value.code == code


def test_an_input_without_bound_is_refused(folder: Path) -> None:
    file = folder / "p.vnnlib"
    file.write_text(VNNLIB.format(">").replace("(assert (<= X_0 1.0))", ""))
    try:
        found = verify.prove(verify.read_spec(file, networks={"": folder / "hat.onnx"}), timeout=20)["p"]
    except verify.InputError as problem:
        assert problem.code == "E401"
    else:
        assert found.verdict is Verdict.ERROR and found.error is not None and found.error.code == "E401"
        assert found.exit_code == 3


def test_reading_twice_gives_the_same(write: Write) -> None:
    text = assertion("p", "n(s).y <= 1/2")
    first, second = write(text), write(text)
    assert first.sha256 == second.sha256 and first is not second
    results = [verify.prove(spec, timeout=20, seed=3)["p"] for spec in (first, second)]
    assert results[0].witness == results[1].witness and results[0].verdict is results[1].verdict


def test_callbacks(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.api.PROGRESS_EVERY_S", 0.0, raising=False)
    spec = write(assertion("one", "n(s).y <= 1") + assertion("two", "n(s).y <= 3"))
    shown: list[verify.Progress] = []
    done: list[verify.Result] = []
    report = verify.prove(spec, timeout=20, on_progress=shown.append, on_result=done.append)
    assert [r.name for r in done] == ["one", "two"] and done == list(report)
    assert all(0 <= p.settled <= 1 and p.elapsed_s >= 0 and p.property in ("one", "two") for p in shown)


def test_results_agree_with_z3(write: Write) -> None:
    text = "".join(assertion(f"p{k}", f"n(s).y - s.x / 1[m] <= {k}/3") for k in range(4, 9))
    spec = write(text)
    for prop, result in zip(spec.properties, verify.prove(spec, timeout=20), strict=True):
        assert (result.verdict is Verdict.REFUTED) == plain_z3(prop.query)


def test_public_names_load_lazily() -> None:
    code = (
        "import sys, verify; assert not {'numpy', 'onnx', 'z3', 'lark', 'onnxruntime'} & set(sys.modules); "
        "assert all(getattr(verify, n) is not None for n in verify.__all__)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    with pytest.raises(AttributeError):
        verify.nothing  # noqa: B018
