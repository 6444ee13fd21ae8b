"""Depth-first branch and bound over compressed systems, compiled.

A subproblem is a box with, for each ReLU still unstable there, inherited bounds, and the compressed system it was
derived with.  `explore` pops a subproblem, tightens the unstable ReLUs by backward relaxation inside the system,
closes cases whose rows cannot hold, clips the box by the rows that must hold, and otherwise substitutes the ReLUs that
became stable and pushes both halves of the best split.  The rounding rules are those of `system`.

Everything lives in two flat arrays, so that the compiled code can be kept on disk and called without Numba.
"""

from __future__ import annotations

import numba

from verify.search.compiled.cases import bound_rows, clip, satisfies
from verify.search.compiled.layout import (
    ARENA,
    ARENA_SIZE,
    BOX_LIMIT,
    BOXES_DONE,
    BY_PHASES,
    CANDIDATE,
    CASE_LENGTH,
    CASE_ROWS,
    CASES,
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
    JUDGE_BELOW,
    LEAF,
    LOG_PER_BOX,
    LOG_SIZE,
    LOG_USED,
    MASK,
    META,
    MISTAKEN,
    NEEDED,
    OUT_OF_BOXES,
    POINT,
    ROOT_WIDTHS,
    ROWS,
    SCRATCH,
    TINY,
    WIDEST,
)
from verify.search.compiled.log import BOUND, CLIP, REDUCE, TIGHTEN, log, log_split
from verify.search.compiled.log import LEAF as STEP_LEAF
from verify.search.compiled.system import SHAKY, compiled, mark_needed, substitute, tighten, value_at
from verify.search.compiled.tilt import closed_by_slopes

TIE = 2.0**-34
JUDGE_UNSTABLE = 12
FAIR_TURN = 16  # every so many levels the relatively widest input is split, whatever the scores say


@compiled
def choose_split(F, d, unstable, row, forms, sensitivities, relaxations, lows, highs, slopes, box):
    """The input whose halving should shrink the relaxation of `row` most (-1 when no input can be halved)."""
    best, choice = -1.0, -1
    for k in range(d):
        low, high = F[box + k], F[box + d + k]
        middle = 0.5 * low + 0.5 * high
        if not (low < middle and middle < high):
            continue
        score = 1e-3 * abs(F[forms + row * (d + 1) + k])
        for j in range(unstable):
            if F[relaxations + 4 * j] == SHAKY:
                t = abs(F[sensitivities + row * unstable + j])
                if t > 0.0:
                    bottom, top = F[lows + j], F[highs + j]
                    reach = top - bottom
                    score += t * (-bottom / reach) * (top / reach) * F[slopes + j * d + k]
        score = score * (high - low) + 1e-12 * (high - low)
        if score > best:
            best, choice = score, k
    return choice


@compiled
def fair_choice(F, P, d, box):
    """The input with the largest width relative to the root's (-1 when none can be halved)."""
    best, choice = 0.0, -1
    for k in range(d):
        low, high = F[box + k], F[box + d + k]
        middle = 0.5 * low + 0.5 * high
        if low < middle and middle < high:
            share = (high - low) / F[P[ROOT_WIDTHS] + k]
            if share > best:
                best, choice = share, k
    return choice


@compiled
def push(F, P, frame, d, system, left, top, depth, share, at):
    """Write a frame: the box in hand, bounds and numbers of the ReLUs that `mapping` keeps, open cases."""
    box, mask, lows, highs, numbers, mapping = at
    base = P[FRAMES] + frame * P[FRAME_FLOATS]
    head = P[INT_FRAMES] + frame * P[FRAME_INTS]
    for k in range(2 * d):
        F[base + k] = F[box + k]
    F[base + 2 * d] = share
    place, j, kept = base + 2 * d + 1, 0, 0
    while kept < left:
        if F[mapping + j] >= 0.0:
            F[place + kept] = F[lows + j]
            F[place + left + kept] = F[highs + j]
            F[place + 2 * left + kept] = F[numbers + j]
            kept += 1
        j += 1
    P[head], P[head + 1], P[head + 2], P[head + 3] = system, left, top, depth
    for c in range(P[CASES]):
        P[head + 4 + c] = P[mask + c]


