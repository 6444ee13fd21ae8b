"""The integer system of one region, and what is done with it: bound, tighten, substitute, clip.

Over a region's box with inputs x_k = lo_k + (hi_k - lo_k) s_k, 0 <= s_k <= 1, every ReLU j still unstable is a variable
r_j = 2^{scale} ρ_j with 0 <= ρ_j <= 1, and its pre-activation z_j = 2^{scale} ζ_j obeys, in units of 2^-P,

    |ζ_j - (c_j + Σ_k a_jk s_k + Σ_{i<j} a_ji ρ_i)|  <=  e_j,        ρ_j = max(ζ_j, 0),                     (S)

and so do the query's rows, each in a scale of its own (only their signs matter).  All numbers are integers; `>> P`
rounds down.  Rounding a coefficient of s_k >= 0 or ρ_j >= 0 down makes a lower bound smaller: that is all the rounding
there is in `lower`.  The proofs are in docs/kernel.md, section by section under the functions' names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

P = 40
ONE = 1 << P
SLOPE_BITS = 8  # slopes in hints are multiples of 2^-8
Hints = Mapping[int, int]
NO_HINTS: Hints = {}


@dataclass(frozen=True)
class Form:
    """One row of (S): coefficients over s (by input) and over ρ (by variable), zeros left out; constant; error."""

    s: dict[int, int]
    r: dict[int, int]
    constant: int
    error: int


@dataclass
class Node:
    """A subproblem: rows of the variables left (ascending) and of the query, box of s, bounds of ζ, open cases."""

    variables: dict[int, Form]
    rows: dict[int, Form]
    box_low: list[int]
    box_high: list[int]
    low: dict[int, int]
    high: dict[int, int]
    cases: tuple[int, ...]

    def child(self) -> Node:
        """A copy whose bounds can change by themselves."""
        box_low, box_high = self.box_low[:], self.box_high[:]
        return replace(self, box_low=box_low, box_high=box_high, low=dict(self.low), high=dict(self.high))


@dataclass(frozen=True)
class Bound:
    """functional >= constant + Σ form·s at every point of the node; `least` is the least value of that."""

    form: dict[int, int]
    constant: int
    least: int


def lower(node: Node, form: Form, sign: int, slopes: Hints = NO_HINTS, betas: Hints = NO_HINTS) -> Bound:
    """A lower bound of sign · form at every point the node allows.

    Hints by variable: slopes in units of 2^-SLOPE_BITS (absent: the default), β >= 0 in units of 2^-P (absent: 0).

    From the last variable to the first, t·ρ_j is replaced by q·ζ_j + shift <= t·ρ_j, and ζ_j by its row:
    ρ_j = ζ_j >= 0: any q <= t; ρ_j = 0 >= ζ_j: any q >= 0; unstable and t > 0: any 0 <= q <= t;
    unstable and t < 0: any t <= q <= 0, with the shift that both ends of [low, high] need.
    """
    s = {k: sign * a for k, a in form.s.items()}
    r = {j: sign * a for j, a in form.r.items()}
    constant, error = sign * form.constant, form.error
    for j in reversed(node.variables):
        if not (r or betas):
            break
        t, beta = r.pop(j, 0), betas.get(j, 0)
        low, high = node.low[j], node.high[j]
        if low >= 0:
            q = t - beta
        elif high <= 0:
            q = beta
        elif t >= 0:
            q = t * slopes[j] >> SLOPE_BITS if j in slopes else t if high > -low else 0
        else:
            q = -(-t * ((high << P) // (high - low)) >> P)
            constant += min(-q * low >> P, (t - q) * high >> P)
        if not q:
            continue
        source = node.variables[j]
        constant += q * source.constant >> P
        error += (abs(q) * source.error >> P) + 1
        for known, target, entries in ((s.get, s, source.s), (r.get, r, source.r)):
            for k, a in entries.items():
                target[k] = known(k, 0) + (q * a >> P)
    constant -= error
    least = constant + sum(a * (node.box_low[k] if a > 0 else node.box_high[k]) >> P for k, a in s.items())
    return Bound(s, constant, least)


def tighten(node: Node) -> bool:
    """Bound every unstable variable again, first to last; false when that shows the node to be empty."""
    for j, form in node.variables.items():
        if node.low[j] < 0 < node.high[j]:
            node.low[j], node.high[j] = narrowed(node, form, node.low[j], node.high[j])
            if node.low[j] > node.high[j]:
                return False
    return True


def narrowed(node: Node, form: Form, low: int, high: int) -> tuple[int, int]:
    """Bounds of a row, from such as hold anyway; the upper one is left where the lower one gives the phase."""
    low = max(low, lower(node, form, 1).least)
    return low, min(high, -lower(node, form, -1).least) if low < 0 else high


def add(target: tuple[dict[int, int], dict[int, int]], t: int, form: Form) -> tuple[int, int]:
    """target += t · form, rounded down; returns what that adds to the constant, and a bound on the error it makes.

    Each coefficient, times a variable in [0, 1], is off by less than one unit, and so is the constant.
    """
    error = (abs(t) * form.error >> P) + 2
    for into, entries in zip(target, (form.s, form.r), strict=True):
        for k, a in entries.items():
            total = into.get(k, 0) + (t * a >> P)
            error += 1
            if total:
                into[k] = total
            else:
                into.pop(k, None)
    return t * form.constant >> P, error


def substitute(node: Node, needed: Iterable[int]) -> None:
    """Replace the variables of known phase by their rows or by zero; drop those that no row of `needed` depends on."""
    rows = {r: node.rows[r] for r in needed}
    wanted = _dependencies(node, rows.values())
    active = [j for j in node.variables if j in wanted and node.low[j] >= 0 and node.high[j] > 0]
    kept = [j for j in node.variables if j in wanted and node.low[j] < 0 < node.high[j]]
    unstable = set(kept)
    variables = {j: _composed(node, node.variables[j], active, unstable) for j in kept}
    node.rows = {r: _composed(node, form, active, unstable) for r, form in rows.items()}
    node.variables = variables
    node.low = {j: node.low[j] for j in kept}
    node.high = {j: node.high[j] for j in kept}


def _composed(node: Node, form: Form, active: Sequence[int], unstable: set[int]) -> Form:
    s, r, constant, error = dict(form.s), dict(form.r), form.constant, form.error
    for j in reversed(active):
        t = r.pop(j, 0)
        if t:
            more, off = add((s, r), t, node.variables[j])
            constant, error = constant + more, error + off
    return Form(s, {j: a for j, a in r.items() if j in unstable}, constant, error)


def _dependencies(node: Node, rows: Iterable[Form]) -> set[int]:
    """The variables that some row depends on, through variables that are not zero."""
    wanted = {j for form in rows for j in form.r}
    for j in reversed(node.variables):
        if j in wanted and node.high[j] > 0:
            wanted.update(node.variables[j].r)
    return wanted


def clip(node: Node, bounds: Iterable[Bound]) -> bool:
    """Shrink the box to where every bound can be <= 0; false when there is no such point.

    A point with bound <= 0 has a_k s_k <= -(constant + Σ_{i≠k} min a_i s_i) for each k.
    """
    for bound in bounds:
        parts = {k: (a * (node.box_low[k] if a > 0 else node.box_high[k])) >> P for k, a in bound.form.items()}
        total = bound.constant + sum(parts.values())
        for k in sorted(parts):
            a, room = bound.form[k], parts[k] - total  # a s_k <= room
            if a > 0:
                node.box_high[k] = min(node.box_high[k], -((-room << P) // a))
            elif a < 0:
                node.box_low[k] = max(node.box_low[k], (-room << P) // -a)
            if node.box_low[k] > node.box_high[k]:
                return False
    return True
