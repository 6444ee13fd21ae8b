"""Evidence files checked again: what is accepted, and every way to be rejected."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.evidence import Accepted, kernel
from tests.run.conftest import Write, write
from verify import api, recheck
from verify.core.canonical_json import readable
from verify.core.certificate import Certificate, decode, encode
from verify.core.property import Ball
from verify.core.query import Affine, And, Or, Query, Row
from verify.core.verdict import Verdict
from verify.core.witness_file import WitnessFile
from verify.errors import EvidenceError, RejectedError
from verify.recheck import Checker, Outcome, load_kernel
from verify.run import recording
from verify.run.reading import Spec
from verify.run.recording import record_of

__all__ = ["write"]
Keep = Callable[..., Path]


@pytest.fixture
def spec(write: Write) -> Spec:
    """p0 is refuted, p1 proved."""
    return api.read_spec(write(["n(s).y <= 0.5", "n(s).y <= 1"]))


@pytest.fixture
def keep(spec: Spec, tmp_path: Path) -> Keep:
    """The evidence file of a property, with a payload where it is proved."""

    def file(number: int, change: Callable[[Any], Any] = lambda record: record) -> Path:
        (result,) = api.prove(spec, properties=[f"p{number}"])
        if result.verdict is Verdict.PROVED:
            result = replace(result, payload=b"proof", leaves=(("stub", 3),))
        record = record_of(result, spec.properties[number], spec)
        assert record is not None
        (tmp_path / "e").mkdir(exist_ok=True)
        return recording.write(tmp_path / "e", change(record))

    return file


def check(file: Path, **options: Any) -> Outcome:
    return Checker(kernel=kernel, **options).check(file)


def rejected(outcome: Outcome, code: str, words: str) -> None:
    assert isinstance(outcome.error, RejectedError) and outcome.exit_code == 1 and not outcome.accepted
    assert outcome.error.code == code and words in outcome.error.message


def unreadable(outcome: Outcome, code: str, words: str = "") -> None:
    assert outcome.error is not None and not isinstance(outcome.error, RejectedError) and outcome.exit_code == 3
    assert outcome.error.code == code and words in outcome.error.message


# -- accepted ------------------------------------------------------------------------------------------------------


def test_certificates_are_accepted(keep: Keep) -> None:
    outcome = check(keep(1))
    assert outcome.accepted and outcome.exit_code == 0 and outcome.checked == Accepted("unsat", *_digest(outcome))
    assert outcome.size == Path(outcome.file).stat().st_size


def _digest(outcome: Outcome) -> tuple[str]:
    assert outcome.record is not None
    return (outcome.record.subject.network_digest,)


def test_witnesses_are_accepted(keep: Keep) -> None:
    outcome = check(keep(0))
    assert outcome.accepted and isinstance(outcome.record, WitnessFile)
    assert outcome.notes[0].startswith("replayed in onnxruntime") and outcome.notes[0].endswith("agrees")


def test_vnnlib(write: Write, tmp_path: Path) -> None:
    write(0)
    file = tmp_path / "q.vnnlib.gz"
    text = "(declare-const X_0 Real)(declare-const Y_0 Real)"
    text += "(assert (<= -1 X_0))(assert (<= X_0 1))(assert (>= Y_0 0.5))"
    file.write_bytes(gzip.compress(text.encode()))
    (result,) = api.prove_files(file, networks={"": tmp_path / "hat.onnx"}, certificates=tmp_path / "e")
    assert result.verdict is Verdict.REFUTED and result.certificate is not None
    assert Path(result.certificate).name.startswith("hat.q.")
    assert check(Path(result.certificate)).accepted
    (tmp_path / "moved").mkdir()
    moved = Path(result.certificate).rename(tmp_path / "moved" / "x.witness")
    assert check(moved).accepted  # still a sibling of the same files
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    moved = moved.rename(deep / "x")
    unreadable(check(moved), "E505", "not there")
    assert check(moved, spec=str(file), networks={"": str(tmp_path / "hat.onnx")}).accepted


def test_options_name_the_files(keep: Keep, spec: Spec, tmp_path: Path) -> None:
    file = keep(1)
    (tmp_path / "far" / "away").mkdir(parents=True)
    file = file.rename(tmp_path / "far" / "away" / "x.vcert")
    unreadable(check(file), "E505", "s.nnspec")
    model = str(tmp_path / "hat.onnx")
    unreadable(check(file, spec=spec.file), "E505", "hat.onnx")
    for name in ("n", ""):
        assert check(file, spec=spec.file, networks={name: model}).accepted


def test_networks_that_the_property_does_not_use(write: Write, tmp_path: Path) -> None:
    file = write(["n(s).y <= 0.5"])
    file.write_text("network other = onnx() {\n  input x in [0, 1]\n  output y\n}\n" + file.read_text())
    model = tmp_path / "hat.onnx"
    (result,) = api.prove_files(file, networks={"other": model}, certificates=tmp_path / "e")
    evidence = Path(result.certificate or "")
    unreadable(check(evidence), "E004", "other")
    assert check(evidence, networks={"other": str(model)}).accepted
    unreadable(check(evidence, networks={"other": str(model), "third": str(model)}), "E003")


def test_from_python(keep: Keep, tmp_path: Path, spec: Spec) -> None:
    import verify

    file = keep(0)
    assert verify.check(file).accepted
    assert not verify.check(tmp_path / "no").accepted
    elsewhere = file.rename(tmp_path / "x")
    assert verify.check(elsewhere, spec=spec.file, networks={"n": tmp_path / "hat.onnx"}).accepted


def test_params_are_those_of_the_file(write: Write, tmp_path: Path) -> None:
    file = write(["n(s).y <= 2"], before="param eps in [0, 9]")
    file.write_text(file.read_text().replace("<= 2", "<= eps").replace("network", "param eps = 1\nnetwork", 1).replace(
        "\nparam eps in [0, 9]", ""))  # fmt: skip
    (result,) = api.prove_files(file, params={"eps": "1/4"}, certificates=tmp_path / "e")
    assert result.certificate is not None
    evidence = Path(result.certificate)
    assert check(evidence).accepted and check(evidence, params={"eps": "1/4"}).accepted
    rejected(check(evidence, params={"eps": "1/3"}), "E511", "eps=1/4")


def test_each_spec_is_read_once(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    read, files = [], (keep(0), keep(1))
    real = recheck.read
    monkeypatch.setattr(recheck, "read", lambda request: (read.append(request), real(request))[1])
    checker = Checker(kernel=kernel)
    assert all(checker.check(file).accepted for file in (*files, *files))
    assert len(read) == 1


# -- certificates rejected -------------------------------------------------------------------------------------------


def changed(**fields: Any) -> Callable[[Certificate], Certificate]:
    return lambda record: replace(record, **fields)


def about(**fields: Any) -> Callable[[Any], Any]:
    return lambda record: replace(record, subject=replace(record.subject, **fields))


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (changed(payload=b"other"), "E512", "leaf 2"),
        (changed(payload=b""), "E512", "leaf 2"),
        (changed(leaves={"stub": 4}), "E512", "other leaves"),
        (changed(leaves={}), "E512", "other leaves"),
        (changed(verdict="NO WITNESS"), "E511", "forall"),
        (changed(query=b"{}"), "E510", "quantifier"),
        (changed(query=b""), "E510", "query"),
        (about(property="p9"), "E511", "no property"),
        (about(property="p0"), "E511", "another query"),
        (about(query_digest="0" * 64), "E511", "another query"),
        (about(query_digest="0" * 64, lowering=0), "E511", "lowering 0, now 1"),
        (about(network_digest="0" * 64), "E511", "another exact network"),
    ],
)
def test_certificates_are_rejected(keep: Keep, change: Callable[[Any], Any], code: str, words: str) -> None:
    rejected(check(keep(1, change)), code, words)


def test_another_query_inside_is_rejected(keep: Keep) -> None:
    """The header is right, what the payload would prove is not."""
    other = decode(keep(1).read_bytes()).query.replace(b'"-1"', b'"-2"', 1)
    rejected(check(keep(1, changed(query=other))), "E511", "not the one it names")


def test_another_model_or_spec_is_rejected(keep: Keep, spec: Spec, tmp_path: Path) -> None:
    files = (keep(0), keep(1))
    text = Path(spec.file).read_text()
    Path(spec.file).write_text(text + "# a remark\n")
    for file in files:
        rejected(check(file), "E511", "another spec")
    Path(spec.file).write_text(text)
    model = tmp_path / "hat.onnx"
    data = model.read_bytes()
    model.write_bytes(data + b"\x32\x00")  # the same graph in other bytes: an empty doc_string
    for file in files:
        rejected(check(file), "E511", "another model")
    model.write_bytes(b"garbage")
    unreadable(check(files[1]), "E103")
    model.write_bytes(data)
    assert check(files[1]).accepted


def test_a_kernel_that_accepts_something_else_is_not_believed(keep: Keep) -> None:
    for other in (Accepted("vacuous", "0" * 64), Accepted("unsat", "0" * 64)):
        outcome = Checker(kernel=lambda *_, given=other: given).check(keep(1))  # type: ignore[misc]
        rejected(outcome, "E512", "another claim")


@pytest.mark.parametrize(("problem", "word"), [(MemoryError(), "memory"), (RecursionError(), "stack")])
def test_a_kernel_that_runs_out_rejects(keep: Keep, problem: Exception, word: str) -> None:
    def greedy(*_: object) -> Accepted:
        raise problem

    rejected(Checker(kernel=greedy).check(keep(1)), "E512", word)


def test_damage_is_rejected(keep: Keep, tmp_path: Path) -> None:
    damaged = tmp_path / "e" / "damaged.vcert"
    for file in (keep(0), keep(1)):
        data = file.read_bytes()
        for length in (0, 5, 9, 40, len(data) // 2, len(data) - 1):
            damaged.write_bytes(data[:length])
            assert check(damaged).exit_code == 1
        for position in range(0, len(data), 11):
            flipped = bytearray(data)
            flipped[position] ^= 0x10
            damaged.write_bytes(bytes(flipped))
            outcome = check(damaged)
            assert outcome.exit_code in (1, 3) or outcome.record in (decode_any(data), _same_claim(outcome, data))


def decode_any(data: bytes) -> Any:
    return recheck.decode(data)


def _same_claim(outcome: Outcome, data: bytes) -> Any:
    """Names that nothing depends on (who made it, notes of the replay) may differ in an accepted file."""
    assert outcome.record is not None
    original, found = recheck.decode(data), outcome.record
    assert (found.verdict, found.subject.query_digest) == (original.verdict, original.subject.query_digest)
    return found


def test_files_that_are_not_there(tmp_path: Path) -> None:
    unreadable(check(tmp_path / "no.vcert"), "E501", "no such file")
    unreadable(check(tmp_path), "E501", "not a file")
    unreadable(check(Path("a\0b")), "E501")
    os.mkfifo(tmp_path / "pipe")
    unreadable(check(tmp_path / "pipe"), "E501", "not a file")


def test_files_it_names_are_files(keep: Keep) -> None:
    file = keep(1)
    record = decode(file.read_bytes())
    for bad in ("/dev/zero", "..", "x" * 5000):
        ref = replace(record.subject.spec, file=bad)
        file.write_bytes(encode(replace(record, subject=replace(record.subject, spec=ref))))
        unreadable(check(file), "E505")


def test_size_is_limited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recheck, "MAX_FILE", 100)
    (tmp_path / "x").write_bytes(b"VCERT 1\n" + bytes(93))
    rejected(check(tmp_path / "x"), "E510", "more than 100")


def test_without_a_kernel(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "verify.kernel", None)
    with pytest.raises(EvidenceError) as error:
        load_kernel(reference=True)
    assert error.value.code == "E504"


# -- witnesses rejected ------------------------------------------------------------------------------------------------


def edited(file: Path, change: Callable[[dict[str, Any]], None]) -> Path:
    found = json.loads(file.read_bytes())
    change(found)
    file.write_bytes(readable(found))
    return file


def put(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.update({key: value})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("inputs", [["s.x", "1/4"]]), "exact outputs"),
        (put("inputs", [["s.z", "1"]]), "other names"),
        (put("inputs", []), "other names"),
        (put("outputs", [["n(s).y", "7"]]), "exact outputs"),
        (put("margin", "7"), "margin"),
        (put("margin", None), "margin"),
        (put("replay", None), "its own replay"),
        (lambda found: found["replay"].update(agrees=False), "its own replay"),
        (put("verdict", "WITNESSED"), "forall"),
    ],
)
def test_witnesses_are_rejected(keep: Keep, change: Callable[[dict[str, Any]], None], words: str) -> None:
    outcome = check(edited(keep(0), change))
    assert isinstance(outcome.error, RejectedError) and words in outcome.error.message


def test_points_must_be_inside_and_violate(keep: Keep) -> None:
    def point(x: str, y: str) -> Callable[[dict[str, Any]], None]:
        return lambda found: found.update(inputs=[["s.x", x]], outputs=[["n(s).y", y]])

    rejected(check(edited(keep(0), point("2", "2"))), "E513", "assumptions")
    rejected(check(edited(keep(0), point("1/4", "1/4"))), "E513", "violate")
    rejected(check(edited(keep(0), point("1/2", "1/2"))), "E513", "violate")  # a tie is allowed by <=


def test_points_outside_an_l2_ball_are_rejected(keep: Keep, spec: Spec) -> None:
    record = recheck.decode(keep(0).read_bytes())
    assert isinstance(record, WitnessFile)
    (x,) = record.witness.x
    around = replace(spec.properties[0], balls=(Ball((Affine(((0, Fraction(1)),), -x),), Fraction(0)),))
    assert Checker().judge(record, around, spec)[0] is None
    beside = replace(spec.properties[0], balls=(Ball((Affine(((0, Fraction(1)),), 5 - x),), Fraction(4)),))
    with pytest.raises(RejectedError, match="outside the l2 ball"):
        Checker().judge(record, beside, spec)


def test_a_proof_of_a_vacuous_property_is_no_proof(spec: Spec) -> None:
    prop = spec.properties[1]
    record = Certificate(recording.subject_of(prop, spec), "PROVED", b"", b"", {})
    assert recheck.check_not_vacuous(record, prop.query) == ()

    def assuming(*rows: Row) -> Query:
        return replace(prop.query, assumption=And((prop.query.assumption, *rows)))

    nowhere = assuming(Row.of({0: 1}, {}, -99))
    with pytest.raises(RejectedError, match="VACUOUS, not PROVED"):
        recheck.check_not_vacuous(record, nowhere)
    either = Or((Row.of({0: 1}, {}, 0, strict=True), Row.of({0: -1}, {}, 0, strict=True)))
    hole = assuming(either, Row.of({0: 1}, {}, 0))
    assert recheck.check_not_vacuous(record, hole) == ()
    thin = assuming(Row.of({0: -1}, {}, 0, strict=True), Row.of({0: 1}, {}, 0))  # 0 < x <= 0: only rows show it
    (note,) = recheck.check_not_vacuous(record, thin)
    assert "not shown" in note
    assert recheck.check_not_vacuous(replace(record, verdict="VACUOUS"), nowhere) == ()


def test_a_replay_that_disagrees_rejects_refuted(keep: Keep, monkeypatch: pytest.MonkeyPatch) -> None:
    import verify.witness as module

    real, file = module.Confirmation.replay, keep(0)
    fragile = keep(0, lambda r: replace(r, verdict="FRAGILE")).rename(file.with_name("fragile.witness"))
    keep(0)
    monkeypatch.setattr(
        module.Confirmation, "replay", lambda self, x: replace(real(self, x), agrees=False, outputs=(0.0,))
    )
    rejected(check(file), "E514", "reproduce")
    outcome = check(fragile)
    assert outcome.accepted and any("differ" in note or "does not agree" in note for note in outcome.notes)


def test_fragile_that_is_reproduced_says_so(keep: Keep) -> None:
    outcome = check(keep(0, lambda r: replace(r, verdict="FRAGILE")))
    assert outcome.accepted and any("FRAGILE" in note for note in outcome.notes)


# -- isolation ---------------------------------------------------------------------------------------------------------

ISOLATED = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        top = ("z3", "onnxruntime", "numba", "llvmlite", "scipy", "rich")
        if name.split(".")[0] in top or name.startswith(("verify.search", "verify.bounds", "verify.smt")):
            raise ModuleNotFoundError("blocked: " + name, name=name)
sys.meta_path.insert(0, Blocked())
import verify.recheck
from tests.evidence import kernel
checker = verify.recheck.Checker(kernel=kernel)
outcomes = [checker.check(file) for file in sys.argv[1:]]
assert all(outcome.accepted for outcome in outcomes), outcomes
print(*outcomes[0].notes)
"""


def test_without_search_solver_and_runtime(keep: Keep) -> None:
    command = [sys.executable, "-c", ISOLATED, str(keep(0)), str(keep(1))]
    home = Path(recheck.__file__).parents[1]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=home)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "not replayed: ONNX Runtime is not installed here"


def test_exact_numbers_of_any_length(keep: Keep) -> None:
    """A point that is not a float, with outputs of thousands of digits."""
    x = Fraction(2, 3) + Fraction(1, 7**2000)
    outcome = check(
        keep(0, lambda r: replace(r, witness=replace(r.witness, x=(x,), outputs=(x,), margin=x - Fraction(1, 2))))
    )
    assert outcome.accepted, outcome.error


def test_the_package_kernel_judges(spec: Spec) -> None:
    """Through the adapter: an empty payload proves nothing, and is a rejection."""
    pytest.importorskip("verify.kernel")
    query = spec.properties[1].query
    for reference in (True, False):
        with pytest.raises(RejectedError) as error:
            load_kernel(reference=reference)(query, b"", "unsat")
        assert error.value.code == "E512"
