"""How often would uniform random testing have found the shipped counterexamples?

    python models/sample_check.py [--samples 100000] [--seeds 10]

For each claim below, a REFUTED property of a spec in specs/, the script draws uniform samples from the
property's region and counts violations, then evaluates one known violating point. It needs numpy and onnx
only and shares no code with `verify`; networks are evaluated in float64 on the stored weights.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

HERE = Path(__file__).resolve().parent


@dataclass(frozen=True)
class Claim:
    """A property whose region is a box, in physical units, and whose violation is `wrong` scoring at least `right`.

    `wrong` violates by reaching every output in `right` (a tie counts, as in the specs).
    """

    model: str
    name: str
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    wrong: int
    right: tuple[int, ...]
    witness: tuple[float, ...]
    mean: tuple[float, ...] = (0.0,)  # raw = (value - mean) / scale
    scale: tuple[float, ...] = (1.0,)


CLAIMS = (
    Claim(
        model="cartpole_ppo",  # x, v, theta, omega -> left, right
        name="leaning_right",
        lower=(-1.0, -0.5, 0.12, 0.5),
        upper=(1.0, 0.5, 0.2095, 3.0),
        wrong=0,
        right=(1,),
        witness=(-1.0, -0.5, 0.12, 0.5),
    ),
    Claim(
        model="cartpole_dqn",
        name="falling_right_to_limit",
        lower=(-1.0, -0.5, 0.1, 0.25),
        upper=(1.0, 0.5, 0.2095, 0.5),
        wrong=0,
        right=(1,),
        witness=(-1.0, 0.5, 0.2095, 0.5),
    ),
    Claim(
        model="mountaincar",  # p, v -> left, coast, right
        name="no_braking_right",
        lower=(-1.2, 0.03),
        upper=(0.6, 0.07),
        wrong=0,
        right=(1, 2),
        witness=(-0.3704811, 0.03),
        mean=(-0.3, 0.0),
        scale=(0.9, 0.07),
    ),
    Claim(
        model="collision_avoidance",  # h, v_own, v_int, tau -> clear, descend, climb, strong_descend, strong_climb
        name="intruder_above_fast",
        lower=(200.0, -20.0, -20.0, 0.0),
        upper=(600.0, 20.0, 20.0, 6.0),
        wrong=4,
        right=(0, 1, 2, 3),
        witness=(200.0, 20.0, -20.0, 6.0),
        mean=(0.0, 0.0, 0.0, 20.0),
        scale=(1000.0, 50.0, 50.0, 20.0),
    ),
)


def load(model: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """Read the (weight, bias) pairs that `export.write_onnx` stored."""
    stored = onnx.load(HERE / model / "policy.onnx").graph.initializer
    tensors = {t.name: numpy_helper.to_array(t).astype(np.float64) for t in stored}
    return [(tensors[f"w{i}"], tensors[f"b{i}"]) for i in range(len(tensors) // 2)]


def excess(claim: Claim, x: np.ndarray) -> np.ndarray:
    """By how much the claim is violated (>= 0: violated) at physical points x of shape (n, inputs)."""
    v = (x - np.array(claim.mean)) / np.array(claim.scale)
    layers = load(claim.model)
    for i, (weight, bias) in enumerate(layers):
        v = v @ weight.T + bias
        if i < len(layers) - 1:
            v = np.maximum(v, 0.0)
    return v[:, claim.wrong] - v[:, list(claim.right)].max(axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--seeds", type=int, default=10)
    arguments = parser.parse_args()
    for claim in CLAIMS:
        hits, best = [], -np.inf
        for seed in range(arguments.seeds):
            rng = np.random.default_rng(seed)
            found = excess(claim, rng.uniform(claim.lower, claim.upper, (arguments.samples, len(claim.lower))))
            hits.append(int((found >= 0).sum()))
            best = max(best, float(found.max()))
        known = float(excess(claim, np.array([claim.witness]))[0])
        print(f"{claim.model}.{claim.name}")
        print(f"  hits in {arguments.samples:,} uniform samples, seeds 0 to {arguments.seeds - 1}: {hits}")
        print(f"  nearest sample {best:+.3g}, known point {claim.witness} {known:+.3g} (0 or more: violated)")


if __name__ == "__main__":
    main()
