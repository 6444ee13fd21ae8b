"""Suggestions for misspelt names."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean …?`, or "" when nothing is near."""
    names = list(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if not near:
        near = [n for n in names if n.lower() == name.lower()][:1]
    return f"did you mean `{near[0]}`?" if near else ""


def one_of(known: Iterable[str], limit: int = 12) -> str:
    """ "`a`, `b` and `c`", shortened."""
    names = [f"`{n}`" for n in known]
    if len(names) > limit:
        return ", ".join(names[:limit]) + f" and {len(names) - limit} more"
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else "".join(names) or "none"
