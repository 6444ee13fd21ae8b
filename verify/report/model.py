"""What `verify inspect` shows: a model's interface, its operators, and a spec to start from."""

from __future__ import annotations

from pathlib import Path

from verify.importer.inspection import Inspection, TensorInfo, spec_skeleton
from verify.report.document import Document, tool
from verify.report.terminal import Line, line, wrap

SCHEMA = "verify/inspect/1"
LISTED = 16  # elements of a larger tensor are not listed one by one


def inspection_document(inspection: Inspection) -> Document:
    """The JSON document of one model."""
    network = inspection.network
    return {
        "schema": SCHEMA,
        "tool": tool(),
        "file": inspection.file,
        "sha256": inspection.sha256,
        "digest": None if network is None else network.digest,
        "ir_version": inspection.ir_version,
        "opset": inspection.opset,
        "producer": inspection.producer,
        "inputs": [_tensor_document(t) for t in inspection.inputs],
        "outputs": [_tensor_document(t) for t in inspection.outputs],
        "operators": dict(inspection.operators),
        "relus": None if network is None else inspection.relu_count,
        "parameters": inspection.parameter_count,
        "supported": not inspection.unsupported,
        "unsupported": [
            {"node": u.name, "operator": u.op, "reason": u.reason or None, "rewrite": u.rewrite}
            for u in inspection.unsupported
        ],
        "notes": list(inspection.notes),
        "skeleton": _skeleton(inspection),
    }


def inspection_lines(inspection: Inspection) -> list[Line]:
    """The same for reading."""
    producer = f", made by {inspection.producer}" if inspection.producer else ""
    lines = [
        line((inspection.file, "bold"), f"  ONNX IR {inspection.ir_version}, opset {inspection.opset}{producer}"),
        line(("  sha256 ", "dim"), inspection.sha256),
    ]
    for title, tensors in (("inputs", inspection.inputs), ("outputs", inspection.outputs)):
        lines.append(line((title, "bold")))
        for tensor in tensors:
            lines += _tensor_lines(tensor)
    if not inspection.outputs:
        lines.append(line("  not known while nodes are unsupported"))
    lines.append(line(("graph", "bold")))
    counts = [f"{name} ×{count}" if count > 1 else name for name, count in inspection.operators]
    lines += [line(row) for row in wrap(counts or ["no nodes"], indent="  operators   ", hanging=" " * 14)]
    lines.append(line(f"  parameters  {inspection.parameter_count}"))
    if inspection.network is not None:
        lines.append(line(f"  ReLUs       {inspection.relu_count} in the exact network"))
    lines += [line("  ", ("note: ", "dim"), note) for note in inspection.notes]
    lines += _unsupported_lines(inspection)
    skeleton = _skeleton(inspection)
    if skeleton is not None:
        lines.append(line(("spec to start from", "bold")))
        lines += [line(f"  {row}" if row else "") for row in skeleton.rstrip("\n").split("\n")]
    return lines


def _tensor_document(tensor: TensorInfo) -> Document:
    return {
        "name": tensor.name,
        "element_type": tensor.element_type,
        "shape": list(tensor.shape),
        "first": tensor.first,
        "size": tensor.size,
    }


def _tensor_lines(tensor: TensorInfo) -> list[Line]:
    """The tensor, and which flat index each of its elements has."""
    shape = "×".join(map(str, tensor.shape)) or "scalar"
    last = tensor.first + tensor.size - 1
    span = f"flat index {tensor.first}" if tensor.size == 1 else f"flat indices {tensor.first} … {last}, row-major"
    lines = [line(f"  {tensor.name}  {tensor.element_type}  {shape}  ({span})")]
    if 1 < tensor.size <= LISTED:
        cells = [f"{tensor.first + k}: {tensor.name}{_index(tensor.shape, k)}" for k in range(tensor.size)]
        lines += [line(row) for row in wrap(cells, indent="    ")]
    return lines


def _index(shape: tuple[int, ...], position: int) -> str:
    """The multi-index of a row-major position, as `[0, 3]`."""
    index: list[int] = []
    for extent in reversed(shape):
        position, rest = divmod(position, extent)
        index.append(rest)
    return str(index[::-1])


def _unsupported_lines(inspection: Inspection) -> list[Line]:
    if not inspection.unsupported:
        return []
    count = len(inspection.unsupported)
    lines = [line((f"unsupported: {count} node{'s' if count > 1 else ''}", "bold red"))]
    for node in inspection.unsupported:
        reason = f": {node.reason}" if node.reason else ""
        lines.append(line(f"  {node.op}  (node {node.name!r}){reason}"))
        lines.append(line("    ", ("rewrite: ", "dim"), node.rewrite))
    return lines


def _skeleton(inspection: Inspection) -> str | None:
    """None for a model that no spec can use yet."""
    if inspection.unsupported:
        return None
    name = Path(inspection.file).name.removesuffix(".gz").removesuffix(".onnx")
    return spec_skeleton(inspection, name)
