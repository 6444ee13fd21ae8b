"""MountainCar-v0 action values by double deep Q-learning with potential-based shaping.

    python models/mountaincar/train.py --seed 0 --out models/mountaincar/policy.onnx

The potential is the car's mechanical energy; shaping with a potential does not change which policy is
best (Ng, Harada and Russell, ICML 1999). The exported network is 2-32-32-3, ReLU, its two inputs scaled
to about [-1, 1] as the spec's `raw = …` says, its outputs the shaped values of (left, coast, right).
"""

from __future__ import annotations

import argparse
import copy
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import gymnasium
import numpy as np
import torch
from export import Layers, forward, gym_returns, layers_of, relu_mlp, report, seed_everything, write_onnx

STEPS, WARM_UP, TRAIN_EVERY, BATCH, CAPACITY = 120_000, 2_000, 2, 128, 120_000
GAMMA, TAU, LEARNING_RATE, REWARD, SHAPING = 0.99, 0.005, 2e-3, 0.02, 0.1
EPSILON_START, EPSILON_END, EPSILON_STEPS = 1.0, 0.05, 40_000
CENTRE, SCALE = np.float32([-0.3, 0.0]), np.float32([0.9, 0.07])


def scaled(obs: np.ndarray) -> np.ndarray:
    """Position [-1.2, 0.6] and velocity [-0.07, 0.07], each mapped to [-1, 1]."""
    return (obs - CENTRE) / SCALE


def potential(obs: np.ndarray) -> float:
    """Height plus kinetic energy in units of the hill's half height, shifted to be at most 0, as at the goal."""
    return float(np.sin(3 * obs[0]) + 600.0 * obs[1] ** 2) - 4.0


def greedy(layers: Layers, obs: np.ndarray) -> int:
    return int(np.argmax(forward(layers, scaled(obs))))


def train(seed: int) -> Layers:
    """Return the layers of the best network seen, by short evaluations in the second half."""
    rng = np.random.default_rng(seed)
    env = gymnasium.make("MountainCar-v0")
    net = relu_mlp([2, 32, 32, 3])
    target = copy.deepcopy(net)
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    s, after = torch.zeros(CAPACITY, 2), torch.zeros(CAPACITY, 2)
    a, reward, terminal = torch.zeros(CAPACITY, dtype=torch.long), torch.zeros(CAPACITY), torch.zeros(CAPACITY)
    layers, best, best_score = layers_of(net), layers_of(net), -np.inf
    obs, _ = env.reset(seed=seed)
    for step in range(STEPS):
        epsilon = max(EPSILON_END, EPSILON_START - (EPSILON_START - EPSILON_END) * step / EPSILON_STEPS)
        action = int(rng.integers(3)) if rng.random() < epsilon else greedy(layers, obs)
        following, r, terminated, truncated, _ = env.step(action)
        shaped = REWARD * float(r) + SHAPING * (GAMMA * potential(following) * (not terminated) - potential(obs))
        s[step], a[step], reward[step] = torch.as_tensor(scaled(obs)), action, shaped
        after[step], terminal[step] = torch.as_tensor(scaled(following)), float(terminated)
        obs = env.reset()[0] if terminated or truncated else following
        if step >= WARM_UP and step % TRAIN_EVERY == 0:
            optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - step / STEPS)
            i = torch.as_tensor(rng.integers(0, step + 1, BATCH))
            with torch.no_grad():
                choice = net(after[i]).argmax(1, keepdim=True)
                goal = reward[i] + GAMMA * (1 - terminal[i]) * target(after[i]).gather(1, choice).squeeze(1)
            loss = torch.nn.functional.mse_loss(net(s[i]).gather(1, a[i, None]).squeeze(1), goal)
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(net.parameters(), 10.0)
            optimiser.step()
            with torch.no_grad():
                for old, new in zip(target.parameters(), net.parameters(), strict=True):
                    old.lerp_(new, TAU)
            layers = layers_of(net)
        if step % (STEPS // 20) == STEPS // 20 - 1:
            score = gym_returns(
                "MountainCar-v0", lambda o, n=layers: greedy(n, o), episodes=50, first_seed=5_000
            ).mean()
            print(f"step {step + 1:6d}  evaluation {score:.1f}", flush=True)
            if score >= best_score:
                best, best_score = layers, score
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    seed_everything(arguments.seed)
    layers = train(arguments.seed)
    digest = write_onnx(arguments.out, layers, name="mountaincar", input_name="state", output_name="q")
    returns = gym_returns("MountainCar-v0", lambda o: greedy(layers, o), episodes=200, first_seed=10_000)
    score = f"mean return {returns.mean():.1f} over {len(returns)} episodes (worst {returns.min():.0f})"
    report(arguments.out, digest, score=score, started=started)


if __name__ == "__main__":
    main()
