"""What declarations share: fresh names, numbers in a declared unit, ranges."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from verify.errors import Mark, Place
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.meaning import HANDLERS
from verify.spec.scope import BUILT_IN, Declarations, Scope, Work
from verify.spec.units import Scale
from verify.spec.values import Value, in_unit


def scope_of(declared: Declarations, names: Mapping[str, Value] | None = None) -> Scope:
    """A fresh scope of the file's names, with work of its own."""
    return Scope(declared, HANDLERS, Work(), names or {})


def check_new(name: s.Identifier, space: str, seen: dict[tuple[str, str], Place]) -> None:
    """Note a declared name in `seen`.  Raises E311 where it is taken."""
    if space == "name" and name.text in BUILT_IN:
        raise error("E311", name.place, f"`{name.text}` is a built-in function", "choose another name")
    before = seen.setdefault((space, name.text), name.place)
    if before is not name.place:
        raise error(
            "E311",
            name.place,
            f"`{name.text}` is declared twice",
            "choose another name",
            label="declared again here",
            also=[Mark(before, "first declared here")],
        )


def declared_number(node: s.Expression, scale: Scale, scope: Scope, what: str) -> Fraction:
    """A constant as a number in a declared unit: bare, or with a unit of the same dimension."""
    value = scope.constant(node, what)
    if value.unit is None or not value.unit.powers:
        return value.term.constant
    if scale.text is not None and value.unit != scale.unit:
        raise error(
            "E316",
            node.place,
            f"units clash: `{node.text}` is{in_unit(value.unit)}, {what} is{in_unit(scale.unit)}",
            "give it in that unit",
        )
    return value.term.constant / scale.factor


def interval(node: s.Interval, scale: Scale, scope: Scope) -> tuple[Fraction, Fraction]:
    """The two ends of `in [low, high]`, as numbers in the declared unit.  Raises E342 when empty."""
    low = declared_number(node.low, scale, scope, "the lower end")
    high = declared_number(node.high, scale, scope, "the upper end")
    for end in (node.low, node.high):
        value = scope.constant(end, "the end of a range")
        if value.unit is not None and value.unit.powers and value.unit != scale.unit:
            raise error(
                "E316",
                end.place,
                f"units clash: `{end.text}` is{in_unit(value.unit)}, the quantity is{in_unit(scale.unit)}",
                "give the ends of the range in the unit of the quantity",
            )
    if low > high:
        raise error("E342", node.place, f"the range {node.text} is empty", "write the lower end first")
    return low, high
