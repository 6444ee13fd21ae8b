"""An independent interpreter of properties at one exact point: the oracle of the lowering.

It walks the syntax tree with concrete rationals (in base units) and shares no code with check or lower.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.spec import syntax as s

COMPARE = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "==": operator.eq, "!=": operator.ne,
}  # fmt: skip
Vector = dict[str, Any]  # field -> Fraction, or {index: Fraction}, in base units


def _numbers(vector: Vector) -> list[Fraction]:
    return [n for v in vector.values() for n in (v.values() if isinstance(v, dict) else [v])]


@dataclass
class Outputs:
    values: Vector
    order: list[tuple[str, Fraction]]


@dataclass
class State:
    """A state of a closed loop, so many steps after the quantified one called `start`."""

    values: Vector
    system: s.SystemDecl
    start: str
    step: int = 0

    @property
    def name(self) -> str:
        return f"{self.start}[{self.step}]" if self.step else self.start


@dataclass
class Chosen:
    best: list[int]  # all that tie
    labels: list[str]


@dataclass
class Reference:
    """A spec file at a point; `point` gives physical values in declared units by variable, field and element."""

    spec: s.SpecFile
    networks: Mapping[str, Network]
    point: Mapping[str, Fraction]
    factors: dict[str, Fraction] = field(default_factory=dict)
    env: dict[str, Any] = field(default_factory=dict)
    declared: dict[str, Any] = field(default_factory=dict)
    homes: dict[str, str] = field(default_factory=dict)  # the network of each variable
    applied: dict[tuple[Any, ...], Outputs] = field(default_factory=dict)  # by network and input
    followers: dict[str, State] = field(default_factory=dict)  # by the name of the state before

    def __post_init__(self) -> None:
        for item in self.spec.items:
            if isinstance(item, s.UnitDecl):
                self.factors[item.name.text] = Fraction(1) if item.value is None else self.eval(item.value, {})
            elif isinstance(item, s.ConstDecl):
                self.env[item.name.text] = self.eval(item.value, {})
            elif isinstance(item, s.ParamDecl):
                assert item.value is not None
                self.env[item.name.text] = self.eval(item.value, {}) * self.unit(item.unit)
            elif isinstance(item, (s.NetworkDecl, s.DefineDecl, s.SystemDecl)):
                self.declared[item.name.text] = item

    def judge(self, name: str) -> tuple[bool, bool]:
        """(assumptions and ranges hold, all asserts hold)."""
        item = next(i for i in self.spec.items if isinstance(i, s.PropertyDecl) and i.name.text == name)
        env: dict[str, Any] = {}
        assumed = asserted = True
        for statement in item.statements:
            if isinstance(statement, s.Quantifier):
                for variable in statement.names:
                    network, ball = self.domain(statement.domain, env)
                    if isinstance(self.declared[network], s.SystemDecl):
                        env[variable.text], inside = self.state(variable.text, self.declared[network])
                        assumed &= inside
                        continue
                    env[variable.text], inside = self.variable(variable.text, network)
                    self.homes[variable.text] = network
                    assumed &= inside and ball(env[variable.text])
            elif isinstance(statement, s.Let):
                env[statement.name.text] = self.eval(statement.value, env)
            elif isinstance(statement, s.Assume):
                assumed &= self.eval(statement.condition, env)
            else:
                asserted &= self.eval(statement.condition, env)
        return assumed, asserted

    def domain(self, node: Any, env: dict[str, Any]) -> tuple[str, Callable[[Vector], bool]]:
        """The network quantified over, and what else holds: linf and l1 balls around a variable."""
        if isinstance(node, s.Attribute):
            return node.base.text, lambda _: True
        centre, radius = node.arguments[0].text, self.eval(node.arguments[1], {})
        combine = {"linf": max, "l1": sum}[node.function.text]
        middle = _numbers(env[centre])
        return self.homes[
            centre
        ], lambda at: combine(abs(a - b) for a, b in zip(_numbers(at), middle, strict=True)) <= radius

    def unit(self, written: s.UnitExpression | None) -> Fraction:
        result = Fraction(1)
        for name, power in written.powers if written else ():
            result *= self.factors[name.text] ** power
        return result

    def fields(self, network: str, direction: str) -> list[tuple[str, s.PortItem]]:
        items = [i for i in self.declared[network].items if i.direction == direction]
        return [(n.text, i) for i in items for n in i.names]

    def variable(self, variable: str, network: str) -> tuple[Vector, bool]:
        vector: Vector = {}
        inside = True
        for name, item in self.fields(network, "input"):
            factor = self.unit(item.unit)
            numbers: dict[tuple[int, ...], Fraction]
            if item.shape is None:
                numbers = {(): self.point[f"{variable}.{name}"]}
            else:
                (size,) = item.shape
                numbers = {(k,): self.point[f"{variable}.{name}[{k}]"] for k in range(size)}
            for number in numbers.values():
                if item.interval is not None:
                    inside &= self.eval(item.interval.low, {}) <= number <= self.eval(item.interval.high, {})
            vector[name] = numbers[()] * factor if item.shape is None else {k: v * factor for k, v in numbers.items()}
        return vector, inside

    def state(self, variable: str, system: s.SystemDecl) -> tuple[State, bool]:
        """A quantified state; whether it is in the declared ranges, and every disturbance is in its own."""
        vector: Vector = {}
        inside = True
        for item in system.items:
            for name in item.names if isinstance(item, s.StateItem) else ():
                given = (
                    [self.point[f"{variable}.{name.text}"]] if item.kind == "state" else self.disturbances(name.text)
                )
                if item.kind == "state":
                    vector[name.text] = given[0] * self.unit(item.unit)
                if item.interval is not None:
                    low, high = self.eval(item.interval.low, {}), self.eval(item.interval.high, {})
                    inside &= all(low <= number <= high for number in given)
        return State(vector, system, variable), inside

    def disturbances(self, name: str) -> list[Fraction]:
        """Its values in all steps that matter."""
        return [value for key, value in self.point.items() if key.rpartition(".")[2] == name]

    def follow(self, state: State) -> State:
        """The state after one step, the same whenever it is asked for; a disturbance that does not matter is nought."""
        if state.name not in self.followers:
            env, after = dict(state.values), {}
            for item in state.system.items:
                for name in item.names if isinstance(item, s.StateItem) and item.kind == "disturbance" else ():
                    given = self.point.get(f"{state.name}.{name.text}", Fraction(0))
                    env[name.text] = given * self.unit(item.unit)
                if isinstance(item, s.Let):
                    env[item.name.text] = self.eval(item.value, env)
                elif isinstance(item, s.NextItem):
                    after[item.name.text] = self.eval(item.value, env)
            ordered = {name: after[name] for name in state.values}
            self.followers[state.name] = State(ordered, state.system, state.start, state.step + 1)
        return self.followers[state.name]

    def run(self, state: State, steps: int) -> list[State]:
        states = [state]
        for _ in range(steps):
            states.append(self.follow(states[-1]))
        return states

    def apply(self, network: str, vector: Vector) -> Outputs:
        key = (network, *_numbers(dict(sorted(vector.items()))))
        if key not in self.applied:
            self.applied[key] = self.outputs(network, vector)
        return self.applied[key]

    def outputs(self, network: str, vector: Vector) -> Outputs:
        raw: list[Fraction] = []
        for name, item in self.fields(network, "input"):
            parts = vector[name].values() if isinstance(vector[name], dict) else [vector[name]]
            raw += [self.raw(item, part / self.unit(item.unit)) for part in parts]
        result = list(evaluate(self.networks[network], raw))
        values: Vector = {}
        order: list[tuple[str, Fraction]] = []
        for name, item in self.fields(network, "output"):
            count = 1 if item.shape is None else item.shape[0]
            found = []
            for _ in range(count):
                base, slope = self.raw(item, Fraction(0)), self.raw(item, Fraction(1)) - self.raw(item, Fraction(0))
                found.append((result.pop(0) - base) / slope * self.unit(item.unit))
            values[name] = found[0] if item.shape is None else {(k,): v for k, v in enumerate(found)}
            order += [(name if item.shape is None else f"{name}[{k}]", v) for k, v in enumerate(found)]
        return Outputs(values, order)

    def raw(self, item: s.PortItem, value: Fraction) -> Fraction:
        return value if item.raw is None else self.eval(item.raw, {"value": value})

    def eval(self, node: Any, env: dict[str, Any]) -> Any:
        return getattr(self, "on_" + type(node).__name__)(node, env)

    def on_Literal(self, node: s.Literal, _env: dict[str, Any]) -> Fraction:  # noqa: N802
        return node.value * self.unit(node.unit)

    def on_Boolean(self, node: s.Boolean, _env: dict[str, Any]) -> bool:  # noqa: N802
        return node.value

    def on_Name(self, node: s.Name, env: dict[str, Any]) -> Any:  # noqa: N802
        return env[node.text] if node.text in env else self.env.get(node.text, node.text)

    def on_Negative(self, node: s.Negative, env: dict[str, Any]) -> Fraction:  # noqa: N802
        value: Fraction = self.eval(node.operand, env)
        return -value

    def on_Sum(self, node: s.Sum, env: dict[str, Any]) -> Fraction:  # noqa: N802
        return sum((sign * self.eval(t, env) for sign, t in node.terms), Fraction(0))

    def on_Product(self, node: s.Product, env: dict[str, Any]) -> Fraction:  # noqa: N802
        result = Fraction(1)
        for word, factor in node.factors:
            value = self.eval(factor, env)
            result = result * value if word == "*" else result / value
        return result

    def on_Comparison(self, node: s.Comparison, env: dict[str, Any]) -> bool:  # noqa: N802
        values = [self.eval(o, env) for o in node.operands]
        return all(COMPARE[o](a, b) for a, o, b in zip(values, node.operators, values[1:], strict=False))

    def on_Junction(self, node: s.Junction, env: dict[str, Any]) -> bool:  # noqa: N802
        parts = [self.eval(o, env) for o in node.operands]
        return all(parts) if node.word == "and" else any(parts)

    def on_Not(self, node: s.Not, env: dict[str, Any]) -> bool:  # noqa: N802
        return not self.eval(node.operand, env)

    def on_Implies(self, node: s.Implies, env: dict[str, Any]) -> bool:  # noqa: N802
        return bool(self.eval(node.conclusion, env)) if self.eval(node.premise, env) else True

    def on_If(self, node: s.If, env: dict[str, Any]) -> Any:  # noqa: N802
        return self.eval(node.then if self.eval(node.guard, env) else node.otherwise, env)

    def on_Attribute(self, node: s.Attribute, env: dict[str, Any]) -> Any:  # noqa: N802
        base = self.eval(node.base, env)
        return (base.values if isinstance(base, (Outputs, State)) else base)[node.field.text]

    def on_Index(self, node: s.Index, env: dict[str, Any]) -> Any:  # noqa: N802
        base = self.eval(node.base, env)
        if isinstance(base, Outputs):
            return base.order[self.label(node.indices[0], [n for n, _ in base.order], env)][1]
        if isinstance(base, list):
            return base[int(self.eval(node.indices[0], env))]
        return base[tuple(int(self.eval(i, env)) for i in node.indices)]

    def label(self, node: Any, labels: list[str], env: dict[str, Any]) -> int:
        if isinstance(node, s.Index):
            return labels.index(node.text)
        value = self.eval(node, env)
        return labels.index(value) if isinstance(value, str) else int(value)

    def on_Call(self, node: s.Call, env: dict[str, Any]) -> Any:  # noqa: N802
        name = node.function.text
        if name.endswith(".next"):
            return self.follow(self.eval(node.arguments[0], env))
        if name == "run":
            return self.run(self.eval(node.arguments[1], env), int(self.eval(node.arguments[2], env)))
        if name in ("argmax", "argmin"):
            over = self.eval(node.arguments[0], env)  # outputs, or one tensor
            order = over.order if isinstance(over, Outputs) else [(str(k), v) for k, v in enumerate(over.values())]
            values = [v for _, v in order]
            best = max(values) if name == "argmax" else min(values)
            return Chosen([k for k, v in enumerate(values) if v == best], [n for n, _ in order])
        item = self.declared.get(name)
        if isinstance(item, s.NetworkDecl):
            if node.keywords:
                return self.apply(name, {k.text: self.eval(v, env) for k, v in node.keywords})
            given = self.eval(node.arguments[0], env)
            return self.apply(name, given.values if isinstance(given, State) else given)
        values = [self.eval(a, env) for a in node.arguments]
        if isinstance(item, s.DefineDecl):
            return self.eval(item.body, dict(zip([p.text for p, _ in item.parameters], values, strict=True)))
        if len(values) == 1 and isinstance(values[0], Outputs):
            values = [v for _, v in values[0].order]
        return abs(values[0]) if name == "abs" else (min if name == "min" else max)(values)

    def on_DecisionIs(self, node: s.DecisionIs, env: dict[str, Any]) -> bool:  # noqa: N802
        left = self.eval(node.left, env)
        if isinstance(node.right, s.Call):
            right = self.eval(node.right, env)
            if node.mode == "may be":
                return bool(set(left.best) & set(right.best))
            if node.mode == "is strictly" and (len(left.best) > 1 or len(right.best) > 1):
                return False
            return bool(left.best[0] == right.best[0])
        wanted = self.label(node.right, left.labels, env)
        if node.mode == "may be":
            return bool(wanted in left.best)
        return bool(left.best[0] == wanted) and (node.mode == "is" or len(left.best) == 1)

    def on_Same(self, node: s.Same, env: dict[str, Any]) -> bool:  # noqa: N802
        left, right = env[node.left.text], env[node.right.text]
        return all(left[f] == right[f] for f in left if f not in {e.text for e in node.exceptions})

    def on_Finite(self, node: s.Finite, env: dict[str, Any]) -> bool:  # noqa: N802
        if isinstance(node.range, s.Steps):
            first, last = int(self.eval(node.range.first, env)), int(self.eval(node.range.last, env))
            items: list[Any] = [Fraction(k) for k in range(first, last + 1)]
        elif isinstance(node.range, s.Call):
            items = self.eval(node.range, env)
        else:
            assert isinstance(node.range, s.Choices)
            items = [self.eval(i, env) for i in node.range.items]
        parts = [self.eval(node.body, {**env, node.name.text: i}) for i in items]
        return all(parts) if node.word == "all" else any(parts)
