"""SMT-LIB 2 text of formulas on their own: outputs are free numbers, whatever the network computes."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction

from verify.core.query import And, Formula, Row
from verify.smt.encode import affine, number


def encode_formulas(formulas: Iterable[Formula], inputs: int, outputs: int) -> str:
    """Satisfiable iff some numbers x0 … x{inputs-1}, y0 … y{outputs-1} satisfy every formula."""
    lines = ["(set-logic QF_LRA)"]
    lines += [f"(declare-const x{i} Real)" for i in range(inputs)]
    lines += [f"(declare-const y{i} Real)" for i in range(outputs)]
    lines += [f"(assert {_formula(f)})" for f in formulas]
    return "\n".join(lines)


def _formula(formula: Formula) -> str:
    if isinstance(formula, Row):
        terms = [(c, f"x{i}") for i, c in formula.inputs] + [(c, f"y{i}") for i, c in formula.outputs]
        return f"({'<' if formula.strict else '<='} {affine(terms, Fraction(0))} {number(formula.bound)})"
    word, neutral = ("and", "true") if isinstance(formula, And) else ("or", "false")
    return f"({word} {' '.join(map(_formula, formula.children))} {neutral})"
