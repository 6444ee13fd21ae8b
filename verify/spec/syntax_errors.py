"""Syntax errors in human words."""

from __future__ import annotations

import difflib
import re
from collections import deque
from collections.abc import Iterator

from lark.exceptions import UnexpectedInput, UnexpectedToken

from verify.errors import Mark, Place, SpecError
from verify.spec.codes import error
from verify.spec.source import Source

_CLOSER = {"(": ")", "[": "]", "{": "}"}
_OPENER = {v: k for k, v in _CLOSER.items()}
_TOKEN = re.compile(r'#[^\n]*|"[^"\n]*"|[()\[\]{}]|@?[A-Za-z_]\w*|.', re.DOTALL)
_PLAIN_TOKEN = re.compile(r'#[^\n]*|"[^"\n]*"|\w+|[<>=!]=|=>|\.\.|[^\w\s]')
_TAIL = 200  # characters looked back for a number: a search to the end of a text is quadratic without a limit
DECLARATION = {"unit", "const", "param", "dataset", "network", "system", "define", "property"}
_STATEMENT = {"forall", "exists", "let", "assume", "assert"}
_WORDS = {
    "NAME": "a name", "STRING": 'a text in "…"', "INT": "a whole number", "NUMBER": "a number", "LPAR": "`(`",
    "RPAR": "`)`", "LSQB": "`[`", "RSQB": "`]`", "LBRACE": "`{`", "RBRACE": "`}`", "COMMA": "`,`", "COLON": "`:`",
    "EQUAL": "`=`", "DOT": "`.`", "AT": "`@`", "CMP": "a comparison", "ADD": "`+` or `-`", "MUL": "`*` or `/`",
    "MINUS": "`-`", "CIRCUMFLEX": "`^`", "SLASH": "`/`", "QUANTIFIER": "`forall` or `exists`",
    "WHICH": "`all` or `any`", "$END": "the end of the file",
}  # fmt: skip
_EXPRESSION = {"NAME", "INT", "NUMBER", "LPAR", "MINUS", "TRUE", "FALSE", "_NOT", "_IF", "WHICH", "_SAME"}
_OPERATOR = {"CMP", "ADD", "MUL", "_AND", "_OR", "_IS", "_MAY", "LPAR", "LSQB", "DOT"}
_LIKELY = {"^": "only units have powers, 1[m^2]; a product of two unknown quantities is not linear"}
_SYMBOLS = {
    "≤": "write `<=`", "≥": "write `>=`", "≠": "write `!=`", "&": "write `and`", "|": "write `or`, or abs(x)",
    "!": "write `not`, or `!=` for unequal", "∧": "write `and`", "∨": "write `or`", "¬": "write `not`",
    "'": 'texts are written in "…"', '"': "a text ends on its line, with another `\"`",
    ";": "statements need no separator; comments start with `#`", "−": "write `-`", "·": "write `*`",
    "°": "declare a unit, for example `unit deg`",
}  # fmt: skip


def check_brackets(source: Source, problem: UnexpectedInput) -> None:
    """Raise E302 or E303 when the brackets before the problem explain it."""
    at = _position(source, problem)
    stack: list[tuple[str, int]] = []
    for match in _TOKEN.finditer(source.text):
        text, start = match.group(), match.start()
        if start > at:
            break
        if text in _CLOSER and start < at:
            stack.append((text, start))
        elif text in _OPENER:
            block = not stack or (stack[-1][0] == "{" and not _opens_set(source.text, stack[-1][1]))
            if not stack or (block and _OPENER[text] not in (o for o, _ in stack)):
                raise error("E303", source.place(start, start + 1), f"`{text}` closes nothing", f"remove `{text}`")
            opener, opened = stack[-1]
            if opener == _OPENER[text]:
                if start < at:
                    stack.pop()
            elif start == at:
                raise _unclosed(source, opener, opened, start)
    if stack and _ends_bracket(source.text, at, stack[-1][0]):
        raise _unclosed(source, *stack[-1])


def _ends_bracket(text: str, at: int, opener: str) -> bool:
    """Whether what stands at `at` can only follow a closed bracket."""
    if not text[at:].strip():
        return True
    match = re.compile(r"\w+").match(text, at)
    word = match.group() if match else text[at]
    if opener == "{":
        return word in DECLARATION
    return word in DECLARATION | _STATEMENT


def _opens_set(text: str, at: int) -> bool:
    """Whether the `{` there begins a set of values, not a block."""
    return re.search(r"(\b(in|except)|:)\s*$", text[max(0, at - 100) : at]) is not None


def _unclosed(source: Source, opener: str, opened: int, wrong: int | None = None) -> SpecError:
    """E302; `wrong` is where another bracket stands than the one that would close it."""
    closer, place = _CLOSER[opener], source.place(opened, opened + 1)
    if wrong is None or "\n" in source.text[opened:wrong]:
        return error("E302", place, f"this `{opener}` is never closed", f"add `{closer}`")
    found = source.text[wrong]
    mark = Mark(source.place(wrong, wrong + 1), f"`{closer}` is needed before this")
    return error("E302", place, f"this `{opener}` is not closed before `{found}`", f"write `{closer}`", also=[mark])


