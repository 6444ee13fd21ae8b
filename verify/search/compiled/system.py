"""Compressed systems inside the compiled search: bounding, tightening, substituting.

A system is a run of floats: META numbers per row (place of its data, first and last+1 r-column, constant, error,
magnitude), then per row its d coefficients over x and those over the r-columns of its band.  Rows 0 … U-1 are the
unstable ReLUs in topological order (row i mentions only r_j with j < i), the query's rows follow.

Rounding (float64, to nearest, no fast-math; u = 2^-53).  A functional F = a·x + t·r + c is held with
    E  a bound on |exact - held| over the box, and
    M  a bound on Σ|coefficient||variable| + |constant| of everything that ever entered F (variables over the root box).
Substituting r_j by q z_j, q in floats, adds |q| e_j to E and |q| magnitude_j to M; it makes at most one rounding of
q, of each product q·coefficient, and of each sum, and each of these is off by at most u times a quantity bounded by
M.  So after `steps` substitutions over d inputs, F is off by at most E + u M (6 steps + 2 d + 8); underflow adds at
most 2^-1074 times the number of operations times the largest variable (`tiny`, computed once with room to spare).
The sums that form E and M are inflated by 1 + 2^-20.  A NaN compares false everywhere and closes nothing.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from verify.search.compiled.layout import META

ROUNDOFF = 2.0**-53
INFLATE = 1.0 + 2.0**-20
SHAKY, ACTIVE, INACTIVE = 0, 1, 2

compiled: Any = numba.njit(error_model="numpy", boundscheck=False, nogil=True)


@compiled
def add_scaled(F, target, source, q, count):
    """F[target + k] += q · F[source + k] for k < count.

    Places are unsigned: Numba lets signed ones wrap around below zero, which keeps loops from vector instructions.
    """
    to, at = np.uint64(target), np.uint64(source)
    for k in range(np.uint64(max(count, 0))):
        F[to + k] += q * F[at + k]


unordered: Any = numba.njit(error_model="numpy", boundscheck=False, nogil=True, fastmath={"reassoc", "contract"})


@unordered
def dot(F, left, right, count):
    """Σ_k F[left + k] F[right + k], summed in any order: for what proves nothing."""
    a, b = np.uint64(left), np.uint64(right)
    total = 0.0
    for k in range(np.uint64(max(count, 0))):
        total += F[a + k] * F[b + k]
    return total


@unordered
def least(F, form, row, q, box, d):
    """The least value over the box of (form + q · row) over the inputs, summed in any order: proves nothing."""
    a, b, low, high = np.uint64(form), np.uint64(row), np.uint64(box), np.uint64(box + d)
    total = 0.0
    for k in range(np.uint64(d)):
        slope = F[a + k] + q * F[b + k]
        total += slope * (F[low + k] if slope > 0.0 else F[high + k])
    return total


@unordered
def least_slope(F, form, row, q, box, d):
    """The value of row's inputs where (form + q · row) is least: how that least value grows with q."""
    a, b, low, high = np.uint64(form), np.uint64(row), np.uint64(box), np.uint64(box + d)
    total = 0.0
    for k in range(np.uint64(d)):
        slope = F[a + k] + q * F[b + k]
        total += F[b + k] * (F[low + k] if slope > 0.0 else F[high + k])
    return total


