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
from dataclasses import dataclass
from typing import Any

from verify.spec.expressions import Condition, Expression, Quantity, quantity
from verify.spec.names import did_you_mean, one_of

VARIABLES = "stuvwabcd"


@dataclass(frozen=True)
class Field:
    """An input or output as declared: name, unit, range (numbers or text), raw in `value`, shape of a tensor."""

    name: str
    unit: str | None = None
    low: Any = None
    high: Any = None
    raw: str | None = None
    shape: tuple[int, ...] | None = None

    def line(self, word: str) -> str:
        parts = [word, self.name + (f"[{', '.join(map(str, self.shape))}]" if self.shape else "")]
        if self.unit:
            parts.append(f"[{self.unit}]")
        if (self.low is None) != (self.high is None):
            raise ValueError(f"field {self.name!r} needs both ends of its range, or none")
        if self.low is not None:
            parts.append(f"in [{quantity(self.low)}, {quantity(self.high)}]")
        if self.raw:
            parts.append(f"raw = {self.raw}")
        return " ".join(parts)


@dataclass(frozen=True)
class Hidden:
    """A tensor inside the network: its name in the spec, its shape, and what the model calls it."""

    name: str
    shape: tuple[int, ...]
    at: str

    def line(self) -> str:
        return f'hidden {self.name}[{", ".join(map(str, self.shape))}] at "{self.at}"'


def scores(names: str, *, unit: str | None = None, raw: str | None = None) -> list[Field]:
    """Outputs of one kind, named in a text: scores("left right")."""
    return [Field(name, unit, raw=raw) for name in names.split()]


@dataclass(frozen=True)
class Domain:
    """What can be quantified over: `network.input`, or a ball around an input."""

    text: str
    network: NetworkName
    floats: tuple[float, ...] = ()


class NetworkName:
    """A declared network: `net.input` is its domain, `net(s)` its outputs."""

    def __init__(self, name: str, inputs: Sequence[Field], outputs: Sequence[Field | Hidden]) -> None:
        self.name, self.inputs, self.outputs = name, tuple(inputs), tuple(outputs)

    @property
    def input(self) -> Domain:
        return Domain(f"{self.name}.input", self)

    def __call__(self, record: Record | None = None, **fields: Any) -> Record:
        if record is not None and not fields:
            return Record(f"{self.name}({record.text})", self, self.outputs)
        if record is not None:
            raise TypeError(f"{self.name}(…) takes one input, or every field by name, not both")
        given = ", ".join(f"{name}={quantity(value)}" for name, value in fields.items())
        return Record(f"{self.name}({given})", self, self.outputs)


class Record:
    """An input or the outputs of a network; fields are attributes, elements and labels are indices."""

    def __init__(self, text: str, network: NetworkName, fields: tuple[Field | Hidden, ...]) -> None:
        self.text, self.network, self._fields = text, network, {f.name: f for f in fields}

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._fields:
            hint = did_you_mean(name, self._fields) or f"there are {one_of(self._fields)}"
            raise AttributeError(f"`{self.text}` has no field `{name}`; {hint}")
        field = self._fields[name]
        return Elements(f"{self.text}.{name}") if field.shape else Quantity(f"{self.text}.{name}")

    def __getitem__(self, label: str | int) -> Quantity:
        return Quantity(f"{self.text}[{label}]")

    @property
    def argmax(self) -> Decision:
        return Decision(f"argmax({self.text})")

    @property
    def argmin(self) -> Decision:
        return Decision(f"argmin({self.text})")

    def __bool__(self) -> bool:
        raise TypeError(f"`{self.text}` is no truth value: compare one of its fields")


class Elements:
    """A tensor field; index it."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, index: int | tuple[int, ...]) -> Quantity:
        places = index if isinstance(index, tuple) else (index,)
        return Quantity(f"{self.text}[{', '.join(map(str, places))}]")


class Decision:
    """argmax or argmin: compare with is_, is_strictly, may_be and an output's name or another decision."""

    def __init__(self, text: str) -> None:
        self.text = text

    def is_(self, other: str | int | Decision) -> Condition:
        """A tie goes to the lowest index."""
        return self._compare("is", other)

    def is_strictly(self, other: str | int | Decision) -> Condition:
        return self._compare("is strictly", other)

    def may_be(self, other: str | int | Decision) -> Condition:
        return self._compare("may be", other)

    def _compare(self, mode: str, other: str | int | Decision) -> Condition:
        right = other.text if isinstance(other, Decision) else str(other)
        return Condition(f"{self.text} {mode} {right}", level=5)

    def __eq__(self, other: object) -> bool:
        raise TypeError("a decision is compared with .is_(…), .is_strictly(…) or .may_be(…)")

    __hash__ = None  # type: ignore[assignment]

    def __bool__(self) -> bool:
        raise TypeError(f"`{self.text}` is no truth value: write .is_(LABEL)")


def linf(centre: Record, radius: Any) -> Domain:
    return _ball("linf", centre, radius)


def l1(centre: Record, radius: Any) -> Domain:
    return _ball("l1", centre, radius)


def l2(centre: Record, radius: Any) -> Domain:
    return _ball("l2", centre, radius)


def _ball(norm: str, centre: Record, radius: Any) -> Domain:
    size = quantity(radius)
    return Domain(f"{norm}({centre.text}, {size})", centre.network, size.floats)


def same(left: Record, right: Record, *, excepting: Sequence[str] = ()) -> Condition:
    """Equal in every field but those."""
    rest = f" except {{{', '.join(excepting)}}}" if excepting else ""
    return Condition(f"same({left.text}, {right.text}){rest}", level=5)


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
