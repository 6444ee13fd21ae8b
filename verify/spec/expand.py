"""Conditions to formulas: case expansion of max and if, exactly, and substitution of raw numbers.

    c·max(t…) + r <= 0    for c > 0: every t gives c·t + r <= 0       for c < 0: some t does
    c·(if g then a else b) + r <= 0    (g and c·a + r <= 0) or (not g and c·b + r <= 0)

Disjunctions are expanded first: that order gives the fewest cases.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from verify.core.query import FALSE, TRUE, And, Formula, Row, conjunction, disjunction
from verify.errors import Place
from verify.spec.codes import error
from verify.spec.terms import All, Any, Atom, Choice, Condition, InputRef, Max, Ref, Sign, Term, opposite

MAX_ROWS = 100_000
MAX_CASE_DEPTH = 120


@dataclass(frozen=True)
class Quantity:
    """Where a quantity is in the query: declared-unit value = scale * raw + offset."""

    index: int  # of a variable (InputRef) or an output (OutputRef)
    scale: Fraction
    offset: Fraction


@dataclass
class Expander:
    """Expands conditions of one property; counts rows so that an explosion is an error, not a hang."""

    quantities: Mapping[Ref, Quantity]
    place: Place
    constants: Mapping[Ref, Fraction] = field(default_factory=dict)  # quantities that are known, in declared units
    rows: int = 0
    depth: int = field(default=0)

    def formula(self, condition: Condition) -> Formula:
        """The exact formula over raw numbers.  Raises E308 beyond MAX_ROWS rows."""
        if case_count(condition, {}) > MAX_ROWS:
            raise self._too_large()
        return self._formula(condition)

    def _formula(self, condition: Condition) -> Formula:
        if isinstance(condition, All):
            return conjunction([self._formula(c) for c in condition.children])
        if isinstance(condition, Any):
            return disjunction([self._formula(c) for c in condition.children])
        return self._sign(condition.term, condition.strict)

    def _sign(self, term: Term, strict: bool) -> Formula:
        if not term.atoms:
            return self._row(term, strict)
        if self.depth > MAX_CASE_DEPTH:
            raise self._too_large()
        self.depth += 1
        atom, factor = _first(term.atoms)
        rest = term.without(atom)
        if isinstance(atom, Max):
            cases: Iterable[Formula] = [self._sign(rest.plus(t, factor), strict) for t in atom.options]
            result = conjunction(cases) if factor > 0 else disjunction(cases)
        else:
            then = conjunction([self._formula(atom.guard), self._sign(rest.plus(atom.then, factor), strict)])
            other = conjunction(
                [self._formula(opposite(atom.guard)), self._sign(rest.plus(atom.otherwise, factor), strict)]
            )
            result = disjunction([then, other])
        self.depth -= 1
        return result

    def _row(self, term: Term, strict: bool) -> Formula:
        self.rows += 1
        if self.rows > MAX_ROWS:
            raise self._too_large()
        inputs: dict[int, Fraction] = {}
        outputs: dict[int, Fraction] = {}
        bound = -term.constant
        for ref, coefficient in term.linear.items():
            if ref in self.constants:
                bound -= coefficient * self.constants[ref]
                continue
            quantity = self.quantities[ref]
            into = inputs if isinstance(ref, InputRef) else outputs
            into[quantity.index] = into.get(quantity.index, Fraction(0)) + coefficient * quantity.scale
            bound -= coefficient * quantity.offset
        row = Row.of(inputs, outputs, bound, strict=strict)
        if row.inputs or row.outputs:
            return row
        return TRUE if bound > 0 or (bound == 0 and not strict) else FALSE

    def _too_large(self) -> Exception:
        return error(
            "E308",
            self.place,
            f"the property expands to more than {MAX_ROWS} comparisons",
            "split it into several properties, or bound the parts of nested abs, min, max and if",
        )


def _first(atoms: Mapping[Atom, Fraction]) -> tuple[Atom, Fraction]:
    """The atom to expand next: one that gives a disjunction, if there is one."""
    for atom, factor in atoms.items():
        if isinstance(atom, Choice) or factor < 0:
            return atom, factor
    return next(iter(atoms.items()))


def case_count(node: Condition | Term | Atom, known: dict[int, int]) -> int:
    """The rows that expansion gives (fewer where constants fold), without expanding."""
    if isinstance(node, Term):
        return math.prod(case_count(a, known) for a in node.atoms)
    if id(node) not in known:
        if isinstance(node, Max):
            count = sum(case_count(t, known) for t in node.options)
        elif isinstance(node, Choice):
            guard = case_count(node.guard, known)
            count = case_count(node.then, known) + case_count(node.otherwise, known) + 2 * guard
        elif isinstance(node, Sign):
            count = case_count(node.term, known)
        else:
            count = sum(case_count(c, known) for c in node.children)
        known[id(node)] = min(count, 2 * MAX_ROWS)
    return known[id(node)]


Sides = frozenset[tuple[int, str]]


def bounded_sides(formula: Formula) -> Sides | None:
    """The (variable, side) pairs that rows over that variable alone bound; None when nothing satisfies it.

    Conservative in the way of the normal form: every disjunct must bound the side by itself.
    """
    if isinstance(formula, Row):
        if formula.outputs or len(formula.inputs) != 1:
            return frozenset()
        ((index, coefficient),) = formula.inputs
        return frozenset([(index, "upper" if coefficient > 0 else "lower")])
    parts = [bounded_sides(c) for c in formula.children]
    if isinstance(formula, And):
        if any(p is None for p in parts):
            return None
        return frozenset().union(*(p for p in parts if p is not None))
    possible = [p for p in parts if p is not None]
    return frozenset.intersection(*possible) if possible else None
