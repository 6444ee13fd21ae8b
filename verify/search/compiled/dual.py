"""Lagrangian bounds over one compressed system, compiled: slopes, split multipliers and row weights by ascent.

For weights γ >= 0 of a case's rows, slopes α_j in [0, 1] of the unstable ReLUs and multipliers β_j >= 0 of the ReLUs
whose phase a split has fixed, every x of the box with z_j >= 0 (or <= 0) as fixed satisfies

    Σ γ_r row_r  >=  Σ γ_r row_r - Σ_active β_j z_j + Σ_inactive β_j z_j  >=  min over the box of its backward form,

so a positive right side shows that the rows cannot all be <= 0 there.  The multipliers are any floats; none can make
the bound wrong.  Source: Wang et al., NeurIPS 2021 (β-CROWN).  Rounding as in `system`, one step more per row.
"""

from __future__ import annotations

import numpy as np

from verify.search.compiled.layout import META, SLOPE_UNITS
from verify.search.compiled.system import ACTIVE, INACTIVE, INFLATE, ROUNDOFF, add_scaled, compiled, dot


@compiled
def add_row(F, system, row, q, d, form, state):
    """form += q · row; state = (constant, error, magnitude, steps, bottom, last) is returned updated."""
    constant, error, magnitude, steps, bottom, last = state
    meta = system + META * row
    data, first, end = system + int(F[meta]), int(F[meta + 1]), int(F[meta + 2])
    size = abs(q)
    add_scaled(F, form, data, q, d)
    add_scaled(F, form + d + first, data + d, q, end - first)
    return (
        constant + q * F[meta + 3],
        error + size * F[meta + 4],
        magnitude + size * F[meta + 5],
        steps + 1,
        min(bottom, first),
        max(last, end),
    )


@compiled
def dual_bound(F, P, system, d, unstable, upto, case, length, at):
    """Lower bound of the Lagrangian over the box; leaves the linear form and each ReLU's coefficient behind.

    Row m of the case is row unstable + P[case + m] of the system and mentions only the first `upto` ReLUs; weights of
    rows that are no constraints may be negative.
    """
    form, relaxations, box, weights, alphas, betas, splits, coefficients, tiny = at
    for k in range(d + upto):
        F[form + k] = 0.0
    none = np.int64(0)  # typed: Numba compiles a callee anew for every literal
    state = (0.0, 0.0, 0.0, none, upto, none)
    for m in range(length):
        if F[weights + m] != 0.0:
            state = add_row(F, system, unstable + P[case + m], F[weights + m], d, form, state)
    for j in range(upto - 1, -1, -1):
        t = F[form + d + j]
        F[coefficients + j] = t
        place = relaxations + 4 * j
        status = F[place]
        q = 0.0
        if status == ACTIVE:
            q = t
        elif status != INACTIVE and t > 0.0:
            q = t * F[alphas + j]
        elif status != INACTIVE and t < 0.0:
            q = t * F[place + 2]
            constant, error, magnitude, steps, bottom, last = state
            shift = t * F[place + 3]
            state = (constant + shift, error, magnitude - shift, steps + 1, bottom, last)
        if F[splits + j] > 0.0:
            q -= F[betas + j]
        elif F[splits + j] < 0.0:
            q += F[betas + j]
        if q != 0.0:
            constant, error, magnitude, steps, bottom, last = state
            magnitude += F[betas + j] * F[system + META * j + 5]  # the sum q may cancel what it is made of
            state = add_row(F, system, j, q, d, form, (constant, error, magnitude, steps + 1, bottom, last))
    constant, error, magnitude, steps, bottom, last = state
    bound = constant
    for k in range(d):
        a = F[form + k]
        bound += a * (F[box + k] if a > 0.0 else F[box + d + k])
    off = INFLATE * (error + ROUNDOFF * magnitude * (6 * steps + 2 * d + 8)) + tiny
    return bound - off - ROUNDOFF * 2.0 * abs(bound)


@compiled
def primal_values(F, system, d, unstable, rows, x, z, at):
    """The minimiser x of the form and every row's value there along the relaxation's own lines, to `z`."""
    form, relaxations, box, _, alphas, _, _, coefficients, _ = at
    for k in range(d):
        F[x + k] = F[box + k] if F[form + k] > 0.0 else F[box + d + k]
    relaxed = z + rows
    for i in range(rows):
        meta = system + META * i
        data, first = system + int(F[meta]), int(F[meta + 1])
        total = F[meta + 3] + dot(F, data, x, d) + dot(F, data + d, relaxed + first, int(F[meta + 2]) - first)
        F[z + i] = total
        if i < unstable:
            place = relaxations + 4 * i
            t = F[coefficients + i]
            if F[place] == ACTIVE:
                r = total
            elif F[place] == INACTIVE:
                r = 0.0
            elif t > 0.0:
                r = F[alphas + i] * total
            elif t < 0.0:
                r = F[place + 2] * total + F[place + 3]
            else:
                r = max(total, 0.0)
            F[relaxed + i] = r


@compiled
def step(F, place, history, gradient, rate):
    """One AdaGrad step of the number at `place`; returns its new value."""
    F[history] += gradient * gradient
    F[place] += rate * gradient / (F[history] ** 0.5 + 1e-300)
    return F[place]


@compiled
def improve_slope(F, place, history, gradient):
    """One step of a slope, in the units that a proof can name."""
    slope = step(F, place, history, gradient, 0.6)
    F[place] = np.rint(min(max(slope, 0.0), 1.0) * SLOPE_UNITS) / SLOPE_UNITS


@compiled
def ascend(F, P, system, d, unstable, upto, count, case, length, steps, x, z, history, scales, at):
    """Improve the multipliers until the bound is positive or `steps` are done; returns the best bound.

    The multipliers left behind are the last ones; any are sound.
    """
    _, relaxations, _, weights, alphas, betas, splits, coefficients, _ = at
    for k in range(2 * unstable + length):
        F[history + k] = 0.0
    best = dual_bound(F, P, system, d, unstable, upto, case, length, at)
    for _ in range(steps):
        if best > 0.0:
            break
        primal_values(F, system, d, unstable, upto + count, x, z, at)
        for j in range(upto):
            value = F[z + j]
            t = F[coefficients + j]
            if F[relaxations + 4 * j] != ACTIVE and F[relaxations + 4 * j] != INACTIVE:
                if t > 0.0:
                    improve_slope(F, alphas + j, history + j, t * value)
            elif F[splits + j] != 0.0:
                new = step(F, betas + j, history + unstable + j, -F[splits + j] * value, 0.6 * F[scales + j])
                F[betas + j] = max(new, 0.0)
        if length > 1:
            total = 0.0
            for m in range(length):
                new = step(F, weights + m, history + 2 * unstable + m, F[z + unstable + P[case + m]], 0.2)
                F[weights + m] = max(new, 0.0)
                total += F[weights + m]
            for m in range(length):
                F[weights + m] = F[weights + m] / total if total > 0.0 else 1.0 / length
        best = max(best, dual_bound(F, P, system, d, unstable, upto, case, length, at))
    return best
