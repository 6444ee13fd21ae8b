"""Text to syntax tree."""

from __future__ import annotations

from typing import Any

from lark import Token, Tree
from lark.exceptions import UnexpectedInput

from verify.errors import Place
from verify.spec.build import Builder
from verify.spec.codes import error
from verify.spec.source import Source
from verify.spec.syntax import SpecFile
from verify.spec.syntax_errors import check_brackets, explain
from verify.spec.tables import parser

MAX_DEPTH = 100  # of nested expressions, so that the recursive passes stay far from Python's limit


def parse_text(text: str, file: str) -> SpecFile:
    """The syntax tree of a .nnspec file.  Raises SpecError E301-E305, E307 with the place."""
    source = Source(text.removeprefix("\ufeff"), file)
    try:
        tree = parser().parse(source.text)
    except UnexpectedInput as problem:
        check_brackets(source, problem)
        raise explain(source, problem) from None
    _check_depth(tree, source)
    spec = SpecFile(file, Builder(source).items(tree))
    if not spec.properties:
        raise error("E307", Place(file), "the file states no property", "add `property NAME { forall … assert … }`")
    return spec


def _check_depth(tree: Tree[Token], source: Source) -> None:
    stack: list[tuple[Any, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if depth > MAX_DEPTH:
            raise error(
                "E304",
                source.place(node.meta.start_pos, node.meta.start_pos + 1),
                f"nested more than {MAX_DEPTH} levels deep",
                "name parts with `let` or `define`",
            )
        stack.extend((child, depth + 1) for child in node.children if isinstance(child, Tree))
