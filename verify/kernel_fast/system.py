"""Compiled twins of `verify.kernel.system`: every function makes the same integers as the one of its name there.

A system is a run of numbers: how many variables, how many rows, META numbers for each of them, then coefficients.
A variable's place is its position; its number in the root system stands in its meta numbers.
"""

from __future__ import annotations

import numba

from verify.kernel.system import ONE, SLOPE_BITS, P
from verify.kernel_fast.arithmetic import DOWN, HALF_P, UNIT, UP, compiled, plain_product, product, quotient, total
from verify.kernel_fast.layout import (
    BETA,
    BOX,
    CASE_ROW,
    CASE_START,
    CONST_OUT,
    ERR_OUT,
    HIGH,
    INPUTS,
    LARGEST,
    LOW,
    MARK,
    META,
    META_CONSTANT,
    META_ERROR,
    MOST,
    NONZERO,
    NUMBER,
    OPEN,
    OPEN_COUNT,
    PATIENCE,
    PLACE,
    R_FIRST,
    R_LAST,
    REACH,
    ROW_AT,
    ROWS,
    S_FIRST,
    S_LAST,
    SHARE,
    SLOPE,
    SYSTEM,
    TOP,
    WORK_R,
    WORK_S,
)

NARROW = 1 << 42
unsigned = numba.uint64  # indices of inner loops: signed ones may count from the end, which costs


@compiled
def clear(A, upto):
    """Make the work row zero: all of s, r up to `upto`."""
    A[REACH] = 0
    for k in range(unsigned(A[WORK_S]), unsigned(A[WORK_S] + A[INPUTS])):
        A[k] = 0
    for j in range(unsigned(A[WORK_R]), unsigned(A[WORK_R] + upto)):
        A[j] = 0


@compiled
def add_row(A, meta, q):
    """Work row += q · row, rounded down.

    REACH bounds |entries| of the work row before and after, and so, being inside `total`'s range, every product.
    """
    most = product(abs(q), A[meta + LARGEST])
    A[REACH] = total(A, A[REACH] + most + 1)
    there, s_first, r_first = A[meta + PLACE], A[meta + S_FIRST], A[meta + R_FIRST]
    s_count, r_count = A[meta + S_LAST] - s_first, A[meta + R_LAST] - r_first
    narrow = A[meta + LARGEST] < NARROW and most < NARROW
    for work, first, count in (
        (A[WORK_S] + s_first, there, s_count),
        (A[WORK_R] + r_first, there + s_count, r_count),
    ):
        if narrow:
            add_narrow(A, unsigned(work), unsigned(first), unsigned(count), q)
        else:
            add_wide(A, unsigned(work), unsigned(first), unsigned(count), q)
    A[PATIENCE] -= s_count + r_count


@compiled
def add_wide(A, work, first, count, q):
    for k in range(count):
        A[work + k] += plain_product(q, A[first + k])


@compiled
def add_narrow(A, work, first, count, q):
    """The same for |a| < 2^42 and |q a| < 2^82, in two halves of q = 2^20 upper + rest, which processors do in bulk.

    (upper · a + (rest · a >> 20)) >> 20 = q a >> 40, since dividing down twice is dividing down once.
    """
    upper, rest = q >> HALF_P, q & ((1 << HALF_P) - 1)
    for k in range(count):
        a = A[first + k]
        A[work + k] += (upper * a + ((rest * a) >> HALF_P)) >> HALF_P


@compiled
def relax_down(A, top, constant, error, hinted):
    """`lower` for the work row over the first `top` variables; the linear form stays in the work row.

    Returns (constant, least).
    """
    system, low, high, work = A[SYSTEM], A[LOW], A[HIGH], A[WORK_R]
    for j in range(top - 1, -1, -1):
        t = A[unsigned(work + j)]
        beta = A[A[BETA] + j] if hinted else 0
        if t == 0 and beta == 0:
            continue
        bottom, ceiling = A[low + j], A[high + j]
        if bottom >= 0:
            q = t - beta
        elif ceiling <= 0:
            q = beta
        elif t >= 0:
            slope = A[A[SLOPE] + j] if hinted else -1
            q = (t if ceiling > -bottom else 0) if slope < 0 else product(t, slope << (P - SLOPE_BITS))
        else:
            q = -product(-t, chord(A, j, bottom, ceiling))
            at_ends = total(A, product(-q, bottom)), total(A, product(t - q, ceiling))
            constant = total(A, constant + min(at_ends))
        if q == 0:
            continue
        meta = system + 2 + META * j
        constant = total(A, constant + product(q, A[meta + META_CONSTANT]))
        error = total(A, error + product(abs(q), A[meta + META_ERROR]) + 1)
        add_row(A, meta, q)
    constant -= error
    least, box, d = constant, A[BOX], A[INPUTS]
    for k in range(d):
        a = A[A[WORK_S] + k]
        least = total(A, least + product(a, A[box + k] if a > 0 else A[box + d + k]))
    return constant, least


