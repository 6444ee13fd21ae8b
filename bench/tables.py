"""Markdown: the heading that says where and when something was measured, tables, and sections of a page."""

from __future__ import annotations

import datetime
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path

PACKAGES = ("numpy", "scipy", "numba", "z3-solver", "onnx", "onnxruntime", "policyproof")


def heading(facts: Iterable[tuple[str, str]] = ()) -> str:
    """A list of facts: machine, load, versions, date, and the given ones."""
    rows = [
        ("machine", f"{cpu_model()}, {cores()} cores, {memory_gb():.0f} GB, {platform.system()} {platform.release()}"),
        ("load average before", " ".join(f"{v:.2f}" for v in os.getloadavg())),
        ("versions", versions()),
        ("date", datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC")),
        *facts,
    ]
    blas = ", ".join(f"{k}={os.environ[k]}" for k in ("OPENBLAS_CORETYPE", "OPENBLAS_NUM_THREADS") if k in os.environ)
    if blas:
        rows.append(("environment", blas))
    return "".join(f"- {name}: {value}\n" for name, value in rows)


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """A Markdown table; the first column is left-aligned, the others right-aligned."""
    lines = [columns, ["---", *["---:"] * (len(columns) - 1)], *rows]
    return "".join("| " + " | ".join(str(cell).replace("|", "\\|") for cell in line) + " |\n" for line in lines)


def write_section(path: Path, name: str, text: str) -> None:
    """Write `text` to a file; only between `<!-- begin NAME -->` and `<!-- end NAME -->` when it has these marks."""
    marks = f"<!-- begin {name} -->", f"<!-- end {name} -->"
    page = path.read_text(encoding="utf-8") if path.exists() else ""
    pattern = re.compile(f"({re.escape(marks[0])}\n).*?({re.escape(marks[1])})", re.DOTALL)
    if pattern.search(page):
        text = pattern.sub(lambda found: f"{found[1]}\n{text.strip()}\n\n{found[2]}", page)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def versions() -> str:
    found = [f"Python {platform.python_version()}"]
    for package in PACKAGES:
        try:
            found.append(f"{package} {metadata.version(package)}")
        except metadata.PackageNotFoundError:
            found.append(f"{package} not installed")
    commit = _commit()
    return ", ".join(found) + (f" ({commit})" if commit else "")


def _commit() -> str:
    """The commit of this checkout, marked when the package differs from it; empty outside a checkout."""
    here = Path(__file__).resolve().parent
    try:
        name = _git(here, "rev-parse", "--short", "HEAD")
        changed = _git(here, "status", "--porcelain", "--", "../verify")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return f"commit {name}{' with changes' if changed else ''}"


def _git(folder: Path, *words: str) -> str:
    command = ["git", "-C", str(folder), *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def cpu_model() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def memory_gb() -> float:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
