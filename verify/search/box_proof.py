"""From a search by boxes to steps of the kernel: its ReLUs, rows and cases by the kernel's numbers.

The compiled search writes down the kernel's own steps, except that for a box closed by slopes (WEIGHTED) it names, case
by case, the row and some ReLUs, as `Names` numbers them, with their slopes, all behind its length.  How the
kernel numbers its variables is known once its root is built: that of the whole region, or that of a part which begins
afresh.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from verify.bounds.compressed import CompressedSystem, Indices
from verify.core.payload import Stream, varint
from verify.core.query import Row
from verify.kernel.build import Entry
from verify.kernel.walk import AFRESH, HIGH, LOW, WEIGHTED
from verify.search.cutting import cut
from verify.search.phase_proof import RootView, by_variable

WEIGHT = 16  # of the row: slopes times weights are rounded to whole numbers


@dataclass(frozen=True)
class Names:
    """What the numbers in a search's steps mean: the ReLUs' (block, row), the rows, and each case's rows.

    `places` grows with the systems of boxes that are searched anew.
    """

    places: dict[Entry, int]
    rows: Sequence[Row]
    cases: Sequence[frozenset[Row]]

    @classmethod
    def of(cls, rows: Sequence[Row], cases: Indices) -> Names:
        """Of sessions whose systems have these rows behind their ReLUs; cases are row numbers."""
        return cls({}, rows, [frozenset(rows[r] for r in case) for case in cases.tolist()])

    def numbers(self, system: CompressedSystem) -> Indices:
        """By the system's ReLUs, the same for the same one in every system."""
        entries = [(block, row) for block, row in system.places.tolist()]
        return np.array([self.places.setdefault(entry, len(self.places)) for entry in entries], np.int64)


@dataclass(frozen=True)
class BoxSteps:
    """What the search did in one box; without names no step mentions a ReLU."""

    raw: bytes
    names: Names | None = None

    def __call__(self, root: Callable[[], RootView]) -> bytes:
        """As the kernel reads it, in a region with this root."""
        if self.names is None or WEIGHTED not in self.raw:
            return self.raw
        return _Translation(self.names, root()).steps(self.raw)

    def cut(self) -> tuple[BoxSteps, list[BoxSteps]]:
        """As `cutting.cut`."""
        top, parts = cut(self.raw)
        return replace(self, raw=top), [replace(self, raw=part) for part in parts]


class _Translation:
    """From the numbers of a search to those of a root; what is the same for all steps is looked up once."""

    def __init__(self, names: Names, root: RootView) -> None:
        self.names, self.root = names, root
        self.variables = [root.variables.get(entry) for entry in names.places]
        self.numbers: dict[frozenset[Row], list[int]] = {}
        for number, case in enumerate(root.cases):
            self.numbers.setdefault(frozenset(root.rows[r] for r in case), []).append(number)

    def steps(self, raw: bytes) -> bytes:
        stream, out, copied = Stream(raw), bytearray(), 0
        while stream.at < len(raw):
            opcode = stream.byte()
            if opcode in (LOW, HIGH, AFRESH):
                stream.varint()
            elif opcode == WEIGHTED:
                out += raw[copied : stream.at] + self._weighted(stream)
                copied = stream.at
        return bytes(out + raw[copied:])

    def _weighted(self, stream: Stream) -> bytes:
        """One step, without its opcode."""
        stream.varint()  # its length
        cases: dict[int, bytes] = {}
        for _ in range(stream.varint()):
            case, row = self.names.cases[stream.varint()], self.names.rows[stream.varint()]
            slopes = [(self.variables[stream.varint()], stream.varint()) for _ in range(stream.varint())]
            known = by_variable([(variable, slope) for variable, slope in slopes if variable is not None])
            for number in self.numbers.get(case, ()):
                weights = bytes(WEIGHT * (self.root.rows[r] == row) for r in self.root.cases[number])
                cases[number] = varint(number) + weights + known + by_variable([])
        return varint(len(cases)) + b"".join(cases[number] for number in sorted(cases))
