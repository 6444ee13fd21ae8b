"""Exact piecewise-linear terms and conditions over named quantities, before any network is known.

Term       = linear + constant + Σ coefficient · (Max | Choice)
Condition  = Sign (term <= 0, or < 0) | All | Any          always in negation normal form
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import NamedTuple, Union

ZERO, ONE = Fraction(0), Fraction(1)


class InputRef(NamedTuple):
    """Element of a quantified variable, as a number in the field's declared unit."""

    variable: str
    element: int


class OutputRef(NamedTuple):
    """Element of the result of an application, as a number in the field's declared unit."""

    application: int
    element: int


class RawValue(NamedTuple):
    """`value` inside `raw = …`."""

    word: str = "value"


Ref = Union[InputRef, OutputRef, RawValue]


@dataclass(frozen=True, eq=False)
class Max:
    """The greatest of the options; `depth` counts nested atoms and conditions."""

    options: tuple[Term, ...]
    depth: int


@dataclass(frozen=True, eq=False)
class Choice:
    """`then` where the guard holds, else `otherwise`."""

    guard: Condition
    then: Term
    otherwise: Term
    depth: int


Atom = Union[Max, Choice]


@dataclass(frozen=True, eq=False)
class Term:
    """An exact piecewise-linear quantity; no zero coefficients are stored."""

    linear: Mapping[Ref, Fraction] = field(default_factory=dict)
    constant: Fraction = ZERO
    atoms: Mapping[Atom, Fraction] = field(default_factory=dict)

    @property
    def is_constant(self) -> bool:
        return not self.linear and not self.atoms

    @property
    def depth(self) -> int:
        return max((a.depth for a in self.atoms), default=0)

    def plus(self, other: Term, factor: Fraction = ONE) -> Term:
        """self + factor * other."""
        if not factor:
            return self
        linear, atoms = dict(self.linear), dict(self.atoms)
        _accumulate(linear, other.linear, factor)
        _accumulate(atoms, other.atoms, factor)
        return Term(linear, self.constant + factor * other.constant, atoms)

    def times(self, factor: Fraction) -> Term:
        return Term().plus(self, factor)

    def without(self, atom: Atom) -> Term:
        return Term(self.linear, self.constant, {a: c for a, c in self.atoms.items() if a is not atom})


def total(parts: Iterable[tuple[Fraction, Term]]) -> Term:
    """Σ factor * term in one pass."""
    linear: dict[Ref, Fraction] = {}
    atoms: dict[Atom, Fraction] = {}
    constant = ZERO
    for factor, term in parts:
        _accumulate(linear, term.linear, factor)
        _accumulate(atoms, term.atoms, factor)
        constant += factor * term.constant
    return Term(linear, constant, atoms)


def _accumulate(into: dict[Ref, Fraction] | dict[Atom, Fraction], more: Mapping, factor: Fraction) -> None:  # type: ignore[type-arg]
    for key, value in more.items():
        new = into.get(key, ZERO) + factor * value
        if new:
            into[key] = new
        else:
            into.pop(key, None)


def constant(value: Fraction | int) -> Term:
    return Term(constant=Fraction(value))


def reference(ref: Ref, factor: Fraction = ONE) -> Term:
    return Term({ref: factor})


def maximum(options: Iterable[Term]) -> Term:
    """The greatest term; constants are folded, a maximum of a bare maximum is flattened."""
    flat: list[Term] = []
    fixed: Fraction | None = None
    for option in options:
        inner = _bare_max(option)
        for term in inner.options if inner is not None else (option,):
            if term.is_constant:
                fixed = term.constant if fixed is None else max(fixed, term.constant)
            else:
                flat.append(term)
    if fixed is not None:
        flat.append(constant(fixed))
    if len(flat) == 1:
        return flat[0]
    return Term(atoms={Max(tuple(flat), 1 + max(t.depth for t in flat)): ONE})


def minimum(options: Iterable[Term]) -> Term:
    return maximum(t.times(-ONE) for t in options).times(-ONE)


def choice(guard: Condition, then: Term, otherwise: Term) -> Term:
    if guard == TRUE:
        return then
    if guard == FALSE:
        return otherwise
    depth = 1 + max(guard.depth, then.depth, otherwise.depth)
    return Term(atoms={Choice(guard, then, otherwise, depth): ONE})


def _bare_max(term: Term) -> Max | None:
    if len(term.atoms) == 1 and not term.linear and not term.constant:
        ((atom, factor),) = term.atoms.items()
        if isinstance(atom, Max) and factor == 1:
            return atom
    return None


# --- conditions --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Sign:
    """term <= 0, or term < 0 when strict."""

    term: Term
    strict: bool

    @property
    def depth(self) -> int:
        return 1 + self.term.depth


@dataclass(frozen=True)
class All:
    children: tuple[Condition, ...] = ()
    depth: int = 0


@dataclass(frozen=True)
class Any:
    children: tuple[Condition, ...] = ()
    depth: int = 0


Condition = Union[Sign, All, Any]
TRUE, FALSE = All(), Any()


def sign(term: Term, *, strict: bool) -> Condition:
    """term <= 0 (or < 0), folded when the term is constant."""
    if not term.is_constant:
        return Sign(term, strict)
    return TRUE if term.constant < 0 or (term.constant == 0 and not strict) else FALSE


def all_of(children: Iterable[Condition]) -> Condition:
    flat: list[Condition] = []
    for child in children:
        if child == FALSE:
            return FALSE
        flat.extend(child.children if isinstance(child, All) else (child,))
    return flat[0] if len(flat) == 1 else All(tuple(flat), _depth(flat))


def any_of(children: Iterable[Condition]) -> Condition:
    flat: list[Condition] = []
    for child in children:
        if child == TRUE:
            return TRUE
        flat.extend(child.children if isinstance(child, Any) else (child,))
    return flat[0] if len(flat) == 1 else Any(tuple(flat), _depth(flat))


def opposite(condition: Condition) -> Condition:
    """The exact complement."""
    if isinstance(condition, All):
        return Any(tuple(opposite(c) for c in condition.children), condition.depth)
    if isinstance(condition, Any):
        return All(tuple(opposite(c) for c in condition.children), condition.depth)
    return Sign(condition.term.times(-ONE), not condition.strict)


def compare(left: Term, operator: str, right: Term) -> Condition:
    """left operator right, for the six comparison operators."""
    difference = left.plus(right, -ONE)
    reverse = difference.times(-ONE)
    if operator in ("<", "<="):
        return sign(difference, strict=operator == "<")
    if operator in (">", ">="):
        return sign(reverse, strict=operator == ">")
    if operator == "==":
        return all_of([sign(difference, strict=False), sign(reverse, strict=False)])
    assert operator == "!=", operator
    return any_of([sign(difference, strict=True), sign(reverse, strict=True)])


def references(condition: Condition) -> set[Ref]:
    """Every quantity a condition mentions."""
    found: set[Ref] = set()
    seen: set[int] = set()
    stack: list[Condition | Term | Atom] = [condition]
    while stack:
        node = stack.pop()
        if isinstance(node, (All, Any)):
            stack.extend(node.children)
        elif isinstance(node, Sign):
            stack.append(node.term)
        elif isinstance(node, Term):
            found.update(node.linear)
            stack.extend(node.atoms)
        elif id(node) not in seen:
            seen.add(id(node))
            stack.extend(node.options if isinstance(node, Max) else (node.guard, node.then, node.otherwise))
    return found


def _depth(children: list[Condition]) -> int:
    return 1 + max((c.depth for c in children), default=-1)
