"""Deciding properties in worker processes: the limits are kept from outside, and no death is silent.

    the worker …                       the property ends as
    answers                            what it says
    does not answer in time            UNKNOWN timeout: the process is killed a little after the deadline
    takes more memory than allowed     UNKNOWN memory: the process is killed
    is killed by someone else          UNKNOWN memory: it is what the system does when memory is short
    crashes                            ERROR, a DefectError

A property is split into parts when fewer properties than workers are unfinished; its clock starts with its first part.
"""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from verify.core.report import Progress, Result
from verify.core.verdict import Verdict
from verify.errors import DefectError
from verify.run.combine import DECISIVE, combine, settled_share
from verify.run.crew import Crew
from verify.run.deciding import NO_PROOFS, PROGRESS_EVERY_S, Limits, OnProgress, Proofs, undecided
from verify.run.messages import Advanced, Crashed, Load, Settled, Task
from verify.run.process import WorkerProcess
from verify.run.reading import Outline

GRACE_S, GRACE_SHARE = 0.25, 0.02  # a worker that has not answered so long after its deadline is killed
FIX = "please report it with the command, the files and the output of the same call under VERIFY_DEBUG=1"
OnResult = Callable[[Result], None]


@dataclass(eq=False)
class Work:
    """One property under way."""

    index: int  # in the spec
    outline: Outline
    seconds: float  # its limit
    proofs: Proofs = NO_PROOFS
    parts: int = 1
    started: float | None = None
    results: dict[int, Result | None] = field(default_factory=dict)  # by part; None: there is no such part
    progress: dict[int, Progress] = field(default_factory=dict)
    by_box: bool = True
    shown: float = 0.0

    @property
    def deadline(self) -> float:
        assert self.started is not None
        return self.started + self.seconds

    @property
    def killed_at(self) -> float:
        return self.deadline + GRACE_S + GRACE_SHARE * self.seconds

    @property
    def done(self) -> bool:
        return len(self.results) == self.parts or any(r is not None and r.verdict in DECISIVE for r in self.known())

    def known(self) -> list[Result]:
        return [result for result in self.results.values() if result is not None]

    def settled(self, part: int) -> float:
        """The share of one part that was settled when it was last heard of."""
        result, progress = self.results.get(part), self.progress.get(part)
        return result.settled if result is not None else progress.settled if progress is not None else 0.0

    def overall(self) -> Progress:
        real = [part for part in range(self.parts) if self.results.get(part, self) is not None]
        latest = max(self.progress.values(), key=lambda p: p.elapsed_s)
        still_open = sum(p.open_subproblems for part, p in self.progress.items() if part not in self.results)
        return Progress(
            self.outline.name,
            self.elapsed(),
            settled_share([self.settled(part) for part in real], by_box=self.by_box),
            still_open,
            latest.phase,
        )

    def elapsed(self) -> float:
        return 0.0 if self.started is None else time.monotonic() - self.started

    def undecided(self, part: int, reason: str) -> Result:
        return undecided(self.outline, seconds=self.elapsed(), reason=reason, settled=self.settled(part))

    def close(self, reason: str) -> None:
        """Parts that have no result get none."""
        for part in range(self.parts):
            if part not in self.results:
                self.results[part] = self.undecided(part, reason)

    def result(self) -> Result:
        results = self.known()
        if len(results) == 1 and self.parts == 1:
            return results[0]
        return combine(results, by_box=self.by_box, seconds=self.elapsed())


