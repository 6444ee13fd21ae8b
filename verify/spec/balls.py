"""Balls as domains: `forall s : linf(CENTRE, RADIUS)`, likewise `l1` and `l2`.

linf and l1 are exact, as rows.  l2 becomes the smallest box and octahedron around it, which contain it: PROVED holds
for the ball, and a counterexample is checked against the ball itself (verify.run.deciding).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import isqrt

from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.scope import BALLS, Scope, wrong_kind
from verify.spec.terms import Condition, InputRef, Term, all_of, compare, constant, maximum, reference, total
from verify.spec.values import Record, Scalar, SystemInfo, describe, in_unit

MAX_TERMS = 10  # of |…| + |…| + …, which become 2^n rows


@dataclass(frozen=True)
class Ball:
    """The points at most `radius` from `centre` in `norm`, in declared units; `centre` per element of the input."""

    norm: str
    centre: Record
    radius: Fraction
    place: s.Node

    def condition(self, variable: str) -> Condition:
        """What the elements of `variable` satisfy: exactly, for l2 less than exactly."""
        offsets = [
            reference(InputRef(variable, k)).plus(t, Fraction(-1)) for k, t in enumerate(centre_terms(self.centre))
        ]
        distances = [maximum([o, o.times(Fraction(-1))]) for o in offsets]
        limit = constant(self.radius)
        rows = [all_of([compare(o, "<=", limit), compare(o.times(Fraction(-1)), "<=", limit)]) for o in offsets]
        if self.norm == "l1" or (self.norm == "l2" and 1 < len(distances) <= MAX_TERMS):
            if len(distances) > MAX_TERMS:
                raise error(
                    "E308",
                    self.place.place,
                    f"an l1 ball in {len(distances)} dimensions has 2^{len(distances)} sides; at most {MAX_TERMS} "
                    "dimensions are possible",
                    "use linf, which contains the l1 ball of the same radius",
                )
            reach = self.radius if self.norm == "l1" else self.radius * root_above(len(distances))
            rows.append(compare(total((Fraction(1), d) for d in distances), "<=", constant(reach)))
        return all_of(rows)


def centre_terms(centre: Record) -> list[Term]:
    """The centre's elements in their declared units."""
    return [
        centre.scalar(k, field).term.times(1 / field.scale.factor)
        for k, (_, field) in enumerate(centre.layout.elements())
    ]


def root_above(number: int) -> Fraction:
    """A fraction at least the square root, close to it."""
    scale = 10**6
    return Fraction(isqrt(number * scale * scale) + 1, scale)


def ball_of(domain: s.Domain, scope: Scope) -> Ball | None:
    """The ball a domain means, if it is one.  Raises E331, E333, E363."""
    if not (isinstance(domain, s.Call) and isinstance(domain.function, s.Name) and domain.function.text in BALLS):
        return None
    norm = domain.function.text
    if len(domain.arguments) != 2 or domain.keywords:
        raise error("E331", domain.place, f"`{norm}` takes a centre and a radius", f"write {norm}(row.input, 0.01)")
    centre = scope.evaluate(domain.arguments[0])
    if not isinstance(centre, Record) or not centre.is_input:
        raise wrong_kind(
            domain.arguments[0],
            centre,
            "the centre of a ball is an input",
            "write a quantified input or a dataset's row.input",
        )
    if isinstance(centre.network, SystemInfo):
        raise error(
            "E363",
            domain.arguments[0].place,
            f"`{domain.arguments[0].text}` is {describe(centre)}, not an input",
            f"quantify over `{centre.network.name}.state` and assume abs(…) <= … for each field",
        )
    radius = scope.constant(domain.arguments[1], "the radius")
    return Ball(norm, centre, _radius(radius, centre, domain), domain)


def _radius(radius: Scalar, centre: Record, domain: s.Call) -> Fraction:
    """The radius as a number in the fields' units: bare, or in the one unit that all fields have."""
    node, number = domain.arguments[1], radius.term.constant
    if number < 0:
        raise error("E363", node.place, f"the radius is {number}", "give a radius of at least 0")
    if radius.unit is None or not radius.unit.powers:
        return number
    scales = {(f.scale.unit, f.scale.factor) for f in centre.layout.fields}
    if len(scales) != 1 or radius.unit != next(iter(scales))[0]:
        raise error(
            "E363",
            node.place,
            f"the radius is{in_unit(radius.unit)}, but not every input of `{centre.network.name}` is",
            "give a bare number: it counts in each field's own unit",
        )
    return number / next(iter(scales))[1]
