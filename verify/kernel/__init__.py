"""The kernel: re-checks proofs in exact integer arithmetic, with the standard library and `verify.core` alone."""

from verify.kernel.check import Checked, Claim, check
from verify.kernel.stream import RejectedError

__all__ = ["Checked", "Claim", "RejectedError", "check"]
