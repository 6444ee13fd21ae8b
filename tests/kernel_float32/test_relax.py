"""The relaxed query covers every float32 evaluation: boxes, symbols, parts, errors, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from tests.kernel_float32.test_rounding import Evaluation, program_of
from tests.search.networks import network, over_box
from tests.strategies import networks
from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.normal_form import Box, normal_form
from verify.core.payload import Stream
from verify.core.query import Affine, And, Copy, Or, Query, Row
from verify.kernel import RejectedError
from verify.kernel_float32 import relax as float32
from verify.kernel_float32.relax import MAX_PARTS, Rounded, _over_symbols, _parts, halves, inputs_only, relax

SUM = network(2, ([(0, [[1, 3]])], [0], False))
SQUARE = Box((Fraction(1), Fraction(-5)), (Fraction(3), Fraction(7)))


def of_model(query: Query, *raw: Affine, model: str = "n", first: int = 0) -> Query:
    """The query with one copy of its network, fed like this (else with its variables as they are)."""
    fed = raw or tuple(Affine(((i, Fraction(1)),)) for i in range(query.network.input_size))
    return replace(query, copies=(Copy("n", model, fed, first),))


def outputs_of(net: Network) -> Query:
    return of_model(over_box(net, -1, 1, Row.of({}, {0: 1}, 0)))


def test_symbols_run_through_the_box() -> None:
    affine = Affine(((0, Fraction(4)), (1, Fraction(-1))), Fraction(10))
    assert _over_symbols(affine, SQUARE, {0: 0, 1: 1}) == Affine(((0, Fraction(4)), (1, Fraction(-6))), Fraction(17))
    flat = Box(SQUARE.lower, (SQUARE.lower[0], SQUARE.upper[1]))
    assert _over_symbols(affine, flat, {1: 0}) == Affine(((0, Fraction(-6)),), Fraction(13))


def test_parts_cover_the_box_and_share_their_faces() -> None:
    low, high = halves(SQUARE, 1)
    assert (low.lower, low.upper) == (SQUARE.lower, (3, 1)) and (high.lower, high.upper) == ((1, 1), SQUARE.upper)
    (left, right) = halves(low, 0)
    assert list(_parts(SQUARE, Stream(bytes([0])))) == [SQUARE]
    assert list(_parts(SQUARE, Stream(bytes([2, 1, 0, 0, 0])))) == [left, right, high]
    assert list(_parts(SQUARE, Stream(bytes([2, 0, 1, 0, 0])))) == [low, *halves(high, 0)]
    with pytest.raises(RejectedError, match="no variable 2"):
        list(_parts(SQUARE, Stream(bytes([3, 0, 0]))))
    with pytest.raises(RejectedError, match="in the middle"):
        list(_parts(SQUARE, Stream(bytes([2, 0]))))
    with pytest.raises(RejectedError, match=f"more than {MAX_PARTS} parts"):
        list(_parts(SQUARE, Stream(bytes([1]) * (MAX_PARTS + 2))))


def test_too_many_parts_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(float32, "MAX_PARTS", 8)
    tree = bytes([0])
    for _ in range(3):
        tree = bytes([1]) + tree + tree
    rounded = Rounded(outputs_of(SUM), {"n": program_of(SUM)})
    relax(rounded, Stream(tree))  # as many as there may be; then one of them is halved once more
    with pytest.raises(RejectedError, match="more than 8 parts"):
        relax(rounded, Stream(tree[:-1] + bytes([1, 0, 0])))


def test_errors_are_those_of_the_whole_box() -> None:
    """Not of its centre, where everything is zero; outputs that a row leaves out count for nothing."""
    net = network(2, ([(0, [[1, 3], [2, 1]])], [0, 0], False))
    part = Rounded(outputs_of(net), {"n": program_of(net)}).part(Box((Fraction(-1),) * 2, (Fraction(1),) * 2))
    one, unit = Fraction(1), Fraction(1, 2**24)
    assert 4 * unit <= part.error(((0, one),)) <= 64 * unit
    assert part.error(((0, one),)) == part.error(((0, one), (1, Fraction(0)))) < part.error(((0, one), (1, one)))


def test_only_inputs_of_an_assumption_are_kept() -> None:
    over_inputs, over_outputs = Row.of({0: 1}, {}, 3), Row.of({0: 1}, {0: 1}, 3)
    assert inputs_only(over_inputs) == over_inputs and inputs_only(over_outputs) == And(())
    assert inputs_only(And((over_inputs, over_outputs))) in (over_inputs, And((over_inputs,)))
    assert inputs_only(Or((over_inputs, over_outputs))) in (And(()), Or((over_inputs, And(()))))


def test_what_does_not_fit_is_refused() -> None:
    query, program = outputs_of(SUM), program_of(SUM)
    Rounded(query, {"n": program})
    one = Affine(((2, Fraction(1)),))  # the output of the first copy
    chained = replace(query, copies=(*query.copies, Copy("m", "n", (one, one), 1)))
    wrong = {
        "no program": (query, {"m": program}),
        "fed with what others give": (chained, {"n": program}),
        "does not fit its model": (of_model(query, Affine(((0, Fraction(1)),))), {"n": program}),
        "other outputs": (replace(query, copies=()), {"n": program}),
    }
    for reason, (asked, programs) in wrong.items():
        with pytest.raises(RejectedError, match=reason):
            Rounded(asked, programs)
    with pytest.raises(RejectedError, match="does not fit its model"):
        Rounded(of_model(query, first=1), {"n": program})


fractions = st.fractions(-3, 3, max_denominator=64)


@given(st.data())
@settings(max_examples=60)
def test_every_evaluation_satisfies_the_relaxed_rows(data: DataObject) -> None:
    """The copy is fed with affine functions of the variables; a part of the box, a row, any order of evaluation."""
    net = data.draw(networks(weights=st.floats(-4, 4, width=32), max_relus=4))
    query = outputs_of(net)
    d = net.input_size
    raw = [Affine(((i, data.draw(fractions.filter(bool))),), data.draw(fractions)) for i in range(d)]
    low = [data.draw(fractions) for _ in range(d)]
    box = Box(tuple(low), tuple(a + abs(data.draw(fractions)) for a in low))
    part = Rounded(of_model(query, *raw), {"n": program_of(net)}).part(box)
    share = st.sampled_from([Fraction(0), Fraction(1, 3), Fraction(1)])
    x = [a + (b - a) * data.draw(share) for a, b in zip(box.lower, box.upper, strict=True)]
    fed = [affine(x) for affine in raw]
    outputs = tuple((e, data.draw(fractions)) for e in range(net.output_size))
    exact, found = evaluate(net, fed), Evaluation(data).run(net, fed)
    off = sum((c * (found[e] - exact[e]) for e, c in outputs), Fraction(0))
    assert abs(off) <= part.error(outputs)


def test_the_relaxed_query_is_the_query_and_its_errors() -> None:
    query = outputs_of(SUM)
    (region,) = normal_form(query).regions
    rounded = Rounded(query, {"n": program_of(SUM)})
    low, high = halves(region.box, 0)
    relaxed = relax(rounded, Stream(bytes([1, 0, 0])))
    boxes = [r.box for r in normal_form(relaxed).regions]
    assert boxes == [low, high]
    for box, found in zip((low, high), normal_form(relaxed).regions, strict=True):
        ((row,),) = found.cases
        assert row.bound == rounded.part(box).error(row.outputs) > 0
