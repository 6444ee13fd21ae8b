"""SMT-LIB 2 text of one region: exact weights, proved phases substituted, bounds asserted.

Text rather than solver objects: Z3 parses it ten times faster than its Python interface builds it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.network import Network
from verify.core.normal_form import Box, Region
from verify.core.query import Row


@dataclass(frozen=True)
class Phases:
    """Proved bounds of every pre-activation of every block, as exact numbers (lists per block)."""

    lower: Sequence[Sequence[float]]
    upper: Sequence[Sequence[float]]


def encode(network: Network, region: Region, box: Box, phases: Phases) -> str:
    """Satisfiable iff some x in `box` and the region's rows satisfies some case.

    Needs: `phases` hold over the box.  Variables are named x0 … x{d-1}.
    """
    lines = ["(set-logic QF_LRA)"]
    lines += _box_lines(box)
    inputs = [f"x{i}" for i in range(network.input_size)]
    values: list[list[str]] = []
    position = 0
    for port in network.inputs:
        values.append(inputs[position : position + port.size])
        position += port.size
    for index, block in enumerate(network.blocks):
        values.append([])
        for row in range(block.size):
            terms = [
                (value, values[t.source][column])
                for t in block.terms
                for column, value in t.matrix.entries(row)
                if values[t.source][column]
            ]
            low, high = phases.lower[index][row], phases.upper[index][row]
            name = f"v{index}_{row}"
            values[-1].append(_neuron(lines, name, affine(terms, block.bias[row]), bool(block.relu[row]), low, high))
    outputs = [name for port in network.outputs for name in values[port.value]]
    lines += [f"(assert {_row(row, inputs, outputs)})" for row in region.rows]
    cases = [" ".join(_row(row, inputs, outputs) for row in case) for case in region.cases]
    lines.append("(assert (or " + " ".join(f"(and {case} true)" for case in cases) + "))")
    return "\n".join(lines)


def encode_inputs(region: Region) -> str:
    """Satisfiable iff the region has a point at all."""
    inputs = [f"x{i}" for i in range(len(region.box.lower))]
    rows = [f"(assert {_row(row, inputs, [])})" for row in region.rows]
    return "\n".join(["(set-logic QF_LRA)", *_box_lines(region.box), *rows])


def _box_lines(box: Box) -> Iterator[str]:
    for i, (low, high) in enumerate(zip(box.lower, box.upper, strict=True)):
        yield f"(declare-const x{i} Real)"
        yield f"(assert (and (<= {number(low)} x{i}) (<= x{i} {number(high)})))"


def _neuron(lines: list[str], name: str, z: str, relu: bool, low: float, high: float) -> str:
    """Define one neuron; returns the name of its value, or "" for a value that is zero."""
    if relu and high <= 0:
        return ""
    lines.append(f"(declare-const {name} Real)")
    if not relu or low >= 0:
        lines.append(f"(assert (= {name} {z}))")
        return name
    before = f"z{name}"
    lines.append(f"(declare-const {before} Real)")
    lines.append(f"(assert (= {before} {z}))")
    lines.append(f"(assert (or (and (>= {before} 0) (= {name} {before})) (and (<= {before} 0) (= {name} 0))))")
    for bound, relation in ((low, ">="), (high, "<=")):
        if abs(bound) < float("inf"):
            lines.append(f"(assert ({relation} {before} {number(Fraction(bound))}))")
    return name


def _row(row: Row, inputs: Sequence[str], outputs: Sequence[str]) -> str:
    terms = [(c, inputs[i]) for i, c in row.inputs] + [(c, outputs[i]) for i, c in row.outputs if outputs[i]]
    return f"({'<' if row.strict else '<='} {affine(terms, Fraction(0))} {number(row.bound)})"


def affine(terms: Sequence[tuple[Fraction, str]], constant: Fraction) -> str:
    parts = [f"(* {number(c)} {name})" for c, name in terms]
    if constant or not parts:
        parts.append(number(constant))
    return parts[0] if len(parts) == 1 else f"(+ {' '.join(parts)})"


def number(value: Fraction) -> str:
    """An exact rational as an SMT-LIB term."""
    text = f"{abs(value.numerator)}.0"
    if value.denominator != 1:
        text = f"(/ {text} {value.denominator}.0)"
    return f"(- {text})" if value < 0 else text
