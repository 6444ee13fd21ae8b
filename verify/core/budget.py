"""Limits of one decision.  The clock comes in as an argument; nothing here reads it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Budget:
    """Stop at `deadline` on `clock` (seconds), or above `memory_mb` of resident memory."""

    deadline: float
    clock: Callable[[], float]
    memory_mb: float = math.inf
    resident_mb: Callable[[], float] = lambda: 0.0

    def remaining(self) -> float:
        return self.deadline - self.clock()

    def exhausted(self) -> str | None:
        """ "timeout", "memory", or None while there is budget."""
        if self.remaining() <= 0:
            return "timeout"
        if self.memory_mb < math.inf and self.resident_mb() > self.memory_mb:
            return "memory"
        return None
