"""Worker processes: what becomes of a property when its process misbehaves, and that none is left."""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import pytest

import verify
from tests.run.conftest import Write
from tests.run.misdeeds import children, eventually, linux
from verify import api
from verify.core.report import EXIT_DEFECT, Progress, Result
from verify.errors import Place
from verify.run import messages, pipe
from verify.run.deciding import PROGRESS_EVERY_S

Workers = Callable[..., None]
Verdict = verify.Verdict
LIMIT = 6  # seconds: on a busy machine a worker takes two or three of them to start


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before = set(children())
    yield
    assert eventually(lambda: set(children()) <= before)


@pytest.mark.parametrize("jobs", [1, 2])
def test_real_verdicts(write: Write, jobs: int) -> None:
    conditions = ["n(s).y <= 1", "n(s).y <= 1/2", "n(s).y < 1", "s.x >= 2 => n(s).y > 3"]
    results: list[Result] = []
    report = api.prove_files(write(conditions), jobs=jobs, timeout=30, on_result=results.append)
    assert [str(r.verdict) for r in report] == ["PROVED", "REFUTED", "REFUTED", "PROVED"]
    assert tuple(results) == report.results and [r.name for r in report] == ["p0", "p1", "p2", "p3"]
    assert report["p2"].witness is not None and report["p2"].witness.margin == 0
    alone = verify.prove(verify.read_spec(write(conditions)), timeout=30)
    assert [r.verdict for r in alone] == [r.verdict for r in report]
    assert alone.networks == report.networks and alone.spec_sha256 == report.spec_sha256


def test_given_specs_go_to_workers_too(write: Write) -> None:
    spec = verify.read_spec(write(["n(s).y <= 1", "n(s).y < 1"]))
    report = verify.prove(spec, jobs=3, timeout=30)
    assert [str(r.verdict) for r in report] == ["PROVED", "REFUTED"]
    assert report["p1"].query is spec.properties[1].query


@pytest.mark.parametrize(
    ("deed", "verdict", "reason", "settled", "said"),
    [
        ("hang", "UNKNOWN", "timeout", 0.25, ""),
        ("obey", "UNKNOWN", "timeout", 0.5, ""),
        ("be_killed", "UNKNOWN", "memory", 0.0, ""),
        ("out_of_memory", "UNKNOWN", "memory", 0.0, ""),
        ("crash", "ERROR", None, 0.0, "signal 11 (SIGSEGV)"),
        ("leave", "ERROR", None, 0.0, "exit code 3"),
        ("fail", "ERROR", None, 0.0, "KeyError: 'oh'"),
    ],
)
def test_misbehaviour(
    write: Write, workers: Workers, deed: str, verdict: str, reason: str | None, settled: float, said: str
) -> None:
    """The other properties are decided as if nothing had been, and in order."""
    workers("proved", deed, "proved")
    started = time.monotonic()
    report = api.prove_files(write(3), timeout=LIMIT if reason == "timeout" else 30)
    assert [str(r.verdict) for r in report] == ["PROVED", verdict, "PROVED"]
    found = report["p1"]
    assert (found.reason, found.settled) == (reason, settled)
    assert said in (found.error.message if found.error else "")
    if verdict == "ERROR":
        assert isinstance(found.error, verify.DefectError) and report.exit_code == EXIT_DEFECT
    assert time.monotonic() - started < LIMIT + 5


def test_order_of_results(write: Write, workers: Workers) -> None:
    workers("slow", "proved", "proved")
    names: list[str] = []
    report = api.prove_files(write(3), jobs=2, timeout=20, on_result=lambda r: names.append(r.name))
    assert names == ["p0", "p1", "p2"] and report["p0"].seconds >= 2 > report["p1"].seconds


def test_progress_of_workers(write: Write, workers: Workers) -> None:
    workers("obey")
    seen: list[Progress] = []
    api.prove_files(write(1), timeout=LIMIT, on_progress=seen.append)
    assert seen and {(p.property, p.settled, p.open_subproblems, p.phase) for p in seen} == {
        ("p0", 0.5, 3, "splitting")
    }
    assert len(seen) <= LIMIT / PROGRESS_EVERY_S + 1


@pytest.mark.skipif(not linux, reason="needs /proc")
@pytest.mark.parametrize("jobs", [1, 2])
def test_memory_is_enforced(write: Write, workers: Workers, jobs: int) -> None:
    workers("hoard", "proved")
    found = api.prove_files(write(2), jobs=jobs, timeout=20, memory=250)
    assert [(str(r.verdict), r.reason) for r in found] == [("UNKNOWN", "memory"), ("PROVED", None)]
    assert found["p0"].settled == 0.125 and found["p0"].seconds < 15


