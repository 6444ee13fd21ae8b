"""What a verdict means where it may mean little: which assumptions clash, asserts that hold without the network."""

from __future__ import annotations

import time
from fractions import Fraction

from verify.core.property import Premise, Property
from verify.core.query import And, Formula, Or, Row, mentions_outputs

MAX_PREMISES = 300
SECONDS = 2.0  # for all questions together


def clashing_assumptions(prop: Property) -> tuple[Premise, ...]:
    """A minimal set of assumptions on inputs that contradict each other; () when it was not found in time.

    Guarantee: no point satisfies the set; leaving out any one of them gives a set that has a point.
    """
    kept = [p for p in prop.premises if not mentions_outputs(p.formula)]
    until = time.monotonic() + SECONDS
    if len(kept) > MAX_PREMISES or _contradictory(prop, [p.formula for p in kept], until) is not True:
        return ()
    for premise in list(kept):
        rest = [p for p in kept if p is not premise]
        answer = _contradictory(prop, [p.formula for p in rest], until)
        if answer is None:
            return ()
        if answer:
            kept = rest
    return tuple(kept)


def holds_without_network(prop: Property) -> bool:
    """Whether the assumptions imply the assert whatever the network computes; False when in doubt."""
    query = prop.query
    if not mentions_outputs(query.violation):
        return False  # a warning of its own
    if not mentions_outputs(query.assumption) and _free(query.violation):
        return False
    until = time.monotonic() + SECONDS
    return _contradictory(prop, [query.assumption, query.violation], until) is True


def _free(formula: Formula) -> bool:
    """Whether some outputs satisfy the formula at every input: its comparisons are independent in the outputs."""
    if isinstance(formula, Or):
        return any(_free(c) for c in formula.children)
    rows = formula.children if isinstance(formula, And) else (formula,)
    return all(isinstance(r, Row) for r in rows) and _independent([dict(r.outputs) for r in rows if isinstance(r, Row)])


def _independent(vectors: list[dict[int, Fraction]]) -> bool:
    """Exact Gaussian elimination."""
    while vectors:
        pivot = vectors.pop()
        if not pivot:
            return False
        place, value = next(iter(pivot.items()))
        for vector in vectors:
            factor = vector.get(place, Fraction(0)) / value
            for index, entry in pivot.items() if factor else ():
                vector[index] = vector.get(index, Fraction(0)) - factor * entry
                if not vector[index]:
                    del vector[index]
    return True


def _contradictory(prop: Property, formulas: list[Formula], until: float) -> bool | None:
    """None when it is not known in time."""
    from verify.smt.formula import encode_formulas
    from verify.smt.solve import judge

    if time.monotonic() >= until:
        return None
    query = prop.query
    text = encode_formulas(formulas, len(query.inputs), len(query.outputs))
    answer = judge(text, 0, timeout_s=max(0.05, until - time.monotonic())).answer
    return None if answer == "unknown" else answer == "unsat"
