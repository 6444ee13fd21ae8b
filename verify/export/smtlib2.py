"""SMT-LIB 2 text of one property: the network written out, every number an exact quotient."""

from __future__ import annotations

from fractions import Fraction

from verify.core.network import Network
from verify.core.property import Property
from verify.core.query import And, Formula, Or, conjunction
from verify.export.conditions import described, heading, simplified
from verify.smt.encode import affine, number


def write_smtlib2(prop: Property) -> str:
    """The text, in logic QF_LRA.  Exact: satisfiable exactly when the property is violated (or witnessed)."""
    query = prop.query
    inputs = [f"x{i}" for i in range(len(query.inputs))]
    lines = [heading(prop)]
    lines += [described(x, f) for x, f in zip(inputs, query.inputs, strict=True)]
    lines.append("(set-logic QF_LRA)")
    lines += [f"(declare-const {x} Real)" for x in inputs]
    outputs = _network(lines, query.network, inputs)
    names = [f"y{i}" for i in range(len(outputs))]
    for name, field, value in zip(names, query.outputs, outputs, strict=True):
        lines += [described(name, field), f"(declare-const {name} Real)", f"(assert (= {name} {value}))"]
    whole = simplified(conjunction([query.assumption, query.violation]))
    parts = whole.children if isinstance(whole, And) else (whole,)
    lines += [f"(assert {_condition(part, inputs, names)})" for part in parts]
    return "\n".join([*lines, "(check-sat)"]) + "\n"


def _network(lines: list[str], network: Network, inputs: list[str]) -> list[str]:
    """Define every row of every block; the outputs' names."""
    values: list[list[str]] = []
    position = 0
    for port in network.inputs:
        values.append(inputs[position : position + port.size])
        position += port.size
    for index, block in enumerate(network.blocks):
        own = []
        for row in range(block.size):
            terms = [(c, values[t.source][k]) for t in block.terms for k, c in t.matrix.entries(row)]
            name = f"v{index}_{row}"
            lines.append(f"(declare-const {name} Real)")
            z = affine(terms, block.bias[row])
            if block.relu[row]:
                lines += [f"(declare-const z{name} Real)", f"(assert (= z{name} {z}))"]
                z = f"(ite (>= z{name} 0.0) z{name} 0.0)"
            lines.append(f"(assert (= {name} {z}))")
            own.append(name)
        values.append(own)
    return [name for port in network.outputs for name in values[port.value]]


def _condition(formula: Formula, inputs: list[str], outputs: list[str]) -> str:
    if isinstance(formula, (And, Or)):
        word = "and" if isinstance(formula, And) else "or"
        if not formula.children:
            return "true" if isinstance(formula, And) else "false"
        return f"({word} {' '.join(_condition(c, inputs, outputs) for c in formula.children)})"
    terms = [(c, inputs[i]) for i, c in formula.inputs] + [(c, outputs[i]) for i, c in formula.outputs]
    return f"({'<' if formula.strict else '<='} {affine(terms, Fraction(0))} {number(formula.bound)})"
