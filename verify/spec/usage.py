"""What a spec declares and never uses, and conditions that the declared ranges settle."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any

from verify.spec import syntax as s
from verify.spec.terms import All, Condition, InputRef, Sign, Term
from verify.spec.values import Layout

_WORDS = {s.DefineDecl: "definition", s.ConstDecl: "const", s.ParamDecl: "param", s.DatasetDecl: "dataset",
          s.NetworkDecl: "network", s.SystemDecl: "system"}  # fmt: skip


def unused(spec: s.SpecFile) -> Iterator[str]:
    """A warning for each definition, const, param, dataset, network or `let` that nothing mentions."""
    mentioned: dict[str, set[int]] = {}  # name -> the items that mention it
    for number, item in enumerate(spec.items):
        for name in _names(item):
            mentioned.setdefault(name, set()).add(number)
    for number, item in enumerate(spec.items):
        word = _WORDS.get(type(item))
        if word is not None and not mentioned.get(item.name.text, set()) - {number}:
            yield f"{item.name.place}: {word} `{item.name.text}` is never used"
        if isinstance(item, s.PropertyDecl):
            yield from _unused_lets(item)


def _unused_lets(item: s.PropertyDecl) -> Iterator[str]:
    for position, statement in enumerate(item.statements):
        if isinstance(statement, s.Let):
            later = {name for other in item.statements[position + 1 :] for name in _names(other)}
            if statement.name.text not in later:
                yield f"{statement.name.place}: `let {statement.name.text}` is never used"


def _names(node: Any) -> Iterator[str]:
    """Every name that is read (not declared) below a node."""
    stack = [node]
    while stack:
        here = stack.pop()
        if isinstance(here, s.Name):
            yield here.text
        elif isinstance(here, s.DatasetDecl):
            yield here.network.text
        elif isinstance(here, s.Node):
            stack.extend(getattr(here, f.name) for f in dataclasses.fields(here))
        elif isinstance(here, tuple):
            stack.extend(here)


def never_true(condition: Condition, layouts: Mapping[str, Layout]) -> bool:
    """Whether declared ranges alone contradict a condition over inputs (sufficient, not necessary)."""
    if isinstance(condition, Sign):
        least = _least(condition.term, layouts)
        return least is not None and (least > 0 or (least == 0 and condition.strict))
    parts = [never_true(c, layouts) for c in condition.children]
    return any(parts) if isinstance(condition, All) else bool(parts) and all(parts)


def _least(term: Term, layouts: Mapping[str, Layout]) -> Fraction | None:
    """The least value of a linear term over the declared ranges."""
    if term.atoms or not term.linear:
        return None
    total = term.constant
    for ref, coefficient in term.linear.items():
        if not isinstance(ref, InputRef) or ref.variable not in layouts:
            return None
        field = layouts[ref.variable].field_of(ref.element)
        end = field.low if coefficient > 0 else field.high
        if end is None:
            return None
        total += coefficient * end
    return total
