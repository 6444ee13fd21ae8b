"""Asking Z3: the exact judge of small leaves, ties and vacuity; never the search engine."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal

Answer = Literal["sat", "unsat", "unknown"]


@dataclass(frozen=True)
class Judgement:
    """Z3's answer; `x` are the variables x0 … when it is "sat"."""

    answer: Answer
    x: tuple[Fraction, ...] = ()


def judge(text: str, inputs: int, *, timeout_s: float) -> Judgement:
    """Decide SMT-LIB text over variables x0 … x{inputs-1} within about `timeout_s`.

    "unknown" only for want of time.  A "sat" point is Z3's claim: callers evaluate it exactly.
    """
    import z3

    solver = z3.SolverFor("QF_LRA")
    solver.set("timeout", max(1, int(min(timeout_s * 1000, 2**31 - 1))))
    solver.from_string(text)
    outcome = solver.check()
    if outcome == z3.unsat:
        return Judgement("unsat")
    if outcome == z3.unknown:
        return Judgement("unknown")
    model = solver.model()
    return Judgement("sat", tuple(_value(z3, model, f"x{i}") for i in range(inputs)))


def _value(z3: Any, model: Any, name: str) -> Fraction:
    value = model.eval(z3.Real(name), model_completion=True)
    return Fraction(value.numerator_as_long(), value.denominator_as_long())
