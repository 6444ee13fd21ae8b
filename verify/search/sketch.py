"""What the search did, region by region, in the words of a proof: the raw material of a certificate.

Nothing here is trusted: `verify.search.certify` follows a sketch with the kernel's own arithmetic and mends it where
float64 had closed a box that integers leave open.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from verify.core.floats import FloatPlan
from verify.kernel.walk import BOUND, LEAF, REDUCE, TIGHTEN

DIRECT = bytes([BOUND, LEAF])  # at a root: the kernel has bounded every ReLU while building it
AGAIN = bytes([TIGHTEN, REDUCE, BOUND, LEAF])  # one bound pass of a smaller box
OPEN = bytes([LEAF])  # a leaf whose proof is still to be found


@dataclass
class Sketch:
    """Steps per region of the query; a region without any was closed by one bound pass.

    The search numbers only the regions that hold a point: its k-th one is number `numbers[k]` of the query.
    """

    numbers: tuple[int, ...] = ()
    plan: FloatPlan | None = None  # the search's; the network's own blocks come first
    steps: dict[int, list[bytes]] = field(default_factory=dict)

    def begin(self, k: int) -> None:
        """Steps of this region follow, from its root."""
        self.steps[self.numbers[k]] = []

    def add(self, k: int, steps: bytes) -> None:
        """Further steps; without a beginning they would make no sense, and are dropped."""
        if self.numbers[k] in self.steps:
            self.steps[self.numbers[k]].append(steps)

    def of(self, number: int) -> bytes:
        """The steps of a region of the query."""
        return b"".join(self.steps.get(number, [DIRECT])) or DIRECT
