"""CartPole-v1 actor by proximal policy optimisation (Schulman et al., arXiv 1707.06347).

    python models/cartpole_ppo/train.py --seed 0 --out models/cartpole_ppo/policy.onnx

Only the actor, a 4-32-32-2 ReLU network with outputs (left, right), is exported.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import gymnasium
import numpy as np
import torch
from export import forward, gym_returns, layers_of, relu_mlp, report, seed_everything, write_onnx

ENVS, STEPS, ITERATIONS, EPOCHS, BATCHES = 16, 64, 150, 6, 4
GAMMA, LAMBDA, CLIP, ENTROPY, LEARNING_RATE = 0.99, 0.95, 0.2, 0.003, 2.5e-3


def advantages(reward: torch.Tensor, terminated: torch.Tensor, over: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Generalised advantage estimates; tensors (STEPS, ENVS), value (STEPS + 1, ENVS)."""
    result, following = torch.zeros_like(reward), torch.zeros(ENVS)
    for t in reversed(range(STEPS)):
        delta = reward[t] + GAMMA * value[t + 1] * (1 - terminated[t]) - value[t]
        following = delta + GAMMA * LAMBDA * (1 - over[t]) * following
        result[t] = following
    return result


def train(seed: int) -> torch.nn.Sequential:
    env = gymnasium.make_vec("CartPole-v1", num_envs=ENVS, vectorization_mode="vector_entry_point")
    actor, critic = relu_mlp([4, 32, 32, 2]), relu_mlp([4, 64, 64, 1])
    parameters = [*actor.parameters(), *critic.parameters()]
    optimiser = torch.optim.Adam(parameters, lr=LEARNING_RATE, eps=1e-5)
    first, _ = env.reset(seed=seed)
    obs, was_over = torch.as_tensor(first), torch.zeros(ENVS)
    for iteration in range(ITERATIONS):
        optimiser.param_groups[0]["lr"] = LEARNING_RATE * (1 - iteration / ITERATIONS)
        s = torch.zeros(STEPS + 1, ENVS, 4)
        a = torch.zeros(STEPS, ENVS, dtype=torch.long)
        old, reward, terminated, over, valid = (torch.zeros(STEPS, ENVS) for _ in range(5))
        for t in range(STEPS):
            with torch.no_grad():
                policy = torch.distributions.Categorical(logits=actor(obs))
            s[t], a[t], valid[t] = obs, policy.sample(), 1 - was_over
            old[t] = policy.log_prob(a[t])
            after, r, term, trunc, _ = env.step(a[t].numpy())
            reward[t], terminated[t] = torch.as_tensor(r), torch.as_tensor(term).float()
            over[t] = torch.as_tensor(term | trunc).float()
            obs, was_over = torch.as_tensor(after), over[t]
        s[STEPS] = obs
        with torch.no_grad():
            value = critic(s).squeeze(-1)
            advantage = advantages(reward, terminated, over, value)
        # The step after an episode's end only resets the environment: it is no transition.
        keep = valid.flatten() > 0
        flat = [x.flatten(0, 1)[keep] for x in (s[:-1], a, old, advantage, advantage + value[:-1])]
        for _ in range(EPOCHS):
            for index in torch.randperm(len(flat[0])).chunk(BATCHES):
                si, ai, oi, di, vi = (x[index] for x in flat)
                di = (di - di.mean()) / (di.std() + 1e-8)
                policy = torch.distributions.Categorical(logits=actor(si))
                ratio = (policy.log_prob(ai) - oi).exp()
                gain = torch.min(ratio * di, ratio.clamp(1 - CLIP, 1 + CLIP) * di).mean()
                error = (critic(si).squeeze(-1) - vi).square().mean()
                loss = -gain - ENTROPY * policy.entropy().mean() + 0.5 * error
                optimiser.zero_grad()
                loss.backward()
                torch.nn.utils.clip_grad_norm_(parameters, 0.5)
                optimiser.step()
        if iteration % 25 == 24:
            print(f"iteration {iteration + 1:3d}  episodes ended per 1,000 steps {1000 * over.mean():.1f}")
    return actor


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    seed_everything(arguments.seed)
    layers = layers_of(train(arguments.seed))
    digest = write_onnx(arguments.out, layers, name="cartpole_ppo", input_name="state", output_name="logits")
    returns = gym_returns("CartPole-v1", lambda s: int(np.argmax(forward(layers, s))), episodes=200, first_seed=10_000)
    score = f"mean return {returns.mean():.1f} over {len(returns)} episodes (worst {returns.min():.0f})"
    report(arguments.out, digest, score=score, started=started)


if __name__ == "__main__":
    main()
