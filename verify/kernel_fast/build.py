"""Compiled twin of `verify.kernel.build.Root`: intervals block by block, then rows over s and ρ of what is unstable."""

from __future__ import annotations

from verify.kernel.system import ONE
from verify.kernel_fast.arithmetic import DOWN, UNIT, UP, compiled, product, total
from verify.kernel_fast.layout import (
    AT_BLOCK,
    AT_ROW,
    BLOCK_START,
    BLOCKS,
    CASES,
    CONSTANT,
    DONE,
    ERROR,
    GUARD,
    HIGH,
    INPUTS,
    LOW,
    META,
    MORE,
    NEED,
    PATIENCE,
    PAUSED,
    REFUSED,
    REJECTED,
    RELU,
    ROWS,
    S_COLUMN,
    S_START,
    S_VALUE,
    SIZE,
    SYSTEM,
    TOP,
    TWIN,
    VALUE_HIGH,
    VALUE_LOW,
    VALUES,
    VARIABLE,
    W_COLUMN,
    W_START,
    W_VALUE,
    WORK_R,
    WORK_S,
    WORK_VALUES,
)
from verify.kernel_fast.system import lower, place_rows, store


@compiled
def interval(A, v, sign):
    """`_least`: a lower bound of sign · row v by intervals."""
    least = sign * A[A[CONSTANT] + v] - A[A[ERROR] + v]
    for k in range(A[A[S_START] + v], A[A[S_START] + v + 1]):
        least = total(A, least + min(sign * A[A[S_VALUE] + k], 0))
    for k in range(A[A[W_START] + v], A[A[W_START] + v + 1]):
        source, w = A[A[W_COLUMN] + k], sign * A[A[W_VALUE] + k]
        end = A[A[VALUE_LOW] + source] if w > 0 else A[A[VALUE_HIGH] + source]
        if A[A[RELU] + source] == 1:
            end = max(end, 0)
        least = total(A, least + product(w, end))
    return least


@compiled
def spread(A, v, t):
    """Work values += t · the row's entries over values, rounded down; returns how many there are."""
    first, last = A[A[W_START] + v], A[A[W_START] + v + 1]
    A[PATIENCE] -= last - first
    for k in range(first, last):
        place = A[WORK_VALUES] + A[A[W_COLUMN] + k]
        A[place] = total(A, A[place] + product(t, A[A[W_VALUE] + k]))
    return last - first


@compiled
def spread_inputs(A, v, t):
    """Work row += t · the row's entries over s, rounded down; returns how many there are."""
    first, last = A[A[S_START] + v], A[A[S_START] + v + 1]
    for k in range(first, last):
        place = A[WORK_S] + A[A[S_COLUMN] + k]
        A[place] = total(A, A[place] + product(t, A[A[S_VALUE] + k]))
    return last - first


@compiled
def compose_value(A, v, block, count):
    """Row v of a block (or of the query, behind the last one) over s and ρ in the work row: (constant, error)."""
    for k in range(A[INPUTS]):
        A[A[WORK_S] + k] = 0
    for j in range(count):
        A[A[WORK_R] + j] = 0
    constant, error = A[A[CONSTANT] + v], A[A[ERROR] + v]
    spread(A, v, UNIT)
    spread_inputs(A, v, UNIT)
    for b in range(block - 1, -1, -1):
        for u in range(A[A[BLOCK_START] + b], A[A[BLOCK_START] + b + 1]):
            t = A[A[WORK_VALUES] + u]
            if t == 0:
                continue
            A[A[WORK_VALUES] + u] = 0
            relu, source = A[A[RELU] + u] == 1, u
            if relu and A[A[VALUE_HIGH] + u] <= 0:
                continue
            if A[A[VARIABLE] + u] >= 0:
                place = A[WORK_R] + A[A[VARIABLE] + u]
                A[place] = total(A, A[place] + t)
                continue
            if relu and A[A[VALUE_LOW] + u] < 0:  # relu(-z) = relu(z) - z
                source = A[A[TWIN] + u]
                place = A[WORK_R] + A[A[VARIABLE] + source]
                A[place] = total(A, A[place] + t)
                t = -t
            constant = total(A, constant + product(t, A[A[CONSTANT] + source]))
            error += product(abs(t), A[A[ERROR] + source]) + 2 + spread_inputs(A, source, t)
            error = total(A, error + spread(A, source, t))
    return constant, error


