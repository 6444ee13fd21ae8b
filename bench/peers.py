"""Other verifiers beside this one, paired in one run: ours, peer, ours, peer … on the same instances.

    python bench/peers.py CORPUS --venv maraboupy=/tmp/peers/marabou --venv vibecheck-nn=/tmp/peers/vibecheck
                          [--family F]… [--count 20] [--timeout 60] [--csv OUT.csv] [--table OUT.md] [--plot OUT.png]

Each peer lives in a virtual environment of its own (docs/benchmarks.md says how to make them) and is called through
the command its package installs.  Whole processes are timed, start-up included, on uncompressed files.  The instances
are spread evenly over the families and the same in every run.  A ratio is the peer's seconds over those of our run
just before it; above 1 we are faster.  An answer later than the limit by over 5 % and 1 s counts as a timeout, a
peer's or ours.
"""

from __future__ import annotations

import argparse
import csv
import math
import re
import statistics
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

if __name__ == "__main__":  # the repository, not this folder, whose profile.py would hide the standard library's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import cactus, tables
from bench.corpus import ANSWERS, Instance, Unpacked, by_family, evenly, read_corpus
from bench.process import Outcome, run_process
from bench.tool import default_command, fresh_process, warm_cache

FAMILIES = ("acasxu_2023", "rl_benchmarks", "safenlp", "collins_rul_cnn", "tllverifybench_2023")
CSV_COLUMNS = (*("tool", "family", "instance", "expected", "verdict", "seconds", "cpu", "peak_mb", "beside", "detail"),)
OURS = "policyproof"


@dataclass(frozen=True)
class Peer:
    """How to call a tool and how to read what it printed: (verdict, reason)."""

    command: Callable[[Path, Path, Path, float], list[str]]  # environment, network, property, seconds
    read: Callable[[Outcome], tuple[str, str]]


@dataclass(frozen=True)
class Timed:
    """One process of one tool on one instance."""

    tool: str
    instance: Instance
    verdict: str
    seconds: float
    cpu: float
    peak_mb: float
    detail: str
    beside: str = ""  # of our own runs: the peer that ran next

    @property
    def solved(self) -> bool:
        return self.instance.is_solved(self.verdict)


def _marabou(venv: Path, network: Path, prop: Path, seconds: float) -> list[str]:
    """The command of the wheel; it reads ONNX and VNN-LIB itself and starts in 0.03 s, with whole-second timeouts."""
    return [str(venv / "bin/Marabou"), str(network), str(prop), "--timeout", str(math.ceil(seconds)), "--verbosity=0"]


def read_marabou(outcome: Outcome) -> tuple[str, str]:
    """A line "sat", "unsat" or "Timeout" on stdout; otherwise the error it printed."""
    for line in map(str.strip, outcome.out.splitlines()):
        if line in ("sat", "unsat"):
            return line, ""
        if line in ("Timeout", "UNKNOWN", "QUIT_REQUESTED"):
            return "timeout" if line == "Timeout" else "unknown", ""
    message = re.search(r"Message: (.*)", outcome.out + outcome.err)
    return "error", message[1].strip()[:160] if message else outcome.last_line or f"exit code {outcome.code}"


def _vibecheck(venv: Path, network: Path, prop: Path, seconds: float) -> list[str]:
    """The VNN-LIB standard's solver interface."""
    return [str(venv / "bin/vibecheck"), "verify", str(prop), "--network", f"N={network}", "--timeout", f"{seconds:g}"]


def read_vibecheck(outcome: Outcome) -> tuple[str, str]:
    """The verdict is the first line of stdout."""
    line = (outcome.out.splitlines() or [""])[0].strip()
    if line in ("sat", "unsat", "unknown"):
        return line, ""
    if line in ("timed-out", "timeout"):
        return "timeout", ""
    return "error", outcome.last_line or f"exit code {outcome.code}"


