"""The one-file checker, isolated: python -I -S, a stub in place of the kernel."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from tests.importer.models import build, node
from verify.importer import load
from verify.independent.bundle import BundleError, bundle, collect
from verify.independent.bundle import main as bundle_main
from verify.spec import vnnlib

STUB = '''
"""Accepts a certificate that is the query's digest."""
import sys
from verify.independent.command import Case, NotAcceptedError, run

def check(certificate: bytes, case: Case) -> str:
    if certificate.decode() != case.query.digest:
        raise NotAcceptedError("another query")
    outside = [m for m in sys.modules if m.partition(".")[0] in ("numpy", "onnx", "google", "lark", "scipy")]
    inside = sorted(m for m in sys.modules if m.startswith("verify."))
    return f"{case.query.network.digest} {case.model_sha256[:8]} outside={outside} inside={inside}"

def main(arguments):
    return run(arguments, check)
'''
SPEC = (
    "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(assert (<= X_0 0.1))(assert (>= Y_0 3))"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vcheck.py, a model, a spec (gzip) and the stub's certificate."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "vcheck.py").write_text(bundle("stub:main", extra={"stub": STUB}), encoding="utf-8")
    stored = {"W": [[1.0], [-2.0]], "m": [0.5, 0.25]}
    model = build(
        [node("Sub", "x m", "a"), node("MatMul", "a W", "b"), node("Relu", "b", "y")], {"x": (1, 2)}, ["y"], stored
    )
    (folder / "m.onnx").write_bytes(model.SerializeToString())
    (folder / "p.vnnlib.gz").write_bytes(gzip.compress(SPEC.encode()))
    query = vnnlib.read(SPEC, "p.vnnlib", load(folder / "m.onnx").network).query
    (folder / "p.cert").write_text(query.digest)
    return folder


def vcheck(folder: Path, *arguments: str, flags: tuple[str, ...] = ("-I", "-S")) -> tuple[int, str, str]:
    command = [sys.executable, *flags, "vcheck.py", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


def test_accepts_in_isolation(folder: Path) -> None:
    code, out, err = vcheck(folder, "p.cert", "m.onnx", "p.vnnlib.gz")
    assert (code, err) == (0, "")
    assert out.startswith(f"accepted: {load(folder / 'm.onnx').network.digest} ")
    assert "outside=[]" in out
    for absent in ("verify.importer", "verify.spec", "verify.core.floats", "verify.search"):
        assert absent not in out


def test_rejects_another_query(folder: Path) -> None:
    (folder / "other.vnnlib").write_text(SPEC.replace("0.1", "0.2"))
    assert vcheck(folder, "p.cert", "m.onnx", "other.vnnlib") == (1, "rejected: another query\n", "")


def test_bad_files_are_not_read(folder: Path) -> None:
    packed = (folder / "p.vnnlib.gz").read_bytes()
    (folder / "cut.gz").write_bytes(packed[:-9])
    (folder / "two.gz").write_bytes(packed + packed)
    (folder / "flipped.gz").write_bytes(packed[:20] + b"\xff\xff" + packed[22:])
    (folder / "bomb.gz").write_bytes(gzip.compress(bytes(1 << 27)))
    (folder / "latin.vnnlib").write_bytes(b";\xe9\n" + SPEC.encode())
    for spec, reason in {
        "cut.gz": "damaged gzip", "two.gz": "several in one", "flipped.gz": "damaged gzip", "bomb.gz": "more than",
        "latin.vnnlib": "no UTF-8", "missing": "No such file", ".": "directory", "m.onnx": "",
    }.items():  # fmt: skip
        code, out, err = vcheck(folder, "p.cert", "m.onnx", spec)
        assert (code, err) == (3, "")
        assert out.startswith("not read: ") and reason in out
    code, out, err = vcheck(folder, "p.cert", "p.cert", "p.vnnlib.gz")
    assert (code, out[:10], err) == (3, "not read: ", "")


def test_wrong_calls(folder: Path) -> None:
    assert vcheck(folder, "p.cert")[:2] == (2, "usage: CERTIFICATE MODEL SPEC\n")
    code, out, err = vcheck(folder, "p.cert", "m.onnx", "p.vnnlib.gz", flags=("-I",))
    assert (code, out) == (1, "") and "python -I -S vcheck.py" in err


def test_modules_outside_the_file_cannot_be_imported(tmp_path: Path) -> None:
    stub = "def main(arguments):\n    __import__('verify.core.network')\n    __import__('verify.search')\n"
    (tmp_path / "vcheck.py").write_text(bundle("stub:main", extra={"stub": "import verify.core.network\n" + stub}))
    code, _, err = vcheck(tmp_path)
    assert code == 1 and "verify.search is not part of this file" in err


def test_only_what_is_needed_and_standard() -> None:
    assert set(collect(["verify.core.network"], {})) == {"verify.core.network", "verify.core.exact"}
    typed = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import numpy\n"
    assert set(collect(["stub"], {"stub": typed})) == {"stub"}
    for source in ("import numpy", "def f():\n    from onnx import helper", "import verify.core.floats"):
        with pytest.raises(BundleError, match="not of the standard library"):
            collect(["stub"], {"stub": source})
    with pytest.raises(BundleError, match="relative"):
        collect(["stub"], {"stub": "from . import core"})


def test_the_sources_are_the_modules_unchanged() -> None:
    names: dict[str, object] = {"__name__": "bundle"}
    exec(bundle("stub:main", extra={"stub": STUB}), names)
    sources = names["SOURCES"]
    assert isinstance(sources, dict)
    home = Path(__file__).parents[2]
    for name in ("verify.core.exact", "verify.independent.wire", "verify.independent.vnnlib_reader"):
        assert sources[name] == home.joinpath(*name.split(".")).with_suffix(".py").read_text(encoding="utf-8")
    assert sources["verify"] == sources["verify.core"] == ""


def test_command_needs_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert bundle_main([]) == 2
    assert "usage" in capsys.readouterr().err
