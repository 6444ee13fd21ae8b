"""Vertical collision advisories: dynamic programming on a grid, then a network fitted to its table.

    python models/collision_avoidance/train.py --seed 0 --out models/collision_avoidance/policy.onnx

The encounter is a small Markov decision process of our own, in the manner of the ACAS X studies
(Kochenderfer and Chryssanthacopoulos, 2011); no table, weight or text is taken from them.

State      h      intruder's altitude minus own altitude [ft]
           v_own  own vertical rate [ft/s], v_int the intruder's
           tau    time until horizontal separation is lost [s], counting down by one each step
Advisories clear    no advice: own rate drifts
           descend, climb                 reach ∓25 ft/s or beyond with 8 ft/s^2
           strong_descend, strong_climb   reach ∓42 ft/s or beyond with 11 ft/s^2
Cost       100 at tau = 0 if |h| < 150 ft, sliding to 0 at 350 ft; a small price for every second of advice.

The network, 4-32-32-5 ReLU, is fed (h/1000, v_own/50, v_int/50, (tau - 20)/20) and gives each advisory's
negative expected cost, shifted and scaled as `raw = (value + 25) / 25`: the highest score is the advice.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

import numpy as np
import torch
from export import Layers, forward, layers_of, relu_mlp, report, seed_everything, write_onnx

ADVISORIES = ("clear", "descend", "climb", "strong_descend", "strong_climb")
TARGET = np.array([0.0, -25.0, 25.0, -42.0, 42.0])
PRICE = np.array([0.0, 1.0, 1.0, 2.0, 2.0])
HORIZON = 40
H_GRID = np.sinh(np.linspace(-3.2, 3.2, 65)) / np.sinh(3.2) * 3000.0
V_GRID = np.linspace(-50.0, 50.0, 17)
NOISE = ((-4.0, 1 / 6), (0.0, 2 / 3), (4.0, 1 / 6))
MEAN, SCALE = np.array([0.0, 0.0, 0.0, 20.0]), np.array([1000.0, 50.0, 50.0, 20.0])
SCORE_MEAN, SCORE_SCALE = -25.0, 25.0


def collision_cost(h: np.ndarray) -> np.ndarray:
    return 100.0 * np.clip((350.0 - np.abs(h)) / 200.0, 0.0, 1.0)


def own_rate_after(v_own: np.ndarray, advisory: int) -> np.ndarray:
    """Own vertical rate one second later, before noise."""
    limit, target = (8.0 if advisory < 3 else 11.0), TARGET[advisory]
    if advisory == 0:
        return v_own
    return v_own + (np.clip(target - v_own, 0, limit) if target > 0 else np.clip(target - v_own, -limit, 0))


def cell(grid: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Index of the grid cell holding x and the fraction of the way through it; x is clipped to the grid."""
    x = np.clip(x, grid[0], grid[-1])
    i = np.clip(np.searchsorted(grid, x, side="right") - 1, 0, len(grid) - 2)
    return i, (x - grid[i]) / (grid[i + 1] - grid[i])


def interpolate(table: np.ndarray, h: np.ndarray, v_own: np.ndarray, v_int: np.ndarray) -> np.ndarray:
    """Trilinear interpolation of table[h, v_own, v_int, …]."""
    cells = [cell(H_GRID, h), cell(V_GRID, v_own), cell(V_GRID, v_int)]
    result = 0.0
    for corner in product((0, 1), repeat=3):
        weight = np.prod([f if c else 1 - f for c, (_, f) in zip(corner, cells, strict=True)], axis=0)
        part = table[tuple(i + c for c, (i, _) in zip(corner, cells, strict=True))]
        result = result + weight.reshape(weight.shape + (1,) * (part.ndim - weight.ndim)) * part
    return result


def solve() -> np.ndarray:
    """Return expected costs Q[tau, h, v_own, v_int, advisory] for tau = 0 … HORIZON by backward induction."""
    h, v_own, v_int = np.meshgrid(H_GRID, V_GRID, V_GRID, indexing="ij")
    value, tables = collision_cost(h), []
    for _ in range(HORIZON + 1):
        q = np.zeros((*h.shape, len(ADVISORIES)))
        for advisory in range(len(ADVISORIES)):
            v_next, q[..., advisory] = own_rate_after(v_own, advisory), PRICE[advisory]
            for (w_own, p), (w_int, r) in product(NOISE, NOISE):
                # Only an unadvised aircraft wanders; the average of old and new rate moves the altitude.
                o, i = v_next + (w_own if advisory == 0 else w_own / 4), v_int + w_int
                q[..., advisory] += p * r * interpolate(value, h + (v_int + i - v_own - o) / 2, o, i)
        tables.append(q)
        value = q.min(axis=-1)
    return np.stack(tables)


