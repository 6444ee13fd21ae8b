"""Depth-first branch and bound over compressed systems, compiled.

A subproblem is a box with, for each ReLU still unstable there, inherited bounds, and the compressed system (S) of
verify.bounds.compressed it was derived with.  `explore` pops a subproblem, tightens the unstable ReLUs by backward
relaxation inside (S), closes cases whose rows cannot hold, clips the box by the rows that must hold, and otherwise
substitutes the ReLUs that became stable and pushes both halves of the best split.

Rounding (float64, to nearest, no fast-math; u = 2^-53).  A functional F = a·x + t·r + c is held with
    E  a bound on |exact - held| over the box, and
    M  a bound on Σ|coefficient||variable| + |constant| of everything that ever entered F (variables over the root box).
Substituting r_j by q z_j, q in floats, adds |q| e_j to E and |q| magnitude_j to M; it makes at most one rounding of
q, of each product q·coefficient, and of each sum, and each of these is off by at most u times a quantity bounded by
M.  So after `steps` substitutions over d inputs, F is off by at most E + u M (6 steps + 2 d + 8); underflow adds at
most 2^-1074 times the number of operations times the largest variable (`tiny`, computed once with room to spare).
The sums that form E and M are inflated by 1 + 2^-20.  A NaN compares false everywhere below and closes nothing.

Everything lives in two flat arrays, so that the compiled code can be kept on disk and called without Numba.
"""

from __future__ import annotations

from typing import Any

import numba

from verify.search.compiled.layout import (
    ARENA,
    ARENA_SIZE,
    BOX_LIMIT,
    BOXES_DONE,
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
    OUT_OF_BOXES,
    POINT,
    ROWS,
    SCRATCH,
    STACK,
    STRICT,
    TINY,
    WIDEST,
)

ROUNDOFF = 2.0**-53
INFLATE = 1.0 + 2.0**-20
TIE = 2.0**-34
JUDGE_UNSTABLE = 12
ACTIVE, INACTIVE, SHAKY = 1, 2, 0

compiled: Any = numba.njit(error_model="numpy", boundscheck=False, nogil=True)


@compiled
def backward(F, system, d, unstable, rows, row, upto, sign, at, tiny, sensitivity):
    """Lower bound of sign·(row of the system) over the box at `at.box`; its linear form is left in at.form."""
    width = d + unstable
    constants = system + rows * width
    errors, magnitudes = constants + rows, constants + 2 * rows
    form, relax = at[0], at[1]
    box = at[2]
    base = system + row * width
    for k in range(d + upto):
        F[form + k] = sign * F[base + k]
    constant = sign * F[constants + row]
    error, magnitude = F[errors + row], F[magnitudes + row]
    steps = 0
    for j in range(upto - 1, -1, -1):
        t = F[form + d + j]
        if sensitivity >= 0:
            F[sensitivity + j] = t
        if t == 0.0:
            continue
        place = relax + 4 * j
        status = F[place]
        if status == INACTIVE:
            continue
        q = t
        if status == SHAKY:
            if t > 0.0:
                if F[place + 1] == 0.0:
                    continue
            else:
                q = t * F[place + 2]
                shift = t * F[place + 3]
                constant += shift
                magnitude -= shift
        steps += 1
        size = abs(q)
        error += size * F[errors + j]
        magnitude += size * F[magnitudes + j]
        constant += q * F[constants + j]
        source = system + j * width
        for k in range(d + j):
            F[form + k] += q * F[source + k]
    bound = constant
    for k in range(d):
        a = F[form + k]
        bound += a * (F[box + k] if a > 0.0 else F[box + d + k])
    off = INFLATE * (error + ROUNDOFF * magnitude * (6 * steps + 2 * d + 8)) + tiny
    F[at[3]] = constant - off - ROUNDOFF * abs(constant) * 2.0  # constant of a sound linear form
    F[at[3] + 1] = magnitude
    return bound - off - ROUNDOFF * 2.0 * abs(bound)


