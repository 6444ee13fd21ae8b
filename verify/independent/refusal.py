"""Why a file is not read."""

from __future__ import annotations


class RefusedError(Exception):
    """The file is damaged, ambiguous, too large, or more than plain; the message says which."""


class Allowance:
    """How much may still be built from one file; bounds memory and time whatever the file says."""

    def __init__(self, what: str, amount: int) -> None:
        self.what = what
        self.amount = amount
        self.left = amount

    def spend(self, amount: int) -> None:
        """Raises RefusedError once more than the whole amount has been asked for."""
        self.left -= amount
        if self.left < 0:
            raise RefusedError(f"too large: more than {self.amount} {self.what}")
