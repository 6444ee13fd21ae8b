"""Branch and bound by ReLU phases over one compressed system and one case, compiled: for wide inputs.

A frame holds bounds, slopes, multipliers and fixed phases of every ReLU; the box never changes.  A node is bounded
by the Lagrangian of `dual`, and the ReLU whose halves have the best bounds is split.
"""

from __future__ import annotations

import numba
import numpy as np

from verify.search.compiled.choice import look_ahead, shortlist
from verify.search.compiled.dual import ascend, primal_values
from verify.search.compiled.layout import (
    BOX_LIMIT,
    BOXES_DONE,
    BY_PHASES,
    CANDIDATE,
    CASE_LENGTH,
    CASE_ROWS,
    CLOSED_SHARE,
    DEPTH,
    DEPTH_LIMIT,
    DONE,
    FRAME_FLOATS,
    FRAME_INTS,
    FRAME_LIMIT,
    FRAMES,
    FULL,
    INPUTS,
    INT_FRAMES,
    LEAF,
    LOG,
    LOG_SIZE,
    LOG_USED,
    MISTAKEN,
    NUMBERS,
    NUMBERS_SIZE,
    NUMBERS_USED,
    OUT_OF_BOXES,
    POINT,
    REFINE,
    ROWS,
    SCRATCH,
    SLOPE_UNITS,
    TINY,
    WIDEST,
)
from verify.search.compiled.refine import PER_RELU, STEPS, refine, restore, save
from verify.search.compiled.system import SHAKY, compiled, value_at

FIRST_STEPS, LAST_STEPS = np.int64(60), np.int64(400)


@compiled
def log_split(P, j, active_first):
    """As `verify.search.phase_proof` reads it."""
    P[P[LOG] + P[LOG_USED]] = 2 * j + 2 + (1 if active_first else 0)
    P[LOG_USED] += 1


@compiled
def log_leaf(F, P, unstable, length, at):
    """The multipliers that have just closed a node; slopes only where one plays a part and is not the default."""
    relaxations, weights, alphas, betas, splits, coefficients = at[1], at[3], at[4], at[5], at[6], at[7]
    place = P[NUMBERS] + P[NUMBERS_USED]
    for j in range(unstable):
        plays = F[relaxations + 4 * j] == SHAKY and F[coefficients + j] > 0.0
        other = F[alphas + j] != (1.0 if F[relaxations + 4 * j + 1] > 0.0 else 0.0)
        F[place + j] = F[alphas + j] * SLOPE_UNITS if plays and other else -1.0
        F[place + unstable + j] = F[betas + j] if F[splits + j] != 0.0 else 0.0
    for m in range(length):
        F[place + 2 * unstable + m] = F[weights + m]
    P[NUMBERS_USED] += 2 * unstable + length
    P[P[LOG] + P[LOG_USED]] = 0
    P[LOG_USED] += 1


@compiled
def looks_solved(F, P, z, unstable):
    good = True
    for m in range(P[CASE_LENGTH]):
        good = good and F[z + unstable + P[P[CASE_ROWS] + m]] <= 0.0
    return good


@compiled
def choose(F, P, system, d, unstable, count, case, length, x, z, scores, at):
    """(the ReLU to split or -1, its coefficient's size, multipliers its active and inactive half start from).

    Leaves the minimiser at x and the rows' true values there at z.
    """
    up, down = 0.0, 0.0
    primal_values(F, system, d, unstable, unstable + count, x, z, at)
    choice = shortlist(F, unstable, at[1], at[7], z, z + unstable + count, scores)
    if choice >= 0:
        choice, up, down = look_ahead(F, P, system, d, unstable, unstable, case, length, scores, choice, at)
    scale = abs(F[at[7] + choice])
    value_at(F, system, d, unstable + count, x, z)
    return choice, scale, up, down


