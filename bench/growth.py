"""How the cost grows with the number of inputs and of ReLUs, on trained networks.

    python bench/growth.py --out docs/images/growth.png [--table docs/benchmarks.md] [--csv OUT.csv]
                           [--seeds 5] [--timeout 60] [--inputs 2,3,…] [--relus 16,32,…]

Every network has two hidden layers of equal width and is trained here, in NumPy and seeded, on a smooth random
function over [-1, 1]^d.  The property: over a box of half-width HALF_WIDTH around a random point, the output stays
below the largest value met by sampling and local search plus MARGIN times the range met.
Inputs grow at RELUS ReLUs, ReLUs at INPUTS inputs.
Time is CPU seconds in one warm process, reading the files included.

The laws are fitted by least squares on the logarithm, over proved queries, at sizes where no query ran out of time and
at least half were proved: c·exp(k·n) for inputs, c·n^k for ReLUs, for CPU seconds plus a constant that every query
costs.  The other form is told for comparison.
"""

from __future__ import annotations

import argparse
import csv
import math
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

if __name__ == "__main__":  # the repository, not this folder, whose profile.py would hide the standard library's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import tables
from bench.process import Meter
from bench.tool import warm_cache

INPUTS, RELUS = 4, 64  # the size that stays while the other grows
MARGIN = 0.05
HALF_WIDTH = 0.5
CLIMB_FROM, CLIMBERS, CLIMB_STEPS, CLIMB_MOVES = 10_000, 32, 40, 32  # of the search for the largest output
WAVES = 6  # sinusoids of the target
SAMPLES, BATCH, RATE = 4096, 128, 3e-3  # of the training
TOOK_LEAST = 1e-6

Floats = npt.NDArray[np.float32]
Layers = list[tuple[Floats, Floats]]  # weights (out, in) and bias of each layer


@dataclass(frozen=True)
class Measured:
    """One query on one trained network."""

    sweep: str  # inputs or relus
    inputs: int
    relus: int
    seed: int
    verdict: str
    cpu: float
    boxes: int
    error: float  # root mean square of the training error, over the target's spread

    @property
    def size(self) -> int:
        return self.inputs if self.sweep == "inputs" else self.relus


@dataclass(frozen=True)
class Law:
    """y = base + c·exp(k·n) or base + c·n^k."""

    kind: str  # exponential or power
    base: float
    c: float
    k: float
    r2: float  # share of the variance of log y that the law explains

    def __call__(self, n: float) -> float:
        return self.base + self.c * (math.exp(self.k * n) if self.kind == "exponential" else n**self.k)

    @property
    def formula(self) -> str:
        base = f"{self.base:.2g} + " if self.base else ""
        return base + (
            f"{self.c:.2g}·exp({self.k:.3g}·n)" if self.kind == "exponential" else f"{self.c:.2g}·n^{self.k:.3g}"
        )

    def __str__(self) -> str:
        factor = math.exp(self.k) if self.kind == "exponential" else 2**self.k
        step = "one more" if self.kind == "exponential" else "twice as many"
        part = "the part that grows" if self.base else "the cost"
        return f"{self.formula} (R² {self.r2:.2f}): {step}, {factor:.2f} times {part}"


def smooth_target(inputs: int, random: np.random.Generator) -> Callable[[Floats], Floats]:
    """A sum of sinusoids of random directions, frequencies about 1.5 rad a unit, and phases."""
    directions = random.normal(size=(WAVES, inputs))
    directions *= random.uniform(1.0, 2.0, (WAVES, 1)) / np.linalg.norm(directions, axis=1, keepdims=True)
    phases, amplitudes = random.uniform(0, 2 * math.pi, WAVES), random.uniform(0.5, 1.0, WAVES)

    def target(x: Floats) -> Floats:
        return (np.sin(x @ directions.T + phases) @ amplitudes).astype(np.float32)

    return target


