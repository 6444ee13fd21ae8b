"""Two copies of one network in a query, and what a row says about their difference (standard library only).

A property such as "the score rises with this feature" compares f(b) with f(a).  Its rows are Σ c (f_e(b) - f_e(a)) + …:
`find_pairing` recognises that both values are computed by the same blocks, and gives f on its own together with a and b
as affine functions of the query's variables.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from verify.core.exact import Numbers
from verify.core.network import Block, Network, Port, Term
from verify.core.query import Affine, Row

MAX_BLOCKS = 300  # of a copy; pairing recurses over them


@dataclass(frozen=True, eq=False)
class Pairing:
    """`model` computes both values: at `first(x)` the earlier one, at `second(x)` the later one."""

    model: Network
    first: tuple[Affine, ...]
    second: tuple[Affine, ...]

    def differences(self) -> tuple[Affine, ...]:
        """second - first, per element of the model's input."""
        return tuple(_minus(b, a) for a, b in zip(self.first, self.second, strict=True))


@dataclass(frozen=True)
class Difference:
    """A row as  outputs · (f(second) - f(first)) + slope · (second - first) + rest(x)  <=  bound  (< when strict)."""

    outputs: tuple[Fraction, ...]  # per element of the model's output
    slope: tuple[Fraction, ...]  # per element of its input
    rest: Affine
    bound: Fraction
    strict: bool


def compared_values(network: Network, row: Row) -> tuple[int, int, tuple[Fraction, ...]] | None:
    """(u, v, c) when the row's outputs are Σ c_e (value_v[e] - value_u[e]) for two values of the network."""
    parts: dict[int, dict[int, Fraction]] = {}
    place = network.output_places
    for index, coefficient in row.outputs:
        value, element = place[index]
        part = parts.setdefault(value, {})
        part[element] = part.get(element, Fraction(0)) + coefficient
    if len(parts) != 2:
        return None
    (u, first), (v, second) = sorted(parts.items())
    if network.value_sizes[u] != network.value_sizes[v] or first != {e: -c for e, c in second.items()}:
        return None
    return u, v, tuple(second.get(e, Fraction(0)) for e in range(network.value_sizes[v]))


def find_pairing(network: Network, u: int, v: int) -> Pairing | None:
    """The model that computes values u and v alike, or None when they are not two copies of one network."""
    if len(network.blocks) > 2 * MAX_BLOCKS:
        return None
    builder = _Pairs(network)
    output = builder.pair(u, v)
    if output is None or not builder.blocks:
        return None
    leaves = [(a, b) for (a, b), number in builder.leaves.items()]
    sizes = [network.value_sizes[a] for a, _ in leaves]
    inputs = tuple(Port(f"x{k}", (size,), k, "float64") for k, size in enumerate(sizes))
    # values were numbered ~0, ~1, … for leaves and 0, 1, … for blocks until the number of leaves was known
    blocks = tuple(
        Block(tuple(Term(builder.final(t.source), t.matrix) for t in b.terms), b.bias, b.relu) for b in builder.blocks
    )
    port = Port("y", (network.value_sizes[u],), builder.final(output), "float64")
    model = Network(inputs, (port,), blocks)
    first = tuple(affine for a, _ in leaves for affine in builder.affine(a))
    second = tuple(affine for _, b in leaves for affine in builder.affine(b))
    return Pairing(model, first, second)


def difference_row(row: Row, outputs: tuple[Fraction, ...], pairing: Pairing) -> Difference:
    """The row over the pair.  `slope` takes what can be expressed by second - first, `rest` is what remains."""
    rest = dict(row.inputs)
    slope = []
    bound = row.bound
    differences = pairing.differences()
    users: dict[int, int] = {}
    for affine in differences:
        for index, _ in affine.coefficients:
            users[index] = users.get(index, 0) + 1
    for affine in differences:
        own = next(((i, c) for i, c in affine.coefficients if users[i] == 1 and rest.get(i)), None)
        factor = rest[own[0]] / own[1] if own is not None else Fraction(0)
        slope.append(factor)
        if factor:
            bound += factor * affine.constant
            for index, coefficient in affine.coefficients:
                rest[index] = rest.get(index, Fraction(0)) - factor * coefficient
    remaining = Affine(tuple((i, c) for i, c in sorted(rest.items()) if c))
    return Difference(outputs, tuple(slope), remaining, bound, row.strict)


