"""Guarded 64-bit arithmetic in units of 2^-P: products in 128 bits, rounded down.

Every factor passes `factor` and every sum passes `total`, which note in A[GUARD] that a number left its range; whatever
was computed afterwards is then thrown away.  |factor| <= 2^50 makes a product's 128 bits shifted by P = 40 at most 2^60
in size, and with sums below 2^61 in size neither that nor the next sum wraps.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from verify.kernel.system import P
from verify.kernel_fast.layout import FACTOR_BITS, GUARD, SUM_BITS

compiled: Any = numba.njit(error_model="numpy", boundscheck=False, nogil=True)
HALF_FACTOR, OUTSIDE_FACTOR = 1 << FACTOR_BITS, ~((1 << (FACTOR_BITS + 1)) - 1)
HALF_SUM, OUTSIDE_SUM = 1 << SUM_BITS, ~((1 << (SUM_BITS + 1)) - 1)
HALF_P = P // 2


@intrinsic
def product(_typing: Any, _a: Any, _b: Any) -> Any:
    """a · b >> P for |a|, |b| <= 2^50, in 128 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        left, right = (builder.sext(x, wide) for x in arguments)
        shifted = builder.ashr(builder.mul(left, right), ir.Constant(wide, P))
        return builder.trunc(shifted, ir.IntType(64))

    return types.int64(types.int64, types.int64), generate


@compiled
def factor(A, x):
    """x, noted if |x| > 2^50 (or about that)."""
    A[GUARD] |= (x + HALF_FACTOR) & OUTSIDE_FACTOR
    return x


@compiled
def total(A, x):
    """x, noted if not -2^61 <= x < 2^61."""
    A[GUARD] |= (x + HALF_SUM) & OUTSIDE_SUM
    return x


@compiled
def quotient(n, d):
    """(n · 2^P // d, whether something is left) for 0 <= n < d < 2^62, by long division."""
    q, rest = 0, n
    if d < 1 << (62 - HALF_P):
        for _ in range(2):
            rest <<= HALF_P
            part = rest // d
            q = (q << HALF_P) + part
            rest -= part * d
    else:
        for _ in range(P):
            q, rest = q << 1, rest << 1
            if rest >= d:
                q, rest = q + 1, rest - d
    return q, rest > 0
