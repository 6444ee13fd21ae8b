"""Which applications of networks a property depends on, and what is known of what they are fed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from verify.spec.check import CheckedProperty
from verify.spec.terms import InputRef, OutputRef, Ref, Term, references
from verify.spec.values import Application


def needed(item: CheckedProperty) -> tuple[CheckedProperty, list[int]]:
    """The applications that the conditions depend on, ascending, and the property without unused disturbances."""
    mentioned = references(item.assumption) | references(item.assertion)
    found: set[int] = set()
    waiting = {r.application for r in mentioned if isinstance(r, OutputRef)}
    while waiting:
        number = waiting.pop()
        found.add(number)
        fed = {ref for term in item.applications[number].arguments for ref in term.linear}
        mentioned |= fed
        waiting |= {r.application for r in fed if isinstance(r, OutputRef)} - found
    varying = {r.variable for r in mentioned if isinstance(r, InputRef)}
    kept = tuple(v for v in item.variables if not v.is_disturbance or v.name in varying)
    return replace(item, variables=kept), sorted(found)


def with_constants(application: Application, constants: Mapping[Ref, Fraction]) -> Application:
    """The application with every known quantity that it is fed as a number."""
    arguments = []
    for term in application.arguments:
        known = {ref: c for ref, c in term.linear.items() if ref in constants}
        total = term.constant + sum((c * constants[ref] for ref, c in known.items()), Fraction(0))
        arguments.append(Term({ref: c for ref, c in term.linear.items() if ref not in known}, total))
    return replace(application, arguments=tuple(arguments))
