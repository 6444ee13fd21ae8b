"""Warnings about declarations that are legal but probably not meant."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from statistics import median

from verify.spec.values import FieldInfo, NetworkInfo

LARGE = 1000  # a raw input beyond this was probably not normalised
OUTLIER = 50  # times the others


def normalisation_warnings(networks: Iterable[NetworkInfo]) -> Iterator[str]:
    """A range whose raw numbers are huge, or far outside those of the other inputs."""
    for network in networks:
        reach = {f.name: _reach(f) for f in network.inputs.fields}
        sizes = [r for r in reach.values() if r is not None]
        for field in network.inputs.fields:
            size = reach[field.name]
            if size is None:
                continue
            others = sorted(sizes)
            others.remove(size)
            if size > LARGE or (len(others) >= 2 and size > 10 and size > OUTLIER * median(others)):
                advice = "check its `raw = …`" if field.normalised else "is `raw = …` missing?"
                yield (
                    f"{field.place}: input `{field.name}` of `{network.name}` reaches the raw value {_short(size)}, "
                    f"which is unusual for a network; {advice}"
                )


def _reach(field: FieldInfo) -> Fraction | None:
    if field.low is None or field.high is None:
        return None
    return max(abs(field.slope * end + field.intercept) for end in (field.low, field.high))


def _short(number: Fraction) -> str:
    return str(number) if number.denominator == 1 else f"about {float(number):.6g}"
