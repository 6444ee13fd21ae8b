"""Decide the instances of a corpus and write a table, a CSV file and a cactus plot.

    python bench/run.py CORPUS [--family F]… [--quick] [--sample N] [--timeout S] [--seed N]… [--in-process]
                        [--csv OUT.csv] [--table OUT.md] [--peers PEER.csv]… [--plot OUT.png]

CORPUS is a folder with instances.csv (columns family, instance, onnx, vnnlib, timeout_s, expected; perhaps quick and
best_s).  Every instance is one fresh process of the command line, start-up included, or with --in-process one call in
a process that stays warm (then CPU seconds are the figure to look at).  An undecided instance counts its timeout.
Exit code: 1 when a verdict contradicts the expected answer, or one seed's another's.
"""

from __future__ import annotations

import argparse
import csv
import math
import shlex
import statistics
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

if __name__ == "__main__":  # the repository, not this folder, whose profile.py would hide the standard library's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import cactus, tables
from bench.corpus import Instance, Unpacked, by_family, evenly, read_corpus
from bench.tool import Run, default_command, fresh_process, warm_cache, warm_process

CSV_COLUMNS = (
    *("family", "instance", "expected", "verdict", "seconds", "cpu", "evidence", "best_s", "detail"),
    *("peak_mb", "seed"),
)
TABLE_COLUMNS = (
    *("family", "answered", "wrong", "median s", "max s", "total s", "CPU s", "peak MB", "evidence of unsat"),
    "fastest peer's median s",
)
OURS = "policyproof"


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    instances = choose(options)
    seeds = options.seed or [0]
    cache = "not prepared" if options.cold or options.command else warm_cache()
    command = shlex.split(options.command) if options.command else default_command()
    how = "one warm process" if options.in_process else "a fresh process each, start-up included"
    heading = tables.heading(
        [
            ("seeds", ", ".join(map(str, seeds))),
            ("run", f"{how}; compiled search's cache {cache}"),
            ("timeout", f"{options.timeout:g} s" if options.timeout else "each instance's own"),
        ]
    )
    with tempfile.TemporaryDirectory() as scratch:
        runner = warm_process() if options.in_process else fresh_process(command, Unpacked(Path(scratch)))
        runs = [
            run
            for members in by_family(instances).values()
            for seed in seeds
            for run in _family(members, lambda i, s=seed: runner(i, options.timeout or i.timeout_s, s))
        ]
    if options.csv:
        write_csv(options.csv, runs)
    peers = {name: r for path in options.peers for name, r in cactus.read_results(path, instances).items()}
    peers = {name: results for name, results in peers.items() if name != OURS}
    clashes = contradictions(runs)
    text = "\n".join([heading, family_table(runs), *notes(runs, clashes, peers, instances)])
    if options.table:
        tables.write_section(options.table, "in-process" if options.in_process else "corpus", text)
    print(text)
    if options.plot:
        ours = {r.instance.key: (r.verdict, r.wall) for r in runs if r.seed == seeds[0]}
        cactus.plot(options.plot, {OURS: ours, **peers}, instances, f"{options.corpus.name}: solved over time")
    return 1 if clashes or any(r.wrong for r in runs) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--family", action="append", default=[], help="only this family; repeatable")
    parser.add_argument("--quick", action="store_true", help="only the smoke set")
    parser.add_argument("--sample", type=_positive, help="at most so many instances per family, evenly spread")
    parser.add_argument("--timeout", type=float, help="seconds an instance; default: its own")
    parser.add_argument("--seed", type=int, action="append", help="repeatable; default 0")
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--table", type=Path, help="Markdown file, or a page with a section `corpus` / `in-process`")
    parser.add_argument("--peers", type=Path, action="append", default=[], help="a peer's results; repeatable")
    parser.add_argument("--plot", type=Path, help="cactus plot (needs matplotlib)")
    parser.add_argument("--in-process", action="store_true", help="one warm process instead of fresh ones")
    parser.add_argument("--cold", action="store_true", help="do not compile the search before measuring")
    parser.add_argument("--command", help="default: `verify run` of this environment")
    return parser


def _positive(word: str) -> int:
    value = int(word)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value


def choose(options: argparse.Namespace) -> list[Instance]:
    """The instances asked for.  A family that the corpus lacks ends the program."""
    instances = read_corpus(options.corpus)
    known = by_family(instances)
    for name in options.family:
        if name not in known:
            raise SystemExit(f"bench: no family {name!r}; there are: {', '.join(known)}")
    chosen = [
        i for i in instances if (not options.family or i.family in options.family) and (not options.quick or i.quick)
    ]
    if options.sample:
        chosen = [i for members in by_family(chosen).values() for i in evenly(members, options.sample)]
    if not chosen:
        raise SystemExit("bench: no instance is left")
    return chosen


