"""`property … for NAME in …`: one property per value or per row of a dataset."""

from __future__ import annotations

from collections.abc import Iterator

from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.decisions import choice_values
from verify.spec.scope import BUILT_IN, Scope
from verify.spec.values import DataRow, Dataset, Label, Scalar, Value, describe

MAX_ROWS = 100_000


def sweep_values(sweep: s.Sweep, scope: Scope) -> Iterator[tuple[str, Value]]:
    """(row label, value) for each property that a sweep stands for.  Raises E311, E319, E364."""
    name = sweep.name.text
    if name in scope.declared.later or name in BUILT_IN:
        raise error("E311", sweep.name.place, f"`{name}` is already declared", "choose another name")
    if isinstance(sweep.domain, s.Choices):
        for item, value in zip(sweep.domain.items, choice_values(sweep.domain, scope), strict=True):
            constant = isinstance(value, Scalar) and value.term.is_constant
            if not constant and not isinstance(value, (Label, DataRow)):
                raise error(
                    "E364",
                    item.place,
                    f"`{item.text}` is {describe(value)}, not one value to sweep over",
                    "write numbers or labels",
                )
            yield item.text, value
        return
    found = None if isinstance(sweep.domain, s.Interval) else scope.evaluate(sweep.domain)
    if not isinstance(found, Dataset):
        raise error(
            "E364",
            sweep.domain.place,
            f"`{sweep.domain.text}` cannot be swept over",
            "write {0.01, 0.02} or the name of a dataset; a range of numbers is quantified: forall e : [0, 1]",
        )
    for row in found.rows:
        yield str(row.number), row