@compiled
def relax(F, place, low, high):
    """Store phase and relaxation of one ReLU: below·z <= relu(z) <= above·z + intercept on [low, high]."""
    if low >= 0.0:
        F[place] = ACTIVE
    elif high <= 0.0:
        F[place] = INACTIVE
    else:
        F[place] = SHAKY
        above = min(max(high / (high - low), 0.0), 1.0)
        raw = max(-above * low, (1.0 - above) * high)
        F[place + 1] = 1.0 if high > -low else 0.0
        F[place + 2] = above
        F[place + 3] = raw * (1.0 + 2.0**-50) + 2.0**-1070


@compiled
def tighten(F, system, d, unstable, rows, lows, highs, slopes, at, tiny):
    """Bound every unstable ReLU of the system over the box; returns how many became stable, -1 if the box is empty."""
    fixed = 0
    for i in range(unstable):
        low, high = F[lows + i], F[highs + i]
        place = at[1] + 4 * i
        found = backward(F, system, d, unstable, rows, i, i, 1.0, at, tiny, -1)
        if found > low:
            low = found
        for k in range(d):
            F[slopes + i * d + k] = F[at[0] + k]
        if low < 0.0:
            found = -backward(F, system, d, unstable, rows, i, i, -1.0, at, tiny, -1)
            if found < high:
                high = found
        if low > high:
            return -1
        F[lows + i], F[highs + i] = low, high
        relax(F, place, low, high)
        if F[place] != SHAKY:
            fixed += 1
    return fixed


@compiled
def substitute(F, system, target, d, unstable, rows, relaxations, row_buffer, tiny):
    """Write the system with stable ReLUs substituted to `target`; returns the number of ReLUs left."""
    width = d + unstable
    left = 0
    for j in range(unstable):
        if F[relaxations + 4 * j] == SHAKY:
            left += 1
    new_rows, new_width = rows - unstable + left, d + left
    old, new = system + rows * width, target + new_rows * new_width
    out = 0
    for i in range(rows):
        if i < unstable and F[relaxations + 4 * i] != SHAKY:
            continue
        for k in range(width):
            F[row_buffer + k] = F[system + i * width + k]
        constant, error, magnitude = F[old + i], F[old + rows + i], F[old + 2 * rows + i]
        for j in range(min(i, unstable) - 1, -1, -1):
            t = F[row_buffer + d + j]
            if t == 0.0 or F[relaxations + 4 * j] != ACTIVE:
                continue
            size = abs(t)
            magnitude = (magnitude + size * F[old + 2 * rows + j]) * (1.0 + 2.0**-50)
            error = (error + size * F[old + rows + j] + 8.0 * ROUNDOFF * magnitude) * (1.0 + 2.0**-50) + tiny
            constant += t * F[old + j]
            source = system + j * width
            for k in range(d + j):
                F[row_buffer + k] += t * F[source + k]
        for k in range(d):
            F[target + out * new_width + k] = F[row_buffer + k]
        column = d
        for j in range(unstable):
            if F[relaxations + 4 * j] == SHAKY:
                F[target + out * new_width + column] = F[row_buffer + d + j]
                column += 1
        F[new + out], F[new + new_rows + out], F[new + 2 * new_rows + out] = constant, error, magnitude
        out += 1
    return left


@compiled
def value_at(F, system, d, unstable, rows, x, z):
    """Every row of the system at point x in plain float64, ReLUs evaluated; written to z."""
    width = d + unstable
    constants = system + rows * width
    for i in range(rows):
        base = system + i * width
        total = F[constants + i]
        for k in range(d):
            total += F[base + k] * F[x + k]
        for j in range(min(i, unstable)):
            r = F[z + j]
            if r > 0.0:
                total += F[base + d + j] * r
        F[z + i] = total


