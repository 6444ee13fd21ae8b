"""Plain VNN-LIB 1.0 files as queries, without the other reader.

Understood: declare-const and declare-fun of X_i and Y_i, assert, and, or, the comparisons of two linear terms, +, -,
* and / with numbers.  Source: the VNN-LIB 1.0 standard.  Everything else is refused.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Union

from verify.core.network import Network
from verify.core.query import (
    And,
    Field,
    Formula,
    Query,
    Row,
    conjunction,
    disjunction,
    identity_copy,
    mentions_outputs,
)
from verify.independent.refusal import RefusedError

MOST_CHARACTERS = 8 << 20
MOST_LISTS = 1 << 20
MOST_LEVELS = 100
MOST_BITS = 20_000  # of any number: products of literals must not eat the memory
MOST_DIGITS, MOST_EXPONENT = 1000, 400

LEXEME = re.compile(r"[()]|[^\s()]+")
REMARK = re.compile(r";[^\n\r]*")
DECIMAL = re.compile(r"([+-]?)([0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]{1,6}))?", re.ASCII)
VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})", re.ASCII)
COMPARISONS = ("<=", ">=", "<", ">", "=")

Expression = Union[str, "list[Expression]"]


@dataclass(frozen=True)
class Term:
    """Σ coefficients·variables + constant; a variable is its letter and index."""

    coefficients: dict[tuple[str, int], Fraction]
    constant: Fraction

    def times(self, factor: Fraction) -> Term:
        scaled = {v: _bounded(c * factor) for v, c in self.coefficients.items() if factor}
        return Term(scaled, _bounded(self.constant * factor))


def read_query(text: str, network: Network) -> Query:
    """The query of a VNN-LIB file about a network: is there an input that meets all asserts?

    X_i counts row-major over the concatenated inputs, Y_i over the concatenated outputs; exactly these must be
    declared.  Guarantee: decimals are exact, strict stays strict; the digest equals the other reader's.
    Raises: RefusedError.
    """
    reader = _Reader()
    for command in parse(text):
        reader.read(command)
    for letter, size in (("X", network.input_size), ("Y", network.output_size)):
        declared = {index for kind, index in reader.declared if kind == letter}
        if declared != set(range(size)):
            raise RefusedError(f"{len(declared)} variables {letter}_i are declared, the network has {size}")
    if not reader.asserts:
        raise RefusedError("no assert")
    whole = conjunction(reader.asserts)
    parts = whole.children if isinstance(whole, And) else (whole,)
    return Query(
        network,
        tuple(Field(f"X_{i}") for i in range(network.input_size)),
        tuple(Field(f"Y_{i}") for i in range(network.output_size)),
        conjunction(p for p in parts if not mentions_outputs(p)),
        conjunction(p for p in parts if mentions_outputs(p)),
        (identity_copy("network", "", network.input_size),),
    )


def parse(text: str) -> list[Expression]:
    """The lists of a text, nested at most MOST_LEVELS deep.  Raises RefusedError."""
    if len(text) > MOST_CHARACTERS:
        raise RefusedError(f"too large: {len(text)} characters, at most {MOST_CHARACTERS}")
    bare = REMARK.sub("", text.removeprefix("\ufeff"))
    if '"' in bare or "|" in bare:
        raise RefusedError("quoted text is not supported")
    if bare.count("(") > MOST_LISTS:
        raise RefusedError(f"too large: more than {MOST_LISTS} lists")
    top: list[Expression] = []
    stack = [top]
    for lexeme in LEXEME.findall(bare):
        if lexeme == "(":
            inner: list[Expression] = []
            stack[-1].append(inner)
            stack.append(inner)
            if len(stack) > MOST_LEVELS:
                raise RefusedError(f"nested more than {MOST_LEVELS} levels deep")
        elif lexeme == ")":
            if len(stack) == 1:
                raise RefusedError("a parenthesis is closed that was never opened")
            stack.pop()
        else:
            stack[-1].append(lexeme)
    if len(stack) > 1:
        raise RefusedError("a parenthesis is never closed")
    return top


class _Reader:
    def __init__(self) -> None:
        self.declared: set[tuple[str, int]] = set()
        self.asserts: list[Formula] = []
        self.numbers: dict[str, Fraction] = {}

    def read(self, command: Expression) -> None:
        match command:
            case ["declare-const", str(name), "Real"] | ["declare-fun", str(name), [], "Real"]:
                variable = _variable(name)
                if variable is None or variable in self.declared:
                    raise RefusedError(f"{name} is declared twice, or is no X_i or Y_i")
                self.declared.add(variable)
            case ["assert", condition]:
                self.asserts.append(self.condition(condition))
            case _:
                raise RefusedError(f"command {_shown(command)} is not supported")

    def condition(self, expression: Expression) -> Formula:
        match expression:
            case ["and", first, *rest]:
                return conjunction(map(self.condition, [first, *rest]))
            case ["or", first, *rest]:
                return disjunction(map(self.condition, [first, *rest]))
            case [str(name), left, right] if name in COMPARISONS:
                a, b = self.term(left), self.term(right)
                if name == "=":
                    return conjunction([_row(a, b, strict=False), _row(b, a, strict=False)])
                smaller, larger = (a, b) if name[0] == "<" else (b, a)
                return _row(smaller, larger, strict=len(name) == 1)
        raise RefusedError(f"condition {_shown(expression)} is not supported")

    def term(self, expression: Expression) -> Term:
        if isinstance(expression, str):
            return self.atom(expression)
        match expression:
            case ["+" | "-" | "*" | "/" as name, *parts]:
                return _arithmetic(name, [self.term(p) for p in parts])
        raise RefusedError(f"term {_shown(expression)} is not supported")

    def atom(self, name: str) -> Term:
        variable = _variable(name)
        if variable is None:
            if name not in self.numbers:
                self.numbers[name] = _decimal(name)
            return Term({}, self.numbers[name])
        if variable not in self.declared:
            raise RefusedError(f"{name} is used before it is declared")
        return Term({variable: Fraction(1)}, Fraction(0))


def _arithmetic(name: str, terms: Sequence[Term]) -> Term:
    if not terms or (name in "*/" and len(terms) < 2):
        raise RefusedError(f"{name!r} without its terms")
    if name in "+-":
        return (
            terms[0].times(Fraction(-1)) if name == "-" and len(terms) == 1 else _sum(terms, 1 if name == "+" else -1)
        )
    if name == "/":
        divisor = _product(terms[1:])
        if not divisor:
            raise RefusedError("division by zero")
        return terms[0].times(1 / divisor)
    variable = next((t for t in terms if t.coefficients), None)
    if variable is None:
        return Term({}, _product(terms))
    return variable.times(_product([t for t in terms if t is not variable]))


def _sum(terms: Sequence[Term], sign: int) -> Term:
    """The first term plus sign times each other one."""
    sums, constant = dict(terms[0].coefficients), terms[0].constant
    for term in terms[1:]:
        for key, c in term.coefficients.items():
            sums[key] = _bounded(sums.get(key, Fraction(0)) + sign * c)
        constant = _bounded(constant + sign * term.constant)
    return Term({key: c for key, c in sums.items() if c}, constant)


def _product(terms: Sequence[Term]) -> Fraction:
    result = Fraction(1)
    for term in terms:
        if term.coefficients:
            raise RefusedError("a product of variables, or division by one")
        result = _bounded(result * term.constant)
    return result


def _row(smaller: Term, larger: Term, *, strict: bool) -> Row:
    difference = _sum([smaller, larger], -1)
    sides: dict[str, dict[int, Fraction]] = {"X": {}, "Y": {}}
    for (letter, index), coefficient in difference.coefficients.items():
        sides[letter][index] = coefficient
    return Row.of(sides["X"], sides["Y"], -difference.constant, strict=strict)


def _variable(name: str) -> tuple[str, int] | None:
    match = VARIABLE.fullmatch(name)
    return (match.group(1), int(match.group(2))) if match else None


def _decimal(text: str) -> Fraction:
    """The exact value of a decimal literal."""
    match = DECIMAL.fullmatch(text) if len(text) <= MOST_DIGITS else None
    if match is None or not (match.group(2) or match.group(3)):
        raise RefusedError(f"{_shown(text)} is no number")
    sign, whole, fraction, exponent = match.groups(default="")
    power = int(exponent or "0")
    if abs(power) > MOST_EXPONENT:
        raise RefusedError(f"the exponent of {_shown(text)} is beyond {MOST_EXPONENT}")
    value = Fraction(int(whole + fraction) * 10 ** max(0, power), 10 ** (len(fraction) + max(0, -power)))
    return -value if sign == "-" else value


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > MOST_BITS:
        raise RefusedError(f"a number of more than {MOST_BITS} bits")
    return value


def _shown(expression: Expression) -> str:
    while not isinstance(expression, str) and expression:
        expression = expression[0]
    return repr(expression[:40]) if expression else "()"
