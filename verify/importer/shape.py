"""Operators that only move elements: NumPy indexing on ids, and on constants alike.  All exact."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verify.importer.arithmetic import Array, Ints
from verify.importer.graph import Builder, Node, Tensor, UnsupportedError, Value, constant, malformed

FLOAT_TYPES = (1, 11)  # TensorProto.FLOAT, TensorProto.DOUBLE


def _lift(node: Node, args: Sequence[Value | None], move: Callable[[Array], Array], build: Builder) -> Value:
    source = args[0] if args else None
    if source is None:
        raise malformed(node, "its first input is missing")
    return build.value(move(source.ids)) if isinstance(source, Tensor) else move(source)


def _integers(node: Node, args: Sequence[Value | None], position: int, name: str) -> list[int] | None:
    """A list of integers given as input `position`, or by older opsets as the attribute `name`; None when absent."""
    if position < len(args) and args[position] is not None:
        return [int(v) for v in constant(node, args[position], name).ravel()]
    return node.ints(name, []) if name in node.attributes else None


def _rank(args: Sequence[Value | None]) -> int:
    return 0 if args[0] is None else len(args[0].shape)


def identity(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    return _lift(node, args, lambda a: a, build)


def dropout(node: Node, args: Sequence[Value | None], build: Builder) -> tuple[Value, ...]:
    """Inference form: the identity, and an all-true mask."""
    training = args[2] if len(args) > 2 else None
    if node.opset < 7 and not node.integer("is_test", 0):
        raise UnsupportedError("training mode", "export the model in inference mode (model.eval())")
    if training is not None and constant(node, training, "training_mode").any():
        raise UnsupportedError("training mode", "export the model in inference mode (model.eval())")
    data = identity(node, args, build)
    return data, np.ones(data.shape, dtype=bool)


def cast(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Between float32 and float64 the identity on the reals; constants are converted as NumPy converts them."""
    target = node.integer("to", 1)
    source = args[0]
    if isinstance(source, Tensor):
        if target not in FLOAT_TYPES:
            raise UnsupportedError("a cast to something other than float32 or float64", "remove the Cast")
        return source
    kinds = {1: np.float32, 11: np.float64, 10: np.float16, 6: np.int32, 7: np.int64, 9: np.bool_, 5: np.int16,
             3: np.int8, 2: np.uint8, 4: np.uint16, 12: np.uint32, 13: np.uint64}  # fmt: skip
    if target not in kinds or source is None:
        raise UnsupportedError(f"a cast of a constant to element type {target}", "store it as float32")
    with np.errstate(invalid="ignore", over="ignore"):
        converted: Array = source.astype(kinds[target])
    if source.dtype.kind == "f" and not np.array_equal(source, converted.astype(source.dtype), equal_nan=True):
        build.notes.append(f"{node}: constant rounded by the cast, as the model says")
    return converted


