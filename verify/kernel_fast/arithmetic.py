"""Guarded 64-bit arithmetic in units of 2^-P: products in 128 bits, rounded down.

Sums pass `total`, which notes in A[GUARD] that it left [-2^61, 2^61); whatever was computed afterwards is then
thrown away.  A product outside that range becomes 2^62, so that the sum it goes into is outside too, and cannot wrap.
Where a row as a whole is known to stay inside, `plain_product` and bare sums do.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from verify.kernel.system import ONE, P
from verify.kernel_fast.layout import GUARD, SUM_BITS

compiled: Any = numba.njit(error_model="numpy", boundscheck=False, nogil=True)
HALF, OUTSIDE = 1 << SUM_BITS, ~((1 << (SUM_BITS + 1)) - 1)
HALF_P = P // 2
# Typed: Numba compiles a function anew for every literal it is called with.
UP, DOWN, UNIT, NOTHING = np.int64(1), np.int64(-1), np.int64(ONE), np.int64(0)


@intrinsic
def product(_typing: Any, _a: Any, _b: Any) -> Any:
    """a · b >> P, or 2^62 where that is not in [-2^61, 2^61)."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        left, right = (builder.sext(x, wide) for x in arguments)
        shifted = builder.ashr(builder.mul(left, right), wide(P))
        inside = builder.icmp_unsigned("<", builder.add(shifted, wide(HALF)), wide(2 * HALF))
        return builder.select(inside, builder.trunc(shifted, ir.IntType(64)), ir.IntType(64)(2 * HALF))

    return types.int64(types.int64, types.int64), generate


@intrinsic
def plain_product(_typing: Any, _a: Any, _b: Any) -> Any:
    """a · b >> P where that fits 64 bits."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        left, right = (builder.sext(x, wide) for x in arguments)
        return builder.trunc(builder.ashr(builder.mul(left, right), wide(P)), ir.IntType(64))

    return types.int64(types.int64, types.int64), generate


@compiled
def total(A, x):
    """x, noted if not -2^61 <= x < 2^61."""
    A[GUARD] |= (x + HALF) & OUTSIDE
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
