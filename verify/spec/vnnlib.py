"""Reader of VNN-LIB 1.0 files: the unsafe set of a network over X_0, X_1, … (inputs) and Y_0, Y_1, … (outputs).

`parse` needs the text alone; `read` binds it to a network.  The asserts are evaluated from the inside out on a
stack of our own, so that deep nesting ends in an error and never in the interpreter's recursion limit.

    E201 parenthesis never closed        E206 unknown or undeclared variable   E211 product of variables
    E202 stray text                      E207 declared twice                   E212 division by zero or a variable
    E203 nothing to decide               E208 does not fit the network         E213 malformed number
    E204 unknown command                 E209 unknown operator, wrong count    E214 too large
    E205 malformed command               E210 condition where a number belongs E215 VNN-LIB 2
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import NoReturn, Union, cast

from verify.core.network import Network
from verify.core.property import Property
from verify.core.query import (
    And,
    Coefficients,
    Field,
    Formula,
    Query,
    Row,
    conjunction,
    identity_copy,
    mentions_outputs,
)
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

IGNORED_COMMANDS = frozenset(
    ["set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "get-info", "echo", "exit"]
)
COMMANDS = frozenset(["declare-const", "declare-fun", "assert", "vnnlib-version"]) | IGNORED_COMMANDS
VERSION_2_COMMANDS = frozenset(["vnnlib-version", "declare-network"])

ONE = Fraction(1)
VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")

QUOTES = ('"', "|")  # as a token of its own: a quotation without an end
Value = Union[Linear, Formula]


@dataclass(frozen=True, eq=False)
class Document:
    """A file that parses: which variables it declares (index → token of the declaration) and its asserts."""

    source: Source
    inputs: dict[int, int]
    outputs: dict[int, int]
    asserts: tuple[Formula, ...]


def read(text: str, file: str, network: Network) -> Property:
    """The property of a VNN-LIB 1.0 file for `network`: REFUTED when its constraints are satisfiable.

    X_i counts row-major over the concatenated inputs, Y_i over the concatenated outputs.
    Guarantee: decimals are taken exactly, strict stays strict.  Raises: VnnlibError (E2xx).
    """
    document = parse(text, file)
    _check_declarations(document, "X", document.inputs, network.input_size)
    _check_declarations(document, "Y", document.outputs, network.output_size)
    whole = conjunction(document.asserts)
    parts = whole.children if isinstance(whole, And) else (whole,)
    query = Query(
        network,
        tuple(Field(f"X_{i}") for i in range(network.input_size)),
        tuple(Field(f"Y_{i}") for i in range(network.output_size)),
        conjunction(p for p in parts if not mentions_outputs(p)),
        conjunction(p for p in parts if mentions_outputs(p)),
        (identity_copy("network", "", network.input_size),),
    )
    return Property(property_name(file), query, Place(file))


def property_name(file: str) -> str:
    """The file's stem: the name without folders, `.gz` and `.vnnlib`."""
    name = re.split(r"[/\\]", file)[-1]
    return name.removesuffix(".gz").removesuffix(".vnnlib") or name


def parse(text: str, file: str) -> Document:
    """Parse a VNN-LIB 1.0 file without knowing its network.  Raises VnnlibError (E2xx)."""
    source = Source(text, file)
    if not source.count:
        raise VnnlibError("E203", "the file is empty", fix="write declarations and asserts", place=Place(file))
    reader = _Reader(source)
    reader.read_commands()
    if not reader.asserts:
        raise VnnlibError(
            "E203", "the file has no assert", fix="add (assert …) for inputs and outputs", place=Place(file)
        )
    return Document(source, reader.indices["X"], reader.indices["Y"], tuple(reader.asserts))


