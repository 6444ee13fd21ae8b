"""Operators with a weight tensor: Gemm, MatMul, Conv, ConvTranspose, BatchNormalization."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np

from verify.importer.arithmetic import Array, Ints, exact, product, rounded_ratio_to_root
from verify.importer.elementwise import add_values, legacy_operand
from verify.importer.graph import ZERO, Builder, Node, Tensor, UnsupportedError, Value, constant, malformed
from verify.importer.windows import resolve_padding, windows

BILINEAR = "product of two tensors that both depend on the inputs"
SPARSE_BELOW = 0.25  # share of non-zeros below which sorting the entries beats transposing the matrix


def matmul(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """A @ B with one constant operand; batch axes broadcast.  Exact."""
    left, right = args[0], args[1]
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        raise UnsupportedError(BILINEAR, "fold one operand to a constant")
    if isinstance(left, Tensor):
        return Tensor(_times(node, left.ids, constant(node, right, "the right operand"), build))
    assert isinstance(right, Tensor)
    weights = constant(node, left, "the left operand")
    flat = right.ids if right.ids.ndim > 1 else right.ids[:, None]
    turned = weights if weights.ndim > 1 else weights[None, :]
    result = np.swapaxes(_times(node, np.swapaxes(flat, -1, -2), np.swapaxes(turned, -1, -2), build), -1, -2)
    if weights.ndim == 1:
        result = result[..., 0, :]
    return Tensor(result if right.ids.ndim > 1 else result[..., 0])


def gemm(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """alpha·A'·B' + beta·C with A or B constant.  Exact."""
    left, right = args[0], args[1]
    offset = args[2] if len(args) > 2 else None
    if isinstance(left, Tensor) and isinstance(right, Tensor):
        raise UnsupportedError(BILINEAR, "fold one operand to a constant")
    flip_left, flip_right = node.integer("transA", 0), node.integer("transB", 0)
    alpha, beta = node.number("alpha", 1.0), node.number("beta", 1.0)
    if isinstance(left, Tensor):
        ids = left.ids.T if flip_left else left.ids
        weights = constant(node, right, "B")
        weights, turn = (weights.T if flip_right else weights), False
    else:
        assert isinstance(right, Tensor)
        ids = right.ids if flip_right else right.ids.T
        weights = constant(node, left, "A")
        weights, turn = (weights if flip_left else weights.T), True
    if ids.ndim != 2 or weights.ndim != 2:
        raise malformed(node, "A and B must have two axes")
    shape = (ids.shape[0], weights.shape[1])
    if isinstance(offset, np.ndarray):
        offset = legacy_operand(node, len(shape), offset)
        flat = np.broadcast_to(offset, shape[::-1] if turn else shape)
        bias = _scaled(exact(flat.T if turn else flat), beta)
    else:
        bias = np.zeros(shape)
    result = _times(node, ids, weights, build, bias=bias, alpha=alpha)
    found = Tensor(result.T if turn else result)
    if not isinstance(offset, Tensor):
        return found
    scaled = offset if beta == 1.0 else Tensor(build.combine([(offset.ids, beta)]))
    return add_values(build, found, scaled)


def _scaled(values: Array, factor: float) -> Array:
    return values if factor == 1.0 else product(values, np.asarray(factor))


def _times(
    node: Node, ids: Ints, weights: Array, build: Builder, *, bias: Array | None = None, alpha: float = 1.0
) -> Ints:
    """ids (…, M, K) or (K,) times weights (…, K, N) or (K,)."""
    if ids.shape[-1] != weights.shape[-2 if weights.ndim > 1 else 0]:
        raise malformed(node, f"shapes {list(ids.shape)} and {list(weights.shape)} do not multiply")
    if weights.ndim > 2:
        rows = ids if ids.ndim > 1 else ids[None, :]
        batch = np.broadcast_shapes(rows.shape[:-2], weights.shape[:-2])
        wide = np.broadcast_to(rows, batch + rows.shape[-2:]).reshape((-1, *rows.shape[-2:]))
        many = np.broadcast_to(weights, batch + weights.shape[-2:]).reshape((-1, *weights.shape[-2:]))
        parts = [_linear(part, matrix, None, build, alpha) for part, matrix in zip(wide, many, strict=True)]
        result = np.stack(parts).reshape((*batch, rows.shape[-2], weights.shape[-1]))
        return result if ids.ndim > 1 else result[..., 0, :]
    matrix = weights if weights.ndim == 2 else weights[:, None]
    flat = _linear(ids.reshape((-1, ids.shape[-1])), matrix, bias, build, alpha)
    result = flat.reshape((*ids.shape[:-1], matrix.shape[1]))
    return result if weights.ndim == 2 else result[..., 0]


def _linear(ids: Ints, weights: Array, bias: Array | None, build: Builder, alpha: float) -> Ints:
    """ids (M, K) times weights (K, N) plus bias (M, N): ids (M, N).  Never forms a dense copy of a sparse matrix."""
    count, width = ids.shape[0], weights.shape[1]
    counts, inner, values = _compressed_columns(weights)
    values = _scaled(exact(values), alpha)
    columns = ids[:, inner].ravel()
    if count > 1:
        counts, values = np.tile(counts, count), np.tile(values, count)
    offset = np.zeros(count * width) if bias is None else bias.ravel()
    clean = alpha != 0.0 and bool((ids[:, :1] >= 0).all() and (np.diff(ids, axis=1) > 0).all())
    return build.emit(counts, columns, values, offset, clean=clean).reshape((count, width))


def _compressed_columns(weights: Array) -> tuple[Ints, Ints, Array]:
    """The non-zeros of each column in order of row: (entries per column, row of each, value of each)."""
    inner, width = weights.shape
    stored = np.count_nonzero(weights)
    if stored < SPARSE_BELOW * weights.size and weights.flags.c_contiguous:
        flat = np.flatnonzero(weights)
        row, column = np.divmod(flat, width)
        order = np.argsort(column, kind="stable")
        return np.bincount(column, minlength=width), row[order], weights.ravel()[flat[order]]
    turned = np.ascontiguousarray(weights.T)
    if stored == weights.size:
        return np.full(width, inner, dtype=np.int64), np.tile(np.arange(inner), width), turned.ravel()
    flat = np.flatnonzero(turned)
    column, row = np.divmod(flat, inner)
    return np.bincount(column, minlength=width), row, turned.ravel()[flat]


def conv(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Convolution in any number of dimensions (groups, strides, dilations, pads, auto_pad).  Exact."""
    source, weights = args[0], constant(node, args[1], "the weights")
    bias = constant(node, args[2], "the bias") if len(args) > 2 and args[2] is not None else None
    if not isinstance(source, Tensor):
        raise UnsupportedError("constant data with dynamic weights", "make the weights constant")
    ids, groups = source.ids, node.integer("group", 1)
    maps, depth, *kernel = weights.shape
    if ids.ndim != weights.ndim or ids.ndim < 3 or ids.shape[1] != depth * groups or maps % groups:
        raise malformed(node, f"data {list(ids.shape)} and weights {list(weights.shape)} do not fit {groups} groups")
    spatial = ids.shape[2:]
    strides, dilations = node.ints("strides", [1] * len(spatial)), node.ints("dilations", [1] * len(spatial))
    pads = resolve_padding(node, spatial, kernel, strides, dilations)
    view = windows(node, ids, kernel, strides=strides, dilations=dilations, pads=pads, fill=ZERO)
    out = view.shape[2 : 2 + len(spatial)]
    count = int(np.prod(out))
    patches = view.reshape((*ids.shape[:2], count, -1))
    share = maps // groups
    pieces = [
        _conv_rows(patches[item, g * depth : (g + 1) * depth], weights[g * share : (g + 1) * share])
        for item in range(ids.shape[0])
        for g in range(groups)
    ]
    counts, columns, values = (np.concatenate(part) for part in zip(*pieces, strict=True))
    offset = np.tile(np.repeat(np.zeros(maps) if bias is None else exact(bias), count), ids.shape[0])
    return Tensor(build.emit(counts, columns, values, offset).reshape((ids.shape[0], maps, *out)))


