"""Small networks and queries written down by hand, and the compiled search for tests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from fractions import Fraction
from functools import cache

from tests.strategies import box_rows, query_of
from verify.core.budget import Budget
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import And, Formula, Query
from verify.native import machine
from verify.native.machine import Explore

Rows = Sequence[Sequence[float | Fraction]]
Layer = tuple[Sequence[tuple[int, Rows]], Sequence[float | Fraction], bool]  # (source, matrix) …, bias, relu


def numbers(values: Sequence[float | Fraction]) -> Numbers:
    return Numbers.of(Fraction(v) for v in values)


def network(inputs: int, *layers: Layer) -> Network:
    """Layers read earlier values by number: 0 is the input, 1 the first layer."""
    blocks = []
    for terms, bias, relu in layers:
        matrices = [
            Term(source, Matrix.dense(len(rows), len(rows[0]), numbers([v for r in rows for v in r])))
            for source, rows in terms
        ]
        blocks.append(Block(tuple(matrices), numbers(bias), bytes([relu] * len(bias))))
    return Network((Port("x", (1, inputs), 0),), (Port("y", (1, blocks[-1].size), len(blocks)),), tuple(blocks))


def over_box(net: Network, low: float | Fraction, high: float | Fraction, violation: Formula, *more: Formula) -> Query:
    """The same interval for every input."""
    d = net.input_size
    rows = box_rows([Fraction(low)] * d, [Fraction(high)] * d)
    return query_of(net, And((*rows, *more)), violation)


def budget(seconds: float = 30.0) -> Budget:
    return Budget(time.monotonic() + seconds, time.monotonic)


_linked: list[object] = []


@cache
def compiled_entry(entry: str) -> Explore:
    """A compiled entry, compiled now if this machine has not compiled it yet."""
    found = machine.cached(entry)
    if found is None:
        machine.store((entry,))
        found = machine.cached(entry)
    assert found is not None
    _linked.extend(machine._engines.values())  # a later link must not free this code: see tests/regression
    return found


def compiled_boxes() -> Explore:
    """The compiled search by inputs."""
    return compiled_entry("boxes")
