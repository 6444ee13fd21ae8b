"""What a model computes in float32: its original operations with their roundings (standard library only).

A program's network is the same exact function as the model's network, but nothing in it is folded: every operation of
the ONNX graph that rounds has a block of its own.
"""

from __future__ import annotations

import hashlib
from array import array
from dataclasses import dataclass
from functools import cached_property

from verify.core.network import Network

DIGEST_HEADER = b"verify/program/1\n"
MOST_ROUNDINGS = 1 << 20  # that one summand may pass through


@dataclass(frozen=True, eq=False)
class Program:
    """A network and, for each row of each block, how often float32 evaluation may round its summands.

    Every order of evaluation in IEEE float32, round to nearest, with or without fused multiply-add or sums of higher
    precision, computes row i of block k from the operands v as Σ w_j v_j (1 + δ_j) + b (1 + δ_b) + η, where 1 + δ_j is
    a product of at most products[k][i] factors 1 + δ, 1 + δ_b of at most biases[k][i], each |δ| <= 2^-24, and
    |η| <= 2^-149 times the number of summands (underflow).  Where both are 0 the row is exact.
    """

    network: Network
    products: tuple[array[int], ...]
    biases: tuple[array[int], ...]

    def __post_init__(self) -> None:
        for counts in (self.products, self.biases):
            if [len(c) for c in counts] != [b.size for b in self.network.blocks]:
                raise ValueError("one number of roundings per row")
            if any(not 0 <= n <= MOST_ROUNDINGS for c in counts for n in c):
                raise ValueError("a number of roundings is out of range")

    @cached_property
    def digest(self) -> str:
        """SHA-256 (hex) of the exact network and of all numbers of roundings."""
        hasher = hashlib.sha256(DIGEST_HEADER + self.network.digest.encode())
        for counts in (*self.products, *self.biases):
            hasher.update((",".join(map(str, counts)) + ";").encode())
        return hasher.hexdigest()
