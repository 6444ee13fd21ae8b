"""`verify check-spec`: all mistakes of a spec, as text and as JSON."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from verify.cli.main import main

GOOD = """unit m
network n = onnx("missing.onnx") { input x [m] in [0, 1]  output a, b }
param eps [m] in [0, 1] = 1/2
property p { forall s : n.input  assume s.x <= eps  assert n(s).a <= 1 }
"""
BAD = GOOD.replace("s.x <= eps", "s.x <= 1").replace("n(s).a <= 1", "n(s).c <= 1")


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("good.nnspec").write_text(GOOD, encoding="utf-8")
    Path("bad.nnspec").write_text(BAD, encoding="utf-8")
    return tmp_path


@pytest.mark.usefixtures("write")
def test_a_good_spec(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-spec", "good.nnspec"]) == 0
    assert capsys.readouterr().out == "good.nnspec: no mistakes in 1 property; its models were not read\n"


@pytest.mark.usefixtures("write")
def test_all_mistakes_are_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-spec", "bad.nnspec"]) == 3
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("error[") == 2
    assert err.index("error[E317]") < err.index("error[E315]")
    assert err.endswith("\n2 errors\n")


@pytest.mark.usefixtures("write")
def test_document(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-spec", "bad.nnspec", "--format", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert list(document) == [
        "schema", "tool", "spec", "networks", "params", "properties", "errors", "warnings"
    ]  # fmt: skip
    assert document["schema"] == "verify/check-spec/1"
    first, second = document["errors"]
    assert (first["code"], first["line"], first["column"], first["width"]) == ("E317", 4, 48, 1)
    assert (second["code"], second["fix"]) == ("E315", "there are `a` and `b`")
    assert main(["check-spec", "good.nnspec", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["errors"], document["properties"], document["params"]) == ([], ["p"], ["eps"])


@pytest.mark.usefixtures("write")
def test_clashes_name_both_places_in_the_document(capsys: pytest.CaptureFixture[str]) -> None:
    Path("twice.nnspec").write_text("const a = 1\nconst a = 2\n" + GOOD, encoding="utf-8")
    assert main(["check-spec", "twice.nnspec", "--format", "json"]) == 3
    (error,) = json.loads(capsys.readouterr().out)["errors"]
    assert error["line"] == 2
    assert error["related"] == [
        {"file": "twice.nnspec", "line": 1, "column": 7, "width": 1, "label": "first declared here"}
    ]


@pytest.mark.usefixtures("write")
def test_params_are_checked(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-spec", "good.nnspec", "-p", "eps=0.25"]) == 0
    assert main(["check-spec", "good.nnspec", "-p", "eps=3"]) == 3
    assert "E352" in capsys.readouterr().err


@pytest.mark.usefixtures("write")
def test_warnings_do_not_change_the_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    Path("wide.nnspec").write_text(GOOD.replace("in [0, 1]  output", "in [0, 100000]  output"), encoding="utf-8")
    assert main(["check-spec", "wide.nnspec"]) == 0
    assert "warning: wide.nnspec:2:42: input `x` of `n` reaches the raw value 100000" in capsys.readouterr().out


@pytest.mark.usefixtures("write")
def test_a_missing_file_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check-spec", "none.nnspec", "--format", "json"]) == 3
    out, err = capsys.readouterr()
    assert json.loads(out)["error"]["code"] == "E390"
    assert "no such file" in err


def test_nothing_heavy_is_imported(write: Path) -> None:
    """Half a second is the aim; what costs is importing NumPy, ONNX, Z3 or Numba."""
    code = "import sys; from verify.cli.main import main; main(['check-spec', 'good.nnspec']); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=write)
    loaded = set(done.stdout.split())
    assert loaded & {"numpy", "onnx", "onnxruntime", "z3", "numba", "scipy", "rich"} == set()


def test_run_reports_all_mistakes(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(write / "bad.nnspec")]) == 3
    assert capsys.readouterr().err.count("error[") == 2


def test_the_document_of_run_has_all_mistakes(write: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(write / "bad.nnspec"), "--format", "json"]) == 3
    (result,) = json.loads(capsys.readouterr().out)["results"]
    (note,) = result["notes"]
    assert result["error"]["code"].startswith("E3")
    assert note.startswith("also E3") and "bad.nnspec:" in note