@compiled
def bound_value(A, v, block):
    """Bounds of one unstable ReLU, which becomes a variable if they leave it so; a status."""
    low, high = A[VALUE_LOW] + v, A[VALUE_HIGH] + v
    partner = A[A[TWIN] + v]
    if partner >= 0 and A[A[VARIABLE] + partner] >= 0:
        A[low] = max(A[low], -A[A[VALUE_HIGH] + partner])
        A[high] = min(A[high], -A[A[VALUE_LOW] + partner])
        return DONE
    system = A[SYSTEM]
    count = A[system]
    meta, top = system + 2 + META * count, A[TOP]
    constant, error = compose_value(A, v, block, count)
    store(A, meta, count, constant, error, count)
    A[low] = max(A[low], lower(A, meta, UP)[1])
    if A[low] < 0:
        A[high] = min(A[high], -lower(A, meta, DOWN)[1])
    if A[low] > A[high]:
        return REJECTED
    if A[low] < 0 and A[high] > 0:
        A[A[VARIABLE] + v] = count
        A[system] = count + 1
        A[A[LOW] + count], A[A[HIGH] + count] = A[low], A[high]
    else:
        A[TOP] = top
    return DONE


@compiled
def build(A):
    """The root system, from where building had stopped; a status."""
    for b in range(A[AT_BLOCK], A[BLOCKS]):
        first, last = A[A[BLOCK_START] + b], A[A[BLOCK_START] + b + 1]
        if A[AT_ROW] == first:
            for v in range(first, last):
                A[A[VALUE_LOW] + v], A[A[VALUE_HIGH] + v] = interval(A, v, UP), -interval(A, v, DOWN)
        for v in range(A[AT_ROW], last):
            A[AT_BLOCK], A[AT_ROW] = b, v
            if A[GUARD] != 0:
                return REFUSED
            if A[PATIENCE] < 0:
                return PAUSED
            if A[A[RELU] + v] == 1 and A[A[VALUE_LOW] + v] < 0 and A[A[VALUE_HIGH] + v] > 0:
                room = A[INPUTS] + A[A[SYSTEM]] + 1
                if A[TOP] + room > A[SIZE]:
                    A[NEED] = room
                    return MORE
                status = bound_value(A, v, b)
                if status != DONE:
                    return status
        for v in range(first, last):
            low, high = A[A[VALUE_LOW] + v], A[A[VALUE_HIGH] + v]
            if A[A[RELU] + v] == 1:
                low, high = max(low, 0), max(high, 0)
            if low < -ONE or high > ONE:
                return REJECTED
        A[AT_BLOCK], A[AT_ROW] = b + 1, last
    return compose_rows(A)


@compiled
def compose_rows(A):
    """The query's rows, behind the variables."""
    system = A[SYSTEM]
    count = A[system]
    need = A[ROWS] * (A[INPUTS] + count) + 3 + A[CASES] + 2 * A[INPUTS] + 2 * count  # and the root's frame
    if A[TOP] + need > A[SIZE]:
        A[NEED] = need
        return MORE
    A[system + 1] = A[ROWS]
    for r in range(A[ROWS]):
        constant, error = compose_value(A, A[VALUES] + r, A[BLOCKS], count)
        store(A, system + 2 + META * (count + r), r, constant, error, count)
    place_rows(A)
    return DONE if A[GUARD] == 0 else REFUSED
