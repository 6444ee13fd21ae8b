"""Peers' results read from their CSV files, and the cactus plot: instances solved within a time, one line per tool."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.corpus import Instance

Results = dict[tuple[str, str], tuple[str, float]]  # (family, instance) -> verdict, seconds


def read_results(path: Path, instances: Sequence[Instance]) -> dict[str, Results]:
    """Results by tool from a CSV file, for the given instances only.

    Formats: with a header naming family, instance, verdict, seconds and perhaps tool (as bench/run.py, bench/peers.py
    and score.py write; the first of several results of an instance counts); or the competition's, without a header:
    family, network, property, preparation seconds, result, seconds.
    """
    known = {i.key: i for i in instances}
    by_files = {(i.family, _stem(i.onnx), _stem(i.vnnlib)): i.key for i in instances}
    found: dict[str, Results] = {}
    with open(path, newline="", encoding="utf-8") as handle:
        rows = [row for row in csv.reader(handle) if row]
    header = {name: place for place, name in enumerate(rows[0])} if rows else {}
    if {"family", "instance", "verdict", "seconds"} <= header.keys():
        for row in rows[1:]:
            key = row[header["family"]], row[header["instance"]]
            tool = row[header["tool"]] if "tool" in header else path.stem
            if key in known:
                result = row[header["verdict"]], float(row[header["seconds"]])
                found.setdefault(tool, {}).setdefault(key, result)
        return found
    for row in rows:
        if len(row) < 6:
            raise SystemExit(f"bench: {path}: not a table of results: {','.join(row)[:80]}")
        key_of = by_files.get((row[0], _stem(Path(row[1])), _stem(Path(row[2]))))
        if key_of is not None:
            found.setdefault(path.stem, {})[key_of] = row[4], float(row[5])
    return found


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").rsplit(".", 1)[0]


def solved_seconds(results: Results, instances: Sequence[Instance]) -> list[float]:
    """Times of the right answers, sorted."""
    return sorted(results[i.key][1] for i in instances if i.key in results and i.is_solved(results[i.key][0]))


def plot(path: Path, tools: Mapping[str, Results], instances: Sequence[Instance], title: str) -> None:
    """Draw the cactus plot, the first tool emphasised; a competition's fastest tool is dotted where it is known."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    lines = [(name, solved_seconds(results, instances)) for name, results in tools.items()]
    best = sorted(i.best_s for i in instances if i.best_s is not None)
    longest = max([1.0, *best, *(s for _, seconds in lines for s in seconds)])
    for number, (name, seconds) in enumerate(lines):
        _steps(axes, seconds, longest, label=f"{name} ({len(seconds)})", linewidth=2.5 if number == 0 else 1.5)
    if best:
        label = f"fastest of a competition, other machines ({len(best)})"
        _steps(axes, best, longest, label=label, linestyle=":", color="grey")
    axes.set_xscale("log")
    axes.set_xlabel("seconds per instance (whole process)")
    axes.xaxis.set_major_formatter("{x:g}")
    axes.set_ylabel(f"instances solved (of {len(instances)})")
    axes.set_ylim(bottom=0)
    axes.set_title(title)
    axes.grid(alpha=0.3)
    axes.legend(loc="lower right", fontsize="small")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def _steps(axes: object, seconds: Sequence[float], longest: float, **style: object) -> None:
    xs = [max(s, 1e-3) for s in seconds]
    axes.step([*xs, longest], [*range(1, len(xs) + 1), len(xs)], where="post", **style)  # type: ignore[attr-defined]