def train(inputs: int, relus: int, random: np.random.Generator, *, steps: int = 1000) -> tuple[Layers, float]:
    """Two hidden layers of relus/2 trained by Adam; the layers and the relative root mean square error."""
    target, width = smooth_target(inputs, random), relus // 2
    x = random.uniform(-1, 1, (SAMPLES, inputs)).astype(np.float32)
    y = target(x)
    shapes = [(width, inputs), (width, width), (1, width)]
    parameters = [
        array
        for out, into in shapes
        for array in (
            (random.normal(size=(out, into)) * math.sqrt(2 / into)).astype(np.float32),
            np.zeros(out, np.float32),
        )
    ]
    first = [np.zeros_like(p) for p in parameters]
    second = [np.zeros_like(p) for p in parameters]
    for step in range(1, steps + 1):
        chosen = random.integers(0, SAMPLES, BATCH)
        gradients = _gradients(parameters, x[chosen], y[chosen])
        rate = RATE * 0.5 * (1 + math.cos(math.pi * step / steps))
        for p, g, m, v in zip(parameters, gradients, first, second, strict=True):
            m += 0.1 * (g - m)
            v += 0.001 * (g * g - v)
            p -= rate * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    layers = list(zip(parameters[::2], parameters[1::2], strict=True))
    error = float(np.sqrt(np.mean((forward(layers, x) - y) ** 2)) / y.std())
    return layers, error


