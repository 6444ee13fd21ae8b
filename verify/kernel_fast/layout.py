"""Where things are in the flat array A of 64-bit integers that the compiled kernel works on; it begins with a header.

Offsets are places in A.  V values: all blocks' rows in order, then the query's rows, which only the root's tables hold.
"""

from __future__ import annotations

(
    SIZE,  # length of A
    INPUTS,  # d
    VALUES,  # number of blocks' rows
    ROWS,  # number of the query's rows
    CASES,  # number of cases
    MOST,  # most variables there can be
    GUARD,  # not 0 once a number left its range
    BLOCKS,  # number of blocks
    BLOCK_START,  # (blocks + 1,) first value of each
    RELU,  # (V,) 1 = relu
    VALUE_LOW,  # (V,) bounds of pre-activations
    VALUE_HIGH,
    VARIABLE,  # (V,) number of the variable, -1: none
    TWIN,  # (V,) the value that this one is the negation of, -1: none
    W_START,  # (V + rows + 1,) entries over values …
    W_COLUMN,
    W_VALUE,
    S_START,  # … and over s
    S_COLUMN,
    S_VALUE,
    CONSTANT,  # (V + rows,)
    ERROR,
    WORK_VALUES,  # (V,) zero between uses
    WORK_S,  # (d,)
    WORK_R,  # (most,)
    STRICT,  # (rows,) 1 = strict
    CASE_START,  # (cases + 1,) into CASE_ROW
    CASE_ROW,
    ROW_AT,  # (rows,) place of a row's meta numbers in the node's system, 0: not there
    VALID,  # (rows,) 1 = bounded in this node
    LEAST,  # (rows,)
    FORM,  # (rows, d + 1) what was found: coefficients, constant
    BOX,  # (2 d,) of the node
    LOW,  # (most,) of the node's variables
    HIGH,
    SLOPE,  # (most,) -1: the default
    BETA,  # (most,)
    SHARE,  # (3, most) of relaxed variables: their bounds when the slope of their chord was computed, and that
    POSITION,  # (most,) in the node's system, by number; -1: not there
    MARK,  # (most,) scratch
    OPEN,  # (cases,) the open ones; how many: OPEN_COUNT
    OPEN_COUNT,
    SYSTEM,  # the node's system; 0: the node is closed
    TOP,  # first place that is free
    NEXT,  # last frame, 0: none
    NEED,  # places missing, when the array is too small; where the step begins whose weights do not close the node
    AT_BLOCK,  # how far building is; ALL_BUILT, then WALKING
    AT_ROW,
    POS,  # place in the payload
    END,  # its length
    IN_NODE,  # 1 = in the middle of a node's steps
    RULE,  # what closed the node: BY_BOUND, BY_WEIGHTS, BY_EXACT, BY_AFRESH
    COUNTS,  # (4,) leaves by rule
    COUNTS_1,
    COUNTS_2,
    COUNTS_3,
    REACH,  # no entry of the work row is larger in size
    PATIENCE,  # products to make before returning
    CONST_OUT,  # results of functions
    ERR_OUT,
    HEADER,
) = range(61)

META = 10  # numbers per row of a system: its own, constant, error, place of its coefficients, bands of s and of r, …
NUMBER, META_CONSTANT, META_ERROR, PLACE, S_FIRST, S_LAST, R_FIRST, R_LAST = range(8)
LARGEST, NONZERO = 8, 9  # … the largest |coefficient|, and how many are not zero

BY_BOUND, BY_WEIGHTS, BY_EXACT, BY_AFRESH = range(4)
ALL_BUILT, WALKING = -1, -2
SUM_BITS = 61  # sums stay below 2^61 in size
DONE, MORE, OPEN_LEAF, EXACT_STEP, AFRESH_STEP, PAUSED, BUILT, REFUSED, REJECTED, NOT_CLOSED = range(10)  # statuses
