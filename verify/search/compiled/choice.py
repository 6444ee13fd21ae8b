"""Which ReLU to split: by what its relaxation costs, then by the bounds of both halves, compiled."""

from __future__ import annotations

import numpy as np

from verify.search.compiled.dual import dual_bound
from verify.search.compiled.layout import META
from verify.search.compiled.system import ACTIVE, INACTIVE, SHAKY, compiled, least, least_slope

ONE = np.int64(1)  # typed: Numba compiles a function anew for every literal it is called with
SEARCH_STEPS = 4  # trials of a multiplier in one ReLU's half
CANDIDATES = 6  # ReLUs tried before each split


@compiled
def shortlist(F, unstable, relaxations, coefficients, z, relaxed, scores):
    """Score every unstable ReLU by what its relaxation costs at the minimiser; returns the best (-1: none).

    A ReLU that the form holds down costs nothing once its slope is the best one, so it counts only where no other does.
    """
    best, choice = 0.0, -1
    for sign in (-1.0, 1.0):
        for j in range(unstable):
            place = relaxations + 4 * j
            F[scores + j] = 0.0
            if F[place] == SHAKY and sign * F[coefficients + j] > 0.0:
                gap = abs(F[relaxed + j] - max(F[z + j], 0.0))
                F[scores + j] = abs(F[coefficients + j]) * (gap + 0.2 * F[place + 3])
                if F[scores + j] > best:
                    best, choice = F[scores + j], j
        if choice >= 0:
            break
    return choice


@compiled
def peak(F, form, row, constant, q, sign, box, d, size):
    """The best (bound, multiplier) of a half with q · row in its form; sign · multiplier comes off q.

    The bound is concave in the multiplier: its slope is looked at between 0 and SEARCH_STEPS doublings, then halvings.
    """
    best, multiplier = least(F, form, row, q, box, d) + q * constant, 0.0
    if sign * (least_slope(F, form, row, q, box, d) + constant) >= 0.0:
        return best, multiplier
    low, high, trial = 0.0, -1.0, size
    for _ in range(SEARCH_STEPS):
        p = q - sign * trial
        value = least(F, form, row, p, box, d) + p * constant
        if value > best:
            best, multiplier = value, trial
        if sign * (least_slope(F, form, row, p, box, d) + constant) < 0.0:
            low = trial
        else:
            high = trial
        trial = 2.0 * trial if high < 0.0 else 0.5 * (low + high)
    return best, multiplier


@compiled
def halves(F, system, d, j, base, at):
    """(bound, multiplier) of each half of a ReLU whose row has no other ReLU in it, from bound and form of the whole.

    Forms are moved so that the row is at rest: q counts from what the whole's relaxation takes of it.
    """
    form, relaxations, box, coefficients = at[0], at[1], at[2], at[7]
    meta, place, t = system + META * j, relaxations + 4 * j, F[coefficients + j]
    row, constant = system + int(F[meta]), F[meta + 3]
    q, shift = (t * F[at[4] + j], 0.0) if t > 0.0 else (t * F[place + 2], t * F[place + 3])
    rest = base - shift - least(F, form, row, 0.0, box, d)
    active, up = peak(F, form, row, constant, t - q, 1.0, box, d, abs(t))
    inactive, down = peak(F, form, row, constant, -q, -1.0, box, d, abs(t))
    return rest + active, up, rest + inactive, down


@compiled
def full_halves(F, P, system, d, unstable, upto, case, length, j, at):
    """Bounds of the halves of any ReLU, one pass each."""
    place = at[1] + 4 * j
    F[place] = ACTIVE
    active = dual_bound(F, P, system, d, unstable, upto, case, length, at)
    F[place] = INACTIVE
    inactive = dual_bound(F, P, system, d, unstable, upto, case, length, at)
    F[place] = SHAKY
    return active, inactive


@compiled
def promise(active, inactive):
    """How good a split with such bounds is: what is beyond closing does not count, the worse half a little more."""
    return min(active, 0.0) + min(inactive, 0.0) + 0.5 * min(active, inactive, 0.0)


@compiled
def look_ahead(F, P, system, d, unstable, upto, case, length, scores, choice, at):
    """The ReLU whose halves have the best bounds at the present multipliers, what is beyond closing not counted.

    Tried are those whose rows have no other ReLU in them, and the CANDIDATES best-scored others.
    """
    coefficients = at[7]
    best, winner, beta, gamma = -1e308, choice, 0.0, 0.0
    base = dual_bound(F, P, system, d, unstable, upto, case, length, at)
    for j in range(upto):
        meta = system + META * j
        if F[scores + j] > 0.0 and F[meta + 1] >= F[meta + 2]:
            active, up, inactive, down = halves(F, system, d, j, base, at)
            value = promise(active, inactive)
            if value > best:
                best, winner, beta, gamma = value, j, up, down
            F[scores + j] = 0.0
    for k in range(upto):
        F[scores + unstable + k] = F[coefficients + k]
    for _ in range(CANDIDATES):
        j = -ONE
        for k in range(upto):
            if F[scores + k] > 0.0 and (j < 0 or F[scores + k] > F[scores + j]):
                j = k
        if j < 0:
            break
        F[scores + j] = 0.0
        active, inactive = full_halves(F, P, system, d, unstable, upto, case, length, j, at)
        value = promise(active, inactive)
        if value > best:
            best, winner, beta, gamma = value, j, 0.0, 0.0
    for k in range(upto):
        F[coefficients + k] = F[scores + unstable + k]
    return winner, beta, gamma
