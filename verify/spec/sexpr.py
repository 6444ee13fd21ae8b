"""S-expression tokens of a text, where each one stands, and exact decimal literals.

Positions are worked out only when an error needs one: files of several megabytes are read in one regular
expression pass, and a token is known by its number.
"""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cached_property

from verify.errors import Place

TOKEN = re.compile(r'[()]|[^\s()";|]+|;[^\n\r]*|"[^"]*"|\|[^|]*\||["|]')
END = ""  # after the last token
PADDING = (END,) * 8  # lets a reader look ahead without a bounds check
LONGEST_SOURCE_LINE = 200


class Source:
    """The tokens of a text (comments left out), and the place of every one.

    `pattern` finds the tokens: parentheses, comments from `;` on, quotations, words.
    """

    def __init__(self, text: str, file: str, pattern: re.Pattern[str] = TOKEN) -> None:
        self.text = text.removeprefix("\ufeff")
        self.file = file
        self._pattern = pattern
        tokens = pattern.findall(self.text)
        if ";" in self.text:
            tokens = [t for t in tokens if t[0] != ";"]
        self.count = len(tokens)
        tokens.extend(PADDING)
        self.tokens: list[str] = tokens

    @cached_property
    def _offsets(self) -> list[int]:
        return [m.start() for m in self._pattern.finditer(self.text) if m.group()[0] != ";"]

    def place(self, number: int) -> Place:
        """The place of a token; of a whole list (as far as its line goes) when it is an opening parenthesis."""
        if number >= self.count:
            return Place(self.file)
        offset = self._offsets[number]
        last = self.closing(number) if self.tokens[number] == "(" else number
        end = self._offsets[last] + len(self.tokens[last])
        line_start = self.text.rfind("\n", 0, offset) + 1
        line_end = self.text.find("\n", offset)
        line_end = len(self.text) if line_end < 0 else line_end
        column = offset - line_start + 1
        source = self.text[line_start:line_end].rstrip("\r")
        width = max(1, min(end, line_start + len(source)) - offset)
        if column > LONGEST_SOURCE_LINE:
            source = ""
        elif len(source) > LONGEST_SOURCE_LINE:
            source = source[:LONGEST_SOURCE_LINE]
            width = min(width, LONGEST_SOURCE_LINE - column + 1)
        return Place(self.file, self.text.count("\n", 0, offset) + 1, column, width, source)

    def closing(self, opener: int) -> int:
        """The parenthesis that closes `opener`, or `opener` itself when nothing does."""
        depth = 0
        for number in range(opener, self.count):
            token = self.tokens[number]
            if token == "(":
                depth += 1
            elif token == ")":
                depth -= 1
                if not depth:
                    return number
        return opener

    def argument(self, opener: int, position: int) -> int:
        """The token that starts the argument number `position` (from 0, after the operator) of a list."""
        number = opener + 2
        for _ in range(position):
            number = (self.closing(number) if self.tokens[number] == "(" else number) + 1
        return number


# -- numbers ---------------------------------------------------------------------------------------------------

DECIMAL = re.compile(r"(?=[+-]?\.?[0-9])([+-]?[0-9]*)(?:\.([0-9]*))?(?:[eE]([+-]?[0-9]+))?")
MAX_DIGITS = 2000
MAX_EXPONENT = 400


def decimal(token: str) -> Fraction | None:
    """The exact value of a decimal literal; None when it is malformed or too large (`decimal_problem` says why)."""
    match = DECIMAL.fullmatch(token)
    if match is None or len(token) > MAX_DIGITS:
        return None
    whole, fraction, exponent_digits = match.groups()
    power = 0
    if exponent_digits is not None:
        power = int(exponent_digits)
        if abs(power) > MAX_EXPONENT:
            return None
    if fraction:
        power -= len(fraction)
        whole += fraction
    return Fraction(int(whole) * 10**power) if power >= 0 else Fraction(int(whole), 10**-power)


def decimal_problem(token: str) -> tuple[str, bool]:
    """Why `decimal` gave None for a token: the message, and whether the literal is merely too large."""
    shown = token if len(token) <= 40 else token[:37] + "…"
    if DECIMAL.fullmatch(token) is None:
        return f"malformed number {shown!r}", False
    if len(token) > MAX_DIGITS:
        return f"a number of more than {MAX_DIGITS} digits", True
    return f"the exponent of {shown} is beyond {MAX_EXPONENT}", True
