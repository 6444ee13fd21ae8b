"""A spec written in Python: the same language, checked by the same code.

spec = SpecBuilder()
spec.unit("ft")
acas = spec.network("acas", "acas.onnx", inputs=[Field("rho", "ft", 0, 60760, raw="(value - 19791.091) / 60261"), …],
                    outputs=scores("COC WL WR SL SR", raw="(value - 7.518884) / 373.94992"))

@spec.property("closing head-on: never advise COC")
def phi3(p):
    s = p.forall(acas.input)
    p.assume(s.rho.between("1500 ft", "1800 ft"))
    p.prove(~acas(s).argmin.may_be("COC"))

spec.to_text()                                  # a .nnspec file
verify.prove(verify.read_spec_text(spec))       # a Report
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from verify.spec.builder_parts import (
    Decision,
    Domain,
    Elements,
    Field,
    Hidden,
    NetworkName,
    Record,
    l1,
    l2,
    linf,
    same,
    scores,
)
from verify.spec.builder_systems import StepBuilder, SystemName
from verify.spec.expressions import Condition, Expression, Quantity, quantity

__all__ = [
    "Decision",
    "Domain",
    "Elements",
    "Field",
    "Hidden",
    "NetworkName",
    "PropertyBuilder",
    "Record",
    "SpecBuilder",
    "StepBuilder",
    "SystemName",
    "l1",
    "l2",
    "linf",
    "same",
    "scores",
]

VARIABLES = "stuvwabcd"


class PropertyBuilder:
    """Collects the statements of one property; `taken` are names that its variables must not have."""

    def __init__(self, taken: Sequence[str] = ()) -> None:
        self.lines: list[str] = []
        self.floats: list[float] = []
        self._names: list[str] = list(taken)

    def forall(self, domain: Domain, name: str | None = None) -> Record:
        return self._quantify("forall", domain, name)

    def exists(self, domain: Domain, name: str | None = None) -> Record:
        return self._quantify("exists", domain, name)

    def let(self, name: str, value: Quantity) -> Quantity:
        self._take(value)
        self.lines.append(f"let {name} = {value.text}")
        return Quantity(name)

    def assume(self, *conditions: Condition) -> None:
        self._state("assume", conditions)

    def prove(self, *conditions: Condition) -> None:
        """For `exists`, what the witness must satisfy."""
        self._state("assert", conditions)

    def _quantify(self, word: str, domain: Domain, name: str | None) -> Record:
        chosen = name or next(v for v in VARIABLES if v not in self._names)
        self._names.append(chosen)
        self.floats.extend(domain.floats)
        self.lines.append(f"{word} {chosen} : {domain.text}")
        return Record(chosen, domain.network, domain.network.inputs)

    def _state(self, word: str, conditions: Sequence[Condition]) -> None:
        for condition in conditions:
            if not isinstance(condition, Condition):
                raise TypeError(f"`{word}` needs a condition, not {condition!r}")
            self._take(condition)
            self.lines.append(f"{word} {condition.text}")

    def _take(self, expression: Expression) -> None:
        self.floats.extend(expression.floats)


class SpecBuilder:
    """A spec under construction; `to_text` gives it as a .nnspec file."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._floats: list[float] = []
        self._declared: list[str] = []

    # before the method `property`, which hides the built-in one below it
    @property
    def echoes(self) -> tuple[str, ...]:
        """How each Python float was read: `0.1 is read as 1/10`."""
        from fractions import Fraction

        return tuple(f"{f!r} is read as {Fraction(repr(f))}" for f in dict.fromkeys(self._floats))

    def unit(self, name: str, value: Any = None) -> None:
        """A base unit, or a derived one: unit("km", "1000 m")."""
        self._parts.append(f"unit {name}" + (f" = {quantity(value)}" if value is not None else ""))

    def const(self, name: str, value: Any) -> Quantity:
        self._declared.append(name)
        self._parts.append(f"const {name} = {self._number(value)}")
        return Quantity(name)

    def param(
        self, name: str, value: Any = None, *, unit: str | None = None, low: Any = None, high: Any = None
    ) -> Quantity:
        self._declared.append(name)
        text = f"param {name}" + (f" [{unit}]" if unit else "")
        if low is not None or high is not None:
            text += f" in [{self._number(low)}, {self._number(high)}]"
        self._parts.append(text + (f" = {self._number(value)}" if value is not None else ""))
        return Quantity(name)

    def network(
        self,
        name: str,
        file: str | None = None,
        *,
        inputs: Sequence[Field],
        outputs: Sequence[Field],
        hidden: Sequence[Hidden] = (),
    ) -> NetworkName:
        """`file` is relative to the spec's folder; None: it is given when the spec is read."""
        self._declared.append(name)
        lines = [f"  {f.line('input')}" for f in inputs] + [f"  {f.line('output')}" for f in outputs]
        lines += [f"  {h.line()}" for h in hidden]
        given = f'"{file}"' if file is not None else ""
        self._parts.append(f"network {name} = onnx({given}) {{\n" + "\n".join(lines) + "\n}")
        return NetworkName(name, inputs, (*outputs, *hidden))

    def system(
        self, *, states: Sequence[Field], disturbances: Sequence[Field] = ()
    ) -> Callable[[Callable[[StepBuilder], None]], SystemName]:
        """Decorate a function that states one step; its name is the closed loop's, and then stands for it."""

        def state(function: Callable[[StepBuilder], None]) -> SystemName:
            name = function.__name__
            builder = StepBuilder(name, states, disturbances)
            function(builder)
            self._declared.append(name)
            self._parts.append(builder.to_text())
            self._floats.extend(builder.floats)
            return SystemName(name, states)

        return state

    def property(
        self, title: str = "", *, expect: str | None = None, timeout: Any = None
    ) -> Callable[[Callable[[PropertyBuilder], None]], Callable[[PropertyBuilder], None]]:
        """Decorate a function that states the property; its name is the property's."""

        def state(function: Callable[[PropertyBuilder], None]) -> Callable[[PropertyBuilder], None]:
            builder = PropertyBuilder(self._declared)
            function(builder)
            marks = [f"@expect({expect})\n"] if expect else []
            marks += [f"@timeout({quantity(timeout)})\n"] if timeout is not None else []
            shown = f' "{title}"' if title else ""
            body = "\n".join(f"  {line}" for line in builder.lines)
            self._parts.append(f"{''.join(marks)}property {function.__name__}{shown} {{\n{body}\n}}")
            self._floats.extend(builder.floats)
            return function

        return state

    def to_text(self) -> str:
        """The spec as a .nnspec file."""
        return "\n\n".join(self._parts) + "\n"

    def _number(self, value: Any) -> str:
        given = quantity(value)
        self._floats.extend(given.floats)
        return given.text
