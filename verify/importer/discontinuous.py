"""Operators that jump: comparisons, Boolean algebra, Where, Sign, rounding, casts to integers and Booleans.

They need the queried box (see `choices`); without it they are refused.  Booleans are elements that are 0 or 1;
integers that may leave the range of their type are refused, so that they are integers indeed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction

import numpy as np

from verify.importer import shape
from verify.importer.choices import Bound, Choices, Option, select
from verify.importer.elementwise import broadcast
from verify.importer.graph import Builder, Node, Tensor, UnsupportedError, Value, malformed

MAX_STEPS = 256  # integers between the least and the greatest value of one element
NO_BOX = "its condition depends on the network's inputs"
WITHOUT_BOX = "state the decision in the spec, or use a VNN-LIB file: there its cases are split"
INTEGERS = {3: "int8", 5: "int16", 6: "int32", 7: "int64"}  # TensorProto's numbers
BITS = {"int8": 7, "int16": 15, "int32": 31, "int64": 63}
BOOL, FLOATS = 9, frozenset({1, 11})

ONE, ZERO, HALF = Fraction(1), Fraction(0), Fraction(1, 2)


def _choices(build: Builder) -> Choices:
    if build.choices is None:
        raise UnsupportedError(NO_BOX, WITHOUT_BOX)
    return build.choices


# -- comparisons -----------------------------------------------------------------------------------------------------

POSITIVE = (Option(ONE, (Bound(-1, ZERO, True),)), Option(ZERO, (Bound(1, ZERO, False),)))
NOT_NEGATIVE = (Option(ONE, (Bound(-1, ZERO, False),)), Option(ZERO, (Bound(1, ZERO, True),)))
IS_ZERO = (
    Option(ONE, (Bound(1, ZERO, False), Bound(-1, ZERO, False))),
    Option(ZERO, (Bound(1, ZERO, True),)),
    Option(ZERO, (Bound(-1, ZERO, True),)),
)
SIGN = (
    Option(ONE, (Bound(-1, ZERO, True),)),
    Option(ZERO, (Bound(1, ZERO, False), Bound(-1, ZERO, False))),
    Option(-ONE, (Bound(1, ZERO, True),)),
)

# operator: (the sign of a - b, options)
COMPARISONS: Mapping[str, tuple[float, str, tuple[Option, ...]]] = {
    "Greater": (1.0, ">", POSITIVE),
    "GreaterOrEqual": (1.0, ">=", NOT_NEGATIVE),
    "Less": (-1.0, ">", POSITIVE),
    "LessOrEqual": (-1.0, ">=", NOT_NEGATIVE),
    "Equal": (1.0, "=", IS_ZERO),
}


def compare(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """a op b as 0 or 1.  Exact, strict as the operator is."""
    choices = _choices(build)
    a, b = _two(node, args)
    left, right = broadcast(build, _numeric(a), _numeric(b))
    sign, kind, options = COMPARISONS[node.op]
    z = build.combine([(left, sign), (right, -sign)])
    return Tensor(choices.choose(build, node.name, z, kind, lambda _low, _high: options))


def sign(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    return Tensor(_choices(build).choose(build, node.name, _tensor(node, args), "sign", lambda _low, _high: SIGN))


# -- Boolean algebra -------------------------------------------------------------------------------------------------


def logic(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """And, Or, Xor of elements that are 0 or 1: relu(a + b - 1) is their conjunction.  Exact."""
    a, b = broadcast(build, *map(_numeric, _two(node, args)))
    both = build.combine([(a, 1.0), (b, 1.0)], -1.0, relu=True)
    if node.op == "And":
        return Tensor(both)
    return Tensor(build.combine([(a, 1.0), (b, 1.0), (both, -1.0 if node.op == "Or" else -2.0)]))


def negate(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    return Tensor(build.combine([(_tensor(node, args), -1.0)], 1.0))


def where(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """A choice by a condition, constant or not.  Exact over the queried box."""
    condition, a, b = args[0], args[1], args[2]
    if not isinstance(condition, Tensor):
        return shape.where(node, args, build)
    choices = _choices(build)
    if a is None or b is None:
        raise malformed(node, "a branch is missing")
    return Tensor(select(build, choices, condition.ids, build.ids(_numeric(a)), build.ids(_numeric(b))))


# -- rounding --------------------------------------------------------------------------------------------------------


def _floor(n: int) -> tuple[Bound, ...]:
    return Bound(-1, Fraction(-n), False), Bound(1, Fraction(n + 1), True)


def _ceil(n: int) -> tuple[Bound, ...]:
    return Bound(-1, Fraction(1 - n), True), Bound(1, Fraction(n), False)


def _truncate(n: int) -> tuple[Bound, ...]:
    if n:
        return _floor(n) if n > 0 else _ceil(n)
    return Bound(-1, ONE, True), Bound(1, ONE, True)


def _round(n: int) -> tuple[Bound, ...]:
    """To the nearest, ties to even: an even n takes both its ties."""
    return Bound(-1, HALF - n, n % 2 == 1), Bound(1, n + HALF, n % 2 == 1)


ROUNDINGS: Mapping[str, Callable[[int], tuple[Bound, ...]]] = {
    "Floor": _floor, "Ceil": _ceil, "Round": _round, "Cast": _truncate,
}  # fmt: skip


def _steps(bounds: Callable[[int], tuple[Bound, ...]], low: Fraction, high: Fraction) -> list[Option]:
    first, last = math.floor(low), math.ceil(high)
    if last - first > MAX_STEPS:
        raise UnsupportedError(f"it takes more than {MAX_STEPS} values over the queried box", "restrict the inputs")
    return [Option(Fraction(n), bounds(n)) for n in range(first, last + 1)]


def rounding(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Floor, Ceil, Round (ties to even), and the truncation of a cast.  Exact."""
    bounds = ROUNDINGS[node.op]
    z = _tensor(node, args)
    return Tensor(_choices(build).choose(build, node.name, z, node.op, lambda low, high: _steps(bounds, low, high)))