@compiled
def chord(A, j, low, high):
    """high / (high - low), kept for the next row that asks: dividing takes as long as a short row."""
    place, most = A[SHARE] + j, A[MOST]
    if A[place] != low or A[place + most] != high:
        A[place], A[place + most], A[place + 2 * most] = low, high, quotient(high, high - low)[0]
    return A[place + 2 * most]


@compiled
def lower(A, meta, sign):
    """A lower bound of sign · row: (constant, least)."""
    top = A[meta + R_LAST]
    clear(A, top)
    add_row(A, meta, sign * ONE)
    return relax_down(A, top, sign * A[meta + META_CONSTANT], A[meta + META_ERROR], False)


@compiled
def tighten(A):
    """Bound every unstable variable again; False when the node is shown to be empty."""
    system, low, high = A[SYSTEM], A[LOW], A[HIGH]
    for j in range(A[system]):
        if A[low + j] >= 0 or A[high + j] <= 0:
            continue
        meta = system + 2 + META * j
        A[low + j] = max(A[low + j], lower(A, meta, UP)[1])
        if A[low + j] < 0:
            A[high + j] = min(A[high + j], -lower(A, meta, DOWN)[1])
        if A[low + j] > A[high + j]:
            return False
    return True


@compiled
def add_form(A, meta, t):
    """`add`: work row += t · row; returns what that adds to constant and error."""
    add_row(A, meta, t)
    error = product(abs(t), A[meta + META_ERROR]) + 2 + A[meta + NONZERO]
    return product(t, A[meta + META_CONSTANT]), error


@compiled
def store(A, meta, number, constant, error, upto):
    """The work row, with its zeros at either end left out, becomes a row of a system; its place is at TOP."""
    place = A[TOP]
    A[meta + NUMBER], A[meta + META_CONSTANT], A[meta + META_ERROR] = number, constant, error
    A[meta + PLACE], largest, nonzero = place, 0, 0
    for first, last, work, count in ((S_FIRST, S_LAST, A[WORK_S], A[INPUTS]), (R_FIRST, R_LAST, A[WORK_R], upto)):
        start, end = 0, count
        while end > 0 and A[work + end - 1] == 0:
            end -= 1
        while start < end and A[work + start] == 0:
            start += 1
        A[meta + first], A[meta + last] = start, end
        for k in range(start, end):
            A[place] = A[work + k]
            largest = max(largest, abs(A[place]))
            nonzero += A[place] != 0
            place += 1
    A[TOP], A[meta + LARGEST], A[meta + NONZERO] = place, largest, nonzero


@compiled
def compose(A, meta):
    """Work row = the row with the variables marked 1 replaced by their rows; results in CONST_OUT, ERR_OUT."""
    system, top = A[SYSTEM], A[meta + R_LAST]
    clear(A, A[system])
    add_row(A, meta, UNIT)
    constant, error = A[meta + META_CONSTANT], A[meta + META_ERROR]
    for j in range(top - 1, -1, -1):
        t = A[A[WORK_R] + j]
        if t != 0 and A[A[MARK] + j] == 1:
            A[A[WORK_R] + j] = 0
            more, off = add_form(A, system + 2 + META * j, t)
            constant, error = total(A, constant + more), total(A, error + off)
    A[CONST_OUT], A[ERR_OUT] = constant, error


@compiled
def keep_unstable(A, count):
    """Move the coefficients of variables marked 2 together, in the work row."""
    left = 0
    for j in range(count):
        if A[A[MARK] + j] == 2:
            A[A[WORK_R] + left] = A[A[WORK_R] + j]
            left += 1


