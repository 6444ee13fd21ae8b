"""The meaning of numbers, arithmetic, conditions and Boolean connectives."""

from __future__ import annotations

from fractions import Fraction

from verify.errors import Mark
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.scope import Scope, check_size, depends_on, same_unit, wrong_kind
from verify.spec.terms import (
    FALSE,
    TRUE,
    Condition,
    Term,
    all_of,
    any_of,
    choice,
    compare,
    constant,
    maximum,
    minimum,
    opposite,
    total,
)
from verify.spec.units import DIMENSIONLESS, Unit, resolve
from verify.spec.usage import never_true
from verify.spec.values import Decision, Label, Scalar, Truth, Value


def literal(node: s.Literal, scope: Scope) -> Value:
    scale = resolve(node.unit, scope.declared.units)
    unit = None if node.unit is None and node.value == 0 else scale.unit
    return Scalar(constant(node.value * scale.factor), unit)


def boolean(node: s.Boolean, scope: Scope) -> Value:
    del scope
    return Truth(TRUE if node.value else FALSE)


def name(node: s.Name, scope: Scope) -> Value:
    value = scope.lookup(node.text)
    if value is None:
        raise scope.unknown(node)
    return value


def negative(node: s.Negative, scope: Scope) -> Value:
    value = scope.scalar(node.operand)
    return Scalar(value.term.times(Fraction(-1)), value.unit)


def sum_(node: s.Sum, scope: Scope) -> Value:
    values = scalars([t for _, t in node.terms], scope)
    unit = common_unit([t for _, t in node.terms], values)
    parts = ((Fraction(sign), value.term) for (sign, _), value in zip(node.terms, values, strict=True))
    return Scalar(total(parts), unit)


def product(node: s.Product, scope: Scope) -> Value:
    (_, first), *rest = node.factors
    value, left = scope.scalar(first), first
    for operator, factor in rest:
        other = scope.scalar(factor)
        value = (
            _times(node, left, value, factor, other, scope) if operator == "*" else _over(value, factor, other, scope)
        )
        check_size(value.term.constant, node)
        left = first if factor is rest[0][1] and value.term.is_constant else factor
    return value


def _times(node: s.Product, left: s.Expression, a: Scalar, right: s.Expression, b: Scalar, scope: Scope) -> Scalar:
    unit = None if a.unit is None or b.unit is None else a.unit * b.unit
    if b.term.is_constant:
        return Scalar(a.term.times(b.term.constant), unit)
    if a.term.is_constant:
        return Scalar(b.term.times(a.term.constant), unit)
    on_left, on_right = depends_on(a, scope), depends_on(b, scope)
    both = f"both depend on {on_left}" if on_left == on_right else f"depend on {on_left} and on {on_right}"
    factors = f"`{left.text}`" if left.place != node.place else "the factors before"
    raise error(
        "E312",
        right.place,
        f"product of two unknown quantities is not linear: {factors} and `{right.text}` {both}",
        "multiply by a constant or `param`; bound each factor separately; or use abs, min and max",
        label=f"depends on {on_right}",
        also=[Mark(left.place, f"depends on {on_left}")] if left.place != node.place else (),
    )


def _over(a: Scalar, factor: s.Expression, b: Scalar, scope: Scope) -> Scalar:
    if not b.term.is_constant:
        raise error(
            "E313",
            factor.place,
            f"division by `{factor.text}`, which depends on {depends_on(b, scope)}, is not linear",
            "divide by a constant; multiply both sides of a comparison by the divisor if its sign is known",
        )
    if not b.term.constant:
        raise error("E314", factor.place, f"division by `{factor.text}`, which is zero", "divide by another number")
    unit = None if a.unit is None else a.unit / (b.unit or DIMENSIONLESS)
    return Scalar(a.term.times(1 / b.term.constant), unit)


def scalars(nodes: list[s.Expression], scope: Scope) -> list[Scalar]:
    return scope.each(nodes, scope.scalar)


