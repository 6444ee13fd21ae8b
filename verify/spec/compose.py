"""One network from several: quantified variables in front, one copy of a model per application behind.

    variables --(rational first block per model input, where needed)--> copy 1, copy 2, …

The copies' outputs, concatenated, are the outputs.  Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import Affine


@dataclass(frozen=True)
class VariablePort:
    """A quantified variable: `size` numbers, the values of one input port."""

    name: str
    size: int
    element_type: str = "float32"


@dataclass(frozen=True)
class Use:
    """A model fed with `raw_inputs`, affine in the concatenated variables."""

    label: str
    network: Network
    raw_inputs: tuple[Affine, ...]


def compose(variables: Sequence[VariablePort], uses: Sequence[Use]) -> Network:
    """The network x -> (outputs of every use, in order), exactly."""
    inputs = tuple(Port(v.name, (v.size,), k, v.element_type) for k, v in enumerate(variables))
    starts = [sum(v.size for v in variables[:k]) for k in range(len(variables))]
    blocks: list[Block] = []
    outputs: list[Port] = []
    for use in uses:
        value_of: dict[int, int] = {}
        position = 0
        for number, port in enumerate(use.network.inputs):
            rows = use.raw_inputs[position : position + port.size]
            position += port.size
            same = _identical_variable(rows, variables, starts)
            if same is None:
                value_of[number] = len(inputs) + len(blocks)
                blocks.append(_first_block(rows, variables, starts))
            else:
                value_of[number] = same
        for number, block in enumerate(use.network.blocks, start=len(use.network.inputs)):
            terms = tuple(Term(value_of[t.source], t.matrix) for t in block.terms)
            value_of[number] = len(inputs) + len(blocks)
            blocks.append(Block(terms, block.bias, block.relu))
        outputs += [
            Port(f"{use.label}.{p.name}", p.shape, value_of[p.value], p.element_type) for p in use.network.outputs
        ]
    notes = tuple(dict.fromkeys(n for u in uses for n in u.network.notes))
    return Network(inputs, tuple(outputs), tuple(blocks), notes)


def _identical_variable(rows: Sequence[Affine], variables: Sequence[VariablePort], starts: Sequence[int]) -> int | None:
    """The variable whose elements are exactly `rows`, in order."""
    for number, (variable, start) in enumerate(zip(variables, starts, strict=True)):
        if variable.size == len(rows) and all(
            not row.constant and row.coefficients == ((start + k, Fraction(1)),) for k, row in enumerate(rows)
        ):
            return number
    return None


def _first_block(rows: Sequence[Affine], variables: Sequence[VariablePort], starts: Sequence[int]) -> Block:
    terms = []
    for number, (variable, start) in enumerate(zip(variables, starts, strict=True)):
        own = range(start, start + variable.size)
        parts: list[Mapping[int, Fraction]] = [{i - start: c for i, c in r.coefficients if i in own} for r in rows]
        if any(parts):
            terms.append(Term(number, Matrix.from_rows(variable.size, [dict(p) for p in parts])))
    return Block(tuple(terms), Numbers.of([r.constant for r in rows]), bytes(len(rows)))
