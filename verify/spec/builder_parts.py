"""What a spec in Python is made of: fields, networks, records, decisions, balls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from verify.spec.expressions import Condition, Quantity, quantity
from verify.spec.names import did_you_mean, one_of


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
    """What can be quantified over: `network.input`, `system.state`, or a ball around an input."""

    text: str
    network: Declared
    floats: tuple[float, ...] = ()


class Declared:
    """Something with fields that can be quantified: a network or a closed loop."""

    def __init__(self, name: str, inputs: Sequence[Field]) -> None:
        self.name, self.inputs = name, tuple(inputs)


class NetworkName(Declared):
    """A declared network: `net.input` is its domain, `net(s)` its outputs."""

    def __init__(self, name: str, inputs: Sequence[Field], outputs: Sequence[Field | Hidden]) -> None:
        super().__init__(name, inputs)
        self.outputs = tuple(outputs)

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
    """An input or the outputs of a network, or a state; fields are attributes, elements and labels are indices."""

    def __init__(self, text: str, network: Declared, fields: tuple[Field | Hidden, ...]) -> None:
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
