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
MAX_ENTRIES = 10_000_000  # rows of all cases together, and box sides of all regions: keeps the memory in bounds


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

    def numbered(self) -> tuple[list[Row], list[list[int]]]:
        """The distinct rows, and the cases as row numbers; the region's own rows belong to every case."""
        numbers: dict[Row, int] = {}
        cases = [[numbers.setdefault(row, len(numbers)) for row in (*case, *self.rows)] for case in self.cases]
        return list(numbers), cases


@dataclass(frozen=True)
class NormalForm:
    """The disjunction of `regions`, and the regions of the assumption alone (`cases` is ((),) in each).

    `assumption_uses_outputs`: the assumption restricts outputs too, so that non-empty `assumed` regions do not
    show that it is satisfiable.  When the assumption alone leaves an input unbounded that the violation bounds
    (a VNN-LIB union of boxes with their outputs), `assumed` is the input side of `regions`.
    """

    regions: tuple[Region, ...]
    assumed: tuple[Region, ...]
    assumption_uses_outputs: bool


def normal_form(query: Query) -> NormalForm:
    """Expand a query.  Raises QueryError E401 (unbounded input), E402 (too many disjuncts)."""
    names = [f.name for f in query.inputs]
    regions = _regions(conjunction([query.assumption, query.violation]), names)
    try:
        assumed = _regions(_input_part(query.assumption), names)
    except QueryError as error:
        if error.code != "E401":
            raise
        assumed = tuple(Region(r.box, r.rows, ((),)) for r in regions)
    return NormalForm(regions, assumed, mentions_outputs(query.assumption))


def _input_part(formula: Formula) -> Formula:
    """The formula with every row over outputs replaced by true (a weaker formula)."""
    if isinstance(formula, And):
        return And(tuple(_input_part(c) for c in formula.children))
    if isinstance(formula, Or):
        return Or(tuple(_input_part(c) for c in formula.children))
    return formula if not formula.outputs else And(())


def _regions(formula: Formula, names: list[str]) -> tuple[Region, ...]:
    common, alternatives = _split(formula)
    distinct = _Distinct()
    base = _Bounds(len(names))
    shared = base.absorb(distinct.rows(r for r in common if not r.outputs))
    shared_outputs = [r for r in common if r.outputs]
    groups: dict[tuple[int, ...], dict[tuple[int, ...], None]] = {}
    for rows in alternatives:
        inputs = distinct.numbers(r for r in rows if not r.outputs)
        outputs = distinct.numbers([*shared_outputs, *(r for r in rows if r.outputs)])
        groups.setdefault(inputs, {})[outputs] = None
    if len(groups) * len(names) > MAX_ENTRIES:
        raise _too_many()
    result = []
    for inputs, cases in groups.items():
        bounds = base.copy()
        rest = bounds.absorb(map(distinct.row, inputs))
        if not bounds.contradictory:
            rows = tuple(distinct.rows([*shared, *rest]))
            result.append(Region(bounds.box(names), rows, tuple(tuple(map(distinct.row, c)) for c in cases)))
    return tuple(result)


class _Distinct:
    """Rows numbered by value.  Hashing fractions is slow, so that each object is looked at once, as integers."""

    def __init__(self) -> None:
        self._rows: list[Row] = []
        self._number_of_object: dict[int, int] = {}  # id → number; the formula keeps the objects alive
        self._number_of_value: dict[object, int] = {}

    def numbers(self, rows: Iterable[Row]) -> tuple[int, ...]:
        """The numbers of the rows, sorted and without repetitions: equal sets of rows have equal numbers."""
        known, number = self._number_of_object, self._number
        found = [known[id(r)] if id(r) in known else number(r) for r in rows]
        return tuple(sorted(set(found))) if len(found) > 1 else tuple(found)

    def rows(self, rows: Iterable[Row]) -> list[Row]:
        return [self._rows[n] for n in self.numbers(rows)]

    def row(self, number: int) -> Row:
        return self._rows[number]

    def _number(self, row: Row) -> int:
        value = (
            row.strict,
            row.bound.as_integer_ratio(),
            *[(i, c.as_integer_ratio()) for i, c in row.inputs],
            None,
            *[(i, c.as_integer_ratio()) for i, c in row.outputs],
        )
        number = self._number_of_value.setdefault(value, len(self._rows))
        if number == len(self._rows):
            self._rows.append(row)
        self._number_of_object[id(row)] = number
        return number


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
        rows_after = len(branches) * sum(map(len, alternatives)) + len(alternatives) * sum(map(len, branches))
        if rows_after > MAX_ENTRIES:
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
        f"the property expands to more than {MAX_CASES} disjuncts, or to too many rows in all",
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
            limit = _quotient(row.bound, coefficient)
            lower, upper = self.lower[index], self.upper[index]
            if coefficient.numerator > 0:
                if upper is None or limit < upper:
                    self.upper[index] = upper = limit
            elif lower is None or limit > lower:
                self.lower[index] = lower = limit
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


def _quotient(bound: Fraction, coefficient: Fraction) -> Fraction:
    """bound / coefficient, without arithmetic for ±1 (nearly every row of a box)."""
    if coefficient.denominator == 1:
        if coefficient.numerator == 1:
            return bound
        if coefficient.numerator == -1:
            return -bound
    return bound / coefficient
