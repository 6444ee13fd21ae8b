"""The executors: a spec's properties in this process, or in workers; a spec file in workers alone.

in_process     the limits are kept as well as the search, NumPy and Z3 look at the clock
in_workers     enforced from outside; `jobs` at a time
from_files     the same, reading included: this process stays small, and nothing it runs can hang or crash it
"""

from __future__ import annotations

import difflib
import pickle
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from verify.core import child
from verify.core.property import selects
from verify.core.report import Progress, Report, Result
from verify.errors import UsageError
from verify.run.crew import Crew
from verify.run.deciding import NO_PROOFS, Limits, OnProgress, Proofs, prove_one, undecided
from verify.run.messages import Announced, Crashed, Header, Loaded, Read, Refused
from verify.run.pool import GRACE_SHARE, OnResult, Pool, Work, by_kill, defect
from verify.run.process import WorkerProcess
from verify.run.reading import Outline, Request, Spec, network_infos, read

START_UP_S = 0.4  # to start Python and import libraries; what goes beyond counts as reading
LEAST_S = 1e-3


@dataclass(frozen=True)
class Observers:
    """Who is told what: `on_spec` once what the report says of the spec is known; the others as in verify.api."""

    on_progress: OnProgress | None = None
    on_result: OnResult = lambda _: None
    on_spec: Callable[[Header], None] = lambda _: None


