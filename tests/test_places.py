"""The excerpt under an error: carets stand under the text whatever characters are before it."""

from __future__ import annotations

import pickle
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from verify.errors import SpecError, VerifyError, combine
from verify.places import TAB, WINDOW, Mark, Place, excerpt


def shown(*marks: Mark) -> str:
    return "\n".join(excerpt(marks[0], marks[1:]))


def place(source: str, column: int, width: int = 1, line: int = 1) -> Place:
    return Place("f", line, column, width, source)


def test_two_marks_on_one_line() -> None:
    source = "assert s.x <= s.v"
    text = shown(Mark(place(source, 15, 3), "in [m/s]"), Mark(place(source, 8, 3), "in [m]"))
    assert text == ("  --> f:1:15\n   1 | assert s.x <= s.v\n              ---    ^^^ in [m/s]\n              in [m]")


def test_marks_on_two_lines_are_in_the_order_of_the_file() -> None:
    text = shown(
        Mark(place("const a = 2", 7, line=4), "declared again here"),
        Mark(place("const a = 1", 7, line=2), "first declared here"),
    )
    assert [line[:4].strip() for line in text.splitlines()] == ["--", "2", "", "4", ""]


def test_another_file_comes_last_with_its_name() -> None:
    other = Place("g", 7, 1, 5, "input")
    assert shown(Mark(place("x", 1)), Mark(other, "here")).splitlines()[3:] == [
        "  ::: g:7:1",
        "   7 | input",
        "       ----- here",
    ]


def test_what_a_terminal_might_obey_is_replaced() -> None:
    text = shown(Mark(place("a\x1b[31m\x00\u202eb", 9)))
    assert text.splitlines()[1] == "   1 | a�[31m��b"
    assert text.splitlines()[2] == " " * 15 + "^"


def test_an_unknown_place_is_only_named() -> None:
    assert shown(Mark(Place("f"))) == "  --> f"
    assert shown(Mark(Place("f", 3))) == "  --> f:3"


def cells(text: str) -> int:
    """Columns of a terminal."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me") else 2 if unicodedata.east_asian_width(c) in "WF" else 1
        for c in text
    )


LINES = st.text(st.sampled_from("ab \t漢字ée\u0301\x00\u200b𝔸…"), min_size=1, max_size=60)


@given(LINES, st.data())
def test_the_caret_is_under_its_character(source: str, data: st.DataObject) -> None:
    column = data.draw(st.integers(1, len(source)))
    if unicodedata.category(source[column - 1]) in ("Mn", "Me") or source[column - 1] == "\t":
        return
    _, text, row = shown(Mark(place(source, column))).splitlines()
    assert row.strip() == "^" * cells(source[column - 1]) or row.strip() == "^"
    reached = 0
    for character in text:
        if reached == row.index("^"):
            break
        reached += cells(character)
    assert reached == row.index("^")


@given(st.integers(1, 5000), st.integers(1, 5000))
def test_long_lines_are_cut_around_the_caret(column: int, length: int) -> None:
    source = "".join(chr(97 + k % 26) for k in range(max(column, length)))
    _, text, row = shown(Mark(place(source, column))).splitlines()
    assert len(text) <= WINDOW + 10
    assert text[row.index("^")] == source[column - 1]


def test_tabs_take_the_columns_a_terminal_gives_them() -> None:
    _, text, row = shown(Mark(place("\ta\tb", 4))).splitlines()
    assert text.index("b") == row.index("^") == 7 + 2 * TAB


def test_several_errors_are_one_in_the_order_of_the_file_and_travel() -> None:
    late = SpecError("E310", "late", place=place("x", 1, line=9), also=[Mark(place("y", 1), "l")], label="m")
    early = SpecError("E311", "early", place=place("x", 1, line=2))
    one = combine([late, early, late])
    assert (one, one.more) == (early, (late,))
    again = pickle.loads(pickle.dumps(one))
    assert isinstance(again, SpecError)
    assert [str(e) for e in (again, *again.more)] == [str(early), str(late)]


def test_a_subclass_with_other_arguments_travels() -> None:
    from verify.core.floats import OutOfRangeError

    again = pickle.loads(pickle.dumps(OutOfRangeError()))
    assert isinstance(again, VerifyError)
    assert again.code == "E403"
