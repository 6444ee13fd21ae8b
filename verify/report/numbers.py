"""How numbers are written: exact where that is short, otherwise marked as rounded."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from decimal import Context, Decimal
from fractions import Fraction

from verify.core.rational import digits, rational

SHORT = 14  # an exact decimal of at most so many characters is shown as it is
DIGITS = 7  # significant digits of a rounded number


def exact(value: Fraction) -> str:
    """Exact text to paste: the decimal, unless `p/q` is shorter or there is no finite decimal."""
    fraction, decimal = rational(value), _finite_decimal(value)
    return decimal if decimal is not None and (len(decimal) <= max(SHORT, len(fraction))) else fraction


def shown(value: Fraction) -> tuple[str, bool]:
    """Readable text, and whether it is exact."""
    decimal = _finite_decimal(value)
    if decimal is not None and len(decimal) <= SHORT:
        return decimal, True
    context = Context(prec=DIGITS)
    rounded = context.divide(Decimal(value.numerator), Decimal(value.denominator)).normalize()
    if -5 <= rounded.adjusted() <= 15:
        return format(rounded, "f"), False
    return format(rounded, "e").replace("e+", "e"), False


def equation(name: str, value: Fraction, unit: str | None = None) -> str:
    """`s.x = 0.3 m`, or `s.x ≈ 0.3333333 m` where the number is rounded."""
    text, is_exact = shown(value)
    return f"{name} {'=' if is_exact else '≈'} {text}{f' {unit}' if unit else ''}"


def quantity(value: Fraction) -> str:
    """`0.05` or `≈ 0.3333333`."""
    text, is_exact = shown(value)
    return text if is_exact else f"≈ {text}"


def float_text(value: float) -> str:
    """The shortest decimal that names a float32; a float64 that is none is rounded to nine digits."""
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e9:
        return str(int(value)) if value else "0"
    for count in range(1, 10):
        text = f"{value:.{count}g}"
        if float(text) == value or _same_float32(float(text), value):
            return text
    return f"{value:.9g}"


def float_list(values: Iterable[float]) -> str:
    return ", ".join(map(float_text, values))


def percent(share: float) -> str:
    """A share of 1, rounded down: 100 % only when it is all."""
    return "100 %" if share >= 1 else f"{math.floor(share * 1000) / 10:.1f} %"


def _same_float32(decimal: float, value: float) -> bool:
    try:
        single = struct.unpack("f", struct.pack("f", decimal))[0]
    except OverflowError:
        return False
    return bool(single == value)


def _finite_decimal(value: Fraction) -> str | None:
    """The exact finite decimal, or None when there is none."""
    rest, twos, fives = value.denominator, 0, 0
    twos = (rest & -rest).bit_length() - 1
    rest >>= twos
    while rest % 5 == 0:
        rest //= 5
        fives += 1
    if rest != 1:
        return None
    places = max(twos, fives)
    scaled = abs(value.numerator) * 10**places // value.denominator
    text = digits(scaled).rjust(places + 1, "0")
    sign = "-" if value < 0 else ""
    return sign + (text if not places else f"{text[:-places]}.{text[-places:]}")