def choose(outlines: Sequence[Outline], names: Sequence[str] | None, file: str) -> list[int]:
    """The places of the named properties (None: all), in the spec's order.  Raises UsageError E002."""
    known = [o.name for o in outlines]
    for name in names or ():
        if not any(selects(name, k) for k in known):
            near = difflib.get_close_matches(name, known, 1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise UsageError("E002", f"no property {name!r} in {file}", fix=f"{hint}There are: {', '.join(known)}")
    return [p for p, name in enumerate(known) if names is None or any(selects(wanted, name) for wanted in names)]


def in_process(
    spec: Spec, names: Sequence[str] | None, limits: Limits, observers: Observers, proofs: Proofs = NO_PROOFS
) -> Report:
    """One property after the other.  Raises UsageError; KeyboardInterrupt after a result for the one at work."""
    outlines = tuple(Outline.of(p) for p in spec.properties)
    results: list[Result] = []
    for place in choose(outlines, names, spec.file):
        last = Progress(outlines[place].name, 0.0, 0.0, 0)
        start = time.monotonic()

        def advance(progress: Progress) -> None:
            nonlocal last
            last = progress
            if observers.on_progress is not None:
                observers.on_progress(progress)

        try:
            prop = spec.properties[place]
            hint = proofs.known.get(prop.name)
            result = prove_one(prop, spec.networks, limits, advance, hint=hint, certificate=proofs.wanted)
            if proofs.wanted:
                from verify.run.recording import record_of  # start-up time

                result = replace(result, record=record_of(result, prop, spec))
        except KeyboardInterrupt:
            seconds = time.monotonic() - start
            observers.on_result(undecided(outlines[place], seconds=seconds, reason="interrupted", settled=last.settled))
            raise
        results.append(result)
        observers.on_result(result)
    infos, params = network_infos(spec), dict(spec.params)
    return Report(spec.file, spec.sha256, infos, params, tuple(results), limits.semantics)


def in_workers(
    spec: Spec,
    names: Sequence[str] | None,
    limits: Limits,
    jobs: int,
    observers: Observers,
    proofs: Proofs = NO_PROOFS,
) -> Report:
    """`jobs` properties at a time, or parts of them.  Raises UsageError, OSError when no process can be started."""
    outlines = tuple(Outline.of(p) for p in spec.properties)
    chosen = choose(outlines, names, spec.file)

    def complete(result: Result) -> Result:
        return replace(result, query=next(p.query for p in spec.properties if p.name == result.name))

    with Crew(jobs, limits.memory) as crew:
        pool = Pool(
            crew,
            pickle.dumps(spec, protocol=pickle.HIGHEST_PROTOCOL),
            [Work(place, outlines[place], limits.seconds(outlines[place].timeout_s), proofs) for place in chosen],
            limits,
            on_progress=observers.on_progress,
            on_result=lambda result: observers.on_result(complete(result)),
        )
        results = tuple(complete(result) for result in pool.run())
    return Report(spec.file, spec.sha256, network_infos(spec), dict(spec.params), results, limits.semantics)


def from_files(
    request: Request,
    names: Sequence[str] | None,
    limits: Limits,
    jobs: int,
    observers: Observers,
    *,
    proofs: Proofs = NO_PROOFS,
    first: WorkerProcess | None = None,
) -> Report:
    """Read and decide; the time of reading counts for every property, as if it were alone in the spec.

    Results carry no network.  Raises what reading raises, UsageError, DefectError.
    """
    if not child.possible():
        spec = read(request)
        return in_process(spec, names, limits, observers, proofs)
    with Crew(jobs, limits.memory, first) as crew:
        reading = _Reading(crew, request, names, limits)
        header = reading.run()
        observers.on_spec(header)
        chosen = choose(header.outlines, names, request.path)
        works = [Work(p, header.outlines[p], limits.seconds(header.outlines[p].timeout_s), proofs) for p in chosen]
        if reading.failure is not None:
            seconds = reading.elapsed()
            given = [undecided(w.outline, seconds=seconds, reason=reading.failure) for w in works]
            for result in given:
                observers.on_result(result)
            return _report(header, given, limits)
        for work in works:
            work.seconds = max(LEAST_S, work.seconds - reading.seconds)
        pool = Pool(
            crew,
            reading.spec,
            works,
            limits,
            informed=[reading.worker],
            on_progress=observers.on_progress,
            on_result=observers.on_result,
        )
        return _report(header, pool.run(), limits)


class _Reading:
    """Reading in a worker, under the limits.  `failure` says which one ended it."""

    def __init__(self, crew: Crew, request: Request, names: Sequence[str] | None, limits: Limits) -> None:
        self.crew = crew
        self.request = request
        self.names = names
        self.limits = limits
        self.started = time.monotonic()
        self.seconds = 0.0
        self.spec: bytes | None = None
        self.failure: str | None = None
        self.worker: WorkerProcess = crew.hire()
        self._outlines: tuple[Outline, ...] = ()
        self._header: Header | None = None

    def run(self) -> Header:
        self.worker.send(Read(self.request, share=self.crew.size > 1))
        while self._header is None and self.failure is None:
            for worker, message in self.crew.wait(self._ends()):
                self._take(worker, message)
            if self._header is None and self.failure is None:
                if time.monotonic() >= self._ends():
                    self._fail("timeout")
                elif self.crew.too_large() is not None:
                    self._fail("memory")
        if self._header is not None:
            return self._header
        outlines = self._outlines or tuple(map(Outline, self.names or (self.request.stem,)))
        return Header(self.request.path, "", {}, self.request.params, outlines)

    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def _ends(self) -> float:
        own = [o.timeout_s for o in self._outlines if self._wanted(o.name)] or [None]
        limit = max(self.limits.seconds(s) for s in own)
        return self.started + START_UP_S + limit * (1 + GRACE_SHARE)

    def _wanted(self, name: str) -> bool:
        return self.names is None or any(selects(wanted, name) for wanted in self.names)

    def _take(self, worker: WorkerProcess, message: object) -> None:
        if isinstance(message, Announced):
            self._outlines = message.outlines
            choose(self._outlines, self.names, self.request.path)
        elif isinstance(message, Loaded):
            self._header, self.spec = message.header, message.spec
            self.seconds = max(message.seconds, self.elapsed() - START_UP_S)
        elif isinstance(message, Refused):
            raise message.error
        elif isinstance(message, Crashed):
            if not message.out_of_memory:
                raise defect(f"an internal error while reading: {message.problem}")
            self._fail("memory")
        elif message is None:
            code = worker.exit_code()
            if not by_kill(code):
                raise defect(f"the process that reads the spec ended with code {code}")
            self._fail("memory")

    def _fail(self, reason: str) -> None:
        self.failure = reason
        if self.worker in self.crew.members:
            self.crew.dismiss(self.worker)


def _report(header: Header, results: Sequence[Result], limits: Limits) -> Report:
    return Report(header.file, header.sha256, header.networks, dict(header.params), tuple(results), limits.semantics)