@compiled
def backward(F, system, d, row, upto, sign, at, tiny, sensitivity):
    """Lower bound of sign·(row) over the box; `at` = (form, relaxations, box, note) are places in F.

    Leaves the linear form (coefficients over x at `form`, constant at `note`) with row >= form over the box, the
    magnitude at note + 1, and with sensitivity >= 0 the coefficient each r_j had when it was replaced.
    """
    form, relaxations, box, note = at
    meta = system + META * row
    data, first, last = system + int(F[meta]), int(F[meta + 1]), int(F[meta + 2])
    for k in range(d):
        F[form + k] = sign * F[data + k]
    for k in range(d, d + upto):
        F[form + k] = 0.0
    for k in range(first, last):
        F[form + d + k] = sign * F[data + d + k - first]
    if sensitivity >= 0:
        for j in range(upto):
            F[sensitivity + j] = 0.0
    constant, error, magnitude = sign * F[meta + 3], F[meta + 4], F[meta + 5]
    steps, bottom, j = 0, first, last - 1
    while j >= bottom:
        t = F[form + d + j]
        if t != 0.0:
            place = relaxations + 4 * j
            status = F[place]
            if sensitivity >= 0:
                F[sensitivity + j] = t
            q = t
            if status == SHAKY:
                if t > 0.0:
                    q = t if F[place + 1] > 0.0 else 0.0
                else:
                    q = t * F[place + 2]
                    shift = t * F[place + 3]
                    constant += shift
                    magnitude -= shift
            elif status == INACTIVE:
                q = 0.0
            if q != 0.0:
                steps += 1
                size = abs(q)
                source = system + META * j
                error += size * F[source + 4]
                magnitude += size * F[source + 5]
                constant += q * F[source + 3]
                there, start, end = system + int(F[source]), int(F[source + 1]), int(F[source + 2])
                for k in range(d):
                    F[form + k] += q * F[there + k]
                for k in range(start, end):
                    F[form + d + k] += q * F[there + d + k - start]
                bottom = min(bottom, start)
        j -= 1
    bound = constant
    for k in range(d):
        a = F[form + k]
        bound += a * (F[box + k] if a > 0.0 else F[box + d + k])
    off = INFLATE * (error + ROUNDOFF * magnitude * (6 * steps + 2 * d + 8)) + tiny
    F[note] = constant - off - ROUNDOFF * 2.0 * abs(constant)
    F[note + 1] = magnitude
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
def tighten(F, system, d, unstable, lows, highs, slopes, at, tiny):
    """Bound every unstable ReLU over the box; returns how many became stable, -1 if the box holds no point.

    `slopes` receives, per ReLU and input, the larger |coefficient| of its lower and upper linear form.
    """
    fixed = 0
    nowhere = np.int64(-1)  # typed: Numba compiles a callee anew for every literal
    for i in range(unstable):
        low, high = F[lows + i], F[highs + i]
        place = at[1] + 4 * i
        found = backward(F, system, d, i, i, 1.0, at, tiny, nowhere)
        if found > low:
            low = found
        for k in range(d):
            F[slopes + i * d + k] = abs(F[at[0] + k])
        if low < 0.0:
            found = -backward(F, system, d, i, i, -1.0, at, tiny, nowhere)
            for k in range(d):
                F[slopes + i * d + k] = max(F[slopes + i * d + k], abs(F[at[0] + k]))
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
def mark_needed(F, P, system, d, unstable, count, needed_rows, relaxations, mapping):
    """Number the ReLUs a smaller system keeps: unstable ones that some needed query row depends on.

    `needed_rows`: P offset of one flag per query row.  Writes the new number, or -1, to `mapping`; returns how many.
    """
    for j in range(unstable):
        F[mapping + j] = -1.0
    for r in range(count):
        if P[needed_rows + r] == 1:
            meta = system + META * (unstable + r)
            data, first = system + int(F[meta]), int(F[meta + 1])
            for k in range(first, int(F[meta + 2])):
                if F[data + d + k - first] != 0.0:
                    F[mapping + k] = 0.0
    left = 0
    for i in range(unstable - 1, -1, -1):
        if F[mapping + i] < 0.0:
            continue
        status = F[relaxations + 4 * i]
        if status == INACTIVE:
            F[mapping + i] = -1.0
            continue
        meta = system + META * i
        data, first = system + int(F[meta]), int(F[meta + 1])
        for k in range(first, int(F[meta + 2])):
            if F[data + d + k - first] != 0.0:
                F[mapping + k] = 0.0
        if status == ACTIVE:
            F[mapping + i] = -1.0
        else:
            left += 1
    number = 0
    for i in range(unstable):
        if F[mapping + i] >= 0.0:
            F[mapping + i] = number
            number += 1
    return left


@compiled
def substitute(F, system, target, limit, d, unstable, rows, left, relaxations, mapping, buffer, tiny):
    """Write the system of the ReLUs numbered by `mapping` at `target`, stable ones substituted.

    Returns the floats written, or -1 when they would pass `limit`.
    """
    kept_rows = rows - unstable + left
    place, out = META * kept_rows, 0
    for i in range(rows):
        if i < unstable and F[mapping + i] < 0.0:
            continue
        if target + place + d + left > limit:
            return -1
        meta = system + META * i
        data, first, last = system + int(F[meta]), int(F[meta + 1]), int(F[meta + 2])
        for k in range(d):
            F[buffer + k] = F[data + k]
        for k in range(d, d + last):
            F[buffer + k] = 0.0
        for k in range(first, last):
            F[buffer + d + k] = F[data + d + k - first]
        constant, error, magnitude = F[meta + 3], F[meta + 4], F[meta + 5]
        bottom, j = first, last - 1
        while j >= bottom:
            t = F[buffer + d + j]
            if t != 0.0 and F[relaxations + 4 * j] == ACTIVE:
                size = abs(t)
                source = system + META * j
                magnitude = (magnitude + size * F[source + 5]) * (1.0 + 2.0**-50)
                error = (error + size * F[source + 4] + 8.0 * ROUNDOFF * magnitude) * (1.0 + 2.0**-50) + tiny
                constant += t * F[source + 3]
                there, start, end = system + int(F[source]), int(F[source + 1]), int(F[source + 2])
                for k in range(d):
                    F[buffer + k] += t * F[there + k]
                for k in range(start, end):
                    F[buffer + d + k] += t * F[there + d + k - start]
                bottom = min(bottom, start)
            j -= 1
        new_first, new_last = left, 0
        for k in range(bottom, last):
            if F[mapping + k] >= 0.0 and F[buffer + d + k] != 0.0:
                column = int(F[mapping + k])
                new_first, new_last = min(new_first, column), max(new_last, column + 1)
        new_first = min(new_first, new_last)
        head = target + META * out
        F[head], F[head + 1], F[head + 2] = place, new_first, new_last
        F[head + 3], F[head + 4], F[head + 5] = constant, error, magnitude
        there = target + place
        for k in range(d):
            F[there + k] = F[buffer + k]
        for k in range(new_last - new_first):
            F[there + d + k] = 0.0
        for k in range(bottom, last):
            if F[mapping + k] >= 0.0 and F[buffer + d + k] != 0.0:
                F[there + d + int(F[mapping + k]) - new_first] = F[buffer + d + k]
        place += d + new_last - new_first
        out += 1
    return place


@compiled
def value_at(F, system, d, rows, x, z):
    """Every row of the system at point x in plain float64, ReLUs evaluated; written to z.  Proves nothing."""
    for i in range(rows):
        meta = system + META * i
        data, first = system + int(F[meta]), int(F[meta + 1])
        total = F[meta + 3]
        for k in range(d):
            total += F[data + k] * F[x + k]
        for j in range(first, int(F[meta + 2])):
            r = F[z + j]
            if r > 0.0:
                total += F[data + d + j - first] * r
        F[z + i] = total