def _gradients(parameters: Sequence[Floats], x: Floats, y: Floats) -> list[Floats]:
    """Of the mean squared error."""
    values = [x]
    for k in range(0, 4, 2):
        values.append(np.maximum(values[-1] @ parameters[k].T + parameters[k + 1], 0))
    back = (2 / len(x)) * (values[-1] @ parameters[4].T + parameters[5] - y[:, None])
    gradients: list[Floats] = []
    for k in (4, 2, 0):
        gradients = [back.T @ values[k // 2], back.sum(axis=0), *gradients]
        back = (back @ parameters[k]) * (values[k // 2] > 0)
    return gradients


def forward(layers: Layers, x: Floats) -> Floats:
    for weights, bias in layers[:-1]:
        x = np.maximum(x @ weights.T + bias, 0)
    weights, bias = layers[-1]
    return (x @ weights.T + bias)[:, 0]


def write_model(path: Path, layers: Layers) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    nodes, stored, value = [], [], "x"
    for k, (weights, bias) in enumerate(layers):
        stored += [numpy_helper.from_array(weights, f"w{k}"), numpy_helper.from_array(bias, f"b{k}")]
        last = k == len(layers) - 1
        nodes.append(helper.make_node("Gemm", [value, f"w{k}", f"b{k}"], ["y" if last else f"z{k}"], transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [f"z{k}"], [f"v{k}"]))
        value = f"v{k}"
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, size])
        for name, size in (("x", layers[0][0].shape[1]), ("y", 1))
    ]
    graph = helper.make_graph(nodes, "growth", ends[:1], ends[1:], stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)


def sampled_range(layers: Layers, centre: npt.NDArray[np.float64], random: np.random.Generator) -> tuple[float, float]:
    """The largest and the smallest output met in the box: inner points, corners, and an ascent from the best."""
    inputs = len(centre)
    inner = random.uniform(-1, 1, (CLIMB_FROM, inputs))
    corners = random.choice([-1.0, 1.0], (CLIMB_FROM, inputs))
    x = np.concatenate([inner, corners])
    y = forward(layers, (centre + HALF_WIDTH * x).astype(np.float32))
    highest, lowest = float(y.max()), float(y.min())
    x = x[np.argsort(-y)[:CLIMBERS]]
    for step in np.geomspace(0.5, 0.01, CLIMB_STEPS):  # the best of some random moves from each point
        moves = x[:, None] + step * random.normal(size=(len(x), CLIMB_MOVES, inputs))
        moves = np.concatenate([x[:, None], np.clip(moves, -1, 1)], axis=1)
        flat = (centre + HALF_WIDTH * moves.reshape(-1, inputs)).astype(np.float32)
        y = forward(layers, flat).reshape(len(x), -1)
        x = moves[np.arange(len(x)), y.argmax(axis=1)]
        highest = max(highest, float(y.max()))
    return highest, lowest


def write_property(path: Path, layers: Layers, random: np.random.Generator) -> None:
    """The unsafe set: the output reaches the largest sampled value plus the margin, somewhere in the box."""
    inputs = layers[0][0].shape[1]
    centre = random.uniform(-1 + HALF_WIDTH, 1 - HALF_WIDTH, inputs)
    highest, lowest = sampled_range(layers, centre, random)
    limit = highest + MARGIN * (highest - lowest)
    lines = [f"(declare-const X_{i} Real)" for i in range(inputs)] + ["(declare-const Y_0 Real)"]
    for i, at in enumerate(centre):
        lines += [f"(assert (>= X_{i} {at - HALF_WIDTH:.9f}))", f"(assert (<= X_{i} {at + HALF_WIDTH:.9f}))"]
    path.write_text("\n".join([*lines, f"(assert (>= Y_0 {limit:.9f}))", ""]))


def measure(sweep: str, inputs: int, relus: int, seed: int, *, timeout: float, folder: Path) -> Measured:
    """Train, write the files, decide the query once."""
    import verify

    random = np.random.default_rng([seed, inputs, relus])
    layers, error = train(inputs, relus, random)
    model, prop = folder / "net.onnx", folder / "prop.vnnlib"
    write_model(model, layers)
    write_property(prop, layers, random)
    meter = Meter()
    (result,) = verify.prove(verify.read_spec(prop, networks={"": model}), timeout=timeout)
    cpu = max(meter.cpu, TOOK_LEAST)
    return Measured(sweep, inputs, relus, seed, str(result.verdict), cpu, result.statistics.subproblems, error)


def fit(points: Sequence[tuple[float, float]], kind: str, *, with_base: bool) -> Law | None:
    """Least squares on log y; None for fewer than three different sizes."""
    from scipy.optimize import least_squares

    if len({n for n, _ in points}) < 3:
        return None
    y = np.log([v for _, v in points])
    x = np.array([n if kind == "exponential" else math.log(n) for n, _ in points])
    k, log_c = np.polyfit(x, y, 1)
    log_base = -math.inf
    if with_base:

        def residual(p: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
            return np.asarray(np.logaddexp(p[0], p[1] + p[2] * x) - y)

        log_base, log_c, k = least_squares(residual, [y.min() - 0.1, log_c, k]).x
    left = float(np.sum((np.logaddexp(log_base, log_c + k * x) - y) ** 2))
    spread = float(np.sum((y - y.mean()) ** 2))
    return Law(kind, math.exp(log_base), math.exp(log_c), float(k), 1 - left / spread if spread else 1.0)


def settled_sizes(runs: Sequence[Measured]) -> list[int]:
    """Sizes where nothing ran out of time (leaving out the hardest would bend the law) and half were proved."""
    sizes = []
    for n in sorted({r.size for r in runs}):
        verdicts = [r.verdict for r in runs if r.size == n]
        if "UNKNOWN" not in verdicts and 2 * verdicts.count("PROVED") >= len(verdicts):
            sizes.append(n)
    return sizes


def laws_of(runs: Sequence[Measured], cost: str) -> tuple[Law, Law] | None:
    """The law of a sweep and the other form, for comparison."""
    sizes = settled_sizes(runs)
    chosen = [r for r in runs if r.size in sizes and r.verdict == "PROVED"]
    points = [(r.size, max(float(getattr(r, cost)), TOOK_LEAST)) for r in chosen]
    kinds = ("exponential", "power") if runs and runs[0].sweep == "inputs" else ("power", "exponential")
    law, other = (fit(points, kind, with_base=cost == "cpu") for kind in kinds)
    return None if law is None or other is None else (law, other)


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    cache = warm_cache()
    heading = tables.heading(
        [
            ("seeds", f"0 to {options.seeds - 1}"),
            ("run", f"one warm process, {options.timeout:g} s a query; compiled search's cache {cache}"),
        ]
    )
    points = [("inputs", d, RELUS) for d in options.inputs] + [("relus", INPUTS, n) for n in options.relus]
    runs = []
    with tempfile.TemporaryDirectory() as scratch:
        measure("inputs", INPUTS, RELUS, 0, timeout=options.timeout, folder=Path(scratch))  # imports and first calls
        for sweep, inputs, relus in points:
            for seed in range(options.seeds):
                run = measure(sweep, inputs, relus, seed, timeout=options.timeout, folder=Path(scratch))
                runs.append(run)
                print(
                    f"{sweep} {run.size}, seed {seed}: {run.verdict} {run.cpu:.3f} CPU s, {run.boxes} boxes"
                    f" (training error {run.error:.2f})",
                    file=sys.stderr,
                    flush=True,
                )
    if options.csv:
        write_csv(options.csv, runs)
    plot(options.out, runs)
    text = "\n".join([heading, *report(runs)])
    if options.table:
        tables.write_section(options.table, "growth", text)
    print(text)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="the plot")
    parser.add_argument("--table", type=Path, help="Markdown file, or a page with a section `growth`")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--seeds", type=int, default=5, help="how many")
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--inputs", type=_numbers, default=[2, 3, 4, 5, 6, 8, 10, 12])
    parser.add_argument("--relus", type=_numbers, default=[16, 32, 64, 128, 256, 512, 1024])
    return parser


def _numbers(word: str) -> list[int]:
    return [int(part) for part in word.split(",") if part]


def write_csv(path: Path, runs: Sequence[Measured]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["sweep", "inputs", "relus", "seed", "verdict", "cpu", "boxes", "training_error"])
        for r in runs:
            writer.writerow([r.sweep, r.inputs, r.relus, r.seed, r.verdict, f"{r.cpu:.4f}", r.boxes, f"{r.error:.3f}"])


def report(runs: Sequence[Measured]) -> list[str]:
    """The laws and the medians behind them."""
    parts, rows = [], []
    for sweep, title in (("inputs", f"inputs, at {RELUS} ReLUs"), ("relus", f"ReLUs, at {INPUTS} inputs")):
        mine = [r for r in runs if r.sweep == sweep]
        for cost, name in (("cpu", "CPU seconds"), ("boxes", "boxes")):
            laws = laws_of(mine, cost)
            if laws is None:
                parts.append(f"- {name} against {title}: too few sizes were proved throughout to fit a law\n")
                continue
            law, other = laws
            used = f"n = {settled_sizes(mine)[0]} to {settled_sizes(mine)[-1]}"
            parts.append(f"- {name} against {title}, {used}: {law}; as {other.formula}: R² {other.r2:.2f}\n")
        for n in sorted({r.size for r in mine}):
            group = [r for r in mine if r.size == n]
            cpu, boxes = [r.cpu for r in group], [r.boxes for r in group]
            rows.append(
                (
                    f"{group[0].inputs} inputs, {group[0].relus} ReLUs",
                    f"{sum(r.verdict == 'PROVED' for r in group)}/{len(group)}",
                    *(f"{v:.3f}" for v in (statistics.median(cpu), max(cpu))),
                    *(f"{v:.0f}" for v in (statistics.median(boxes), max(boxes))),
                )
            )
    columns = ("network", "proved", "median CPU s", "max CPU s", "median boxes", "max boxes")
    return ["".join(parts), tables.table(columns, rows)]


def plot(path: Path, runs: Sequence[Measured]) -> None:
    """CPU seconds and boxes against inputs (semi-logarithmic) and ReLUs (logarithmic)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(2, 2, figsize=(10, 7.5), layout="constrained")
    for column, sweep in enumerate(("inputs", "relus")):
        mine = [r for r in runs if r.sweep == sweep]
        for row, (cost, name) in enumerate((("cpu", "CPU seconds (warm process)"), ("boxes", "boxes visited"))):
            axes = grid[row][column]
            _panel(axes, mine, cost)
            axes.set_ylabel(name)
            fixed = f"{RELUS} ReLUs" if sweep == "inputs" else f"{INPUTS} inputs"
            axes.set_xlabel(f"{'inputs' if sweep == 'inputs' else 'ReLUs'} (at {fixed})")
    figure.suptitle("Cost of proving an output bound on trained networks")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _panel(axes: Any, runs: Sequence[Measured], cost: str) -> None:
    groups = (
        ("proved", "o", "C0", [r for r in runs if r.verdict == "PROVED"]),
        ("refuted", "x", "C2", [r for r in runs if r.verdict in ("REFUTED", "FRAGILE")]),
        ("undecided in time (lower bound)", "^", "C3", [r for r in runs if r.verdict == "UNKNOWN"]),
    )
    for label, marker, colour, group in groups:
        if group:
            values = [max(getattr(r, cost), TOOK_LEAST) for r in group]
            axes.scatter([r.size for r in group], values, s=18, marker=marker, c=colour, alpha=0.6, label=label)
    sizes = sorted({r.size for r in runs})
    middle = [statistics.median(getattr(r, cost) for r in runs if r.size == n) for n in sizes]
    axes.plot(sizes, middle, color="C0", linewidth=1, alpha=0.7, label="median")
    laws = laws_of(runs, cost)
    if laws is not None:
        law, used = laws[0], settled_sizes(runs)
        xs = np.geomspace(used[0], used[-1], 50)
        axes.plot(xs, [law(x) for x in xs], color="black", linestyle="--", label=f"{law.formula}, R² {law.r2:.2f}")
    axes.set_yscale("log")
    if runs and runs[0].sweep == "relus":
        axes.set_xscale("log", base=2)
        axes.set_xticks(sizes, [str(n) for n in sizes])
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


if __name__ == "__main__":
    sys.exit(main())
