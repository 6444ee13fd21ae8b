"""Branch and bound by ReLU phases over one compressed system and one case, compiled: for wide inputs.

A frame holds bounds, slopes, multipliers and fixed phases of every ReLU; the box never changes.  A node is bounded
by the Lagrangian of `dual`, shallow nodes also tighten the ReLUs behind the last split, and the ReLU whose relaxation
costs most is split.
"""

from __future__ import annotations

import numba
import numpy as np

from verify.search.compiled.dual import ascend, dual_bound, primal_values
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
    META,
    MISTAKEN,
    NUMBERS,
    NUMBERS_SIZE,
    NUMBERS_USED,
    OUT_OF_BOXES,
    POINT,
    REFINE,
    REFINE_SPLITS,
    ROWS,
    SCRATCH,
    SLOPE_UNITS,
    TIGHTEN_DEPTH,
    TINY,
    WIDEST,
)
from verify.search.compiled.system import (
    ACTIVE,
    INACTIVE,
    SHAKY,
    compiled,
    least,
    least_slope,
    relax,
    tighten,
    value_at,
)

# Numbers handed on are typed: Numba compiles a function anew for every literal it is called with.
NONE, ONE, ROOT = np.int64(0), np.int64(1), np.int64(0)
STEPS, FIRST_STEPS, LAST_STEPS = np.int64(6), np.int64(60), np.int64(400)
REFINE_STEPS = np.int64(15)
SEARCH_STEPS = 4  # trials of a multiplier in one ReLU's half
CANDIDATES = 6  # ReLUs tried before each split
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
def shortlist(F, unstable, relaxations, coefficients, z, relaxed, scores):
    """Score every unstable ReLU by what its relaxation costs at the minimiser; returns the best (-1: none)."""
    best, choice = 0.0, -1
    for j in range(unstable):
        place = relaxations + 4 * j
        F[scores + j] = 0.0
        if F[place] == SHAKY:
            gap = abs(F[relaxed + j] - max(F[z + j], 0.0))
            F[scores + j] = abs(F[coefficients + j]) * (gap + 0.2 * F[place + 3])
            if F[scores + j] > best:
                best, choice = F[scores + j], j
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


@compiled
def explore_phases(P, F):
    """Work on the stack until it is empty or something needs the caller; returns a status of `layout`."""
    d, count, unstable, tiny = P[INPUTS], P[ROWS], P[WIDEST], F[P[TINY]]
    length, case, system = P[CASE_LENGTH], P[CASE_ROWS], P[P[INT_FRAMES] - 1]
    box, x, lows = P[SCRATCH], P[SCRATCH] + 2 * d, P[SCRATCH] + 3 * d
    highs, alphas, betas = lows + unstable, lows + 2 * unstable, lows + 3 * unstable
    scales, splits = lows + 4 * unstable, lows + 5 * unstable
    relaxations = lows + PER_RELU * unstable
    coefficients = relaxations + 4 * unstable
    z = coefficients + unstable
    form = z + 2 * unstable + count
    note = form + d + unstable
    weights = note + 2
    history = weights + length
    slopes = history + 2 * unstable + length
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
        if 0 < depth <= P[TIGHTEN_DEPTH]:
            empty = tighten(F, system, d, unstable, lows, highs, slopes, (form, relaxations, box, note), tiny) < 0
            if empty:
                F[P[CLOSED_SHARE]] += share
                continue
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
