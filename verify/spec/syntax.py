"""The abstract syntax of a .nnspec file: what was written, with places, nothing resolved."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Union

from verify.errors import Place


@dataclass(frozen=True, eq=False)
class Node:
    place: Place
    text: str  # as written, white space collapsed


@dataclass(frozen=True, eq=False)
class Identifier(Node):
    """A declared or referred name; `text` is the name."""


@dataclass(frozen=True, eq=False)
class UnitExpression(Node):
    powers: tuple[tuple[Identifier, int], ...]


# --- expressions -------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Literal(Node):
    value: Fraction
    unit: UnitExpression | None


@dataclass(frozen=True, eq=False)
class Boolean(Node):
    value: bool


@dataclass(frozen=True, eq=False)
class Name(Node):
    pass


@dataclass(frozen=True, eq=False)
class Attribute(Node):
    base: Expression
    field: Identifier


@dataclass(frozen=True, eq=False)
class Index(Node):
    base: Expression
    indices: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Call(Node):
    function: Expression
    arguments: tuple[Expression, ...]
    keywords: tuple[tuple[Identifier, Expression], ...]


@dataclass(frozen=True, eq=False)
class Negative(Node):
    operand: Expression


@dataclass(frozen=True, eq=False)
class Sum(Node):
    terms: tuple[tuple[int, Expression], ...]  # (sign, term)


@dataclass(frozen=True, eq=False)
class Product(Node):
    factors: tuple[tuple[str, Expression], ...]  # ("*" or "/", factor); the first is "*"


@dataclass(frozen=True, eq=False)
class Comparison(Node):
    operands: tuple[Expression, ...]
    operators: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class DecisionIs(Node):
    """left is / is strictly / may be right; `mode` as written."""

    left: Expression
    mode: str
    right: Expression


@dataclass(frozen=True, eq=False)
class Same(Node):
    left: Name
    right: Name
    exceptions: tuple[Identifier, ...]


@dataclass(frozen=True, eq=False)
class Junction(Node):
    """`and` or `or` of two or more operands."""

    word: str
    operands: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Not(Node):
    operand: Expression


@dataclass(frozen=True, eq=False)
class Implies(Node):
    premise: Expression
    conclusion: Expression


@dataclass(frozen=True, eq=False)
class If(Node):
    guard: Expression
    then: Expression
    otherwise: Expression


@dataclass(frozen=True, eq=False)
class Finite(Node):
    """all/any NAME in range : body."""

    word: str
    name: Identifier
    range: Range
    body: Expression


@dataclass(frozen=True, eq=False)
class Interval(Node):
    low: Expression
    high: Expression


@dataclass(frozen=True, eq=False)
class Choices(Node):
    items: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Steps(Node):
    first: Expression
    last: Expression


Expression = Union[
    Literal, Boolean, Name, Attribute, Index, Call, Negative, Sum, Product, Comparison, DecisionIs, Same, Junction,
    Not, Implies, If, Finite,
]  # fmt: skip
Domain = Union[Expression, Interval, Choices]
Range = Union[Expression, Choices, Steps]


# --- declarations ------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class UnitDecl(Node):
    name: Identifier
    value: Expression | None


@dataclass(frozen=True, eq=False)
class ConstDecl(Node):
    name: Identifier
    value: Expression


@dataclass(frozen=True, eq=False)
class ParamDecl(Node):
    name: Identifier
    unit: UnitExpression | None
    interval: Interval | None
    value: Expression | None


@dataclass(frozen=True, eq=False)
class DatasetDecl(Node):
    name: Identifier
    file: str
    network: Identifier


@dataclass(frozen=True, eq=False)
class PortItem(Node):
    """One `input` or `output` line of a network block."""

    direction: str  # "input" or "output"
    names: tuple[Identifier, ...]
    shape: tuple[int, ...] | None
    unit: UnitExpression | None
    interval: Interval | None
    raw: Expression | None


@dataclass(frozen=True, eq=False)
class HiddenItem(Node):
    name: Identifier
    shape: tuple[int, ...]
    tensor: str


@dataclass(frozen=True, eq=False)
class NetworkDecl(Node):
    name: Identifier
    file: str | None
    items: tuple[PortItem | HiddenItem, ...]


@dataclass(frozen=True, eq=False)
class StateItem(Node):
    """`state` or `disturbance` names of a system."""

    kind: str
    names: tuple[Identifier, ...]
    unit: UnitExpression | None
    interval: Interval | None


@dataclass(frozen=True, eq=False)
class NextItem(Node):
    name: Identifier
    value: Expression


@dataclass(frozen=True, eq=False)
class Let(Node):
    name: Identifier
    value: Expression


@dataclass(frozen=True, eq=False)
class SystemDecl(Node):
    name: Identifier
    items: tuple[StateItem | NextItem | Let, ...]


@dataclass(frozen=True, eq=False)
class DefineDecl(Node):
    name: Identifier
    parameters: tuple[tuple[Identifier, Domain], ...]
    body: Expression


@dataclass(frozen=True, eq=False)
class AttributeMark(Node):
    """@name(arguments)."""

    name: Identifier
    arguments: tuple[Expression, ...]


@dataclass(frozen=True, eq=False)
class Quantifier(Node):
    word: str
    names: tuple[Identifier, ...]
    domain: Domain


@dataclass(frozen=True, eq=False)
class Assume(Node):
    condition: Expression


@dataclass(frozen=True, eq=False)
class Assert(Node):
    condition: Expression


@dataclass(frozen=True, eq=False)
class Sweep(Node):
    name: Identifier
    domain: Domain


@dataclass(frozen=True, eq=False)
class PropertyDecl(Node):
    name: Identifier
    title: str
    attributes: tuple[AttributeMark, ...]
    sweep: Sweep | None
    statements: tuple[Quantifier | Let | Assume | Assert, ...]


Item = Union[
    UnitDecl, ConstDecl, ParamDecl, DatasetDecl, NetworkDecl, SystemDecl, DefineDecl, PropertyDecl
]  # fmt: skip


@dataclass(frozen=True, eq=False)
class SpecFile:
    """A parsed file.  `networks`: name -> model file as declared (None: given on the command line)."""

    file: str
    items: tuple[Item, ...]
    broken: frozenset[str] = frozenset()  # names whose declarations could not be read

    @property
    def networks(self) -> dict[str, str | None]:
        return {i.name.text: i.file for i in self.items if isinstance(i, NetworkDecl)}

    @property
    def params(self) -> tuple[str, ...]:
        return tuple(i.name.text for i in self.items if isinstance(i, ParamDecl))

    @property
    def properties(self) -> tuple[str, ...]:
        return tuple(i.name.text for i in self.items if isinstance(i, PropertyDecl))
