"""`verify verify` and `verify supports`: the VNN-LIB standard's interface of a solver."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import numpy_helper

from tests.importer.models import build, node, save, tensor
from verify import api
from verify.cli.main import main
from verify.cli.supports import CAPABILITIES
from verify.core.report import Report, Result
from verify.core.verdict import Verdict

TEXT = """(vnnlib-version <2.0>)
(declare-network N
  (declare-input X float32 [1,2])
  (declare-hidden H real [1,2] "h")
  (declare-output Y float32 [1,2])
)
(assert (and (<= 0.5 X[0,0]) (<= X[0,0] 0.5)))
(assert (and (<= -1 X[0,1]) (<= X[0,1] 1)))
(assert (>= Y[0,1] BOUND))
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str, str]:
    """A query that is satisfied, one that is not, and their model, y = relu(2 x)."""
    nodes = [node("Mul", "x k", "h"), node("Relu", "h", "y")]
    model = build(nodes, {"x": [1, 2]}, {"y": None}, {"k": tensor("k", [2.0])}, opset=18)
    for name, bound in (("sat.vnnlib", "2.0"), ("unsat.txt", "2.5")):
        (tmp_path / name).write_text(TEXT.replace("BOUND", bound), encoding="utf-8")
    return str(tmp_path / "sat.vnnlib"), str(tmp_path / "unsat.txt"), str(save(model, tmp_path))


ASSIGNMENT = "X float32 [1,2]\n0.5\n1\nH real [1,2]\n1\n2\nY float32 [1,2]\n1\n2\n"