@compiled
def bound_rows(F, P, system, d, unstable, rows, mask, forms, row_bounds, sensitivities, at, tiny):
    """Bound the query rows of open cases, close cases; returns (open cases, row to split on, its slack to zero)."""
    count, cases, length = P[ROWS], P[CASES], P[CASE_LENGTH]
    for r in range(count):
        F[row_bounds + 3 * r + 2] = 0.0
    still, worst_row, worst = 0, -1, 1e308
    for c in range(cases):
        if P[mask + c] == 0:
            continue
        best, best_row, closed = -1e308, -1, False
        for m in range(length):
            r = P[P[CASE_ROWS] + c * length + m]
            if m > 0 and r == P[P[CASE_ROWS] + c * length]:
                continue  # padding
            if F[row_bounds + 3 * r + 2] == 0.0:
                bound = backward(
                    F, system, d, unstable, rows, unstable + r, unstable, 1.0, at, tiny, sensitivities + r * unstable
                )
                F[row_bounds + 3 * r] = bound
                F[row_bounds + 3 * r + 1] = F[at[3] + 1]
                F[row_bounds + 3 * r + 2] = 1.0
                for k in range(d):
                    F[forms + r * (d + 1) + k] = F[at[0] + k]
                F[forms + r * (d + 1) + d] = F[at[3]]
            bound = F[row_bounds + 3 * r]
            if bound > 0.0 or (P[P[STRICT] + r] == 1 and bound >= 0.0):
                closed = True
                break
            if bound > best or best_row < 0:
                best, best_row = bound, r
        if closed:
            P[mask + c] = 0
        else:
            still += 1
            if best < worst or worst_row < 0:
                worst, worst_row = best, best_row
    return still, worst_row, worst


@compiled
def clip(F, P, d, mask, forms, box):
    """Shrink the box to where every row of the only open case can hold; returns the share kept, 0 when empty.

    A solution has form·x + constant <= 0 for each row, so coefficient_k x_k <= -constant - Σ_{i≠k} min(...).
    """
    case = -1
    for c in range(P[CASES]):
        if P[mask + c] == 1:
            case = c
    kept = 1.0
    for m in range(P[CASE_LENGTH]):
        r = P[P[CASE_ROWS] + case * P[CASE_LENGTH] + m]
        base = forms + r * (d + 1)
        total, weight = F[base + d], abs(F[base + d])
        for k in range(d):
            a = F[base + k]
            part = a * (F[box + k] if a > 0.0 else F[box + d + k])
            total += part
            weight += abs(part)
        room = weight * (4 * d + 8) * ROUNDOFF * 2.0 + 2.0**-1000
        for k in range(d):
            a = F[base + k]
            low, high = F[box + k], F[box + d + k]
            if a == 0.0 or low == high:
                continue
            rest = total - a * (low if a > 0.0 else high) - room
            limit = -rest / a
            slip = abs(limit) * 4.0 * ROUNDOFF + 2.0**-1000
            if a > 0.0 and limit + slip < high:
                if limit + slip < low:
                    return 0.0
                kept *= (limit + slip - low) / (high - low)
                total, F[box + d + k] = total, limit + slip
            elif a < 0.0 and limit - slip > low:
                if limit - slip > high:
                    return 0.0
                kept *= (high - limit + slip) / (high - low)
                F[box + k] = limit - slip
    return kept


@compiled
def satisfies(F, P, mask, z, unstable):
    """Whether the rows at z make some open case hold in plain float64."""
    for c in range(P[CASES]):
        if P[mask + c] == 1:
            good = True
            for m in range(P[CASE_LENGTH]):
                if not F[z + unstable + P[P[CASE_ROWS] + c * P[CASE_LENGTH] + m]] <= 0.0:
                    good = False
                    break
            if good:
                return True
    return False


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
                    score += t * (-bottom / reach) * (top / reach) * abs(F[slopes + j * d + k])
        score = score * (high - low) + 1e-12 * (high - low)
        if score > best:
            best, choice = score, k
    return choice


@compiled
def push(F, P, frame, box, d, system, left, top, depth, share, mask, lows, highs, relaxations, unstable):
    """Write a frame: box, bounds of the ReLUs still unstable, open cases."""
    base = P[FRAMES] + frame * P[FRAME_FLOATS]
    head = P[INT_FRAMES] + frame * P[FRAME_INTS]
    for k in range(2 * d):
        F[base + k] = F[box + k]
    F[base + 2 * d] = share
    place = base + 2 * d + 1
    for j in range(unstable):
        if F[relaxations + 4 * j] == SHAKY:
            F[place] = F[lows + j]
            F[place + left] = F[highs + j]
            place += 1
    P[head], P[head + 1], P[head + 2], P[head + 3] = system, left, top, depth
    for c in range(P[CASES]):
        P[head + 4 + c] = P[mask + c]


