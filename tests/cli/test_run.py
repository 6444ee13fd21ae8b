"""`verify run` over a faked API: formats, exit codes, errors and interruptions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.report.examples import report, result, results, spec_error
from tests.report.test_document import check_document
from verify import api
from verify.cli.main import main
from verify.core.report import Report, Result
from verify.core.verdict import Verdict
from verify.errors import DefectError, UsageError
from verify.run.reading import Outline

HEADER = api.Header(
    "a.nnspec", "ef" * 32, {}, {"eps": "1/10"}, tuple(Outline(name, title="t") for name in ("one", "two", "three"))
)


def proving(monkeypatch: pytest.MonkeyPatch, *chosen: Result) -> dict[str, Any]:
    """Fakes prove_files; what it was called with."""
    seen: dict[str, Any] = {}

    def prove_files(path: str, *, on_spec: Any, on_result: Callable[[Result], None], **rest: Any) -> Report:
        seen.update(path=path, **rest)
        on_spec(HEADER)
        for one in chosen:
            on_result(one)
        return report(*chosen)

    monkeypatch.setattr(api, "prove_files", prove_files)
    return seen


def raising(monkeypatch: pytest.MonkeyPatch, problem: BaseException) -> None:
    """Fakes prove_files: reading ends like this."""

    def prove_files(*_: Any, **__: Any) -> Report:
        raise problem

    monkeypatch.setattr(api, "prove_files", prove_files)


def test_options_reach_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = proving(monkeypatch, results()["proved_bounds"])
    words = "run a.nnspec --network pi=x.onnx --network y=z.onnx -p eps=1/2 --param d=3 -k one --property two"
    more = [
        "--timeout",
        "2.5",
        "--memory=100",
        "--seed",
        "7",
        "--jobs",
        "3",
        "--certificate",
        "d",
        "--semantics",
        "float32",
    ]
    assert main([*words.split(), *more]) == 0
    del seen["on_progress"], seen["first"]
    assert seen == {
        "path": "a.nnspec",
        "networks": {"pi": "x.onnx", "y": "z.onnx"},
        "params": {"eps": "1/2", "d": "3"},
        "properties": ("one", "two"),
        "timeout": 2.5,
        "memory": 100.0,
        "seed": 7,
        "jobs": 3,
        "certificates": "d",
        "semantics": "float32",
    }


def test_defaults(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = proving(monkeypatch, results()["proved_bounds"])
    main(["run", "a.nnspec", "--network", "x.onnx"])
    assert seen["networks"] == {"": "x.onnx"}
    assert (seen["properties"], seen["timeout"], seen["memory"], seen["seed"], seen["jobs"]) == (None, None, None, 0, 1)
    assert seen["semantics"] == "real"


@pytest.mark.parametrize("name", list(results()))
@pytest.mark.parametrize("format_", ["text", "json"])
def test_exit_code_of_each_verdict(
    name: str, format_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    one = results()[name]
    proving(monkeypatch, one)
    assert main(["run", "a.nnspec", "--format", format_]) == one.exit_code
    out, err = capsys.readouterr()
    if format_ == "json":
        check_document(json.loads(out))
        assert ("error[" in err) == (one.verdict is Verdict.ERROR)
    else:
        assert out.startswith(str(one.verdict)) and f"(exit {one.exit_code})" in out and err == ""


@pytest.mark.parametrize("format_", ["text", "json"])
def test_unreadable_spec(format_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "missing.vnnlib.gz"
    assert main(["run", str(file), "--network", "x.onnx", "--format", format_]) == 3
    out, err = capsys.readouterr()
    assert "error[E" in err and "Traceback" not in err
    if format_ == "text":
        assert out == ""
        return
    document = json.loads(out)
    check_document(document)
    (one,) = document["results"]
    assert (one["property"], one["verdict"], one["error"]["file"]) == ("missing", "ERROR", str(file))


def test_error_while_reading_keeps_place_and_fix(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    raising(monkeypatch, spec_error())
    file = tmp_path / "cartpole.nnspec"
    file.write_bytes(b"abc")
    assert main(["run", str(file), "-p", "eps=1", "--format", "json"]) == 3
    out, err = capsys.readouterr()
    assert err == str(spec_error()) + "\n"
    document = json.loads(out)
    check_document(document)
    assert document["params"] == {"eps": "1"}
    assert document["spec"]["sha256"] == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert document["results"][0]["error"] == {
        "code": "E311",
        "file": "cartpole.nnspec",
        "line": 18,
        "column": 10,
        "message": "no output is named `lefft`",
        "fix": "did you mean `left`?",
    }


def test_usage_error_of_the_api(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, UsageError("E003", "the spec declares no network 'x'"))
    assert main(["run", "a.nnspec", "--format", "json"]) == 2
    assert capsys.readouterr() == ("", "error[E003]: the spec declares no network 'x'\n")


def interrupting(_path: str, *, on_spec: Any, on_result: Any, **_: Any) -> Report:
    """As prove_files does it: results for what is finished and for what was at work, then the exception."""
    on_spec(HEADER)
    on_result(result("one", Verdict.PROVED))
    on_result(result("two", Verdict.UNKNOWN, reason="interrupted", settled=0.25))
    raise KeyboardInterrupt


def test_interrupted_text(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(api, "prove_files", interrupting)
    assert main(["run", "a.nnspec"]) == 130
    out = capsys.readouterr().out
    assert out.startswith("PROVED    one") and "\nUNKNOWN   two" in out
    assert "interrupted after 0.0 s; 25.0 % of the input domain is settled" in out
    assert out.endswith("interrupted: 1 of 3 properties settled (exit 130)\n")


def test_interrupted_json(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(api, "prove_files", interrupting)
    assert main(["run", "a.nnspec", "--format", "json"]) == 130
    document = json.loads(capsys.readouterr().out)
    check_document(document)
    rows = [(r["property"], r["verdict"], r["reason"], r["settled"]) for r in document["results"]]
    assert rows == [("one", "PROVED", None, 1.0), ("two", "UNKNOWN", "interrupted", 0.25)]


def test_interrupted_while_reading(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, KeyboardInterrupt())
    assert main(["run", "a.nnspec"]) == 130
    assert capsys.readouterr() == ("", "interrupted\n")
    assert main(["run", "a.nnspec", "--format", "json"]) == 130
    document = json.loads(capsys.readouterr().out)
    check_document(document)
    assert document["results"] == []


@pytest.mark.parametrize("debug", ["", "1"])
def test_defect(debug: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, ZeroDivisionError("oh"))
    monkeypatch.setenv("VERIFY_DEBUG", debug)
    assert main(["run", "a.nnspec"]) == 70
    out, err = capsys.readouterr()
    assert out == "" and "ZeroDivisionError: oh" in err and "defect of verify" in err and "report" in err
    assert ("Traceback" in err) == bool(debug)


def test_defect_in_a_worker(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    raising(monkeypatch, DefectError("E901", "an internal error while reading: KeyError: 1"))
    assert main(["run", "a.nnspec"]) == 70
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("verify: an internal error while reading: KeyError: 1\n") and "report" in err


def test_crash_on_one_property(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    error = DefectError("E901", "the process that decided it ended with signal 11 (SIGSEGV)")
    proving(monkeypatch, results()["proved_bounds"], result("two", Verdict.ERROR, error=error))
    assert main(["run", "a.nnspec", "--format", "json"]) == 70
    document = json.loads(capsys.readouterr().out)
    check_document(document)
    assert [r["verdict"] for r in document["results"]] == ["PROVED", "ERROR"]
    assert document["results"][1]["error"]["code"] == "E901"