class _Pairs:
    """Matches the values of two copies; blocks of the common model in topological order."""

    def __init__(self, network: Network) -> None:
        self.network = network
        self.known: dict[tuple[int, int], int | None] = {}
        self.depth = 0  # of the recursion; steps of a closed loop overlap, so that it may be that of the whole network
        self.leaves: dict[tuple[int, int], int] = {}
        self.blocks: list[Block] = []
        self._signatures: dict[int, bytes] = {}

    def pair(self, u: int, v: int) -> int | None:
        """The provisional number of a paired value: ~k for leaf k, k for block k; None when they differ."""
        if (u, v) not in self.known:
            self.depth += 1
            self.known[u, v] = self._pair(u, v) if self.depth <= MAX_BLOCKS else None
            self.depth -= 1
        return self.known[u, v]

    def _pair(self, u: int, v: int) -> int | None:
        sizes = self.network.value_sizes
        if sizes[u] != sizes[v]:
            return None
        if self._is_affine(u) and self._is_affine(v):
            return self.leaves.setdefault((u, v), ~len(self.leaves))
        first = len(self.network.inputs)
        if u < first or v < first or self._signature(u - first) != self._signature(v - first):
            return None
        one, other = self.network.blocks[u - first], self.network.blocks[v - first]
        terms = []
        for a, b in zip(one.terms, other.terms, strict=True):
            source = self.pair(a.source, b.source)
            if source is None:
                return None
            terms.append(Term(source, a.matrix))
        self.blocks.append(Block(tuple(terms), one.bias, one.relu))
        return len(self.blocks) - 1

    def final(self, provisional: int) -> int:
        return ~provisional if provisional < 0 else len(self.leaves) + provisional

    def _is_affine(self, value: int) -> bool:
        first = len(self.network.inputs)
        if value < first:
            return True
        block = self.network.blocks[value - first]
        return not any(block.relu) and all(t.source < first for t in block.terms)

    def affine(self, value: int) -> list[Affine]:
        """An affine value's elements in the query's variables."""
        starts = [sum(p.size for p in self.network.inputs[:k]) for k in range(len(self.network.inputs))]
        first = len(self.network.inputs)
        if value < first:
            size = self.network.value_sizes[value]
            return [Affine(((starts[value] + k, Fraction(1)),)) for k in range(size)]
        block = self.network.blocks[value - first]
        result = []
        for row in range(block.size):
            total: dict[int, Fraction] = {}
            for term in block.terms:
                for column, weight in term.matrix.entries(row):
                    index = starts[term.source] + column
                    total[index] = total.get(index, Fraction(0)) + weight
            result.append(Affine(tuple((i, c) for i, c in sorted(total.items()) if c), _entry(block.bias, row)))
        return result

    def _signature(self, block: int) -> bytes:
        """Equal for blocks of equal exact content, whatever their sources are."""
        if block not in self._signatures:
            content = self.network.blocks[block]
            hasher = hashlib.sha256(f"{content.size},{len(content.terms)};".encode())
            for term in content.terms:
                term.matrix.digest_into(hasher)
            content.bias.digest_into(hasher)
            hasher.update(content.relu)
            self._signatures[block] = hasher.digest()
        return self._signatures[block]


def _entry(numbers: Numbers, position: int) -> Fraction:
    return Fraction(numbers[position])


def _minus(b: Affine, a: Affine) -> Affine:
    total = dict(b.coefficients)
    for index, coefficient in a.coefficients:
        total[index] = total.get(index, Fraction(0)) - coefficient
    return Affine(tuple((i, c) for i, c in sorted(total.items()) if c), b.constant - a.constant)
