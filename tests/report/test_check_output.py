from __future__ import annotations

import json
from dataclasses import replace

from tests.core.test_certificate import EXAMPLE as CERTIFICATE
from tests.core.test_witness_file import EXAMPLE as WITNESS
from tests.evidence import Accepted
from tests.report.golden import check_golden
from verify.errors import EvidenceError, RejectedError
from verify.recheck import Outcome
from verify.report.check import check_document, outcome_lines, summary_line
from verify.report.document import dumps
from verify.report.terminal import plain

PROOF = Accepted("unsat", "3d" * 32, {"zonotope": 5, "exact": 1}, "fast")
OUTCOMES = (
    Outcome("e/a.vcert", None, CERTIFICATE, PROOF, 812),
    Outcome(
        "e/b.vcert",
        None,
        replace(CERTIFICATE, verdict="VACUOUS"),
        replace(PROOF, leaves={"rows": 1}, mode="reference"),
        9,
    ),
    Outcome("e/c.witness", None, WITNESS, None, 907, ("not replayed: ONNX Runtime is not installed here",)),
    Outcome(
        "e/d.vcert", RejectedError("E512", "rule zonotope, leaf 17: the bound is not above 0"), CERTIFICATE, None, 812
    ),
    Outcome("e/e.vcert", RejectedError("E510", "the file ends within the header")),
    Outcome("e/f.vcert", EvidenceError("E501", "no such file", fix="name a .vcert or .witness file")),
)


def test_text() -> None:
    lines = [row for outcome in OUTCOMES for row in outcome_lines(outcome, explain=True)]
    check_golden("check.txt", plain([*lines, summary_line(OUTCOMES)]))


def test_files_cannot_steer_the_terminal() -> None:
    subject = replace(CERTIFICATE.subject, property="p\x1b[2J", spec=replace(CERTIFICATE.subject.spec, file="\x9b1m"))
    record = replace(CERTIFICATE, subject=subject)
    for outcome in (replace(OUTCOMES[0], record=record), replace(OUTCOMES[3], record=record)):
        assert plain(outcome_lines(outcome, explain=True)).replace("\n", "").isprintable()


def test_without_explanation() -> None:
    text = plain(outcome_lines(OUTCOMES[0], explain=False))
    assert "size" not in text and "leaves zonotope" not in text and "6 leaves" in text


def test_document() -> None:
    text = dumps(check_document(OUTCOMES))
    assert [r["accepted"] for r in json.loads(text)["results"]] == [True, True, True, False, False, False]
    check_golden("check.json", text)


def test_one_file() -> None:
    assert summary_line(OUTCOMES[:1]).text == "1 file: 1 accepted (exit 0)"
