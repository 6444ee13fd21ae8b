"""What a search by boxes writes down, compiled: steps of verify.kernel.walk, but see verify.search.box_proof."""

from __future__ import annotations

import numpy as np

from verify.search.compiled.layout import LOG, LOG_USED
from verify.search.compiled.system import compiled

# Typed: Numba would compile `log` anew for every literal.
LEAF, TIGHTEN, REDUCE, BOUND, CLIP, WEIGHTED, LOW, HIGH = map(np.int64, (0, 1, 2, 3, 4, 5, 7, 8))


@compiled
def log(P, step):
    """Note one step of the proof; the caller of `explore` made room for all of them."""
    P[P[LOG] + P[LOG_USED]] = step
    P[LOG_USED] += 1


@compiled
def log_number(P, number):
    """As verify.core.payload reads it."""
    rest = number
    while rest >= 128:
        log(P, 128 + rest % 128)
        rest //= 128
    log(P, rest)


@compiled
def log_split(P, axis, upper_first):
    """A split of an input."""
    log(P, HIGH if upper_first else LOW)
    log_number(P, axis)
