"""The graph's wiring: inputs, stored tensors, outputs, and the order in which needed nodes run."""

from __future__ import annotations

import heapq
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx

from verify.core.network import Port
from verify.errors import ModelError
from verify.importer.read import ModelFile, to_array

MOST_ELEMENTS = 1 << 28  # of one input; a guard against damaged shapes
ELEMENT_TYPES: Mapping[int, str] = {1: "float32", 11: "float64"}  # TensorProto.FLOAT, TensorProto.DOUBLE
INTEGER_TYPES: Mapping[int, str] = {3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool"}


@dataclass(frozen=True)
class OutputName:
    name: str
    element_type: str


@dataclass(frozen=True, eq=False)
class Wiring:
    """`order` lists the indices of the nodes that the outputs need, each after what it reads."""

    inputs: tuple[Port, ...]
    outputs: tuple[OutputName, ...]
    stored: Mapping[str, onnx.TensorProto]
    order: tuple[int, ...]
    readers: Mapping[str, int]  # how often each tensor is read by needed nodes and outputs


def node_name(proto: onnx.NodeProto, index: int) -> str:
    """The node's name, or what tells it apart when it has none."""
    return proto.name or next((name for name in proto.output if name), f"#{index}")


def read_wiring(
    source: ModelFile, wanted: Sequence[str] | None = None, *, hidden: Sequence[str] = (), integers: bool = False
) -> Wiring:
    """Check names, types and axes, and order the nodes.  Raises ModelError.

    `hidden` names further tensors to be outputs, after the others; `integers` allows outputs that are no floats.
    """
    graph = source.proto.graph
    stored = _stored(source)
    inputs = _inputs(source, stored)
    producer = _producers(source, stored, {p.name for p in inputs})
    outputs = _outputs(source, wanted, integers) + tuple(OutputName(name, "float32") for name in hidden)
    known = {p.name for p in inputs} | set(stored)
    order = _order(source, [o.name for o in outputs], producer, known)
    readers = Counter(name for index in order for name in graph.node[index].input if name)
    readers.update(o.name for o in outputs)
    return Wiring(inputs, outputs, stored, order, readers)


def _stored(source: ModelFile) -> dict[str, onnx.TensorProto]:
    stored: dict[str, onnx.TensorProto] = {}
    for tensor in source.proto.graph.initializer:
        if tensor.name in stored:
            raise _duplicate(source, tensor.name)
        stored[tensor.name] = tensor
    for sparse in source.proto.graph.sparse_initializer:
        values, indices = to_array(sparse.values), to_array(sparse.indices)
        shape = tuple(sparse.dims)
        flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)
        dense = np.zeros(int(np.prod(shape)), dtype=values.dtype)
        dense[flat] = values
        stored[sparse.values.name] = onnx.numpy_helper.from_array(dense.reshape(shape), sparse.values.name)
    return stored


def _inputs(source: ModelFile, stored: Mapping[str, onnx.TensorProto]) -> tuple[Port, ...]:
    ports: list[Port] = []
    for info in source.proto.graph.input:
        if info.name in stored:
            continue
        if any(p.name == info.name for p in ports):
            raise _duplicate(source, info.name)
        element = _element_type(source, info, "input")
        if not info.type.tensor_type.HasField("shape"):
            message = f"{source.name}: input {info.name!r} has no shape"
            raise ModelError("E109", message, fix="export it with a fixed shape")
        ports.append(Port(info.name, _fixed_shape(source, info), len(ports), element))
    if not ports:
        fix = "export it with its input as an argument"
        raise ModelError("E113", f"{source.name}: the model has no inputs", fix=fix)
    return tuple(ports)


def _element_type(
    source: ModelFile, info: onnx.ValueInfoProto, what: str, allowed: Mapping[int, str] = ELEMENT_TYPES
) -> str:
    kind = info.type.tensor_type.elem_type if info.type.HasField("tensor_type") else 0
    if kind not in allowed:
        known = {number: label.lower() for label, number in onnx.TensorProto.DataType.items()}
        name = known.get(kind, str(kind)) if info.type.HasField("tensor_type") else "no tensor"
        raise ModelError(
            "E110",
            f"{source.name}: {what} {info.name!r} has element type {name}; float (float32) or double is needed",
            fix=f"export the model with float32 {what}s; make integer or boolean {what}s constants",
        )
    return allowed[kind]


