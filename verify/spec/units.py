"""Units: vectors of integer exponents over the declared base units, with an exact factor when derived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from verify.spec.codes import error, follow_up
from verify.spec.names import did_you_mean
from verify.spec.syntax import UnitExpression


@dataclass(frozen=True)
class Unit:
    """A product of powers of base units; the empty product is dimensionless."""

    powers: tuple[tuple[str, int], ...] = ()  # sorted by name, no zero exponents

    @classmethod
    def base(cls, name: str) -> Unit:
        return cls(((name, 1),))

    def __mul__(self, other: Unit) -> Unit:
        total = dict(self.powers)
        for name, power in other.powers:
            total[name] = total.get(name, 0) + power
        return Unit(tuple(sorted((n, p) for n, p in total.items() if p)))

    def __pow__(self, exponent: int) -> Unit:
        return Unit(tuple((n, p * exponent) for n, p in self.powers if p * exponent))

    def __truediv__(self, other: Unit) -> Unit:
        return self * other**-1

    def __str__(self) -> str:
        above = [_power(n, p) for n, p in self.powers if p > 0]
        below = [_power(n, -p) for n, p in self.powers if p < 0]
        return "/".join(["*".join(above) or "1", *below]) if self.powers else "1"


DIMENSIONLESS = Unit()


@dataclass(frozen=True)
class Scale:
    """A unit as written: one of it is `factor` of the base unit."""

    unit: Unit = DIMENSIONLESS
    factor: Fraction = Fraction(1)
    text: str | None = None  # as written, without brackets


PLAIN = Scale()
BROKEN = Scale(text="")  # stands for a unit whose own declaration is wrong


def resolve(written: UnitExpression | None, units: Mapping[str, Scale]) -> Scale:
    """The meaning of a written unit.  Raises E318 for an undeclared one."""
    if written is None:
        return PLAIN
    unit, factor = DIMENSIONLESS, Fraction(1)
    for name, power in written.powers:
        scale = units.get(name.text)
        if scale is BROKEN:
            raise follow_up(name.place, name.text)
        if scale is None:
            near, declare = did_you_mean(name.text, units), f"declare it at the top of the file: `unit {name.text}`"
            raise error("E318", name.place, f"unknown unit `{name.text}`", f"{near} Or {declare}" if near else declare)
        unit = unit * scale.unit**power
        factor *= scale.factor**power
    return Scale(unit, factor, written.text[1:-1].replace(" ", ""))


def _power(name: str, power: int) -> str:
    return name if power == 1 else f"{name}^{power}"
