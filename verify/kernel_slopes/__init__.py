"""One more rule than the kernel's: the slopes of a model between two of its points, in exact arithmetic."""

from verify.kernel_slopes.slopes import check

__all__ = ["check"]
