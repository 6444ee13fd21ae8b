"""One network from several: quantified variables in front, one copy of a model per application behind.

    variables --(rational first block per model input, where needed)--> copy 1 --> copy 2, …

A copy is fed with affine functions of the variables and of the outputs of copies before it.
The copies' outputs, concatenated, are the outputs.  Standard library only.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import MAXIMUM, Affine


@dataclass(frozen=True)
class VariablePort:
    """A quantified variable: `size` numbers, the values of one input port."""

    name: str
    size: int
    element_type: str = "float32"


@dataclass(frozen=True)
class Use:
    """A model fed with `raw_inputs`, affine in the concatenated variables, then the outputs of the uses before it."""

    label: str
    network: Network
    raw_inputs: tuple[Affine, ...]


@dataclass
class _Composition:
    """The blocks so far, and where every variable and output is."""

    values: list[tuple[int, int, int]]  # (value, its size, the index of its first element), in ascending order
    blocks: list[Block]
    inputs: int

    @property
    def size(self) -> int:
        return self.values[-1][1] + self.values[-1][2] if self.values else 0

    def add(self, block: Block) -> int:
        self.blocks.append(block)
        return self.inputs + len(self.blocks) - 1

    def publish(self, value: int, size: int) -> None:
        """The value's elements may be fed to what follows."""
        self.values.append((value, size, self.size))

    def feed(self, rows: Sequence[Affine]) -> int:
        """The value whose elements are `rows`."""
        for value, size, start in self.values:
            if size == len(rows) and all(
                not row.constant and row.coefficients == ((start + k, Fraction(1)),) for k, row in enumerate(rows)
            ):
                return value
        terms: dict[int, list[dict[int, Fraction]]] = {}  # one per value, also where it is published twice
        for value, size, start in self.values:
            parts = terms.get(value, [{} for _ in rows])
            for part, row in zip(parts, rows, strict=True):
                for i, c in row.coefficients:
                    if start <= i < start + size:
                        part[i - start] = part.get(i - start, Fraction(0)) + c
            if any(parts):
                terms[value] = parts
        sizes = {value: size for value, size, _ in self.values}
        block = tuple(Term(value, Matrix.from_rows(sizes[value], parts)) for value, parts in terms.items())
        return self.add(Block(block, Numbers.of([r.constant for r in rows]), bytes(len(rows))))


def compose(variables: Sequence[VariablePort], uses: Sequence[Use]) -> Network:
    """The network x -> (outputs of every use, in order), exactly."""
    inputs = tuple(Port(v.name, (v.size,), k, v.element_type) for k, v in enumerate(variables))
    found = _Composition([], [], len(inputs))
    for number, variable in enumerate(variables):
        found.publish(number, variable.size)
    outputs: list[Port] = []
    for use in uses:
        value_of: dict[int, int] = {}
        position = 0
        for number, port in enumerate(use.network.inputs):
            value_of[number] = found.feed(use.raw_inputs[position : position + port.size])
            position += port.size
        for number, block in enumerate(use.network.blocks, start=len(use.network.inputs)):
            terms = tuple(Term(value_of[t.source], t.matrix) for t in block.terms)
            value_of[number] = found.add(Block(terms, block.bias, block.relu))
        own = [Port(f"{use.label}.{p.name}", p.shape, value_of[p.value], p.element_type) for p in use.network.outputs]
        for port in own:
            found.publish(port.value, port.size)
        outputs += own
    notes = tuple(dict.fromkeys(n for u in uses for n in u.network.notes))
    return Network(inputs, tuple(outputs), tuple(found.blocks), notes)


def maximum_name(size: int) -> str:
    """What the model of `maximum_network(size)` is called in a query."""
    return f"{MAXIMUM}{size})"


def maximum_network(size: int) -> Network:
    """x -> the greatest of its `size` >= 2 elements, exactly: m := m + relu(x_k - m), element by element."""
    zero, one = Numbers.of([Fraction(0)]), Fraction(1)
    blocks: list[Block] = []
    best, column = 0, 0  # the value that holds the greatest so far, and where in it
    for k in range(1, size):
        width = size if best == 0 else 1
        if best == 0:
            parts = [Term(0, Matrix.from_rows(size, [{k: one, column: -one}]))]
        else:
            parts = [Term(0, Matrix.from_rows(size, [{k: one}])), Term(best, Matrix.from_rows(1, [{0: -one}]))]
        blocks.append(Block(tuple(parts), zero, b"\1"))
        step = Term(len(blocks), Matrix.from_rows(1, [{0: one}]))
        blocks.append(Block((Term(best, Matrix.from_rows(width, [{column: one}])), step), zero, b"\0"))
        best, column = len(blocks), 0
    return Network((Port("options", (size,), 0, "float64"),), (Port("value", (1,), best, "float64"),), tuple(blocks))
