"""The relational specs on every trained model of their kind: monotone, fair and Lipschitz, proved and refuted."""

from __future__ import annotations

from pathlib import Path

import pytest

import verify

ROOT = Path(__file__).parents[2]
CASES = [
    (kind, name, model)
    for kind, name in (("reward", "rm"), ("score", "credit"))
    for model in sorted((ROOT / "models" / kind).glob("*.onnx"))
]


def test_two_widths_and_three_seeds_each() -> None:
    assert len(CASES) == 12


@pytest.mark.parametrize(("kind", "name", "model"), CASES, ids=lambda c: c.stem if isinstance(c, Path) else "")
def test_verdicts_are_as_expected(kind: str, name: str, model: Path) -> None:
    spec = verify.read_spec(ROOT / "specs" / kind / f"{kind}.nnspec", networks={name: model})
    report = verify.prove(spec, timeout=30)
    for result in report:
        assert result.verdict is result.expected, result
