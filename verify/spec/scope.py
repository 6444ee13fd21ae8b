"""Names in scope, and the recursion that gives every expression its meaning."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import TypeVar

from verify.errors import Mark, Place, SpecError
from verify.spec.codes import error, follow_up
from verify.spec.mistakes import Mistakes
from verify.spec.names import did_you_mean, one_of
from verify.spec.syntax import DefineDecl, Node
from verify.spec.terms import Condition, Ref
from verify.spec.units import Scale, Unit
from verify.spec.values import (
    Application,
    Dataset,
    Decision,
    Disturbance,
    Function,
    Layout,
    NetworkInfo,
    Record,
    Scalar,
    SystemInfo,
    Tensor,
    Truth,
    Value,
    describe,
    in_unit,
)

T = TypeVar("T")

MAX_DEPTH = 120  # of evaluation and of conditions: far from Python's recursion limit
MAX_STEPS = 300_000
MAX_BITS = 16_384  # of one exact number

BUILT_IN = ("abs", "min", "max", "argmax", "argmin", "run")
BALLS = ("linf", "l1", "l2")


@dataclass
class Declarations:
    """What the file declares, filled in order while it is checked."""

    units: dict[str, Scale] = field(default_factory=dict)
    constants: dict[str, Scalar] = field(default_factory=dict)  # const and param
    networks: dict[str, NetworkInfo] = field(default_factory=dict)
    systems: dict[str, SystemInfo] = field(default_factory=dict)
    defines: dict[str, DefineDecl] = field(default_factory=dict)
    datasets: dict[str, Dataset] = field(default_factory=dict)
    later: dict[str, Place] = field(default_factory=dict)  # every global name of the file and its place
    broken: set[str] = field(default_factory=set)  # global names whose own declaration is wrong


@dataclass
class Work:
    """What one property's evaluation collects, and what it has cost."""

    applications: list[Application] = field(default_factory=list)
    known: dict[tuple[object, ...], int] = field(default_factory=dict)
    layouts: dict[str, Layout] = field(default_factory=dict)  # of the quantified inputs
    warnings: list[str] = field(default_factory=list)
    disturbances: list[Disturbance] = field(default_factory=list)
    states: list[Record] = field(default_factory=list)  # that systems compute, in order
    successors: dict[tuple[str, int], Record] = field(default_factory=dict)  # by start and step
    steps: int = 0
    depth: int = 0


@dataclass(frozen=True)
class Scope:
    """Evaluates expressions; `handlers` maps each syntax class to its meaning."""

    declared: Declarations
    handlers: Mapping[type, Handler]
    work: Work
    names: Mapping[str, Value] = field(default_factory=dict)
    active: tuple[str, ...] = ()  # definitions being expanded
    broken: frozenset[str] = frozenset()  # local names whose own meaning is wrong
    step: Record | None = None  # the state whose successor is being computed

    def bind(self, names: Mapping[str, Value]) -> Scope:
        return replace(self, names={**self.names, **names})

    def evaluate(self, node: Node) -> Value:
        """The meaning of an expression.  Raises SpecError."""
        work = self.work
        work.steps += 1
        if work.steps > MAX_STEPS:
            raise error("E308", node.place, f"the property takes more than {MAX_STEPS} steps to expand", "split it")
        if work.depth >= MAX_DEPTH:
            raise _too_deep(node)
        work.depth += 1
        value = self.handlers[type(node)](node, self)
        work.depth -= 1
        if isinstance(value, Scalar):
            check_size(value.term.constant, node)
            if value.term.depth > MAX_DEPTH:
                raise _too_deep(node)
        elif isinstance(value, Truth) and value.condition.depth > MAX_DEPTH:
            raise _too_deep(node)
        return value

    def each(self, nodes: Iterable[Node], evaluate: Callable[[Node], T]) -> list[T]:
        """Evaluate operands that do not depend on each other; all their mistakes are raised as one error."""
        mistakes, depth, values = Mistakes(), self.work.depth, []
        for node in nodes:
            with mistakes.collecting():
                values.append(evaluate(node))
            self.work.depth = depth
        mistakes.raise_any()
        return values

    def break_names(self, names: Iterable[str]) -> Scope:
        """Names that are taken but mean nothing, because of a mistake already found."""
        return replace(self, broken=self.broken | set(names))

    def scalar(self, node: Node) -> Scalar:
        value = self.evaluate(node)
        if isinstance(value, Scalar):
            return value
        raise wrong_kind(node, value, "a number is needed")

    def truth(self, node: Node) -> Condition:
        value = self.evaluate(node)
        if isinstance(value, Truth):
            return value.condition
        raise wrong_kind(node, value, "a condition is needed")

    def constant(self, node: Node, what: str) -> Scalar:
        value = self.scalar(node)
        if not value.term.is_constant:
            raise error(
                "E347",
                node.place,
                f"{what} must be a constant, but `{node.text}` depends on {depends_on(value, self)}",
                "use numbers, `const` and `param` only",
            )
        return value

    def integer(self, node: Node, what: str) -> int:
        value = self.constant(node, what)
        number = value.term.constant
        if number.denominator != 1 or (value.unit is not None and value.unit.powers):
            raise error("E319", node.place, f"{what} must be a whole number, not `{node.text}`", "write 0, 1, 2, …")
        return number.numerator

    def lookup(self, name: str) -> Value | None:
        if name in self.names:
            return self.names[name]
        declared = self.declared
        if name in self.broken or name in declared.broken:
            return None
        if name in declared.constants:
            return declared.constants[name]
        if name in declared.datasets:
            return declared.datasets[name]
        if name in declared.networks:
            return Function(name, declared.networks[name])
        if name in declared.systems:
            return Function(name, declared.systems[name])
        if name in declared.defines:
            return Function(name, declared.defines[name])
        return Function(name, None) if name in BUILT_IN else None

    def unknown(self, node: Node) -> SpecError:
        """The E310 for a name that means nothing here."""
        name, declared = node.text, self.declared
        if name in self.broken or name in declared.broken:
            return follow_up(node.place, name)
        if name in BALLS:
            return error("E319", node.place, f"`{name}` is a domain", f"write forall s : {name}(CENTRE, RADIUS)")
        fix = ""
        if name in declared.later:
            fix = f"`{name}` is declared on line {declared.later[name].line}; declare it before it is used"
        for network in declared.networks.values():
            if network.outputs.find(name):
                fix = fix or f"`{name}` is an output of `{network.name}`: write `{network.name}(…).{name}`"
            if network.inputs.find(name):
                fix = fix or f"`{name}` is an input of `{network.name}`: write `s.{name}` for a quantified `s`"
        for system in declared.systems.values():
            if system.inputs.find(name):
                fix = fix or f"`{name}` is a state of `{system.name}`: write `q.{name}` for a quantified `q`"
            if system.disturbances.find(name):
                fix = fix or f"`{name}` is a disturbance: only the steps of `{system.name}` depend on it"
        if name in declared.units:
            fix = fix or f"a unit stands in brackets after a number: 1[{name}]"
        known = [*self.names, *declared.constants, *declared.networks, *declared.systems, *declared.defines, *BUILT_IN]
        fix = did_you_mean(name, known) or fix or f"known here: {one_of(known)}"
        return error("E310", node.place, f"unknown name `{name}`", fix)


