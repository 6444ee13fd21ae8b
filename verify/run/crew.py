"""Worker processes together: what they say, how much memory they take, and that none is left behind."""

from __future__ import annotations

import selectors
import time
from typing import Any

from verify.run.process import WorkerProcess

SAMPLE_EVERY_S = 0.01  # pages are filled at some GB/s
WAIT_AT_MOST_S = 0.5
MEMORY_TOLERANCE = 1.05  # a worker stops at its limit by itself; beyond this it is killed


class Crew:
    """Use as a context: leaving it ends every process.  `memory_mb` limits what all take together.

    `first` is a worker that has been started already.
    """

    def __init__(self, size: int, memory_mb: float | None, first: WorkerProcess | None = None) -> None:
        self.size = size
        self.memory_mb = memory_mb
        self.members: list[WorkerProcess] = []
        self._gone: list[WorkerProcess] = []
        self._selector = selectors.DefaultSelector()
        self._first = first

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        for worker in self.members:
            worker.kill()  # all of them before waiting for any
        for worker in [*self.members, *self._gone]:
            worker.close()
        self.members.clear()
        self._selector.close()

    def hire(self) -> WorkerProcess:
        worker, self._first = self._first or WorkerProcess(self.size), None
        self.members.append(worker)
        self._selector.register(worker.descriptor, selectors.EVENT_READ, worker)
        return worker

    def dismiss(self, worker: WorkerProcess) -> None:
        """Kill it; it is waited for at the end (a large process takes a while to go)."""
        self._selector.unregister(worker.descriptor)
        self.members.remove(worker)
        worker.kill()
        self._gone.append(worker)

    def wait(self, until: float) -> list[tuple[WorkerProcess, Any]]:
        """Messages as (worker, message); (worker, None) for one that has died.  Returns by `until` at the latest."""
        longest = WAIT_AT_MOST_S if self.memory_mb is None else SAMPLE_EVERY_S
        found = []
        for key, _ in self._selector.select(min(longest, max(0.0, until - time.monotonic()))):
            worker = key.data
            found += [(worker, message) for message in worker.receive()]
            if not worker.alive:
                found.append((worker, None))
        return found

    def too_large(self) -> WorkerProcess | None:
        """The largest process when all together take more memory than allowed."""
        if self.memory_mb is None:
            return None
        sizes = [(worker.resident_mb, worker.pid, worker) for worker in self.members]
        if sum(size for size, _, _ in sizes) <= MEMORY_TOLERANCE * self.memory_mb:
            return None
        return max(sizes)[2]
