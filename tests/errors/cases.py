"""The golden cases of every error code, one readable file per code: EXXX.txt.

    What the code means and what to do about it, in a sentence or two; docs/errors.md prints it.

    === name of the case
    the wrong spec (E3), VNN-LIB file (E2) or model in ONNX's text format (E1)
    ---
    what is said about it, word for word

A case may instead start with `$ verify …`, followed by files: `+++ NAME` and their text.  There, a .onnx file is given
in ONNX's text format (`@model` is a small one) or as Python bytes, `b"…"`.  Or it is Python, `>>> ` on every line.
`@header` stands for HEADER, `{{…}}` for the value of a Python expression.

`python -m tests.errors` writes what follows `---` anew and moves every case to the file of its code, so that a new case
needs no expected text and may start in any file of its family (E1, E2, E3).
"""

from __future__ import annotations

import contextlib
import io
import os
import re
from ast import literal_eval
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from verify.core.network import Network, Port
from verify.errors import VerifyError, combine

FOLDER = Path(__file__).parent
VNNLIB = sorted((FOLDER.parent / "spec_vnnlib").glob("errors*.txt"))  # they have tests of their own
HEADER = """unit m  unit s
const two = 2
network n = onnx("n.onnx") {
  input x [m] in [0, 1]   input v [m/s] in [-1, 1]   input px[2,3] in [0, 1]
  output a, b, c          output d [m]
}
"""
VNNLIB_HEADER = "".join(f"(declare-const {v} Real)\n" for v in ("X_0", "X_1", "Y_0", "Y_1"))
VNNLIB_NETWORK = Network((Port("x", (1, 2), 0),), (Port("x", (1, 2), 0),), ())
MODEL = """<ir_version: 8, opset_import: ["" : 17]>
g (float[1,2] x) => (float[1,2] y) { y = Relu(x) }
"""


@dataclass(frozen=True)
class Case:
    """One wrong input and what is said about it."""

    name: str
    source: str
    expected: str
    kind: str  # the first two characters of its code; "E3" also where the file is named otherwise

    @property
    def code(self) -> str:
        return code_of(self.expected)


def code_of(message: str) -> str:
    match = re.search(r"error\[(E\d{3})\]", message)
    return match[1] if match else ""


def read(path: Path) -> tuple[str, list[Case]]:
    """The prose and the cases of one file."""
    prose, *parts = re.split(r"^=== (.*)\n", path.read_text(encoding="utf-8"), flags=re.M)
    kind = path.stem[:2] if re.fullmatch(r"E\d{3}", path.stem) else "E3"
    cases = []
    for name, body in zip(parts[::2], parts[1::2], strict=True):
        source, _, expected = body.partition("\n---\n")
        cases.append(Case(name, source.rstrip("\n"), expected.rstrip("\n"), kind))
    return prose.strip(), cases


def files() -> list[Path]:
    return sorted(FOLDER.glob("*.txt"))


def all_cases() -> list[Case]:
    return [case for path in files() for case in read(path)[1]]


def vnnlib_codes() -> list[str]:
    """The codes of the VNN-LIB reader's own golden cases."""
    texts = (path.read_text(encoding="utf-8") for path in VNNLIB)
    return [code for text in texts for code in re.findall(r"^error\[(E\d{3})\]", text, flags=re.M)]


# --- running ------------------------------------------------------------------------------------------------


def expanded(source: str, header: str = HEADER) -> str:
    text = re.sub(r"\{\{(.*?)\}\}", lambda m: str(eval(m.group(1))), source)
    return (text + "\n").replace("@header\n", header)


def render(case: Case, folder: Path) -> str:
    """What the program says about the case; `folder` is empty and becomes the current directory."""
    if case.source.startswith("$ "):
        with _inside(folder):
            return _command(case.source)
    if case.source.startswith(">>> "):
        with _inside(folder):
            return str(_raised(case.source))
    error = {"E1": _model, "E2": _vnnlib, "E3": _spec}[case.kind](case.source, folder)
    assert error is not None, f"no error: {case.name}"
    return "\n\n".join(map(str, (error, *error.more)))


@contextlib.contextmanager
def _inside(folder: Path) -> Iterator[None]:
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


def _spec(source: str, folder: Path) -> VerifyError | None:
    from verify.spec.diagnose import diagnose

    del folder
    errors = diagnose(expanded(source), "case.nnspec", {}).errors
    return combine(errors) if errors else None


def _vnnlib(source: str, folder: Path) -> VerifyError | None:
    from verify.spec.vnnlib import read as read_vnnlib

    del folder
    try:
        read_vnnlib(expanded(source, VNNLIB_HEADER), "case.vnnlib", VNNLIB_NETWORK)
    except VerifyError as error:
        return error
    return None


def _model(source: str, folder: Path) -> VerifyError | None:
    from verify.importer import load

    with _inside(folder):
        _write(Path("model.onnx"), source)
        try:
            load("model.onnx")
        except VerifyError as error:
            return error
    return None


def _command(source: str) -> str:
    from verify.cli.main import main

    words, *parts = re.split(r"^\+\+\+ (.*)\n", source + "\n", flags=re.M)
    for name, text in zip(parts[::2], parts[1::2], strict=True):
        _write(Path(name), text)
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        main(words.removeprefix("$ verify").split())
    return (err.getvalue() or out.getvalue()).rstrip("\n")


def _raised(source: str) -> VerifyError:
    try:
        exec(source.replace(">>> ", ""), {"write": _write})
    except VerifyError as error:
        return error
    raise AssertionError("no error")


def _write(path: Path | str, text: str) -> None:
    path = Path(path)
    if path.name == "link":
        path.symlink_to(text.strip())
    elif text.startswith(('b"', "b'")):
        path.write_bytes(literal_eval(text.strip()))
    elif text.startswith("folder"):
        path.mkdir()
    elif path.suffix == ".onnx":
        from onnx import parser

        path.write_bytes(parser.parse_model(expanded(text.replace("@model\n", MODEL))).SerializeToString())
    else:
        header = VNNLIB_HEADER if path.suffix == ".vnnlib" else HEADER
        path.write_text(expanded(text, header).rstrip("\n") + "\n", encoding="utf-8")


__all__ = ["Case", "all_cases", "code_of", "files", "read", "render", "vnnlib_codes"]
