"""Compiled twin of `verify.kernel.walk.Walk`: follows the steps in the payload, or stops where Python is needed."""

from __future__ import annotations

import numba

from verify.kernel.system import ONE, SLOPE_BITS
from verify.kernel.walk import (
    AFRESH,
    BOUND,
    CASES,
    CLIP,
    EXACT,
    HIGH,
    LEAF,
    LOW,
    MOST_CASES,
    PHASES,
    REDUCE,
    TIGHTEN,
    WEIGHTED,
)
from verify.kernel_fast import layout as at
from verify.kernel_fast.arithmetic import NOTHING, UP, compiled, total
from verify.kernel_fast.build import build
from verify.kernel_fast.layout import (
    AFRESH_STEP,
    ALL_BUILT,
    BUILT,
    BY_BOUND,
    BY_WEIGHTS,
    DONE,
    EXACT_STEP,
    META,
    MORE,
    NOT_CLOSED,
    OPEN_LEAF,
    PAUSED,
    REFUSED,
    REJECTED,
    WALKING,
)
from verify.kernel_fast.system import add_form, clear, clip, lower, place_rows, relax_down, substitute, tighten

BAD = -1  # no number: the payload ends, or the number is larger than any that means something
LONGEST = 56  # bits of a number


@compiled
def varint(A, B):
    number = shift = 0
    while A[at.POS] < A[at.END] and shift < LONGEST:
        byte = numba.int64(B[A[at.POS]])
        A[at.POS] += 1
        number |= (byte & 127) << shift
        if byte < 128:
            return number
        shift += 7
    return BAD


@compiled
def frame_size(A):
    return 3 + A[at.OPEN_COUNT] + 2 * A[at.INPUTS] + 2 * (A[A[at.SYSTEM]] if A[at.SYSTEM] != 0 else 0)


@compiled
def push(A):
    """The node as it is becomes the last frame."""
    place = A[at.TOP]
    A[place], A[place + 1], A[place + 2] = A[at.NEXT], A[at.SYSTEM], A[at.OPEN_COUNT]
    A[at.NEXT] = place
    place += 3
    if A[at.SYSTEM] != 0:
        n = A[A[at.SYSTEM]]
        for start, count in (
            (A[at.OPEN], A[at.OPEN_COUNT]),
            (A[at.BOX], 2 * A[at.INPUTS]),
            (A[at.LOW], n),
            (A[at.HIGH], n),
        ):
            for k in range(start, start + count):
                A[place] = A[k]
                place += 1
    A[at.TOP] = place


@compiled
def pop(A):
    """The last frame becomes the node."""
    place = A[at.NEXT]
    A[at.TOP], A[at.NEXT], A[at.SYSTEM], A[at.OPEN_COUNT] = place, A[place], A[place + 1], A[place + 2]
    place += 3
    if A[at.SYSTEM] != 0:
        n = A[A[at.SYSTEM]]
        for start, count in (
            (A[at.OPEN], A[at.OPEN_COUNT]),
            (A[at.BOX], 2 * A[at.INPUTS]),
            (A[at.LOW], n),
            (A[at.HIGH], n),
        ):
            for k in range(start, start + count):
                A[k] = A[place]
                place += 1
        place_rows(A)
        forget_bounds(A)
    A[at.RULE], A[at.IN_NODE] = BY_BOUND, 1


@compiled
def forget_bounds(A):
    for r in range(A[at.VALID], A[at.VALID] + A[at.ROWS]):
        A[r] = 0


@compiled
def bound_case(A, case):
    """Bound a case's rows until one of them closes it: True."""
    d = A[at.INPUTS]
    for c in range(A[A[at.CASE_START] + case], A[A[at.CASE_START] + case + 1]):
        r = A[A[at.CASE_ROW] + c]
        if A[A[at.VALID] + r] == 0:
            constant, least = lower(A, A[A[at.ROW_AT] + r], UP)
            form = A[at.FORM] + r * (d + 1)
            for k in range(d):
                A[form + k] = A[A[at.WORK_S] + k]
            A[form + d], A[A[at.LEAST] + r], A[A[at.VALID] + r] = constant, least, 1
        least = A[A[at.LEAST] + r]
        if least > 0 or (least == 0 and A[A[at.STRICT] + r] == 1):
            return True
    return False


@compiled
def bound(A):
    forget_bounds(A)
    left = 0
    for i in range(A[at.OPEN_COUNT]):
        case = A[A[at.OPEN] + i]
        if not bound_case(A, case):
            A[A[at.OPEN] + left] = case
            left += 1
    A[at.OPEN_COUNT] = left
    if left == 0:
        A[at.SYSTEM] = 0


