"""The canonical layout of a .nnspec file; comments, and line breaks inside a statement, stay where they are.

One declaration, field line or statement per line, two spaces of indent in a block, four more where a statement goes
on; the columns of neighbouring field lines are aligned.  Only white space changes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from lark import Token, Tree

from verify.errors import DefectError
from verify.spec.parse import parse_text
from verify.spec.tables import parser

_TOKEN = re.compile(
    r'#[^\n]*|"[^"\n]*"|\d+\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+|\w+|\.\.|=>|[<>=!]=|[^\s\w]', re.ASCII
)
_STARTERS = {
    "unit_decl", "const_decl", "param_decl", "dataset_decl", "network_decl", "system_decl", "define_decl",
    "property_decl", "input_item", "output_item", "hidden_item", "state_item", "disturb_item", "next_item",
    "attribute", "quant_stmt", "let_stmt", "assume_stmt", "assert_stmt",
}  # fmt: skip
_BLOCKS = {"network_decl", "system_decl", "property_decl"}
_FIELDS = {"input_item", "output_item", "state_item"}


@dataclass
class _Line:
    kind: str  # the grammar rule that starts it, "comment", "}" or "" where a statement goes on
    indent: int
    tokens: list[tuple[int, str]] = field(default_factory=list)  # (offset, text), without the trailing comment
    remark: str = ""
    blank: bool = False  # whether a blank line stands before it


@dataclass(frozen=True)
class _Shape:
    """Offsets in the text at which the tree says what a token is."""

    starts: dict[int, str]
    units: dict[int, tuple[int, bool]]  # of `[`: where the unit ends, whether it belongs to a number
    spaced: set[int]  # of `[` and `(` that are set off from what is before
    signs: set[int]  # of a minus that negates
    parameters: set[int]  # where the names of a definition's parameters end
    braces: set[int]  # of `{` that open a set, not a block


def format_text(text: str, file: str) -> str:
    """`text` in canonical layout.  Raises SpecError where it does not parse."""
    text = text.removeprefix("\ufeff").replace("\r\n", "\n")
    parse_text(text, file)
    shape = _shape(parser().parse(text))
    lines = _lines(text, shape)
    _space_blocks(lines)
    result = "".join(_render(lines, shape))
    if _TOKEN.findall(result) != [t.rstrip() for t in _TOKEN.findall(text)]:
        raise DefectError("E902", f"the formatter would change {file}, not only its layout")
    return result


def _shape(tree: Tree[Token]) -> _Shape:
    shape = _Shape({}, {}, set(), set(), set(), set())
    attributes = []
    for node in tree.iter_subtrees():
        if not node.meta.empty:
            _note(node, shape)
        if node.data == "attribute":
            attributes.append(node.meta.start_pos)
    shape.starts.update(dict.fromkeys(attributes, "attribute"))  # not the property, which starts at the same place
    return shape


def _note(node: Tree[Token], shape: _Shape) -> None:
    start = node.meta.start_pos
    if node.data in _STARTERS:
        shape.starts[start] = node.data
    elif node.data in ("interval", "parens"):
        shape.spaced.add(start)
    elif node.data in ("choices", "exceptions"):
        shape.braces.add(start)
    elif node.data == "neg":
        shape.signs.add(start)
    elif node.data == "unit":
        shape.units[start] = (node.meta.end_pos, False)
    elif node.data == "parameter":
        shape.parameters.add(node.children[0].end_pos)  # type: ignore[union-attr,arg-type]
    if node.data == "literal" and len(node.children) == 2:
        unit = node.children[1]
        assert isinstance(unit, Tree)
        shape.units[unit.meta.start_pos] = (unit.meta.end_pos, True)


def _lines(text: str, shape: _Shape) -> list[_Line]:
    lines: list[_Line] = []
    depth, end, previous = 0, 0, ""
    after_brace = marked = False
    for match in _TOKEN.finditer(text):
        token, at = match.group().rstrip(), match.start()
        gap = text[end:at]
        end = match.end()
        kind = shape.starts.get(at)
        if token == "property" and kind is None and marked:
            kind = "property_decl"  # its place in the tree begins with its attributes
        if token[0] == "#":
            if lines and "\n" not in gap and not lines[-1].remark and lines[-1].kind != "comment":
                lines[-1].remark = token
            else:
                lines.append(_Line("comment", depth, [(at, token)], blank=gap.count("\n") > 1))
            previous = "#"
            continue
        block_end = token == "}" and depth > 0 and not _open_set(lines, shape)
        if block_end:
            depth -= 1
            if after_brace and previous == "{":
                lines[-1].tokens.append((at, token))
            else:
                lines.append(_Line("}", depth, [(at, token)]))
        elif kind == "unit_decl" and _joins(lines, gap):
            lines[-1].tokens.append((at, token))
        elif kind is not None or not lines or previous == "block end":
            lines.append(_Line(kind or "", depth, [(at, token)], blank=gap.count("\n") > 1))
        elif "\n" in gap or previous == "#":
            lines.append(_Line("", depth + 2, [(at, token)]))
        else:
            lines[-1].tokens.append((at, token))
        after_brace = token == "{" and at not in shape.braces
        depth += after_brace
        previous = "block end" if block_end else token
        marked = lines[-1].kind == "attribute"
    for line, following in zip(reversed(lines[:-1]), reversed(lines[1:]), strict=True):
        if line.kind == "comment" and following.kind in ("", "comment") and following.indent > line.indent:
            line.indent, line.blank = following.indent, False  # inside a statement
    return lines


def _open_set(lines: Sequence[_Line], shape: _Shape) -> bool:
    """Whether a `}` here closes a set `{a, b}` that began in the statement at hand."""
    depth = 0
    for line in reversed(lines):
        for at, token in reversed(line.tokens):
            depth += {"}": 1, "{": -1}.get(token, 0)
            if depth < 0:
                return at in shape.braces
        if line.kind not in ("", "comment"):
            return False
    return False


def _joins(lines: Sequence[_Line], gap: str) -> bool:
    """Whether a unit stays on the line of the base units before it."""
    last = lines[-1] if lines else None
    if last is None or last.remark:
        return False
    return last.kind == "unit_decl" and "\n" not in gap and all(t != "=" for _, t in last.tokens)


def _space_blocks(lines: list[_Line]) -> None:
    """One blank line around every block with what belongs to it, none just inside."""
    for number, line in enumerate(lines):
        if line.kind in _BLOCKS and line.indent == 0:
            first = number
            while first and lines[first - 1].kind in ("attribute", "comment") and not lines[first].blank:
                first -= 1
            lines[first].blank = True
        if number and lines[number - 1].indent == 0 and lines[number - 1].tokens[-1][1] == "}":
            line.blank = True
    for number, line in enumerate(lines):
        opened = number and lines[number - 1].tokens[-1][1] == "{" and lines[number - 1].kind in _BLOCKS
        if number == 0 or opened or line.kind == "}":
            line.blank = False


def _render(lines: Sequence[_Line], shape: _Shape) -> Iterator[str]:
    for _, run in groupby(range(len(lines)), key=lambda k: _run_of(lines, k)):
        numbers = list(run)
        texts = _aligned([lines[k] for k in numbers], shape)
        for line, text in zip((lines[k] for k in numbers), texts, strict=True):
            remark = f"  {line.remark}" if line.remark else ""
            yield ("\n" if line.blank else "") + "  " * line.indent + text + remark + "\n"


def _run_of(lines: Sequence[_Line], number: int) -> object:
    """Neighbouring field lines of one kind are one run; any other line is a run of its own."""
    line = lines[number]
    goes_on = number + 1 < len(lines) and lines[number + 1].kind == ""
    if line.kind not in _FIELDS or goes_on:
        return number
    first = number
    while first and lines[first - 1].kind == line.kind and not lines[first].blank:
        first -= 1
    return (line.kind, first)


def _aligned(lines: Sequence[_Line], shape: _Shape) -> list[str]:
    if lines[0].kind not in _FIELDS:
        return [_join(line.tokens, shape) for line in lines]
    rows = [_columns(line, shape) for line in lines]
    widths = [max(len(row[k]) for row in rows) for k in range(4)]
    result = []
    for row in rows:
        text = ""
        for cell, width in zip(row, widths, strict=True):
            text += cell.ljust(width) if width else ""
        result.append(text.rstrip())
    return result


def _columns(line: _Line, shape: _Shape) -> list[str]:
    """A field line as names, unit, range and `raw = …`, each with the gap before it."""
    cuts: list[list[tuple[int, str]]] = [[], [], [], []]
    column = depth = 0
    for at, token in line.tokens:
        if depth == 0 and column < 1 and at in shape.units:
            column = 1
        elif depth == 0 and column < 2 and token == "in" and cuts[0][1:]:
            column = 2
        elif depth == 0 and column < 3 and token == "raw" and cuts[0][1:] and cuts[column][-1][1] != ",":
            column = 3
        depth += {"[": 1, "(": 1, "]": -1, ")": -1}.get(token, 0)
        cuts[column].append((at, token))
    gaps = ["", " ", " ", "  "]
    return [gap + _join(cut, shape) if cut else "" for gap, cut in zip(gaps, cuts, strict=True)]


def _join(tokens: Sequence[tuple[int, str]], shape: _Shape) -> str:
    text, before, at_before, inside = "", "", -1, -1
    fractions = {k for k in range(1, len(tokens) - 1) if _is_fraction([t for _, t in tokens[k - 1 : k + 2]])}
    for number, (at, token) in enumerate(tokens):
        in_unit = at < inside
        if at in shape.units:
            inside = shape.units[at][0]
        if text and token == "unit" and shape.starts.get(at) == "unit_decl":
            text += "   "
        elif (
            text and not in_unit and not {number, number - 1} & fractions and _gap(before, at_before, token, at, shape)
        ):
            text += " "
        text += token
        before, at_before = token, at
    return text


def _is_fraction(tokens: Sequence[str]) -> bool:
    """1/100 is written as one number."""
    return tokens[1] == "/" and tokens[0].isdigit() and tokens[2].isdigit()


def _gap(before: str, at_before: int, token: str, at: int, shape: _Shape) -> bool:
    if before in ("(", "[", ".", "..", "@") or token in (")", "]", ",", ".", ".."):
        return False
    if before == "{":
        return at_before not in shape.braces and token != "}"
    if token == "}" or at_before in shape.signs or (token == ":" and at_before + len(before) in shape.parameters):
        return False
    if token == "[":
        return at in shape.spaced or (at in shape.units and not shape.units[at][1])
    return token != "(" or at in shape.spaced
