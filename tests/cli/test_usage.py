"""Wrong calls: exit 2, a fix, the nearest match, no traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from verify import __version__
from verify.cli.main import main

MAIN = "import sys; from verify.cli.main import main; sys.exit(main())"


@pytest.mark.parametrize(
    ("words", "code", "hint"),
    [
        ([], "E011", "run, check, ci, check-spec, fmt, eval, inspect, lower, export, verify, supports, lsp"),
        (["rnu", "a.nnspec"], "E011", "did you mean `verify run`?"),
        (["evaluate"], "E011", "did you mean `verify eval`?"),
        (["a.nnspec"], "E011", "did you mean `verify run a.nnspec`?"),
        (["a.onnx"], "E011", "did you mean `verify inspect a.onnx`?"),
        (["--verison"], "E012", "did you mean --version?"),
        (["run", "a.nnspec", "--tiemout", "3"], "E012", "did you mean --timeout?"),
        (["run", "a.nnspec", "--netwrok=x"], "E012", "did you mean --network?"),
        (["run", "a.nnspec", "--time", "3"], "E012", "did you mean --timeout?"),
        (["eval", "a.nnspec", "--att", "x=3"], "E012", "did you mean --at?"),
        (["inspect", "a.onnx", "--fromat", "json"], "E012", "did you mean --format?"),
        (["run"], "E013", "verify run --help"),
        (["inspect"], "E013", "verify inspect --help"),
        (["run", "a", "b"], "E013", "verify run --help"),
        (["run", "a", "--timeout"], "E013", "verify run --help"),
        (["run", "a", "--timeout", "soon"], "E013", "verify run --help"),
        (["run", "a", "--seed", "1.5"], "E013", "verify run --help"),
        (["run", "a", "--format", "xml"], "E013", "verify run --help"),
        (["run", "a", "--timeout", "0"], "E001", "--timeout 600"),
        (["run", "a", "--timeout", "-1"], "E001", "--timeout 600"),
        (["run", "a", "--timeout", "nan"], "E001", "--timeout 600"),
        (["run", "a", "--memory", "0"], "E001", "--memory 600"),
        (["run", "a", "--memory", "nan"], "E001", "--memory 600"),
        (["run", "a", "--seed", "-1"], "E001", "--seed 1"),
        (["run", "a", "--jobs", "0"], "E001", "--jobs 2"),
        (["run", "a", "--jobs", "two"], "E013", "verify run --help"),
        (["run", "a", "-p", "eps"], "E014", "--param eps=0.01"),
        (["run", "a", "-p", "eps="], "E014", "--param eps=0.01"),
        (["run", "a", "-p", "e=1", "-p", "e=2"], "E014", "give it once"),
        (["run", "a", "--network", "n="], "E014", "NAME=FILE"),
        (["run", "a", "--network", "x", "--network", "y"], "E014", "give it once"),
        (["eval", "a", "--at", "0.3"], "E014", "--at"),
    ],
)
def test_wrong_usage(words: list[str], code: str, hint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith(f"error[{code}]: ") and hint in err and err.count("\n") == 2


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"{__version__}\n"


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["eval", "-h"], ["inspect", "--help"]])
def test_help(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 0
    out, err = capsys.readouterr()
    assert out.startswith("usage: verify") and err == ""


def test_reader_of_stdout_gone() -> None:
    """No traceback, no complaint at exit, and never exit 0."""
    process = subprocess.Popen(
        [sys.executable, "-c", "import sys; sys.stdin.read()\n" + MAIN, "--help"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdin and process.stdout and process.stderr
    process.stdout.close()
    process.stdin.close()
    assert process.wait(timeout=60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_disk_full() -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run([sys.executable, "-c", MAIN, "--help"], stdout=full, stderr=subprocess.PIPE, check=False)
    assert done.returncode == 3
    assert done.stderr.startswith(b"error[E015]: the answer cannot be written")


def test_ascii_terminal() -> None:
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "--help"],
        env={"PYTHONIOENCODING": "ascii"},
        stdout=subprocess.PIPE,
        check=False,
    )
    assert done.returncode == 0 and b"usage: verify COMMAND ?" in done.stdout


def test_light_start() -> None:
    """A wrong call loads none of the heavy libraries."""
    heavy = ["numpy", "onnx", "onnxruntime", "z3", "lark", "rich", "torch", "verify.cli.lsp", "verify.spec.builder"]
    code = f"import sys; from verify.cli.main import main; main(['run', 'a', '--timeout', '0']); \
             sys.exit(any(m in sys.modules for m in {heavy!r}))"
    assert subprocess.run([sys.executable, "-c", code], stderr=subprocess.DEVNULL, check=False).returncode == 0
