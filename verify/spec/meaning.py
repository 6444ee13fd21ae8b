"""The table of expression forms: syntax class -> meaning.  A new construct is one function and one row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from verify.spec import access, arithmetic, decisions
from verify.spec import syntax as s
from verify.spec.scope import Handler

_ROWS: dict[type, Any] = {
    s.Literal: arithmetic.literal,
    s.Boolean: arithmetic.boolean,
    s.Name: arithmetic.name,
    s.Negative: arithmetic.negative,
    s.Sum: arithmetic.sum_,
    s.Product: arithmetic.product,
    s.Comparison: arithmetic.comparison,
    s.Junction: arithmetic.junction,
    s.Not: arithmetic.not_,
    s.Implies: arithmetic.implies,
    s.If: arithmetic.if_,
    s.Attribute: access.attribute,
    s.Index: access.index,
    s.Call: access.call,
    s.DecisionIs: decisions.decision_is,
    s.Same: decisions.same,
    s.Finite: decisions.finite,
}
HANDLERS: Mapping[type, Handler] = _ROWS
