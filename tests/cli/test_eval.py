"""`verify eval` over a faked API."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from tests.report.examples import cartpole, spec_error
from tests.report.golden import check_golden
from verify import api
from verify.cli.main import main
from verify.core.property import Property
from verify.errors import Place

COPY = api.CopyAt(
    "pi(s)",
    "pi",
    (Fraction(1, 3), Fraction(-3)),
    (0.3333333432674408, -3.0),
    (Fraction(5, 4), Fraction(1, 3)),
    (1.25, 0.3333333432674408),
    {"pi(s).left": (Fraction(5, 4), None), "pi(s).right": (Fraction(1, 3), "N")},
)
EVALUATION = api.Evaluation(
    {"s.x": (Fraction(23, 30), "m"), "s.v": (Fraction(-3), "m/s")},
    (COPY,),
    (
        api.PropertyAt("lean", True, False, Fraction(-1, 20)),
        api.PropertyAt("calm", True, True, Fraction(1, 3)),
        api.PropertyAt("tie", True, True, Fraction(0)),
        api.PropertyAt("elsewhere", False, True, Fraction(1)),
        api.PropertyAt("plain", True, True, None),
    ),
    "onnxruntime 1.20.0",
)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    seen: dict[str, Any] = {}
    spec = api.Spec("a.nnspec", "ef" * 32, (Property("lean", cartpole(), Place("a.nnspec", 3)),), {}, {})

    def read_spec(path: str, **rest: Any) -> api.Spec:
        seen.update(path=path, **rest)
        return spec

    def evaluate(spec: api.Spec, at: dict[str, str]) -> api.Evaluation:
        seen.update(spec=spec, at=at)
        return EVALUATION

    monkeypatch.setattr(api, "read_spec", read_spec)
    monkeypatch.setattr(api, "evaluate", evaluate)
    return seen


def test_text(calls: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "a.nnspec", "--at", "s.x=23/30", "--at", "v=-3", "-p", "e=1", "--network", "pi=f"]) == 0
    assert calls["at"] == {"s.x": "23/30", "v": "-3"}
    assert calls["params"] == {"e": "1"} and calls["networks"] == {"pi": "f"}
    check_golden("eval.txt", capsys.readouterr().out)


@pytest.mark.usefixtures("calls")
def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["eval", "a.nnspec", "--at", "s.x=23/30", "--format", "json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["schema"] == "verify/eval/1"
    assert document["inputs"]["s.x"] == {"exact": "23/30", "unit": "m"}
    (copy,) = document["networks"]
    assert copy["raw_input"] == ["1/3", "-3"] and copy["replay_input"] == [0.3333333432674408, -3.0]
    assert copy["outputs"]["pi(s).right"] == {"exact": "1/3", "replay": 0.3333333432674408, "unit": "N"}
    assert document["properties"][0] == {
        "property": "lean",
        "assumption_holds": True,
        "assertion_holds": False,
        "margin": "-1/20",
    }


@pytest.mark.parametrize("format_", ["text", "json"])
def test_error(format_: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def read_spec(*_: Any, **__: Any) -> api.Spec:
        raise spec_error()

    monkeypatch.setattr(api, "read_spec", read_spec)
    assert main(["eval", "a.nnspec", "--at", "x=1", "--format", format_]) == 3
    out, err = capsys.readouterr()
    assert err == str(spec_error()) + "\n"
    assert out == "" if format_ == "text" else json.loads(out)["error"]["code"] == "E311"
