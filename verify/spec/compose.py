"""One network from several: quantified variables in front, one copy of a model per application behind.

    variables --(rational first block per model input, where needed)--> copy 1 --> copy 2, …

A copy is fed with affine functions of the variables and of the outputs of copies before it.
The copies' outputs, concatenated, are the outputs.  Standard library only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
        same = self.find(rows)
        if same is not None:
            return same
        terms = self.sources(rows)
        sizes = {value: size for value, size, _ in self.values}
        block = tuple(Term(value, Matrix.from_rows(sizes[value], parts)) for value, parts in terms.items())
        return self.add(Block(block, Numbers.of([r.constant for r in rows]), bytes(len(rows))))

    def find(self, rows: Sequence[Affine]) -> int | None:
        """The value whose elements are `rows` already."""
        for value, size, start in self.values:
            if size == len(rows) and all(
                not row.constant and row.coefficients == ((start + k, Fraction(1)),) for k, row in enumerate(rows)
            ):
                return value
        return None

    def sources(self, rows: Sequence[Affine]) -> dict[int, list[dict[int, Fraction]]]:
        """What `rows` take from every value: per row, the coefficients of its elements."""
        terms: dict[int, list[dict[int, Fraction]]] = {}  # one per value, also where it is published twice
        for value, size, start in self.values:
            parts = terms.get(value, [{} for _ in rows])
            for part, row in zip(parts, rows, strict=True):
                for i, c in row.coefficients:
                    if start <= i < start + size:
                        part[i - start] = part.get(i - start, Fraction(0)) + c
            if any(parts):
                terms[value] = parts
        return terms

    def moved(self, block: Block, value_of: Mapping[int, int]) -> Block:
        return Block(tuple(Term(value_of[t.source], t.matrix) for t in block.terms), block.bias, block.relu)

    def reads_outputs(self, rows: Sequence[Affine]) -> bool:
        """Whether `rows` depend on what a use before gives."""
        variables = sum(size for value, size, _ in self.values if value < self.inputs)
        return any(r.coefficients and r.coefficients[-1][0] >= variables for r in rows)

    def fused(self, block: Block, value_of: Mapping[int, int], fed: Mapping[int, Sequence[Affine]]) -> Block:
        """The block with what is fed to it multiplied in: every W·v of a fed input v = A·u + b is W·A·u + W·b."""
        terms = [Term(value_of[t.source], t.matrix) for t in block.terms if t.source not in fed]
        bias = [block.bias[row] for row in range(block.size)]
        rows: list[dict[int, Fraction]] = [{} for _ in bias]
        for term in block.terms:
            for row in range(block.size) if term.source in fed else ():
                for column, weight in term.matrix.entries(row):
                    affine = fed[term.source][column]
                    bias[row] += weight * affine.constant
                    for index, c in affine.coefficients:
                        rows[row][index] = rows[row].get(index, Fraction(0)) + weight * c
        sizes = {value: size for value, size, _ in self.values}
        sums = [Affine(tuple((i, c) for i, c in sorted(row.items()) if c)) for row in rows]
        terms += [Term(v, Matrix.from_rows(sizes[v], parts)) for v, parts in self.sources(sums).items()]
        return Block(tuple(terms), Numbers.of(bias), block.relu)


def compose(variables: Sequence[VariablePort], uses: Sequence[Use]) -> Network:
    """The network x -> (outputs of every use, in order), exactly."""
    inputs = tuple(Port(v.name, (v.size,), k, v.element_type) for k, v in enumerate(variables))
    found = _Composition([], [], len(inputs))
    for number, variable in enumerate(variables):
        found.publish(number, variable.size)
    outputs: list[Port] = []
    for use in uses:
        value_of: dict[int, int] = {}
        fed: dict[int, Sequence[Affine]] = {}  # inputs that are multiplied into the blocks that read them
        position = 0
        for number, port in enumerate(use.network.inputs):
            rows = use.raw_inputs[position : position + port.size]
            position += port.size
            if found.reads_outputs(rows) and port.value not in {p.value for p in use.network.outputs}:
                fed[number] = rows
            else:
                value_of[number] = found.feed(rows)
        for number, block in enumerate(use.network.blocks, start=len(use.network.inputs)):
            value_of[number] = found.add(found.fused(block, value_of, fed) if fed else found.moved(block, value_of))
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
