"""What evidence costs: for every claim that is proved the search, the certificate, its size, and its check elsewhere.

    python bench/evidence.py CORPUS [--family F]… [--timeout S] [--reference N] [--keep DIR]
                             [--table docs/benchmarks.md]

Each instance whose answer is unsat is decided in this one warm process as `verify run --certificate` does it.
*search* is its time without making and judging the certificate; *extra* is that.  Then `verify check` re-checks all
certificates of a family in a process where search, bounds, Z3, SciPy and ONNX Runtime cannot be imported, so that what
accepts them shares nothing with what found them.  --reference N checks every N-th small one on the kernel's plain path.
The exit code is 1 if a certificate is rejected or a family's kernel share is below 95 %.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

if __name__ == "__main__":  # the repository, not this folder, whose profile.py would hide the standard library's
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from bench import tables
from bench.corpus import Instance, Unpacked, by_family, read_corpus
from bench.tool import warm_cache

FAMILIES = (
    "acasxu_2023",
    "rl_benchmarks",
    "safenlp",
    "tllverifybench_2023",
    "linearizenn",
    "collins_rul_cnn",
)
BARRED = ("verify.search", "verify.bounds", "verify.smt", "z3", "scipy", "onnxruntime")
CHECK = f"import sys; sys.modules.update(dict.fromkeys({BARRED!r})); from verify.cli.main import main; sys.exit(main())"
LONG_S = 0.5  # of search; only there a ratio says something
REFERENCE_BYTES = 4000  # larger ones take minutes on the plain path
SHARE = 0.95


@dataclass
class Proof:
    """One claim that was proved, and what it took."""

    instance: Instance
    evidence: str
    search: float
    extra: float
    file: Path | None = None
    size: int = 0


def prove(instance: Instance, unpacked: Unpacked, folder: Path, timeout: float) -> Proof | None:
    """Decide one instance; None when it is not proved in time."""
    import verify
    from verify.search import decide

    spent = 0.0
    certify = decide.with_certificate

    def timed(*words: object, **named: object) -> object:
        nonlocal spent
        start = time.perf_counter()
        try:
            return certify(*words, **named)  # type: ignore[arg-type]
        finally:
            spent += time.perf_counter() - start

    spec = verify.read_spec(unpacked(instance.vnnlib), networks={"": unpacked(instance.onnx)})
    own = folder / re.sub(r"\W+", "_", instance.name)
    start = time.perf_counter()
    with mock.patch.object(decide, "with_certificate", timed):
        (result,) = verify.prove(spec, timeout=timeout, certificates=own)
    whole = time.perf_counter() - start
    if str(result.verdict) not in ("PROVED", "VACUOUS"):
        return None
    proof = Proof(instance, str(result.evidence), whole - spent, spent)
    for file in own.glob("*.vcert"):
        proof.file, proof.size = file, file.stat().st_size
    return proof


def check(files: Sequence[Path], *words: str) -> tuple[int, float]:
    """`verify check` without what it must not need: (how many are accepted, seconds)."""
    start = time.perf_counter()
    command = [sys.executable, "-c", CHECK, "check", *words, *map(str, files)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        sys.stderr.write(done.stderr)
    accepted = len(re.findall(r"^ACCEPTED", done.stdout, re.MULTILINE))
    return (accepted if done.returncode in (0, 1) else 0), time.perf_counter() - start


def family_row(family: str, claims: int, proofs: Sequence[Proof], every: int) -> tuple[list[object], bool]:
    """A line of the table, and whether all is as it must be."""
    kernel = [p for p in proofs if p.evidence == "kernel" and p.file is not None]
    sizes = sorted(p.size for p in kernel) or [0]
    long = [p.extra / p.search for p in kernel if p.search > LONG_S]
    files = [p.file for p in kernel if p.file is not None]
    accepted, seconds = check(files) if files else (0, 0.0)
    small = [p.file for p in kernel if p.file is not None and p.size <= REFERENCE_BYTES][:: every or 1]
    plain, plain_s = check(small, "--reference") if every and small else (0, 0.0)
    for proof in proofs:
        if proof not in kernel:
            sys.stdout.write(f"{family}/{proof.instance.name}: {proof.evidence}, search {proof.search:.2f} s\n")
    good = accepted == len(files) and (not every or plain == len(small)) and len(kernel) >= SHARE * len(proofs)
    row = [
        family,
        f"{len(proofs)}/{claims}",
        f"{len(kernel)}/{len(proofs)}",
        f"{statistics.median(p.search for p in proofs):.2f}" if proofs else "-",
        f"{statistics.median(p.extra for p in kernel):.3f}" if kernel else "-",
        f"{statistics.median(long):.2f}, at most {max(long):.2f} ({len(long)})" if long else "-",
        f"{statistics.median(sizes) / 1000:.1f}",
        f"{sizes[-1] / 1000:.1f}",
        f"{accepted}/{len(files)}",
        f"{seconds / max(1, len(files)):.2f}",
        f"{plain}/{len(small)}: {plain_s / max(1, len(small)):.2f}" if every else "-",
    ]
    return row, good


COLUMNS = (
    *("family", "proved", "kernel", "median search s", "median extra s", f"extra / search over {LONG_S} s"),
    *("median kB", "max kB", "accepted alone", "s each", "plain path: s each"),
)


def main(words: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(words)
    run = f"one warm process; compiled code's cache {warm_cache()}; not importable in checks: {', '.join(BARRED)}"
    heading = tables.heading([("run", run)])
    wanted = options.family or list(FAMILIES)
    claims = [i for i in read_corpus(options.corpus) if i.family in wanted and i.expected == "unsat"]
    rows, good = [], True
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep or Path(scratch) / "certificates"
        (Path(scratch) / "files").mkdir()
        unpacked = Unpacked(Path(scratch) / "files")
        for family, members in by_family(claims).items():
            found = (prove(i, unpacked, folder / family, options.timeout or i.timeout_s) for i in members)
            row, fine = family_row(family, len(members), [p for p in found if p is not None], options.reference)
            good = good and fine
            rows.append(row)
            sys.stdout.write(tables.table(COLUMNS, [row]))
    text = "\n".join([heading, tables.table(COLUMNS, rows)])
    if options.table:
        tables.write_section(options.table, "evidence", text)
    sys.stdout.write(text)
    return 0 if good else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--family", action="append", default=[], help="only this family; repeatable")
    parser.add_argument("--timeout", type=float, help="seconds an instance; default: its own")
    parser.add_argument("--reference", type=int, default=0, metavar="N", help="every N-th small one on the plain path")
    parser.add_argument("--keep", type=Path, help="where the certificates stay")
    parser.add_argument("--table", type=Path, help="Markdown file, or a page with a section `evidence`")
    return parser


if __name__ == "__main__":
    sys.exit(main())
