"""Where the time of one query goes: share of each stage, boxes per second, peak memory.

    python bench/profile.py SPEC [--network [NAME=]FILE] [-k PROPERTY] [--param NAME=VALUE] [--timeout S] [--seed N]
                            [--warm] [--functions N]

The program is not changed for this: the functions in STAGES are wrapped from outside, with a clock that stops for
whatever wrapped function is called inside.  --warm decides the query once before it counts (no imports, files cached);
--functions N adds the N costliest Python functions under cProfile, in a further, slower round.
The last line is the same query as a fresh process of the command line, unwrapped: what the wrapping distorts.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

if __name__ == "__main__":  # the repository, not this folder, whose profile.py hides the one that cProfile imports
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import tables
from bench.process import Meter, run_process
from bench.tool import default_command, warm_cache

Function = Callable[..., Any]

STAGES = (  # stage, where the function is defined; rows that the program no longer has are named in the output
    ("spec read", "verify.api", "read_spec"),
    ("model load", "verify.importer.load", "load"),
    ("normal form", "verify.core.normal_form", "normal_form"),
    ("problem (rows, float plan)", "verify.search.problem", "build_problem"),
    ("attack", "verify.search.attack", "Attack.run"),
    ("attack", "verify.search.attack", "Attack.candidates"),
    ("bounds (numpy)", "verify.search.branch", "bound"),
    ("bounds (numpy)", "verify.bounds.backward", "propagate"),
    ("split, frontier (numpy)", "verify.search.branch", "split"),
    ("compress", "verify.bounds.compressed", "compress"),
    ("link compiled code", "verify.native.machine", "cached"),
    ("compiled search", "verify.search.compiled.session", "Session.__init__"),
    ("compiled search", "verify.search.compiled.session", "Session.run"),
    ("judge (Z3)", "verify.search.branch", "ask_judge"),
    ("judge (Z3)", "verify.smt.solve", "judge"),
    ("replay, witness", "verify.witness", "Confirmation.replay"),
    ("replay, witness", "verify.witness", "build_witness"),
    ("report", "verify.report.document", "result_document"),
)

MODULES = ("verify.cli.deciding", "verify.search.decide")  # what an ordinary run imports before it is at work
SMALL_IMPORT = 0.01  # share of the wall time under which a package has no row of its own


class Clock:
    """Seconds by stage, each without what other stages took inside it."""

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self.now = now
        self.seconds: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self._open: list[str] = []
        self._since = now()

    def enter(self, stage: str) -> None:
        self._charge()
        self._open.append(stage)
        self.calls[stage] = self.calls.get(stage, 0) + 1

    def leave(self) -> None:
        self._charge()
        self._open.pop()

    def _charge(self) -> None:
        now = self.now()
        if self._open:
            self.seconds[self._open[-1]] = self.seconds.get(self._open[-1], 0.0) + now - self._since
        self._since = now

    @contextmanager
    def during(self, stage: str) -> Iterator[None]:
        self.enter(stage)
        try:
            yield
        finally:
            self.leave()

    def wrap(self, stage: str, function: Function) -> Function:
        """`function`, timed; of a generator, the time spent making its items."""
        if inspect.isgeneratorfunction(function):

            def items(*args: Any, **kwargs: Any) -> Iterator[Any]:
                inner = function(*args, **kwargs)
                while True:
                    with self.during(stage):
                        try:
                            item = next(inner)
                        except StopIteration:
                            return
                    yield item

            return items

        def timed(*args: Any, **kwargs: Any) -> Any:
            with self.during(stage):
                return function(*args, **kwargs)

        return timed


@contextmanager
def watched(clock: Clock, boxes: dict[str, int]) -> Iterator[list[str]]:
    """Wrap the stages; `boxes` gets the number the compiled search visited.  Yields the rows that were not found."""
    undo: list[tuple[object, str, Function]] = []
    missing = []
    found: list[tuple[str, object, str, Function]] = []
    for stage, module_name, path in STAGES:
        try:
            owner: Any = importlib.import_module(module_name)
            *parents, name = path.split(".")
            for parent in parents:
                owner = getattr(owner, parent)
            found.append((stage, owner, name, getattr(owner, name)))
        except (ImportError, AttributeError):
            missing.append(f"{module_name}.{path}")
    for stage, owner, name, function in found:
        timed = clock.wrap(stage, function)
        if name == "run" and stage == "compiled search":
            timed = _counting(timed, boxes)
        holders = [owner] if inspect.isclass(owner) else _modules_with(name, function)
        for holder, attribute in [(h, a) for h in holders for a, v in list(vars(h).items()) if v is function]:
            undo.append((holder, attribute, function))
            setattr(holder, attribute, timed)
    try:
        yield missing
    finally:
        for holder, attribute, function in reversed(undo):
            setattr(holder, attribute, function)


@contextmanager
def watched_imports(clock: Clock) -> Iterator[None]:
    """Time the first import of every module, by top-level package, each without the imports it leads to."""
    bootstrap: Any = importlib._bootstrap  # type: ignore[attr-defined]  # every import of a new module comes through it
    original = bootstrap._find_and_load

    def find_and_load(name: str, *rest: Any) -> Any:
        package = name.partition(".")[0]
        with clock.during(f"import {'standard library' if package in sys.stdlib_module_names else package}"):
            return original(name, *rest)

    bootstrap._find_and_load = find_and_load
    try:
        yield
    finally:
        bootstrap._find_and_load = original


def _modules_with(name: str, function: Function) -> list[object]:
    """All modules of the package that hold `function`, under whatever name."""
    modules = [m for n, m in list(sys.modules.items()) if n == "verify" or n.startswith("verify.")]
    holders = [m for m in modules if any(v is function for v in vars(m).values())]
    assert holders, name
    return holders


def _counting(run: Function, boxes: dict[str, int]) -> Function:
    def counted(session: Any, *args: Any, **kwargs: Any) -> Any:
        before = session.visited
        try:
            return run(session, *args, **kwargs)
        finally:
            boxes["compiled"] = boxes.get("compiled", 0) + session.visited - before

    return counted


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    warm_cache()
    clock, boxes = Clock(), dict[str, int]()
    start, meter = time.perf_counter(), Meter()
    with watched_imports(clock):
        for module in MODULES:
            importlib.import_module(module)
        with watched(clock, boxes) as missing:
            if options.warm:
                decide(options)
                clock.seconds.clear()
                clock.calls.clear()
                boxes.clear()
                start, meter = time.perf_counter(), Meter()
            report = decide(options)
            wall = time.perf_counter() - start
    print(tables.heading())
    for result in report:
        counts = result.statistics
        print(f"{result.name}: {result.verdict} {result.evidence or ''} {result.reason or ''}".rstrip())
        print(
            f"  {counts.subproblems} boxes, {counts.solver_calls} solver calls,"
            f" {counts.attack_points} attack points, settled {result.settled:.6g}"
        )
    print()
    print(stage_table(clock, wall))
    print(f"wall {wall:.3f} s, CPU {meter.cpu:.3f} s, peak memory {meter.peak_mb:.0f} MB")
    print(rates(clock, boxes, sum(r.statistics.subproblems for r in report)))
    if missing:
        print(f"not found in this version, its time is under other stages: {', '.join(missing)}")
    if options.functions:
        print(costliest(options, options.functions))
    if not options.warm:
        outcome = run_process([*default_command(), *command_words(options)], 3600.0)
        print(f"as a fresh process: {outcome.wall:.3f} s wall, {outcome.cpu:.3f} s CPU, {outcome.peak_mb:.0f} MB")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("spec")
    parser.add_argument("--network", action="append", default=[])
    parser.add_argument("-k", "--property", action="append", default=[])
    parser.add_argument("-p", "--param", action="append", default=[])
    parser.add_argument("--timeout", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warm", action="store_true", help="decide it once before it counts")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="the N costliest functions, by cProfile")
    return parser


def command_words(options: argparse.Namespace) -> list[str]:
    """The words of the same call of `verify run`."""
    repeated = {"--network": options.network, "--property": options.property, "--param": options.param}
    words = [word for flag, values in repeated.items() for value in values for word in (flag, value)]
    limits = ["--timeout", str(options.timeout), "--seed", str(options.seed), "--format", "json"]
    return [options.spec, *words, *limits]


def decide(options: argparse.Namespace) -> Any:
    """The work of `verify run`, with the document made and thrown away."""
    from verify import api
    from verify.cli.options import PARAM, parse_assignments, parse_networks
    from verify.report import document

    spec = api.read_spec(
        options.spec, networks=parse_networks(options.network), params=parse_assignments(PARAM, options.param)
    )
    report = api.prove(spec, properties=options.property or None, timeout=options.timeout, seed=options.seed)
    document.dumps(document.result_document(report))
    return report


def stage_table(clock: Clock, wall: float) -> str:
    """Stages by cost, imports by package with the small ones together; what no stage covers is "other"."""
    seconds, calls = dict[str, float](), dict[str, int]()
    for stage, taken in clock.seconds.items():
        small = stage.startswith("import ") and taken < SMALL_IMPORT * wall
        row = "import of other packages" if small else stage
        seconds[row] = seconds.get(row, 0.0) + taken
        calls[row] = calls.get(row, 0) + clock.calls.get(stage, 0)
    ranked = sorted(seconds.items(), key=lambda item: -item[1])
    other = wall - sum(seconds.values())
    imports = sum(taken for row, taken in ranked if row.startswith("import "))
    rows = [(row, f"{taken:.4f}", f"{100 * taken / wall:.1f}", calls[row]) for row, taken in ranked]
    rows.append(("other", f"{other:.4f}", f"{100 * other / wall:.1f}", ""))
    rows.append(("all imports", f"{imports:.4f}", f"{100 * imports / wall:.1f}", ""))
    return tables.table(("stage", "seconds", "% of wall", "calls"), rows)


def rates(clock: Clock, boxes: dict[str, int], subproblems: int) -> str:
    """Boxes per second of the compiled search and of the rest."""
    compiled = boxes.get("compiled", 0)
    rest = max(0, subproblems - compiled)
    parts = []
    for name, count, stages in (
        ("compiled", compiled, ("compiled search",)),
        ("numpy", rest, ("bounds (numpy)", "split, frontier (numpy)")),
    ):
        seconds = sum(clock.seconds.get(s, 0.0) for s in stages)
        if count:
            parts.append(f"{name} {count} in {seconds:.3f} s = {count / seconds if seconds else 0:.0f}/s")
    return f"boxes: {'; '.join(parts) or 'none'}"


def costliest(options: argparse.Namespace, count: int) -> str:
    """The functions with the most time of their own."""
    import cProfile
    import io
    import pstats

    profiler, text = cProfile.Profile(), io.StringIO()
    profiler.runcall(decide, options)
    pstats.Stats(profiler, stream=text).strip_dirs().sort_stats("tottime").print_stats(count)
    return text.getvalue()


if __name__ == "__main__":
    sys.exit(main())