def _check_declarations(document: Document, letter: str, declared: dict[int, int], size: int) -> None:
    """The file must declare exactly the network's variables of one kind."""
    kind = "input" if letter == "X" else "output"
    has = f"the network has {_count(size, kind)}"
    names = f"{letter}_0" + (f" … {letter}_{size - 1}" if size > 1 else "")
    for index, token in declared.items():
        if index >= size:
            place = document.source.place(token)
            raise VnnlibError(
                "E208",
                f"{letter}_{index} is declared, but {has}",
                fix=f"use {names} only, or give the network that belongs to this file",
                place=place,
            )
    missing = next((i for i in range(size) if i not in declared), None)
    if missing is not None:
        place = document.source.place(max(declared.values())) if declared else Place(document.source.file)
        raise VnnlibError(
            "E208",
            f"{letter}_{missing} is not declared: the file declares {_count(len(declared), kind)}, {has}",
            fix=f"declare {names}, or give the network that belongs to this file",
            place=place,
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


class _Reader:
    """Commands in order; declarations and asserts are collected."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.tokens = source.tokens
        self.indices: dict[str, dict[int, int]] = {"X": {}, "Y": {}}
        self.variables: dict[str, Linear] = {}
        self.asserts: list[Formula] = []
        self._numbers: dict[str, Fraction] = {}
        self._rows: dict[tuple[str, str, str], Row] = {}
        self._units: dict[str, tuple[Coefficients, Coefficients, Coefficients, Coefficients]] = {}

    def fail(self, code: str, token: int, message: str, fix: str = "") -> NoReturn:
        raise VnnlibError(code, message, fix=fix, place=self.source.place(token))

    # -- commands ----------------------------------------------------------------------------------------------

    def read_commands(self) -> None:
        tokens, position = self.tokens, 0
        while tokens[position] != END:
            if tokens[position] != "(":
                fix = "remove it" if tokens[position] == ")" else "write commands only, such as (assert …)"
                self.fail("E202", position, f"stray {tokens[position]!r} outside of a command", fix)
            position = self._command(position)

    def _command(self, opener: int) -> int:
        name = self.tokens[opener + 1]
        if name == "assert":
            value, position = self._expression(opener + 2, opener)
            if isinstance(value, Linear):
                self.fail("E210", opener + 2, "an assert needs a condition, not a number", "compare it with <= or >=")
            self.asserts.append(value)
            return self._expect_close(opener, position, "more than one condition in an assert", "use `and`")
        if name in ("declare-const", "declare-fun"):
            return self._declare(opener)
        if name in VERSION_2_COMMANDS and not self.tokens[opener + 2].startswith("<1"):
            self.fail("E215", opener, "VNN-LIB 2 is not supported yet", "write the property in VNN-LIB 1 or as .nnspec")
        if name == END:
            self._never_closed(opener)
        if name not in COMMANDS:
            shown = "an empty command" if name in "()" else f"unknown command {name!r}"
            self.fail("E204", opener + 1, shown, "use declare-const and assert")
        closing = self.source.closing(opener)
        if closing == opener:
            self._never_closed(opener)
        quote = next((q for q in range(opener, closing) if self.tokens[q] in QUOTES), None)
        if quote is not None:
            self.fail("E202", quote, "this quotation never ends", "close it")
        if name == "exit" and self.tokens[closing + 1] != END:
            self.fail("E202", closing + 1, "text after (exit)", "remove it, or remove (exit)")
        return closing + 1

    def _declare(self, opener: int) -> int:
        tokens = self.tokens
        name, sort = tokens[opener + 2], opener + 3
        if tokens[opener + 1] == "declare-fun":
            if tokens[sort] != "(" or tokens[sort + 1] != ")":
                self._malformed_declaration(opener)
            sort += 2
        match = VARIABLE.fullmatch(name)
        if match is None and name not in ("(", ")", END):
            self.fail("E206", opener + 2, f"unknown variable {name!r}", "inputs are X_0, X_1, …; outputs Y_0, Y_1, …")
        if match is None or tokens[sort] in ("(", ")", END):
            self._malformed_declaration(opener)
        if tokens[sort] != "Real":
            self.fail("E205", sort, f"{name} is of sort {tokens[sort]!r}", "only Real is supported")
        letter, index = match.group(1), int(match.group(2))
        if name in self.variables:
            self.fail("E207", opener + 2, f"{name} is declared twice", "remove one of the declarations")
        self.indices[letter][index] = opener + 2
        one, plus, minus = {index: ONE}, ((index, ONE),), ((index, -ONE),)
        self.variables[name] = Linear(one, {}) if letter == "X" else Linear({}, one)
        self._units[name] = (plus, (), minus, ()) if letter == "X" else ((), plus, (), minus)
        return self._expect_close(opener, sort + 1, "a declaration ends after its sort", "remove this")

    def _malformed_declaration(self, opener: int) -> NoReturn:
        if self.source.closing(opener) == opener:
            self._never_closed(opener)
        self.fail("E205", opener, "malformed declaration", "write (declare-const X_0 Real)")

    def _expect_close(self, opener: int, position: int, rule: str, fix: str) -> int:
        token = self.tokens[position]
        if token == ")":
            return position + 1
        if token == END or (token == "(" and self.tokens[position + 1] in COMMANDS):
            self._never_closed(opener)
        return self.fail("E205", position, rule, fix)

    def _never_closed(self, opener: int) -> NoReturn:
        offset_place = self.source.place(opener)
        place = Place(offset_place.file, offset_place.line, offset_place.column, 1, offset_place.source)
        raise VnnlibError("E201", "this parenthesis is never closed", fix="add the missing `)`", place=place)

    # -- expressions -------------------------------------------------------------------------------------------

    def _expression(self, position: int, command: int) -> tuple[Value, int]:
        """The value of the expression that starts at a token, and the token after it."""
        tokens, rows = self.tokens, self._rows
        stack: list[tuple[int, list[Value]]] = []
        while True:
            token = tokens[position]
            value: Value
            if token == "(":
                operator = tokens[position + 1]
                if operator in RELATIONS and tokens[position + 4] == ")":
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
        if operator == "=":
            return None
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
        number = self._number(token)
        if number is not None:
            return Linear({}, {}, number)
        if token in BOOLEANS:
            return BOOLEANS[token]
        if token == END:
            self._never_closed(opener)
        if token == ")":
            self.fail("E205", opener, "an assert without a condition", "write (assert (<= X_0 1))")
        if token in OPERATORS:
            self.fail("E209", position, f"{token!r} must follow a parenthesis", f"write ({token} …)")
        if token[0] in "+-.0123456789" or token.lower() in ("nan", "inf", "infinity"):
            problem, large = decimal_problem(token)
            fix = (
                "scale the property" if large else "write a finite decimal such as -0.25 or 1e-6, or a quotient (/ 1 3)"
            )
            self.fail("E214" if large else "E213", position, problem, fix)
        if VARIABLE.fullmatch(token):
            names = [n for n in self.variables if n[0] == token[0]]
            declared = (
                f"declared: {' … '.join(dict.fromkeys([names[0], names[-1]]))}" if names else "none of its kind is"
            )
            self.fail("E206", position, f"{token} is not declared before its use; {declared}", f"declare {token} first")
        return self.fail("E206", position, f"unknown variable {token!r}", "inputs are X_0, X_1, …; outputs Y_0, Y_1, …")

    def _check_operator(self, opener: int, enclosing: int) -> None:
        name = self.tokens[opener + 1]
        if name in OPERATORS:
            return
        if name == END:
            self._never_closed(opener)
        if name in COMMANDS:
            self._never_closed(enclosing)
        if name in "()":
            self.fail("E209", opener, "an operator must follow this parenthesis", f"use one of {' '.join(OPERATORS)}")
        self.fail("E209", opener + 1, f"unknown operator {name!r}", f"use one of {' '.join(OPERATORS)}")

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
            return conjunction(row for left, right in pairwise(arguments) for row in relate(name, left, right))
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
