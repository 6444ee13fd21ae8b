"""What `verify eval` shows: one physical point through a spec."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from fractions import Fraction

from verify.api import CopyAt, Evaluation, PropertyAt, Spec
from verify.core.query import Field
from verify.core.rational import rational
from verify.report.document import Document, finite, tool
from verify.report.numbers import equation, float_text, quantity, shown
from verify.report.terminal import Line, line, wrap
from verify.report.witness import FEW, WIDE, runtime_name

SCHEMA = "verify/eval/1"


def evaluation_document(evaluation: Evaluation, spec: Spec) -> Document:
    """The JSON document of one evaluation."""
    fields = _output_fields(spec)
    states = {name: {"exact": rational(v), "unit": unit} for name, (v, unit) in evaluation.states.items()}
    return {
        "schema": SCHEMA,
        "tool": tool(),
        "params": dict(spec.params),
        "spec": {"file": spec.file, "sha256": spec.sha256},
        "inputs": {name: {"exact": rational(v), "unit": unit} for name, (v, unit) in evaluation.inputs.items()},
        "networks": [_copy_document(copy, fields) for copy in evaluation.copies],
        **({"states": states} if states else {}),
        "properties": [
            {
                "property": p.name,
                "assumption_holds": p.assumption_holds,
                "assertion_holds": p.assertion_holds,
                "margin": None if p.margin is None else rational(p.margin),
            }
            for p in evaluation.properties
        ],
        "runtime": evaluation.runtime,
    }


def evaluation_lines(evaluation: Evaluation, spec: Spec) -> list[Line]:
    """The same for reading."""
    fields = _output_fields(spec)
    lines = [line(("inputs", "bold")), *_cells([equation(n, v, u) for n, (v, u) in evaluation.inputs.items()])]
    for copy in evaluation.copies:
        lines += _copy_lines(copy, fields, evaluation.runtime)
    if evaluation.states:
        lines.append(line(("states after each step", "bold")))
        lines += [
            line(row) for row in wrap([equation(n, v, u) for n, (v, u) in evaluation.states.items()], indent="  ")
        ]
    lines.append(line(("properties", "bold")))
    if not evaluation.properties:
        lines.append(line("  none is about these variables alone"))
    width = max((len(p.name) for p in evaluation.properties), default=0)
    lines += [_property_line(p, width, spec) for p in evaluation.properties]
    return lines


def _copy_document(copy: CopyAt, fields: Mapping[str, Field]) -> Document:
    return {
        "copy": copy.label,
        "model": copy.model,
        "raw_input": [rational(v) for v in copy.raw_input],
        "replay_input": [finite(v) for v in copy.replay_input],
        "raw_output": [rational(v) for v in copy.raw_output],
        "replay_output": [finite(v) for v in copy.replay_output],
        "outputs": {
            name: {"exact": rational(value), "replay": None if again is None else finite(again), "unit": unit}
            for (name, (value, unit)), again in zip(copy.outputs.items(), _replayed(copy, fields), strict=True)
        },
    }


def _copy_lines(copy: CopyAt, fields: Mapping[str, Field], runtime: str) -> list[Line]:
    fed = [shown(v) for v in copy.raw_input]
    lines = [line((copy.label, "bold")), *_cells([t if e else f"≈ {t}" for t, e in fed], "fed raw      ")]
    lines += _cells([float_text(v) for v in copy.replay_input], "fed rounded  ")
    lines += _cells([equation(_short(n, copy), v, u) for n, (v, u) in copy.outputs.items()], "outputs      ")
    replayed = _replayed(copy, fields)
    if copy.replay_output:
        texts = ["not finite" if v is None else float_text(v) for v in replayed]
        lines += _cells(texts, f"{runtime_name(runtime)}: ")
    else:
        lines.append(line(f"  {runtime_name(runtime)} gave no answer"))
    return lines


def _property_line(at: PropertyAt, width: int, spec: Spec) -> Line:
    name = at.name.ljust(width)
    if not at.assumption_holds:
        return line(f"  {name}  ", ("not assumed here", "dim"), " (the point lies outside its assumptions)")
    exists = any(p.name == at.name and p.query.quantifier == "exists" for p in spec.properties)
    if at.margin == 0:
        rest = " as an exact tie (margin 0)"
    else:
        rest = "" if at.margin is None else f" by {quantity(abs(at.margin))}"
    if at.assertion_holds:
        suffix = ": a witness" if exists else ""
        return line(f"  {name}  ", ("holds", "green"), rest + suffix)
    suffix = ": no witness here" if exists else ": a counterexample"
    return line(f"  {name}  ", ("fails", "yellow" if exists else "red"), rest + suffix)


def _cells(cells: Sequence[str], label: str = "") -> list[Line]:
    if len(cells) > WIDE:
        cells = [*cells[:FEW], f"… ({len(cells)} in all)"]
    return [line(row) for row in wrap(cells, indent="  " + label, hanging="  " + " " * len(label))]


def _short(name: str, copy: CopyAt) -> str:
    """The output's own name: its copy stands above it."""
    return name.removeprefix(copy.label + ".")


def _output_fields(spec: Spec) -> dict[str, Field]:
    """Every named output of the spec, which knows how raw numbers become physical ones."""
    return {field.name: field for p in spec.properties for field in p.query.outputs}


def _replayed(copy: CopyAt, fields: Mapping[str, Field]) -> list[float | None]:
    """ONNX Runtime's outputs in the spec's units; None where unknown or not finite."""
    if len(copy.replay_output) != len(copy.outputs):
        return [None] * len(copy.outputs)
    result: list[float | None] = []
    for name, raw in zip(copy.outputs, copy.replay_output, strict=True):
        field = fields.get(name) or fields.get(f"{copy.label}.{name}")
        if field is None or not math.isfinite(raw):
            result.append(None)
        else:
            result.append(float(field.physical(Fraction(raw))))
    return result
