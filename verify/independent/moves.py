"""Tensors under construction, and the operators that only move elements: on ids and on constants alike."""

from __future__ import annotations

import math
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Union

from verify.independent.onnx_file import PlainNode, Stored
from verify.independent.refusal import RefusedError
from verify.independent.rows import Builder

Shape = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Tensor:
    """A tensor that depends on the inputs: the ids of its elements, row-major."""

    shape: Shape
    ids: Sequence[int]


Value = Union[Tensor, Stored]


def refuse(node: PlainNode, reason: str) -> RefusedError:
    return RefusedError(f"node {node.name!r} ({node.op}): {reason}")


def dynamic(node: PlainNode, value: Value) -> Tensor:
    if not isinstance(value, Tensor):
        raise refuse(node, "its data do not depend on the inputs")
    return value


def floats(node: PlainNode, value: Value, what: str) -> array[float]:
    if not isinstance(value, Stored) or not isinstance(value.values, array):
        raise refuse(node, f"{what} must be a constant of floats")
    return value.values


def integers(node: PlainNode, value: Value, what: str) -> tuple[int, ...]:
    if not isinstance(value, Stored) or isinstance(value.values, array):
        raise refuse(node, f"{what} must be constant integers")
    return value.values


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
    old, wanted = args[0].shape, list(integers(node, args[1], "the new shape"))
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
    parts = [dynamic(node, a) for a in args]
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
    lists = [integers(node, a, "starts, ends, axes and steps") for a in args[1:]]
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
    indices = integers(node, args[1], "indices")
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