PEERS = {
    "maraboupy": Peer(_marabou, read_marabou),
    "vibecheck-nn": Peer(_vibecheck, read_vibecheck),
}


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    venvs = dict(_venv(word) for word in options.venv)
    chosen = choose(read_corpus(options.corpus), options.family, options.count)
    facts = [
        ("compiled search's cache", warm_cache()),
        ("peers", ", ".join(f"{name} {package_version(name, venv)}" for name, venv in venvs.items())),
        ("run", f"{len(chosen)} instances, {options.timeout:g} s each, whole processes, start-up included"),
    ]
    heading = tables.heading(facts)
    with tempfile.TemporaryDirectory() as scratch:
        runs = paired(chosen, venvs, options.timeout, Unpacked(Path(scratch)))
    if options.csv:
        write_csv(options.csv, runs)
    text = "\n".join([heading, *comparison(runs, list(venvs), options.timeout)])
    if options.table:
        tables.write_section(options.table, "peers", text)
    print(text)
    if options.plot:
        results: dict[str, cactus.Results] = {}
        for r in runs:
            results.setdefault(r.tool, {}).setdefault(r.instance.key, (r.verdict, r.seconds))
        cactus.plot(options.plot, results, chosen, f"{options.corpus.name}: {len(chosen)} instances, paired")
    return 1 if any(r.tool == OURS and r.instance.is_wrong(r.verdict) for r in runs) else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--venv", action="append", required=True, help=f"NAME=FOLDER; names: {', '.join(PEERS)}")
    parser.add_argument("--family", action="append", help=f"repeatable; default: {', '.join(FAMILIES)}")
    parser.add_argument("--count", type=int, default=20, help="instances over all families")
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--csv", type=Path)
    parser.add_argument("--table", type=Path, help="Markdown file, or a page with a section `peers`")
    parser.add_argument("--plot", type=Path)
    return parser


def _venv(word: str) -> tuple[str, Path]:
    name, _, folder = word.partition("=")
    if name not in PEERS or not folder:
        raise SystemExit(f"bench: --venv {word}: write NAME=FOLDER, NAME one of {', '.join(PEERS)}")
    return name, Path(folder)


