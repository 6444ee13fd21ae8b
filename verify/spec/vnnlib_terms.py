"""What the operators of a VNN-LIB file mean: linear expressions, comparisons, connectives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.query import FALSE, TRUE, Formula, Row, conjunction, disjunction, negate

MAX_BITS = 20_000  # of any numerator or denominator: products of literals must not eat the memory

# operator: (the smaller side comes first, strict); `=` and `==` are both <= and >=
COMPARISONS = {"<=": (True, False), ">=": (False, False), "<": (True, True), ">": (False, True)}
EQUALITIES = frozenset(["=", "=="])
RELATIONS = frozenset([*COMPARISONS, *EQUALITIES, "!="])
BOOLEANS: dict[str, Formula] = {"true": TRUE, "false": FALSE}

# operator: least and greatest number of arguments, whether they are numbers
OPERATORS: dict[str, tuple[int, int | None, bool]] = {
    "and": (1, None, False),
    "or": (1, None, False),
    "not": (1, 1, False),
    "=>": (2, None, False),
    "<=": (2, None, True),
    ">=": (2, None, True),
    "<": (2, None, True),
    ">": (2, None, True),
    "=": (2, None, True),
    "==": (2, None, True),
    "!=": (2, 2, True),
    "+": (1, None, True),
    "-": (1, None, True),
    "*": (2, None, True),
    "/": (2, None, True),
}


VERSION_1_OPERATORS = tuple(name for name in OPERATORS if name not in ("==", "!="))


class NumberTooLargeError(ValueError):
    """Arithmetic in the file makes an absurdly long number."""


@dataclass(frozen=True)
class Linear:
    """Σ inputs·x + Σ outputs·y + constant."""

    inputs: dict[int, Fraction]
    outputs: dict[int, Fraction]
    constant: Fraction = Fraction(0)

    @property
    def is_constant(self) -> bool:
        return not self.inputs and not self.outputs

    def times(self, factor: Fraction) -> Linear:
        return Linear(
            {i: _sized(c * factor) for i, c in self.inputs.items() if factor},
            {i: _sized(c * factor) for i, c in self.outputs.items() if factor},
            _sized(self.constant * factor),
        )


def sum_of(parts: Sequence[Linear], *, negative_rest: bool) -> Linear:
    """The sum of the parts, or the first minus all others."""
    inputs, outputs, constant = dict(parts[0].inputs), dict(parts[0].outputs), parts[0].constant
    for part in parts[1:]:
        for total, terms in ((inputs, part.inputs), (outputs, part.outputs)):
            for index, c in terms.items():
                total[index] = _sized(total.get(index, 0) + (-c if negative_rest else c))
        constant = _sized(constant + (-part.constant if negative_rest else part.constant))
    return Linear({i: c for i, c in inputs.items() if c}, {i: c for i, c in outputs.items() if c}, constant)


def _sized(value: Fraction) -> Fraction:
    if value.numerator.bit_length() > MAX_BITS or value.denominator.bit_length() > MAX_BITS:
        raise NumberTooLargeError(f"a number of more than {MAX_BITS} bits")
    return value


def relate(name: str, left: Linear, right: Linear) -> Formula:
    """`left name right`: one row, the two of an equality, or one of the two of `!=`."""
    if name in EQUALITIES:
        return conjunction([relate("<=", left, right), relate(">=", left, right)])
    if name == "!=":
        return disjunction([relate("<", left, right), relate(">", left, right)])
    less, strict = COMPARISONS[name]
    smaller, larger = (left, right) if less else (right, left)
    difference = sum_of([smaller, larger], negative_rest=True)
    return Row.of(difference.inputs, difference.outputs, -difference.constant, strict=strict)


def connect(name: str, arguments: list[Formula]) -> Formula:
    if name == "and":
        return conjunction(arguments)
    if name == "or":
        return disjunction(arguments)
    if name == "not":
        return negate(arguments[0])
    return disjunction([*map(negate, arguments[:-1]), arguments[-1]])  # a => (b => c), exactly
