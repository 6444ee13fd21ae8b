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

from verify.independent import moves
from verify.independent.moves import Shape, Tensor, Value, dynamic, floats, refuse
from verify.independent.onnx_file import PlainNode, Stored
from verify.independent.refusal import Allowance
from verify.independent.rows import Builder, checked, exact_product


def _broadcast(node: PlainNode, value: Stored, shape: Shape) -> list[float]:
    """A constant repeated to `shape`, which must not grow by it."""
    own = (1,) * (len(shape) - len(value.shape)) + value.shape
    if len(own) != len(shape) or any(a not in (1, b) for a, b in zip(own, shape, strict=True)):
        raise refuse(node, f"a constant of shape {list(value.shape)} changes the shape {list(shape)}")
    places = [0]
    for extent, wanted in zip(own, shape, strict=True):
        places = [p * extent + (j if extent > 1 else 0) for p in places for j in range(wanted)]
    values = floats(node, value, "an operand")
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
    tensor = dynamic(node, b)
    assert isinstance(a, Stored)
    rows = (((i,), (sign,)) for i in tensor.ids)
    return Tensor(tensor.shape, build.emit(rows, _broadcast(node, a, tensor.shape)))


def mul(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    a, b = args
    tensor, factor = (a, b) if isinstance(a, Tensor) else (b, a)
    if not isinstance(factor, Stored):
        raise refuse(node, "a product of two tensors that depend on the inputs")
    tensor = dynamic(node, tensor)
    return _scale(node, tensor, _broadcast(node, factor, tensor.shape), build)


def div(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """By powers of two: other reciprocals are no float64 numbers."""
    tensor = dynamic(node, args[0])
    if not isinstance(args[1], Stored):
        raise refuse(node, "division by a tensor that depends on the inputs")
    divisors = _broadcast(node, args[1], tensor.shape)
    if any(abs(math.frexp(v)[0]) != 0.5 for v in divisors):
        raise refuse(node, "division by something other than a power of two")
    return _scale(node, tensor, [1.0 / v for v in divisors], build)


def neg(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    tensor = dynamic(node, args[0])
    return _scale(node, tensor, [-1.0] * len(tensor.ids), build)


def relu(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    tensor = dynamic(node, args[0])
    rows = (((i,), (1.0,)) for i in tensor.ids)
    return Tensor(tensor.shape, build.emit(rows, [0.0] * len(tensor.ids), relu=True))


def matmul(node: PlainNode, args: Sequence[Value], build: Builder) -> Value:
    """A tensor times a constant matrix, or a constant matrix times a vector or matrix."""
    left, right = args
    if isinstance(left, Tensor):
        weights, shape = floats(node, right, "one operand"), right.shape
        if len(shape) != 2 or not left.shape or left.shape[-1] != shape[0]:
            raise refuse(node, f"shapes {list(left.shape)} and {list(shape)}")
        columns = [weights[k :: shape[1]] for k in range(shape[1])]
        return Tensor((*left.shape[:-1], shape[1]), _products(left.ids, columns, build))
    tensor, weights = dynamic(node, right), floats(node, left, "one operand")
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
    tensor = dynamic(node, args[0])
    weights, shape = floats(node, args[1], "B"), args[1].shape
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
    tensor, weights = dynamic(node, args[0]), floats(node, args[1], "the weights")
    if len(args[1].shape) < 3 or len(tensor.shape) != len(args[1].shape):
        raise refuse(node, f"data {list(tensor.shape)}, weights {list(args[1].shape)}")
    maps, depth, *kernel = args[1].shape
    items, channels, *spatial = tensor.shape
    groups = node.attributes.get("group", 1)
    if groups < 1 or channels != depth * groups or maps % groups:
        raise refuse(node, f"data {list(tensor.shape)}, weights {list(args[1].shape)}, {groups} groups")
    out, taps = _windows(node, spatial, kernel, build.allowance)
    bias = list(floats(node, args[2], "the bias")) if len(args) > 2 else [0.0] * maps
    if len(bias) != maps:
        raise refuse(node, f"weights {list(args[1].shape)}, bias [{len(bias)}]")
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
    "Concat": Operator(moves.concat, 1, 256, ("axis",)),
    "Constant": Operator(moves.constant, 0, 0, ("value",)),
    "Conv": Operator(conv, 2, 3, ("kernel_shape", "group", "strides", "dilations", "pads")),
    "Div": Operator(div, 2, 2),
    "Dropout": Operator(moves.identity, 1, 2, ("ratio", "seed")),  # without a third input it is in inference mode
    "Flatten": Operator(moves.flatten, 1, 1, ("axis",)),
    "Gather": Operator(moves.gather, 2, 2, ("axis",)),
    "Gemm": Operator(gemm, 2, 3, ("alpha", "beta", "transA", "transB")),
    "Identity": Operator(moves.identity, 1, 1),
    "MatMul": Operator(matmul, 2, 2),
    "Mul": Operator(mul, 2, 2),
    "Neg": Operator(neg, 1, 1),
    "Relu": Operator(relu, 1, 1),
    "Reshape": Operator(moves.reshape, 2, 2, ("allowzero",)),
    "Slice": Operator(moves.slice_, 1, 5, ("starts", "ends", "axes")),
    "Sub": Operator(add, 2, 2),
    "Transpose": Operator(moves.transpose, 1, 1, ("perm",)),
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
