"""The normal form of a property as text: boxes, rows and cases in exact numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

from verify.core.normal_form import Region, normal_form
from verify.core.property import Property
from verify.core.query import Affine, Coefficients, Field, Query, Row

INDENT = "  "


def normal_form_lines(prop: Property) -> list[str]:
    """Everything the search is given, in raw numbers.  Raises QueryError E401, E402."""
    query = prop.query
    form = normal_form(query)
    words = "refuted by" if query.quantifier == "forall" else "witnessed by"
    count = f"{len(form.regions)} region{'s' * (len(form.regions) != 1)}"
    cases = sum(len(r.cases) for r in form.regions)
    lines = [f"{prop.name}: {words} a point of {count} with {cases} case{'s' * (cases != 1)}, in raw numbers"]
    lines += [f"{INDENT}{text}" for text in _variables(query)]
    lines += [f"{INDENT}{text}" for copy in query.copies for text in _copy(query, copy.label, copy.raw_inputs)]
    for number, region in enumerate(form.regions, start=1):
        lines += [f"{INDENT}{text}" for text in _region(number, region, query)]
    if not form.regions:
        lines.append(f"{INDENT}no region: the conditions contradict each other")
    return lines


def _variables(query: Query) -> Iterator[str]:
    for kind, fields in (("input", query.inputs), ("output", query.outputs)):
        for field in fields:
            if (field.scale, field.offset) != (Fraction(1), Fraction(0)):
                unit = f" {field.unit}" if field.unit else ""
                yield f"{kind} {field.name} = {field.scale} * raw + {field.offset}{unit}"


def _copy(query: Query, label: str, raw_inputs: Sequence[Affine]) -> Iterator[str]:
    """What a copy is fed, unless it is the variables as they are."""
    for number, affine in enumerate(raw_inputs):
        if affine.constant or affine.coefficients != ((number, Fraction(1)),):
            fields = (*query.inputs, *query.outputs)  # what chained copies are fed
            yield f"{label} input {number} = {_sum(affine.coefficients, fields, affine.constant)}"


def _region(number: int, region: Region, query: Query) -> Iterator[str]:
    yield f"region {number}"
    for field, low, high in zip(query.inputs, region.box.lower, region.box.upper, strict=True):
        yield f"{INDENT}{low} <= {field.name} <= {high}" if low != high else f"{INDENT}{field.name} = {low}"
    for row in region.rows:
        yield f"{INDENT}{_row(row, query)}"
    for place, case in enumerate(region.cases, start=1):
        yield f"{INDENT}case {place}" + ("" if case else ": always")
        for row in case:
            yield f"{INDENT}{INDENT}{_row(row, query)}"


def _row(row: Row, query: Query) -> str:
    parts = [_sum(c, fields, None) for c, fields in ((row.inputs, query.inputs), (row.outputs, query.outputs)) if c]
    left = " + ".join(parts).replace("+ -", "- ") or "0"
    return f"{left} {'<' if row.strict else '<='} {row.bound}"


def _sum(coefficients: Coefficients, fields: Sequence[Field], constant: Fraction | None) -> str:
    terms = []
    for index, c in coefficients:
        name = fields[index].name
        terms.append(name if c == 1 else f"-{name}" if c == -1 else f"{c} {name}")
    if constant or not terms:
        terms.append(str(constant or 0))
    return " + ".join(terms).replace("+ -", "- ")
