"""Do the independent readers read what the importer and the VNN-LIB reader read?  Their digests over a corpus.

    python bench/independent.py CORPUS [--family F]… [--every]

Per family: pairs of equal digests, refused ones with reasons, and the CPU seconds of either reading.  Exit code 1 when
a digest is DIFFERENT, or when the independent readers take a file that the others refuse.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

if __name__ == "__main__":  # the repository, not this folder, whose profile.py would hide the standard library's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench.corpus import Instance, by_family, read_corpus
from verify.core.network import Network
from verify.errors import VerifyError
from verify.importer import load
from verify.importer.read import read_bytes
from verify.independent.onnx_reader import read_network
from verify.independent.refusal import RefusedError
from verify.independent.vnnlib_reader import read_query
from verify.spec import vnnlib

T = TypeVar("T")


@dataclass
class Seconds:
    independent: float = 0.0
    other: float = 0.0
    slowest: float = 0.0  # of an independent reading

    def add(self, independent: float, other: float) -> None:
        self.independent += independent
        self.other += other
        self.slowest = max(self.slowest, independent)


@dataclass
class Comparison:
    """Networks are read once, however many properties they have."""

    networks: dict[Path, tuple[str, Network | None]] = field(default_factory=dict)
    seconds: dict[str, Seconds] = field(default_factory=dict)

    def network(self, path: Path) -> tuple[str, Network | None]:
        """The outcome ("equal", "refused (why)" or "DIFFERENT (how)") and the network when equal."""
        if path not in self.networks:
            data = read_bytes(path)
            mine, took = _timed(lambda: read_network(data), RefusedError)
            theirs, other = _timed(lambda: load(path).network, VerifyError)
            self._record("networks", took, other)
            outcome = _outcome(_digest(mine), _digest(theirs))
            self.networks[path] = outcome, mine if isinstance(mine, Network) else None
        return self.networks[path]

    def property(self, instance: Instance) -> str:
        outcome, network = self.network(instance.onnx)
        if outcome != "equal" or network is None:
            return f"network {outcome}"
        text = read_bytes(instance.vnnlib).decode("utf-8")
        mine, took = _timed(lambda: read_query(text, network), RefusedError)
        theirs, other = _timed(lambda: vnnlib.read(text, instance.vnnlib.name, network).query, VerifyError)
        self._record("properties", took, other)
        return _outcome(_digest(mine), _digest(theirs))

    def _record(self, what: str, independent: float, other: float) -> None:
        self.seconds.setdefault(what, Seconds()).add(independent, other)


def _timed(read: Callable[[], T], refusal: type[Exception]) -> tuple[T | Exception, float]:
    start = time.process_time()
    try:
        found: T | Exception = read()
    except refusal as problem:
        found = problem
    return found, time.process_time() - start


def _digest(found: object) -> str | Exception:
    return found if isinstance(found, Exception) else str(found.digest)  # type: ignore[attr-defined]


def _outcome(mine: str | Exception, theirs: str | Exception) -> str:
    if isinstance(mine, Exception):
        return f"refused ({mine})"
    if isinstance(theirs, Exception):
        return f"DIFFERENT (the other reader: {theirs})"
    return "equal" if mine == theirs else "DIFFERENT"


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--family", action="append")
    parser.add_argument("--every", action="store_true", help="print every instance")
    options = parser.parse_args(words)
    comparison, worst = Comparison(), 0
    for family, members in by_family(read_corpus(options.corpus)).items():
        if options.family and family not in options.family:
            continue
        outcomes: Counter[str] = Counter()
        for instance in members:
            outcome = comparison.property(instance)
            outcomes[outcome] += 1
            if "DIFFERENT" in outcome:
                worst = 1
            if options.every or "DIFFERENT" in outcome:
                print(f"    {instance.name}: {outcome}")
        print(f"{family}: {outcomes['equal']} of {len(members)} equal", flush=True)
        for outcome, count in outcomes.items():
            if outcome != "equal":
                print(f"    {count} x {outcome}")
    for what, seconds in comparison.seconds.items():
        print(
            f"{what}: {seconds.independent:.2f} CPU s (slowest {seconds.slowest:.2f}), other reader {seconds.other:.2f}"
        )
    return worst


if __name__ == "__main__":
    sys.exit(main())
