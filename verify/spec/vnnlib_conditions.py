"""Conditions of VNN-LIB files, evaluated from the inside out: what versions 1 and 2 share.

The stack is our own, so that deep nesting ends in an error and never in the interpreter's recursion limit.
"""

from __future__ import annotations

from collections.abc import Collection
from fractions import Fraction
from itertools import pairwise
from typing import NoReturn, Union, cast

from verify.core.query import Coefficients, Formula, Row, conjunction
from verify.errors import Place, VnnlibError
from verify.spec.sexpr import END, Source, decimal, decimal_problem
from verify.spec.vnnlib_terms import (
    BOOLEANS,
    COMPARISONS,
    OPERATORS,
    RELATIONS,
    Linear,
    NumberTooLargeError,
    connect,
    relate,
    sum_of,
)

MAX_NESTING = 200
ONE = Fraction(1)
Value = Union[Linear, Formula]


class ConditionReader:
    """Reads conditions from the tokens of a source; a version's reader knows the variables and the commands."""

    commands: frozenset[str] = frozenset()
    operators: Collection[str] = OPERATORS
    example = "X_0"

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = source.tokens
        self.variables: dict[str, Linear] = {}
        self._numbers: dict[str, Fraction] = {}
        self._rows: dict[tuple[str, str, str], Row] = {}
        self._units: dict[str, tuple[Coefficients, Coefficients, Coefficients, Coefficients]] = {}

    def fail(self, code: str, token: int, message: str, fix: str = "") -> NoReturn:
        raise VnnlibError(code, message, fix=fix, place=self.source.place(token))

    # -- what a version says -------------------------------------------------------------------------------------

    def resolve(self, token: str, position: int) -> Linear | None:
        """A variable met for the first time; None when `token` is none.  Raises VnnlibError."""
        del token, position
        return None

    def unknown(self, token: str, position: int) -> NoReturn:
        """Say that `token` is no variable."""
        raise NotImplementedError

    def declare(self, name: str, index: int, *, is_input: bool) -> Linear:
        """Make `name` a variable: element `index` of the inputs or of the outputs."""
        one, plus, minus = {index: ONE}, ((index, ONE),), ((index, -ONE),)
        variable = Linear(one, {}) if is_input else Linear({}, one)
        self.variables[name] = variable
        self._units[name] = (plus, (), minus, ()) if is_input else ((), plus, (), minus)
        return variable

    # -- brackets ------------------------------------------------------------------------------------------------

    def read_assert(self, opener: int) -> tuple[Formula, int]:
        """The condition of an assert, and the token after it."""
        value, position = self.expression(opener + 2, opener)
        if isinstance(value, Linear):
            self.fail("E210", opener + 2, "an assert needs a condition, not a number", "compare it with <= or >=")
        return value, self.expect_close(opener, position, "more than one condition in an assert", "use `and`")

    def expect_close(self, opener: int, position: int, rule: str, fix: str) -> int:
        token = self.tokens[position]
        if token == ")":
            return position + 1
        if token == END or (token == "(" and self.tokens[position + 1] in self.commands):
            self.never_closed(opener)
        return self.fail("E205", position, rule, fix)

    def never_closed(self, opener: int) -> NoReturn:
        offset_place = self.source.place(opener)
        place = Place(offset_place.file, offset_place.line, offset_place.column, 1, offset_place.source)
        raise VnnlibError("E201", "this parenthesis is never closed", fix="add the missing `)`", place=place)

    # -- expressions ---------------------------------------------------------------------------------------------

    def expression(self, position: int, command: int) -> tuple[Value, int]:
        """The value of the expression that starts at a token, and the token after it."""
        tokens, rows = self.tokens, self._rows
        stack: list[tuple[int, list[Value]]] = []
        while True:
            token = tokens[position]
            value: Value
            if token == "(":
                operator = tokens[position + 1]
                if operator in COMPARISONS and tokens[position + 4] == ")":
                    key = (operator, tokens[position + 2], tokens[position + 3])
                    row = rows.get(key)
                    if row is None:
                        row = self._bound(*key)
                    if row is not None:
                        rows[key] = value = row
                        position += 5
                        if not stack:
                            return value, position
                        stack[-1][1].append(value)
                        continue
                self._check_operator(position, stack[-1][0] if stack else command)
                stack.append((position, []))
                if len(stack) > MAX_NESTING:
                    self.fail("E214", position, f"nested more than {MAX_NESTING} levels deep", "flatten the condition")
                position += 2
                continue
            if token == ")" and stack:
                opener, arguments = stack.pop()
                value = self._apply(opener, arguments)
            else:
                value = self._atom(token, position, stack[-1][0] if stack else command)
            position += 1
            if not stack:
                return value, position
            stack[-1][1].append(value)

    def _bound(self, operator: str, left: str, right: str) -> Row | None:
        """The row of `variable op number` or `number op variable`; None when it is not that simple."""
        less, strict = COMPARISONS[operator]
        unit, literal = self._units.get(left), right
        if unit is None:
            unit, literal, less = self._units.get(right), left, not less
        bound = self._number(literal)
        if unit is None or bound is None:
            return None
        if less:
            return Row(unit[0], unit[1], bound, strict)
        return Row(unit[2], unit[3], -bound, strict)

    def _number(self, token: str) -> Fraction | None:
        number = self._numbers.get(token)
        if number is None:
            number = decimal(token)
            if number is not None:
                self._numbers[token] = number
        return number

    def _atom(self, token: str, position: int, opener: int) -> Value:
        variable = self.variables.get(token)
        if variable is not None:
            return variable
        variable = self.resolve(token, position)
        if variable is not None:
            return variable
        number = self._number(token)
        if number is not None:
            return Linear({}, {}, number)
        if token in BOOLEANS:
            return BOOLEANS[token]
        if token == END:
            self.never_closed(opener)
        if token == ")":
            self.fail("E205", opener, "an assert without a condition", f"write (assert (<= {self.example} 1))")
        if token in self.operators:
            self.fail("E209", position, f"{token!r} must follow a parenthesis", f"write ({token} …)")
        if token[0] in "+-.0123456789" or token.lower() in ("nan", "inf", "infinity"):
            problem, large = decimal_problem(token)
            fix = (
                "scale the property" if large else "write a finite decimal such as -0.25 or 1e-6, or a quotient (/ 1 3)"
            )
            self.fail("E214" if large else "E213", position, problem, fix)
        return self.unknown(token, position)

    def _check_operator(self, opener: int, enclosing: int) -> None:
        name = self.tokens[opener + 1]
        if name in self.operators:
            return
        if name == END:
            self.never_closed(opener)
        if name in self.commands:
            self.never_closed(enclosing)
        known = f"use one of {' '.join(self.operators)}"
        if name in "()":
            self.fail("E209", opener, "an operator must follow this parenthesis", known)
        self.fail("E209", opener + 1, f"unknown operator {name!r}", known)

    def _apply(self, opener: int, arguments: list[Value]) -> Value:
        name = self.tokens[opener + 1]
        least, most, numeric = OPERATORS[name]
        if len(arguments) < least or (most is not None and len(arguments) > most):
            needs = f"{least} argument{'' if least == 1 else 's'}" + ("" if most == least else " or more")
            fix = f"write ({name}{' …' * max(least, 2 if most is None else least)})"
            self.fail("E209", opener, f"{name!r} takes {needs}, not {len(arguments)}", fix)
        for position, argument in enumerate(arguments):
            if isinstance(argument, Linear) is not numeric:
                self._wrong_kind(opener, position, name, numeric)
        try:
            if numeric:
                return self._apply_numeric(name, opener, cast("list[Linear]", arguments))
            return connect(name, cast("list[Formula]", arguments))
        except NumberTooLargeError as error:
            return self.fail("E214", opener, str(error), "write the result as a decimal")

    def _wrong_kind(self, opener: int, position: int, name: str, numeric: bool) -> NoReturn:
        token = self.source.argument(opener, position)
        if numeric:
            self.fail("E210", token, f"{name!r} takes numbers, this is a condition", "join conditions with and, or")
        fix = "`=>` means `implies`; for `at least` write >=" if name == "=>" else "compare it with <= or >="
        self.fail("E210", token, f"{name!r} takes conditions, this is a number", fix)

    def _apply_numeric(self, name: str, opener: int, arguments: list[Linear]) -> Value:
        first, rest = arguments[0], arguments[1:]
        if name in RELATIONS:
            return conjunction(relate(name, left, right) for left, right in pairwise(arguments))
        if name in ("+", "-"):
            if not rest:
                return first if name == "+" else first.times(Fraction(-1))
            return sum_of(arguments, negative_rest=name == "-")
        product = first
        for position, factor in enumerate(rest, start=1):
            if name == "*":
                if product.is_constant:
                    product, factor = factor, product
                if not factor.is_constant:
                    self.fail("E211", opener, "product of variables", "only linear constraints can be decided")
                product = product.times(factor.constant)
                continue
            if not factor.is_constant or not factor.constant:
                by = "zero" if factor.is_constant else "a variable"
                self.fail(
                    "E212",
                    self.source.argument(opener, position),
                    f"division by {by}",
                    "divide by a number other than 0",
                )
            product = product.times(1 / factor.constant)
        return product
