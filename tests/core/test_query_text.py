from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given

from tests.report.examples import cartpole
from tests.strategies import queries
from verify.core.canonical_json import dumps
from verify.core.query import Affine, And, Copy, Field, Or, Query, Row
from verify.core.query_text import decode, encode
from verify.errors import RejectedError


def example() -> Query:
    """Units, scales, several copies, every kind of formula."""
    third = Fraction(1, 3)
    copies = (
        Copy("n(a)", "n", (Affine(((0, Fraction(2)), (1, -third)), third), Affine((), Fraction(5))), 0),
        Copy("n(b)", "n", (Affine(((1, Fraction(1)),)), Affine(((0, Fraction(1)),), Fraction(1))), 1),
    )
    fields = (Field("s.x", "m", Fraction(2), third), Field("s.\ud800", None))
    row = Row.of({0: 1, 1: third}, {1: -1}, Fraction(-7, 2), strict=True)
    return replace(
        cartpole(),
        inputs=fields,
        copies=copies,
        assumption=And((row, Or(()), Or((row, And(()))))),
        violation=Row.of({}, {0: 1}, 0),
        quantifier="exists",
    )


@given(queries())
def test_round_trip(query: Query) -> None:
    again = decode(encode(query), query.network)
    assert again == query and again.digest == query.digest


def test_round_trip_of_everything() -> None:
    query = example()
    again = decode(encode(query), query.network)
    assert again == query and again.digest == query.digest
    assert isinstance(again.violation, Row) and again.quantifier == "exists"


def changed(**change: Any) -> Callable[[dict[str, Any]], None]:
    return lambda found: found.update(change)


def at(*path: str | int, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(found: Any) -> None:
        for key in path[:-1]:
            found = found[key]
        found[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        changed(quantifier="some"),
        changed(more=1),
        changed(inputs=[]),
        changed(inputs=["a", "b", "c"]),
        changed(inputs={}),
        changed(inputs=["a", ["b", None, "0", "1"]]),
        changed(inputs=["a", ["b", None, "1", "0"]]),
        changed(inputs=["a", ["b", 1, "1", "2"]]),
        changed(inputs=["a", 3]),
        changed(assumption=[]),
        changed(assumption=["not", []]),
        changed(assumption="and"),
        changed(assumption=[[], [], [], "1"]),
        changed(assumption=["and", ["<=", [[2, "1"]], [], "1"]]),
        changed(assumption=["<=", [[-1, "1"]], [], "1"]),
        changed(assumption=["<=", [[1, "1"], [0, "1"]], [], "1"]),
        changed(assumption=["<=", [[0, "1"], [0, "1"]], [], "1"]),
        changed(assumption=["<=", [[0, "0"]], [], "1"]),
        changed(assumption=["<=", [[0, "2/2"]], [], "1"]),
        changed(assumption=["<=", [[0, 1]], [], "1"]),
        changed(assumption=["<=", [[0.0, "1"]], [], "1"]),
        changed(assumption=["<=", [[True, "1"]], [], "1"]),
        changed(assumption=["<=", [], [[2, "1"]], "1"]),
        changed(assumption=["<=", [], [], 1]),
        changed(assumption=["<=", [], [], "0.5"]),
        changed(assumption=["<=", [], []]),
        at("copies", 0, "first_output", value=2),
        at("copies", 0, "first_output", value=-1),
        at("copies", 0, "raw_inputs", 0, value=2),
        at("copies", 0, "raw_inputs", 0, value=True),
        at("copies", 0, "raw_inputs", 0, value=[[[0, "1"]], "0"]),
        at("copies", 0, "label", value=1),
        at("copies", 0, "more", value=1),
        at("copies", 0, value=[]),
    ],
)
def test_refused(change: Callable[[dict[str, Any]], None]) -> None:
    query = cartpole()
    found = json.loads(encode(query))
    change(found)
    with pytest.raises(RejectedError) as error:
        decode(dumps(found), query.network)
    assert error.value.code == "E510"


def test_another_network_is_refused() -> None:
    with pytest.raises(RejectedError):
        decode(encode(cartpole(2)), cartpole(3).network)