Handler = Callable[[Node, Scope], Value]


def depends_on(value: Scalar, scope: Scope) -> str:
    """ "`s`" or "`acas(s)` and `t`": what a quantity varies with."""
    names: dict[str, None] = {}
    stack = [value.term]
    while stack:
        term = stack.pop()
        for ref in term.linear:
            names[_owner(ref, scope)] = None
        for atom in term.atoms:
            stack.extend(getattr(atom, "options", None) or (getattr(atom, "then"), getattr(atom, "otherwise")))  # noqa: B009
    return " and ".join(f"`{n}`" for n in sorted(names))


def _owner(ref: Ref, scope: Scope) -> str:
    if isinstance(ref[0], int):
        return scope.work.applications[ref[0]].label
    return ref[0]


def wrong_kind(node: Node, value: Value, message: str, otherwise: str = "") -> SpecError:
    """E319, with the likely fix for the kind that was found, else `otherwise`."""
    fix = ""
    if isinstance(value, Decision):
        fix = f"compare it: `{node.text} is {value.options[0][0]}`"
    elif isinstance(value, Truth) and "number" in message:
        fix = "conditions are combined with and, or, not, =>; `if CONDITION then 1 else 0` makes a number"
    elif isinstance(value, Scalar):
        fix = f"compare it: `{node.text} <= …`" if "condition" in message else ""
        fix = f"write `{node.text}` without an index" if "indexed" in message else fix
    elif isinstance(value, Function):
        fix = f"call it: `{node.text}(…)`"
    elif isinstance(value, Record):
        fix = f"name a field: `{node.text}.{value.layout.fields[0].name}`" if value.layout.fields else ""
    elif isinstance(value, Tensor):
        fix = f"name an element: `{node.text}[{', '.join('0' * len(value.field.shape or ()))}]`"
    elif not isinstance(value, (Scalar, Truth)) and "number" in message:
        fix = "a decision or label is compared with `is`, `is strictly` or `may be`"
    return error("E319", node.place, f"{message}, but `{node.text}` is {describe(value)}", fix or otherwise)


def same_unit(left: Node, a: Scalar, right: Node, b: Scalar) -> Unit | None:
    """The common unit of two quantities.  Raises E316, or E317 where a bare number lacks its unit."""
    if a.unit is None or b.unit is None or a.unit == b.unit:
        return b.unit if a.unit is None else a.unit
    for bare, value, other, dimension in ((right, b, left, a.unit), (left, a, right, b.unit)):
        if value.term.is_constant and not (value.unit and value.unit.powers):
            raise error(
                "E317",
                bare.place,
                f"`{bare.text}` has no unit, but `{other.text}` is in [{dimension}]",
                f"write `{bare.text}[{dimension}]`" if _is_number(bare.text) else f"multiply it by `1[{dimension}]`",
            )
    raise error(
        "E316",
        right.place,
        f"units clash: `{left.text}` is{in_unit(a.unit)}, `{right.text}` is{in_unit(b.unit)}",
        "only quantities of the same unit can be added or compared",
        label=in_unit(b.unit).strip(),
        also=[Mark(left.place, in_unit(a.unit).strip())],
    )


def check_size(number: Fraction, node: Node) -> None:
    if number.numerator.bit_length() > MAX_BITS or number.denominator.bit_length() > MAX_BITS:
        raise error("E305", node.place, f"the exact value takes more than {MAX_BITS} bits", "use shorter numbers")


def _is_number(text: str) -> bool:
    return text.replace(".", "", 1).replace("-", "", 1).isdigit()


def _too_deep(node: Node) -> SpecError:
    return error("E304", node.place, f"nested more than {MAX_DEPTH} levels deep", "simplify the expression")
