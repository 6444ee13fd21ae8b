"""Every shipped spec: verdicts are as expected, and each witness is reproduced by evaluating it."""

from __future__ import annotations

from pathlib import Path

import pytest

import verify

SPECS = sorted(Path(__file__).parents[2].glob("specs/*/*.nnspec"))


def test_there_are_at_least_four_specs() -> None:
    assert len(SPECS) >= 4


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_verdicts_are_as_expected_and_witnesses_replay(path: Path) -> None:
    spec = verify.read_spec(path)
    report = verify.prove(spec, timeout=60)
    verdicts = {result.verdict for result in report}
    assert verify.Verdict.PROVED in verdicts
    assert verify.Verdict.REFUTED in verdicts
    for result in report:
        assert result.expected is not None, f"{result.name} says no @expect"
        assert result.verdict is result.expected, result
        if result.witness is not None:
            assert result.query is not None
            fields = zip(result.query.inputs, result.witness.x, strict=True)
            point = {field.name: field.physical(value) for field, value in fields}
            (at,) = [p for p in verify.evaluate(spec, point).properties if p.name == result.name]
            assert at.assumption_holds
            assert at.assertion_holds is (result.verdict is verify.Verdict.WITNESSED)
    assert report.exit_code == 0
