"""Exact rational vectors (standard library only).

Weights are the exact values of the stored floats, so nearly every vector is a vector of float64 values; the
few others (average pooling, division, unit conversion) are rational.  `Numbers` holds either form, and which
one it holds is a function of the values alone, so that a digest of the storage is a digest of the values.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from functools import cached_property
from typing import Any, Protocol

NEGATIVE_ZERO = b"\x00\x00\x00\x00\x00\x00\x00\x80"


class Hasher(Protocol):
    def update(self, data: bytes, /) -> object: ...


class NonFiniteError(ValueError):
    """A NaN or an infinity where an exact number is needed."""


class Numbers(Sequence[Fraction]):
    """An immutable vector of exact rationals.

    `floats` is the vector as float64 when every entry is exactly one; otherwise it is None and the entries are
    `numerators[i] / denominator` in lowest common terms.
    """

    def __init__(self, floats: array[float] | None, numerators: tuple[int, ...] = (), denominator: int = 1) -> None:
        self.floats = floats
        self.numerators = numerators
        self.denominator = denominator

    @classmethod
    def of_floats(cls, values: Iterable[float]) -> Numbers:
        """The exact values of float64 numbers.  Raises NonFiniteError on NaN or infinity."""
        floats = values if isinstance(values, array) else array("d", values)
        if floats.typecode != "d":
            raise TypeError(f"float64 values needed, not array type {floats.typecode!r}")
        if not all(map(math.isfinite, floats)):
            raise NonFiniteError("NaN or infinite number")
        return cls(floats)

    @classmethod
    def of_buffer(cls, buffer: Any) -> Numbers:
        """The exact values in a buffer of native float64 (for instance a NumPy array's bytes)."""
        floats = array("d")
        floats.frombytes(buffer)
        return cls.of_floats(floats)

    @classmethod
    def of(cls, values: Iterable[Fraction | int]) -> Numbers:
        """Exact rationals, stored as float64 when all of them are."""
        fractions = [Fraction(v) for v in values]
        floats = array("d")
        for value in fractions:
            as_float = float_if_exact(value)
            if as_float is None:
                break
            floats.append(as_float)
        else:
            return cls(floats)
        denominator = math.lcm(*(f.denominator for f in fractions))
        return cls(None, tuple(f.numerator * (denominator // f.denominator) for f in fractions), denominator)

    @classmethod
    def zeros(cls, count: int) -> Numbers:
        return cls(array("d", bytes(8 * count)))

    @cached_property
    def _integers(self) -> tuple[list[int], int]:
        return self.compute_integers()

    def integers(self) -> tuple[list[int], int]:
        """All entries as integers over one common denominator (not necessarily the least); cached."""
        return self._integers

    def compute_integers(self) -> tuple[list[int], int]:
        if self.floats is None:
            return list(self.numerators), self.denominator
        return integers_of_floats(self.floats)

    def __len__(self) -> int:
        return len(self.numerators) if self.floats is None else len(self.floats)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            if self.floats is not None:
                return Numbers(self.floats[index])
            return Numbers.of(Fraction(n, self.denominator) for n in self.numerators[index])
        if self.floats is None:
            return Fraction(self.numerators[index], self.denominator)
        return Fraction(self.floats[index])

    def __iter__(self) -> Iterator[Fraction]:
        if self.floats is not None:
            return map(Fraction, self.floats)
        return (Fraction(n, self.denominator) for n in self.numerators)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Numbers):
            return NotImplemented
        if self.floats is not None and other.floats is not None:
            return self.floats == other.floats
        return (self.floats is None) == (other.floats is None) and (
            (self.numerators, self.denominator) == (other.numerators, other.denominator)
        )

    def __hash__(self) -> int:
        return hash((len(self), tuple(self[:4])))

    def __repr__(self) -> str:
        shown = ", ".join(str(v) for v in self[:6])
        return f"Numbers([{shown}{', …' if len(self) > 6 else ''}], n={len(self)})"

    def digest_into(self, hasher: Hasher) -> None:
        """Feed a canonical, injective encoding of the values into `hasher`."""
        if self.floats is None:
            text = ",".join(map(str, self.numerators)) + f"/{self.denominator}"
            hasher.update(f"q{len(text)}:".encode() + text.encode())
            return
        data = self.floats.tobytes()
        if NEGATIVE_ZERO in data:
            data = array("d", map((0.0).__add__, self.floats)).tobytes()
        hasher.update(f"d{len(self.floats)}:".encode() + data)


def float_if_exact(value: Fraction) -> float | None:
    """`value` as a float64 if it is exactly one, else None."""
    if value.denominator & (value.denominator - 1):
        return None
    try:
        as_float = value.numerator / value.denominator
    except OverflowError:
        return None
    return as_float if math.isfinite(as_float) and Fraction(as_float) == value else None


def integers_of_floats(floats: array[float]) -> tuple[list[int], int]:
    """Finite float64 values as integers over one power of two."""
    magnitudes = [abs(v) for v in floats if v]
    if not magnitudes:
        return [0] * len(floats), 1
    exponent = 53 - math.frexp(min(magnitudes))[1]  # v * 2**exponent is an integer for every v
    if exponent <= 0:
        return [int(v) for v in floats], 1
    if exponent + math.frexp(max(magnitudes))[1] < 1024 and exponent < 1023:
        return list(map(int, map((2.0**exponent).__mul__, floats))), 1 << exponent
    ratios = [v.as_integer_ratio() for v in floats]
    denominator = max(d for _, d in ratios)
    return [n * (denominator // d) for n, d in ratios], denominator