def explain(source: Source, problem: UnexpectedInput) -> SpecError:
    """E301 with what was found, what was expected, and a likely fix."""
    at = _position(source, problem)
    if isinstance(problem, UnexpectedToken):
        found, expected = str(problem.token), set(problem.accepts or problem.expected)
    else:
        found, expected = source.text[at : at + 1], set(getattr(problem, "allowed", None) or ())
    missing = _swallowed_keyword(source, at, expected) or _missing_operand(source, at, expected)
    if missing is not None and not _symbol_fix(source, at, found):
        return error("E301", *missing)
    message = f"unexpected {_shown(found) if found and not _at_end(problem) else 'end of the file'}"
    if _symbol_fix(source, at, found):
        return error("E301", source.place(at, at + max(1, len(found))), message, _symbol_fix(source, at, found))
    wanted = list(_human(expected))
    if wanted:
        message += f"; expected {', '.join(wanted[:-1])}{' or ' * (len(wanted) > 1)}{wanted[-1]}"
    end = at + (0 if _at_end(problem) else len(found))
    return error("E301", source.place(at, max(end, at + 1)), message, _fix(source, at, found, expected))


def _swallowed_keyword(source: Source, at: int, expected: set[str]) -> tuple[Place, str, str] | None:
    """Place, message and fix when a keyword just before `at` was read as a name because an operand was missing."""
    *_, before, last = (None, None, *_tokens_before(source.text, at))
    if before is None or last is None or "CMP" not in expected or last.group() not in DECLARATION | _STATEMENT:
        return None
    message = f"an expression is missing after {_shown(before.group())}"
    return source.place(*before.span()), message, f"`{last.group()}` already starts the next statement"


def _missing_operand(source: Source, at: int, expected: set[str]) -> tuple[Place, str, str] | None:
    """Place, message and fix when an operator or keyword has nothing after it."""
    if "NUMBER" not in expected or not re.compile(r"\s*($|[)\]},])").match(source.text, at):
        return None
    *_, before = (None, *_tokens_before(source.text, at))
    if before is None:
        return None
    message = f"an expression is missing after {_shown(before.group())}"
    return source.place(*before.span()), message, "write a number, a name or a condition there"


def _tokens_before(text: str, at: int) -> list[re.Match[str]]:
    """The last two tokens that are neither white space nor comment."""
    found = (m for m in _PLAIN_TOKEN.finditer(text, 0, at) if m.group()[0] != "#")
    return list(deque(found, maxlen=2))


def _shown(found: str) -> str:
    """A token in backquotes; a character that would not be seen by its number."""
    if len(found) == 1 and not (found.isprintable() and found.strip()):
        return f"character U+{ord(found):04X}"
    return f"`{found if len(found) <= 40 else found[:39] + '…'}`"


def _at_end(problem: UnexpectedInput) -> bool:
    return isinstance(problem, UnexpectedToken) and problem.token.type == "$END"


def _position(source: Source, problem: UnexpectedInput) -> int:
    if _at_end(problem):
        return len(source.text.rstrip())
    position = problem.pos_in_stream
    return len(source.text) if position is None else position


def _symbol_fix(source: Source, at: int, found: str) -> str:
    if found == "=" and source.text[at - 1 : at] not in ("<", ">"):
        return "`==` compares; `=` declares" if source.text[at + 1 : at + 2] != ">" else ""
    if found == "." and source.text[at + 1 : at + 2].isdigit():
        return "write a digit before the point, for example 0.5"
    if source.text[at : at + 2] == "//":
        return "comments start with `#`"
    if found == ">" and source.text[at - 1 : at] == "-":
        return "implication is `=>`"
    if source.text[at : at + 2] in ("&&", "||"):
        return "write `and`" if found == "&" else "write `or`"
    return _SYMBOLS.get(found, "")


def _human(expected: set[str]) -> Iterator[str]:
    rest = set(expected)
    if {"NAME", "NUMBER", "LPAR"} <= rest:
        rest -= _EXPRESSION
        yield "an expression"
    if {"CMP", "ADD", "MUL"} <= rest:
        rest -= _OPERATOR | {"EQUAL", "__ANON_0", "__ANON_1"}
        yield "an operator"
    yield from sorted(_describe(w) for w in rest if not w.startswith("__"))


def _describe(terminal: str) -> str:
    if terminal in _WORDS:
        return _WORDS[terminal]
    return f"`{terminal.strip('_').lower()}`"


def _fix(source: Source, at: int, found: str, expected: set[str]) -> str:
    before = source.text[max(0, at - _TAIL) : at].rstrip()
    number = re.search(r"(?<![\w\]])[\d.]+(?:[eE][+-]?\d+)?$", before)
    if number and re.fullmatch(r"[A-Za-z]\w*", found):
        return f"a unit stands in brackets: {number.group()}[{found}]"
    keywords = [t.strip("_").lower() for t in expected if t.startswith("_") and not t.startswith("__")]
    keywords += ["forall", "exists"] if "QUANTIFIER" in expected else []
    inner = re.search(r"\b(all|any|if)$", before)
    if inner:
        return f"`{inner[1]}` inside an expression stands in parentheses: ({inner[1]} …)"
    near = difflib.get_close_matches(found.lower(), keywords, n=1, cutoff=0.7)
    if near:
        return f"did you mean `{near[0]}`?"
    if not (found.isprintable() and found.strip()):
        return "remove this character"
    if expected == {"NAME"}:
        return "give it a name first"
    if expected == {"COMMA", "COLON"}:
        return "a domain comes first: forall s : NETWORK.input"
    if {"NAME", "NUMBER"} <= expected:
        return "write a number, a name or a condition there"
    return _LIKELY.get(found, "write one of these, or remove it")
