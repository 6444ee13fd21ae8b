"""What the plain operators mean, element by element.

Every operator is a function of its node, its inputs and the builder; `OPERATORS` says which attributes and how many
inputs each may have.  Source: the ONNX operator standard, opset 7 and later.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Union

from verify.independent.onnx_file import PlainNode, Stored
from verify.independent.refusal import Allowance, RefusedError
from verify.independent.rows import Builder, checked, exact_product

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor that depends on the inputs: the ids of its elements, row-major."""

    shape: Shape
    ids: Sequence[int]


Value = Union[Tensor, Stored]


def refuse(node: PlainNode, reason: str) -> RefusedError:
    return RefusedError(f"node {node.name!r} ({node.op}): {reason}")


def _dynamic(node: PlainNode, value: Value) -> Tensor:
    if not isinstance(value, Tensor):
        raise refuse(node, "its data do not depend on the inputs")
    return value


def _floats(node: PlainNode, value: Value, what: str) -> array[float]:
    if not isinstance(value, Stored) or not isinstance(value.values, array):
        raise refuse(node, f"{what} must be a constant of floats")
    return value.values


def _integers(node: PlainNode, value: Value, what: str) -> tuple[int, ...]:
    if not isinstance(value, Stored) or isinstance(value.values, array):
        raise refuse(node, f"{what} must be constant integers")
    return value.values


# -- moving elements ---------------------------------------------------------------------------------------------


def _reshaped(value: Value, shape: Shape) -> Value:
    return Tensor(shape, value.ids) if isinstance(value, Tensor) else Stored(shape, value.values)


def _chosen(value: Value, shape: Shape, places: Sequence[int]) -> Value:
    """The elements at flat places, in a new shape."""
    if isinstance(value, Tensor):
        return Tensor(shape, [value.ids[p] for p in places])
    if isinstance(value.values, array):
        return Stored(shape, array("d", [value.values[p] for p in places]))
    return Stored(shape, tuple(value.values[p] for p in places))


