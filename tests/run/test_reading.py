"""Reading specs: which mistake is told first, what it costs, and that reading twice works."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest

import verify
from tests.run.conftest import Write


def test_two_specs_in_one_process(write: Write) -> None:
    """`verify.spec.parse` is a function until the submodule of that name has been imported."""
    for name in ("a.nnspec", "b.nnspec"):
        assert [p.name for p in verify.read_spec(write(2, name=name)).properties] == ["p0", "p1"]
    importlib.import_module("verify.importer.load")
    package = importlib.import_module("verify.importer")
    assert package.load is package.__getattr__("load") and package.inspect(write(1).parent / "hat.onnx").relu_count == 2


def test_a_mistake_in_the_spec_is_told_before_a_missing_model(tmp_path: Path, write: Write) -> None:
    file = write(["n(s).z <= 1"])
    (tmp_path / "hat.onnx").unlink()
    with pytest.raises(verify.SpecError):
        verify.read_spec(file)
    file = write(["n(s).y <= 1"])
    with pytest.raises(verify.ModelError) as model:
        verify.read_spec(file)
    assert model.value.code == "E101" and model.value.place is not None
    assert model.value.place.file == str(tmp_path / "hat.onnx")
    with pytest.raises(verify.SpecError, match="no param"):
        verify.read_spec(file, params={"eps": "1"})


def test_a_mistake_in_a_vnnlib_file_too(tmp_path: Path) -> None:
    file = tmp_path / "a.vnnlib"
    file.write_text("(declare-const X_0 Real) (assert (<= X_0")
    with pytest.raises(verify.VnnlibError):
        verify.read_spec(file, networks={"": tmp_path / "none.onnx"})
    file.write_text("(declare-const X_0 Real) (declare-const Y_0 Real) (assert (<= X_0 1))")
    with pytest.raises(verify.ModelError):
        verify.read_spec(file, networks={"": tmp_path / "none.onnx"})


def test_every_model_error_has_a_place(tmp_path: Path, write: Write) -> None:
    file = write(1)
    model = tmp_path / "hat.onnx"
    for data in (b"", b"\x1f\x8bjunk", b"no model", model.read_bytes()[:40]):
        model.write_bytes(data)
        with pytest.raises(verify.ModelError) as caught:
            verify.read_spec(file)
        assert caught.value.place is not None and caught.value.place.file == str(model)


@pytest.mark.parametrize(
    ("code", "heavy"),
    [
        ("import verify.api", ["numpy", "onnx", "onnxruntime", "z3", "lark", "scipy", "llvmlite", "numba"]),
        ("import verify.run.execute, verify.run.worker", ["numpy", "onnx", "lark", "scipy", "multiprocessing"]),
        ("from verify.importer import Model", ["numpy", "onnx"]),
        ("import verify.api as a\ntry: a.read_spec('BAD')\nexcept Exception: pass", ["numpy", "onnx"]),
    ],
)
def test_what_is_not_imported(tmp_path: Path, code: str, heavy: list[str]) -> None:
    bad = tmp_path / "bad.nnspec"
    bad.write_text("network n = onnx('x.onnx') {}")
    script = f"{code.replace('BAD', str(bad))}\nimport sys; print([m for m in {heavy!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