@compiled
def fork(F, P, frame, unstable, lows, choice, multipliers, share, depth, active_last):
    """Save both halves of the node in scratch as frames `frame` and the next, which is explored first."""
    highs, betas, splits = lows + unstable, lows + 3 * unstable, lows + 5 * unstable
    low, high = F[lows + choice], F[highs + choice]
    for half in range(2):
        active = (half == 1) == active_last
        F[lows + choice] = 0.0 if active else low
        F[highs + choice] = high if active else 0.0
        F[splits + choice] = 1.0 if active else -1.0
        F[betas + choice] = multipliers[0] if active else multipliers[1]
        save(F, P, frame + half, unstable, lows, 0.5 * share, depth)


@compiled
def explore_phases(P, F):
    """Work on the stack until it is empty or something needs the caller; returns a status of `layout`."""
    d, count, unstable, tiny = P[INPUTS], P[ROWS], P[WIDEST], F[P[TINY]]
    length, case, system = P[CASE_LENGTH], P[CASE_ROWS], P[P[INT_FRAMES] - 1]
    box, x, lows = P[SCRATCH], P[SCRATCH] + 2 * d, P[SCRATCH] + 3 * d
    alphas, betas = lows + 2 * unstable, lows + 3 * unstable
    scales, splits = lows + 4 * unstable, lows + 5 * unstable
    relaxations = lows + PER_RELU * unstable
    coefficients = relaxations + 4 * unstable
    z = coefficients + unstable
    form = z + 2 * unstable + count
    weights = form + d + unstable + 2
    history = weights + length
    at = (form, relaxations, box, weights, alphas, betas, splits, coefficients, tiny)
    if P[REFINE] >= 0:
        refine(F, P, system, d, unstable, lows, relaxations, x, z, weights, history, at)
        return OUT_OF_BOXES
    for _ in range(P[BOX_LIMIT]):
        if P[DEPTH] == 0:
            return DONE
        if P[LOG_USED] + 1 > P[LOG_SIZE] or P[NUMBERS_USED] + 2 * unstable + length > P[NUMBERS_SIZE]:
            return OUT_OF_BOXES
        P[BOXES_DONE] += 1
        frame = P[DEPTH] - 1
        P[DEPTH] = frame
        share, depth = F[P[FRAMES] + frame * P[FRAME_FLOATS]], P[P[INT_FRAMES] + frame * P[FRAME_INTS]]
        restore(F, P, frame, unstable, lows, relaxations)
        steps = FIRST_STEPS if depth == 0 else STEPS
        best = ascend(F, P, system, d, unstable, unstable, count, case, length, steps, x, z, history, scales, at)
        if best > 0.0:
            log_leaf(F, P, unstable, length, at)
            F[P[CLOSED_SHARE]] += share
            continue
        choice, scale, up, down = choose(F, P, system, d, unstable, count, case, length, x, z, history, at)
        found = looks_solved(F, P, z, unstable)
        if found:
            for k in range(d):
                F[P[POINT] + k] = F[x + k]
        if choice < 0 or depth >= P[DEPTH_LIMIT]:
            best = ascend(
                F, P, system, d, unstable, unstable, count, case, length, LAST_STEPS, x, z, history, scales, at
            )
            if best > 0.0:
                log_leaf(F, P, unstable, length, at)
                F[P[CLOSED_SHARE]] += share
                continue
            F[P[POINT] + 3 * d] = share
            return LEAF
        if frame + 2 > P[FRAME_LIMIT]:
            P[DEPTH] = frame + 1
            return FULL
        active_last = F[z + choice] > 0.0
        log_split(P, choice, active_last)
        F[scales + choice] = scale
        fork(F, P, frame, unstable, lows, choice, (up, down), share, depth + 1, active_last)
        P[DEPTH] = frame + 2
        if found:
            return CANDIDATE
    return DONE if P[DEPTH] == 0 else OUT_OF_BOXES


def entry(ints, floats):
    """The compiled entry: two raw pointers; the first two integers are the arrays' lengths."""
    P = numba.carray(ints, (ints[0],))
    F = numba.carray(floats, (ints[1],))
    return explore_phases(P, F) if P[BY_PHASES] == 1 else MISTAKEN
