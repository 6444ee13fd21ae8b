"""Positioning a cart on a rail: a network that imitates model predictive control.

    python models/double_integrator/train.py --seed 0 --out models/double_integrator/policy.onnx

Plant    p+ = p + dt v,  v+ = v + dt u,  dt = 0.1 s,  |u| <= 3 m/s^2;  p [m] is measured from the target.
Teacher  for each state, the first command of the 40-step plan with the least sum of p^2 + 0.2 v^2 + 0.05 u^2
         (a quadratic programme over the commands, solved by an accelerated projected gradient).
Pupil    2-24-24-1, ReLU, fed (p/5, v/5), giving u/3.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from export import Layers, forward, layers_of, relu_mlp, report, seed_everything, write_onnx

DT, LIMIT, HORIZON = 0.1, 3.0, 40
P_WEIGHT, V_WEIGHT, U_WEIGHT = 1.0, 0.2, 0.05
SCALE = np.array([5.0, 5.0])


def plan_matrices() -> tuple[np.ndarray, np.ndarray]:
    """Return (hessian, gradient per state) of the plan's cost as a function of its commands."""
    k, j = np.meshgrid(np.arange(1, HORIZON + 1), np.arange(HORIZON), indexing="ij")
    v_from_u = np.where(j < k, DT, 0.0)
    p_from_u = np.where(j < k, DT * DT * (k - j - 1), 0.0)
    steps = np.arange(1, HORIZON + 1)
    p_from_s, v_from_s = np.stack([np.ones(HORIZON), DT * steps], 1), np.stack([np.zeros(HORIZON), np.ones(HORIZON)], 1)
    hessian = P_WEIGHT * p_from_u.T @ p_from_u + V_WEIGHT * v_from_u.T @ v_from_u + U_WEIGHT * np.eye(HORIZON)
    return hessian, P_WEIGHT * p_from_u.T @ p_from_s + V_WEIGHT * v_from_u.T @ v_from_s


def teach(states: np.ndarray) -> np.ndarray:
    """Return the teacher's command [m/s^2] for states of shape (n, 2)."""
    hessian, from_state = plan_matrices()
    gradient, rate = states @ from_state.T, 1.0 / np.linalg.eigvalsh(hessian)[-1]
    u = ahead = np.zeros((len(states), HORIZON))
    for i in range(300):
        following = np.clip(ahead - rate * (ahead @ hessian + gradient), -LIMIT, LIMIT)
        ahead, u = following + i / (i + 3) * (following - u), following
    return u[:, 0]


def fit(states: np.ndarray, commands: np.ndarray, seed: int) -> torch.nn.Sequential:
    rng = np.random.default_rng(seed)
    x = torch.as_tensor(states / SCALE, dtype=torch.float32)
    y = torch.as_tensor(commands / LIMIT, dtype=torch.float32)[:, None]
    net = relu_mlp([2, 24, 24, 1])
    steps, rate = 20_000, 5e-3
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        i = torch.as_tensor(rng.integers(0, len(x), 256))
        loss = (net(x[i]) - y[i]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"rms error of the command {LIMIT * float((net(x) - y).square().mean().detach().sqrt()):.3f} m/s^2")
    return net


def returns(command: Callable[[np.ndarray], np.ndarray], *, episodes: int, seed: int) -> np.ndarray:
    """Return minus the cost of 10 s from random states, all episodes side by side."""
    s = np.random.default_rng(seed).uniform([-4, -2], [4, 2], (episodes, 2))
    total = np.zeros(episodes)
    for _ in range(100):
        u = np.clip(command(s), -LIMIT, LIMIT)
        s = np.stack([s[:, 0] + DT * s[:, 1], s[:, 1] + DT * u], axis=1)
        total -= P_WEIGHT * s[:, 0] ** 2 + V_WEIGHT * s[:, 1] ** 2 + U_WEIGHT * u**2
    return total


def by_network(layers: Layers, states: np.ndarray) -> np.ndarray:
    return LIMIT * forward(layers, states / SCALE)[:, 0].astype(float)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    seed_everything(arguments.seed)
    rng = np.random.default_rng(arguments.seed)
    states = np.concatenate([rng.uniform(-5, 5, (12_000, 2)), rng.normal(0, 0.7, (8_000, 2)).clip(-5, 5)])
    layers = layers_of(fit(states, teach(states), arguments.seed))
    digest = write_onnx(arguments.out, layers, name="double_integrator", input_name="state", output_name="command")
    best = returns(teach, episodes=200, seed=1)
    mean = returns(lambda s: by_network(layers, s), episodes=200, seed=1)
    score = f"mean return {mean.mean():.2f} over {len(mean)} episodes (teacher {best.mean():.2f})"
    report(arguments.out, digest, score=score, started=started)


if __name__ == "__main__":
    main()
