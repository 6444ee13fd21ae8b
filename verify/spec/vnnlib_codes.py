"""Every error of a VNN-LIB file: stable code and one-line meaning.  docs/errors.md prints this table."""

from __future__ import annotations

CODES = {
    "E201": "a parenthesis is never closed",
    "E202": "text outside of commands, or a quotation without an end",
    "E203": "nothing to decide: no network, or no assert",
    "E204": "unknown command",
    "E205": "a malformed command or declaration",
    "E206": "an unknown or undeclared variable",
    "E207": "a name is declared twice",
    "E208": "the declarations do not fit the model",
    "E209": "an unknown operator, or a wrong number of arguments",
    "E210": "a condition where a number belongs, or a number where a condition does",
    "E211": "a product of variables",
    "E212": "division by zero or by a variable",
    "E213": "a malformed number",
    "E214": "too large: a number, a nesting, the declared tensors",
    "E215": "a version of VNN-LIB that is not supported here",
    "E216": "an unknown element type",
    "E217": "an index or a shape that does not fit",
    "E218": "`equal-to` or `isomorphic-to` that cannot be",
    "E219": "a hidden node that the model does not have",
    "E220": "element types that clash, or a float type under --strict-types",
    "E221": "models that are not isomorphic, though the file says so",
    "E290": "no such file",
    "E291": "the file cannot be read",
    "E292": "the file is no UTF-8 text",
}
