"""A teacher and the student distilled from it: three actions on two readings.

    python models/distilled/train.py --seed 0 --out models/distilled

The teacher learns simulated expert scores, the student the teacher's outputs. Both are 2-32-32-3, ReLU; writes
teacher.onnx and student.onnx.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import torch
from export import Layers, forward, layers_of, relu_mlp, report, seed_everything, write_onnx

STEPS, BATCH, LEARNING_RATE = 3_000, 512, 3e-3
SIZES = (2, 32, 32, 3)


def expert(x: torch.Tensor) -> torch.Tensor:
    """Scores of left, stay, right for readings (…, 2) in [-1, 1]."""
    drift = x[:, 0] + 0.5 * torch.sin(2.0 * x[:, 1])
    return torch.stack([-drift, 0.4 - drift.abs(), drift], dim=1)


def fit(goal: torch.nn.Module | None) -> torch.nn.Sequential:
    """A network that imitates `goal`, or the expert."""
    net = relu_mlp(SIZES)
    optimiser = torch.optim.AdamW(net.parameters(), lr=LEARNING_RATE, weight_decay=1e-2)
    for step in range(STEPS):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
        x = 2.0 * torch.rand(BATCH, 2) - 1.0
        with torch.no_grad():
            wanted = expert(x) if goal is None else goal(x)
        loss = torch.nn.functional.mse_loss(net(x), wanted)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return net


def agreement(one: Layers, other: Layers) -> float:
    x = (2.0 * torch.rand(20_000, 2) - 1.0).numpy()
    return float((forward(one, x).argmax(1) == forward(other, x).argmax(1)).mean())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    seed_everything(arguments.seed)
    teacher = fit(None)
    student = fit(teacher)
    layers = {"teacher": layers_of(teacher), "student": layers_of(student)}
    score = f"student and teacher agree on {100 * agreement(*layers.values()):.1f} % of 20000 readings"
    for name, part in layers.items():
        path = arguments.out / f"{name}.onnx"
        report(
            path,
            write_onnx(path, part, name=name, input_name="readings", output_name="scores"),
            score=score,
            started=started,
        )


if __name__ == "__main__":
    main()
