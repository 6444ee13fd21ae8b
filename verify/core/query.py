"""The query: is there an input that meets an assumption and a violation?  (standard library only)

A query is about the variables x (all inputs of its network, concatenated) and the outputs y (all outputs,
concatenated).  Formulas are in negation normal form over linear rows; there is no negation node, `negate`
pushes it into the rows, where strict and non-strict swap exactly.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from typing import Literal, Union

from verify.core.network import Network

DIGEST_HEADER = b"verify/query/1\n"
UNICODE = ("utf-8", "surrogatepass")
MAXIMUM = "max("  # how the name of a model that is no file begins: names of models are names

Coefficients = tuple[tuple[int, Fraction], ...]  # ascending indices, no zeros


@dataclass(frozen=True)
class Row:
    """Σ inputs·x + Σ outputs·y  <=  bound   (or < when strict)."""

    inputs: Coefficients
    outputs: Coefficients
    bound: Fraction
    strict: bool = False

    @classmethod
    def of(
        cls,
        inputs: Mapping[int, Fraction | int],
        outputs: Mapping[int, Fraction | int],
        bound: Fraction | int,
        *,
        strict: bool = False,
    ) -> Row:
        """From {index: coefficient}; zeros are dropped."""
        return cls(_coefficients(inputs), _coefficients(outputs), Fraction(bound), strict)

    def slack(self, x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction:
        """bound - left side, exactly; the row holds when this is >= 0 (> 0 if strict)."""
        total = self.bound
        for index, coefficient in self.inputs:
            total -= coefficient * x[index]
        for index, coefficient in self.outputs:
            total -= coefficient * y[index]
        return total

    def holds(self, x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
        slack = self.slack(x, y)
        return slack > 0 if self.strict else slack >= 0


@dataclass(frozen=True)
class And:
    """True when all children are; And(()) is true."""

    children: tuple[Formula, ...]


@dataclass(frozen=True)
class Or:
    """True when some child is; Or(()) is false."""

    children: tuple[Formula, ...]


Formula = Union[Row, And, Or]
TRUE = And(())
FALSE = Or(())


def conjunction(children: Iterable[Formula]) -> Formula:
    """Flattened And; FALSE when a child is FALSE."""
    flat: list[Formula] = []
    for child in children:
        if child == FALSE:
            return FALSE
        flat.extend(child.children if isinstance(child, And) else (child,))
    return flat[0] if len(flat) == 1 else And(tuple(flat))


def disjunction(children: Iterable[Formula]) -> Formula:
    """Flattened Or; TRUE when a child is TRUE."""
    flat: list[Formula] = []
    for child in children:
        if child == TRUE:
            return TRUE
        flat.extend(child.children if isinstance(child, Or) else (child,))
    return flat[0] if len(flat) == 1 else Or(tuple(flat))


def negate(formula: Formula) -> Formula:
    """The exact complement, in negation normal form."""
    if isinstance(formula, And):
        return Or(tuple(negate(c) for c in formula.children))
    if isinstance(formula, Or):
        return And(tuple(negate(c) for c in formula.children))
    return Row(
        tuple((i, -c) for i, c in formula.inputs),
        tuple((i, -c) for i, c in formula.outputs),
        -formula.bound,
        not formula.strict,
    )


def holds(formula: Formula, x: Sequence[Fraction], y: Sequence[Fraction]) -> bool:
    """Whether exact values satisfy a formula."""
    if isinstance(formula, And):
        return all(holds(c, x, y) for c in formula.children)
    if isinstance(formula, Or):
        return any(holds(c, x, y) for c in formula.children)
    return formula.holds(x, y)


def margin(formula: Formula, x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction | None:
    """By how much the formula holds (negative: fails): min over And, max over Or of the rows' slacks.

    None when no row decides (TRUE or FALSE itself).
    """
    if isinstance(formula, Row):
        return formula.slack(x, y)
    parts = [m for m in (margin(c, x, y) for c in formula.children) if m is not None]
    if not parts:
        return None
    return min(parts) if isinstance(formula, And) else max(parts)


def mentions_outputs(formula: Formula) -> bool:
    if isinstance(formula, Row):
        return bool(formula.outputs)
    return any(mentions_outputs(c) for c in formula.children)


@dataclass(frozen=True)
class Selection:
    """What a query over a network with choices must assume.

    An operator that jumps takes one of finitely many values; which one is a further input of its network, a choice.
    The choices are the last input, what decides them is the last output when there are `guards`.  For every point
    exactly one value of the choices satisfies `formula`, which is over the network's inputs and outputs; with it the
    network computes what the model does.  `names` says which element of which operator each choice is.
    """

    formula: Formula
    names: tuple[str, ...]
    guards: int


@dataclass(frozen=True)
class Field:
    """A named scalar as the spec's author sees it: physical = scale * raw + offset, `scale` non-zero."""

    name: str
    unit: str | None = None
    scale: Fraction = Fraction(1)
    offset: Fraction = Fraction(0)

    def physical(self, raw: Fraction) -> Fraction:
        return self.scale * raw + self.offset

    def raw(self, physical: Fraction) -> Fraction:
        return (physical - self.offset) / self.scale


