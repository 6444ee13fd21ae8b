"""`verify check` and `verify ci` from the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.evidence import kernel
from tests.run.conftest import Write
from verify import api, recheck
from verify.cli.main import main
from verify.recheck import Kernel


@pytest.fixture
def evidence(write: Write, tmp_path: Path) -> str:
    (result,) = api.prove_files(write(["n(s).y <= 0.5"]), certificates=tmp_path / "e")
    assert result.certificate is not None
    return result.certificate


def test_accepted(evidence: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", evidence, evidence, "--explain"]) == 0
    out = capsys.readouterr().out
    assert out.count("ACCEPTED") == 2 and "size: " in out and out.endswith("2 files: 2 accepted (exit 0)\n")


def test_worst_exit_code(evidence: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad, missing = tmp_path / "bad.vcert", str(tmp_path / "no.vcert")
    bad.write_bytes(b"VCERT 1\n")
    assert main(["check", evidence, str(bad)]) == 1
    assert main(["check", str(bad), missing, evidence]) == 3
    assert capsys.readouterr().err == ""
    assert main(["check", missing, "--format", "json"]) == 3
    assert json.loads(capsys.readouterr().out)["results"][0]["error"]["code"] == "E501"


def test_options_reach_the_checker(evidence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    real = recheck.Checker.check
    monkeypatch.setattr(recheck.Checker, "check", lambda self, file: (seen.append(self), real(self, file))[1])
    main(["check", evidence, "--spec", "s", "--network", "a=b", "-p", "e=1", "--reference"])
    (checker,) = seen
    assert (checker.spec, checker.networks, checker.params, checker.reference) == ("s", {"a": "b"}, {"e": "1"}, True)


@pytest.mark.parametrize(
    "words", [["check"], ["check", "x", "--refrence"], ["check", "x", "--jobs", "2"], ["ci", "a", "b"]]
)
def test_wrong_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert "error[E01" in capsys.readouterr().err


def test_evidence_files_belong_to_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["a.vcert"]) == 2
    assert "verify check a.vcert" in capsys.readouterr().err


def test_ci(write: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def load_kernel(*, reference: bool) -> Kernel:
        assert not reference
        return kernel

    monkeypatch.setattr(recheck, "load_kernel", load_kernel)
    monkeypatch.chdir(tmp_path)
    assert main(["ci"]) == 3
    assert "E506" in capsys.readouterr().err
    write(["n(s).y <= 0.5"], before="@expect(refuted)")
    Path("verify.toml").write_text('[[spec]]\nfile = "s.nnspec"\n')
    assert main(["ci", "--junit", "j.xml", "--summary", "s.md"]) == 1
    assert "no evidence is stored" in capsys.readouterr().out
    assert "<failure" in Path("j.xml").read_text() and "❌" in Path("s.md").read_text()
    assert main(["ci", "--update"]) == 0
    assert main(["ci", "verify.toml"]) == 0
    assert "stored evidence accepted" in capsys.readouterr().out
    assert main(["ci", "--junit", "no/j.xml"]) == 3
