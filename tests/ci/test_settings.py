from __future__ import annotations

from pathlib import Path

import pytest

from verify.ci.settings import Target, read_settings
from verify.errors import EvidenceError


def settings(tmp_path: Path, text: str) -> tuple[Target, ...]:
    (tmp_path / "verify.toml").write_text(text)
    return read_settings(str(tmp_path / "verify.toml"))


def test_defaults(tmp_path: Path) -> None:
    (target,) = settings(tmp_path, '[[spec]]\nfile = "a/b.nnspec"')
    assert target == Target(str(tmp_path / "a/b.nnspec"), str(tmp_path / "proofs/b"), {}, {})


def test_everything(tmp_path: Path) -> None:
    first, second = settings(
        tmp_path,
        """
        proofs = "kept"
        timeout = 2.5
        jobs = 2
        [[spec]]
        file = "a.nnspec"
        networks = { pi = "m/pi.onnx" }
        params = { eps = 0.1, n = 3, v = "5 m" }
        properties = ["p", "q"]
        proofs = "elsewhere"
        memory = 100
        [[spec]]
        file = "b.vnnlib.gz"
        network = "b.onnx"
        timeout = 9
        """,
    )
    assert first.networks == {"pi": str(tmp_path / "m/pi.onnx")} and first.proofs == str(tmp_path / "elsewhere")
    assert first.params == {"eps": "0.1", "n": "3", "v": "5 m"} and first.properties == ("p", "q")
    assert (first.timeout, first.memory, first.jobs) == (2.5, 100.0, 2)
    assert second.networks == {"": str(tmp_path / "b.onnx")} and second.proofs == str(tmp_path / "kept/b")
    assert (second.timeout, second.memory, second.jobs) == (9.0, None, 2)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no spec"),
        ("spec = 1", "names no spec"),
        ("spec = [1]", "names no spec"),
        ("[[spec]]", "file is missing"),
        ('[[spec]]\nfile = ""', "file is missing"),
        ('[[spec]]\nfile = "a"\nfiles = "b"', "no setting 'files'"),
        ('limits = 3\n[[spec]]\nfile = "a"', "no setting 'limits'"),
        ('timeout = 0\n[[spec]]\nfile = "a"', "timeout is not"),
        ('timeout = true\n[[spec]]\nfile = "a"', "timeout is not"),
        ('timeout = nan\n[[spec]]\nfile = "a"', "timeout is not"),
        ('[[spec]]\nfile = "a"\nmemory = "big"', "memory is not"),
        ('[[spec]]\nfile = "a"\njobs = 0', "jobs is not"),
        ('[[spec]]\nfile = "a"\nparams = { eps = true }', "neither text nor number"),
        ('[[spec]]\nfile = "a"\nnetworks = "m.onnx"', "not a table"),
        ('[[spec]]\nfile = "a"\nproperties = []', "list of names"),
        ('[[spec]]\nfile = "a"\nproperties = "p"', "list of names"),
        ('[[spec]]\nfile = "x/a.nnspec"\n[[spec]]\nfile = "y/a.nnspec"', "two specs"),
        ("[[spec]", "cannot be read"),
        ("a = " + "[" * 5000, "cannot be read"),
    ],
)
def test_refused(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(EvidenceError) as error:
        settings(tmp_path, text)
    assert error.value.code == "E506" and words in error.value.message


def test_no_settings(tmp_path: Path) -> None:
    with pytest.raises(EvidenceError) as error:
        read_settings(str(tmp_path / "verify.toml"))
    assert error.value.code == "E506"


def test_this_repository_keeps_every_example_spec() -> None:
    home = Path(__file__).parents[2]
    kept = {Path(target.spec) for target in read_settings(str(home / "verify.toml"))}
    assert kept == set((home / "specs").glob("*/*.nnspec"))


def test_the_documented_settings_are_read(tmp_path: Path) -> None:
    text = (Path(__file__).parents[2] / "docs" / "ci.md").read_text("utf-8")
    robust = settings(tmp_path, text.split("```toml\n")[1].split("```")[0])[1]
    assert robust.params == {"eps": "0.01"} and robust.timeout == 600 and robust.properties == ("stays_upright",)
