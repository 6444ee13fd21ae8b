"""Mistakes that only lowering finds, and limits.  The messages themselves are golden in tests/errors."""

from __future__ import annotations

import pytest

from tests.spec.models import random_network
from verify.errors import SpecError
from verify.spec import check, lower, parse
from verify.spec.codes import CODES

ONE = """network n = onnx("n.onnx") {
  input x in [0, 1]  input v
  output a, b
}
param eps in [0, 1] = 1/2
property p {
  forall s : n.input
  assume %s
  assert %s
}
"""


def lowering_error(assume: str, claim: str, **params: str) -> SpecError:
    with pytest.raises(SpecError) as caught:
        lower(parse(ONE % (assume, claim), "case.nnspec"), {"n": random_network(2, 2)}, params)
    assert caught.value.code in CODES
    return caught.value


def place(error: SpecError) -> tuple[str, int, int]:
    assert error.place is not None
    return error.code, error.place.line, error.place.column


BOUNDED = "0 <= s.v <= 1"


@pytest.mark.parametrize(
    ("assume", "missing"),
    [
        ("true", "lower"),
        ("s.v <= 1", "lower"),
        ("s.v >= 0", "upper"),
        ("s.v + s.x <= 1 and s.v >= 0", "upper"),
        ("s.v >= 0 and (s.v <= 1 or s.x <= 1/2)", "upper"),
        ("n(s).a <= 1", "lower"),
    ],
)
def test_missing_bound_names_the_declaration(assume: str, missing: str) -> None:
    error = lowering_error(assume, "n(s).a <= 1")
    assert place(error) == ("E344", 2, 28)
    assert f"input `s.v` has no {missing} bound in property `p` (line 9)" in error.message
    assert "declare a range" in error.fix


@pytest.mark.parametrize(
    "assume", [BOUNDED, "abs(s.v) <= 3", "s.v == 0 or s.v == 1", "false", "max(s.v, -s.v) < s.x and abs(s.v) < 9"]
)
def test_bounds_from_assumptions_suffice(assume: str) -> None:
    (prop,) = lower(parse(ONE % (assume, "n(s).a <= 1"), "case.nnspec"), {"n": random_network(2, 2)}, {})
    assert prop.name == "p"


@pytest.mark.parametrize(
    ("value", "code", "words"),
    [
        ("2", "E352", "param `eps` is 2, outside [0, 1]"),
        ("-1/100", "E352", "param `eps` is -1/100"),
        ("abc", "E351", "`abc` is not a value"),
        ("", "E351", "is not a value"),
        ("1/0", "E351", "`1/0` is not a value"),
        ("1 m", "E351", "unknown unit `m`"),
        ("0x10", "E351", "unknown unit `x10`"),
    ],
)
def test_param_overrides(value: str, code: str, words: str) -> None:
    error = lowering_error(BOUNDED, "n(s).a <= eps", eps=value)
    assert place(error) == (code, 5, 7)
    assert words in error.message


def test_unknown_param() -> None:
    error = lowering_error(BOUNDED, "true", epps="1")
    assert (error.code, error.fix) == ("E350", "did you mean `eps`?")


def test_field_count_against_the_model() -> None:
    spec = parse(ONE % (BOUNDED, "n(s).a <= 1"), "case.nnspec")
    with pytest.raises(SpecError) as caught:
        lower(spec, {"n": random_network(3, 2)}, {})
    assert place(caught.value) == ("E345", 1, 9)
    assert caught.value.message == "`n` declares 2 input numbers, but its model has 3 (x[1, 3])"
    assert "verify inspect" in caught.value.fix
    with pytest.raises(SpecError, match="declares 2 output numbers, but its model has 5"):
        lower(spec, {"n": random_network(2, 5)}, {})


def test_missing_model() -> None:
    with pytest.raises(SpecError) as caught:
        lower(parse(ONE % (BOUNDED, "n(s).a <= 1"), "case.nnspec"), {}, {})
    assert place(caught.value) == ("E346", 1, 9)


def test_explosion_is_an_error_not_a_hang() -> None:
    terms = " + ".join(f"max(abs(s.x - {k}/50), s.v * {k}, min(s.x, {k}))" for k in range(60))
    error = lowering_error(BOUNDED, f"{terms} <= 1")
    assert error.code == "E308"
    doubling = "\n".join(f"define f{k + 1}(u: n.input) = f{k}(u) + f{k}(u)" for k in range(40))
    text = ONE % (BOUNDED, "f40(s) <= 1")
    text = text.replace("property p", f"define f0(u: n.input) = u.x\n{doubling}\nproperty p")
    with pytest.raises(SpecError) as caught:
        check(parse(text, "case.nnspec"), {})
    assert caught.value.code == "E308"


def test_growing_numbers_are_an_error() -> None:
    squares = "const k0 = 1e900\n" + "".join(f"const k{i + 1} = k{i} * k{i}\n" for i in range(30))
    with pytest.raises(SpecError) as caught:
        check(parse(squares + ONE % (BOUNDED, "true"), "case.nnspec"), {})
    assert caught.value.code == "E305"


@pytest.mark.parametrize(
    "claim",
    [
        "(" * 90 + "s.x" + ")" * 90 + " <= 1",
        "not " * 90 + "s.x <= 1",
        "-" * 90 + "s.x <= 1",
        " => ".join(["s.x <= 1"] * 90),
        "s.x <= 1" + " and s.x <= 1" * 3000,
        "s.x" + " + s.x" * 3000 + " <= 1",
    ],
)
def test_nesting_within_the_limit_works(claim: str) -> None:
    (prop,) = lower(parse(ONE % (BOUNDED, claim), "case.nnspec"), {"n": random_network(2, 2)}, {})
    assert prop.query.quantifier == "forall"


@pytest.mark.parametrize(
    "claim",
    [
        "(" * 5000 + "s.x" + ")" * 5000 + " <= 1",
        "not " * 5000 + "s.x <= 1",
        "-" * 5000 + "s.x <= 1",
        " => ".join(["s.x <= 1"] * 5000),
        "if s.x <= 1 then true else " * 5000 + "true",
        "max(1, " * 5000 + "s.x" + ")" * 5000 + " <= 1",
        "s" + ".x" * 5000 + " <= 1",
    ],
)
def test_nesting_beyond_the_limit_is_an_error(claim: str) -> None:
    assert lowering_error(BOUNDED, claim).code == "E304"


def test_nesting_through_lets_is_bounded() -> None:
    lets = "let l0 = s.x\n" + "".join(f"let l{k + 1} = max(l{k} + 1, -l{k})\n" for k in range(500))
    text = (ONE % (BOUNDED, "l500 <= 1")).replace("assert", lets + "assert")
    with pytest.raises(SpecError) as caught:
        check(parse(text, "case.nnspec"), {})
    assert caught.value.code == "E304"
    facts = "let b0 = s.x <= 1\n" + "".join(
        f"let b{k + 1} = (b{k} {'and' if k % 2 else 'or'} s.v <= {k})\n" for k in range(500)
    )
    text = (ONE % (BOUNDED, "b500")).replace("assert", facts + "assert")
    with pytest.raises(SpecError) as caught:
        check(parse(text, "case.nnspec"), {})
    assert caught.value.code == "E304"