@compiled
def load(F, P, frame, d, box, lows, highs, numbers):
    """Read a frame's box, bounds, ReLUs' numbers and open cases into scratch."""
    base = P[FRAMES] + frame * P[FRAME_FLOATS]
    head = P[INT_FRAMES] + frame * P[FRAME_INTS]
    unstable = P[head + 1]
    for k in range(2 * d):
        F[box + k] = F[base + k]
    for j in range(unstable):
        F[lows + j] = F[base + 2 * d + 1 + j]
        F[highs + j] = F[base + 2 * d + 1 + unstable + j]
        F[numbers + j] = F[base + 2 * d + 1 + 2 * unstable + j]
    for c in range(P[CASES]):
        P[P[MASK] + c] = P[head + 4 + c]


@compiled
def try_points(F, P, system, d, unstable, row, forms, box, x, z):
    """Evaluate the corner where the row's linear form is least, and the centre; true when one looks like a solution."""
    for attempt in range(2):
        for k in range(d):
            low, high = F[box + k], F[box + d + k]
            corner = low if F[forms + row * (d + 1) + k] > 0.0 else high
            F[x + k] = 0.5 * low + 0.5 * high if attempt == 1 else corner
        value_at(F, system, d, unstable + P[ROWS], x, z)
        if satisfies(F, P, P[MASK], z, unstable):
            for k in range(d):
                F[P[POINT] + k] = F[x + k]
            return True
    return False


@compiled
def shrink(F, P, system, d, unstable, top, relaxations, mapping, buffer, tiny):
    """Substitute what became stable; returns (system, ReLUs left, arena in use), left = -1 when the arena is full."""
    count = P[ROWS]
    for r in range(count):
        P[P[NEEDED] + r] = 0
    for c in range(P[CASES]):
        if P[P[MASK] + c] == 1:
            for m in range(P[CASE_LENGTH]):
                P[P[NEEDED] + P[P[CASE_ROWS] + c * P[CASE_LENGTH] + m]] = 1
    left = mark_needed(F, P, system, d, unstable, count, P[NEEDED], relaxations, mapping)
    target, limit = P[ARENA] + top, P[ARENA] + P[ARENA_SIZE]
    if target + META * (left + count) > limit:
        return system, -1, top
    size = substitute(F, system, target, limit, d, unstable, unstable + count, left, relaxations, mapping, buffer, tiny)
    return (system, -1, top) if size < 0 else (target, left, top + size)


@compiled
def halve(F, P, frame, d, axis, upper_first, system, left, top, depth, share, at):
    """Push both halves of the box in hand, the more promising one on top."""
    box = at[0]
    low, high = F[box + axis], F[box + d + axis]
    middle = 0.5 * low + 0.5 * high
    for half in range(2):
        upper_half = (half == 1) == upper_first
        F[box + axis] = middle if upper_half else low
        F[box + d + axis] = high if upper_half else middle
        push(F, P, frame + half, d, system, left, top, depth + 1, 0.5 * share, at)
    P[DEPTH] = frame + 2


@compiled
def open_cases(P):
    count = 0
    for c in range(P[CASES]):
        count += P[P[MASK] + c]
    return count


@compiled
def narrow(F, P, system, d, unstable, box, lows, highs, slopes, forms, row_bounds, sensitivities, at, tiny):
    """Tighten, bound and clip in turn: (ReLUs that became stable, open cases, their widest row, its slack).

    Bounding that neither closes a case nor clips the box is not logged.
    """
    fixed, still, row, slack = 0, 0, -1, 0.0
    for _ in range(4):
        log(P, TIGHTEN)
        fixed = tighten(F, system, d, unstable, lows, highs, slopes, at, tiny)
        still = 0
        if fixed < 0:
            break
        used, before = P[LOG_USED], open_cases(P)
        log(P, BOUND)
        still, row, slack = bound_rows(F, P, system, d, unstable, P[MASK], forms, row_bounds, sensitivities, at, tiny)
        kept = clip(F, P, d, P[MASK], forms, box) if still == 1 else 1.0
        if kept < 1.0:
            log(P, CLIP)
        elif still == before:
            P[LOG_USED] = used
        if kept < 0.0:
            still = 0
        if kept < 0.0 or kept > 0.5:
            break
    return fixed, still, row, slack


