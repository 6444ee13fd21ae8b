"""Sliding windows over a tensor's ids, and the padding rules that convolution and pooling share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verify.importer.arithmetic import Ints
from verify.importer.graph import Node, UnsupportedError, malformed


def resolve_padding(
    node: Node, spatial: Sequence[int], kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[tuple[int, int]]:
    """(begin, end) of every spatial axis from `pads` or `auto_pad`, as the standard defines them."""
    axes = len(spatial)
    if not all(len(v) == axes for v in (kernel, strides, dilations)) or min([*strides, *dilations, *kernel]) < 1:
        raise malformed(node, "kernel, strides or dilations do not fit the data")
    auto = node.text("auto_pad", "NOTSET")
    if auto in ("NOTSET", ""):
        pads = node.ints("pads", [0] * (2 * axes))
        if len(pads) != 2 * axes or min(pads, default=0) < 0:
            raise malformed(node, f"pads {pads}")
        return [(pads[i], pads[axes + i]) for i in range(axes)]
    if auto == "VALID":
        return [(0, 0)] * axes
    if auto not in ("SAME_UPPER", "SAME_LOWER"):
        raise malformed(node, f"auto_pad {auto!r}")
    result = []
    for i in range(axes):
        out = -(-spatial[i] // strides[i])
        spare = (out - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - spatial[i]
        if spare < 0 and node.op.endswith("Pool"):  # runtimes disagree: some shift the windows, some fail
            raise UnsupportedError(f"auto_pad {auto} with a stride above the window", "state pads instead of auto_pad")
        spare = max(0, spare)
        result.append((spare // 2, spare - spare // 2) if auto == "SAME_UPPER" else (spare - spare // 2, spare // 2))
    return result


def windows(
    node: Node, ids: Ints, kernel: Sequence[int], *,
    strides: Sequence[int], dilations: Sequence[int], pads: Sequence[tuple[int, int]], fill: int,
) -> Ints:  # fmt: skip
    """Shape: ids (items, channels, *spatial) to (items, channels, *out, *kernel); outside the tensor is `fill`."""
    axes = len(kernel)
    padded = np.pad(ids, [(0, 0), (0, 0), *pads], constant_values=fill)
    reach = [(kernel[i] - 1) * dilations[i] + 1 for i in range(axes)]
    if any(padded.shape[2 + i] < reach[i] for i in range(axes)):
        raise malformed(node, f"a window of {list(kernel)} does not fit into {list(ids.shape)}")
    view = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=tuple(range(2, 2 + axes)))
    steps = [slice(None, None, s) for s in strides] + [slice(None, None, d) for d in dilations]
    index = (slice(None), slice(None), *steps)
    return np.asarray(view[index])
