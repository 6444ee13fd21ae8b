"""A fast path beside the kernel: the same integers in compiled code, guarded against overflow, or a refusal."""

from verify.kernel_fast.check import check_fast

__all__ = ["check_fast"]