@compiled
def reduce(F, P, system, d, unstable, top, fixed, relaxations, mapping, buffer, tiny):
    """Substitute what has become stable: (system, ReLUs left or -1 where there is no room, top)."""
    if fixed <= 0:
        for j in range(unstable):
            F[mapping + j] = j
        return system, unstable, top
    log(P, REDUCE)
    new_system, left, new_top = shrink(F, P, system, d, unstable, top, relaxations, mapping, buffer, tiny)
    return (new_system, left, new_top) if left >= 0 else (system, left, top)


@compiled
def hand_over(F, P, d, box, share):
    """Leave the box where the caller looks for it."""
    for k in range(2 * d):
        F[P[POINT] + d + k] = F[box + k]
    F[P[POINT] + 3 * d] = share


@compiled
def explore(P, F):
    """Work on the stack until it is empty or something needs the caller; returns a status of `layout`."""
    d, count, widest, tiny = P[INPUTS], P[ROWS], P[WIDEST], F[P[TINY]]
    box = P[SCRATCH]
    x, lows = box + 2 * d, box + 3 * d
    highs = lows + widest
    relaxations = highs + widest
    slopes = relaxations + 4 * widest
    z = slopes + widest * d
    form = z + widest + count
    note = form + widest + d
    forms = note + 2
    row_bounds = forms + count * (d + 1)
    sensitivities = row_bounds + 3 * count
    buffer = sensitivities + count * widest
    mapping = buffer + widest + d
    numbers = mapping + widest
    zeros, one = numbers + widest, numbers + 2 * widest  # never written to
    alphas, spare = one + 1, one + 1 + 2 * widest
    at = (form, relaxations, box, note)
    tilt_at = (form, relaxations, box, one, alphas, zeros, zeros, alphas + widest, tiny)
    kept_at = (box, P[MASK], lows, highs, numbers, mapping)
    for _ in range(P[BOX_LIMIT]):
        if P[DEPTH] == 0:
            return DONE
        if P[LOG_USED] + LOG_PER_BOX > P[LOG_SIZE]:
            return OUT_OF_BOXES
        P[BOXES_DONE] += 1
        frame = P[DEPTH] - 1
        P[DEPTH] = frame
        head = P[INT_FRAMES] + frame * P[FRAME_INTS]
        system, unstable, top, depth = P[head], P[head + 1], P[head + 2], P[head + 3]
        share = F[P[FRAMES] + frame * P[FRAME_FLOATS] + 2 * d]
        load(F, P, frame, d, box, lows, highs, numbers)
        fixed, still, row, slack = narrow(
            F, P, system, d, unstable, box, lows, highs, slopes, forms, row_bounds, sensitivities, at, tiny
        )
        if still == 0 or closed_by_slopes(F, P, system, d, unstable, still, row_bounds, x, numbers, spare, tilt_at):
            log(P, STEP_LEAF)
            F[P[CLOSED_SHARE]] += share
            continue
        found = try_points(F, P, system, d, unstable, row, forms, box, x, z)
        near_tie = slack > -TIE * (F[row_bounds + 3 * row + 1] + 2.0**-1000)
        if depth % FAIR_TURN == FAIR_TURN - 1:
            axis = fair_choice(F, P, d, box)  # scores may starve an input that matters
        else:
            axis = choose_split(F, d, unstable, row, forms, sensitivities, relaxations, lows, highs, slopes, box)
        system, left, top = reduce(F, P, system, d, unstable, top, fixed, relaxations, mapping, buffer, tiny)
        if left < 0 or frame + 2 > P[FRAME_LIMIT]:
            P[DEPTH] = frame + 1
            return FULL
        if axis < 0 or depth >= P[DEPTH_LIMIT] or left <= P[JUDGE_BELOW] or (near_tie and left <= JUDGE_UNSTABLE):
            hand_over(F, P, d, box, share)
            return LEAF
        upper_first = F[forms + row * (d + 1) + axis] < 0.0
        log_split(P, axis, upper_first)
        halve(F, P, frame, d, axis, upper_first, system, left, top, depth, share, kept_at)
        if found:
            return CANDIDATE
    return DONE if P[DEPTH] == 0 else OUT_OF_BOXES


def entry(ints, floats):
    """The compiled entry: two raw pointers; the first two integers are the arrays' lengths."""
    P = numba.carray(ints, (ints[0],))
    F = numba.carray(floats, (ints[1],))
    return explore(P, F) if P[BY_PHASES] == 0 else MISTAKEN