@compiled
def explore(P, F):
    """Work on the stack until it is empty or something needs the caller; returns a status of `layout`."""
    d, count, widest = P[INPUTS], P[ROWS], P[WIDEST]
    tiny = F[P[TINY]]
    scratch = P[SCRATCH]
    box = scratch
    x = box + 2 * d
    lows = x + d
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
    mask = P[STACK] - P[CASES]
    at = (form, relaxations, box, note)
    done = 0
    while P[DEPTH] > 0:
        if done >= P[BOX_LIMIT]:
            return OUT_OF_BOXES
        done += 1
        P[BOXES_DONE] += 1
        frame = P[DEPTH] - 1
        P[DEPTH] = frame
        base = P[FRAMES] + frame * P[FRAME_FLOATS]
        head = P[INT_FRAMES] + frame * P[FRAME_INTS]
        system, unstable, top, depth = P[head], P[head + 1], P[head + 2], P[head + 3]
        share = F[base + 2 * d]
        rows = unstable + count
        for k in range(2 * d):
            F[box + k] = F[base + k]
        for j in range(unstable):
            F[lows + j] = F[base + 2 * d + 1 + j]
            F[highs + j] = F[base + 2 * d + 1 + unstable + j]
        for c in range(P[CASES]):
            P[mask + c] = P[head + 4 + c]
        fixed, still, row, slack = 0, 0, -1, 0.0
        for _ in range(4):
            fixed = tighten(F, system, d, unstable, rows, lows, highs, slopes, at, tiny)
            still = 0
            if fixed < 0:
                break
            still, row, slack = bound_rows(
                F, P, system, d, unstable, rows, mask, forms, row_bounds, sensitivities, at, tiny
            )
            if still != 1:
                break
            kept = clip(F, P, d, mask, forms, box)
            if kept == 0.0:
                still = 0
            if kept == 0.0 or kept > 0.5:
                break
        if still == 0:
            F[P[CLOSED_SHARE]] += share
            continue
        found = False
        for attempt in range(2):
            for k in range(d):
                a = F[forms + row * (d + 1) + k]
                low, high = F[box + k], F[box + d + k]
                F[x + k] = 0.5 * low + 0.5 * high if attempt == 1 else (low if a > 0.0 else high)
            value_at(F, system, d, unstable, rows, x, z)
            if satisfies(F, P, mask, z, unstable):
                found = True
                for k in range(d):
                    F[P[POINT] + k] = F[x + k]
                break
        near_tie = slack > -TIE * (F[row_bounds + 3 * row + 1] + 2.0**-1000)
        axis = choose_split(F, d, unstable, row, forms, sensitivities, relaxations, lows, highs, slopes, box)
        left = unstable - fixed
        if axis < 0 or depth >= P[DEPTH_LIMIT] or left <= P[JUDGE_BELOW] or (near_tie and left <= JUDGE_UNSTABLE):
            for k in range(2 * d):
                F[P[POINT] + d + k] = F[box + k]
            F[P[POINT] + 3 * d] = share
            return LEAF
        if frame + 2 > P[FRAME_LIMIT]:
            P[DEPTH] = frame + 1
            return FULL
        if fixed > 0:
            size = (left + count) * (d + left + 3)
            if top + size > P[ARENA_SIZE]:
                P[DEPTH] = frame + 1
                return FULL
            target = P[ARENA] + top
            substitute(F, system, target, d, unstable, rows, relaxations, buffer, tiny)
            top += size
            system = target
        low, high = F[box + axis], F[box + d + axis]
        middle = 0.5 * low + 0.5 * high
        upper_first = F[forms + row * (d + 1) + axis] < 0.0
        for half in range(2):
            upper_half = (half == 1) == upper_first
            F[box + axis] = middle if upper_half else low
            F[box + d + axis] = high if upper_half else middle
            push(
                F,
                P,
                frame + half,
                box,
                d,
                system,
                left,
                top,
                depth + 1,
                0.5 * share,
                mask,
                lows,
                highs,
                relaxations,
                unstable,
            )
        P[DEPTH] = frame + 2
        if found:
            return CANDIDATE
    return DONE


def entry(ints, floats):
    """The compiled entry: two raw pointers; the first two integers are the arrays' lengths."""
    P = numba.carray(ints, (ints[0],))
    F = numba.carray(floats, (ints[1],))
    return explore(P, F)
