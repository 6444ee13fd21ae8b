"""From lark's tree to the syntax tree: one method per grammar rule, of the same name."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

from lark import Token, Tree

from verify.errors import Place, SpecError
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.source import Source

MAX_DIGITS = 1000
MAX_EXPONENT = 1000
MAX_POWER = 99


class Builder:
    """Builds syntax nodes for one source; recursion is bounded by the parser's depth check."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def items(self, tree: Tree[Token]) -> tuple[s.Item, ...]:
        return tuple(self.node(child) for child in tree.children)

    def node(self, tree: Any) -> Any:
        if isinstance(tree, Token):
            return self.token(tree)
        return getattr(self, tree.data)(tree.children, *self.span(tree))

    def token(self, token: Token) -> s.Expression:
        place, text = self.span(token)
        if token.type in ("TRUE", "FALSE"):
            return s.Boolean(place, text, token.type == "TRUE")
        return s.Name(place, text)

    def nodes(self, children: list[Any]) -> tuple[Any, ...]:
        return tuple(self.node(c) for c in children)

    def span(self, tree: Any) -> tuple[Place, str]:
        where: Any = tree if isinstance(tree, Token) else tree.meta
        start, end = where.start_pos, where.end_pos
        return self.source.place(start, end), self.source.snippet(start, end)

    def name(self, token: Any) -> s.Identifier:
        return s.Identifier(*self.span(token))

    def names(self, children: list[Any], *_: Any) -> tuple[s.Identifier, ...]:
        return tuple(self.name(c) for c in children)

    def parts(self, children: list[Any]) -> dict[str, Any]:
        """Optional parts by rule name; whatever is no such part is the trailing expression `value`."""
        known = {"names", "shape", "unit", "interval", "sweep", "parameters"}
        result: dict[str, Any] = {}
        for child in children:
            data = child.data if isinstance(child, Tree) else None
            result[data if data in known else "value"] = self.node(child)
        return result

    # --- declarations

    def unit_decl(self, c: list[Any], place: Place, text: str) -> s.UnitDecl:
        return s.UnitDecl(place, text, self.name(c[0]), self.node(c[1]) if len(c) > 1 else None)

    def const_decl(self, c: list[Any], place: Place, text: str) -> s.ConstDecl:
        return s.ConstDecl(place, text, self.name(c[0]), self.node(c[1]))

    def param_decl(self, c: list[Any], place: Place, text: str) -> s.ParamDecl:
        parts = self.parts(c[1:])
        return s.ParamDecl(place, text, self.name(c[0]), parts.get("unit"), parts.get("interval"), parts.get("value"))

    def dataset_decl(self, c: list[Any], place: Place, text: str) -> s.DatasetDecl:
        return s.DatasetDecl(place, text, self.name(c[0]), c[1][1:-1], self.name(c[2]))

    def network_decl(self, c: list[Any], place: Place, text: str) -> s.NetworkDecl:
        file = str(c[1][1:-1]) if len(c) > 1 and isinstance(c[1], Token) else None
        items = c[1:] if file is None else c[2:]
        return s.NetworkDecl(place, text, self.name(c[0]), file, self.nodes(items))

    def input_item(self, c: list[Any], place: Place, text: str) -> s.PortItem:
        return self._port("input", c, place, text)

    def output_item(self, c: list[Any], place: Place, text: str) -> s.PortItem:
        return self._port("output", c, place, text)

    def _port(self, direction: str, c: list[Any], place: Place, text: str) -> s.PortItem:
        p = self.parts(c)
        return s.PortItem(
            place, text, direction, p["names"], p.get("shape"), p.get("unit"), p.get("interval"), p.get("value")
        )

    def hidden_item(self, c: list[Any], place: Place, text: str) -> s.HiddenItem:
        return s.HiddenItem(place, text, self.name(c[0]), self.node(c[1]), c[2][1:-1])

    def shape(self, c: list[Any], place: Place, _text: str) -> tuple[int, ...]:
        return tuple(int(self.number(extent, place)) for extent in c)

    def system_decl(self, c: list[Any], place: Place, text: str) -> s.SystemDecl:
        return s.SystemDecl(place, text, self.name(c[0]), self.nodes(c[1:]))

    def state_item(self, c: list[Any], place: Place, text: str) -> s.StateItem:
        parts = self.parts(c)
        return s.StateItem(place, text, "state", parts["names"], parts.get("unit"), parts.get("interval"))

    def disturb_item(self, c: list[Any], place: Place, text: str) -> s.StateItem:
        parts = self.parts(c)
        return s.StateItem(place, text, "disturbance", parts["names"], parts.get("unit"), parts.get("interval"))

    def next_item(self, c: list[Any], place: Place, text: str) -> s.NextItem:
        return s.NextItem(place, text, self.name(c[0]), self.node(c[1]))

    def define_decl(self, c: list[Any], place: Place, text: str) -> s.DefineDecl:
        parameters = self.node(c[1]) if len(c) > 2 else ()
        return s.DefineDecl(place, text, self.name(c[0]), parameters, self.node(c[-1]))

    def parameters(self, c: list[Any], *_: Any) -> tuple[tuple[s.Identifier, s.Domain], ...]:
        return tuple((self.name(p.children[0]), self.node(p.children[1])) for p in c)

    # --- properties

    def property_decl(self, c: list[Any], place: Place, text: str) -> s.PropertyDecl:
        marks = [x for x in c if isinstance(x, Tree) and x.data == "attribute"]
        name, *rest = c[len(marks) :]
        title = ""
        if rest and isinstance(rest[0], Token):
            title = str(rest.pop(0)[1:-1])
        sweep = None
        if rest and rest[0].data == "sweep":
            sweep = self.node(rest.pop(0))
        return s.PropertyDecl(place, text, self.name(name), title, self.nodes(marks), sweep, self.nodes(rest))

    def sweep(self, c: list[Any], place: Place, text: str) -> s.Sweep:
        return s.Sweep(place, text, self.name(c[0]), self.node(c[1]))

    def attribute(self, c: list[Any], place: Place, text: str) -> s.AttributeMark:
        arguments = self.nodes([a for a in c[1].children if not _is_keyword(a)]) if len(c) > 1 else ()
        return s.AttributeMark(place, text, self.name(c[0]), arguments)

    def quant_stmt(self, c: list[Any], place: Place, text: str) -> s.Quantifier:
        return s.Quantifier(place, text, str(c[0]), self.node(c[1]), self.node(c[2]))

    def let_stmt(self, c: list[Any], place: Place, text: str) -> s.Let:
        return s.Let(place, text, self.name(c[0]), self.node(c[1]))

    def assume_stmt(self, c: list[Any], place: Place, text: str) -> s.Assume:
        return s.Assume(place, text, self.node(c[0]))

    def assert_stmt(self, c: list[Any], place: Place, text: str) -> s.Assert:
        return s.Assert(place, text, self.node(c[0]))

    # --- expressions

    def ite(self, c: list[Any], place: Place, text: str) -> s.If:
        return s.If(place, text, *self.nodes(c))

    def finite(self, c: list[Any], place: Place, text: str) -> s.Finite:
        return s.Finite(place, text, str(c[0]), self.name(c[1]), self.node(c[2]), self.node(c[3]))

    def steps(self, c: list[Any], place: Place, text: str) -> s.Steps:
        return s.Steps(place, text, *self.nodes(c))

    def choices(self, c: list[Any], place: Place, text: str) -> s.Choices:
        return s.Choices(place, text, self.nodes(c))

    def interval(self, c: list[Any], place: Place, text: str) -> s.Interval:
        return s.Interval(place, text, *self.nodes(c))

    def implies(self, c: list[Any], place: Place, text: str) -> s.Implies:
        return s.Implies(place, text, *self.nodes(c))

    def disj(self, c: list[Any], place: Place, text: str) -> s.Junction:
        return s.Junction(place, text, "or", self.nodes(c))

    def conj(self, c: list[Any], place: Place, text: str) -> s.Junction:
        return s.Junction(place, text, "and", self.nodes(c))

    def not_(self, c: list[Any], place: Place, text: str) -> s.Not:
        return s.Not(place, text, self.node(c[0]))

    def comparison(self, c: list[Any], place: Place, text: str) -> s.Comparison:
        return s.Comparison(place, text, self.nodes(c[::2]), tuple(str(o) for o in c[1::2]))

    def is_(self, c: list[Any], place: Place, text: str) -> s.DecisionIs:
        return s.DecisionIs(place, text, self.node(c[0]), "is strictly" if len(c) == 3 else "is", self.node(c[-1]))

    def may_be(self, c: list[Any], place: Place, text: str) -> s.DecisionIs:
        return s.DecisionIs(place, text, self.node(c[0]), "may be", self.node(c[1]))

    def same(self, c: list[Any], place: Place, text: str) -> s.Same:
        exceptions = self.names(c[2].children) if len(c) > 2 else ()
        return s.Same(place, text, self.node(c[0]), self.node(c[1]), exceptions)

    def sum(self, c: list[Any], place: Place, text: str) -> s.Sum:
        signs = [1, *(-1 if o == "-" else 1 for o in c[1::2])]
        return s.Sum(place, text, tuple(zip(signs, self.nodes(c[::2]), strict=True)))

    def term(self, c: list[Any], place: Place, text: str) -> s.Product:
        return s.Product(place, text, tuple(zip(["*", *map(str, c[1::2])], self.nodes(c[::2]), strict=True)))

    def neg(self, c: list[Any], place: Place, text: str) -> s.Negative:
        return s.Negative(place, text, self.node(c[0]))

    def parens(self, c: list[Any], *_: Any) -> s.Expression:
        inner: s.Expression = self.node(c[0])
        return inner

    def attr(self, c: list[Any], place: Place, text: str) -> s.Attribute:
        return s.Attribute(place, text, self.node(c[0]), self.name(c[1]))

    def index(self, c: list[Any], place: Place, text: str) -> s.Index:
        return s.Index(place, text, self.node(c[0]), self.nodes(c[1:]))

    def call(self, c: list[Any], place: Place, text: str) -> s.Call:
        arguments = c[1].children if len(c) > 1 else []
        keywords = tuple((self.name(a.children[0]), self.node(a.children[1])) for a in arguments if _is_keyword(a))
        return s.Call(place, text, self.node(c[0]), self.nodes([a for a in arguments if not _is_keyword(a)]), keywords)

    def literal(self, c: list[Any], place: Place, text: str) -> s.Literal:
        return s.Literal(place, text, self.number(c[0], place), self.node(c[1]) if len(c) > 1 else None)

    def number(self, text: str, place: Place) -> Fraction:
        _, _, exponent = text.lower().partition("e")
        if len(text) > MAX_DIGITS or abs(int(exponent or 0)) > MAX_EXPONENT:
            raise _too_long(place)
        return Fraction(str(text))

    def unit(self, c: list[Any], place: Place, text: str) -> s.UnitExpression:
        powers: list[tuple[s.Identifier, int]] = []
        rest = list(c)
        sign = 1
        if rest[0].type == "INT":
            if rest.pop(0) != "1":
                raise error("E301", place, "a unit starts with a name or with `1/`", "write for example `[1/s]`")
            if rest[0].type == "MUL":
                rest.pop(0)
            sign = -1
        powers.append((self.name(rest.pop(0)), sign * self._exponent(rest, place)))
        while rest:
            sign = -1 if rest.pop(0) == "/" else 1
            name, *exponent = rest.pop(0).children
            powers.append((self.name(name), sign * self._exponent(exponent, place)))
        return s.UnitExpression(place, text, tuple(powers))

    def _exponent(self, rest: list[Any], place: Place) -> int:
        if not rest or isinstance(rest[0], Token):
            return 1
        power = "".join(rest.pop(0).children)
        if len(power) > 3 or abs(int(power)) > MAX_POWER:
            raise _too_long(place)
        return int(power)


def _is_keyword(tree: Any) -> bool:
    return isinstance(tree, Tree) and tree.data == "keyword"


def _too_long(place: Place) -> SpecError:
    return error("E305", place, f"a number of more than {MAX_DIGITS} digits", "numbers are exact; write fewer digits")
