"""Spec expressions in Python: operators write the text of the .nnspec language, which the parser then reads.

Numbers are exact: int, Fraction, Decimal, text ("0.1", "1500 ft", "1/3") mean what they say, a NumPy number its
binary value.  A Python float means its shortest decimal (0.1 is 1/10), and is remembered in `floats` so that it can be
shown.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from typing import Any, Union

Number = Union[int, float, str, Fraction, Decimal]
LOOSE, IMPLIES, OR, AND, NOT, COMPARE, SUM, PRODUCT, FACTOR = range(9)  # how tightly an expression binds
_QUANTITY = re.compile(
    r"\s*(?P<sign>[-+]?)(?P<number>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)(?:/(?P<below>\d+))?\s*"
    r"(?:\[(?P<bracket>[^\]]+)\]|(?P<unit>[A-Za-z1_][\w^*/-]*))?\s*"
)


class Expression:
    """Text of the language, how tightly it binds, and the Python floats that went into it."""

    def __init__(self, text: str, level: int = FACTOR, floats: Iterable[float] = ()) -> None:
        self.text, self.level, self.floats = text, level, tuple(dict.fromkeys(floats))

    def at(self, level: int) -> str:
        """The text where something that binds at least as tightly as `level` is needed."""
        return self.text if self.level >= level else f"({self.text})"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.text})"

    def __str__(self) -> str:
        return self.text


class Condition(Expression):
    """A truth value of the spec: combine with & | ~ and >> (implies)."""

    def __and__(self, other: Condition) -> Condition:
        return self._join("and", AND, other)

    def __or__(self, other: Condition) -> Condition:
        return self._join("or", OR, other)

    def __rand__(self, other: Any) -> Condition:
        return _condition(other) & self

    def __ror__(self, other: Any) -> Condition:
        return _condition(other) | self

    def __rshift__(self, other: Condition) -> Condition:
        """self => other."""
        return Condition(f"{self.at(OR)} => {_condition(other).at(IMPLIES)}", IMPLIES, self.floats + other.floats)

    def __invert__(self) -> Condition:
        return Condition(f"not {self.at(COMPARE)}", NOT, self.floats)

    def _join(self, word: str, level: int, other: Condition) -> Condition:
        other = _condition(other)
        return Condition(f"{self.at(level + 1)} {word} {other.at(level + 1)}", level, self.floats + other.floats)

    def __bool__(self) -> bool:
        raise TypeError(
            f"`{self.text}` has no truth value before it is decided. Python's `and`, `or`, `not` and `if` cannot be "
            "used on it: write (a) & (b), (a) | (b), ~(a), if_(condition, x, y). For a <= x <= b write x.between(a, b)"
        )


class Quantity(Expression):
    """A number of the spec: + - * / and comparisons, which give a Condition."""

    __hash__ = None  # type: ignore[assignment]  # == makes a Condition

    def _operate(self, word: str, level: int, left: Any, right: Any) -> Quantity:
        one, other = quantity(left), quantity(right)
        text = f"{one.at(level)} {word} {other.at(level + 1)}"
        return Quantity(text, level, one.floats + other.floats)

    def __add__(self, other: Any) -> Quantity:
        return self._operate("+", SUM, self, other)

    def __radd__(self, other: Any) -> Quantity:
        return self._operate("+", SUM, other, self)

    def __sub__(self, other: Any) -> Quantity:
        return self._operate("-", SUM, self, other)

    def __rsub__(self, other: Any) -> Quantity:
        return self._operate("-", SUM, other, self)

    def __mul__(self, other: Any) -> Quantity:
        return self._operate("*", PRODUCT, self, other)

    def __rmul__(self, other: Any) -> Quantity:
        return self._operate("*", PRODUCT, other, self)

    def __truediv__(self, other: Any) -> Quantity:
        return self._operate("/", PRODUCT, self, other)

    def __rtruediv__(self, other: Any) -> Quantity:
        return self._operate("/", PRODUCT, other, self)

    def __neg__(self) -> Quantity:
        return Quantity(f"-{self.at(FACTOR)}", PRODUCT, self.floats)

    def __abs__(self) -> Quantity:
        return Quantity(f"abs({self.text})", FACTOR, self.floats)

    def _compare(self, word: str, other: Any) -> Condition:
        right = quantity(other)
        return Condition(f"{self.at(SUM)} {word} {right.at(SUM)}", COMPARE, self.floats + right.floats)

    def __lt__(self, other: Any) -> Condition:
        return self._compare("<", other)

    def __le__(self, other: Any) -> Condition:
        return self._compare("<=", other)

    def __gt__(self, other: Any) -> Condition:
        return self._compare(">", other)

    def __ge__(self, other: Any) -> Condition:
        return self._compare(">=", other)

    def __eq__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare("==", other)

    def __ne__(self, other: object) -> Condition:  # type: ignore[override]
        return self._compare("!=", other)

    def between(self, low: Any, high: Any) -> Condition:
        """low <= self <= high, which Python cannot say as a chain."""
        one, other = quantity(low), quantity(high)
        text = f"{one.at(SUM)} <= {self.at(SUM)} <= {other.at(SUM)}"
        return Condition(text, COMPARE, one.floats + self.floats + other.floats)

    def __bool__(self) -> bool:
        raise TypeError(f"`{self.text}` is a number of the spec, not a truth value: compare it, for example with > 0")

    def __float__(self) -> float:
        raise TypeError(f"`{self.text}` has no value before it is decided; use abs, maximum, minimum, if_ of the spec")


def quantity(value: Any) -> Quantity:
    """A number or text as a Quantity.  Raises TypeError, ValueError."""
    if isinstance(value, Quantity):
        return value
    if isinstance(value, (bool, Expression)):
        raise TypeError(f"a number is needed, not {value!r}")
    if isinstance(value, str):
        return _parsed(value)
    if type(value).__module__ == "numpy":
        return _signed(Fraction(value.item()))
    if isinstance(value, float):
        decimal = _signed(Fraction(repr(value)))
        return Quantity(decimal.text, decimal.level, (value,))
    if isinstance(value, (int, Fraction, Decimal)):
        return _signed(Fraction(value))
    raise TypeError(f"a number is needed, not {value!r}")


def maximum(*values: Any) -> Quantity:
    return _call("max", values)


def minimum(*values: Any) -> Quantity:
    return _call("min", values)


def if_(condition: Condition, then: Any, otherwise: Any) -> Quantity:
    """`then` where the condition holds, else `otherwise`."""
    one, other = quantity(then), quantity(otherwise)
    text = f"if {_condition(condition).text} then {one.text} else {other.text}"
    return Quantity(text, LOOSE, condition.floats + one.floats + other.floats)


def _call(name: str, values: Iterable[Any]) -> Quantity:
    parts = [quantity(v) for v in values]
    return Quantity(f"{name}({', '.join(p.text for p in parts)})", FACTOR, [f for p in parts for f in p.floats])


def _condition(value: Any) -> Condition:
    if isinstance(value, Condition):
        return value
    if isinstance(value, bool):
        return Condition("true" if value else "false")
    raise TypeError(
        f"a condition is needed, not {value!r}; comparisons bind less tightly than &: write (a <= b) & (c <= d)"
    )


def _signed(value: Fraction) -> Quantity:
    """The shortest exact text of a number: a decimal where it has one."""
    sign = "-" if value < 0 else ""
    above, below = abs(value.numerator), value.denominator
    twos = fives = 0
    while below % 2 == 0:
        below, twos = below // 2, twos + 1
    while below % 5 == 0:
        below, fives = below // 5, fives + 1
    places = max(twos, fives)
    if below != 1 or places > 30:
        return Quantity(f"{sign}{above} / {value.denominator}", PRODUCT)
    digits = str(above * 10**places // value.denominator).rjust(places + 1, "0")
    text = digits if not places else f"{digits[:-places]}.{digits[-places:]}"
    return Quantity(sign + text, PRODUCT if sign else FACTOR)


def _parsed(text: str) -> Quantity:
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a quantity; write '0.1', '1/3', '1500 ft' or '5 [m/s]'")
    unit = match["bracket"] or match["unit"]
    literal = match["number"] + (f"[{unit}]" if unit else "")
    sign = "-" if match["sign"] == "-" else ""
    if match["below"]:
        return Quantity(f"{sign}{literal} / {match['below']}", PRODUCT)
    return Quantity(sign + literal, PRODUCT if sign else FACTOR)