@compiled
def mark_wanted(A):
    """MARK = 1 for active and 2 for unstable variables that an open case's rows depend on, else 0; counts the 2."""
    system, mark = A[SYSTEM], A[MARK]
    n = A[system]
    for j in range(n):
        A[mark + j] = 0
    for i in range(A[system + 1]):
        meta = system + 2 + META * (n + i)
        if A[A[ROW_AT] + A[meta + NUMBER]] < 0:
            mark_row(A, meta)
    left = 0
    for j in range(n - 1, -1, -1):
        if A[mark + j] != 0:
            if A[A[HIGH] + j] > 0:
                mark_row(A, system + 2 + META * j)
            if A[A[LOW] + j] < 0 and A[A[HIGH] + j] > 0:
                A[mark + j] = 2
                left += 1
            else:
                A[mark + j] = 1 if A[A[HIGH] + j] > 0 else 0
    return left


@compiled
def mark_row(A, meta):
    there = A[meta + PLACE] + A[meta + S_LAST] - A[meta + S_FIRST]
    for j in range(A[meta + R_FIRST], A[meta + R_LAST]):
        if A[there + j - A[meta + R_FIRST]] != 0:
            A[A[MARK] + j] = 1


@compiled
def substitute(A):
    """A new system at TOP without the variables of known phase, for the rows that open cases need."""
    old = A[SYSTEM]
    n, rows, row_at = A[old], A[old + 1], A[ROW_AT]
    for i in range(A[OPEN_COUNT]):  # the needed rows: negative for now
        case = A[A[OPEN] + i]
        for c in range(A[A[CASE_START] + case], A[A[CASE_START] + case + 1]):
            place = row_at + A[A[CASE_ROW] + c]
            A[place] = -abs(A[place])
    left = mark_wanted(A)
    needed = 0
    for i in range(rows):
        needed += A[row_at + A[old + 2 + META * (n + i) + NUMBER]] < 0
    new = A[TOP]
    A[TOP] = new + 2 + META * (left + needed)
    meta = new + 2
    for i in range(n + rows):
        source = old + 2 + META * i
        if (A[A[MARK] + i] != 2) if i < n else (A[row_at + A[source + NUMBER]] >= 0):
            continue
        compose(A, source)
        keep_unstable(A, n)
        store(A, meta, A[source + NUMBER], A[CONST_OUT], A[ERR_OUT], left)
        meta += META
    A[new], A[new + 1], A[SYSTEM] = left, needed, new
    kept = 0
    for j in range(n):
        if A[A[MARK] + j] == 2:
            A[A[LOW] + kept], A[A[HIGH] + kept] = A[A[LOW] + j], A[A[HIGH] + j]
            kept += 1
    place_rows(A)


@compiled
def place_rows(A):
    """ROW_AT for the node's system."""
    system = A[SYSTEM]
    for r in range(A[ROW_AT], A[ROW_AT] + A[ROWS]):
        A[r] = 0
    for i in range(A[system + 1]):
        meta = system + 2 + META * (A[system] + i)
        A[A[ROW_AT] + A[meta + NUMBER]] = meta


@compiled
def clip(A, form):
    """Shrink the box to where the form at `form` can be <= 0; False when that is nowhere."""
    d, box = A[INPUTS], A[BOX]
    parts = A[WORK_S]
    least = A[form + d]
    for k in range(d):
        a = A[form + k]
        A[parts + k] = product(a, A[box + k] if a > 0 else A[box + d + k])
        least = total(A, least + A[parts + k])
    for k in range(d):
        a, room = A[form + k], A[parts + k] - least
        if a == 0:
            continue
        size, away = abs(a), abs(room)
        if (a > 0 and room < 0 and away >= size) or (a < 0 and room < 0 and away >= 2 * size):
            return False
        if room >= 0:
            if a > 0 and room < size:
                q, rest = quotient(room, size)
                A[box + d + k] = min(A[box + d + k], q + rest)
        elif a > 0:
            A[box + d + k] = min(A[box + d + k], -quotient(away, size)[0])
        else:
            whole = away // size  # 0 or 1
            q, _ = quotient(away - whole * size, size)
            A[box + k] = max(A[box + k], whole * ONE + q)
        if A[box + k] > A[box + d + k]:
            return False
    return True
