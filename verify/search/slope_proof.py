"""Cases closed by slopes, as the kernel reads them: what the search did, or mended where integers leave a leaf open."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from verify.bounds.backward import propagate
from verify.bounds.rounding import float_above, float_below
from verify.bounds.slopes import slope_bounds
from verify.core.floats import FloatPlan, OutOfRangeError
from verify.core.network import Network
from verify.core.normal_form import Box, Region
from verify.core.payload import RejectedError, signed, varint
from verify.kernel.system import ONE
from verify.kernel.walk import LEAF, LOW
from verify.kernel_slopes.comparison import Comparison, Contradiction, Pairings, Place, compare
from verify.kernel_slopes.slopes import Differences, Part, SlopeTree, hull_region
from verify.search.difference import split_axes
from verify.search.scales import UncertifiedError, root_scales
from verify.search.script import Script
from verify.search.sketch import Pattern

MOST_MENDED = 5_000  # leaves split again before the certificate is given up


class Drafts:
    """Writes the sections of one payload, region by region; what was written once is not repeated.

    Raises UncertifiedError.
    """

    def __init__(self, network: Network) -> None:
        self.network = network
        self.pairings: Pairings = {}
        self.hulls: set[tuple[Place, Box]] = set()
        self.shown: set[Contradiction] = set()

    def section(self, region: Region, closed: dict[int, list[Pattern]]) -> bytes:
        out = bytearray(varint(len(closed)))
        for case, patterns in sorted(closed.items()):
            comparison = compare(self.network, region, region.cases[case], self.pairings)
            assert comparison is not None  # the search compared the same
            out += varint(case)
            if (comparison.place, comparison.hull) not in self.hulls:
                self.hulls.add((comparison.place, comparison.hull))
                out += self._hints(comparison)
            for pattern, steps in zip(patterns, comparison.signed_steps(), strict=True):
                contradiction = comparison.contradiction(pattern.row, steps)
                out += varint(pattern.row)
                if contradiction[0] not in self.shown:
                    self.shown.update(contradiction)
                    out += pattern.tree
        return bytes(out)

    def _hints(self, comparison: Comparison) -> bytes:
        model = comparison.pairing.model
        region = hull_region(model, comparison.hull)
        try:
            plan = FloatPlan(model)
        except OutOfRangeError as problem:
            raise UncertifiedError(problem.message) from problem
        return b"".join(map(signed, root_scales(model, region, region.cases[0], plan)))


def remaining(region: Region, closed: dict[int, list[Pattern]]) -> Region | None:
    """The region with the other cases; None when there are none."""
    if not closed:
        return region
    cases = tuple(rows for case, rows in enumerate(region.cases) if case not in closed)
    return replace(region, cases=cases) if cases else None


class MendingDifferences(Differences):
    """Splits leaves that stay open once more, instead of rejecting them."""

    def __init__(self, network: Network, stop: Callable[[], bool]) -> None:
        super().__init__(network, Script(b""), {})
        self.stop, self.mended = stop, 0
        self.plans: dict[int, FloatPlan] = {}

    def mend(self, region: Region, section: bytes) -> bytes:
        """The section with further splits.  Raises RejectedError."""
        script = self.stream = Script(section)
        self.remaining(region)
        return bytes(script.taken)

    def unclosed(self, tree: SlopeTree, part: Part) -> Sequence[Part]:
        script = self.stream
        assert isinstance(script, Script)
        self.mended += 1
        if self.mended > MOST_MENDED or self.stop():
            raise RejectedError("too many leaves of slopes stay open")
        axis = self._axis(tree, part)
        script.replace_last(bytes([LOW]) + varint(axis) + bytes([LEAF, LEAF]))
        return (part,)  # to be visited again

    def _axis(self, tree: SlopeTree, part: Part) -> int:
        """As the search chooses."""
        plan = self.plans.setdefault(id(tree.model), FloatPlan(tree.model.network))
        box, node = tree.root.box, part.node
        sides = [
            [a + (b - a) * s / ONE for s, a, b in zip(ends, box.lower, box.upper, strict=True)]
            for ends in (node.box_low, node.box_high)
        ]
        low = np.array([[float_below(v) for v in sides[0]]])
        high = np.array([[float_above(v) for v in sides[1]]])
        outputs = np.array([float(c) for c in tree.row.outputs])
        with np.errstate(all="ignore"):
            enclosure = propagate(plan, (low, high), len(plan.blocks) - 1)
            influence = slope_bounds(plan, enclosure, (outputs, outputs)).influence
            return int(split_axes(low, high, influence)[0])
