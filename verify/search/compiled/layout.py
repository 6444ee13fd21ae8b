"""Where things are in the two flat arrays that the compiled search works on (integers P, floats F).

P begins with the header below.
"""

from __future__ import annotations

(
    INT_LENGTH,  # length of P
    FLOAT_LENGTH,  # length of F
    INPUTS,  # d
    ROWS,  # query rows
    CASES,
    CASE_LENGTH,  # rows per case, padded by repeating the first
    CASE_ROWS,  # P offset: (CASES, CASE_LENGTH) row numbers
    STRICT,  # P offset: (ROWS,) 1 = strict
    MASK,  # P offset: (CASES,) scratch, 1 = open
    NEEDED,  # P offset: (ROWS,) scratch, 1 = some open case uses the row
    INT_FRAMES,  # P offset: frames of FRAME_INTS integers
    FRAME_INTS,
    FRAMES,  # F offset: frames of FRAME_FLOATS floats
    FRAME_FLOATS,
    FRAME_LIMIT,
    DEPTH,  # frames in use
    DEPTH_LIMIT,  # a box split so often goes to the exact judge
    ARENA,  # F offset: systems
    ARENA_SIZE,
    WIDEST,  # largest number of unstable ReLUs
    SCRATCH,  # F offset
    TINY,  # F offset: underflow allowance
    ROOT_WIDTHS,  # F offset: (d,) widths of the root box
    CLOSED_SHARE,  # F offset
    POINT,  # F offset: candidate point (d), then leaf box (2 d) and share
    JUDGE_BELOW,  # boxes with at most so many unstable ReLUs go to the exact judge
    BY_PHASES,  # 1 = the arrays are for splitting ReLU phases, not inputs
    REFINE,  # by phases: the ReLU to refine at the root, -1 for none
    REFINE_SPLITS,  # by phases: how often the box may be split for one bound of it
    BOX_LIMIT,  # boxes to visit before returning
    BOXES_DONE,  # total so far
    LOG,  # P offset: the steps taken, as verify.search.box_proof or phase_proof reads them
    LOG_SIZE,
    LOG_USED,
    NUMBERS,  # F offset, by phases: what closed the nodes that the log calls leaves
    NUMBERS_SIZE,
    NUMBERS_USED,
    HEADER,  # length of this header
) = range(38)

META = 6  # numbers per row of a system before its coefficients

LOG_SLOPES = 1 << 13  # words for what closes a box by slopes, at most
LOG_PER_BOX = LOG_SLOPES + 32  # … and four rounds of three steps, one reduction, a split, a number of cases, a leaf
LOG_WORDS = 1 << 18  # room for steps; a session whose log is full returns
PHASE_LOG_WORDS = 1 << 14
SLOPE_UNITS = 256.0  # slopes are multiples of 1/256, as in verify.kernel.system

DONE, OUT_OF_BOXES, CANDIDATE, LEAF, FULL, MISTAKEN = range(6)  # what an entry returns; the last: not its arrays
