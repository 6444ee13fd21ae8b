"""One query as several, whose answers together answer it.

    narrow   up to MOST_INPUTS inputs: its box is cut, again and again, across the input that matters most
    wide     more inputs: the disjunction with the most members is dealt out; without one the query stays whole

In both cases a solution of the query is a solution of some part, and of a part one of the query; every part keeps
the whole assumption (narrow: cut to its box), so that all parts are vacuous exactly when the query is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction

import numpy as np

from verify.core.floats import FloatPlan, Floats, OutOfRangeError
from verify.core.normal_form import normal_form
from verify.core.query import TRUE, And, Formula, Or, Query, Row, conjunction, disjunction
from verify.errors import QueryError

MOST_INPUTS = 16
Sides = tuple[tuple[Fraction, ...], tuple[Fraction, ...]]


def split(query: Query, parts: int) -> tuple[Query, ...]:
    """At most `parts` queries; the query itself where it cannot be split.  Raises QueryError E401, E402.

    The answer is a function of the arguments: every process splits the same query alike.
    """
    if parts <= 1:
        return (query,)
    return _by_box(query, parts) if narrow(query) else _by_disjunct(query, parts)


def narrow(query: Query) -> bool:
    """Whether the parts of a query are shares of its inputs."""
    return query.network.input_size <= MOST_INPUTS


def _by_box(query: Query, parts: int) -> tuple[Query, ...]:
    form = normal_form(query)
    if not form.regions or not _assumption_bounds_inputs(query):
        return (query,)
    size = query.network.input_size
    lower = tuple(min(r.box.lower[i] for r in form.regions) for i in range(size))
    upper = tuple(max(r.box.upper[i] for r in form.regions) for i in range(size))
    try:
        plan = FloatPlan(query.network)
    except OutOfRangeError:
        return (query,)  # the search says what is wrong
    weights = _output_weights(query)
    pieces = _cut((lower, upper), (), parts, lambda sides: _most_effective(plan, weights, sides))
    return tuple(replace(query, assumption=conjunction([query.assumption, *rows])) for rows in pieces)


def _assumption_bounds_inputs(query: Query) -> bool:
    """Where the violation bounds inputs too, it takes part in what vacuity is judged by; cutting could change that."""
    try:
        normal_form(replace(query, violation=TRUE))
    except QueryError as error:
        if error.code != "E401":
            raise
        return False
    return True


def _cut(sides: Sides, rows: tuple[Row, ...], parts: int, choose: Callable[[Sides], int]) -> list[tuple[Row, ...]]:
    """The rows that cut out each of about `parts` pieces of equal size; neighbours share a face."""
    lower, upper = sides
    axis = choose(sides)
    if parts <= 1 or lower[axis] == upper[axis]:
        return [rows]
    first = parts // 2
    at = _short(lower[axis] + (upper[axis] - lower[axis]) * Fraction(first, parts), lower[axis], upper[axis])
    below = (lower, (*upper[:axis], at, *upper[axis + 1 :]))
    above = ((*lower[:axis], at, *lower[axis + 1 :]), upper)
    return [
        *_cut(below, (*rows, Row.of({axis: 1}, {}, at)), first, choose),
        *_cut(above, (*rows, Row.of({axis: -1}, {}, -at)), parts - first, choose),
    ]


def _short(value: Fraction, lower: Fraction, upper: Fraction) -> Fraction:
    """A float near `value`, if one lies strictly between the ends."""
    try:
        rounded = Fraction(float(value))
    except OverflowError:
        return value
    return rounded if lower < rounded < upper else value


def _output_weights(query: Query) -> Floats:
    """How strongly each output counts in the violation."""
    weights = np.zeros(query.network.output_size)
    stack: list[Formula] = [query.violation]
    while stack:
        formula = stack.pop()
        if isinstance(formula, Row):
            for index, coefficient in formula.outputs:
                weights[index] = max(weights[index], min(abs(float(coefficient)), 1e100))
        else:
            stack.extend(formula.children)
    return weights


def _most_effective(plan: FloatPlan, weights: Floats, sides: Sides) -> int:
    """The input along whose middle line, end to end, the outputs change most; ties go to the widest.

    A heuristic in plain float64: any choice is right.
    """
    low, high = (np.array([min(max(float(v), -1e300), 1e300) for v in side]) for side in sides)
    width = high - low
    points = np.repeat((0.5 * low + 0.5 * high)[None], 2 * len(low), axis=0)
    each = np.arange(len(low))
    points[each, each], points[len(low) + each, each] = low, high
    with np.errstate(all="ignore"):
        outputs = plan.evaluate(points)
        change = np.nan_to_num(np.abs(outputs[len(low) :] - outputs[: len(low)]) @ weights)
        relative = np.nan_to_num(width / width.max()) if width.max() > 0 else width
    change = np.where(width > 0, change, -1.0)
    best = np.nonzero(change >= change.max())[0]
    return int(best[relative[best].argmax()])


def _by_disjunct(query: Query, parts: int) -> tuple[Query, ...]:
    """Deal out the members of the largest disjunction among the conjuncts of assumption and violation."""
    found: tuple[str, int, tuple[Formula, ...]] | None = None
    for side in ("assumption", "violation"):
        for place, child in enumerate(_conjuncts(getattr(query, side))):
            if isinstance(child, Or) and len(child.children) > (len(found[2]) if found else 1):
                found = (side, place, child.children)
    if found is None:
        return (query,)
    side, place, members = found
    result = []
    for number in range(min(parts, len(members))):
        children = list(_conjuncts(getattr(query, side)))
        children[place] = disjunction(members[number::parts])
        formula = conjunction(children)
        result.append(replace(query, assumption=formula) if side == "assumption" else replace(query, violation=formula))
    return tuple(result)


def _conjuncts(formula: Formula) -> tuple[Formula, ...]:
    return formula.children if isinstance(formula, And) else (formula,)