def _family(members: Sequence[Instance], runner: Callable[[Instance], Run]) -> list[Run]:
    """Run a family's instances, telling as it goes what needs a look."""
    runs = []
    for instance in members:
        run = runner(instance)
        runs.append(run)
        if run.wrong or not run.answer:
            word = "WRONG" if run.wrong else "undecided"
            about = f"expected {instance.expected}, got {run.verdict} {run.detail}".rstrip()
            print(f"{word} {instance.family}/{instance.name} (seed {run.seed}): {about}", file=sys.stderr, flush=True)
    return runs


def write_csv(path: Path, runs: Sequence[Run]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(CSV_COLUMNS)
        for r in runs:
            i = r.instance
            best = "" if i.best_s is None else f"{i.best_s:g}"
            measured = [f"{r.wall:.3f}", f"{r.cpu:.3f}", r.evidence, best, r.detail, f"{r.peak_mb:.1f}", r.seed]
            writer.writerow([i.family, i.name, i.expected, r.verdict, *measured])


def family_table(runs: Sequence[Run]) -> str:
    """A row per family and seed, and one for everything."""
    several = len({r.seed for r in runs}) > 1
    groups: dict[tuple[str, int], list[Run]] = {}
    for run in runs:
        groups.setdefault((run.instance.family, run.seed), []).append(run)
    rows = [_row(f"{name}, seed {seed}" if several else name, group) for (name, seed), group in groups.items()]
    if len(rows) > 1:
        rows.append(_row("all", runs))
    return tables.table(TABLE_COLUMNS, rows)


def _row(name: str, runs: Sequence[Run]) -> list[object]:
    seconds = [r.seconds for r in runs]
    best = [r.instance.best_s for r in runs if r.instance.best_s is not None]
    evidence = Counter(r.evidence or "none" for r in runs if r.answer == "unsat")
    return [
        name,
        f"{sum(r.solved for r in runs)}/{len(runs)}",
        sum(r.wrong for r in runs),
        f"{statistics.median(seconds):.2f}",
        f"{max(seconds):.2f}",
        f"{sum(seconds):.1f}",
        f"{sum(r.cpu for r in runs):.1f}",
        f"{max(r.peak_mb for r in runs):.0f}",
        ", ".join(f"{kind} {count}" for kind, count in sorted(evidence.items())) or "-",
        f"{statistics.median(best):.2f}" if best else "-",
    ]


def contradictions(runs: Sequence[Run]) -> list[str]:
    """Instances on which two seeds gave opposite answers."""
    answers: dict[tuple[str, str], set[str]] = {}
    for run in runs:
        if run.answer:
            answers.setdefault(run.instance.key, set()).add(run.answer)
    return ["/".join(key) for key, found in answers.items() if len(found) > 1]


def notes(
    runs: Sequence[Run], clashes: Sequence[str], peers: dict[str, cactus.Results], instances: Sequence[Instance]
) -> list[str]:
    """What the table does not show: instances that need a look, and how peers did on the same ones."""
    parts = []
    looks = [f"WRONG {r.instance.family}/{r.instance.name}: {r.verdict}" for r in runs if r.wrong]
    looks += [f"CONTRADICTED by another seed: {name}" for name in clashes]
    undecided = Counter(f"{r.instance.family}: {r.verdict} {r.detail}".strip() for r in runs if not r.answer)
    looks += [f"{count} × {what}" for what, count in undecided.items()]
    if looks:
        parts.append("".join(f"- {line}\n" for line in looks))
    if peers:
        first = runs[0].seed
        ours = {r.instance.key: (r.verdict, r.wall) for r in runs if r.seed == first}
        rows = [_peer_row(name, results, ours, instances) for name, results in peers.items()]
        parts.append(tables.table(("peer", "solved", "wrong", "of", "peer's time / ours, geometric mean"), rows))
    return parts


def _peer_row(
    name: str, results: cactus.Results, ours: cactus.Results, instances: Sequence[Instance]
) -> tuple[object, ...]:
    shared = [i for i in instances if i.key in results]
    ratios = [
        math.log(max(results[i.key][1], 1e-3) / max(ours[i.key][1], 1e-3))
        for i in shared
        if i.is_solved(results[i.key][0]) and i.key in ours and i.is_solved(ours[i.key][0])
    ]
    mean = f"{math.exp(statistics.fmean(ratios)):.2f} ({len(ratios)} both solved)" if ratios else "-"
    wrong = sum(i.is_wrong(results[i.key][0]) for i in shared)
    return name, len(cactus.solved_seconds(results, shared)), wrong, len(shared), mean


if __name__ == "__main__":
    sys.exit(main())
