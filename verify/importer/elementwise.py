"""Element-wise operators: arithmetic with constants, and everything that reduces to relu."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verify.importer.arithmetic import Array, Ints, exact, reciprocal, total
from verify.importer.graph import Builder, Node, Tensor, UnsupportedError, Value, constant, malformed

FLOAT32_MAX = float(np.finfo(np.float32).max)
MOST_DIVISORS = 512  # distinct divisors of one node; their common denominator grows with each


def broadcast(build: Builder, *values: Value) -> list[Ints]:
    """The ids of all values in their common shape."""
    return list(np.broadcast_arrays(*(build.ids(v) for v in values)))


def legacy_operand(node: Node, rank: int, operand: Array) -> Array:
    """Before opset 7 the second operand is aligned at `axis` instead of at the last axis."""
    if node.opset >= 7 or not node.integer("broadcast", 0) or "axis" not in node.attributes:
        return operand
    axis = node.integer("axis", 0) % rank
    return operand.reshape(operand.shape + (1,) * (rank - axis - operand.ndim))


def _operands(node: Node, args: Sequence[Value | None], build: Builder) -> tuple[Value, Value]:
    first, second = args[0], args[1]
    if first is None or second is None:
        raise malformed(node, "an operand is missing")
    rank = len(first.shape)
    if isinstance(second, Tensor):
        return first, build.value(legacy_operand(node, rank, second.ids)) if rank else second
    return first, legacy_operand(node, rank, second) if rank else second


def add_values(build: Builder, a: Value, b: Value, *, sign: float = 1.0) -> Value:
    """a + sign·b, broadcast; at most one of them constant.  Exact."""
    if isinstance(b, Tensor) and not isinstance(a, Tensor):
        (ids,) = [np.broadcast_to(b.ids, np.broadcast_shapes(a.shape, b.shape))]
        return Tensor(build.combine([(ids, sign)], exact(a)))
    assert isinstance(a, Tensor)
    if not isinstance(b, Tensor):
        ids = np.broadcast_to(a.ids, np.broadcast_shapes(a.shape, b.shape))
        return Tensor(build.combine([(ids, 1.0)], sign * exact(b)))
    left, right = broadcast(build, a, b)
    return Tensor(build.combine([(left, 1.0), (right, sign)]))


def add(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    a, b = _operands(node, args, build)
    return add_values(build, a, b)


def sub(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    a, b = _operands(node, args, build)
    return add_values(build, a, b, sign=-1.0)


def mul(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Product with a constant.  Exact."""
    a, b = _operands(node, args, build)
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        raise UnsupportedError("product of two tensors that both depend on the inputs", "keep one factor constant")
    tensor, factor = (a, b) if isinstance(a, Tensor) else (b, a)
    assert isinstance(tensor, Tensor) and not isinstance(factor, Tensor)
    ids = np.broadcast_to(tensor.ids, np.broadcast_shapes(tensor.shape, factor.shape))
    return Tensor(build.combine([(ids, exact(factor))]))


