"""Closed loops in Python: `@spec.system(…)` states one step, `cart.next(q)` and `cart.run(q, 20)` use it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from verify.spec.builder_parts import Declared, Domain, Field, Record
from verify.spec.expressions import LOOSE, Condition, Quantity, quantity
from verify.spec.names import did_you_mean, one_of


class SystemName(Declared):
    """A declared closed loop: `cart.state` is its domain."""

    @property
    def state(self) -> Domain:
        return Domain(f"{self.name}.state", self)

    def next(self, state: Record) -> Record:
        """The state one step later; the same one for the same state."""
        return Record(f"{self.name}.next({state.text})", self, self.inputs)

    def run(self, state: Record, steps: int | Quantity) -> Run:
        """The states from `state` to the one after so many steps."""
        return Run(f"run({self.name}, {state.text}, {steps})", self)


class Run:
    """The states of a run: run[0] is the start."""

    def __init__(self, text: str, system: SystemName) -> None:
        self.text, self._system = text, system

    def __getitem__(self, step: int | Quantity) -> Record:
        return Record(f"{self.text}[{step}]", self._system, self._system.inputs)

    def all(self, condition: Callable[[Record], Condition], name: str = "r") -> Condition:
        """The condition holds in every state; `name` is what the state is called in the text."""
        return self._finite("all", condition, name)

    def any(self, condition: Callable[[Record], Condition], name: str = "r") -> Condition:
        return self._finite("any", condition, name)

    def _finite(self, word: str, condition: Callable[[Record], Condition], name: str) -> Condition:
        body = condition(Record(name, self._system, self._system.inputs))
        return Condition(f"{word} {name} in {self.text} : {body.text}", LOOSE, body.floats)


class StepBuilder:
    """Collects one step: states and disturbances are attributes, `let` and `next` are statements."""

    def __init__(self, name: str, states: Sequence[Field], disturbances: Sequence[Field]) -> None:
        self.name = name
        self.lines = [f.line("state") for f in states] + [f.line("disturbance") for f in disturbances]
        self.floats: list[float] = []
        self._states = [f.name for f in states]
        self._known = {f.name for f in (*states, *disturbances)}

    def __getattr__(self, name: str) -> Quantity:
        if name.startswith("_") or name not in self._known:
            hint = did_you_mean(name, self._known) or f"there are {one_of(sorted(self._known))}"
            raise AttributeError(f"the system has no state or disturbance `{name}`; {hint}")
        return Quantity(name)

    def let(self, name: str, value: Any) -> Quantity:
        given = quantity(value)
        self.floats.extend(given.floats)
        self.lines.append(f"let {name} = {given.text}")
        return Quantity(name)

    def next(self, **values: Any) -> None:
        """What each state is after the step.  Raises TypeError where one is missing or unknown."""
        if set(values) != set(self._states):
            raise TypeError(f"next needs a value for each of {one_of(self._states)}, not {one_of(values)}")
        for name, value in values.items():
            given = quantity(value)
            self.floats.extend(given.floats)
            self.lines.append(f"next {name} = {given.text}")

    def to_text(self) -> str:
        body = "\n".join(f"  {line}" for line in self.lines)
        return f"system {self.name} {{\n{body}\n}}"
