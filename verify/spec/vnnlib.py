"""Reader of VNN-LIB 1.0 files: the unsafe set of a network over X_0, X_1, … (inputs) and Y_0, Y_1, … (outputs).

`parse` needs the text alone; `bind` and `read` its network.  Errors E2xx: see `vnnlib_codes`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NoReturn

from verify.core.network import Network
from verify.core.property import Property
from verify.core.query import (
    And,
    Field,
    Formula,
    Query,
    Selection,
    conjunction,
    identity_copy,
    mentions_outputs,
)
from verify.errors import Place, VnnlibError
from verify.spec.sexpr import END, Source
from verify.spec.vnnlib_conditions import ConditionReader
from verify.spec.vnnlib_terms import VERSION_1_OPERATORS

IGNORED_COMMANDS = frozenset(
    ["set-logic", "set-info", "set-option", "check-sat", "get-model", "get-value", "get-info", "echo", "exit"]
)
COMMANDS = frozenset(["declare-const", "declare-fun", "assert", "vnnlib-version"]) | IGNORED_COMMANDS
VERSION_2_COMMANDS = frozenset(["vnnlib-version", "declare-network"])
VERSION_2 = re.compile(r"\s*(?:;[^\n\r]*[\n\r]\s*)*\(\s*(?:vnnlib-version\s*<2|declare-network\b)")

VARIABLE = re.compile(r"([XY])_(0|[1-9][0-9]{0,8})")

QUOTES = ('"', "|")  # as a token of its own: a quotation without an end


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
    return bind(parse(text, file), network)


def bind(document: Document, network: Network, selection: Selection | None = None) -> Property:
    """As `read`; `selection` belongs to a network with choices, which are its last input."""
    guards = selection.guards if selection is not None else 0
    choices = selection.names if selection is not None else ()
    inputs, outputs = network.input_size - len(choices), network.output_size - guards
    check_declarations(document, "X", document.inputs, inputs)
    check_declarations(document, "Y", document.outputs, outputs)
    whole = conjunction(document.asserts)
    parts = whole.children if isinstance(whole, And) else (whole,)
    selected = () if selection is None else (selection.formula,)
    query = Query(
        network,
        tuple(Field(n) for n in (*(f"X_{i}" for i in range(inputs)), *(f"choice {n}" for n in choices))),
        tuple(Field(n) for n in (*(f"Y_{i}" for i in range(outputs)), *(f"guard {k}" for k in range(guards)))),
        conjunction([*(p for p in parts if not mentions_outputs(p)), *selected]),
        conjunction(p for p in parts if mentions_outputs(p)),
        (identity_copy("network", "", inputs),),
    )
    file = document.source.file
    return Property(property_name(file), query, Place(file))


def is_version_2(text: str) -> bool:
    """Whether the first command says so; such files are read by `vnnlib2`."""
    return VERSION_2.match(text.removeprefix("\ufeff")) is not None


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


def check_declarations(document: Document, letter: str, declared: dict[int, int], size: int) -> None:
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


class _Reader(ConditionReader):
    """Commands in order; declarations and asserts are collected."""

    commands = COMMANDS
    operators = VERSION_1_OPERATORS

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.indices: dict[str, dict[int, int]] = {"X": {}, "Y": {}}
        self.asserts: list[Formula] = []

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
            condition, position = self.read_assert(opener)
            self.asserts.append(condition)
            return position
        if name in ("declare-const", "declare-fun"):
            return self._declare(opener)
        if name in VERSION_2_COMMANDS and not self.tokens[opener + 2].startswith("<1"):
            self._other_version(opener)
        if name == END:
            self.never_closed(opener)
        if name not in COMMANDS:
            shown = "an empty command" if name in "()" else f"unknown command {name!r}"
            self.fail("E204", opener + 1, shown, "use declare-const and assert")
        closing = self.source.closing(opener)
        if closing == opener:
            self.never_closed(opener)
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
        self.declare(name, index, is_input=letter == "X")
        return self.expect_close(opener, sort + 1, "a declaration ends after its sort", "remove this")

    def _other_version(self, opener: int) -> NoReturn:
        if self.tokens[opener + 1] == "declare-network":
            self.fail("E215", opener, "declare-network is VNN-LIB 2", "begin the file with (vnnlib-version <2.0>)")
        shown = f"VNN-LIB version {self.tokens[opener + 2]} is not supported"
        self.fail("E215", opener, shown, "write <1.0>, or <2.0> at the very beginning of a file with declare-network")

    def _malformed_declaration(self, opener: int) -> NoReturn:
        if self.source.closing(opener) == opener:
            self.never_closed(opener)
        self.fail("E205", opener, "malformed declaration", "write (declare-const X_0 Real)")

    def unknown(self, token: str, position: int) -> NoReturn:
        if VARIABLE.fullmatch(token):
            names = [n for n in self.variables if n[0] == token[0]]
            declared = (
                f"declared: {' … '.join(dict.fromkeys([names[0], names[-1]]))}" if names else "none of its kind is"
            )
            self.fail("E206", position, f"{token} is not declared before its use; {declared}", f"declare {token} first")
        self.fail("E206", position, f"unknown variable {token!r}", "inputs are X_0, X_1, …; outputs Y_0, Y_1, …")
