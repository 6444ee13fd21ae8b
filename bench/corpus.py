"""A benchmark corpus: a folder with instances.csv, networks and VNN-LIB properties (plain or gzip-compressed)."""

from __future__ import annotations

import csv
import gzip
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ANSWERS = {  # what a verdict, ours or a peer's, says about the unsafe set
    **dict.fromkeys(("PROVED", "VACUOUS", "NO WITNESS", "unsat", "holds", "verified", "safe"), "unsat"),
    **dict.fromkeys(("REFUTED", "FRAGILE", "WITNESSED", "sat", "violated", "falsified", "unsafe"), "sat"),
}


@dataclass(frozen=True)
class Instance:
    """One row of instances.csv; the files as stored."""

    family: str
    name: str
    onnx: Path
    vnnlib: Path
    timeout_s: float
    expected: str  # sat, unsat or unknown
    quick: bool = False
    best_s: float | None = None  # the fastest competition tool's time, on its own machine

    @property
    def key(self) -> tuple[str, str]:
        return self.family, self.name

    def is_wrong(self, verdict: str) -> bool:
        """Whether a verdict contradicts the expected answer."""
        answer = ANSWERS.get(verdict)
        return answer is not None and self.expected in ("sat", "unsat") and answer != self.expected

    def is_solved(self, verdict: str) -> bool:
        return verdict in ANSWERS and not self.is_wrong(verdict)


def read_corpus(folder: Path) -> list[Instance]:
    """All instances of a corpus, in the order of its instances.csv."""
    with open(folder / "instances.csv", newline="", encoding="utf-8") as handle:
        return [
            Instance(
                family=row["family"],
                name=row["instance"],
                onnx=folder / row["onnx"],
                vnnlib=folder / row["vnnlib"],
                timeout_s=float(row["timeout_s"]),
                expected=row["expected"],
                quick=row.get("quick") == "1",
                best_s=float(row["best_s"]) if row.get("best_s") else None,
            )
            for row in csv.DictReader(handle)
        ]


def by_family(instances: Iterable[Instance]) -> dict[str, list[Instance]]:
    families: dict[str, list[Instance]] = {}
    for instance in instances:
        families.setdefault(instance.family, []).append(instance)
    return families


def evenly(members: Sequence[Instance], count: int) -> list[Instance]:
    """At most `count` members, evenly spread, always the same ones."""
    if count >= len(members):
        return list(members)
    return [members[(2 * i + 1) * len(members) // (2 * count)] for i in range(count)]


@dataclass
class Unpacked:
    """Plain files of instances; compressed ones are unpacked once into `scratch`, each path to a name of its own."""

    scratch: Path
    known: dict[Path, Path] = field(default_factory=dict)

    def __call__(self, path: Path) -> Path:
        if path.suffix != ".gz":
            return path
        if path not in self.known:
            folder = self.scratch / str(len(self.known))
            folder.mkdir()
            target = folder / path.stem
            with gzip.open(path) as source, open(target, "wb") as sink:
                shutil.copyfileobj(source, sink)
            self.known[path] = target
        return self.known[path]
