"""`verify ci` over specs of |x|, with a search that makes a proof the stub kernel accepts."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.evidence import kernel
from tests.importer.models import build, node, save
from tests.run.conftest import Write, workers, write
from verify import api
from verify.ci.keep import Case, Keeper
from verify.ci.settings import Target
from verify.core.certificate import Certificate, decode, encode
from verify.core.verdict import Verdict
from verify.recheck import Checker

__all__ = ["workers", "write"]
Run = Callable[..., list[Case]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs one target; `run.asked` says what was decided, and with which hints."""
    asked: list[tuple[list[str], dict[str, bytes]]] = []
    real = api.prove_files

    def prove_files(*arguments: Any, **rest: Any) -> Any:
        asked.append((rest["properties"], rest["known"]))
        return real(*arguments, **rest)

    monkeypatch.setattr(api, "prove_files", prove_files)

    def run(spec: Path, *, update: bool = False, **fields: Any) -> list[Case]:
        asked.clear()
        target = Target(str(spec), str(tmp_path / "proofs"), {}, {}, **fields)
        seen: list[Case] = []
        cases = Keeper(target, update, Checker(kernel=kernel), seen.append).run()
        assert sorted(seen, key=repr) == sorted(cases, key=repr)
        return cases

    run.asked = asked  # type: ignore[attr-defined]
    return run


def words(case: Case) -> str:
    return "; ".join(case.problems)


def files(tmp_path: Path) -> list[str]:
    return sorted(path.name for path in (tmp_path / "proofs").iterdir())


@pytest.fixture
def spec(write: Write, workers: Callable[..., None]) -> Path:
    """p0 is proved with a certificate, p1 (as @expect says) refuted by a point."""
    workers("certified", "decide")
    file = write(["n(s).y <= 10", "n(s).y <= -11"])
    file.write_text(file.read_text().replace("property p1", "@expect(refuted)\nproperty p1"))
    return file


def test_missing_evidence_fails(spec: Path, run: Run, tmp_path: Path) -> None:
    for case in run(spec):
        assert case.exit_code == 1 and "no evidence is stored" in words(case)
    assert not (tmp_path / "proofs").exists()


def test_update_then_nothing_is_searched(spec: Path, run: Run, tmp_path: Path) -> None:
    first = run(spec, update=True)
    assert [(c.verdict, c.how, c.exit_code) for c in first] == [
        (Verdict.PROVED, "decided", 0), (Verdict.REFUTED, "decided", 0)]  # fmt: skip
    assert [name.split(".")[1::2] for name in files(tmp_path)] == [["p0", "vcert"], ["p1", "witness"]]
    again = run(spec)
    assert [(c.verdict, c.how, c.exit_code) for c in again] == [
        (Verdict.PROVED, "checked", 0), (Verdict.REFUTED, "checked", 0)]  # fmt: skip
    assert run.asked == []  # type: ignore[attr-defined]


def test_a_deleted_file_fails_and_only_that(spec: Path, run: Run, tmp_path: Path) -> None:
    run(spec, update=True)
    (tmp_path / "proofs" / files(tmp_path)[0]).unlink()
    missing, kept = run(spec)
    assert "no evidence is stored" in words(missing) and kept.exit_code == 0
    assert run.asked == [(["p0"], {})]  # type: ignore[attr-defined]


def test_what_changed_is_decided_again_with_the_old_proof(spec: Path, run: Run, tmp_path: Path) -> None:
    run(spec, update=True)
    before = files(tmp_path)
    spec.write_text(spec.read_text().replace("<= 10", "<= 10.5"))
    stale, other = run(spec)
    assert "stale" in words(stale) and stale.verdict is Verdict.PROVED
    assert "other bytes" in words(other) and other.how == "checked"
    assert run.asked == [(["p0"], {"p0": b"proof"})] and files(tmp_path) == before  # type: ignore[attr-defined]
    assert [c.exit_code for c in run(spec, update=True)] == [0, 0]
    after = files(tmp_path)
    assert len(after) == 2 and after[0] != before[0] and after[1] == before[1]
    assert [c.exit_code for c in run(spec)] == [0, 0]


def test_a_remark_needs_no_search(spec: Path, run: Run) -> None:
    run(spec, update=True)
    spec.write_text("# a remark\n" + spec.read_text())
    assert all("other bytes" in words(case) for case in run(spec))
    assert [c.exit_code for c in run(spec, update=True)] == [0, 0]
    assert run.asked == []  # type: ignore[attr-defined]
    cases = run(spec)
    assert [c.exit_code for c in cases] == [0, 0]
    assert all(Checker(kernel=kernel).check(case.file or "").accepted for case in cases)


