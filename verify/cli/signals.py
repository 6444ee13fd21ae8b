"""Ctrl-C and SIGTERM: they end the work, but never in the middle of writing."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Interruptions:
    """As a context it turns the first signal into KeyboardInterrupt; inside `held` it waits until the block has ended.

    Later ones change nothing: what the first has set off ends by itself within seconds.
    """

    def __init__(self) -> None:
        self._held = 0
        self._pending = False
        self._before: dict[int, object] = {}

    def __enter__(self) -> Interruptions:
        if threading.current_thread() is threading.main_thread():
            for number in ENDING:
                if signal.getsignal(number) is not signal.SIG_IGN:  # nohup, and background jobs of a shell
                    self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # what signal.signal returned

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        if self._held:
            self._pending = True
        else:
            self.ignore()
            raise KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        self._held += 1
        try:
            yield
        finally:
            self._held -= 1
            if self._pending and not self._held:
                self.ignore()
                raise KeyboardInterrupt

    def ignore(self) -> None:
        """From now on: the work is ending already."""
        self._held += 1
