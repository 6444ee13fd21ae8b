"""What two models share when only their weights differ, and the default values of inputs."""

from __future__ import annotations

import hashlib
from fractions import Fraction

import onnx

from verify.importer.arithmetic import exact
from verify.importer.read import FilePath, read_model, to_array
from verify.importer.wiring import ELEMENT_TYPES


def graph_structure(path: FilePath) -> str:
    """A digest of operators, wiring, attributes, shapes and types: equal for isomorphic models.  Raises ModelError.

    Nodes count in the file's order; names and stored values do not matter.
    """
    proto = read_model(path).proto
    number: dict[str, int] = {}
    hasher = hashlib.sha256(str(sorted((o.domain, o.version) for o in proto.opset_import)).encode())
    stored = {t.name: t for t in proto.graph.initializer}

    def named(name: str) -> str:
        if not name:
            return "-"
        if name not in number:
            number[name] = len(number)
            if name in stored:
                return f"{number[name]}:{stored[name].data_type}{list(stored[name].dims)}"
        return str(number[name])

    for info in (*proto.graph.input, *proto.graph.output):
        if info.name not in stored:
            kind = info.type.tensor_type
            shape = [d.dim_value or d.dim_param for d in kind.shape.dim]
            hasher.update(f"port {named(info.name)} {kind.elem_type} {shape};".encode())
    for node in proto.graph.node:
        wires = [named(n) for n in node.input], [named(n) for n in node.output]
        hasher.update(f"node {node.domain}.{node.op_type} {wires} ".encode())
        for attribute in sorted(node.attribute, key=lambda a: a.name):
            hasher.update(_outline(attribute))
    return hasher.hexdigest()


def _outline(attribute: onnx.AttributeProto) -> bytes:
    if attribute.HasField("t"):
        return f"{attribute.name} tensor {attribute.t.data_type}{list(attribute.t.dims)};".encode()
    return bytes(attribute.SerializeToString(deterministic=True))


def default_inputs(path: FilePath) -> dict[str, tuple[tuple[int, ...], tuple[Fraction, ...]]]:
    """The graph's inputs that have a stored default: shape and exact values, in the graph's order."""
    proto = read_model(path).proto
    stored = {t.name: t for t in proto.graph.initializer if t.data_type in ELEMENT_TYPES}
    arrays = {info.name: to_array(stored[info.name]) for info in proto.graph.input if info.name in stored}
    return {name: (a.shape, tuple(Fraction(v) for v in exact(a).ravel().tolist())) for name, a in arrays.items()}
