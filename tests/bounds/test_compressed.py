"""Dense and sparse forms of the compressed system are the same numbers; dense ones need no scipy."""

from __future__ import annotations

import sys

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from tests.strategies import boxes, networks
from verify.bounds import compressed
from verify.bounds.backward import propagate
from verify.bounds.rounding import float_above, float_below
from verify.core.floats import FloatPlan


@settings(max_examples=60)
@given(st.data())
def test_dense_equals_sparse(data: DataObject) -> None:
    weights = st.integers(-3, 3).map(float)  # sums are exact, in whichever order they are taken
    network = data.draw(networks(weights=weights))
    assume(len(network.blocks) > 1)
    lower, upper = data.draw(boxes(network.input_size))
    plan, last = FloatPlan(network), len(network.blocks) - 1
    box = np.array([[float_below(v) for v in lower]]), np.array([[float_above(v) for v in upper]])
    enclosure = propagate(plan, box, last)
    rows = np.arange(plan.blocks[last].bias.size)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "scipy.sparse", None)  # importing it fails: it takes 0.1 s
        dense = compressed.compress(plan, enclosure, rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(compressed, "WIDE", -1)
        sparse = compressed.compress(plan, enclosure, rows)
    assert np.array_equal(dense.matrix, sparse.matrix.toarray())
    assert np.array_equal(dense.constant, sparse.constant) and np.array_equal(dense.places, sparse.places)