def _conv_rows(patches: Ints, weights: Array) -> tuple[Ints, Ints, Array]:
    """patches (channels, positions, kernel), weights (maps, channels, …): entries of rows (map, position)."""
    flat = np.swapaxes(patches, 0, 1).reshape((patches.shape[1], -1))
    matrix = weights.reshape((weights.shape[0], -1))
    keep = (flat != ZERO)[None, :, :] & (matrix != 0)[:, None, :]
    columns = np.broadcast_to(flat[None, :, :], keep.shape)[keep]
    values = np.broadcast_to(matrix[:, None, :], keep.shape)[keep]
    return np.count_nonzero(keep, axis=2).ravel(), columns, values


def conv_transpose(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """Transposed convolution (groups, strides, dilations, pads, output_padding, output_shape).  Exact."""
    source, weights = args[0], constant(node, args[1], "the weights")
    bias = constant(node, args[2], "the bias") if len(args) > 2 and args[2] is not None else None
    if not isinstance(source, Tensor):
        raise UnsupportedError("constant data with dynamic weights", "make the weights constant")
    ids, groups = source.ids, node.integer("group", 1)
    channels, per_group, *kernel = weights.shape
    if ids.ndim != weights.ndim or ids.ndim < 3 or ids.shape[1] != channels or channels % groups:
        raise malformed(node, f"data {list(ids.shape)} and weights {list(weights.shape)} do not fit {groups} groups")
    spatial = ids.shape[2:]
    strides, dilations = node.ints("strides", [1] * len(spatial)), node.ints("dilations", [1] * len(spatial))
    begin, out = _transposed_shape(node, spatial, kernel, strides, dilations)
    place, tap, target = _transposed_taps(spatial, kernel, strides, dilations, begin, out)
    count, depth, maps = int(np.prod(out)), channels // groups, per_group * groups
    flat_ids, flat_weights = ids.reshape((*ids.shape[:2], -1)), weights.reshape((channels, per_group, -1))
    rows, columns, values = [], [], []
    for item in range(ids.shape[0]):
        for channel in range(channels):
            first = (item * maps + (channel // depth) * per_group) * count
            rows.append((first + np.arange(per_group)[:, None] * count + target[None, :]).ravel())
            columns.append(np.tile(flat_ids[item, channel, place], per_group))
            values.append(flat_weights[channel][:, tap].ravel())
    row = np.concatenate(rows)
    order = np.argsort(row, kind="stable")
    counts = np.bincount(row, minlength=ids.shape[0] * maps * count)
    offset = np.tile(np.repeat(np.zeros(maps) if bias is None else exact(bias), count), ids.shape[0])
    found = build.emit(counts, np.concatenate(columns)[order], np.concatenate(values)[order], offset)
    return Tensor(found.reshape((ids.shape[0], maps, *out)))


def _transposed_shape(
    node: Node, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> tuple[list[int], list[int]]:
    """First pad and output extent of every spatial axis, as the standard computes them."""
    axes = len(spatial)
    extra = node.ints("output_padding", [0] * axes)
    pads, auto = node.ints("pads", [0] * (2 * axes)), node.text("auto_pad", "NOTSET")
    full = [strides[i] * (spatial[i] - 1) + extra[i] + (kernel[i] - 1) * dilations[i] + 1 for i in range(axes)]
    wanted = node.ints("output_shape", [])[-axes:] if "output_shape" in node.attributes else []
    if not wanted and auto.startswith("SAME"):
        wanted = [spatial[i] * strides[i] for i in range(axes)]
    if wanted:
        spare = [full[i] - wanted[i] for i in range(axes)]
        if min(spare) < 0:  # runtimes disagree on where the extra elements go
            raise UnsupportedError("an output larger than its windows reach", "state pads and output_padding instead")
        begin = [s // 2 if auto == "SAME_UPPER" else s - s // 2 for s in spare]
        return begin, wanted
    if auto == "VALID":
        pads = [0] * (2 * axes)
    out = [full[i] - pads[i] - pads[axes + i] for i in range(axes)]
    if min(out) < 1:
        raise malformed(node, f"output extents {out}")
    return pads[:axes], out


def _transposed_taps(
    spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int],
    begin: Sequence[int], out: Sequence[int],
) -> tuple[Ints, Ints, Ints]:  # fmt: skip
    """Every (flat input place, flat kernel tap, flat output place) that meet."""
    axes = len(spatial)
    shape = (*spatial, *kernel)
    inside, target = np.ones(shape, dtype=bool), np.zeros(shape, dtype=np.int64)
    for i in range(axes):
        grid = np.arange(spatial[i])[:, None] * strides[i] + np.arange(kernel[i])[None, :] * dilations[i] - begin[i]
        extents = [1] * (2 * axes)
        extents[i], extents[axes + i] = spatial[i], kernel[i]
        grid = grid.reshape(extents)
        inside &= (grid >= 0) & (grid < out[i])
        target = target * out[i] + grid
    chosen = np.flatnonzero(inside)
    place, tap = np.divmod(chosen, int(np.prod(kernel)))
    return place, tap, target.ravel()[chosen]


def batch_normalization(node: Node, args: Sequence[Value | None], build: Builder) -> Value:
    """(x - mean)·k + bias per channel, inference form.

    k = scale / sqrt(var + epsilon) is irrational: it is the correctly rounded float64, named in the notes.
    The rest is exact.
    """
    source = args[0]
    training = node.integer("training_mode", 0) or node.outputs > 1
    if training or (node.opset < 7 and not node.integer("is_test", 0)):
        raise UnsupportedError("training mode", "export the model in inference mode (model.eval())")
    if node.opset < 9 and not node.integer("spatial", 1):
        raise UnsupportedError("spatial = 0", "use one scale per channel")
    scale, bias, mean, variance = (constant(node, args[i], "a parameter").ravel() for i in range(1, 5))
    if not isinstance(source, Tensor):
        raise UnsupportedError("constant data", "fold the node to a constant")
    ids = source.ids
    if ids.ndim < 2 or any(len(p) != ids.shape[1] for p in (scale, bias, mean, variance)):
        raise malformed(node, f"data {list(ids.shape)} and parameters of {len(scale)} channels")
    epsilon = Fraction(node.number("epsilon", float(np.float32(1e-5))))
    if any(Fraction(float(v)) + epsilon <= 0 for v in variance):
        raise malformed(node, "variance + epsilon is not positive")
    pairs = zip(scale.tolist(), variance.tolist(), strict=True)
    factor = np.array([rounded_ratio_to_root(Fraction(s), Fraction(v) + epsilon) for s, v in pairs])
    build.notes.append(
        f"{node}: scale/sqrt(variance + epsilon) of {len(factor)} channels is the correctly rounded float64"
    )
    shape = (1, -1) + (1,) * (ids.ndim - 2)
    centred = build.combine([(ids, 1.0)], -exact(mean).reshape(shape))
    return Tensor(build.combine([(centred, factor.reshape(shape))], exact(bias).reshape(shape)))