def choose(instances: Sequence[Instance], families: Sequence[str] | None, count: int) -> list[Instance]:
    """`count` instances with a known answer, evenly from the given families (default: those of FAMILIES there are)."""
    known = by_family(i for i in instances if i.expected in ("sat", "unsat"))
    names = list(families or [f for f in FAMILIES if f in known] or list(known)[:5])
    missing = [name for name in names if name not in known]
    if missing:
        raise SystemExit(f"bench: no family {missing[0]!r}; there are: {', '.join(known)}")
    shares = [count // len(names) + (k < count % len(names)) for k in range(len(names))]
    return [i for name, share in zip(names, shares, strict=True) for i in evenly(known[name], share)]


def package_version(name: str, venv: Path) -> str:
    """The installed version, or why there is none."""
    code = f"from importlib.metadata import version; print(version({name!r}))"
    try:
        done = subprocess.run([venv / "bin/python", "-c", code], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return "of unknown version"
    return done.stdout.strip()


def paired(instances: Sequence[Instance], venvs: dict[str, Path], timeout: float, unpacked: Unpacked) -> list[Timed]:
    """Ours and each peer in turn, instance by instance."""
    ours = fresh_process(default_command(), unpacked)
    runs = []
    for instance in instances:
        for name, venv in venvs.items():
            mine = ours(instance, timeout, 0)
            verdict, detail = in_time(mine.verdict, mine.detail, mine.wall, timeout)
            runs.append(Timed(OURS, instance, verdict, mine.wall, mine.cpu, mine.peak_mb, detail, beside=name))
            command = PEERS[name].command(venv, unpacked(instance.onnx), unpacked(instance.vnnlib), timeout)
            outcome = run_process(command, timeout * 1.05 + 5)
            verdict, detail = ("timeout", "killed") if outcome.killed else PEERS[name].read(outcome)
            verdict, detail = in_time(verdict, detail, outcome.wall, timeout)
            runs.append(Timed(name, instance, verdict, outcome.wall, outcome.cpu, outcome.peak_mb, detail))
            pair = "  ".join(f"{r.tool} {r.verdict} {r.seconds:.2f} s" for r in runs[-2:])
            print(f"{instance.family}/{instance.name}: {pair}  {detail}".rstrip(), file=sys.stderr, flush=True)
    return runs


def in_time(verdict: str, detail: str, seconds: float, timeout: float) -> tuple[str, str]:
    """The verdict and its reason; "timeout" for an answer that came too late."""
    if verdict in ANSWERS and seconds > timeout * 1.05 + 1:
        return "timeout", f"{verdict} too late"
    return verdict, detail


def write_csv(path: Path, runs: Sequence[Timed]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(CSV_COLUMNS)
        for r in runs:
            i = r.instance
            measured = [f"{r.seconds:.3f}", f"{r.cpu:.3f}", f"{r.peak_mb:.1f}"]
            writer.writerow([r.tool, i.family, i.name, i.expected, r.verdict, *measured, r.beside, r.detail])


def comparison(runs: Sequence[Timed], peers: Sequence[str], timeout: float) -> list[str]:
    """The summary by peer, the table by instance, and why peers gave no answer."""
    pairs = {(r.beside, r.instance.key): r for r in runs if r.tool == OURS}
    theirs = {(r.tool, r.instance.key): r for r in runs if r.tool != OURS}
    instances = list({r.instance.key: r.instance for r in runs}.values())
    summary, reasons = [], Counter[str]()
    for name in peers:
        matched = [(pairs[name, i.key], theirs[name, i.key]) for i in instances]
        both = [math.log(b.seconds / a.seconds) for a, b in matched if a.solved and b.solved]
        floor = [math.log((b.seconds if b.solved else timeout) / a.seconds) for a, b in matched if a.solved]
        summary.append(
            (
                name,
                f"{sum(a.solved for a, _ in matched)}/{len(matched)}",
                f"{sum(b.solved for _, b in matched)}/{len(matched)}",
                f"{sum(a.instance.is_wrong(a.verdict) for a, _ in matched)}",
                f"{sum(b.instance.is_wrong(b.verdict) for _, b in matched)}",
                f"{math.exp(statistics.fmean(both)):.2f} ({len(both)})" if both else "-",
                f"{min(map(math.exp, both)):.2f} to {max(map(math.exp, both)):.2f}" if both else "-",
                f"{math.exp(statistics.fmean(floor)):.2f} ({len(floor)})" if floor else "-",
                f"{max(a.peak_mb for a, _ in matched):.0f} / {max(b.peak_mb for _, b in matched):.0f}",
            )
        )
        for _, b in matched:
            if b.verdict not in ANSWERS:
                reasons[f"{name} on {b.instance.family}: {b.verdict} {b.detail}".strip()] += 1
    columns = (
        *(
            "peer",
            "ours solved",
            "peer solved",
            "ours wrong",
            "peer wrong",
            "peer / ours, both solved (geometric mean)",
        ),
        *("range", "the same, a peer's undecided counted as its limit", "peak MB ours / peer"),
    )
    parts = [tables.table(columns, summary)]
    rows = []
    for i in instances:
        cells: list[str] = []
        for name in peers:
            a, b = pairs[name, i.key], theirs[name, i.key]
            ratio = f"{b.seconds / a.seconds:.1f}" if a.solved and b.solved else "-"
            cells += [_cell(a), _cell(b), ratio]
        rows.append([f"{i.family}/{i.name}", i.expected, *cells])
    parts.append(
        tables.table(["instance", "expected", *(c for n in peers for c in ("ours s", f"{n} s", "ratio"))], rows)
    )
    if reasons:
        parts.append("".join(f"- {count} × {reason}\n" for reason, count in reasons.items()))
    return parts


def _cell(r: Timed) -> str:
    if r.instance.is_wrong(r.verdict):
        return f"WRONG {r.seconds:.2f}"
    return f"{r.seconds:.2f}" if r.solved else f"{r.verdict} {r.seconds:.2f}"


if __name__ == "__main__":
    sys.exit(main())
