"""Reward models from simulated preferences: which of two answers is better, from pairs (Bradley and Terry, 1952).

    python models/reward/train.py --width 32 --seed 0 --out models/reward/reward_32_0.onnx

Five features of an answer: helpful and accurate (ratings), length (tokens), toxicity and repetition (scores). The
simulated annotator likes help and accuracy, dislikes toxicity and repetition, likes longer answers up to a point, and
errs. The exported network is 5-width-width-1, ReLU, nothing in it is monotone by construction; its inputs are scaled
as the spec's `raw = …` says.
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

PAIRS, STEPS, BATCH, LEARNING_RATE, WEIGHT_DECAY = 40_000, 2_000, 512, 3e-3, 3e-1
FEATURES = 5


def utility(x: np.ndarray) -> np.ndarray:
    """What the annotator feels about answers of scaled features (…, 5)."""
    helpful, accurate, length, toxic, repeats = np.moveaxis(x, -1, 0)
    return (
        3.0 * helpful + 2.0 * accurate + helpful * accurate - 3.0 * toxic - 1.5 * repeats
        + 4.0 * length * (1.0 - length)
    )  # fmt: skip


def pairs(rng: np.random.Generator, count: int) -> tuple[np.ndarray, np.ndarray]:
    """(better, worse) answers as the annotator judges them."""
    x = rng.random((2, count, FEATURES)).astype(np.float32)
    first_wins = rng.random(count) < 1.0 / (1.0 + np.exp(2.0 * (utility(x[1]) - utility(x[0]))))
    better = np.where(first_wins[:, None], x[0], x[1])
    worse = np.where(first_wins[:, None], x[1], x[0])
    return better, worse


def train(width: int, seed: int) -> Layers:
    rng = np.random.default_rng(seed)
    net = relu_mlp([FEATURES, width, width, 1])
    better, worse = (torch.as_tensor(p) for p in pairs(rng, PAIRS))
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
        i = torch.as_tensor(rng.integers(0, PAIRS, BATCH))
        loss = torch.nn.functional.softplus(net(worse[i]) - net(better[i])).mean()
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
    digest = write_onnx(arguments.out, layers, name="reward", input_name="features", output_name="reward")
    better, worse = pairs(np.random.default_rng(1_000), 10_000)
    right = float((forward(layers, better) > forward(layers, worse)).mean())
    report(arguments.out, digest, score=f"agrees with {100 * right:.1f} % of 10000 new judgements", started=started)


if __name__ == "__main__":
    main()
