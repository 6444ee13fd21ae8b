"""Verdicts that mean little say so: clashing assumptions, asserts that need no network, idle definitions."""

from __future__ import annotations

import pytest

from tests.spec.models import random_network
from verify.core.property import Property
from verify.core.query import conjunction
from verify.run.meaning import _contradictory, clashing_assumptions, holds_without_network
from verify.spec import lower, parse

BLOCK = 'network n = onnx("n") {\n  input x in [0, 1]  input y in [0, 1]\n  output a, b\n}\n'


def one(body: str, before: str = "") -> Property:
    text = f"{BLOCK}{before}\nproperty p {{\n  forall s : n.input\n  {body}\n}}\n"
    (prop,) = lower(parse(text, "t.nnspec"), {"n": random_network(2, 2)}, {})
    return prop


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        ("assume s.x >= 2\n  assume s.y <= 1/2\n  assert n(s).a <= 1", ["`s.x` in [0, 1]", "`assume s.x >= 2`"]),
        (
            "assume s.x + s.y < 1/2\n  assume s.y >= 1/4\n  assume s.x >= 1/4\n  assert n(s).a <= 1",
            ["`assume s.x + s.y < 1/2`", "`assume s.y >= 1/4`", "`assume s.x >= 1/4`"],
        ),
        ("assume s.x == s.y and s.x != s.y\n  assert n(s).a <= 1", ["`assume s.x == s.y and s.x != s.y`"]),
        ("assume n(s).a < 0 and n(s).a > 0\n  assert n(s).a <= 1", []),
        ("assume s.x >= 1\n  assert n(s).a <= 1", []),
    ],
)
def test_minimal_clash(body: str, parts: list[str]) -> None:
    prop = one(body)
    clash = clashing_assumptions(prop)
    assert [p.text for p in clash] == parts
    for left_out in clash:
        rest = [p.formula for p in clash if p is not left_out]
        assert _contradictory(prop, [conjunction(rest)], float("inf")) is False


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("assume n(s).a <= 1\n  assert n(s).a <= 2", True),
        ("assert n(s).a <= n(s).a + s.x", False),  # mentions no output once simplified: a warning of its own
        ("assert n(s).a <= n(s).b or n(s).b <= n(s).a", True),
        ("assert n(s).a <= n(s).b", False),
        ("assert argmax(n(s)) is a", False),
        ("assert not (argmax(n(s)) may be a)", False),
        ("assume n(s).a <= 1\n  assert n(s).a <= 1/2", False),
    ],
)
def test_asserts_that_need_no_network(body: str, expected: bool) -> None:
    assert holds_without_network(one(body)) is expected


@pytest.mark.parametrize(
    ("body", "before", "words"),
    [
        ("assert n(s).a <= 1", "const k = 3", ["const `k` is never used"]),
        ("assert n(s).a <= 1", "param k = 3", ["param `k` is never used"]),
        ("assert n(s).a <= 1", "define f(q: n.input) = q.x", ["definition `f` is never used"]),
        ("let u = s.x\n  let v = u\n  assert n(s).a <= 1", "", ["`let v` is never used"]),
        ("assert n(s).a <= k", "const k = 3", []),
        ("assert s.x > 1 or n(s).a <= 1", "", ["`s.x > 1` is never true"]),
        ("assert s.x >= 1 or n(s).a <= 1", "", []),
        ("assert s.x + s.y > 2 => n(s).a <= 1", "", ["`s.x + s.y > 2` is never true"]),
        ("assert n(s).a <= (if s.y < 0 then 1 else 2)", "", ["`s.y < 0` is never true"]),
        ("assert s.x <= 1", "", ["decided without any network"]),
    ],
)
def test_warnings(body: str, before: str, words: list[str]) -> None:
    warnings = one(body, before).warnings
    assert len(warnings) == len(words)
    assert all(w in text for w, text in zip(words, warnings, strict=True))
