"""Tighter bounds of one ReLU over the whole box: by slopes optimised for it, then by a few splits, compiled.

Also how the numbers of a node are kept as a frame.
"""

from __future__ import annotations

import numpy as np

from verify.search.compiled.choice import look_ahead, shortlist
from verify.search.compiled.dual import ascend, dual_bound, primal_values
from verify.search.compiled.layout import CASE_ROWS, FRAME_FLOATS, FRAME_INTS, FRAMES, INT_FRAMES, REFINE, REFINE_SPLITS
from verify.search.compiled.system import compiled, relax

# Numbers handed on are typed: Numba compiles a function anew for every literal it is called with.
NONE, ONE, ROOT = np.int64(0), np.int64(1), np.int64(0)
STEPS, REFINE_STEPS = np.int64(6), np.int64(15)
PER_RELU = 6  # numbers a frame keeps per ReLU: lower, upper, slope, multiplier, its scale, phase


@compiled
def restore(F, P, frame, unstable, lows, relaxations):
    """Read a frame's per-ReLU numbers into scratch (six runs from `lows` on) and derive the relaxations."""
    base = P[FRAMES] + frame * P[FRAME_FLOATS] + 1
    for k in range(PER_RELU * unstable):
        F[lows + k] = F[base + k]
    for j in range(unstable):
        relax(F, relaxations + 4 * j, F[lows + j], F[lows + unstable + j])


@compiled
def save(F, P, frame, unstable, lows, share, depth):
    base = P[FRAMES] + frame * P[FRAME_FLOATS]
    F[base] = share
    for k in range(PER_RELU * unstable):
        F[base + 1 + k] = F[lows + k]
    P[P[INT_FRAMES] + frame * P[FRAME_INTS]] = depth


@compiled
def enter_half(F, unstable, lows, relaxations, choice, active, beta, scale):
    """Fix the phase of a ReLU in scratch."""
    F[lows + (0 if active else unstable) + choice] = 0.0
    F[lows + 3 * unstable + choice] = beta
    F[lows + 4 * unstable + choice] = scale
    F[lows + 5 * unstable + choice] = 1.0 if active else -1.0
    relax(F, relaxations + 4 * choice, F[lows + choice], F[lows + unstable + choice])


@compiled
def branch(F, P, system, d, unstable, upto, case, bound, splits, lows, x, z, history, at):
    """A better lower bound of one row that mentions the first `upto` ReLUs: the worst part is split, again and again.

    Begins with the whole, which scratch holds, and its bound; parts are kept as frames from 1 on.  Leaves scratch
    changed.
    """
    relaxations, scales = at[1], lows + 4 * unstable
    save(F, P, ONE, unstable, lows, bound, NONE)
    last = ONE
    for _ in range(splits):
        worst = ONE
        for frame in range(2, last + 1):
            if F[P[FRAMES] + frame * P[FRAME_FLOATS]] < F[P[FRAMES] + worst * P[FRAME_FLOATS]]:
                worst = frame
        bound = F[P[FRAMES] + worst * P[FRAME_FLOATS]]
        if bound > 0.0:
            break
        restore(F, P, worst, unstable, lows, relaxations)
        dual_bound(F, P, system, d, unstable, upto, case, ONE, at)
        primal_values(F, system, d, unstable, upto, x, z, at)
        choice = shortlist(F, upto, relaxations, at[7], z, z + upto, history)
        if choice < 0:
            break
        choice, up, down = look_ahead(F, P, system, d, unstable, upto, case, ONE, history, choice, at)
        scale = abs(F[at[7] + choice])
        for half in range(2):
            restore(F, P, worst, unstable, lows, relaxations)
            enter_half(F, unstable, lows, relaxations, choice, half == 0, up if half == 0 else down, scale)
            part = ascend(F, P, system, d, unstable, upto, NONE, case, ONE, STEPS, x, z, history, scales, at)
            if not part > bound:  # a NaN, too, leaves what is known of the whole
                part = bound
            save(F, P, worst if half == 1 else last + 1, unstable, lows, part, NONE)
        last += 1
    bound = F[P[FRAMES] + P[FRAME_FLOATS]]
    for frame in range(2, last + 1):
        if F[P[FRAMES] + frame * P[FRAME_FLOATS]] < bound:
            bound = F[P[FRAMES] + frame * P[FRAME_FLOATS]]
    return bound


@compiled
def refine(F, P, system, d, unstable, lows, relaxations, x, z, weights, history, at):
    """Tighten one ReLU of the root with slopes optimised for it, then by splits.

    Uses the case's first slot for the row and its first weight for the sign.
    """
    i, alphas, slot = P[REFINE], at[4], P[CASE_ROWS]
    restore(F, P, ROOT, unstable, lows, relaxations)
    kept_row, kept_weight = P[slot], F[weights]
    P[slot] = i - unstable
    low, high = F[lows + i], F[lows + unstable + i]
    for side in range(2):
        F[weights] = 1.0 if side == 0 else -1.0
        for j in range(i):
            F[alphas + j] = F[relaxations + 4 * j + 1]
        bound = ascend(
            F, P, system, d, unstable, i, NONE, slot, ONE, REFINE_STEPS, x, z, history, lows + 4 * unstable, at
        )
        if bound <= 0.0 and P[REFINE_SPLITS] > 0:
            bound = branch(F, P, system, d, unstable, i, slot, bound, P[REFINE_SPLITS], lows, x, z, history, at)
            restore(F, P, ROOT, unstable, lows, relaxations)
        if side == 0 and bound > low:
            low = bound
        if side == 1 and -bound < high:
            high = -bound
    P[slot], F[weights] = kept_row, kept_weight
    place = P[FRAMES] + P[REFINE] + 1
    F[place], F[place + unstable] = low, high
