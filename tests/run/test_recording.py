from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.run.conftest import Write
from verify import api
from verify.core import certificate, query_text, witness_file
from verify.core.certificate import Certificate
from verify.core.rational import MAX_DIGITS
from verify.core.report import Report
from verify.core.verdict import Evidence, Verdict
from verify.errors import EvidenceError
from verify.run import recording
from verify.run.combine import SEPARATE, combine
from verify.run.deciding import Proofs
from verify.run.recording import file_name, record_of, relative_to


@pytest.mark.parametrize("jobs", [1, 2])
def test_evidence_goes_to_files(write: Write, workers: Callable[..., None], tmp_path: Path, jobs: int) -> None:
    workers("certified", "proved", "decide")
    spec = write(["n(s).y <= 10", "n(s).y <= 11", "n(s).y <= 12"])
    home = tmp_path / "new" / "evidence"
    report = api.prove_files(spec, jobs=jobs, certificates=home)
    certified, bounds, decided = report
    assert (certified.evidence, certified.kernel_mode) == (Evidence.KERNEL, "reference")
    assert certified.certificate is not None and bounds.certificate is None
    assert decided.evidence is Evidence.KERNEL and decided.certificate is not None  # the real search and kernel
    found = certificate.decode(Path(certified.certificate).read_bytes())
    read = api.read_spec(spec)
    prop = read.properties[0]
    assert (found.verdict, found.payload, found.leaves) == ("PROVED", b"proof", {"stub": 3})
    assert query_text.decode(found.query, prop.query.network) == prop.query
    assert found.subject.query_digest == prop.query.digest
    assert found.subject.spec.file == "../../s.nnspec" and found.subject.networks["n"].file == "../../hat.onnx"
    names = [f"n.{p.name}.{p.query.digest[:8]}.vcert" for p in (prop, read.properties[2])]
    assert sorted(path.name for path in home.iterdir()) == names


def test_witnesses_go_to_files(write: Write, tmp_path: Path) -> None:
    for number, run in enumerate((api.prove_files, lambda file, **rest: api.prove(api.read_spec(file), **rest))):
        home = tmp_path / str(number)
        report: Report = run(write(["n(s).y <= 0.5", "n(s).y >= -1"]), certificates=home)
        refuted, proved = report
        assert (refuted.verdict, proved.verdict) == (Verdict.REFUTED, Verdict.PROVED)
        assert refuted.certificate is not None
        record = witness_file.decode(Path(refuted.certificate).read_bytes())
        assert record.witness == refuted.witness and record.source == "assert n(s).y <= 0.5"
        assert (record.input_names, record.output_names) == (("s.x",), ("n(s).y",))


def test_nothing_is_recorded_unasked(write: Write) -> None:
    (result,) = api.prove_files(write(["n(s).y <= 0.5"]))
    assert result.record is None and result.certificate is None


def test_queries_are_not_split_when_evidence_is_wanted(
    write: Write, tmp_path: Path, workers: Callable[..., None]
) -> None:
    workers("certified")
    spec = write(["n(s).y <= 10"])
    (whole,) = api.prove_files(spec, jobs=2, certificates=tmp_path / "e")
    (parts,) = api.prove_files(spec, jobs=2)
    assert whole.evidence is Evidence.KERNEL and whole.certificate is not None
    assert parts.evidence is Evidence.BOUNDS and SEPARATE in parts.notes and parts.kernel_mode is None


def test_parts_keep_no_proof_of_the_whole(write: Write) -> None:
    (one,) = api.prove_files(write(1))
    part = replace(one, evidence=Evidence.KERNEL, payload=b"x", kernel_mode="fast", leaves=(("a", 1),))
    alone = combine([part], by_box=True, seconds=1)
    assert (alone.evidence, alone.payload, alone.leaves) == (Evidence.KERNEL, b"x", (("a", 1),))
    both = combine([part, part], by_box=True, seconds=1)
    assert (both.evidence, both.payload, both.kernel_mode, both.leaves) == (Evidence.BOUNDS, None, None, ())
    weak = combine([part, replace(part, evidence=Evidence.SOLVER)], by_box=True, seconds=1)
    assert weak.evidence is Evidence.SOLVER and SEPARATE not in weak.notes


def test_hints_reach_the_search(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    import verify.search.decide as module

    real, seen = module.decide, []

    def decide(*args: object, hint: bytes | None, **rest: object) -> object:
        seen.append(hint)
        return real(*args, hint=hint, **rest)  # type: ignore[arg-type]

    monkeypatch.setattr(module, "decide", decide)
    api.prove(api.read_spec(write(2)), known={"p1": b"old"})
    assert seen == [None, b"old"]


def certificate_of(write: Write) -> Certificate:
    spec = api.read_spec(write(1))
    (result,) = api.prove(spec)
    record = record_of(replace(result, payload=b"proof"), spec.properties[0], spec)
    assert isinstance(record, Certificate)
    return record


def test_no_record_without_a_proof_or_witness(write: Write) -> None:
    spec = api.read_spec(write(1))
    (result,) = api.prove(spec)
    assert result.verdict is Verdict.PROVED
    assert record_of(replace(result, payload=None), spec.properties[0], spec) is None
    unknown = replace(result, verdict=Verdict.UNKNOWN, payload=b"proof")
    assert record_of(unknown, spec.properties[0], spec) is None


def test_file_names_are_plain(write: Write) -> None:
    subject = certificate_of(write).subject
    ref = subject.networks["n"]
    odd = replace(subject, property="../a b/ü" + "x" * 100, networks={"m": ref, "n": ref}, query_digest="12345678" * 8)
    name = file_name(odd, "vcert")
    assert name == f"m+n._a_b_{'x' * 54}.12345678.vcert" or (name.startswith("m+n._a_b_") and len(name) < 100)
    assert not set(name) & set("/\\ ü") and ".." not in name
    assert file_name(replace(subject, networks={"": ref}), "witness").startswith("hat.p0.")


def test_half_a_file_is_never_there(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record = certificate_of(write)
    home = tmp_path / "e"
    home.mkdir()

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        recording.write(home, record)
    assert list(home.iterdir()) == []


def test_files_that_cannot_be_written(write: Write, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(EvidenceError) as error:
        api.prove_files(write(1), certificates=tmp_path / "file" / "e")
    assert error.value.code == "E503"


def test_what_could_not_be_read_back_is_not_written(write: Write, tmp_path: Path) -> None:
    spec = api.read_spec(write(["n(s).y <= 0.5"]))
    (result,) = api.prove(spec)
    assert result.witness is not None
    long = replace(result.witness, margin=result.witness.margin and result.witness.margin / 10 ** (2 * MAX_DIGITS))
    record = record_of(replace(result, witness=long), spec.properties[0], spec)
    seen = []
    keeper = recording.Keeper(tmp_path / "e", seen.append)
    keeper(replace(result, record=record))
    assert seen[0].certificate is None and "too long" in seen[0].warnings[-1]
    assert list((tmp_path / "e").iterdir()) == []


def test_paths_are_seen_from_the_directory(write: Write, tmp_path: Path) -> None:
    record = certificate_of(write)
    seen = relative_to(tmp_path / "a" / "b", record)
    assert (tmp_path / "a" / "b" / seen.subject.spec.file).resolve() == Path(record.subject.spec.file)


def test_proofs_default_to_nothing() -> None:
    assert Proofs() == Proofs(False, {})
