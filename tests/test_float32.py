"""`semantics="float32"` from spec to verdict, evidence and its check."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.importer.models import build, node, save
from verify import api
from verify.ci.keep import Keeper
from verify.ci.settings import Target
from verify.cli.main import main
from verify.core.certificate import FLOAT32, decode, encode
from verify.core.verdict import Evidence, Verdict
from verify.errors import RejectedError, UsageError
from verify.independent import vcheck
from verify.independent.command import NotAcceptedError
from verify.recheck import Checker

HEADER = """network n = onnx("m.onnx") {{ input x in [{low}, {high}]   output y }}
property p {{ forall s: n.input
  assert {assertion} }}
"""
Make = Callable[..., Path]
BIG = 2.0**24
ABSORBED = [node("Add", "x c", "h"), node("Sub", "h c", "y")]  # x + 2^24 - 2^24: exactly x, in float32 nearly a step
PLAIN = [node("Mul", "x one", "y")]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(nodes: Any, assertion: str, *, low: str = "0", high: str = "1", stored: Any = ()) -> Path:
        save(build(nodes, {"x": [1, 1]}, ["y"], stored), tmp_path)
        path = tmp_path / "s.nnspec"
        path.write_text(HEADER.format(low=low, high=high, assertion=assertion))
        return path

    return make


def scalar(value: float) -> Any:
    return np.array([value], dtype=np.float32)


def verdicts(path: Path, *, timeout: float = 20, **rest: Any) -> tuple[Any, Any]:
    spec = api.read_spec(path)
    (real,) = api.prove(spec, timeout=timeout)
    (float32,) = api.prove(spec, timeout=timeout, semantics="float32", **rest)
    return real, float32


def test_what_rounding_cannot_reach_is_proved(make: Make) -> None:
    real, float32 = verdicts(make(PLAIN, "n(s).y <= 1.001", stored={"one": scalar(1.0)}))
    assert real.verdict is float32.verdict is Verdict.PROVED
    assert float32.evidence is Evidence.KERNEL and float32.semantics == "float32"


def test_a_sum_that_absorbs_its_input_is_not_proved(make: Make) -> None:
    path = make(ABSORBED, "n(s).y >= 0.3", low="0.4", high="0.6", stored={"c": scalar(BIG)})
    real, float32 = verdicts(path)
    assert real.verdict is Verdict.PROVED  # although ONNX Runtime answers 0
    assert float32.verdict is Verdict.UNKNOWN and float32.reason == "rounding" and "rounding" in float32.notes[-1]


def test_a_bound_that_the_rounded_input_crosses_is_not_proved(make: Make) -> None:
    path = make([node("Relu", "x", "y")], "n(s).y <= 0.1", high="0.1")  # 0.1 in float32 is above 1/10
    real, float32 = verdicts(path)
    assert real.verdict is Verdict.PROVED and float32.verdict is Verdict.UNKNOWN
    real, float32 = verdicts(make([node("Relu", "x", "y")], "n(s).y <= 0.10001", high="0.1"))
    assert real.verdict is float32.verdict is Verdict.PROVED


def test_what_may_overflow_is_not_proved(make: Make) -> None:
    twice = [node("Mul", "x c", "h"), node("Mul", "h c", "g"), node("Mul", "g d", "y")]
    stored = {"c": scalar(2.0**70), "d": scalar(2.0**-120)}
    real, float32 = verdicts(make(twice, "n(s).y <= 2000000", stored=stored))
    assert real.verdict is Verdict.PROVED
    assert float32.verdict is Verdict.UNKNOWN and any("2^100" in note for note in float32.notes)


def test_a_counterexample_that_the_replay_confirms_refutes(make: Make) -> None:
    _, float32 = verdicts(make(PLAIN, "n(s).y <= 0.5", stored={"one": scalar(1.0)}))
    assert float32.verdict is Verdict.REFUTED and float32.witness is not None


def test_an_exists_is_denied_for_every_evaluation(make: Make) -> None:
    path = make(PLAIN, "n(s).y >= 1.1", stored={"one": scalar(1.0)})
    path.write_text(path.read_text().replace("forall", "exists"))
    _, float32 = verdicts(path)
    assert float32.verdict is Verdict.NO_WITNESS and float32.evidence is Evidence.KERNEL


def test_contradictory_assumptions_are_vacuous(make: Make, tmp_path: Path) -> None:
    path = make(PLAIN, "n(s).y <= 0.5", stored={"one": scalar(1.0)})
    path.write_text(path.read_text().replace("  assert", "  assume s.x >= 2\n  assert"))
    report = api.prove(api.read_spec(path), semantics="float32", certificates=tmp_path / "e")
    (result,) = report
    assert result.verdict is Verdict.VACUOUS and result.certificate is not None
    assert decode(Path(result.certificate).read_bytes()).semantics == "real"
    assert api.check(result.certificate).accepted


def test_operators_without_a_rule_are_an_error_and_no_proof(make: Make) -> None:
    _, float32 = verdicts(make([node("HardSigmoid", "x", "y")], "n(s).y <= 2"))
    assert float32.verdict is Verdict.ERROR and float32.error is not None and float32.error.code == "E123"


def test_two_copies_count_both_errors(make: Make) -> None:
    path = make(PLAIN, "", stored={"one": scalar(1.0)})
    text = path.read_text().split("property")[0]
    body = "property p {{ forall a, b: n.input\n  assume a.x <= b.x\n  assert n(a).y <= n(b).y + {} }}\n"
    for margin, expected in (("0", Verdict.UNKNOWN), ("0.0000001", Verdict.UNKNOWN), ("0.000001", Verdict.PROVED)):
        path.write_text(text + body.format(margin))
        real, float32 = verdicts(path, timeout=20 if expected is Verdict.PROVED else 4)
        assert (real.verdict, float32.verdict) == (Verdict.PROVED, expected)


def test_unknown_semantics(make: Make) -> None:
    with pytest.raises(UsageError, match="float16"):
        api.prove(api.read_spec(make(PLAIN, "n(s).y <= 2", stored={"one": scalar(1.0)})), semantics="float16")


@pytest.fixture
def proved(make: Make, tmp_path: Path) -> Path:
    path = make(PLAIN, "n(s).y <= 1.001", stored={"one": scalar(1.0)})
    (result,) = api.prove_files(path, semantics="float32", certificates=tmp_path / "e")
    assert result.certificate is not None and result.certificate.endswith(".float32.vcert")
    return Path(result.certificate)


def test_the_certificate_is_checked_again(proved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert decode(proved.read_bytes()).semantics == FLOAT32
    for words in ([], ["--reference"]):
        assert main(["check", str(proved), *words]) == 0
    out = capsys.readouterr().out
    assert "PROVED (float32, any evaluation order)" in out and "Winograd" in out and "flush-to-zero" in out


def rewritten(path: Path, **changes: Any) -> Path:
    path.write_bytes(encode(replace(decode(path.read_bytes()), **changes)))  # type: ignore[type-var]
    return path


def test_a_certificate_of_other_operations_is_rejected(proved: Path) -> None:
    outcome = api.check(rewritten(proved, programs={"n": "0a" * 32}))
    assert isinstance(outcome.error, RejectedError) and "float32 operations" in outcome.error.message


def test_a_proof_over_the_reals_is_none_of_float32(make: Make, tmp_path: Path) -> None:
    path = make([node("Relu", "x", "y")], "n(s).y <= 0.1", high="0.1")
    (result,) = api.prove_files(path, certificates=tmp_path / "e")
    assert result.certificate is not None
    real = Path(result.certificate)
    path = make([node("Relu", "x", "y")], "n(s).y <= 0.1", high="0.1")
    from verify.importer.rounding import float32_programs

    spec = api.read_spec(path)
    programs = {k: p.digest for k, p in float32_programs(spec.properties[0].query, spec.networks).items()}
    payload = decode(real.read_bytes()).payload  # type: ignore[union-attr]
    for forged in (payload, b"\0" + payload, b"\1\0\0" + payload):
        outcome = api.check(rewritten(real, semantics=FLOAT32, programs=programs, payload=forged))
        assert not outcome.accepted


def test_a_proof_of_float32_with_the_header_of_the_reals_is_rejected(proved: Path) -> None:
    assert not api.check(rewritten(proved, semantics="real", programs={})).accepted


@pytest.mark.parametrize("prefix", [b"\2", b"\5\0\0", b"\1" * 20_000])
def test_parts_that_are_none_are_rejected(proved: Path, prefix: bytes) -> None:
    payload = decode(proved.read_bytes()).payload  # type: ignore[union-attr]
    assert not api.check(rewritten(proved, payload=prefix + payload)).accepted


def test_the_command_line(make: Make, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(make(PLAIN, "n(s).y <= 1.001", stored={"one": scalar(1.0)}))
    assert main(["run", path, "--semantics", "float32"]) == 0
    assert "PROVED    (float32, any evaluation order)  p" in capsys.readouterr().out
    assert main(["run", path, "--semantics", "float32", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["semantics"] == "float32" and document["results"][0]["evidence"] == "kernel"
    assert main(["run", path, "--semantics", "float16"]) == 2


def test_ci_keeps_proofs_of_its_semantics(make: Make, tmp_path: Path) -> None:
    path = make(PLAIN, "n(s).y <= 1.001", stored={"one": scalar(1.0)})

    def run(semantics: str, *, update: bool) -> list[Any]:
        target = Target(str(path), str(tmp_path / "proofs"), {}, {}, semantics=semantics)
        return Keeper(target, update, Checker(), lambda _: None).run()

    names = lambda: sorted(p.name.split(".", 3)[3] for p in (tmp_path / "proofs").iterdir())  # noqa: E731
    run("real", update=True)
    assert names() == ["vcert"]
    assert any(case.problems for case in run("float32", update=False))
    assert not any(case.problems for case in run("float32", update=True)) and names() == ["float32.vcert"]
    (case,) = run("float32", update=False)
    assert case.how == "checked" and not case.problems


def test_the_one_file_checker_refuses_float32(proved: Path) -> None:
    with pytest.raises(NotAcceptedError, match="real numbers only"):
        vcheck.check(proved.read_bytes(), None)  # type: ignore[arg-type]
