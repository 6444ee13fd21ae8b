"""A worker: reads or takes over one spec, then decides what it is told to, until its parent hangs up."""

from __future__ import annotations

import os
import pickle
import sys
import time
from dataclasses import dataclass, replace

from verify.core.child import die_with_parent, orphaned
from verify.core.report import Progress, Result
from verify.run import messages, pipe
from verify.run.messages import Advanced, Announced, Crashed, Header, Load, Loaded, Read, Refused, Settled, Task
from verify.run.reading import Outline, Request, Spec, network_infos
from verify.run.reading import read as read_spec


@dataclass
class _Worker:
    parent: int
    output: int
    spec: Spec | None = None

    def send(self, message: messages.FromWorker) -> None:
        try:
            pipe.write(self.output, message)
        except BrokenPipeError:
            os._exit(1)

    def handle(self, message: messages.ToWorker) -> None:
        if isinstance(message, Read):
            self.read(message)
        elif isinstance(message, Load):
            self.spec = pickle.loads(message.spec)
        else:
            self.decide(message)

    def read(self, message: Read) -> None:
        from verify.errors import VerifyError

        _import_reader(message.request)
        start = time.monotonic()
        try:
            spec = read_spec(message.request, lambda outlines: self.send(Announced(outlines)))
        except VerifyError as error:
            self.send(Refused(error))
            return
        seconds = time.monotonic() - start
        self.spec = spec
        shared = message.share or len(spec.properties) > 1  # a property after one that was killed needs it too
        share = pickle.dumps(spec, protocol=pickle.HIGHEST_PROTOCOL) if shared else None
        self.send(Loaded(header_of(spec), seconds, share))

    def decide(self, task: Task) -> None:
        from verify.run.deciding import prove_one
        from verify.run.split import narrow, split

        assert self.spec is not None
        prop = self.spec.properties[task.property]
        parts = split(prop.query, task.parts)
        if task.part >= len(parts):
            self.send(Settled(None, by_box=True))
            return
        left = max(1e-3, task.deadline - time.monotonic())
        result = prove_one(
            prop,
            self.spec.networks,
            replace(task.limits, timeout=left),
            self.advance,
            part=parts[task.part],
            hint=task.hint,
            certificate=task.record,
        )
        if task.record:
            from verify.run.recording import record_of

            result = replace(result, record=record_of(result, prop, self.spec))
        self.send(Settled(light(result), by_box=narrow(prop.query)))

    def advance(self, progress: Progress) -> None:
        if orphaned(self.parent):
            os._exit(1)
        self.send(Advanced(progress))


def header_of(spec: Spec) -> Header:
    """What a report says of `spec`."""
    outlines = tuple(Outline.of(p) for p in spec.properties)
    return Header(spec.file, spec.sha256, network_infos(spec), dict(spec.params), outlines)


def light(result: Result) -> Result:
    """The result without its network and payload and, where there is no witness to describe, without its query."""
    result = replace(result, payload=None)
    if result.query is None or result.witness is None:
        return replace(result, query=None)
    from verify.core.query import TRUE
    from verify.run.hollow import hollow

    query = result.query
    return replace(result, query=replace(query, network=hollow(query.network), assumption=TRUE))


def _import_reader(request: Request) -> None:
    """Start-up, which does not count as reading."""
    import verify.importer.load

    if request.is_vnnlib:
        import verify.run.reading_vnnlib
        import verify.spec.vnnlib
    else:
        import verify.spec.lower
        import verify.spec.parse  # noqa: F401


def main(parent: str, source: str, target: str) -> None:
    """The process's entry: numbers of the parent process and of the two pipe ends."""
    die_with_parent(int(parent))
    for descriptor in (int(source), int(target)):
        os.set_inheritable(descriptor, False)
    if hasattr(sys, "set_int_max_str_digits"):
        sys.set_int_max_str_digits(0)
    worker = _Worker(int(parent), int(target))
    with os.fdopen(int(source), "rb") as stream:
        while (message := pipe.read(stream)) is not None:
            try:
                worker.handle(message)
            except Exception as problem:  # noqa: BLE001 - the edge of the process: told to the parent, never silent
                if os.environ.get("VERIFY_DEBUG") == "1":
                    import traceback

                    traceback.print_exception(problem)
                text = " ".join(f"{type(problem).__name__}: {problem}".split())
                worker.send(Crashed(text, isinstance(problem, MemoryError)))
    os._exit(0)  # nothing is left to write; threads of libraries are not waited for
