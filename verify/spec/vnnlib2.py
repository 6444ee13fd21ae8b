"""Parser of VNN-LIB 2.x files: declared networks with named tensors, and conditions over their elements.

The standard's grammar and its published variants are read: `=` beside `==`, exponents, `initialized`, ONNX names of
inputs and outputs, and version 1's `not`, `=>` and `/`.  `parse` needs the text alone; `vnnlib2_binding` the models.
Errors E2xx are listed in `vnnlib_codes`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NoReturn

from verify.core.query import Formula
from verify.errors import Place, VnnlibError
from verify.spec.sexpr import END, Source
from verify.spec.vnnlib_conditions import ConditionReader
from verify.spec.vnnlib_terms import Linear

# `X[0,1]` and `[1,2]` are one token each; a type before its shape stays alone
TOKEN = re.compile(
    r"[()]|(?!(?:real|Real|b?float\w*|u?int\d*|bool)\s)[A-Za-z]\w*\s*\[[^\[\]();\"]*\]|\[[^\[\]();\"]*\]|[^\s()\[\]\";|]+"
    r'|;[^\n\r]*|"(?:[^"\\]|\\.)*"|\|[^|]*\||["|\[\]]'
)
VERSION = re.compile(r"<2\.[0-9]+>")
NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
ELEMENT = re.compile(r"([A-Za-z]\w*)\s*\[(.*)\]", re.DOTALL)
NUMBER = re.compile(r"[0-9]{1,9}")

FLOATS = ("float16", "float32", "float64", "bfloat16")
INTEGERS = ("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "bool")
REAL = ("real", "Real")
TYPES = (*FLOATS, *INTEGERS, *REAL)
MAX_ELEMENTS = 1 << 24  # of all tensors together

TENSORS = {"declare-input": "input", "declare-hidden": "hidden", "declare-output": "output"}
RELATIONS = ("equal-to", "isomorphic-to")
COMMANDS = frozenset(["vnnlib-version", "declare-network", "assert", *TENSORS, *RELATIONS])


@dataclass(frozen=True)
class Tensor:
    """A declared tensor.  Its elements are numbers `first` … of all inputs, or of all outputs and hidden nodes."""

    kind: str  # input, hidden or output
    name: str
    element_type: str
    shape: tuple[int, ...]
    onnx_name: str | None
    initialized: bool
    first: int
    token: int

    @property
    def size(self) -> int:
        return math.prod(self.shape)

    def element_names(self) -> Iterator[str]:
        """`X[0,0]`, `X[0,1]`, … row by row; a scalar is `X`."""
        if not self.shape:
            yield self.name
            return
        for number in range(self.size):
            index = []
            for extent in reversed(self.shape):
                number, place = divmod(number, extent)
                index.append(str(place))
            yield f"{self.name}[{','.join(reversed(index))}]"


@dataclass(frozen=True)
class Declaration:
    """A declared network; `relation` is ("equal-to" or "isomorphic-to", name of another)."""

    name: str
    tensors: tuple[Tensor, ...]
    relation: tuple[str, str] | None
    token: int

    def of_kind(self, kind: str) -> tuple[Tensor, ...]:
        return tuple(t for t in self.tensors if t.kind == kind)


@dataclass(frozen=True, eq=False)
class Document:
    """A file that parses.  Rows of `asserts` number the elements as the tensors do."""

    source: Source
    networks: tuple[Declaration, ...]
    asserts: tuple[Formula, ...]

    @property
    def tensors(self) -> tuple[Tensor, ...]:
        return tuple(t for network in self.networks for t in network.tensors)

    def model_of(self, network: Declaration) -> str:
        """The declaration whose model file `network` uses: itself, or the one it is equal to."""
        return network.relation[1] if network.relation and network.relation[0] == "equal-to" else network.name


def parse(text: str, file: str) -> Document:
    """Parse a VNN-LIB 2 file without knowing its networks.  Raises VnnlibError (E2xx)."""
    source = Source(text, file, TOKEN)
    reader = _Reader(source)
    reader.read_commands()
    place = Place(file)
    if not reader.networks:
        raise VnnlibError("E203", "the file declares no network", fix="add (declare-network N …)", place=place)
    if not reader.asserts:
        fix = "add (assert …) for inputs and outputs"
        raise VnnlibError("E203", "the file has no assert", fix=fix, place=place)
    return Document(source, tuple(reader.networks), tuple(reader.asserts))


class _Reader(ConditionReader):
    """Commands in order; declarations and asserts are collected."""

    commands = COMMANDS
    example = "X[0]"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.networks: list[Declaration] = []
        self.asserts: list[Formula] = []
        self.names: dict[str, Tensor | None] = {}  # None: a network
        self._sizes = {"input": 0, "output": 0}

    def read_commands(self) -> None:
        position = 0
        while self.tokens[position] != END:
            if self.tokens[position] != "(":
                fix = "remove it" if self.tokens[position] == ")" else "write commands only, such as (assert …)"
                self.fail("E202", position, f"stray {self.tokens[position]!r} outside of a command", fix)
            position = self._command(position)

    def _command(self, opener: int) -> int:
        name = self.tokens[opener + 1]
        if name == "assert":
            condition, position = self.read_assert(opener)
            self.asserts.append(condition)
            return position
        if name == "declare-network":
            return self._network(opener)
        if name == "vnnlib-version":
            return self._version(opener)
        if name == END:
            self.never_closed(opener)
        shown = "an empty command" if name in "()" else f"unknown command {name!r}"
        fix = "write it inside (declare-network …)" if name in COMMANDS else "use declare-network and assert"
        return self.fail("E204", opener + 1, shown if name not in COMMANDS else f"{name} outside of a network", fix)

    def _version(self, opener: int) -> int:
        token = self.tokens[opener + 2]
        if token in ("(", ")", END):
            self._malformed(opener, "(vnnlib-version <2.0>)")
        if not VERSION.fullmatch(token):
            self.fail("E215", opener + 2, f"VNN-LIB version {token} is not supported", "versions 1.0 and 2.x are")
        return self.expect_close(opener, opener + 3, "one version is enough", "remove this")

    # -- declarations --------------------------------------------------------------------------------------------

    def _network(self, opener: int) -> int:
        name = self._new_name(opener, opener + 2, "(declare-network N (declare-input X float32 [2]) …)")
        self.names[name] = None
        position = opener + 3
        relation: tuple[str, str] | None = None
        tensors: list[Tensor] = []
        while self.tokens[position] == "(":
            word = self.tokens[position + 1]
            if word in RELATIONS:
                if relation is not None:
                    self.fail("E218", position, f"network {name!r} has two relations", "keep one")
                relation, position = self._relation(position, name)
            elif word in TENSORS:
                tensor, position = self._tensor(position)
                tensors.append(tensor)
            elif word in COMMANDS:
                self.never_closed(opener)
            else:
                fix = "use declare-input, declare-hidden, declare-output, equal-to or isomorphic-to"
                self.fail("E204", position + 1, f"unknown declaration {word!r}", fix)
        network = Declaration(name, tuple(tensors), relation, opener)
        for kind in ("input", "output"):
            if not network.of_kind(kind):
                self.fail("E205", opener, f"network {name!r} declares no {kind}", f"add (declare-{kind} …)")
        self._check_relation(network)
        self.networks.append(network)
        return self.expect_close(opener, position, "a network holds declarations only", "remove this")

    def _relation(self, opener: int, name: str) -> tuple[tuple[str, str], int]:
        word, other = self.tokens[opener + 1], self.tokens[opener + 2]
        if other in ("(", ")", END):
            self._malformed(opener, f"({word} N)")
        known = {n.name: n for n in self.networks}
        if other not in known:
            fix = "name a network that is declared before" + (f": {', '.join(known)}" if known else "")
            self.fail("E218", opener + 2, f"network {name!r} is {word} {other!r}, which is not declared before it", fix)
        if known[other].relation is not None:
            first = known[other].relation
            assert first is not None
            self.fail("E218", opener + 2, f"{other!r} is itself {first[0]} {first[1]!r}", f"write ({word} {first[1]})")
        return (word, other), self.expect_close(opener, opener + 3, f"{word} takes one network", "remove this")

    def _check_relation(self, network: Declaration) -> None:
        """Related networks declare the same tensors; their names and, but for equal ones, their types may differ."""
        if network.relation is None:
            return
        word, other = network.relation
        known = next(n for n in self.networks if n.name == other)
        for kind in ("input", "output"):
            mine, theirs = ([t.shape for t in n.of_kind(kind)] for n in (network, known))
            if mine != theirs:
                problem = f"network {network.name!r} is {word} {other!r}, but declares other {kind} shapes"
                self.fail("E218", network.token, problem, f"declare {kind}s of shapes {_shapes(theirs)}")

    def _tensor(self, opener: int) -> tuple[Tensor, int]:
        kind = TENSORS[self.tokens[opener + 1]]
        form = f"({self.tokens[opener + 1]} X float32 [1,2]" + (' "node")' if kind == "hidden" else ")")
        name = self._new_name(opener, opener + 2, form)
        element_type, shape_token = self.tokens[opener + 3], self.tokens[opener + 4]
        if element_type.endswith("]") and element_type[0] != "[":  # an unknown type, taken for a tensor's name
            element_type, shape_token = element_type.partition("[")[0].rstrip(), "[]"
        if element_type in ("(", ")", END) or not shape_token.startswith("["):
            self._malformed(opener, form)
        if element_type not in TYPES:
            known = f"use one of {', '.join(TYPES[:-1])}"
            self.fail("E216", opener + 3, f"{name} has unknown element type {element_type!r}", known)
        shape = self._integers(opener + 4, shape_token[1:-1])
        if 0 in shape:
            self.fail("E217", opener + 4, f"{name} has no elements", "give positive extents")
        position, onnx_name, initialized = opener + 5, None, False
        while self.tokens[position] not in (")", "(", END):
            token = self.tokens[position]
            if token == "initialized" and kind == "input" and not initialized:
                initialized = True
            elif token.startswith('"') and len(token) > 1 and onnx_name is None:
                onnx_name = re.sub(r"\\(.)", lambda m: {"n": "\n", "t": "\t"}.get(m[1], m[1]), token[1:-1])
            else:
                fix = "close the quotation" if token == '"' else "remove it"
                self.fail("E205", position, f"unexpected {token} in the declaration of {name}", fix)
            position += 1
        if kind == "hidden" and onnx_name is None:
            self.fail("E205", opener, f"hidden {name} needs the name of its node", f"write {form}")
        side = "input" if kind == "input" else "output"
        tensor = Tensor(kind, name, element_type, shape, onnx_name, initialized, self._sizes[side], opener)
        self._sizes[side] += tensor.size
        if self._sizes[side] > MAX_ELEMENTS:
            self.fail("E214", opener, f"more than {MAX_ELEMENTS} elements", "declare smaller tensors")
        self.names[name] = tensor
        if not shape:
            self.declare(name, tensor.first, is_input=kind == "input")
        return tensor, self.expect_close(opener, position, "a declaration ends after its shape", "remove this")

    def _new_name(self, opener: int, position: int, form: str) -> str:
        name = self.tokens[position]
        if name in ("(", ")", END) or name.endswith("]"):
            self._malformed(opener, form)
        if not NAME.fullmatch(name):
            self.fail("E205", position, f"{name!r} is no name", "begin with a letter; use letters, digits and _")
        if name in self.names:
            self.fail("E207", position, f"{name} is declared twice", "names are unique in the whole file: rename one")
        return name

    def _malformed(self, opener: int, form: str) -> NoReturn:
        if self.source.closing(opener) == opener:
            self.never_closed(opener)
        self.fail("E205", opener, "malformed declaration", f"write {form}")

    def _integers(self, position: int, text: str) -> tuple[int, ...]:
        if not text.strip():
            return ()
        parts = [p.strip() for p in text.split(",")]
        wrong = next((p for p in parts if not NUMBER.fullmatch(p)), None)
        if wrong is not None:
            self.fail("E217", position, f"{wrong!r} is no extent or index", "write integers, such as [1,2]")
        return tuple(map(int, parts))

    # -- variables -----------------------------------------------------------------------------------------------

    def resolve(self, token: str, position: int) -> Linear | None:
        match = ELEMENT.fullmatch(token)
        if match is None:
            return None
        tensor = self.names.get(match[1])
        if tensor is None:
            return None
        index = self._integers(position, match[2])
        extents = list(tensor.shape)
        if len(index) != len(extents):
            fix = f"write {next(tensor.element_names())}"
            many = f"{len(index)} {'index' if len(index) == 1 else 'indices'}"
            self.fail("E217", position, f"{token} has {many}, but {tensor.name} has shape {extents}", fix)
        number = 0
        for place, extent in zip(index, extents, strict=True):
            if place >= extent:
                fix = "indices count from 0"
                self.fail("E217", position, f"{token} is outside {tensor.name}, whose shape is {extents}", fix)
            number = number * extent + place
        return self.declare(token, tensor.first + number, is_input=tensor.kind == "input")

    def unknown(self, token: str, position: int) -> NoReturn:
        name = token.partition("[")[0].rstrip()
        tensor = self.names.get(name)
        if tensor is not None:
            fix = f"write an element, such as {next(tensor.element_names())}"
            self.fail("E206", position, f"{name} is a tensor of shape {list(tensor.shape)}", fix)
        known = [n for n, t in self.names.items() if t is not None]
        shown = ", ".join(known[:8]) + (", …" if len(known) > 8 else "")
        fix = f"declared are: {shown}" if known else "declare networks before asserts"
        what = "a network, not a tensor" if name in self.names else "not declared"
        self.fail("E206", position, f"{token!r} is {what}", fix)


def _shapes(shapes: list[tuple[int, ...]]) -> str:
    return ", ".join(str(list(s)) for s in shapes)