@dataclass(frozen=True)
class Affine:
    """Σ coefficients·x + constant over the query's variables; what a chained copy is fed, over its outputs too."""

    coefficients: Coefficients
    constant: Fraction = Fraction(0)

    def __call__(self, x: Sequence[Fraction]) -> Fraction:
        return sum((c * x[i] for i, c in self.coefficients), self.constant)


@dataclass(frozen=True)
class Copy:
    """One use of a model in the query, e.g. `acas(s)`: what it is fed and where its outputs are.

    `raw_inputs` gives every element of the model's inputs, concatenated; the copy's outputs are the query's
    outputs `first_output` … in the model's order.  A copy that is fed with what earlier copies give is chained: in its
    `raw_inputs` the query's outputs before `first_output` are numbered behind the variables.
    A model `max(N)` is no file: its one output is the greatest of its N inputs.
    """

    label: str
    model: str
    raw_inputs: tuple[Affine, ...]
    first_output: int

    @property
    def is_maximum(self) -> bool:
        return self.model.startswith(MAXIMUM)


@dataclass(frozen=True)
class Query:
    """Is there x with assumption(x, y) and violation(x, y), where y = network(x)?

    quantifier "forall": such an x refutes the property; "exists": such an x witnesses it.
    `inputs` and `outputs` name every variable and output (for reports); rows are in raw numbers.
    """

    network: Network
    inputs: tuple[Field, ...]
    outputs: tuple[Field, ...]
    assumption: Formula
    violation: Formula
    copies: tuple[Copy, ...]
    quantifier: Literal["forall", "exists"] = "forall"

    def __post_init__(self) -> None:
        if len(self.inputs) != self.network.input_size or len(self.outputs) != self.network.output_size:
            raise ValueError("one field per variable and per output")
        if any(c.raw_inputs and self._reach(c) >= len(self.inputs) + c.first_output for c in self.copies):
            raise ValueError("a copy is fed with what is computed after it")

    @property
    def chained(self) -> bool:
        """Whether some copy is fed with what others give, or is no model's."""
        return any(copy.is_maximum or self._reach(copy) >= len(self.inputs) for copy in self.copies)

    def _reach(self, copy: Copy) -> int:
        """The greatest index that a copy is fed with; -1 for constants."""
        return max((a.coefficients[-1][0] for a in copy.raw_inputs if a.coefficients), default=-1)

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of everything the query says: quantifier, network (its digest), fields, formulas, copies.

        Injective: queries that differ in any of these, the order of rows included, have different encodings.
        """
        hasher = hashlib.sha256(DIGEST_HEADER)
        hasher.update(f"{_text(self.quantifier)}n{self.network.digest};".encode())
        for fields in (self.inputs, self.outputs):
            hasher.update(f"F{len(fields)};".encode())
            for field in fields:
                unit = "-" if field.unit is None else _text(field.unit)
                text = f"{_text(field.name)}{unit}{_number(field.scale)}{_number(field.offset)}"
                hasher.update(text.encode(*UNICODE))
        for formula in (self.assumption, self.violation):
            for part in _encoded(formula):
                hasher.update(part.encode())
        hasher.update(f"C{len(self.copies)};".encode())
        for copy in self.copies:
            text = f"{_text(copy.label)}{_text(copy.model)}{copy.first_output:x};{len(copy.raw_inputs):x};"
            hasher.update(text.encode(*UNICODE))
            for affine in copy.raw_inputs:
                hasher.update(f"{_terms(affine.coefficients)}{_number(affine.constant)}".encode())
        return hasher.hexdigest()


def identity_copy(label: str, model: str, input_size: int) -> Copy:
    """The copy of a query that searches one model in its raw inputs."""
    return Copy(label, model, tuple(Affine(((i, Fraction(1)),)) for i in range(input_size)), 0)


def _coefficients(mapping: Mapping[int, Fraction | int]) -> Coefficients:
    return tuple((i, Fraction(mapping[i])) for i in sorted(mapping) if mapping[i])


def _text(text: str) -> str:
    return f"s{len(text):x}:{text}"


def _number(value: Fraction) -> str:
    """In hexadecimal, which has no limit of digits."""
    return f"{value.numerator:x}/{value.denominator:x};"


def _terms(coefficients: Coefficients) -> str:
    return f"{len(coefficients):x}:" + "".join(f"{i:x}*{_number(c)}" for i, c in coefficients)


def _encoded(formula: Formula) -> Iterator[str]:
    """The formula in prefix order, connectives with their number of children."""
    stack = [formula]
    while stack:
        top = stack.pop()
        if isinstance(top, Row):
            sign = "<" if top.strict else "="
            yield f"R{sign}{_terms(top.inputs)}{_terms(top.outputs)}{_number(top.bound)}"
        else:
            yield f"{'A' if isinstance(top, And) else 'O'}{len(top.children):x};"
            stack.extend(reversed(top.children))