def identity(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """Identity, and Dropout in inference form."""
    del node, build
    return args[0]


def flatten(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    del build
    shape = args[0].shape
    axis = node.attributes.get("axis", 1)
    axis = axis + len(shape) if axis < 0 else axis
    if not 0 <= axis <= len(shape):
        raise refuse(node, f"axis {axis} of shape {list(shape)}")
    return _reshaped(args[0], (math.prod(shape[:axis]), math.prod(shape[axis:])))


def reshape(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    del build
    old, wanted = args[0].shape, list(_integers(node, args[1], "the new shape"))
    if node.attributes.get("allowzero", 0) and 0 in wanted:
        raise refuse(node, "an axis of no elements")
    if any(v < -1 or (v == 0 and i >= len(old)) for i, v in enumerate(wanted)) or wanted.count(-1) > 1:
        raise refuse(node, f"new shape {wanted}")
    wanted = [old[i] if v == 0 else v for i, v in enumerate(wanted)]
    known, size = math.prod(v for v in wanted if v != -1), math.prod(old)
    if not known or size % known or (-1 not in wanted and known != size):
        raise refuse(node, f"shape {list(old)} does not fit {wanted}")
    return _reshaped(args[0], tuple(size // known if v == -1 else v for v in wanted))


def transpose(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    shape = args[0].shape
    order = node.attributes.get("perm", list(range(len(shape)))[::-1])
    if sorted(order) != list(range(len(shape))):
        raise refuse(node, f"permutation {order}")
    strides = [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
    places = [0]
    for axis in order:
        places = [p + j * strides[axis] for p in places for j in range(shape[axis])]
    build.allowance.spend(len(places))
    return _chosen(args[0], tuple(shape[axis] for axis in order), places)


def concat(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    parts = [_dynamic(node, a) for a in args]
    shape, axis = parts[0].shape, node.attributes.get("axis")
    if axis is None or not -len(shape) <= axis < len(shape):
        raise refuse(node, f"axis {axis}")
    axis %= len(shape)
    others = [(len(p.shape), p.shape[:axis], p.shape[axis + 1 :]) for p in parts]
    if any(o != others[0] for o in others):
        raise refuse(node, "shapes differ")
    build.allowance.spend(sum(len(p.ids) for p in parts))
    ids: list[int] = []
    for outer in range(math.prod(shape[:axis])):
        for part in parts:
            width = math.prod(part.shape[axis:])
            ids.extend(part.ids[outer * width : (outer + 1) * width])
    return Tensor((*shape[:axis], sum(p.shape[axis] for p in parts), *shape[axis + 1 :]), ids)


def _selected(value: Value, chosen: Mapping[int, Sequence[int]], build: Builder) -> Value:
    """Some positions of each axis in `chosen`, everything of the others."""
    places, shape = [0], []
    for axis, extent in enumerate(value.shape):
        picked = chosen.get(axis, range(extent))
        build.allowance.spend(len(places) * len(picked))
        places = [p * extent + j for p in places for j in picked]
        shape.append(len(picked))
    return _chosen(value, tuple(shape), places)


def slice_(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    shape = args[0].shape
    lists = [_integers(node, a, "starts, ends, axes and steps") for a in args[1:]]
    for name in ("starts", "ends", "axes"):
        if name in node.attributes:  # before opset 10
            lists.append(tuple(node.attributes[name]))
    if len(lists) < 2 or (len(args) > 1) == ("starts" in node.attributes):
        raise refuse(node, "starts and ends are needed once")
    starts, ends = lists[0], lists[1]
    axes = lists[2] if len(lists) > 2 else tuple(range(len(starts)))
    steps = lists[3] if len(lists) > 3 else (1,) * len(starts)
    axes = tuple(axis % len(shape) if -len(shape) <= axis < len(shape) else len(shape) for axis in axes)
    if not len(starts) == len(ends) == len(axes) == len(steps) or len({*axes}) < len(axes) or len(shape) in axes:
        raise refuse(node, "starts, ends, axes and steps do not fit")
    if min(steps, default=1) < 1:
        raise refuse(node, "a step backwards")
    chosen = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        chosen[axis] = range(*slice(start, end, step).indices(shape[axis]))
        if not chosen[axis]:
            raise refuse(node, "nothing is left")
    return _selected(args[0], chosen, build)


def gather(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    shape, axis = args[0].shape, node.attributes.get("axis", 0)
    indices = _integers(node, args[1], "indices")
    if not -len(shape) <= axis < len(shape) or not indices:
        raise refuse(node, f"axis {axis} of shape {list(shape)}")
    axis %= len(shape)
    if not all(-shape[axis] <= i < shape[axis] for i in indices):
        raise refuse(node, "an index is out of range")
    found = _selected(args[0], {axis: [i % shape[axis] for i in indices]}, build)
    return _reshaped(found, (*shape[:axis], *args[1].shape, *shape[axis + 1 :]))


def constant(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    del args, build
    if list(node.attributes) != ["value"]:
        raise refuse(node, "a constant needs one tensor")
    value = node.attributes["value"]
    if not isinstance(value, Stored):
        raise refuse(node, "a constant needs one tensor")
    return value


# -- arithmetic --------------------------------------------------------------------------------------------------


def _broadcast(node: PlainNode, value: Stored, shape: Shape) -> list[float]:
    """A constant repeated to `shape`, which must not grow by it."""
    own = (1,) * (len(shape) - len(value.shape)) + value.shape
    if len(own) != len(shape) or any(a not in (1, b) for a, b in zip(own, shape, strict=True)):
        raise refuse(node, f"a constant of shape {list(value.shape)} changes the shape {list(shape)}")
    places = [0]
    for extent, wanted in zip(own, shape, strict=True):
        places = [p * extent + (j if extent > 1 else 0) for p in places for j in range(wanted)]
    values = _floats(node, value, "an operand")
    return [values[p] for p in places]


def _scale(node: PlainNode, tensor: Tensor, weights: Sequence[float], build: Builder) -> Value:
    del node
    rows = (((i,), (w,)) for i, w in zip(tensor.ids, weights, strict=True))
    return Tensor(tensor.shape, build.emit(rows, [0.0] * len(tensor.ids)))


def add(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """Add and Sub."""
    a, b = args
    sign = -1.0 if node.op == "Sub" else 1.0
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if a.shape != b.shape:
            raise refuse(node, f"shapes {list(a.shape)} and {list(b.shape)}")
        pairs = (((i, j), (1.0, sign)) for i, j in zip(a.ids, b.ids, strict=True))
        return Tensor(a.shape, build.emit(pairs, [0.0] * len(a.ids)))
    if isinstance(a, Tensor) and isinstance(b, Stored):
        rows = (((i,), (1.0,)) for i in a.ids)
        return Tensor(a.shape, build.emit(rows, [sign * v for v in _broadcast(node, b, a.shape)]))
    tensor = _dynamic(node, b)
    assert isinstance(a, Stored)
    rows = (((i,), (sign,)) for i in tensor.ids)
    return Tensor(tensor.shape, build.emit(rows, _broadcast(node, a, tensor.shape)))


def mul(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    a, b = args
    tensor, factor = (a, b) if isinstance(a, Tensor) else (b, a)
    if not isinstance(factor, Stored):
        raise refuse(node, "a product of two tensors that depend on the inputs")
    tensor = _dynamic(node, tensor)
    return _scale(node, tensor, _broadcast(node, factor, tensor.shape), build)


def div(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """By powers of two: other reciprocals are no float64 numbers."""
    tensor = _dynamic(node, args[0])
    if not isinstance(args[1], Stored):
        raise refuse(node, "division by a tensor that depends on the inputs")
    divisors = _broadcast(node, args[1], tensor.shape)
    if any(abs(math.frexp(v)[0]) != 0.5 for v in divisors):
        raise refuse(node, "division by something other than a power of two")
    return _scale(node, tensor, [1.0 / v for v in divisors], build)


def neg(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    tensor = _dynamic(node, args[0])
    return _scale(node, tensor, [-1.0] * len(tensor.ids), build)


def relu(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    tensor = _dynamic(node, args[0])
    rows = (((i,), (1.0,)) for i in tensor.ids)
    return Tensor(tensor.shape, build.emit(rows, [0.0] * len(tensor.ids), relu=True))


def matmul(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """A tensor times a constant matrix, or a constant matrix times a vector or matrix."""
    left, right = args
    if isinstance(left, Tensor):
        weights, shape = _floats(node, right, "one operand"), right.shape
        if len(shape) != 2 or not left.shape or left.shape[-1] != shape[0]:
            raise refuse(node, f"shapes {list(left.shape)} and {list(shape)}")
        columns = [weights[k :: shape[1]] for k in range(shape[1])]
        return Tensor((*left.shape[:-1], shape[1]), _products(left.ids, columns, build))
    tensor, weights = _dynamic(node, right), _floats(node, left, "one operand")
    if len(left.shape) != 2 or len(tensor.shape) not in (1, 2) or left.shape[1] != tensor.shape[0]:
        raise refuse(node, f"shapes {list(left.shape)} and {list(tensor.shape)}")
    height, inner = left.shape
    width = math.prod(tensor.shape[1:])
    turned = [i for k in range(width) for i in tensor.ids[k::width]]
    ids = _products(turned, [weights[k * inner : (k + 1) * inner] for k in range(height)], build)
    return Tensor((height, *tensor.shape[1:]), [i for k in range(height) for i in ids[k::height]])


def _products(ids: Sequence[int], columns: Sequence[Sequence[float]], build: Builder) -> list[int]:
    """Each vector of a flat matrix of ids times each column of weights."""
    inner = len(columns[0])
    vectors = [tuple(ids[p : p + inner]) for p in range(0, len(ids), inner)]
    build.allowance.spend(len(vectors) * len(columns))
    return build.emit(((v, c) for v in vectors for c in columns), [0.0] * (len(vectors) * len(columns)))


def gemm(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """alpha·A'·B' + beta·C with B and C constant."""
    tensor = _dynamic(node, args[0])
    weights, shape = _floats(node, args[1], "B"), args[1].shape
    if len(tensor.shape) != 2 or len(shape) != 2:
        raise refuse(node, "A and B must have two axes")
    alpha, beta = node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)
    if node.attributes.get("transA", 0):
        raise refuse(node, "A is transposed")
    inner, width = shape[::-1] if node.attributes.get("transB", 0) else shape
    if tensor.shape[1] != inner:
        raise refuse(node, f"shapes {list(tensor.shape)} and {list(shape)}")
    if node.attributes.get("transB", 0):
        columns = [weights[k * inner : (k + 1) * inner] for k in range(width)]
    else:
        columns = [weights[k::width] for k in range(width)]
    if alpha != 1.0:
        columns = [array("d", [checked(exact_product(v, alpha)) for v in c]) for c in columns]
    result = (tensor.shape[0], width)
    build.allowance.spend(result[0] * width)
    bias = [0.0] * (result[0] * width)
    if len(args) > 2:
        if not isinstance(args[2], Stored):
            raise refuse(node, "C depends on the inputs")
        bias = [checked(exact_product(v, beta)) if beta != 1.0 else v for v in _broadcast(node, args[2], result)]
    rows = [tuple(tensor.ids[p : p + inner]) for p in range(0, len(tensor.ids), inner)]
    return Tensor(result, build.emit(((r, c) for r in rows for c in columns), bias))


def conv(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """Convolution in any number of dimensions: groups, strides, dilations, pads."""
    tensor, weights = _dynamic(node, args[0]), _floats(node, args[1], "the weights")
    maps, depth, *kernel = args[1].shape
    items, channels, *spatial = tensor.shape
    axes, groups = len(spatial), node.attributes.get("group", 1)
    if not axes or len(kernel) != axes or groups < 1 or channels != depth * groups or maps % groups:
        raise refuse(node, f"data {list(tensor.shape)}, weights {list(args[1].shape)}, {groups} groups")
    out, taps = _windows(node, spatial, kernel, build.allowance)
    bias = list(_floats(node, args[2], "the bias")) if len(args) > 2 else [0.0] * maps
    if len(bias) != maps:
        raise refuse(node, "one bias per output channel")
    volume, taps_each, share = math.prod(spatial), math.prod(kernel), maps // groups
    rows: list[tuple[tuple[int, ...], Sequence[float]]] = []
    for item, group in product(range(items), range(groups)):
        first = (item * channels + group * depth) * volume
        patches = []
        for window in taps:
            build.allowance.spend(depth * len(window) * (share + 1))
            patch = [(first + c * volume + p, c * taps_each + t) for c in range(depth) for t, p in window]
            patches.append((tuple(tensor.ids[p] for p, _ in patch), [t for _, t in patch]))
        for number in range(group * share, (group + 1) * share):
            kernel_values = weights[number * depth * taps_each : (number + 1) * depth * taps_each]
            rows.extend((columns, array("d", [kernel_values[t] for t in chosen])) for columns, chosen in patches)
    ids = build.emit(rows, [b for b in bias for _ in taps] * items)
    return Tensor((items, maps, *out), ids)


def _windows(
    node: PlainNode, spatial: Sequence[int], kernel: Sequence[int], allowance: Allowance
) -> tuple[list[int], list[list[tuple[int, int]]]]:
    """Output extents, and for each output position its (kernel place, data place) pairs inside the data, flat."""
    axes = len(spatial)
    strides, dilations = (node.attributes.get(n, [1] * axes) for n in ("strides", "dilations"))
    pads = node.attributes.get("pads", [0] * (2 * axes))
    fits = len(strides) == len(dilations) == axes and len(pads) == 2 * axes
    if not fits or min([*strides, *dilations, *kernel]) < 1 or min(pads) < 0:
        raise refuse(node, "strides, dilations or pads do not fit")
    if list(node.attributes.get("kernel_shape", kernel)) != list(kernel):
        raise refuse(node, "kernel_shape contradicts the weights")
    if any(p >= (k - 1) * d + 1 for p, k, d in zip(pads, [*kernel] * 2, [*dilations] * 2, strict=True)):
        raise refuse(node, "pads as wide as the kernel")
    reach = [(kernel[i] - 1) * dilations[i] + 1 for i in range(axes)]
    counts = [(spatial[i] + pads[i] + pads[axes + i] - reach[i]) // strides[i] + 1 for i in range(axes)]
    if min(counts) < 1:
        raise refuse(node, "the kernel is wider than the data")
    allowance.spend(math.prod(counts) * math.prod(kernel))
    places: list[list[list[tuple[int, int]]]] = []  # of each axis and output position: (kernel place, data place)
    for i, count in enumerate(counts):
        starts = [o * strides[i] - pads[i] for o in range(count)]
        taps = [[(k, s + k * dilations[i]) for k in range(kernel[i])] for s in starts]
        places.append([[(k, p) for k, p in pairs if 0 <= p < spatial[i]] for pairs in taps])
    windows = []
    for position in product(*places):
        flat = [(0, 0)]
        for i, pairs in enumerate(position):
            flat = [(t * kernel[i] + k, p * spatial[i] + q) for t, p in flat for k, q in pairs]
        windows.append(flat)
    return counts, windows


# the type of every attribute that is understood
ATTRIBUTES: Mapping[str, type] = {
    "allowzero": int, "alpha": float, "axes": list, "axis": int, "beta": float, "dilations": list, "ends": list,
    "group": int, "kernel_shape": list, "pads": list, "perm": list, "ratio": float, "seed": int, "starts": list,
    "strides": list, "transA": int, "transB": int, "value": Stored,
}  # fmt: skip


@dataclass(frozen=True)
class Operator:
    """How an operator is lowered, how many inputs it takes, and which attributes it may have."""

    lower: Callable[[PlainNode, Sequence[Value], Builder], Value]
    least: int
    most: int
    attributes: tuple[str, ...] = ()


OPERATORS: Mapping[str, Operator] = {
    "Add": Operator(add, 2, 2),
    "Concat": Operator(concat, 1, 256, ("axis",)),
    "Constant": Operator(constant, 0, 0, ("value",)),
    "Conv": Operator(conv, 2, 3, ("kernel_shape", "group", "strides", "dilations", "pads")),
    "Div": Operator(div, 2, 2),
    "Dropout": Operator(identity, 1, 2, ("ratio", "seed")),  # without a third input it is in inference mode
    "Flatten": Operator(flatten, 1, 1, ("axis",)),
    "Gather": Operator(gather, 2, 2, ("axis",)),
    "Gemm": Operator(gemm, 2, 3, ("alpha", "beta", "transA", "transB")),
    "Identity": Operator(identity, 1, 1),
    "MatMul": Operator(matmul, 2, 2),
    "Mul": Operator(mul, 2, 2),
    "Neg": Operator(neg, 1, 1),
    "Relu": Operator(relu, 1, 1),
    "Reshape": Operator(reshape, 2, 2, ("allowzero",)),
    "Slice": Operator(slice_, 1, 5, ("starts", "ends", "axes")),
    "Sub": Operator(add, 2, 2),
    "Transpose": Operator(transpose, 1, 1, ("perm",)),
}


def lower(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """The value of a node's first output.  Raises RefusedError for what is not plain."""
    operator = OPERATORS.get(node.op)
    if operator is None:
        raise refuse(node, "this operator is not supported")
    if not operator.least <= len(args) <= operator.most:
        raise refuse(node, f"{len(args)} inputs")
    for name, value in node.attributes.items():
        if name not in operator.attributes or not isinstance(value, ATTRIBUTES[name]):
            raise refuse(node, f"attribute {name!r} is not supported")
    return operator.lower(node, args, build)
