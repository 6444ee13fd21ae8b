"""Every error of a VNN-LIB file: stable code and one-line meaning.  docs/errors.md prints this table."""

from __future__ import annotations

CODES = {
    "E201": "a parenthesis is never closed",
    "E202": "text outside of a command, or a quotation without its end",
    "E203": "an empty file, or one without an assert",
    "E204": "unknown command",
    "E205": "a malformed command",
    "E206": "unknown or undeclared variable",
    "E207": "a variable is declared twice",
    "E208": "the declared variables do not match the network",
    "E209": "unknown operator, or with a wrong number of arguments",
    "E210": "a number where a condition is needed, or the other way round",
    "E211": "a product of variables is not linear",
    "E212": "division by zero or by a variable",
    "E213": "malformed number",
    "E214": "a number or nesting that is too large",
    "E215": "VNN-LIB 2, which is not supported yet",
    "E290": "no such VNN-LIB file",
    "E291": "the VNN-LIB file cannot be read",
    "E292": "the VNN-LIB file is not UTF-8 text",
}
