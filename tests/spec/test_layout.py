"""`verify fmt`: a golden layout; nothing but white space changes; a second pass changes nothing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.errors import SpecError
from verify.spec.layout import format_text
from verify.spec.parse import parse_text

ROOT = Path(__file__).parents[2]
SPECS = sorted([*ROOT.glob("specs/*/*.nnspec"), *ROOT.glob("tests/spec/examples/*.nnspec")])
MESSY = Path(__file__).with_name("layout_before.nnspec")
NEAT = Path(__file__).with_name("layout_after.nnspec")
TOKEN = re.compile(r'#[^\n]*|"[^"\n]*"|[\w.]+|\.\.|=>|[<>=!]=|[^\s\w]')


def meaning(text: str) -> str:
    """The syntax tree without places and texts."""

    def strip(value: object) -> object:
        if isinstance(value, tuple):
            return tuple(strip(v) for v in value)
        if hasattr(value, "__dataclass_fields__"):
            fields = {k: strip(v) for k, v in vars(value).items() if k not in ("place", "text", "file")}
            named = type(value).__name__ in ("Name", "Identifier")
            return (type(value).__name__, value.text if named else "", tuple(fields.items()))  # type: ignore[attr-defined]
        return value

    return repr(strip(parse_text(text, "f")))


def test_golden() -> None:
    assert format_text(MESSY.read_text(encoding="utf-8"), "f") == NEAT.read_text(encoding="utf-8")


@pytest.mark.parametrize("path", SPECS, ids=lambda p: p.stem)
def test_shipped_specs_keep_their_meaning_and_comments(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    laid = format_text(text, path.name)
    assert format_text(laid, path.name) == laid
    assert meaning(laid) == meaning(text)
    assert re.findall(r"#.*", laid) == [c.rstrip() for c in re.findall(r"#.*", text)]


@pytest.mark.parametrize("path", sorted(ROOT.glob("specs/*/*.nnspec")), ids=lambda p: p.stem)
def test_shipped_specs_are_in_canonical_layout(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert format_text(text, path.name) == text


@given(st.sampled_from([*SPECS, MESSY]), st.randoms(use_true_random=False))
def test_layout_is_the_same_whatever_the_spaces_were(path: Path, rng: object) -> None:
    """Other spaces between tokens, not other line breaks, give the same text."""
    laid = format_text(path.read_text(encoding="utf-8"), "f")

    def spaced(match: re.Match[str]) -> str:
        return match.group() + rng.choice([" ", "  ", "\t"]) if match.group()[0] not in '#"' else match.group()  # type: ignore[attr-defined]

    lines = [TOKEN.sub(spaced, line) if "#" not in line else line for line in laid.split("\n")]
    assert format_text("\n".join(lines), "f") == laid


@given(st.sampled_from([*SPECS, MESSY]), st.randoms(use_true_random=False))
def test_idempotent_with_comments_and_breaks_anywhere(path: Path, rng: object) -> None:
    text = path.read_text(encoding="utf-8")

    def broken(match: re.Match[str]) -> str:
        choice = rng.choice([match.group()] * 6 + ["\n", "\n\n\n", " # why\n", "\n  # own line\n"])  # type: ignore[attr-defined]
        return choice if match.group()[0] == " " else match.group()

    damaged = re.sub(r'#[^\n]*|"[^"\n]*"| +', broken, text)
    laid = format_text(damaged, "f")
    assert format_text(laid, "f") == laid
    assert meaning(laid) == meaning(text)
    assert re.findall(r"#.*", laid) == [c.rstrip() for c in re.findall(r"#.*", damaged)]


def test_line_ends_and_byte_order_mark() -> None:
    text = NEAT.read_text(encoding="utf-8")
    assert format_text("\ufeff" + text.replace("\n", "\r\n"), "f") == text
    assert format_text(text.rstrip("\n"), "f") == text


def test_what_does_not_parse_is_refused() -> None:
    with pytest.raises(SpecError, match="never closed"):
        format_text("property p { forall x : [0, 1]  assert x <= 1", "f")
