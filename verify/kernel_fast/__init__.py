"""A fast path beside the kernel: the same integers in compiled code, guarded against overflow, or a refusal."""

from verify.kernel_fast.check import Known, StoppedError, check_fast
from verify.kernel_fast.tables import RefusedError

__all__ = ["Known", "RefusedError", "StoppedError", "check_fast"]
