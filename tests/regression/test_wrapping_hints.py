"""The compiled kernel took a false proof: gaps between numbers of variables wrapped around, and wrote where they liked.

Each gap may have 56 bits; some 128 of them overflowed 64 bits, and a negative number passed as one that is in range.
"""

from __future__ import annotations

import itertools

import pytest

from tests.kernel.test_check import payload
from tests.kernel_fast.test_known import CLAIM
from tests.search.networks import compiled_entry
from verify.core.payload import varint
from verify.kernel import RejectedError, check
from verify.kernel.walk import LEAF, WEIGHTED
from verify.kernel_fast import check_fast

WIDEST = (1 << 56) - 1
NONE = varint(0)


def hints(*gaps: int) -> bytes:
    return varint(len(gaps)) + b"".join(varint(gap) + varint(1) for gap in gaps)


@pytest.mark.parametrize("last", [0, 1, 127, 128, 129, 200, 5000, 1 << 20, 4_000_000_000, WIDEST])
@pytest.mark.parametrize("betas", [False, True])
@pytest.mark.parametrize("count", [127, 128, 129, 255, 256, 257])
def test_gaps_that_wrap_around_are_read_as_by_the_reference(last: int, betas: bool, count: int) -> None:
    compiled_entry("kernel")
    wrapping = hints(*itertools.repeat(WIDEST, count), last)
    steps = bytes([WEIGHTED, 1, 0, 16]) + (NONE + wrapping if betas else wrapping + NONE) + bytes([LEAF])
    for judge in (check, lambda *words: check_fast(*words, plain=False)):
        with pytest.raises(RejectedError):
            judge(CLAIM, payload(*steps, scales=(1, 2, 3)), "unsat")
