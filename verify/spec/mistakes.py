"""Several mistakes of one spec: collected where the rest can still be checked, raised as one error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from verify.errors import MOST_ERRORS, Place, SpecError, VerifyError, combine
from verify.spec.codes import FollowUpError

FATAL = ("E308",)  # too large: every further step would fail alike


class Mistakes:
    """The mistakes found so far.  One that only follows from another is dropped."""

    def __init__(self) -> None:
        self.found: list[VerifyError] = []
        self.followed = False  # whether something was wrong at all

    def keep(self, check: Callable[[], object]) -> bool:
        """Run `check`; whether nothing was wrong."""
        with self.collecting():
            check()
            return True
        return False

    @contextmanager
    def collecting(self) -> Iterator[None]:
        """Run the body; a SpecError in it is kept, not raised, unless it is time to stop."""
        try:
            yield
        except FollowUpError:
            self.followed = True
        except SpecError as problem:
            self.followed = True
            known = {_identity(e) for e in self.found}
            fresh = [e for e in (problem, *problem.more) if _identity(e) not in known]
            for each in fresh:
                each.more = ()
            self.found += fresh
            if problem.code in FATAL or len(self.found) >= MOST_ERRORS:
                raise combine(self.found) from None

    def raise_any(self) -> None:
        """Raise what was found: all in one, or the FollowUpError that means nothing new."""
        if self.found:
            raise combine(self.found)
        if self.followed:
            raise FollowUpError("E310", "not checked further, because of other mistakes")


def _identity(error: VerifyError) -> tuple[str, Place | None]:
    return error.code, error.place
