"""The lowered formula means what the property says, exactly, at every point: against an independent interpreter."""

from __future__ import annotations

import random
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from bench import lowering
from tests.spec.reference import Reference
from tests.spec.sentences import NETWORKS, property_text
from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.query import Query, holds
from verify.spec import lower, parse


@st.composite
def cases(draw: DrawFn) -> tuple[str, list[list[Fraction]]]:
    text = property_text(lambda options: draw(st.sampled_from(options)))
    points = st.lists(st.sampled_from([Fraction(n, 4) for n in range(-13, 14)]), min_size=8, max_size=8)
    return text, draw(st.lists(points, min_size=1, max_size=6))


@settings(max_examples=250, deadline=None)
@given(cases())
def test_lowered_formula_equals_direct_evaluation(case: tuple[str, list[list[Fraction]]]) -> None:
    text, points = case
    spec = parse(text, "random.nnspec")
    (prop,) = lower(spec, NETWORKS, {})
    query = prop.query
    for numbers in points:
        physical = {f.name: numbers[k] for k, f in enumerate(query.inputs)}
        x = [f.raw(physical[f.name]) for f in query.inputs]
        y = evaluate(query.network, x)
        reference = Reference(spec, NETWORKS, physical)
        assumed, asserted = reference.judge("p")
        assert holds(query.assumption, x, y) == assumed
        assert holds(query.violation, x, y) == (asserted if query.quantifier == "exists" else not asserted)
        _check_copies(prop.query, x, y)


def _check_copies(query: Query, x: list[Fraction], y: tuple[Fraction, ...]) -> None:
    """What each copy is said to be fed gives, through its own model, the outputs the query has."""
    for copy in query.copies:
        fed = [a([*x, *y]) for a in copy.raw_inputs]
        if copy.is_maximum:
            assert y[copy.first_output] == max(fed)
            continue
        model: Network = NETWORKS[copy.model]
        assert evaluate(model, fed) == y[copy.first_output : copy.first_output + model.output_size]
        name = query.outputs[copy.first_output].name
        assert name.startswith(copy.label + ".")


def test_sampled_points_agree() -> None:
    """The measurement, in small: points on the rows' own boundaries too."""
    found = lowering.compare(random.Random(5), points=1500, per_spec=50)
    assert found.points >= 1500 and not found.failures
    assert found.boundary > 100 and found.held > 50
