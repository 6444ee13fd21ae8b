"""`verify run` as a real process: interruptions, limits, a killed parent, exit codes; nothing is left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.report.test_document import check_document
from tests.run import misdeeds
from tests.run.conftest import Write
from tests.run.misdeeds import alive, children, eventually, linux

Process = subprocess.Popen[str]


def program(*deeds: str) -> list[str]:
    """`verify` whose workers decide like this."""
    patch = f"from verify.run import process; process.MAIN = {misdeeds.entry(*deeds)!r}; " if deeds else ""
    return [sys.executable, "-c", f"import sys; {patch}from verify.cli.main import main; sys.exit(main())"]


@contextmanager
def running(command: list[str], *words: object, **rest: object) -> Iterator[Process]:
    process: Process = subprocess.Popen(
        [*command, "run", *map(str, words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **rest,  # type: ignore[call-overload]
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def worker_of(process: Process, count: int = 1) -> list[int]:
    assert eventually(lambda: len(children(process.pid)) >= count)
    return children(process.pid)


def first_line(process: Process) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def test_python_m_verify(write: Write) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "verify", "run", str(write(["n(s).y <= 1"]))],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0 and done.stdout.startswith("PROVED    p0") and done.stderr == ""


@pytest.fixture
def hanging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Is there as soon as a worker hangs."""
    monkeypatch.setenv("TEST_HANGING", str(tmp_path / "hanging"))
    return tmp_path / "hanging"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("jobs", [1, 2])
def test_interrupted_text(write: Write, number: signal.Signals, jobs: int, hanging: Path) -> None:
    with running(program("proved", "hang", "proved"), write(3), "--jobs", jobs, "--timeout", 30) as process:
        out = first_line(process)
        workers = worker_of(process, jobs)
        assert eventually(hanging.exists)
        time.sleep(1)  # until what the workers said has been read
        process.send_signal(number)
        rest, err = process.communicate(timeout=30)
        assert process.returncode == 130 and err == ""
        assert out.startswith("PROVED    p0") and "UNKNOWN   p1" in rest
        assert "interrupted after" in rest and "25.0 % of the input domain is settled" in rest
        assert rest.endswith(f"interrupted: {jobs} of 3 properties settled (exit 130)\n")
        assert not any(map(alive, workers))


def test_interrupted_json(write: Write, hanging: Path) -> None:
    with running(program("proved", "hang"), write(2), "--format", "json", "--timeout", 30) as process:
        assert eventually(hanging.exists)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)  # impatience: still one whole document
        out, err = process.communicate(timeout=30)
    document = json.loads(out)
    check_document(document)
    assert process.returncode == 130 and err == ""
    rows = [(r["property"], r["verdict"], r["reason"]) for r in document["results"]]
    assert rows == [("p0", "PROVED", None), ("p1", "UNKNOWN", "interrupted")]


@pytest.mark.parametrize("which", ["s.nnspec", "hat.onnx"])
@pytest.mark.parametrize("format_", ["text", "json"])
def test_interrupted_while_reading(tmp_path: Path, write: Write, which: str, format_: str) -> None:
    file = write(2)
    (tmp_path / which).unlink()
    os.mkfifo(tmp_path / which)
    with running(program(), file, "--format", format_) as process:
        workers = worker_of(process)
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and not any(map(alive, workers))
    if format_ == "text":
        assert (out, err) == ("", "interrupted\n")
    else:
        document = json.loads(out)
        check_document(document)
        assert document["results"] == [] and err == ""


def test_group_interrupt_as_at_a_terminal(write: Write) -> None:
    """Ctrl-C reaches the workers too: they leave it to their parent, without a traceback."""
    with running(program("hang"), write(1), "--timeout", 30, start_new_session=True) as process:
        worker_of(process)
        time.sleep(0.6)
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert process.returncode == 130 and err in ("", "interrupted\n")  # the latter when it was still reading
    assert out.startswith("UNKNOWN   p0") or err


@pytest.mark.skipif(not linux, reason="needs PR_SET_PDEATHSIG")
def test_killed_parent_leaves_nobody(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither workers nor their children, whatever they are doing."""
    noted = tmp_path / "pids"
    monkeypatch.setenv("TEST_CHILD_FILE", str(noted))
    with running(program("with_child"), write(1), "--timeout", 30) as process:
        assert eventually(lambda: noted.exists() and len(noted.read_text().split()) == 2)
        worker, grandchild = map(int, noted.read_text().split())
        time.sleep(0.2)
        assert alive(worker) and alive(grandchild)
        process.kill()
        assert eventually(lambda: not alive(worker) and not alive(grandchild))


@pytest.mark.skipif(not linux, reason="needs PR_SET_PDEATHSIG")
@pytest.mark.parametrize("how", ["interrupt", "timeout"])
def test_no_grandchild_is_left(write: Write, tmp_path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    noted = tmp_path / "pids"
    monkeypatch.setenv("TEST_CHILD_FILE", str(noted))
    limit = 30 if how == "interrupt" else 5
    with running(program("with_child"), write(1), "--timeout", limit) as process:
        assert eventually(lambda: noted.exists() and len(noted.read_text().split()) == 2)
        _, grandchild = map(int, noted.read_text().split())
        if how == "interrupt":
            process.send_signal(signal.SIGINT)
        process.communicate(timeout=30)
    assert process.returncode == (130 if how == "interrupt" else 4)
    assert eventually(lambda: not alive(grandchild))


@pytest.mark.parametrize("deed", ["hang", "obey"])
def test_timeout_is_kept(write: Write, deed: str) -> None:
    """Within 5 % and a second, counted from when the same call would have ended had it been easy."""
    started = time.monotonic()
    with running(program("proved"), write(1), "--timeout", 20) as process:
        process.communicate(timeout=30)
    easy = time.monotonic() - started
    assert process.returncode == 0
    started = time.monotonic()
    with running(program(deed), write(1), "--timeout", 4) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 4 and err == "" and "out of time" in out
    assert time.monotonic() - started < easy + 4 * 1.05 + 1


def test_crash_is_a_defect(write: Write) -> None:
    with running(program("crash", "proved"), write(2)) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 70 and "Traceback" not in err
    assert "ERROR     p0" in out and "signal 11 (SIGSEGV)" in out and "PROVED    p1" in out
    assert out.endswith("2 properties: 1 PROVED, 1 ERROR – a defect of verify (exit 70)\n")


def test_debug_shows_the_workers_traceback(write: Write) -> None:
    with running(program("fail"), write(1), env={**os.environ, "VERIFY_DEBUG": "1"}) as process:
        out, err = process.communicate(timeout=30)
    assert process.returncode == 70 and "an internal error: KeyError: 'oh'" in out
    assert "Traceback" in err and "KeyError: 'oh'" in err


def test_result_is_the_same_in_two_processes(write: Write) -> None:
    documents = []
    file = write(["n(s).y <= 1", "n(s).y < 1", "n(s).y >= 0"])
    for jobs in (1, 2):
        with running(program(), file, "--format", "json", "--jobs", jobs) as process:
            document = json.loads(process.communicate(timeout=30)[0])
        check_document(document)
        for result in document["results"]:
            del result["seconds"]
        documents.append(document)
    assert documents[0] == documents[1]