def test_a_touched_weight_makes_all_of_its_network_stale(spec: Path, run: Run, tmp_path: Path) -> None:
    run(spec, update=True)
    weights = {"w": np.array([[1.0, -1.0]]), "b": np.zeros(2), "v": np.full((2, 1), 1.5), "c": np.zeros(1)}
    nodes = [node("Gemm", "x w b", "h"), node("Relu", "h", "r"), node("Gemm", "r v c", "y")]
    save(build(nodes, {"x": [1, 1]}, ["y"], weights), tmp_path, "hat.onnx")
    assert all("stale" in words(case) and case.how == "decided" for case in run(spec))


def test_a_lost_proof_is_a_regression(write: Write, workers: Callable[..., None], run: Run, tmp_path: Path) -> None:
    workers("certified")
    file = write(["n(s).y <= 10"])
    run(file, update=True)
    workers("obey")
    file.write_text(file.read_text().replace("<= 10", "<= 10.5"))
    (lost,) = run(file, update=True, timeout=3.0)
    assert lost.exit_code == 1 and "UNKNOWN" in words(lost) and "it was PROVED" in words(lost)
    assert len(files(tmp_path)) == 1  # the old proof stays: the next search may use it
    file.write_text(file.read_text().replace("\nproperty", "\n@expect(unknown)\nproperty"))
    (expected,) = run(file, timeout=3.0)
    assert expected.exit_code == 0


def test_a_broken_expectation_fails(spec: Path, run: Run) -> None:
    run(spec, update=True)
    spec.write_text(spec.read_text().replace("@expect(refuted)", "@expect(proved)"))
    _, broken = run(spec)
    assert "REFUTED, but the spec says @expect(proved)" in words(broken)
    _, broken = run(spec, update=True)
    assert broken.exit_code == 1


def test_no_expectation_means_it_holds(write: Write, run: Run) -> None:
    (case,) = run(write(["n(s).y <= 0.5"]), update=True)
    assert words(case) == "REFUTED" and case.exit_code == 1


def test_proofs_without_a_certificate_fail(write: Write, workers: Callable[..., None], run: Run) -> None:
    workers("proved")
    (case,) = run(write(["n(s).y <= 10"]), update=True)
    assert words(case) == "there is no evidence to keep: it rests on bounds"


@pytest.mark.parametrize("data", [b"", b"VCERT 1\n", b"VCERT 9\n", b"{}"])
def test_damaged_evidence_fails_and_is_written_anew(spec: Path, run: Run, tmp_path: Path, data: bytes) -> None:
    run(spec, update=True)
    name = files(tmp_path)[0]
    (tmp_path / "proofs" / name).write_bytes(data)
    damaged, _ = run(spec)
    assert "rejected" in words(damaged) and damaged.exit_code == 1
    assert [c.exit_code for c in run(spec, update=True)] == [0, 0] and [c.exit_code for c in run(spec)] == [0, 0]


def test_forged_proofs_are_rejected_and_proved_anew(spec: Path, run: Run, tmp_path: Path) -> None:
    run(spec, update=True)
    path = tmp_path / "proofs" / files(tmp_path)[0]
    record = decode(path.read_bytes())
    for forged in (replace(record, payload=b"forged"), replace(record, subject=replace(record.subject, property="p1"))):
        assert isinstance(forged, Certificate)
        path.write_bytes(encode(forged))
        case = run(spec)[0]
        assert case.exit_code == 1 and case.how == "decided"


def test_files_of_no_property(spec: Path, run: Run, tmp_path: Path) -> None:
    run(spec, update=True)
    home = tmp_path / "proofs"
    shutil.copy(home / files(tmp_path)[0], home / "n.p9.00000000.vcert")
    (home / "README.md").write_text("kept")
    *_, extra = run(spec)
    assert extra.exit_code == 1 and "not the evidence of any property" in words(extra)
    assert len(run(spec, update=True)) == 2
    assert len(files(tmp_path)) == 3 and "README.md" in files(tmp_path)


def test_some_properties(spec: Path, run: Run) -> None:
    (case,) = run(spec, update=True, properties=("p1",))
    assert case.name == "p1"
    (case,) = run(spec, properties=("p9",))
    assert case.error is not None and case.exit_code == 3


def test_an_unreadable_spec_is_an_error(tmp_path: Path, run: Run) -> None:
    (case,) = run(tmp_path / "no.nnspec")
    assert case.error is not None and case.exit_code == 3