def flatten(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    axis = node.integer("axis", 1)

    def move(a: Array) -> Array:
        split = axis + a.ndim if axis < 0 else axis
        return a.reshape((int(np.prod(a.shape[:split])), -1))

    return _lift(node, args, move, build)


def reshape(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    wanted = _integers(node, args, 1, "shape")
    if wanted is None:
        raise malformed(node, "the new shape is missing")

    def move(a: Array) -> Array:
        keep = not node.integer("allowzero", 0)
        return a.reshape([a.shape[i] if v == 0 and keep else v for i, v in enumerate(wanted)])

    return _lift(node, args, move, build)


def squeeze(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    axes = _integers(node, args, 1, "axes")
    return _lift(node, args, lambda a: np.squeeze(a, axis=None if axes is None else tuple(axes)), build)


def unsqueeze(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    axes = _integers(node, args, 1, "axes")
    if axes is None:
        raise malformed(node, "axes are missing")
    return _lift(node, args, lambda a: np.expand_dims(a, tuple(axes)), build)


def transpose(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    order = node.ints("perm", range(_rank(args))[::-1])
    return _lift(node, args, lambda a: np.transpose(a, order), build)


def concat(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    present = [a for a in args if a is not None]
    axis = node.integer("axis", 1)
    if any(isinstance(a, Tensor) for a in present):
        return build.value(np.concatenate([build.ids(a) for a in present], axis=axis))
    return np.concatenate([a for a in present if not isinstance(a, Tensor)], axis=axis)


def slice_(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    starts, ends = _integers(node, args, 1, "starts"), _integers(node, args, 2, "ends")
    if starts is None or ends is None:
        raise malformed(node, "starts or ends are missing")
    axes = _integers(node, args, 3, "axes") or list(range(len(starts)))
    steps = _integers(node, args, 4, "steps") or [1] * len(starts)

    def move(a: Array) -> Array:
        index = [slice(None)] * a.ndim
        for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
            index[axis] = _slice_of(start, end, step, a.shape[axis])
        return a[tuple(index)]

    return _lift(node, args, move, build)


def _slice_of(start: int, end: int, step: int, extent: int) -> slice:
    """The standard's clamping: for a negative step the end may be -1 before the first element."""
    start = start + extent if start < 0 else start
    end = end + extent if end < 0 else end
    if step > 0:
        return slice(min(max(start, 0), extent), min(max(end, 0), extent), step)
    start, end = min(max(start, 0), extent - 1), min(max(end, -1), extent - 1)
    return slice(start, None if end < 0 else end, step)


def gather(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    indices = constant(node, args[1], "indices").astype(np.int64)
    axis = node.integer("axis", 0)
    return _lift(node, args, lambda a: np.take(a, indices, axis=axis), build)


def split(node: Node, args: Sequence[Value | None], build: Builder) -> tuple[Value, ...]:
    axis = node.integer("axis", 0)
    source = args[0]
    if source is None:
        raise malformed(node, "its input is missing")
    sizes, extent = _integers(node, args, 1, "split"), source.shape[axis]
    if sizes is None:
        parts = node.integer("num_outputs", node.outputs)
        chunk = -(-extent // parts)
        sizes = [min(chunk, max(0, extent - i * chunk)) for i in range(parts)]
    if sum(sizes) != extent or min(sizes, default=0) < 0:
        raise malformed(node, f"parts {sizes} of an axis of {extent}")
    ends = np.cumsum(sizes)
    whole = source.ids if isinstance(source, Tensor) else source
    pieces = np.split(whole, ends[:-1], axis=axis)
    return tuple(build.value(p) if isinstance(source, Tensor) else p for p in pieces)


def pad(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Constant, reflect, edge and wrap mode; negative pads crop."""
    pads = _integers(node, args, 1, "pads") or node.ints("paddings", [])
    mode = node.text("mode", "constant")
    axes = _integers(node, args, 3, "axes")
    fill = args[2] if len(args) > 2 and args[2] is not None else np.asarray(node.number("value", 0.0))
    rank = _rank(args)
    where = list(range(rank)) if axes is None else [a % rank for a in axes]
    if len(pads) != 2 * len(where) or mode not in ("constant", "reflect", "edge", "wrap"):
        raise malformed(node, f"pads {pads}, mode {mode!r}")
    begin, end = [0] * rank, [0] * rank
    for i, axis in enumerate(where):
        begin[axis], end[axis] = pads[i], pads[len(where) + i]

    def move(a: Array) -> Array:
        crop = tuple(slice(max(0, -b), n - max(0, -e)) for b, e, n in zip(begin, end, a.shape, strict=True))
        width = [(max(0, b), max(0, e)) for b, e in zip(begin, end, strict=True)]
        if mode != "constant":
            return np.pad(a[crop], width, mode=mode)  # type: ignore[call-overload, no-any-return]
        value = constant(node, fill, "the padding value").ravel()[0]
        filler = build.ids(np.asarray(value)) if isinstance(args[0], Tensor) else value
        return np.pad(a[crop], width, constant_values=filler)

    return _lift(node, args, move, build)


def expand(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    shape = _integers(node, args, 1, "shape") or []
    return _lift(node, args, lambda a: np.broadcast_to(a, np.broadcast_shapes(a.shape, tuple(shape))), build)


def tile(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    if node.opset < 6:
        raise UnsupportedError("Tile before opset 6", "convert the model to opset 13")
    return _lift(node, args, lambda a: np.tile(a, _integers(node, args, 1, "repeats") or [1]), build)


def where(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """A choice by a constant condition."""
    condition = constant(node, args[0], "the condition").astype(bool)
    a, b = args[1], args[2]
    if a is None or b is None:
        raise malformed(node, "a branch is missing")
    if isinstance(a, Tensor) or isinstance(b, Tensor):
        return build.value(np.asarray(np.where(condition, build.ids(a), build.ids(b)), dtype=np.int64))
    return np.where(condition, a, b)


def shape_of(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    del build
    if args[0] is None:
        raise malformed(node, "its input is missing")
    extents: Ints = np.asarray(args[0].shape, dtype=np.int64)
    if node.op == "Size":
        return np.asarray(np.prod(extents), dtype=np.int64)
    start, end = node.integer("start", 0), node.integer("end", len(extents))
    return extents[start:end]


def depth_to_space(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    block = node.integer("blocksize", 1)

    def move(a: Array) -> Array:
        n, c, h, w = a.shape
        if node.op == "SpaceToDepth":
            parts = a.reshape((n, c, h // block, block, w // block, block)).transpose(0, 3, 5, 1, 2, 4)
            return np.reshape(parts, (n, c * block * block, h // block, w // block))
        if node.text("mode", "DCR") == "DCR":
            parts = a.reshape((n, block, block, c // block**2, h, w)).transpose(0, 3, 4, 1, 5, 2)
        else:
            parts = a.reshape((n, c // block**2, block, block, h, w)).transpose(0, 1, 4, 2, 5, 3)
        return np.reshape(parts, (n, c // block**2, h * block, w * block))

    return _lift(node, args, move, build)