@compiled
def clip_node(A):
    """False: a row of the case has no bound."""
    if A[at.OPEN_COUNT] != 1:
        return True
    case = A[A[at.OPEN]]
    first, last = A[A[at.CASE_START] + case], A[A[at.CASE_START] + case + 1]
    for c in range(first, last):
        if A[A[at.VALID] + A[A[at.CASE_ROW] + c]] == 0:
            return False
    for c in range(first, last):
        if not clip(A, A[at.FORM] + A[A[at.CASE_ROW] + c] * (A[at.INPUTS] + 1)):
            A[at.SYSTEM] = 0
            return True
    return True


@compiled
def read_hints(A, B, place, limit, system):
    """Numbers 0 … limit by variable, to where the node has it; False when they are malformed."""
    j, count = -1, varint(A, B)
    for _ in range(count):
        gap, value = varint(A, B), varint(A, B)
        if gap < 0 or value < 0 or value > limit:
            return False
        j = min(j + 1 + gap, A[at.MOST])  # there is none of that number or above; a sum of many gaps would wrap around
        if system != 0 and j < A[at.MOST] and A[A[at.POSITION] + j] >= 0:
            A[place + A[A[at.POSITION] + j]] = value
    return count >= 0


@compiled
def prepare_hints(A, system):
    """Default hints for every variable of the system, and where each is."""
    for j in range(A[at.MOST]):
        A[A[at.POSITION] + j] = -1
    for i in range(A[system] if system != 0 else 0):
        A[A[at.POSITION] + A[system + 2 + META * i]] = i
        A[A[at.SLOPE] + i], A[A[at.BETA] + i] = -1, 0


@compiled
def weigh(A, B, case, place):
    """Combine the rows of a case with the weights at `place` and bound that: whether it closes the case."""
    system = A[at.SYSTEM]
    n, first = A[system], A[A[at.CASE_START] + case]
    clear(A, n)
    constant, error, strict = NOTHING, NOTHING, False
    for c in range(first, A[A[at.CASE_START] + case + 1]):
        gamma, r = numba.int64(B[place + c - first]), A[A[at.CASE_ROW] + c]
        more, off = add_form(A, A[A[at.ROW_AT] + r], gamma * ONE)
        constant, error = total(A, constant + more), total(A, error + off)
        strict = strict or (gamma > 0 and A[A[at.STRICT] + r] == 1)
    least = relax_down(A, n, constant, error, True)[1]
    return least > 0 or (least == 0 and strict)


@compiled
def weighted(A, B):
    """`Walk.weighted`: DONE, NOT_CLOSED when some open case stays open, REJECTED when the step is malformed."""
    count, system, closed = varint(A, B), A[at.SYSTEM], True
    for number in range(count):
        case = varint(A, B)
        if case < 0 or case >= A[at.CASES]:
            return REJECTED
        place = A[at.POS]
        A[at.POS] += A[A[at.CASE_START] + case + 1] - A[A[at.CASE_START] + case]
        if A[at.POS] > A[at.END]:
            return REJECTED
        prepare_hints(A, system)
        if not read_hints(A, B, A[at.SLOPE], UP << SLOPE_BITS, system):
            return REJECTED
        if not read_hints(A, B, A[at.BETA], UP << 50, system):
            return REJECTED
        if system != 0 and closed:
            closed = number < A[at.OPEN_COUNT] and A[A[at.OPEN] + number] == case and weigh(A, B, case, place)
    if count < 0:
        return REJECTED
    return DONE if system == 0 or (closed and count == A[at.OPEN_COUNT]) else NOT_CLOSED


@compiled
def split_input(A, k, low_first):
    """Push both halves; False when there are none."""
    if A[at.SYSTEM] != 0:
        low, high = A[at.BOX] + k, A[at.BOX] + A[at.INPUTS] + k
        if k < 0 or k >= A[at.INPUTS]:
            return False
        bottom, top = A[low], A[high]
        middle = (bottom + top) >> 1
        if middle == bottom:
            return False
    for half in range(2):
        if A[at.SYSTEM] != 0:
            lower_half = (half == 1) == low_first  # the half to visit first is pushed last
            A[low], A[high] = (bottom, middle) if lower_half else (middle, top)
        push(A)
    return k >= 0