def test_verdicts_and_the_assignment(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    sat, unsat, model = files
    for call in (["verify", sat], [sat]):
        assert main([*call, "--network", f"N={model}", "--timeout", "60.0"]) == 0
        out, err = capsys.readouterr()
        assert out == f"sat\n{ASSIGNMENT}"
        assert err == "note: float32: decided over the real numbers; witnesses are replayed\n"
    for call in (["verify", unsat], [unsat]):
        assert main([*call, "--network", model]) == 0
        assert capsys.readouterr().out == "unsat\n"


def test_assignments_go_where_they_are_wanted(
    files: tuple[str, str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call = [files[0], "--network", f"N={files[2]}"]
    assert main([*call, "--assignments", str(tmp_path / "a.txt")]) == 0
    assert capsys.readouterr().out == "sat\n"
    assert (tmp_path / "a.txt").read_text(encoding="utf-8") == ASSIGNMENT
    folder = tmp_path / "new" / "folder"
    assert main([*call, "--serialise-assignments", str(folder)]) == 0
    assert capsys.readouterr().out == "sat\n"
    found = {}
    for file in folder.iterdir():
        proto = onnx.TensorProto()
        proto.ParseFromString(file.read_bytes())
        array = numpy_helper.to_array(proto)
        found[file.name] = (str(array.dtype), array.shape, array.ravel().tolist())
    assert found == {
        "X.pb": ("float32", (1, 2), [0.5, 1.0]),
        "H.pb": ("float64", (1, 2), [1.0, 2.0]),
        "Y.pb": ("float32", (1, 2), [1.0, 2.0]),
    }
    assert main([*call, "--assignments", str(tmp_path)]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[E015]: the assignment cannot be written" in err


def test_version_1_assignments(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(build([node("Neg", "x", "y")], {"x": [1]}, {"y": None}, opset=18), tmp_path)
    file = tmp_path / "v1.vnnlib"
    file.write_text("(declare-const X_0 Real)(declare-const Y_0 Real)(assert (= X_0 0.1))(assert (<= Y_0 0))")
    assert main([str(file), "--network", str(model)]) == 0
    assert capsys.readouterr().out == "sat\nX_0 Real []\n0.1\nY_0 Real []\n-0.1\n"


def test_equal_inputs_and_choices_are_assigned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    nodes = [node("Greater", "x c", "b"), node("Where", "b x c", "y")]
    model = save(build(nodes, {"x": [1]}, {"y": None}, {"c": tensor("c", [0.5])}, opset=18), tmp_path)
    file = tmp_path / "q.vnnlib"
    file.write_text(
        "(vnnlib-version <2.0>)(declare-network N (declare-input X real [1]) (declare-output Y real [1]))"
        "(declare-network M (equal-to N) (declare-input A real [1]) (declare-output B real [1]))"
        "(assert (== X[0] A[0]))(assert (<= 0.75 A[0] 0.75))(assert (>= Y[0] B[0]))"
    )
    assert main([str(file), "--network", f"N={model}"]) == 0
    assert capsys.readouterr().out == "sat\n" + "".join(f"{name} real [1]\n0.75\n" for name in "XYAB")


@pytest.mark.parametrize(
    ("words", "code", "problem"),
    [
        (["--strict-types"], 3, "error[E220]: X is float32"),
        (["--network", "M=x.onnx"], 2, "error[E003]"),
        (["--verdict-style", "loud"], 2, "error[E013]"),
        (["--timeout", "0"], 2, "error[E001]"),
        (["--serialise"], 2, "error[E012]"),
    ],
)
def test_no_verdict_without_one(
    words: list[str], code: int, problem: str, files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", files[0], "--network", f"N={files[2]}", *words]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err


def test_an_input_without_bounds_is_no_verdict(files: tuple[str, str, str], capsys: pytest.CaptureFixture[str]) -> None:
    file = Path(files[0])
    file.write_text(TEXT.replace("BOUND", "0").replace("X float32", "X real").replace("(<= X[0,1] 1)", "(<= 0 1)"))
    assert main([str(file), "--network", files[2]]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert "error[E401]: input 'X[0,1]' has no upper bound" in err


@pytest.mark.parametrize(
    ("style", "reason", "word"),
    [
        ("vnnlib", "timeout", "timed-out"),
        ("vnnlib", "memory", "unknown"),
        ("vehicle", "timeout", "timeout"),
        ("vehicle", "memory", "timeout"),
    ],
)
def test_undecided(
    style: str, reason: str, word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: dict[str, Any] = {}

    def prove_files(path: str, **rest: Any) -> Report:
        seen.update(path=path, **rest)
        return Report(path, "", {}, {}, (Result("q", Verdict.UNKNOWN, 1.0, reason=reason),))

    monkeypatch.setattr(api, "prove_files", prove_files)
    call = ["verify", "q", "--network", "N=m.onnx", "--timeout", "1000", "--seed", "3", "--verdict-style", style]
    assert main(call) == 0
    assert capsys.readouterr().out == f"{word}\n"
    assert (seen["standard"], seen["strict_types"], seen["seed"]) == (True, False, 3)
    assert 0 < seen["timeout"] <= 950  # the answer is due before the caller's time is up


def test_the_last_moment_answers(files: tuple[str, str, str]) -> None:
    """Work that overruns is not waited for."""
    code = (
        "import sys, time; from verify import api; from verify.cli.main import main\n"
        "api.prove_files = lambda *_, **__: time.sleep(600)\n"
        f"sys.exit(main([{files[0]!r}, '--network', 'N=m', '--timeout', '1']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "timed-out\n", "")


def test_supports(capsys: pytest.CaptureFixture[str]) -> None:
    answers = {}
    for name in CAPABILITIES:
        assert main(["supports", f"--{name}"]) == 0
        answers[name] = capsys.readouterr().out.splitlines()
    operators = answers["onnx-operators"]
    assert operators == sorted(set(operators))
    assert {"Gemm", "Relu", "Where", "Equal", "Cast", "Constant"} < set(operators)
    assert not {"Mul", "Div", "Softmax", "Sigmoid", "Pow"} & set(operators)
    assert all(re.fullmatch(r"\w+", o) for o in operators)
    assert answers["onnx-element-types"] == ["real"]
    low, high = map(int, answers["onnx-opset-versions"])
    assert 1 < low < high
    assert answers["vnnlib-versions"] == ["1.0", "2.1"]
    assert answers["multiple-network-theories"] == ["SNET", "MENET", "MINET", "MNET"]


@pytest.mark.parametrize(
    ("words", "code"), [([], "E019"), (["--hidden-nodes", "--unsat-proofs"], "E019"), (["--onnx-oprators"], "E012")]
)
def test_supports_what(words: list[str], code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["supports", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith(f"error[{code}]") and "--onnx-operators" in err


def test_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--name"]) == 0
    assert capsys.readouterr().out == "policyproof\n"


def test_a_call_from_an_old_process_is_not_ended_at_once(
    files: tuple[str, str, str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The age of the process counts as start-up only where it can be that; it once ended whole test runs, with 0."""
    from verify.core import child

    monkeypatch.setattr(child, "age_s", lambda: 100.0)
    assert main([files[0], "--network", f"N={files[2]}", "--timeout", "60"]) == 0
    assert capsys.readouterr().out.startswith("sat")