def _fixed_shape(source: ModelFile, info: onnx.ValueInfoProto) -> tuple[int, ...]:
    """The input's shape, a dynamic leading (batch) axis being 1."""
    shape = []
    for axis, dim in enumerate(info.type.tensor_type.shape.dim):
        if dim.HasField("dim_value") and dim.dim_value > 0:
            shape.append(int(dim.dim_value))
        elif axis == 0:
            shape.append(1)
        else:
            label = dim.dim_param or "?"
            message = f"{source.name}: axis {axis} ({label}) of input {info.name!r} is dynamic; only the first may be"
            raise ModelError("E109", message, fix="export the model with that axis fixed; only a batch axis may vary")
    if math.prod(shape) > MOST_ELEMENTS:
        raise ModelError(
            "E115",
            f"{source.name}: input {info.name!r} has shape {shape}: too many elements",
            fix="use a smaller model",
        )
    return tuple(shape)


def _producers(source: ModelFile, stored: Mapping[str, onnx.TensorProto], inputs: set[str]) -> dict[str, int]:
    producer: dict[str, int] = {}
    for index, node in enumerate(source.proto.graph.node):
        for name in node.output:
            if name and (name in producer or name in stored or name in inputs):
                raise _duplicate(source, name)
            producer[name] = index
    return producer


def _outputs(source: ModelFile, wanted: Sequence[str] | None, integers: bool) -> tuple[OutputName, ...]:
    infos = {info.name: info for info in source.proto.graph.output}
    if not infos:
        raise ModelError("E113", f"{source.name}: the model has no outputs", fix="export it with its result returned")
    if len(infos) < len(source.proto.graph.output):
        raise _duplicate(source, source.proto.graph.output[0].name)
    for name in wanted or ():
        if name not in infos:
            raise ModelError("E108", f"{source.name}: no output {name!r}", fix=f"its outputs are {', '.join(infos)}")
    chosen = [info for name, info in infos.items() if wanted is None or name in wanted]
    allowed = {**ELEMENT_TYPES, **INTEGER_TYPES} if integers else ELEMENT_TYPES
    return tuple(OutputName(info.name, _element_type(source, info, "output", allowed)) for info in chosen)


def _order(source: ModelFile, outputs: Sequence[str], producer: Mapping[str, int], known: set[str]) -> tuple[int, ...]:
    """Needed nodes in topological order, the file's order where it is one."""
    nodes = source.proto.graph.node
    needed: set[int] = set()
    after: dict[int, set[int]] = {}
    stack = [(name, "the outputs") for name in outputs]
    while stack:
        name, reader = stack.pop()
        if name in known:
            continue
        index = producer.get(name)
        if index is None:
            message = f"{source.name}: tensor {name!r}, read by {reader}, is produced by nothing"
            raise ModelError("E108", message, fix="export the model again, or add the missing initialiser")
        if index not in needed:
            needed.add(index)
            after[index] = {producer[n] for n in nodes[index].input if n and n not in known and n in producer}
            stack.extend((n, f"node {node_name(nodes[index], index)!r}") for n in nodes[index].input if n)
    return _sorted(source, after)


def _sorted(source: ModelFile, after: Mapping[int, set[int]]) -> tuple[int, ...]:
    waiting = {index: len(before) for index, before in after.items()}
    readers: dict[int, list[int]] = {index: [] for index in after}
    for index, before in after.items():
        for earlier in before:
            readers[earlier].append(index)
    ready = sorted(index for index, count in waiting.items() if not count)
    order = []
    while ready:
        index = heapq.heappop(ready)
        order.append(index)
        for reader in readers[index]:
            waiting[reader] -= 1
            if not waiting[reader]:
                heapq.heappush(ready, reader)
    if len(order) < len(after):
        stuck = min(set(after) - set(order))
        name = node_name(source.proto.graph.node[stuck], stuck)
        raise ModelError("E112", f"{source.name}: node {name!r} is part of a cycle", fix="export the model again")
    return tuple(order)


def node_output(source: ModelFile, name: str) -> str | None:
    """The tensor that `name` means: an output of a node, or the only output of the node so named."""
    nodes = source.proto.graph.node
    if any(name in node.output for node in nodes):
        return name
    found = [[o for o in node.output if o] for node in nodes if node.name == name]
    return found[0][0] if len(found) == 1 and len(found[0]) == 1 else None


def _duplicate(source: ModelFile, name: str) -> ModelError:
    return ModelError("E112", f"{source.name}: two tensors are named {name!r}", fix="export the model again")
