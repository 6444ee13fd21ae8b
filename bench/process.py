"""Running one process to its end, with what it cost: wall and CPU seconds, peak memory."""

from __future__ import annotations

import contextlib
import os
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

RSS_UNIT_MB = 1e-6 if sys.platform == "darwin" else 1024e-6  # getrusage counts bytes there, kilobytes here


@dataclass(frozen=True)
class Outcome:
    """Output and cost of one process with all processes below it that it waited for."""

    out: str
    err: str
    code: int
    killed: bool  # ran past the limit
    wall: float
    cpu: float
    peak_mb: float  # of the largest single process; never below this one's own size when it was started

    @property
    def last_line(self) -> str:
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip()[:160] if lines else ""


def run_process(command: Sequence[str | Path], limit_s: float) -> Outcome:
    """Run a command in a process group of its own; the group is killed after `limit_s`, and whatever is left of it
    when the command ends."""
    killed = threading.Event()
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.monotonic()
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )

        def kill() -> None:
            killed.set()
            _kill_group(process.pid)

        timer = threading.Timer(limit_s, kill)
        timer.start()
        try:
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - start
        finally:
            timer.cancel()
            _kill_group(process.pid)
        process.returncode = os.waitstatus_to_exitcode(status)
        texts = []
        for stream in (out, err):
            stream.seek(0)
            texts.append(stream.read().decode("utf-8", "replace"))
    return Outcome(
        out=texts[0],
        err=texts[1],
        code=process.returncode,
        killed=killed.is_set(),
        wall=wall,
        cpu=usage.ru_utime + usage.ru_stime,
        peak_mb=usage.ru_maxrss * RSS_UNIT_MB,
    )


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


class Meter:
    """Wall and CPU seconds (waited-for children included) and peak memory since it was made, of this process."""

    def __init__(self) -> None:
        self.resets_peak = reset_peak()
        self.cpu_start = _cpu()
        self.start = time.monotonic()

    @property
    def wall(self) -> float:
        return time.monotonic() - self.start

    @property
    def cpu(self) -> float:
        return _cpu() - self.cpu_start

    @property
    def peak_mb(self) -> float:
        return peak_mb()


def _cpu() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def reset_peak() -> bool:
    """Start the high-water mark of resident memory anew (Linux); False where that cannot be done."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def peak_mb() -> float:
    """The high-water mark of this process's resident memory in MB."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024e-6
    except OSError:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * RSS_UNIT_MB
