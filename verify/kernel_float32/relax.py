"""float32 semantics: a query relaxed so that it covers every float32 evaluation of its models.

If the float32 outputs y32 satisfy a row c·y32 <= bound, then the exact outputs y satisfy c·y <= bound + E for every
E >= |c·(y32 - y)|.  E is computed part by part: each region of the query's normal form is halved as the payload says,

    per region, in preorder:   0  this part stays whole     1 + j  its halves along variable j follow, lower half first

and every part is a region of the relaxed query, with its rows over outputs relaxed by its own E.  What follows in the
payload is a proof of the relaxed query over the reals.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property

from verify.core.normal_form import Box, Region, normal_form
from verify.core.payload import RejectedError, Stream
from verify.core.program import Program
from verify.core.query import Affine, And, Coefficients, Copy, Formula, Or, Query, Row, conjunction, disjunction
from verify.kernel.check import Checked, Claim
from verify.kernel_float32.rounding import ONE, Rounding, Spread

MAX_PARTS = 1 << 14
DIGITS = 16  # binary, of E: it is rounded up to so many
Check = Callable[[Query, bytes, Claim], Checked]


def check_float32(query: Query, programs: Mapping[str, Program], payload: bytes, claim: Claim, check: Check) -> Checked:
    """Check a payload against "no x satisfies assumption and violation, whatever float32 evaluation gives the outputs".

    `programs`: of each model by name; `check`: the kernel's entry for the reals.  "vacuous" speaks of inputs alone and
    is the same in both semantics.
    Guarantee: exact integer arithmetic; the payload holds hints only.  Raises RejectedError, QueryError.
    """
    if claim == "vacuous":
        return check(query, payload, claim)
    stream = Stream(payload)
    relaxed = relax(Rounded(query, programs), stream)
    return check(relaxed, payload[stream.at :], claim)


def relax(rounded: Rounded, stream: Stream) -> Query:
    """The relaxed query, for the parts that the stream names.  Its assumption is that of the query on inputs."""
    query = rounded.query
    parts: list[Formula] = []
    for region in normal_form(query).regions:
        for box in _parts(region.box, stream):
            if len(parts) >= MAX_PARTS:
                raise RejectedError(f"more than {MAX_PARTS} parts")
            parts.append(rounded.part(box).relaxed(region))
    return replace(query, assumption=inputs_only(query.assumption), violation=disjunction(parts))


def inputs_only(formula: Formula) -> Formula:
    """The formula with every row over outputs replaced by true (a weaker formula)."""
    if isinstance(formula, And):
        return conjunction(inputs_only(c) for c in formula.children)
    if isinstance(formula, Or):
        return disjunction(inputs_only(c) for c in formula.children)
    return formula if not formula.outputs else And(())


def _parts(box: Box, stream: Stream) -> Iterator[Box]:
    pending = [box]
    while pending:
        part = pending.pop()
        axis = stream.varint() - 1
        if axis < 0:
            yield part
        elif axis >= len(part.lower):
            raise RejectedError(f"there is no variable {axis}")
        else:
            pending += reversed(halves(part, axis))
        if len(pending) > MAX_PARTS:
            raise RejectedError(f"more than {MAX_PARTS} parts")


def halves(box: Box, axis: int) -> tuple[Box, Box]:
    """Both halves along a variable; they share the dividing face."""
    middle = ((box.lower[axis] + box.upper[axis]) / 2,)
    return (
        Box(box.lower, box.upper[:axis] + middle + box.upper[axis + 1 :]),
        Box(box.lower[:axis] + middle + box.lower[axis + 1 :], box.upper),
    )


class Rounded:
    """A query with the float32 programs of its models.  Raises RejectedError where they do not fit each other."""

    def __init__(self, query: Query, programs: Mapping[str, Program]) -> None:
        self.query = query
        self.roundings: dict[str, Rounding] = {}
        self._known: dict[Box, dict[Coefficients, Bound]] = {}
        if query.chained:
            raise RejectedError("float32: a copy is fed with what others give")
        position = 0
        for copy in query.copies:
            if copy.model not in programs:
                raise RejectedError(f"float32: there is no program of model {copy.model[:80]!r}")
            if copy.model not in self.roundings:
                self.roundings[copy.model] = Rounding(programs[copy.model])
            network = self.roundings[copy.model].network
            if copy.first_output != position or len(copy.raw_inputs) != network.input_size:
                raise RejectedError(f"float32: copy {copy.label[:80]!r} does not fit its model")
            position += network.output_size
        if position != query.network.output_size:
            raise RejectedError("float32: the copies have other outputs than the query")

    def part(self, box: Box) -> Part:
        """What rounding may change where the variables are in the box."""
        return Part(self, box, self._known.setdefault(box, {}))

    def spreads(self, box: Box) -> list[tuple[Copy, Spread]]:
        """How far the float32 values of each copy spread.  Raises RejectedError where one may be beyond 2^100."""
        symbols = [i for i, (low, high) in enumerate(zip(box.lower, box.upper, strict=True)) if low < high]
        number = {i: k for k, i in enumerate(symbols)}
        spreads = []
        for copy in self.query.copies:
            inputs = [_over_symbols(affine, box, number) for affine in copy.raw_inputs]
            spreads.append((copy, Spread(self.roundings[copy.model], inputs, len(symbols))))
        return spreads


def _over_symbols(affine: Affine, box: Box, number: Mapping[int, int]) -> Affine:
    """An affine function of the variables as one of symbols in [-1, 1] that run through the box."""
    constant, coefficients = affine.constant, []
    for i, c in affine.coefficients:
        constant += c * (box.lower[i] + box.upper[i]) / 2
        if i in number:
            coefficients.append((number[i], c * (box.upper[i] - box.lower[i]) / 2))
    return Affine(tuple(coefficients), constant)


@dataclass(frozen=True, eq=False)
class Bound:
    """The error of a row in a part; by copy, how much the row changes with each input at most (for the search)."""

    error: Fraction
    slopes: list[list[int]]


@dataclass(frozen=True, eq=False)
class Part:
    """A box, and the errors of rows found so far."""

    rounded: Rounded
    box: Box
    known: dict[Coefficients, Bound]

    @cached_property
    def spreads(self) -> list[tuple[Copy, Spread]]:
        return self.rounded.spreads(self.box)

    def relaxed(self, region: Region) -> Formula:
        """The points of the box where the region's rows hold, and a case's rows up to their errors."""
        sides: list[Formula] = []
        for i, (low, high) in enumerate(zip(self.box.lower, self.box.upper, strict=True)):
            sides += [Row.of({i: -1}, {}, -low), Row.of({i: 1}, {}, high)]
        cases = disjunction(conjunction(self._row(row) for row in case) for case in region.cases)
        return conjunction([*sides, *region.rows, cases])

    def _row(self, row: Row) -> Row:
        return replace(row, bound=row.bound + self.error(row.outputs)) if row.outputs else row

    def error(self, outputs: Coefficients) -> Fraction:
        """E >= |Σ outputs · (float32 outputs - exact outputs)|.  Raises RejectedError as `spreads`."""
        if outputs not in self.known:
            given, units, slopes = dict(outputs), 0, []
            for copy, spread in self.spreads:
                size = spread.rounding.network.output_size
                own = [given.get(copy.first_output + i, Fraction(0)) for i in range(size)]
                more, steep = spread.error(own)
                units += more
                slopes.append(steep)
            spare = max(0, units.bit_length() - DIGITS)
            self.known[outputs] = Bound(Fraction(-(-units >> spare) << spare, ONE), slopes)
        return self.known[outputs].error
