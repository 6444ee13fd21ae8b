"""The settled share fell back to its old value when compiled code took over from NumPy."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.search.networks import budget, compiled_boxes, network, over_box
from verify.core.query import Row
from verify.native import machine
from verify.native.machine import Explore
from verify.search import tiers
from verify.search.decide import decide


def test_settled_share_never_falls(monkeypatch: pytest.MonkeyPatch) -> None:
    explore, looks = compiled_boxes(), 0

    def ready(_: machine.Compiler) -> Explore | None:
        nonlocal looks
        looks += 1
        return explore if looks > 12 else None

    monkeypatch.setattr(machine.Compiler, "_start", lambda *_: None)
    monkeypatch.setattr(machine.Compiler, "ready", ready)
    monkeypatch.setattr(tiers, "problem_is_small", lambda _: False)
    rows = [[1, 2], [2, -1], [-1, 1], [-2, -1], [1, -3], [3, 1], [-1, -1], [1, 1], [-3, 2], [2, 3], [-1, 3], [1, 0]]
    bias = [(-1) ** k * 0.3 * k for k in range(12)]
    net = network(2, ([(0, rows)], bias, True), ([(1, [[(-1) ** k for k in range(12)]])], [0.1], False))
    shares: list[float] = []
    query = over_box(net, -4, 4, Row.of({}, {0: 1}, Fraction(-2127, 100)))
    decide(query, budget(), report=lambda _, settled, __: shares.append(settled))
    assert len(shares) > 2 and shares == sorted(shares)