def test_first_solution_calls_off_the_other_parts(write: Write, workers: Workers) -> None:
    workers("first_or_never")
    found = api.prove_files(write(["n(s).y <= -10"]), jobs=3, timeout=30)["p0"]
    assert found.seconds < 20 and found.verdict is Verdict.REFUTED


def test_parts_in_time(write: Write, workers: Workers) -> None:
    """Two of three parts never answer: what they had settled counts."""
    workers("hang")
    found = api.prove_files(write(1), jobs=2, timeout=LIMIT)["p0"]
    assert (found.verdict, found.reason, found.settled) == (Verdict.UNKNOWN, "timeout", 0.25)


def test_weakest_part_counts(write: Write, workers: Workers) -> None:
    workers("slow")
    started = time.monotonic()
    found = api.prove_files(write(1), jobs=2, timeout=20)["p0"]
    assert (found.verdict, found.evidence) == (Verdict.PROVED, verify.Evidence.SOLVER)
    assert found.statistics.subproblems == 0 and time.monotonic() - started < 15


@pytest.mark.parametrize("jobs", [1, 2])
def test_interruption_keeps_what_is_finished(write: Write, workers: Workers, jobs: int) -> None:
    workers("proved", "hang", "proved")
    results: list[Result] = []
    timer = threading.Timer(1.5, signal.raise_signal, [signal.SIGINT])

    def on_progress(progress: Progress) -> None:
        if progress.settled == 0.25 and timer.ident is None:
            timer.start()

    with pytest.raises(KeyboardInterrupt):
        api.prove_files(write(3), jobs=jobs, timeout=30, on_result=results.append, on_progress=on_progress)
    timer.join()
    expected = [("p0", "PROVED", None), ("p1", "UNKNOWN", "interrupted"), ("p2", "PROVED", None)]
    assert [(r.name, str(r.verdict), r.reason) for r in results] == expected[: 2 if jobs == 1 else 3]
    assert results[1].settled == 0.25


def test_interruption_in_process(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import verify.search.decide as module

    def decide(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    spec = verify.read_spec(write(1))
    monkeypatch.setattr(module, "decide", decide)
    results: list[Result] = []
    with pytest.raises(KeyboardInterrupt):
        verify.prove(spec, on_result=results.append)
    assert [(r.name, r.reason) for r in results] == [("p0", "interrupted")]


def test_reading_is_limited(tmp_path: Path, write: Write) -> None:
    """A model that never comes: every property ends, by its name."""
    import os

    file = write(2)
    (tmp_path / "hat.onnx").unlink()
    os.mkfifo(tmp_path / "hat.onnx")
    started = time.monotonic()
    report = api.prove_files(file, timeout=2.0)
    assert [(r.name, str(r.verdict), r.reason) for r in report] == [(f"p{k}", "UNKNOWN", "timeout") for k in (0, 1)]
    assert time.monotonic() - started < 5
    assert [r.name for r in api.prove_files(file, timeout=0.2, properties=["p1"])] == ["p1"]


def test_errors_of_reading_come_back(write: Write) -> None:
    with pytest.raises(verify.UsageError) as usage:
        api.prove_files(write(2), properties=["p00"])
    assert usage.value.code == "E002" and "did you mean 'p0'?" in usage.value.fix
    with pytest.raises(verify.SpecError) as spec:
        api.prove_files(write(["n(s).z <= 1"]))
    assert spec.value.place is not None and spec.value.place.line == 8 and spec.value.fix
    with pytest.raises(verify.UsageError):
        api.prove_files(write(1), jobs=0)


def test_defect_while_reading(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    from verify.run import process

    code = "import verify.run.worker as w; w._import_reader = lambda _: 1 / 0; w.main(*sys.argv[1:])"
    monkeypatch.setattr(process, "MAIN", code)
    with pytest.raises(verify.DefectError, match="ZeroDivisionError"):
        api.prove_files(write(1))
    monkeypatch.setattr(process, "MAIN", "sys.exit(5)")
    with pytest.raises(verify.DefectError, match="code 5"):
        api.prove_files(write(1))


def test_messages_arrive_whole_however_they_are_cut() -> None:
    """Also numbers of more digits than Python prints by default."""
    error = verify.ModelError("E101", "no", fix="f", place=Place("m.onnx", 3))
    sent = [messages.Refused(error), messages.Load(b"x" * 1000), Fraction(10**6000, 3)]
    data = b"".join(pipe.encode(message) for message in sent)  # type: ignore[arg-type]
    for size in (1, 7, len(data)):
        decoder = pipe.Decoder()
        got = [m for at in range(0, len(data), size) for m in decoder.feed(data[at : at + size])]
        assert got[1:] == sent[1:]
        back = got[0].error
        assert isinstance(back, verify.ModelError) and str(back) == str(error) and back.place == error.place
