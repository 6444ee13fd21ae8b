"""`verify fmt`: in place, only asked about, or through a pipe."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from verify.cli.main import main

MESSY = "unit m\nproperty p{forall x:[0,1[m]] assert x<=1[m]} # end\n"
NEAT = "unit m\n\nproperty p {\n  forall x : [0, 1[m]]\n  assert x <= 1[m]\n}  # end\n"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "a.nnspec"
    path.write_text(MESSY, encoding="utf-8")
    return path


def test_in_place_once(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.chmod(0o640)
    assert main(["fmt", "a.nnspec"]) == 0
    assert file.read_text(encoding="utf-8") == NEAT
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert capsys.readouterr().out == "changed a.nnspec\n"
    assert main(["fmt", "a.nnspec"]) == 0
    assert capsys.readouterr().out == ""
    assert os.listdir() == ["a.nnspec"]


def test_check_changes_nothing(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["fmt", "--check", "a.nnspec"]) == 1
    assert capsys.readouterr().out == "would change a.nnspec\n"
    assert file.read_text(encoding="utf-8") == MESSY
    file.write_text(NEAT, encoding="utf-8")
    assert main(["fmt", "--check", "a.nnspec"]) == 0


def test_a_pipe(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(MESSY.encode())))
    assert main(["fmt", "-"]) == 0
    assert capsys.readouterr().out == NEAT


def test_one_bad_file_does_not_stop_the_others(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = file.with_name("bad.nnspec")
    bad.write_text("property p {", encoding="utf-8")
    assert main(["fmt", "bad.nnspec", "none.nnspec", "a.nnspec"]) == 3
    out, err = capsys.readouterr()
    assert out == "changed a.nnspec\n"
    assert "error[E302]" in err
    assert "error[E390]" in err
    assert bad.read_text(encoding="utf-8") == "property p {"


def test_a_link_stays_a_link(file: Path) -> None:
    link = file.with_name("link.nnspec")
    link.symlink_to(file)
    assert main(["fmt", "link.nnspec"]) == 0
    assert link.is_symlink()
    assert file.read_text(encoding="utf-8") == NEAT
