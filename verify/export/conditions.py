"""Formulas as prefix text with exact decimals: what the VNN-LIB writers share."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.property import Property
from verify.core.query import FALSE, TRUE, And, Field, Formula, Or, Row, conjunction, disjunction
from verify.errors import QueryError

ROUNDED_PLACES = 17  # decimals of a bound that is rounded outwards, relative to its size
Place = Callable[[int], str]


def cannot(what: str, fix: str) -> QueryError:
    """The target cannot say what the query says."""
    return QueryError("E410", f"cannot be exported: {what}", fix=fix)


def heading(prop: Property) -> str:
    """The comment that says what an answer means."""
    word = "violated" if prop.query.quantifier == "forall" else "witnessed"
    return f"; {prop.name}: satisfiable when the property is {word}"


def described(name: str, field: Field, coefficient: Fraction = Fraction(1), constant: Fraction = Fraction(0)) -> str:
    """The comment that says what `name` is, which holds coefficient · raw + constant of a field's raw number."""
    scale = field.scale / coefficient
    offset = field.offset - scale * constant
    if scale == 1 and not offset:
        return f"; {name} is {field.name}{f' [{field.unit}]' if field.unit else ''}"
    return f"; {name} is raw: {field.name} = {scale} * {name} + {offset}{f' [{field.unit}]' if field.unit else ''}"


def simplified(formula: Formula) -> Formula:
    """Rows without variables replaced by what they are, TRUE or FALSE."""
    if isinstance(formula, And):
        return conjunction(simplified(c) for c in formula.children)
    if isinstance(formula, Or):
        return disjunction(simplified(c) for c in formula.children)
    if formula.inputs or formula.outputs:
        return formula
    return TRUE if formula.holds((), ()) else FALSE


@dataclass
class Writer:
    """Writes conditions over named elements; `plain` rounds bounds of single inputs outwards where no decimal is exact.

    `rounded` counts the bounds so widened.
    """

    input_name: Place
    output_name: Place
    plain: bool = False
    rounded: int = 0

    def asserts(self, formula: Formula, inputs: int) -> list[str]:
        """One assert per conjunct; a contradiction bounds all of so many inputs, as readers ask for."""
        whole = simplified(formula)
        if whole == FALSE:
            names = [self.input_name(i) for i in range(inputs)]
            bounds = [f"(assert ({relation} {name} 0.0))" for name in names for relation in (">=", "<=")]
            return [*bounds, f"(assert {self.condition(FALSE)})"]
        parts = whole.children if isinstance(whole, And) else (whole,)
        return [f"(assert {self.condition(part)})" for part in parts]

    def condition(self, formula: Formula) -> str:
        if isinstance(formula, Row):
            return self._row(formula)
        if not formula.children:
            name = self.input_name(0)
            relations = ("<", ">=", "or") if isinstance(formula, And) else ("<", ">", "and")
            return f"({relations[2]} ({relations[0]} {name} 0.0) ({relations[1]} {name} 0.0))"
        word = "and" if isinstance(formula, And) else "or"
        if len(formula.children) == 1:
            return self.condition(formula.children[0])
        return f"({word} {' '.join(self.condition(c) for c in formula.children)})"

    def _row(self, row: Row) -> str:
        terms = [(c, self.input_name(i)) for i, c in row.inputs] + [(c, self.output_name(i)) for i, c in row.outputs]
        if len(terms) == 1:
            bound = self._bound(row, terms[0])
            if bound is not None:
                return bound
        scale = _scale([c for c, _ in terms] + [row.bound])
        products = [_product(c * scale, name) for c, name in terms]
        left = products[0] if len(products) == 1 else f"(+ {' '.join(products)})"
        return f"({'<' if row.strict else '<='} {left} {decimal(row.bound * scale)})"

    def _bound(self, row: Row, term: tuple[Fraction, str]) -> str | None:
        """`X <= decimal`, or None when no decimal is exact (and none may be widened)."""
        c, name = term
        relation = ("<" if c > 0 else ">") + ("" if row.strict else "=")
        limit = row.bound / c
        if is_decimal(limit):
            return f"({relation} {name} {decimal(limit)})"
        if not self.plain or not row.inputs:
            return None
        self.rounded += 1
        return f"({relation} {name} {decimal(_outwards(limit, upwards=c > 0))})"


def _product(coefficient: Fraction, name: str) -> str:
    return name if coefficient == 1 else f"(* {decimal(coefficient)} {name})"


def _scale(numbers: Sequence[Fraction]) -> int:
    """The least factor that makes every number a finite decimal."""
    return math.lcm(1, *(_without_tens(n.denominator) for n in numbers))


def _without_tens(value: int) -> int:
    for prime in (2, 5):
        while value % prime == 0:
            value //= prime
    return value


def is_decimal(value: Fraction) -> bool:
    return _without_tens(value.denominator) == 1


def decimal(value: Fraction) -> str:
    """The exact decimal, always with a point.  Needs: `is_decimal`."""
    places = 0
    while (value.denominator != 1) and (value * 10**places).denominator != 1:
        places += 1
    places = max(1, places)
    scaled = value * 10**places
    assert scaled.denominator == 1
    digits = str(abs(scaled.numerator)).rjust(places + 1, "0")
    return f"{'-' if value < 0 else ''}{digits[:-places]}.{digits[-places:]}"


def _outwards(value: Fraction, *, upwards: bool) -> Fraction:
    """A short decimal on the outer side of `value`."""
    size = len(str(abs(value.numerator) // value.denominator)) if abs(value) >= 1 else 0
    power = 10 ** max(0, ROUNDED_PLACES - size)
    scaled = value * power
    return Fraction(math.ceil(scaled) if upwards else math.floor(scaled), power)
