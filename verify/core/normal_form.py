"""From a query's formulas to regions and cases (standard library only).

A counterexample lies in some region (a box cut by input rows) and satisfies all rows of one of its cases.
The expansion is exact; regions whose box is empty are dropped, equal regions are merged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction

from verify.core.query import And, Formula, Or, Query, Row, conjunction, mentions_outputs
from verify.errors import QueryError

MAX_CASES = 65_536  # beyond this the disjunctive form is refused


@dataclass(frozen=True)
class Box:
    """The closed box lower <= x <= upper, exactly."""

    lower: tuple[Fraction, ...]
    upper: tuple[Fraction, ...]


@dataclass(frozen=True)
class Region:
    """Inputs of `box` that satisfy every row of `rows` (rows over inputs only).

    A strict bound on one variable is in the box as its closure and in `rows` as itself.
    `cases`: a point of the region is a solution when all rows of one case hold; an empty case always holds.
    """

    box: Box
    rows: tuple[Row, ...]
    cases: tuple[tuple[Row, ...], ...]


@dataclass(frozen=True)
class NormalForm:
    """The disjunction of `regions`, and the regions of the assumption alone (`cases` is ((),) in each).

    `assumption_uses_outputs`: the assumption restricts outputs too, so that non-empty `assumed` regions do not
    show that it is satisfiable.
    """

    regions: tuple[Region, ...]
    assumed: tuple[Region, ...]
    assumption_uses_outputs: bool


def normal_form(query: Query) -> NormalForm:
    """Expand a query.  Raises QueryError E401 (unbounded input), E402 (too many disjuncts)."""
    names = [f.name for f in query.inputs]
    regions = _regions(conjunction([query.assumption, query.violation]), names)
    assumed = _regions(_input_part(query.assumption), names)
    return NormalForm(regions, assumed, mentions_outputs(query.assumption))


def _input_part(formula: Formula) -> Formula:
    """The formula with every row over outputs replaced by true (a weaker formula)."""
    if isinstance(formula, And):
        return And(tuple(_input_part(c) for c in formula.children))
    if isinstance(formula, Or):
        return Or(tuple(_input_part(c) for c in formula.children))
    return formula if not formula.outputs else And(())


def _regions(formula: Formula, names: list[str]) -> tuple[Region, ...]:
    cases: dict[tuple[Row, ...], dict[tuple[Row, ...], None]] = {}
    common, alternatives = _split(formula)
    base = _Bounds(len(names))
    shared_rows = base.absorb(r for r in common if not r.outputs)
    shared_outputs = [r for r in common if r.outputs]
    for rows in alternatives:
        inputs = tuple(dict.fromkeys(r for r in rows if not r.outputs))
        outputs = tuple(dict.fromkeys([*shared_outputs, *(r for r in rows if r.outputs)]))
        cases.setdefault(inputs, {})[outputs] = None
    result = []
    for inputs, groups in cases.items():
        bounds = base.copy()
        rest = bounds.absorb(inputs)
        if bounds.contradictory:
            continue
        result.append(Region(bounds.box(names), tuple(dict.fromkeys([*shared_rows, *rest])), tuple(groups)))
    return tuple(result)


def _split(formula: Formula) -> tuple[list[Row], list[tuple[Row, ...]]]:
    """formula = all of `common` and all rows of one of `alternatives`."""
    children: Iterable[Formula] = formula.children if isinstance(formula, And) else (formula,)
    common: list[Row] = []
    choices: list[Formula] = []
    stack = list(children)[::-1]
    while stack:
        child = stack.pop()
        if isinstance(child, Row):
            common.append(child)
        elif isinstance(child, And):
            stack.extend(reversed(child.children))
        else:
            choices.append(child)
    alternatives: list[tuple[Row, ...]] = [()]
    for choice in choices:
        branches = list(_disjuncts(choice))
        if len(alternatives) * len(branches) > MAX_CASES:
            raise _too_many()
        alternatives = [a + b for a in alternatives for b in branches]
    return common, alternatives


def _disjuncts(formula: Formula) -> Iterator[tuple[Row, ...]]:
    if isinstance(formula, Row):
        yield (formula,)
    elif isinstance(formula, Or):
        for child in formula.children:
            yield from _disjuncts(child)
    else:
        common, alternatives = _split(formula)
        for rows in alternatives:
            yield (*common, *rows)


def _too_many() -> QueryError:
    return QueryError(
        "E402",
        f"the property expands to more than {MAX_CASES} disjuncts",
        fix="split the property into several, or replace nested `or`, `abs`, `max` by bounds on each part",
    )


class _Bounds:
    """Exact variable bounds gathered from rows over one variable."""

    def __init__(self, size: int) -> None:
        self.lower: list[Fraction | None] = [None] * size
        self.upper: list[Fraction | None] = [None] * size
        self.contradictory = False

    def copy(self) -> _Bounds:
        twin = _Bounds(0)
        twin.lower, twin.upper, twin.contradictory = list(self.lower), list(self.upper), self.contradictory
        return twin

    def absorb(self, rows: Iterable[Row]) -> list[Row]:
        """Take over the bounds in input rows; return the rows that the closed box does not express."""
        rest = []
        for row in rows:
            if not row.inputs:
                if row.bound < 0 or (row.strict and row.bound == 0):
                    self.contradictory = True
                continue
            if len(row.inputs) > 1:
                rest.append(row)
                continue
            if row.strict:
                rest.append(row)
            ((index, coefficient),) = row.inputs
            limit = row.bound / coefficient
            lower, upper = self.lower[index], self.upper[index]
            if coefficient > 0 and (upper is None or limit < upper):
                self.upper[index] = limit
            if coefficient < 0 and (lower is None or limit > lower):
                self.lower[index] = limit
            lower, upper = self.lower[index], self.upper[index]
            if lower is not None and upper is not None and lower > upper:
                self.contradictory = True
        return rest

    def box(self, names: list[str]) -> Box:
        lower, upper = [], []
        for name, low, high in zip(names, self.lower, self.upper, strict=True):
            if low is None or high is None:
                side = "lower" if low is None else "upper"
                raise QueryError(
                    "E401",
                    f"input {name!r} has no {side} bound",
                    fix=f"add a range for {name!r}; an unbounded input is never taken as 0",
                )
            lower.append(low)
            upper.append(high)
        return Box(tuple(lower), tuple(upper))
