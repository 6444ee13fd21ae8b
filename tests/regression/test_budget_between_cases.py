"""Time that ran out just as the first case was closed dropped the other cases unseen, and the answer was "unsat"."""

from __future__ import annotations

from fractions import Fraction

import pytest

from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import network, over_box
from verify.core.budget import Budget
from verify.core.evaluate import evaluate
from verify.core.query import Or, Row, holds
from verify.search import tiers
from verify.search.decide import decide
from verify.search.sharing import SharedPhases


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
def test_no_case_is_dropped_when_time_runs_out(monkeypatch: pytest.MonkeyPatch) -> None:
    d, peak, width = 18, Fraction(91, 128), Fraction(1, 2**12)
    first, total = [1] + [0] * (d - 1), [1] * d
    bump = ([(0, [first] * 3)], [width - peak, -peak, -peak - width], True)
    last = ([(1, [[0, 0, 0], [1 / width, -2 / width, 1 / width]]), (0, [total, [0] * d])], [0, 0], False)
    never, peaked = Row.of({}, {0: 1}, -d - 1), Row.of({}, {1: -1}, Fraction(-9, 10))
    query = over_box(network(d, bump, last), -1, 1, Or((never, peaked)))
    x = (peak,) + (Fraction(0),) * (d - 1)
    assert holds(query.violation, x, evaluate(query.network, x))
    sessions = 0

    class Slow(SharedPhases):
        def run(self, boxes: int) -> int:
            nonlocal sessions
            sessions += 1
            return super().run(boxes)

    monkeypatch.setattr(tiers, "SharedPhases", Slow)
    found = decide(query, Budget(50.0, lambda: 100.0 if sessions else 0.0))
    assert sessions == 1 and found.answer in ("unknown", "sat")