def common_unit(nodes: list[s.Expression], values: list[Scalar]) -> Unit | None:
    """The unit shared by all; clashes name the first quantity that has one."""
    known = 0
    for position in range(1, len(nodes)):
        if values[known].unit is None:
            known = position
        else:
            same_unit(nodes[known], values[known], nodes[position], values[position])
    return values[known].unit


def extreme(word: str, nodes: list[s.Expression], scope: Scope) -> Scalar:
    """abs, min or max of scalar expressions."""
    values = scalars(nodes, scope)
    unit = common_unit(nodes, values)
    terms = [v.term for v in values]
    if word == "abs":
        terms = [terms[0], terms[0].times(Fraction(-1))]
    return Scalar(minimum(terms) if word == "min" else maximum(terms), unit)


# --- conditions --------------------------------------------------------------------------------------------


def comparison(node: s.Comparison, scope: Scope) -> Value:
    values: list[Term] = []
    parts: list[Condition] = []
    previous: tuple[s.Expression, Scalar] | None = None
    for position, operand in enumerate(node.operands):
        value = _comparable(operand, node, scope)
        if previous is not None:
            same_unit(previous[0], previous[1], operand, value)
            parts.append(compare(values[-1], node.operators[position - 1], value.term))
        values.append(value.term)
        previous = (operand, value)
    return Truth(all_of(parts))


def _comparable(operand: s.Expression, node: s.Comparison, scope: Scope) -> Scalar:
    value = scope.evaluate(operand)
    if isinstance(value, (Decision, Label)):
        other = next((o.text for o in node.operands if o is not operand), "…")
        decision = isinstance(value, Decision)
        raise error(
            "E336",
            operand.place,
            f"`{operand.text}` is {'a decision' if decision else 'a label'}, not a number",
            f"write `{operand.text} is {other}`, `is strictly` or `may be`"
            if decision
            else f"a label stands for an output: `argmax(…) is {operand.text}` or `…[{operand.text}] <= …`",
        )
    if isinstance(value, Truth):
        raise error(
            "E319",
            operand.place,
            f"`{operand.text}` is a condition; only numbers are compared",
            "combine conditions with and, or, not, =>",
        )
    if not isinstance(value, Scalar):
        raise wrong_kind(operand, value, "numbers are compared")
    return value


def junction(node: s.Junction, scope: Scope) -> Value:
    parts = scope.each(node.operands, scope.truth)
    if node.word == "or":
        for operand, part in zip(node.operands, parts, strict=True):
            _warn_if_never(operand, part, scope)
    return Truth(all_of(parts) if node.word == "and" else any_of(parts))


def not_(node: s.Not, scope: Scope) -> Value:
    return Truth(opposite(scope.truth(node.operand)))


def implies(node: s.Implies, scope: Scope) -> Value:
    premise, conclusion = scope.each([node.premise, node.conclusion], scope.truth)
    _warn_if_never(node.premise, premise, scope)
    return Truth(any_of([opposite(premise), conclusion]))


def _warn_if_never(node: s.Expression, condition: Condition, scope: Scope) -> None:
    if never_true(condition, scope.work.layouts):
        scope.work.warnings.append(f"{node.place}: `{node.text}` is never true within the declared ranges")


def if_(node: s.If, scope: Scope) -> Value:
    guard = scope.truth(node.guard)
    _warn_if_never(node.guard, guard, scope)
    then, otherwise = scope.evaluate(node.then), scope.evaluate(node.otherwise)
    if isinstance(then, Truth) and isinstance(otherwise, Truth):
        one = any_of([opposite(guard), then.condition])
        other = any_of([guard, otherwise.condition])
        return Truth(all_of([one, other]))
    if isinstance(then, Scalar) and isinstance(otherwise, Scalar):
        unit = same_unit(node.then, then, node.otherwise, otherwise)
        return Scalar(choice(guard, then.term, otherwise.term), unit)
    odd, value = (node.then, then) if not isinstance(then, (Scalar, Truth)) else (node.otherwise, otherwise)
    raise wrong_kind(odd, value, "both branches of `if` must be numbers, or both conditions")
