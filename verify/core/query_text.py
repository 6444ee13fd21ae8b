"""A query as canonical JSON, all but the network's blocks, and back (standard library only).

Every value has one text: short forms (a field that is only a name, an affine map that is one variable) are used
exactly where they apply, and what is read must be written back byte by byte.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from verify.core import canonical_json
from verify.core.canonical_json import closed, malformed
from verify.core.network import Network
from verify.core.query import Affine, And, Coefficients, Copy, Field, Formula, Or, Query, Row
from verify.core.rational import parse_rational, rational

ONE, ZERO = Fraction(1), Fraction(0)
_KEYS = {"quantifier": str, "inputs": list, "outputs": list, "assumption": list, "violation": list, "copies": list}
_COPY_KEYS = {"label": str, "model": str, "raw_inputs": list, "first_output": int}


def encode(query: Query) -> bytes:
    """The query without its network."""
    return canonical_json.dumps(
        {
            "quantifier": query.quantifier,
            "inputs": [_field_text(f) for f in query.inputs],
            "outputs": [_field_text(f) for f in query.outputs],
            "assumption": _formula_text(query.assumption),
            "violation": _formula_text(query.violation),
            "copies": [
                {
                    "label": c.label,
                    "model": c.model,
                    "raw_inputs": [_affine_text(a) for a in c.raw_inputs],
                    "first_output": c.first_output,
                }
                for c in query.copies
            ],
        }
    )


def decode(data: bytes, network: Network) -> Query:
    """The query that `encode` wrote, over `network`.  Raises RejectedError E510."""
    found = closed(canonical_json.loads(data, "the query"), _KEYS, "the query")
    if found["quantifier"] not in ("forall", "exists"):
        raise malformed("the query's quantifier is neither forall nor exists")
    sizes = (network.input_size, network.output_size)
    try:
        query = Query(
            network,
            tuple(_field(f) for f in found["inputs"]),
            tuple(_field(f) for f in found["outputs"]),
            _formula(found["assumption"], sizes),
            _formula(found["violation"], sizes),
            tuple(_copy(c, sizes) for c in found["copies"]),
            found["quantifier"],
        )
    except ValueError as problem:
        raise malformed(f"the query: {problem}") from None
    if encode(query) != data:
        raise malformed("the query is not in canonical form")
    return query


def _field_text(field: Field) -> Any:
    if field == Field(field.name):
        return field.name
    return [field.name, field.unit, rational(field.scale), rational(field.offset)]


def _field(entry: Any) -> Field:
    if isinstance(entry, str):
        return Field(entry)
    name, unit, scale, offset = _list_of(entry, 4)
    if not isinstance(name, str) or not (unit is None or isinstance(unit, str)):
        raise ValueError("a field's name or unit is no text")
    field = Field(name, unit, _number(scale), _number(offset))
    if not field.scale:
        raise ValueError("a field's scale is 0")
    return field


def _formula_text(formula: Formula) -> list[Any]:
    if isinstance(formula, Row):
        sign = "<" if formula.strict else "<="
        return [sign, _terms_text(formula.inputs), _terms_text(formula.outputs), rational(formula.bound)]
    return ["and" if isinstance(formula, And) else "or", *map(_formula_text, formula.children)]


def _formula(entry: Any, sizes: tuple[int, int]) -> Formula:
    if not isinstance(entry, list) or not entry:
        raise ValueError("a formula is not a list")
    if entry[0] in ("and", "or"):
        children = tuple(_formula(child, sizes) for child in entry[1:])
        return And(children) if entry[0] == "and" else Or(children)
    sign, inputs, outputs, bound = _list_of(entry, 4)
    if sign not in ("<", "<="):
        raise ValueError(f"unknown formula {str(sign)[:20]!r}")
    return Row(_terms(inputs, sizes[0]), _terms(outputs, sizes[1]), _number(bound), sign == "<")


def _copy(entry: Any, sizes: tuple[int, int]) -> Copy:
    found = closed(entry, _COPY_KEYS, "a copy")
    if not 0 <= found["first_output"] < max(1, sizes[1]):
        raise ValueError("a copy's first output is out of range")
    affines = tuple(_affine(a, sizes[0] + found["first_output"]) for a in found["raw_inputs"])
    return Copy(found["label"], found["model"], affines, found["first_output"])


def _affine_text(affine: Affine) -> Any:
    if len(affine.coefficients) == 1 and affine.coefficients[0][1] == 1 and not affine.constant:
        return affine.coefficients[0][0]
    return [_terms_text(affine.coefficients), rational(affine.constant)]


def _affine(entry: Any, size: int) -> Affine:
    if isinstance(entry, int):
        return Affine(_terms([[entry, "1"]], size))
    terms, constant = _list_of(entry, 2)
    return Affine(_terms(terms, size), _number(constant))


def _terms_text(coefficients: Coefficients) -> list[Any]:
    return [[index, rational(value)] for index, value in coefficients]


def _terms(entry: Any, size: int) -> Coefficients:
    """Indices ascend below `size`; no coefficient is 0."""
    if not isinstance(entry, list):
        raise ValueError("coefficients are not a list")
    terms: list[tuple[int, Fraction]] = []
    for pair in entry:
        index, text = _list_of(pair, 2)
        value = _number(text)
        if type(index) is not int or not (terms[-1][0] if terms else -1) < index < size or not value:
            raise ValueError("a coefficient is out of order, out of range or 0")
        terms.append((index, value))
    return tuple(terms)


def _number(entry: Any) -> Fraction:
    if not isinstance(entry, str):
        raise ValueError("an exact number is no text")
    return parse_rational(entry)


def _list_of(entry: Any, length: int) -> Sequence[Any]:
    if not isinstance(entry, list) or len(entry) != length:
        raise ValueError(f"a list of {length} entries is needed")
    return entry