def div(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Quotient by a constant.  Exact: the reciprocals are rationals."""
    a, b = _operands(node, args, build)
    if isinstance(b, Tensor) or not isinstance(a, Tensor):
        raise UnsupportedError("division by a tensor that depends on the inputs", "divide by a constant")
    if (b == 0).any():
        raise malformed(node, "division by zero")
    divisors = np.unique(b)
    if len(divisors) > MOST_DIVISORS and (np.frexp(divisors)[0] != 0.5 * np.sign(divisors)).any():
        raise UnsupportedError(f"{len(divisors)} distinct divisors", "multiply by the stored reciprocals (Mul)")
    ids = np.broadcast_to(a.ids, np.broadcast_shapes(a.shape, b.shape))
    return Tensor(build.combine([(ids, reciprocal(exact(b)))]))


def neg(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    return Tensor(build.combine([(_tensor(node, args), -1.0)]))


def sum_all(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Sum and Mean of any number of tensors.  Exact (1/n is rational)."""
    present = [a for a in args if a is not None]
    count = np.asarray(float(len(present)))
    weight = reciprocal(count) if node.op == "Mean" else np.asarray(1.0)
    return Tensor(build.combine([(ids, weight) for ids in broadcast(build, *present)]))


def relu(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    return Tensor(build.combine([(_tensor(node, args), 1.0)], relu=True))


def leaky_relu(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    return Tensor(_two_slopes(_tensor(node, args), np.asarray(node.number("alpha", float(np.float32(0.01)))), build))


def p_relu(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    ids = _tensor(node, args)
    slope = exact(constant(node, args[1], "the slope"))
    if node.opset < 7 and slope.ndim == 1 and slope.size > 1 and ids.ndim > 1:
        slope = slope.reshape((-1,) + (1,) * (ids.ndim - 2))
    return Tensor(_two_slopes(ids, slope, build))


def _two_slopes(ids: Ints, slope: Array, build: Builder) -> Ints:
    """slope·x for x < 0, else x: slope·x + (1 - slope)·relu(x).  Exact."""
    positive = build.combine([(ids, 1.0)], relu=True)
    return build.combine([(ids, slope), (positive, total(np.asarray(1.0), -slope))])


def absolute(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """|x| = 2·relu(x) - x.  Exact."""
    ids = _tensor(node, args)
    return Tensor(build.combine([(build.combine([(ids, 1.0)], relu=True), 2.0), (ids, -1.0)]))


def maximum(build: Builder, a: Ints, b: Ints) -> Ints:
    """max(a, b) = b + relu(a - b).  Exact."""
    return build.combine([(b, 1.0), (build.combine([(a, 1.0), (b, -1.0)], relu=True), 1.0)])


def minimum(build: Builder, a: Ints, b: Ints) -> Ints:
    """min(a, b) = b - relu(b - a).  Exact."""
    return build.combine([(b, 1.0), (build.combine([(b, 1.0), (a, -1.0)], relu=True), -1.0)])


def max_min(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Max and Min of any number of tensors; constants go last, where they bound the result.  Exact."""
    present = sorted((a for a in args if a is not None), key=lambda a: not isinstance(a, Tensor))
    pick = maximum if node.op == "Max" else minimum
    result, *others = broadcast(build, *present)
    for other in others:
        result = pick(build, result, other)
    return Tensor(result)


def clip(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """min(max(x, low), high).  Exact; a bound at or beyond the float32 range is none."""
    ids = _tensor(node, args)
    if node.opset < 11:
        low: Value | None = np.asarray(node.number("min", -np.inf))
        high: Value | None = np.asarray(node.number("max", np.inf))
    else:
        low, high = (args[i] if len(args) > i else None for i in (1, 2))
    for bound in (low, high):
        if isinstance(bound, np.ndarray) and np.isnan(bound).any():
            raise malformed(node, "a bound is not a number")
    if low is not None and not (isinstance(low, np.ndarray) and (low <= -FLOAT32_MAX).all()):
        ids = maximum(build, ids, np.broadcast_to(build.ids(low), ids.shape))
    if high is not None and not (isinstance(high, np.ndarray) and (high >= FLOAT32_MAX).all()):
        ids = minimum(build, ids, np.broadcast_to(build.ids(high), ids.shape))
    return Tensor(ids)


def hard_sigmoid(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """max(0, min(1, alpha·x + beta)).  Exact."""
    alpha, beta = node.number("alpha", float(np.float32(0.2))), node.number("beta", 0.5)
    ids = _tensor(node, args)
    one = np.broadcast_to(build.ids(np.asarray(1.0)), ids.shape)
    positive = build.combine([(ids, alpha)], beta, relu=True)
    return Tensor(minimum(build, positive, one))


def _tensor(node: Node, args: Sequence[Value | None]) -> Ints:
    if not args or args[0] is None:
        raise malformed(node, "its first input is missing")
    if not isinstance(args[0], Tensor):
        raise UnsupportedError("constant data with dynamic parameters", "fold the node to a constant")
    return args[0].ids