class Pool:
    """The properties of one spec and the workers of `crew` that decide them.

    `spec` is pickled, for workers that do not have it yet; `informed` have it.
    """

    def __init__(
        self,
        crew: Crew,
        spec: bytes | None,
        works: Sequence[Work],
        limits: Limits,
        *,
        informed: Sequence[WorkerProcess] = (),
        on_progress: OnProgress | None = None,
        on_result: OnResult = lambda _: None,
    ) -> None:
        self.crew = crew
        self.spec = spec
        self.works = works
        memory = limits.memory / crew.size if limits.memory is not None else None
        self.limits = replace(limits, memory=memory)
        self.on_progress = on_progress
        self.on_result = on_result
        self.informed = set(informed)
        self.waiting = deque(works)
        self.queue: deque[tuple[Work, int]] = deque()  # parts of started works
        self.busy: dict[WorkerProcess, tuple[Work, int]] = {}
        self.given: list[Result] = []

    def run(self) -> tuple[Result, ...]:
        """Every property's result, in order; on_result gets each as soon as those before it are there.

        KeyboardInterrupt passes through, after results for what is finished and for what was at work.
        """
        try:
            while len(self.given) < len(self.works):
                self._assign()
                for worker, message in self.crew.wait(self._next_kill()):
                    if worker in self.crew.members:
                        self._take(worker, message)
                self._enforce()
                self._give()
        except KeyboardInterrupt:
            self._interrupted()
            raise
        return tuple(self.given)

    def _assign(self) -> None:
        """Give every free worker something to do."""
        while len(self.busy) < self.crew.size and (task := self._next_task()) is not None:
            work, part = task
            worker = next((w for w in self.crew.members if w not in self.busy), None) or self.crew.hire()
            if worker not in self.informed:
                assert self.spec is not None
                worker.send(Load(self.spec))
                self.informed.add(worker)
            self.busy[worker] = task
            hint = work.proofs.known.get(work.outline.name)
            worker.send(Task(work.index, part, work.parts, work.deadline, self.limits, work.proofs.wanted, hint))

    def _next_task(self) -> tuple[Work, int] | None:
        while self.queue:
            work, part = self.queue.popleft()
            if time.monotonic() < work.deadline:
                return work, part
            work.results[part] = work.undecided(part, "timeout")
        if not self.waiting:
            return None
        unfinished = len({id(work) for work, _ in self.busy.values()}) + len(self.waiting)
        work = self.waiting.popleft()
        work.started = time.monotonic()
        work.parts = 1 if work.proofs.wanted else -(-self.crew.size // unfinished)
        self.queue.extend((work, part) for part in range(1, work.parts))
        return work, 0

    def _next_kill(self) -> float:
        return min((work.killed_at for work, _ in self.busy.values()), default=time.monotonic())

    def _take(self, worker: WorkerProcess, message: Any) -> None:
        """One message of a worker, or its death."""
        if worker not in self.busy:
            if message is None:
                self.crew.dismiss(worker)
            return
        work, part = self.busy[worker]
        if isinstance(message, Advanced):
            work.progress[part] = message.progress
            self._show(work)
        elif isinstance(message, Settled):
            work.by_box = work.by_box and message.by_box
            self._settle(worker, message.result)
        elif isinstance(message, Crashed):
            self._settle(worker, crashed(work.outline, message, work.elapsed()))
        elif message is None:
            code = worker.exit_code()
            if by_kill(code):
                self._settle(worker, work.undecided(part, "memory"))
            else:
                error = defect(f"the process that decided it ended with {_ending(code)}")
                self._settle(worker, _error(work.outline, error, work.elapsed()))
            self.crew.dismiss(worker)

    def _settle(self, worker: WorkerProcess, result: Result | None) -> None:
        """Note a part's result; when it decides the whole, the other parts are called off."""
        work, part = self.busy.pop(worker)
        work.results[part] = result
        if work.done:
            self.queue = deque(task for task in self.queue if task[0] is not work)
            for other in [w for w, (its, _) in self.busy.items() if its is work]:
                del self.busy[other]
                self.crew.dismiss(other)

    def _enforce(self) -> None:
        """Kill what is late, and the largest while all together are too large."""
        now = time.monotonic()
        for worker, (work, part) in list(self.busy.items()):
            if now > work.killed_at and worker in self.busy:
                self._settle(worker, work.undecided(part, "timeout"))
                self.crew.dismiss(worker)
        large = self.crew.too_large()
        if large is not None:
            if large in self.busy:
                work, part = self.busy[large]
                self._settle(large, work.undecided(part, "memory"))
            self.crew.dismiss(large)

    def _give(self) -> None:
        while len(self.given) < len(self.works) and self.works[len(self.given)].done:
            self._hand_over(self.works[len(self.given)].result())

    def _hand_over(self, result: Result) -> None:
        self.given.append(result)
        self.on_result(result)

    def _show(self, work: Work) -> None:
        now = time.monotonic()
        if self.on_progress is not None and now - work.shown >= PROGRESS_EVERY_S:
            work.shown = now
            self.on_progress(work.overall())

    def _interrupted(self) -> None:
        for worker in list(self.crew.members):
            self.crew.dismiss(worker)
        for work in self.works[len(self.given) :]:
            if work.started is not None:
                if not work.done:
                    work.close("interrupted")
                self._hand_over(work.result())


def by_kill(exit_code: int) -> bool:
    """Whether a process was ended from outside, most likely for want of memory."""
    return exit_code in (-signal.SIGKILL, -signal.SIGTERM)


def _ending(exit_code: int) -> str:
    if exit_code >= 0:
        return f"exit code {exit_code}"
    try:
        return f"signal {-exit_code} ({signal.Signals(-exit_code).name})"
    except ValueError:
        return f"signal {-exit_code}"


def defect(message: str) -> DefectError:
    return DefectError("E901", message, fix=FIX)


def crashed(outline: Outline, message: Crashed, seconds: float) -> Result:
    """What an exception in a worker means for its property."""
    if message.out_of_memory:
        return undecided(outline, seconds=seconds, reason="memory")
    return _error(outline, defect(f"an internal error: {message.problem}"), seconds)


def _error(outline: Outline, error: DefectError, seconds: float) -> Result:
    return undecided(outline, verdict=Verdict.ERROR, seconds=seconds, error=error)
