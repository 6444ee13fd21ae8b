"""What networks are fed and what a closed loop carries from step to step: linear terms over inputs and outputs.

A maximum in such a term (min and abs are maxima too) becomes an application of its own, exactly.
"""

from __future__ import annotations

from fractions import Fraction

from verify.errors import Place
from verify.spec.codes import error
from verify.spec.compose import maximum_name
from verify.spec.scope import Scope
from verify.spec.syntax import Node
from verify.spec.terms import Choice, Max, OutputRef, Term, reference, total
from verify.spec.units import PLAIN
from verify.spec.values import Application, FieldInfo, Layout, MaximumInfo


def linear(term: Term, node: Node, scope: Scope) -> Term:
    """The same quantity without `max` in it.  Raises E306 for `if`, which may jump."""
    parts = [(Fraction(1), Term(term.linear, term.constant))]
    for atom, factor in term.atoms.items():
        if isinstance(atom, Choice):
            raise error(
                "E306",
                node.place,
                "`if` cannot be carried into a network or a next step: its value may jump",
                "write it with abs, min and max, for example min(max(u, -1), 1)",
            )
        parts.append((factor, _maximum(atom, node, scope)))
    return total(parts)


def _maximum(atom: Max, node: Node, scope: Scope) -> Term:
    """In base units; which ones, the term does not know."""
    options = tuple(linear(option, node, scope) for option in atom.options)
    size = len(options)
    key = (maximum_name(size), *(linear_key(t) for t in options))
    work = scope.work
    if key not in work.known:
        name = maximum_name(size)
        info = MaximumInfo(name, _layout(size, node.place), _layout(1, node.place), node.place)
        work.known[key] = len(work.applications)
        work.applications.append(Application(info, options, f"max#{len(work.applications) + 1}"))
    return reference(OutputRef(work.known[key], 0))


def _layout(size: int, place: Place) -> Layout:
    one, zero = Fraction(1), Fraction(0)
    names = ["value"] if size == 1 else [f"option{k + 1}" for k in range(size)]
    return Layout(tuple(FieldInfo(n, None, k, PLAIN, None, None, one, zero, False, place) for k, n in enumerate(names)))


def linear_key(term: Term) -> object:
    """Equal for equal terms without `max`."""
    return (frozenset(term.linear.items()), term.constant)