@compiled
def split_phase(A, j):
    """Push active, then inactive; False when the variable cannot be split."""
    system, place = A[at.SYSTEM], -1
    for i in range(A[system] if system != 0 else 0):
        if A[system + 2 + META * i] == j:
            place = i
    if j < 0 or (system != 0 and place < 0):
        return False
    low, high = A[at.LOW] + place, A[at.HIGH] + place
    if system != 0:
        bottom, top = A[low], A[high]
        if bottom >= 0 or top <= 0:
            return False
        A[low] = 0
    push(A)
    if system != 0:
        A[low], A[high] = bottom, 0
    push(A)
    return True


@compiled
def split_cases(A, count):
    """Push a node for each open case; False when their number is another one."""
    if count < 0 or count > MOST_CASES or (A[at.SYSTEM] != 0 and count != A[at.OPEN_COUNT]):
        return False
    if A[at.SYSTEM] == 0:
        A[at.OPEN_COUNT] = 0
        if A[at.TOP] + 3 * count > A[at.SIZE]:
            return False
        for _ in range(count):
            push(A)
        return True
    A[at.OPEN_COUNT] = 1
    for number in range(count - 1, -1, -1):
        first, chosen = A[A[at.OPEN]], A[A[at.OPEN] + number]
        A[A[at.OPEN]] = chosen
        push(A)
        A[A[at.OPEN]] = first
    return True


@compiled
def room_for_a_step(A):
    """How many places one more step can take at most."""
    if A[at.SYSTEM] == 0:
        return 6
    n, rows = A[A[at.SYSTEM]], A[A[at.SYSTEM] + 1]
    return max(max(2, A[at.OPEN_COUNT]) * frame_size(A), 2 + (n + rows) * (META + A[at.INPUTS] + n))


@compiled
def node_step(A, opcode):
    """A step that neither ends the node nor needs Python; False when it must be rejected."""
    if opcode == TIGHTEN:
        if A[at.SYSTEM] != 0 and not tighten(A):
            A[at.SYSTEM] = 0
    elif opcode == REDUCE:
        if A[at.SYSTEM] != 0:
            substitute(A)
    elif opcode == BOUND:
        if A[at.SYSTEM] != 0:
            bound(A)
    elif opcode == CLIP:
        return A[at.SYSTEM] == 0 or clip_node(A)
    else:
        return False
    return True


@compiled
def walk(A, B):
    """Go on until the tree ends or something needs the caller; returns a status of `layout`."""
    while True:
        if A[at.IN_NODE] == 0:
            if A[at.NEXT] == 0:
                return DONE
            pop(A)
        need = room_for_a_step(A)
        if A[at.TOP] + need > A[at.SIZE]:
            A[at.NEED] = need
            return MORE
        if A[at.PATIENCE] < 0:
            return PAUSED
        if A[at.POS] >= A[at.END]:
            return REJECTED
        opcode = B[A[at.POS]]
        if opcode == EXACT and A[at.SYSTEM] != 0:
            return EXACT_STEP
        if opcode == AFRESH:
            return AFRESH_STEP
        A[at.POS] += 1
        if opcode == LEAF:
            if A[at.SYSTEM] != 0:
                return OPEN_LEAF
            A[at.COUNTS + A[at.RULE]] += 1
            A[at.IN_NODE] = 0
        elif opcode in (LOW, HIGH):
            A[at.IN_NODE] = 0
            if not split_input(A, varint(A, B), opcode == LOW):
                return REJECTED
        elif opcode == PHASES:
            A[at.IN_NODE] = 0
            if not split_phase(A, varint(A, B)):
                return REJECTED
        elif opcode == CASES:
            A[at.IN_NODE] = 0
            if not split_cases(A, varint(A, B)):
                return REJECTED
        elif opcode == WEIGHTED:
            begun = A[at.POS] - 1
            status = weighted(A, B)
            if A[at.GUARD] != 0:
                return REFUSED
            if status != DONE:
                A[at.NEED] = begun
                return status
            A[at.SYSTEM], A[at.RULE] = 0, BY_WEIGHTS
        elif not node_step(A, opcode):
            return REJECTED
        if A[at.GUARD] != 0:
            return REFUSED


@compiled
def run(A, B):
    if A[at.AT_BLOCK] >= 0:
        status = build(A)
        if status != DONE:
            return status
        A[at.AT_BLOCK] = ALL_BUILT
    if A[at.AT_BLOCK] == ALL_BUILT:
        if A[at.END] == 0:
            return BUILT
        A[at.AT_BLOCK] = WALKING
        push(A)
    return walk(A, B)


def entry(integers, payload):
    """The compiled entry: two raw pointers; the arrays' lengths stand in the first one's header."""
    A = numba.carray(integers, (integers[at.SIZE],))
    B = numba.carray(payload, (A[at.END],))
    return run(A, B)
