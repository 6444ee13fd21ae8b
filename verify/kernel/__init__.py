"""The kernel: re-checks proofs in exact integer arithmetic, with the standard library and `verify.core` alone."""

from verify.core.payload import RejectedError
from verify.kernel.check import Checked, Claim, check

__all__ = ["Checked", "Claim", "RejectedError", "check"]