def cast(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Between floats the identity on the reals; to bool whether it is not 0; to an integer its truncation."""
    target, source = node.integer("to", 1), args[0]
    if not isinstance(source, Tensor) or target in FLOATS:
        return shape.cast(node, args, build)
    kind = node.kinds[0]
    if target == BOOL:
        if kind == "bool":
            return source
        z = build.combine([(source.ids, 1.0)])
        equal = _choices(build).choose(build, node.name, z, "=", lambda _low, _high: IS_ZERO)
        return Tensor(build.combine([(equal, -1.0)], 1.0))
    if target not in INTEGERS:
        raise UnsupportedError("a cast to a type that rounds or wraps", "cast to float32, int32, int64 or bool")
    return source if kind != "float" else rounding(node, args, build)


def check_range(value: Tensor, kind: str, build: Builder) -> None:
    """Refuse numbers that an integer type may not hold: runtimes wrap them, or do as they please."""
    most = (1 << BITS[kind]) - 1
    choices = _choices(build)
    for element in np.unique(value.ids).tolist():
        low, high = choices.interval(build, element)
        if low < -most - 1 or high > most:
            raise UnsupportedError(f"numbers that {kind} may not hold", "restrict the inputs")


# -- arguments -------------------------------------------------------------------------------------------------------


def _tensor(node: Node, args: Sequence[Value | None]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    if not args or not isinstance(args[0], Tensor):
        raise malformed(node, "its input is missing")
    return args[0].ids


def _two(node: Node, args: Sequence[Value | None]) -> tuple[Value, Value]:
    a, b = args[0], args[1]
    if a is None or b is None:
        raise malformed(node, "an operand is missing")
    return a, b


def _numeric(value: Value) -> Value:
    """Boolean constants as 0 and 1."""
    if isinstance(value, np.ndarray) and value.dtype == np.bool_:
        return np.asarray(value, dtype=np.float64)
    return value


OPERATORS = {
    **dict.fromkeys(COMPARISONS, compare),
    **dict.fromkeys(("And", "Or", "Xor"), logic),
    **dict.fromkeys(("Floor", "Ceil", "Round"), rounding),
    "Cast": cast,
    "Not": negate,
    "Sign": sign,
    "Where": where,
}

# What integers and Booleans may be fed to: operators that mean the same on them as on the reals.
INTEGER_OPERATORS = frozenset(OPERATORS) | {
    "Abs", "Add", "Concat", "Expand", "Flatten", "Gather", "Identity", "Max", "Min", "Mul", "Neg", "Pad", "ReduceMax",
    "ReduceMin", "ReduceSum", "Reshape", "Shape", "Size", "Slice", "Split", "Squeeze", "Sub", "Sum", "Tile",
    "Transpose", "Unsqueeze",
}  # fmt: skip


def kind_of(node: Node, kinds: Sequence[str]) -> str:
    """Of what kind a node's outputs are, its inputs being of `kinds`: float, bool, int8 … int64."""
    if node.op == "Cast":
        target = node.integer("to", 1)
        return "bool" if target == BOOL else INTEGERS.get(target, "float")
    if node.op in COMPARISONS or node.op in ("And", "Or", "Xor", "Not"):
        return "bool"
    if node.op not in INTEGER_OPERATORS:
        return "float"
    return kinds[1 if node.op == "Where" else 0]
