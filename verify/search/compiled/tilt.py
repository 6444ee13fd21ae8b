"""Closing a box by slopes of its own, compiled: lower lines of unstable ReLUs are tilted until a row is positive.

relu(z) >= α z for every α in [0, 1].  `relax` takes 0 or 1, whichever leaves the smaller area; for a row that is nearly
closed, others close it, which saves all the boxes below.  α is improved by a few steps of ascent on the row's bound,
which `dual_bound` makes rigorous for any α.  Source: Xu et al., ICLR 2021 (α-CROWN).
"""

from __future__ import annotations

import numpy as np

from verify.search.compiled.dual import dual_bound, improve_slope, primal_values
from verify.search.compiled.layout import (
    CASE_LENGTH,
    CASE_ROWS,
    CASES,
    LOG,
    LOG_SLOPES,
    LOG_USED,
    MASK,
    META,
    SLOPE_UNITS,
)
from verify.search.compiled.log import WEIGHTED, log, log_number
from verify.search.compiled.system import SHAKY, compiled

STEPS = 6
CLEAR = 2.0**-5  # of what was missing at first: the kernel's bounds may be a little worse
ONE = np.int64(1)  # typed: Numba compiles a function anew for every literal it is called with


@compiled
def default_slope(F, relaxations, j):
    return 1.0 if F[relaxations + 4 * j + 1] > 0.0 else 0.0


@compiled
def best_row(F, P, system, unstable, case, row_bounds):
    """The place in P of the case's row with the best bound, of those that slopes can improve; -1 where none can."""
    best, place = -1e308, -ONE
    for m in range(P[CASE_LENGTH]):
        r = P[P[CASE_ROWS] + case * P[CASE_LENGTH] + m]
        meta = system + META * (unstable + r)
        if F[meta + 2] > F[meta + 1] and F[row_bounds + 3 * r] > best:
            best, place = F[row_bounds + 3 * r], P[CASE_ROWS] + case * P[CASE_LENGTH] + m
    return place


@compiled
def tilt(F, P, system, d, unstable, row, x, spare, at):
    """Whether slopes are found at which the row, a place in P, is clearly positive on the box; they stay at `at`."""
    relaxations, alphas, coefficients = at[1], at[4], at[7]
    history, z = spare, spare + unstable
    for j in range(unstable):
        F[alphas + j], F[history + j] = default_slope(F, relaxations, j), 0.0
    bound = dual_bound(F, P, system, d, unstable, unstable, row, ONE, at)
    clear = max(-bound * CLEAR, 0.0)
    for _ in range(STEPS):
        primal_values(F, system, d, unstable, unstable, x, z, at)
        for j in range(unstable):
            t = F[coefficients + j]
            if t > 0.0 and F[relaxations + 4 * j] == SHAKY:
                improve_slope(F, alphas + j, history + j, t * F[z + j])
        if dual_bound(F, P, system, d, unstable, unstable, row, ONE, at) > clear:
            return True
    return False


@compiled
def log_slopes(F, P, unstable, row, numbers, at):
    """A row and the slopes that close it, where they play a part and are not the kernel's own."""
    relaxations, alphas, coefficients = at[1], at[4], at[7]
    count = 0
    for again in range(2):
        for j in range(unstable):
            plays = F[relaxations + 4 * j] == SHAKY and F[coefficients + j] > 0.0
            if plays and F[alphas + j] != default_slope(F, relaxations, j):
                if again == 1:
                    log_number(P, np.int64(F[numbers + j]))
                    log_number(P, np.int64(F[alphas + j] * SLOPE_UNITS))
                else:
                    count += 1
        if again == 0:
            log_number(P, P[row])
            log_number(P, count)


@compiled
def closed_by_slopes(F, P, system, d, unstable, still, row_bounds, x, numbers, spare, at):
    """Close every open case so; what closes them is logged.  False, and nothing logged, when one resists.

    at: as for `dual_bound`, with weight 1 and no multipliers; spare: room for three numbers per ReLU; the system's
    j-th ReLU is number `numbers[j]` of the root's.
    """
    if 6 + still * (9 + 5 * unstable) > LOG_SLOPES:
        return False
    used = P[LOG_USED]
    log(P, WEIGHTED)
    P[LOG_USED] += 2  # room for the length of what follows
    log_number(P, still)
    for case in range(P[CASES]):
        if P[P[MASK] + case] == 1:
            row = best_row(F, P, system, unstable, case, row_bounds)
            if row < 0 or not tilt(F, P, system, d, unstable, row, x, spare, at):
                P[LOG_USED] = used
                return False
            log_number(P, case)
            log_slopes(F, P, unstable, row, numbers, at)
    length = P[LOG_USED] - used - 3
    P[P[LOG] + used + 1], P[P[LOG] + used + 2] = 128 + length % 128, length // 128
    return True
