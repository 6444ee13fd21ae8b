"""Pooling and reductions: averages as exact rationals, maxima as a tournament of relu(a - b)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from verify.importer.arithmetic import Array, Ints, reciprocal
from verify.importer.elementwise import maximum, minimum
from verify.importer.graph import MISSING, ZERO, Builder, Node, Tensor, UnsupportedError, Value, constant, malformed
from verify.importer.windows import resolve_padding, windows

Pick = Callable[[Builder, Ints, Ints], Ints]


def _source(args: Sequence[Value | None]) -> Ints:
    if not args or not isinstance(args[0], Tensor):
        raise UnsupportedError("constant data with dynamic parameters", "fold the node to a constant")
    return args[0].ids


def _pool_windows(node: Node, ids: Ints) -> tuple[Ints, Array]:
    """Windows (…, taps) with MISSING outside, and which taps lie in the tensor or its declared padding."""
    kernel = node.ints("kernel_shape", [])
    axes = ids.ndim - 2
    if axes < 1 or len(kernel) != axes:
        raise malformed(node, f"kernel {kernel} on data {list(ids.shape)}")
    strides, dilations = node.ints("strides", [1] * axes), node.ints("dilations", [1] * axes)
    pads = resolve_padding(node, ids.shape[2:], kernel, strides, dilations)
    reach = [(kernel[i] - 1) * dilations[i] + 1 for i in range(axes)]
    grown = list(pads)
    if node.integer("ceil_mode", 0):
        for i in range(axes):
            begin, end = pads[i]
            spare = ids.shape[2 + i] + begin + end - reach[i]
            steps = -(-spare // strides[i])
            if steps * strides[i] >= ids.shape[2 + i] + begin:  # the last window would start in the end padding
                steps -= 1
            grown[i] = (begin, end + max(0, steps * strides[i] - spare))
    view = windows(node, ids, kernel, strides=strides, dilations=dilations, pads=grown, fill=MISSING)
    frame = np.ones([ids.shape[2 + i] + pads[i][0] + pads[i][1] for i in range(axes)], dtype=np.int64)[None, None]
    growth = [(0, grown[i][1] - pads[i][1]) for i in range(axes)]
    declared = windows(node, frame, kernel, strides=strides, dilations=dilations, pads=growth, fill=0)
    out = view.shape[: 2 + axes]
    counted = np.broadcast_to(declared, view.shape)
    return view.reshape((*out, -1)), counted.reshape((*out, -1)) == 1


def average_pool(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Mean over every window, with or without the padding.  Exact (1/9 is rational)."""
    view, counted = _pool_windows(node, _source(args))
    if not node.integer("count_include_pad", 0):
        counted = view != MISSING
    sizes = counted.sum(axis=-1)
    if (sizes == 0).any():
        raise malformed(node, "a window lies wholly in the padding")
    weights = reciprocal(sizes.astype(np.float64).ravel())
    flat = np.where(view == MISSING, ZERO, view).reshape((sizes.size, -1))
    return Tensor(build.table(flat, weights[:, None], np.zeros(sizes.size)).reshape(sizes.shape))


def max_pool(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Maximum over every window.  Exact."""
    if node.outputs > 1:
        raise UnsupportedError("the Indices output", "use only the pooled values")
    view, _ = _pool_windows(node, _source(args))
    flat = tournament(build, view.reshape((-1, view.shape[-1])), maximum)
    if (flat == MISSING).any():
        raise malformed(node, "a window lies wholly in the padding")
    return Tensor(flat.reshape(view.shape[:-1]))


def tournament(build: Builder, candidates: Ints, pick: Pick) -> Ints:
    """The pick of every row of candidates (n, k), MISSING ones left out; equal pairs are played once."""
    while candidates.shape[1] > 1:
        half = candidates.shape[1] // 2
        left, right = candidates[:, :half], candidates[:, half : 2 * half]
        played = (left != MISSING) & (right != MISSING) & (left != right)
        winner = np.where(left == MISSING, right, left)
        if played.any():
            pairs, inverse = np.unique(np.stack([left[played], right[played]], axis=1), axis=0, return_inverse=True)
            winner[played] = pick(build, pairs[:, 0], pairs[:, 1])[inverse.ravel()]
        candidates = np.concatenate([winner, candidates[:, 2 * half :]], axis=1)
    return candidates[:, 0]


def global_pool(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """GlobalAveragePool and GlobalMaxPool.  Exact."""
    ids = _source(args)
    if ids.ndim < 3:
        raise malformed(node, f"data {list(ids.shape)} has no spatial axes")
    flat = ids.reshape((ids.shape[0] * ids.shape[1], -1))
    if node.op == "GlobalMaxPool":
        result = tournament(build, flat, maximum)
    else:
        result = _mean(build, flat)
    return Tensor(result.reshape([*ids.shape[:2], *[1] * (ids.ndim - 2)]))


def _mean(build: Builder, flat: Ints) -> Ints:
    return build.table(flat, reciprocal(np.asarray([float(flat.shape[1])])), np.zeros(flat.shape[0]))


def reduce(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """ReduceSum, ReduceMean, ReduceMax, ReduceMin; axes as attribute or input.  Exact."""
    ids = _source(args)
    if len(args) > 1 and args[1] is not None:
        axes = [int(v) for v in constant(node, args[1], "axes").ravel()]
    else:
        axes = node.ints("axes", [])
    if not axes and node.integer("noop_with_empty_axes", 0):
        return Tensor(ids)
    if any(not -ids.ndim <= a < ids.ndim for a in axes):
        raise malformed(node, f"axes {axes} of data {list(ids.shape)}")
    over = sorted({a % ids.ndim for a in axes}) or list(range(ids.ndim))
    kept = [a for a in range(ids.ndim) if a not in over]
    extents = list(ids.shape)
    flat = np.transpose(ids, kept + over).reshape((math.prod(extents[a] for a in kept), -1))
    if node.op == "ReduceSum":
        result = build.table(flat, np.asarray(1.0), np.zeros(flat.shape[0]))
    elif node.op == "ReduceMean":
        result = _mean(build, flat)
    else:
        result = tournament(build, flat, maximum if node.op == "ReduceMax" else minimum)
    if node.integer("keepdims", 1):
        return Tensor(result.reshape([1 if a in over else extents[a] for a in range(ids.ndim)]))
    return Tensor(result.reshape([extents[a] for a in kept]))
