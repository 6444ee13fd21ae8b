"""Text to syntax tree."""

from __future__ import annotations

import re
from typing import Any

from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from verify.errors import Place, SpecError, combine
from verify.spec.build import Builder
from verify.spec.codes import error
from verify.spec.recover import recover
from verify.spec.source import Source
from verify.spec.syntax import Item, SpecFile
from verify.spec.syntax_errors import check_brackets, explain
from verify.spec.tables import parser

MAX_LENGTH = 5_000_000
_BRACKET = re.compile(r'#[^\n]*|"[^"\n]*"|[()\[\]{}]')
MAX_DEPTH = 100  # of nested expressions, so that the recursive passes stay far from Python's limit


def parse_text(text: str, file: str) -> SpecFile:
    """The syntax tree of a .nnspec file.  Raises SpecError E301-E305, E307; it carries all that were found."""
    spec, errors = parse_and_recover(text, file)
    if errors:
        raise combine(errors)
    return spec


def parse_and_recover(text: str, file: str) -> tuple[SpecFile, list[SpecError]]:
    """What can be read of a .nnspec file, and every error of the rest."""
    source = Source(text.removeprefix("\ufeff"), file)
    try:
        _check_limits(source)
        spec = SpecFile(file, _items(source))
    except SpecError as problem:
        if problem.code in ("E304", "E309"):
            return SpecFile(file, ()), [problem]
        spec, errors = recover(source, _items)
        return spec, errors or [problem]
    if not spec.properties:
        fix = "add `property NAME { forall … assert … }`"
        return spec, [error("E307", Place(file), "the file states no property", fix)]
    return spec, []


def _items(source: Source) -> tuple[Item, ...]:
    try:
        tree = parser().parse(source.text)
    except UnexpectedInput as problem:
        check_brackets(source, problem)
        raise explain(source, problem) from None
    _check_depth(tree, source)
    return Builder(source).items(tree)


def _check_limits(source: Source) -> None:
    """Refuse what would take long to parse only to be refused then."""
    if len(source.text) > MAX_LENGTH:
        fix = "split it; many rows of data belong into a file of their own"
        raise error("E309", Place(source.file), f"the file has more than {MAX_LENGTH} characters", fix)
    depth = 0
    for match in _BRACKET.finditer(source.text):
        depth += {"(": 1, "[": 1, "{": 1}.get(match.group(), -1 if match.group() in ")]}" else 0)
        if depth > MAX_DEPTH:
            raise _too_deep(source, match.start())


def _check_depth(tree: Tree[Token], source: Source) -> None:
    stack: list[tuple[Any, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise _too_deep(source, node.meta.start_pos)
        stack.extend((child, depth + 1) for child in node.children if isinstance(child, Tree))


def _too_deep(source: Source, at: int) -> SpecError:
    message = f"nested more than {MAX_DEPTH} levels deep"
    return error("E304", source.place(at, at + 1), message, "name parts with `let` or `define`")
