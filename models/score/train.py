"""Credit scores from simulated applicants, among whom a group was treated slightly worse in the past.

    python models/score/train.py --width 32 --seed 0 --out models/score/score_32_0.onnx

Six features: age, income, debts, years in the job, missed payments, and a group that should not matter (0 or 1). The
simulated past decisions depend a little on the group, and so does what is learnt. The exported network is
6-width-width-1, ReLU, giving log-odds; its inputs are scaled as the spec's `raw = …` says.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from export import Layers, forward, layers_of, relu_mlp, report, seed_everything, write_onnx

APPLICANTS, STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 40_000, 2_000, 512, 3e-3, 5e-1
FEATURES = 6


def log_odds(x: np.ndarray) -> np.ndarray:
    """Of repayment as it was judged, for scaled features (…, 6)."""
    age, income, debts, job, missed, group = np.moveaxis(x, -1, 0)
    return 3.0 * income + 1.5 * job - 3.0 * debts - 2.5 * missed + 2.0 * age * (1.0 - age) + 0.5 - 0.15 * group


def applicants(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(features, 1 for a good outcome)."""
    x = rng.random((count, FEATURES)).astype(np.float32)
    x[:, 5] = rng.integers(0, 2, count)
    good = rng.random(count) < 1.0 / (1.0 + np.exp(-log_odds(x)))
    return x, good.astype(np.float32)


def train(width: int, seed: int) -> Layers:
    rng = np.random.default_rng(seed)
    net = relu_mlp([FEATURES, width, width, 1])
    x, good = (torch.as_tensor(a) for a in applicants(rng, APPLICANTS))
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
        i = torch.as_tensor(rng.integers(0, APPLICANTS, BATCH))
        loss = torch.nn.functional.binary_cross_entropy_with_logits(net(x[i]).squeeze(1), good[i])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return layers_of(net)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--width", type=int, default=32)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    seed_everything(arguments.seed)
    layers = train(arguments.width, arguments.seed)
    digest = write_onnx(arguments.out, layers, name="score", input_name="features", output_name="score")
    x, good = applicants(np.random.default_rng(1_000), 10_000)
    right = float(((forward(layers, x)[:, 0] > 0) == (good > 0)).mean())
    report(arguments.out, digest, score=f"right on {100 * right:.1f} % of 10000 new applicants", started=started)


if __name__ == "__main__":
    main()
