"""Exact values lie within every method's bounds, on hypothesis' networks and on extreme random ones."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DataObject

from tests.strategies import boxes, networks, wild_floats
from verify.bounds.backward import lower_bounds, propagate, relu_relaxation
from verify.bounds.rounding import float_above, float_below
from verify.core.evaluate import evaluate_values, pre_activation
from verify.core.floats import FloatPlan

SIDE = st.floats(allow_nan=False) | st.sampled_from([0.0, -0.0, 5e-324, -5e-324, 1e308, -1e308, np.inf, -np.inf])


@given(SIDE, SIDE, st.floats(0, 1))
def test_relu_lies_between_its_lines(a: float, b: float, share: float) -> None:
    low, high = min(a, b), max(a, b)
    with np.errstate(all="ignore"):
        below, above, intercept = (float(v[0]) for v in relu_relaxation(np.array([low]), np.array([high])))
    assert below in (0.0, 1.0) and 0 <= above <= 1
    if not np.isfinite([low, high]).all():
        assert low >= 0 or high <= 0 or not np.isfinite(intercept)  # no line above: no finite intercept
        return
    ends = Fraction(low), Fraction(high)
    for z in (*ends, Fraction(0), ends[0] + Fraction(share) * (ends[1] - ends[0])):
        if ends[0] <= z <= ends[1]:
            assert Fraction(below) * z <= max(z, 0)
            assert not np.isfinite(intercept) or max(z, 0) <= Fraction(above) * z + Fraction(intercept)


@settings(max_examples=150)
@given(st.data())
def test_exact_values_lie_within_bounds(data: DataObject) -> None:
    network = data.draw(networks(weights=data.draw(st.sampled_from([st.integers(-3, 3).map(float), wild_floats]))))
    lower, upper = data.draw(boxes(network.input_size))
    plan, last = FloatPlan(network), len(network.blocks) - 1
    box = np.array([[float_below(v) for v in lower]]), np.array([[float_above(v) for v in upper]])
    found = propagate(plan, box, last)
    half = (box[0], np.minimum(box[1], 0.5 * box[0] + 0.5 * box[1]))
    inherited = propagate(plan, half, last, found)
    everything = np.arange(plan.blocks[last].bias.size)[None]
    direct = [sign * lower_bounds(plan, found, last, everything, sign).bound[0] for sign in (1.0, -1.0)]
    for mix in (Fraction(0), Fraction(1, 3), Fraction(1, 2), Fraction(1)):
        x = tuple(low + mix * (high - low) for low, high in zip(lower, upper, strict=True))
        inside = all(Fraction(float(h)) >= v for v, h in zip(x, half[1][0], strict=True))
        values = evaluate_values(network, x)
        for index, block in enumerate(network.blocks):
            numbers, denominator = pre_activation(block, values)
            for row, n in enumerate(numbers):
                z = Fraction(n, denominator)
                for enclosure in (found, inherited) if inside else (found,):
                    assert holds_between(enclosure.lower[index][0, row], z, enclosure.upper[index][0, row])
                if index == last:
                    assert holds_between(direct[0][row], z, direct[1][row])


def holds_between(low: float, z: Fraction, high: float) -> bool:
    return (low == -np.inf or Fraction(float(low)) <= z) and (high == np.inf or z <= Fraction(float(high)))


def test_an_interval_pass_without_point_says_so() -> None:
    """Bounds over a sub-box inherit the whole box's; a row may then show that there is nothing, never the reverse."""
    low, high = np.array([[1.0]]), np.array([[1.0]])
    below, above, intercept = relu_relaxation(low, high)
    assert (below[0, 0], above[0, 0], intercept[0, 0]) == (1.0, 1.0, 0.0)


def test_extreme_networks() -> None:
    """A small bench/rigor.py in plain Python, where an index out of range would be an error as well."""
    command = [sys.executable, "bench/rigor.py", "--comparisons", "60000", "--width", "10", "--seed", "3"]
    done = subprocess.run(
        command, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0 and " 0 violations" in done.stdout, done.stdout + done.stderr
