"""A network that passes its inputs through has no blocks, which the compressed system did not expect."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.search.networks import budget
from tests.strategies import box_rows, query_of
from verify.core.network import Network, Port
from verify.core.query import And, Or, Row
from verify.search.decide import decide


@pytest.mark.parametrize("excess", [Fraction(0), Fraction(1, 10**6)])
def test_a_network_without_blocks_is_decided(excess: Fraction) -> None:
    network = Network((Port("x", (2,), 0),), (Port("y", (2,), 0),), ())
    halves = [((Fraction(k, 2), Fraction(0)), (Fraction(k + 1, 2), Fraction(1))) for k in (0, 1)]
    ordered = Row.of({0: 1, 1: -1}, {}, Fraction(0))
    region = And((*box_rows(halves[0][0], halves[1][1]), ordered))
    beyond = Row.of({}, {0: -1, 1: 1}, -excess)
    violation = Or(tuple(And((*box_rows(low, high), beyond)) for low, high in halves))
    found = decide(query_of(network, region, violation), budget(), confirm=lambda _: False)
    assert found.answer == ("unsat" if excess else "sat")
