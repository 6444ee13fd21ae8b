"""Proofs for every float32 evaluation: a model's rounding bounded in exact integers, the rest left to the kernel."""

from verify.kernel_float32.relax import check_float32

__all__ = ["check_float32"]
