"""CartPole-v1 action values by double deep Q-learning (van Hasselt et al., AAAI 2016).

    python models/cartpole_dqn/train.py --seed 0 --out models/cartpole_dqn/policy.onnx

The exported network is 4-24-24-2, ReLU, with outputs the discounted returns expected of (left, right).
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

STEPS, WARM_UP, TRAIN_EVERY, BATCH, CAPACITY = 60_000, 1_000, 1, 128, 60_000
GAMMA, TAU, LEARNING_RATE, REWARD = 0.99, 0.005, 2e-3, 0.01
START = np.array([1.5, 1.0, 0.15, 1.0])
EPSILON_START, EPSILON_END, EPSILON_STEPS = 1.0, 0.1, 12_000


def exploring_start(env: gymnasium.Env, rng: np.random.Generator) -> np.ndarray:
    """Reset to a state from all over the working range, not only next to the balance point."""
    env.reset()
    env.unwrapped.state = rng.uniform(-START, START)
    return env.unwrapped.state.astype(np.float32)


def greedy(layers: Layers, obs: np.ndarray) -> int:
    return int(np.argmax(forward(layers, obs)))


def train(seed: int) -> Layers:
    """Return the layers of the best network seen, by 20 short evaluations along the way."""
    rng = np.random.default_rng(seed)
    env = gymnasium.make("CartPole-v1")
    net = relu_mlp([4, 24, 24, 2])
    target = copy.deepcopy(net)
    optimiser = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE)
    s, after = torch.zeros(CAPACITY, 4), torch.zeros(CAPACITY, 4)
    a, reward, terminal = torch.zeros(CAPACITY, dtype=torch.long), torch.zeros(CAPACITY), torch.zeros(CAPACITY)
    best, best_score = layers_of(net), -1.0
    env.reset(seed=seed)
    obs = exploring_start(env, rng)
    layers = layers_of(net)
    for step in range(STEPS):
        epsilon = max(EPSILON_END, EPSILON_START - (EPSILON_START - EPSILON_END) * step / EPSILON_STEPS)
        action = int(rng.integers(2)) if rng.random() < epsilon else greedy(layers, obs)
        following, r, terminated, truncated, _ = env.step(action)
        s[step], a[step], reward[step] = torch.as_tensor(obs), action, REWARD * float(r)
        after[step], terminal[step] = torch.as_tensor(following), float(terminated)
        obs = exploring_start(env, rng) if terminated or truncated else following
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
        if step >= STEPS // 2 and step % (STEPS // 40) == STEPS // 40 - 1:
            score = gym_returns("CartPole-v1", lambda o, n=layers: greedy(n, o), episodes=20, first_seed=5_000).mean()
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
    digest = write_onnx(arguments.out, layers, name="cartpole_dqn", input_name="state", output_name="q")
    returns = gym_returns("CartPole-v1", lambda o: greedy(layers, o), episodes=200, first_seed=10_000)
    score = f"mean return {returns.mean():.1f} over {len(returns)} episodes (worst {returns.min():.0f})"
    report(arguments.out, digest, score=score, started=started)


if __name__ == "__main__":
    main()
