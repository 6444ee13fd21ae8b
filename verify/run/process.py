"""One worker process, as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from verify.core.child import resident_mb, start
from verify.run import pipe

MAIN = "from verify.run.worker import main; main(*sys.argv[1:])"
CHUNK = 1 << 20
THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")


class WorkerProcess:
    """Started on creation, as one of `jobs`.  `receive` when `descriptor` is readable; `exit_code` once not `alive`.

    Raises OSError when no process can be started.
    """

    def __init__(self, jobs: int) -> None:
        theirs, ours = os.pipe()
        self.descriptor, their_output = os.pipe()
        self._input = ours
        self._decoder = pipe.Decoder()
        self.alive = True
        self._closed = False
        environment = _one_thread_each() if jobs > 1 else None
        try:
            self._process: subprocess.Popen[bytes] = start(
                MAIN,
                [str(theirs), str(their_output)],
                descriptors=[theirs, their_output],
                environment=environment,
            )
        except OSError:
            os.close(self.descriptor)
            os.close(ours)
            raise
        finally:
            os.close(theirs)
            os.close(their_output)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def resident_mb(self) -> float:
        return resident_mb(self.pid) if self.alive else 0.0

    def send(self, message: object) -> None:
        """A worker that has died is noticed by the next `receive`."""
        with contextlib.suppress(BrokenPipeError):
            pipe.write(self._input, message)

    def receive(self) -> Iterator[Any]:
        """What it has said; afterwards `alive` tells whether it can say more."""
        data = os.read(self.descriptor, CHUNK)
        if data:
            yield from self._decoder.feed(data)
        else:
            self.alive = False

    def exit_code(self) -> int:
        """Of a process that has hung up: negative for a signal."""
        try:
            return self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return self._process.wait()

    def kill(self) -> None:
        """End it now, whatever it is doing."""
        if self._process.poll() is None:
            self._process.kill()
        self.alive = False

    def close(self) -> None:
        """Kill it and free what it held; the second time nothing."""
        if self._closed:
            return
        self._closed = True
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        for descriptor in (self._input, self.descriptor):
            os.close(descriptor)


def _one_thread_each() -> Mapping[str, str]:
    """The environment of one worker among several: linear algebra in one thread, unless the user says otherwise."""
    return {**{name: "1" for name in THREADS if name not in os.environ}, **os.environ}
