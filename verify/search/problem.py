"""A query made ready for search: its rows as one more block of the network, its regions as float64 boxes."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from verify.bounds.rounding import float_above, float_below
from verify.core.exact import Numbers
from verify.core.floats import FloatPlan, Floats, OutOfRangeError
from verify.core.network import Block, Matrix, Network, Term
from verify.core.normal_form import Region
from verify.core.query import Query, Row


@dataclass(frozen=True, eq=False)
class Problem:
    """`plan` computes `left side - bound` of every row as its last block; a row holds where that is <= 0 (< 0: strict).

    Case tables: `case_rows[r, c, m]` is the m-th row of case c of region r, padded by repeating a row of that case;
    unused cases repeat case 0, which changes no answer.  Every region row is part of every case.
    """

    query: Query
    regions: tuple[Region, ...]
    network: Network  # the query's network with the row block appended
    rows: tuple[Row, ...]
    plan: FloatPlan
    lower: Floats  # (R, d) boxes, rounded outwards
    upper: Floats
    case_rows: npt.NDArray[np.int64]  # (R, C, M)
    strict: npt.NDArray[np.bool_]  # (rows,)

    @property
    def row_block(self) -> int:
        return len(self.plan.blocks) - 1

    def region_rows(self, regions: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """(distinct rows (B, K) of each box's region, position of each case row among them (B, C, M))."""
        return self._distinct[regions], self._positions[regions]

    def __post_init__(self) -> None:
        flat = self.case_rows.reshape(len(self.regions), -1)
        distinct = [np.unique(f) for f in flat]
        widest = max((len(d) for d in distinct), default=1)
        table = np.array([np.concatenate([d, np.full(widest - len(d), d[0])]) for d in distinct], dtype=np.int64)
        places = np.array([np.searchsorted(d, f) for d, f in zip(distinct, flat, strict=True)], dtype=np.int64)
        object.__setattr__(self, "_distinct", table.reshape(len(self.regions), widest))
        object.__setattr__(self, "_positions", places.reshape(self.case_rows.shape))

    _distinct: npt.NDArray[np.int64] = None  # type: ignore[assignment]  # set in __post_init__
    _positions: npt.NDArray[np.int64] = None  # type: ignore[assignment]


def build_problem(query: Query, regions: tuple[Region, ...]) -> Problem:
    """Append the rows of `regions` to the query's network.

    Needs: every case of every region has at least one row.  Raises QueryError E403 beyond the float64 range.
    """
    numbers: dict[Row, int] = {}
    table: list[list[list[int]]] = []
    for region in regions:
        cases = []
        for case in region.cases:
            cases.append([numbers.setdefault(row, len(numbers)) for row in (*case, *region.rows)])
        table.append(cases)
    widest = max(len(cases) for cases in table)
    longest = max(len(case) for cases in table for case in cases)
    padded = [
        [case + [case[0]] * (longest - len(case)) for case in cases + [cases[0]] * (widest - len(cases))]
        for cases in table
    ]
    rows = tuple(numbers)
    lower = np.array([[float_below(v) for v in r.box.lower] for r in regions])
    upper = np.array([[float_above(v) for v in r.box.upper] for r in regions])
    if not (np.isfinite(lower).all() and np.isfinite(upper).all()):
        raise OutOfRangeError
    network = append_rows(query.network, rows)
    return Problem(
        query=query,
        regions=regions,
        network=network,
        rows=rows,
        plan=FloatPlan(network),
        lower=lower,
        upper=upper,
        case_rows=np.array(padded, dtype=np.int64).reshape(len(table), widest, longest),
        strict=np.array([r.strict for r in rows], dtype=np.bool_),
    )


def append_rows(network: Network, rows: tuple[Row, ...]) -> Network:
    """`network` with one more block, z_r = left side of row r - its bound, exactly."""
    sources: dict[int, list[dict[int, Fraction]]] = {}
    for kind, ports in (("inputs", network.inputs), ("outputs", network.outputs)):
        place = [(port.value, element) for port in ports for element in range(port.size)]
        for number, row in enumerate(rows):
            for index, coefficient in row.inputs if kind == "inputs" else row.outputs:
                value, element = place[index]
                parts = sources.setdefault(value, [{} for _ in rows])
                parts[number][element] = parts[number].get(element, Fraction(0)) + coefficient
    sizes = network.value_sizes
    block = Block(
        tuple(Term(value, Matrix.from_rows(sizes[value], parts)) for value, parts in sorted(sources.items())),
        Numbers.of(-row.bound for row in rows),
        bytes(len(rows)),
    )
    return Network(network.inputs, network.outputs, (*network.blocks, block), network.notes)
