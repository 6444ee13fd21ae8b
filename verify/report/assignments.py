"""A satisfying assignment in the VNN-LIB standard's text: `name type [shape]`, then a value per line, row-major."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from verify.core.query import Query
from verify.core.verdict import Witness

MOST_DIGITS = 60  # of a decimal that is written out exactly


@dataclass(frozen=True)
class Assignment:
    """One declared tensor and its exact elements."""

    name: str
    element_type: str
    shape: tuple[int, ...]
    values: tuple[Fraction, ...]

    def lines(self) -> list[str]:
        shape = ",".join(map(str, self.shape))
        return [f"{self.name} {self.element_type} [{shape}]", *map(decimal_text, self.values)]


def assignments(text: str, file: str, networks: Mapping[str, str], query: Query, witness: Witness) -> list[Assignment]:
    """Every declared tensor of a query file's `text` at a witness, in the order of declaration.

    `networks` are the model files by name, for the values of `initialized` inputs.  Raises VnnlibError, ModelError.
    """
    from verify.spec import vnnlib, vnnlib2

    known = {f.name: v for f, v in zip(query.inputs, witness.x, strict=True)}
    known |= {f.name: v for f, v in zip(query.outputs, witness.outputs, strict=True)}
    if not vnnlib.is_version_2(text):
        names = [n for n in known if n.startswith(("X_", "Y_"))]
        return [Assignment(name, "Real", (), (known[name],)) for name in names]
    document = vnnlib2.parse(text, file)
    known |= _equal_inputs(document, known)
    known |= _defaults(document, networks)
    return [
        Assignment(t.name, t.element_type, t.shape, tuple(known[n] for n in t.element_names()))
        for t in document.tensors
    ]


def _equal_inputs(document: object, known: Mapping[str, Fraction]) -> dict[str, Fraction]:
    """Inputs that are one variable with another."""
    from verify.spec.vnnlib2 import Document
    from verify.spec.vnnlib2_matching import Variables

    assert isinstance(document, Document)
    names = [n for t in document.tensors if t.kind == "input" for n in t.element_names()]
    variables = Variables.read(document)
    first = [names[i] for i in variables.first]
    return {name: known[first[v]] for name, v in zip(names, variables.of, strict=True) if first[v] in known}


def _defaults(document: object, networks: Mapping[str, str]) -> dict[str, Fraction]:
    from verify.spec.vnnlib2 import Document

    assert isinstance(document, Document)
    found: dict[str, Fraction] = {}
    for declaration in document.networks:
        declared = [t for t in declaration.of_kind("input") if t.initialized]
        if not declared:
            continue
        from verify.importer.structure import default_inputs

        model = document.model_of(declaration)
        defaults = default_inputs(networks[model] if model in networks else networks[""])
        for position, tensor in enumerate(declared):
            name = tensor.onnx_name if tensor.onnx_name is not None else list(defaults)[position]
            found |= dict(zip(tensor.element_names(), defaults[name][1], strict=True))
    return found


def decimal_text(value: Fraction) -> str:
    """The exact decimal where it is short enough, else the nearest float64's."""
    if value.denominator == 1 and abs(value.numerator) < 10**MOST_DIGITS:
        return str(value.numerator)
    twos, rest = 0, value.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    fives = 0
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    places = max(twos, fives)
    if rest != 1 or places > MOST_DIGITS or abs(value) >= 10**MOST_DIGITS:
        return repr(float(value))
    digits = str(abs(value.numerator) * 10**places // value.denominator).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return f"{sign}{digits[:-places]}.{digits[-places:]}"


def write_text(path: Path, found: list[Assignment]) -> None:
    """Raises OSError."""
    path.write_text("".join(f"{line}\n" for a in found for line in a.lines()), encoding="utf-8")
