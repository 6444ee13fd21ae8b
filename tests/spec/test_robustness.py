"""What no person writes: an error with its place, in bounded time.  Each text once took minutes, or would."""

from __future__ import annotations

import re

import pytest

from verify.errors import MOST_ERRORS, SpecError
from verify.spec.check import check_spec
from verify.spec.diagnose import diagnose
from verify.spec.parse import MAX_LENGTH, parse_text

NETWORK = 'network n = onnx("n.onnx") { input x in [0, 1]  output y }\n'
START = NETWORK + "property p {\n  forall s : n.input\n"

TEXTS = {
    "one long word before a mistake": (START + "  assert " + "x" * 300_000 + " <= + 1\n}\n", "E301"),
    "a long word": ("x" * 1_000_000, "E301"),
    "a long number": ("const k = " + "7" * 1_000_000, "E305"),
    "a huge exponent": ("const k = 1e999999999", "E305"),
    "an exponent of many digits": ("const k = 1e" + "9" * 100_000, "E305"),
    "open brackets": ("(" * 1_000_000, "E304"),
    "brackets in order": (START + "  assert " + "(" * 300_000 + "true" + ")" * 300_000 + "\n}\n", "E304"),
    "negations": (START + "  assert " + "not " * 50_000 + "true\n}\n", "E304"),
    "closing brackets": (")" * 1_000_000, "E303"),
    "quotes": ('"' * 1_000_001, "E301"),
    "attributes": ("@expect(x)\n" * 5_000, "E301"),
    "statements without an end": (START + "  assert s.x <=\n" * 20_000 + "}\n", "E301"),
    "bad properties": ("".join(f"property p{k} {{ forall s << }}\n" for k in range(5_000)), "E301"),
    "a file without end": (NETWORK + "# nothing\n" * (MAX_LENGTH // 10 + 1), "E309"),
    "null characters": ("\x00" * 100_000, "E301"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_refused(name: str) -> None:
    text, code = TEXTS[name]
    errors = diagnose(text, "f.nnspec", {}).errors
    assert errors[0].code == code
    assert 1 <= len(errors) <= MOST_ERRORS
    for error in errors:
        assert len(str(error)) < 2_000
        assert error.place is not None


def test_indices_far_outside_are_no_loop() -> None:
    text = START + "  assert all i in 0..999999999999 : s.x <= i\n}\n"
    assert diagnose(text, "f.nnspec", {}).errors[0].code == "E308"


@pytest.mark.parametrize("ends", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_and_byte_order_mark(ends: str, mark: str) -> None:
    text = mark + (START + "  assert s.z <= 1\n}\n").replace("\n", ends)
    (error,) = diagnose(text, "f.nnspec", {}).errors
    assert error.place is not None
    assert (error.place.line, error.place.column, error.place.source) == (4, 12, "  assert s.z <= 1")


def test_columns_count_characters_not_bytes_or_cells() -> None:
    text = NETWORK + 'property p "漢字 é 𝔸" { forall s : n.input  assert s.z <= 1 }\n'
    (error,) = diagnose(text, "f.nnspec", {}).errors
    assert error.place is not None
    assert error.place.column == text.split("\n")[1].index("z") + 1
    assert str(error).splitlines()[3].index("^") == 7 + error.place.column - 1 + 2


def test_mistakes_of_the_same_place_are_told_once() -> None:
    text = NETWORK + "define f(s: n.input) = s.z <= 1\nproperty p { forall s : n.input  assert f(s) and f(s) }\n"
    assert [e.code for e in diagnose(text, "f.nnspec", {}).errors] == ["E315"]


@pytest.mark.parametrize(
    "declaration",
    [
        "unit km = 1000[mm]",
        "const limit = 1 / 0",
        "param limit = oops",
        "define near(s: n.input) = s.nope <= 1",
        "define near(s: m.input) = s.x <= 1",
        'network k = onnx("k.onnx") { input x [ft]  output y }',
        "const limit = (1",
        "define near(s: n.input) = s.x <=",
    ],
)
def test_uses_of_a_broken_declaration_are_not_mistakes(declaration: str) -> None:
    uses = ["s.x <= 5[km]", "s.x <= limit", "near(s)", "k(x = s.x).y <= 1", "near(s) and s.x + limit <= 2[km]"]
    word = declaration.replace("=", " ").replace("(", " ").split()[1]
    used = [u for u in uses if re.search(rf"\b{word}\b", u)]
    assert used
    text = f"{NETWORK}{declaration}\nproperty p {{\n  forall s : n.input\n" + "".join(
        f"  assert {u}\n" for u in used[:1]
    )
    (error,) = diagnose(text + "}\n", "f.nnspec", {}).errors
    assert error.place is not None
    assert error.place.line == 2


def test_checking_raises_all_mistakes_as_one() -> None:
    text = START + "  assert s.z <= 1\n  assert s.w <= 1\n}\n"
    with pytest.raises(SpecError) as caught:
        check_spec(parse_text(text, "f.nnspec"), {})
    assert [e.place.line for e in (caught.value, *caught.value.more) if e.place] == [4, 5]


def test_a_property_with_a_syntax_error_is_read_on() -> None:
    text = START + "  assume s.x < < 1\n  let y = \n  assert s.x ≤ 1\n}\n"
    assert [(e.code, e.place.line) for e in diagnose(text, "f.nnspec", {}).errors if e.place] == [
        ("E301", 4),
        ("E301", 5),
        ("E301", 6),
    ]


def test_the_package_keeps_its_functions_when_its_submodules_are_imported() -> None:
    import verify.spec

    assert verify.spec.parse("property p { forall x : [0, 1]  assert x <= 1 }", "f").properties == ("p",)