def fit(tables: np.ndarray, seed: int) -> torch.nn.Sequential:
    """Regress the scores, with extra weight on telling apart the two best advisories."""
    rng = np.random.default_rng(seed)
    grids = np.meshgrid(np.arange(HORIZON + 1.0), H_GRID, V_GRID, V_GRID, indexing="ij")
    tau, h, v_own, v_int = (g.ravel() for g in grids)
    x = torch.as_tensor((np.stack([h, v_own, v_int, tau], axis=1) - MEAN) / SCALE, dtype=torch.float32)
    y = torch.as_tensor((-tables.reshape(-1, 5) - SCORE_MEAN) / SCORE_SCALE, dtype=torch.float32)
    net = relu_mlp([4, 32, 32, 5])
    steps, batch, rate = 30_000, 1024, 4e-3
    optimiser = torch.optim.Adam(net.parameters(), lr=rate)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = rate * (1 - step / steps)
        i = torch.as_tensor(rng.integers(0, len(x), batch))
        out, goal = net(x[i]), y[i]
        soft = torch.softmax(SCORE_SCALE * goal, dim=1)
        choice = -(soft * torch.log_softmax(SCORE_SCALE * out, dim=1)).sum(1).mean()
        loss = (out - goal).square().mean() + 0.02 * choice
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if step % 5_000 == 4_999:
            print(f"step {step + 1:6d}  loss {loss.item():.4f}", flush=True)
    return net


def encounters(choose: Callable[..., np.ndarray], *, count: int, seed: int) -> tuple[float, float, float]:
    """Fly `count` random encounters; return mean return, share of near misses, advised share of the time."""
    rng = np.random.default_rng(seed)
    v_own, v_int = rng.uniform(-40, 40, count), rng.uniform(-40, 40, count)
    h = rng.normal(0.0, 200.0, count) - HORIZON * (v_int - v_own)  # close to a collision course
    near = np.abs(h) < 2500.0
    h, v_own, v_int = h[near], v_own[near], v_int[near]
    cost, advised = np.zeros(len(h)), 0.0
    wander, probability = zip(*NOISE, strict=True)
    for tau in range(HORIZON, -1, -1):
        a = choose(tau, h, v_own, v_int)
        advised += float((a > 0).mean()) / (HORIZON + 1)
        cost += PRICE[a]
        o = np.choose(a, [own_rate_after(v_own, k) for k in range(5)])
        o += rng.choice(wander, len(h), p=probability) * np.where(a == 0, 1.0, 0.25)
        i = np.clip(v_int + rng.choice(wander, len(h), p=probability), -50, 50)
        h, v_own, v_int = h + (v_int + i - v_own - o) / 2, np.clip(o, -50, 50), i
    return float(-(cost + collision_cost(h)).mean()), float((np.abs(h) < 150).mean()), advised


def by_network(layers: Layers, tau: int, h: np.ndarray, v_own: np.ndarray, v_int: np.ndarray) -> np.ndarray:
    x = (np.stack([np.clip(h, -3000, 3000), v_own, v_int, np.full_like(h, tau)], axis=1) - MEAN) / SCALE
    return np.argmax(forward(layers, x), axis=1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    started = time.perf_counter()
    seed_everything(arguments.seed)
    tables = solve()
    print(f"table of {tables.size:,} entries after {time.perf_counter() - started:.0f} s")
    layers = layers_of(fit(tables, arguments.seed))
    digest = write_onnx(arguments.out, layers, name="collision_avoidance", input_name="encounter", output_name="scores")
    pilots = {
        "no advice": lambda _tau, h, _o, _i: np.zeros(len(h), dtype=int),
        "table": lambda tau, h, o, i: np.argmin(interpolate(tables[tau], h, o, i), axis=1),
        "network": lambda tau, h, o, i: by_network(layers, tau, h, o, i),
    }
    for name, choose in pilots.items():
        result, near_misses, advised = encounters(choose, count=20_000, seed=1)
        score = f"mean return {result:.2f}, near misses {near_misses:.2%}, advised {advised:.1%} of the time"
        print(f"{name:10s} {score}")
    report(arguments.out, digest, score=score, started=started)


if __name__ == "__main__":
    main()
