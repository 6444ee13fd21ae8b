"""One worker process, as its parent sees it."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping
from typing import Any

from verify.core.child import resident_mb, start
from verify.run import messages
from verify.run.worker import MAIN

CHUNK = 1 << 20


class WorkerProcess:
    """Started on creation.  `receive` when `descriptor` is readable; `exit_code` once `alive` is False.

    Raises OSError when no process can be started.
    """

    def __init__(self, environment: Mapping[str, str] | None) -> None:
        theirs, ours = os.pipe()
        self.descriptor, their_output = os.pipe()
        self._input = ours
        self._decoder = messages.Decoder()
        self.alive = True
        try:
            self._process: subprocess.Popen[bytes] = start(
                MAIN, [str(theirs), str(their_output)], descriptors=[theirs, their_output], environment=environment
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

    def send(self, message: messages.ToWorker) -> None:
        """A worker that has died is noticed by the next `receive`."""
        with contextlib.suppress(BrokenPipeError):
            messages.write(self._input, message)

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
        """After `kill`: free what it held."""
        self.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout=5)
        for descriptor in (self._input, self.descriptor):
            os.close(descriptor)
