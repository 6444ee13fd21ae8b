"""The parts of an ONNX file that a plain feed-forward network has; everything else in it is refused.

Documentation, metadata and inferred shapes say nothing about the function and are skipped unread.
Source: onnx.proto of the ONNX standard (IR version 13), field numbers as there.
"""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Union

from verify.independent.refusal import Allowance, RefusedError
from verify.independent.wire import Schema, read_message

MOST_BYTES = 64 << 20
MOST_FIELDS = 250_000
MOST_INTEGER_BYTES = 1 << 20
OPSETS = range(7, 25)
DEFAULT_DOMAINS = ("", "ai.onnx")
IDLE_DOMAINS = ("ai.onnx.ml",)  # exporters declare it without using it
LEAST_MAGNITUDE, MOST_MAGNITUDE = 2.0**-300, 2.0**300

FLOAT, INT32, INT64, DOUBLE = 1, 6, 7, 11
ELEMENT_TYPES = {FLOAT: "float32", DOUBLE: "float64"}
IGNORED = "ignored"
REFUSED = "refused"

MODEL: Schema = {
    1: ("ir_version", "int"), 2: ("producer_name", IGNORED), 3: ("producer_version", IGNORED), 4: ("domain", IGNORED),
    5: ("model_version", "int"), 6: ("doc_string", IGNORED), 7: ("graph", "message"), 8: ("opset_import", "messages"),
    14: ("metadata_props", IGNORED), 20: ("training_info", REFUSED), 25: ("functions", REFUSED),
}  # fmt: skip
OPSET: Schema = {1: ("domain", "text"), 2: ("version", "int")}
GRAPH: Schema = {
    1: ("node", "messages"), 2: ("name", IGNORED), 5: ("initializer", "messages"), 10: ("doc_string", IGNORED),
    11: ("input", "messages"), 12: ("output", "messages"), 13: ("value_info", IGNORED),
    14: ("quantization_annotation", REFUSED), 15: ("sparse_initializer", REFUSED), 16: ("metadata_props", IGNORED),
}  # fmt: skip
NODE: Schema = {
    1: ("input", "texts"), 2: ("output", "texts"), 3: ("name", "text"), 4: ("op_type", "text"),
    5: ("attribute", "messages"), 6: ("doc_string", IGNORED), 7: ("domain", "text"), 8: ("overload", REFUSED),
    9: ("metadata_props", IGNORED),
}  # fmt: skip
ATTRIBUTE: Schema = {
    1: ("name", "text"), 2: ("f", "float"), 3: ("i", "int"), 4: ("s", "bytes"), 5: ("t", "message"),
    6: ("subgraph", REFUSED), 7: ("floats", "floats"), 8: ("ints", "ints"), 9: ("strings", REFUSED),
    10: ("tensors", REFUSED), 11: ("subgraphs", REFUSED), 13: ("doc_string", IGNORED), 14: ("type", REFUSED),
    15: ("types", REFUSED), 20: ("kind", "int"), 21: ("ref_attr_name", REFUSED), 22: ("sparse_tensor", REFUSED),
    23: ("sparse_tensors", REFUSED),
}  # fmt: skip
TENSOR: Schema = {
    1: ("dims", "ints"), 2: ("data_type", "int"), 3: ("segment", REFUSED), 4: ("float_data", "floats"),
    5: ("int32_data", "ints"), 6: ("string_data", REFUSED), 7: ("int64_data", "ints"), 8: ("name", "text"),
    9: ("raw_data", "bytes"), 10: ("double_data", "doubles"), 11: ("uint64_data", REFUSED), 12: ("doc_string", IGNORED),
    13: ("external_data", REFUSED), 14: ("data_location", "int"), 16: ("metadata_props", IGNORED),
}  # fmt: skip
VALUE_INFO: Schema = {
    1: ("name", "text"), 2: ("type", "message"), 3: ("doc_string", IGNORED), 4: ("metadata_props", IGNORED),
}  # fmt: skip
TYPE: Schema = {
    1: ("tensor_type", "message"), 4: ("sequence_type", REFUSED), 5: ("map_type", REFUSED), 6: ("denotation", IGNORED),
    8: ("sparse_tensor_type", REFUSED), 9: ("optional_type", REFUSED),
}  # fmt: skip
TENSOR_TYPE: Schema = {1: ("elem_type", "int"), 2: ("shape", "message")}
SHAPE: Schema = {1: ("dim", "messages")}
DIMENSION: Schema = {1: ("dim_value", "int"), 2: ("dim_param", "text"), 3: ("denotation", IGNORED)}

# AttributeProto.kind: the field that carries it (the enumeration AttributeType)
ATTRIBUTE_KINDS = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints"}


@dataclass(frozen=True, eq=False)
class Stored:
    """A constant tensor: exact float64 values, or integers, row-major."""

    shape: tuple[int, ...]
    values: Union[array[float], tuple[int, ...]]


@dataclass(frozen=True, eq=False)
class PlainNode:
    """One node; attributes are float, int, bytes, lists of them, or Stored."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass(frozen=True)
class Signature:
    """A graph input or output; `shape` is None where the file gives none, an unknown extent is 0."""

    name: str
    element_type: str
    shape: tuple[int, ...] | None


@dataclass(frozen=True, eq=False)
class Graph:
    """A whole model: its operator set, signatures, stored tensors, and nodes in the file's order."""

    opset: int
    inputs: tuple[Signature, ...]
    outputs: tuple[Signature, ...]
    stored: Mapping[str, Stored]
    nodes: tuple[PlainNode, ...]


def read_graph(data: bytes) -> Graph:
    """The graph of an ONNX file.  Exact: floats are widened, never rounded.  Raises RefusedError."""
    if len(data) > MOST_BYTES:
        raise RefusedError(f"too large: {len(data)} bytes, at most {MOST_BYTES}")
    return _Parser().model(memoryview(data))


class _Parser:
    def __init__(self) -> None:
        self.allowance = Allowance("fields", MOST_FIELDS)

    def message(self, what: str, schema: Schema, data: memoryview) -> dict[str, Any]:
        return read_message(what, schema, data, self.allowance)

    def model(self, data: memoryview) -> Graph:
        model = self.message("model", MODEL, data)
        if "graph" not in model:
            raise RefusedError("the file holds no graph")
        graph = self.message("graph", GRAPH, model["graph"])
        stored: dict[str, Stored] = {}
        for part in graph.get("initializer", ()):
            name, tensor = self.tensor(part)
            if not name or name in stored:
                raise RefusedError(f"two initializers are named {name!r}" if name else "an initializer has no name")
            stored[name] = tensor
        return Graph(
            self.opset(model.get("opset_import", ())),
            tuple(s for s in map(self.signature, graph.get("input", ())) if s.name not in stored),
            tuple(map(self.signature, graph.get("output", ()))),
            stored,
            tuple(map(self.node, graph.get("node", ()))),
        )

    def opset(self, imports: Sequence[memoryview]) -> int:
        versions = set()
        for part in imports:
            entry = self.message("operator set", OPSET, part)
            domain = entry.get("domain", "")
            if domain in DEFAULT_DOMAINS:
                versions.add(entry.get("version", 0))
            elif domain not in IDLE_DOMAINS:
                raise RefusedError(f"unknown operator set {domain!r}")
        if len(versions) != 1:
            raise RefusedError("the file must name exactly one version of the ONNX operator set")
        (version,) = versions
        if version not in OPSETS:
            raise RefusedError(f"operator set {version}; supported are {OPSETS[0]} to {OPSETS[-1]}")
        return int(version)

    def signature(self, data: memoryview) -> Signature:
        info = self.message("value", VALUE_INFO, data)
        name = info.get("name", "")
        kind = self.message("type", TYPE, info["type"]) if "type" in info else {}
        if not name or "tensor_type" not in kind:
            raise RefusedError(f"input or output {name!r} is no named tensor")
        tensor = self.message("tensor type", TENSOR_TYPE, kind["tensor_type"])
        element = tensor.get("elem_type", 0)
        if element not in ELEMENT_TYPES:
            return Signature(name, f"element type {element}", None)
        if "shape" not in tensor:
            return Signature(name, ELEMENT_TYPES[element], None)
        shape = []
        for part in self.message("shape", SHAPE, tensor["shape"]).get("dim", ()):
            dimension = self.message("dimension", DIMENSION, part)
            if "dim_value" in dimension and "dim_param" in dimension:
                raise RefusedError(f"an axis of {name!r} has two extents")
            shape.append(max(0, dimension.get("dim_value", 0)))
        return Signature(name, ELEMENT_TYPES[element], tuple(shape))

    def node(self, data: memoryview) -> PlainNode:
        node = self.message("node", NODE, data)
        outputs = tuple(node.get("output", ()))
        name = node.get("name", "") or next((o for o in outputs if o), "?")
        op = node.get("op_type", "")
        if node.get("domain", "") not in DEFAULT_DOMAINS:
            raise RefusedError(f"node {name!r} ({op}) is of domain {node['domain']!r}")
        attributes: dict[str, Any] = {}
        for part in node.get("attribute", ()):
            key, value = self.attribute(part)
            if key in attributes:
                raise RefusedError(f"node {name!r} ({op}): attribute {key!r} occurs twice")
            attributes[key] = value
        return PlainNode(name, op, tuple(node.get("input", ())), outputs, attributes)

    def attribute(self, data: memoryview) -> tuple[str, Any]:
        found = self.message("attribute", ATTRIBUTE, data)
        name, kind = found.pop("name", ""), ATTRIBUTE_KINDS.get(found.pop("kind", 0))
        if kind is None:
            raise RefusedError(f"attribute {name!r} is of no supported kind")
        if set(found) - {kind}:
            raise RefusedError(f"attribute {name!r} holds more than its kind")
        if kind == "t":
            if kind not in found:
                raise RefusedError(f"attribute {name!r} is empty")
            return name, self.tensor(found[kind])[1]
        if kind == "floats":
            return name, _numbers("f", found.get(kind, b"")).tolist()
        empty: Mapping[str, Any] = {"f": 0.0, "i": 0, "s": b"", "ints": []}
        return name, found.get(kind, empty[kind])

    def tensor(self, data: memoryview) -> tuple[str, Stored]:
        tensor = self.message("tensor", TENSOR, data)
        name, kind = tensor.get("name", ""), tensor.get("data_type", 0)
        shape = tuple(tensor.get("dims", ()))
        if tensor.get("data_location", 0):
            raise RefusedError(f"tensor {name!r}: external data is not supported")
        if any(extent < 0 for extent in shape):
            raise RefusedError(f"tensor {name!r}: shape {list(shape)}")
        typed = {FLOAT: "float_data", DOUBLE: "double_data", INT32: "int32_data", INT64: "int64_data"}.get(kind)
        if typed is None:
            raise RefusedError(f"tensor {name!r}: element type {kind} is not supported")
        given = [key for key in (*_DATA, "raw_data") if key in tensor]
        if len(given) > 1 or not set(given) <= {typed, "raw_data"}:
            raise RefusedError(f"tensor {name!r}: data in {', '.join(given)}")
        values = _stored_values(kind, tensor[given[0]] if given else b"")
        if len(values) != math.prod(shape):
            raise RefusedError(f"tensor {name!r}: {len(values)} values for shape {list(shape)}")
        if isinstance(values, array):
            if not values:
                raise RefusedError(f"tensor {name!r} has no elements")
            _check_numbers(name, values)
        return name, Stored(shape, values)


_DATA = ("float_data", "double_data", "int32_data", "int64_data")
_CODES = {FLOAT: "f", DOUBLE: "d", INT32: "i", INT64: "q"}


def _stored_values(kind: int, data: Any) -> array[float] | tuple[int, ...]:
    """The values of a tensor's data: bytes, or a list of integers."""
    if kind in (FLOAT, DOUBLE):
        return array("d", _numbers(_CODES[kind], data))
    if len(data) > MOST_INTEGER_BYTES:
        raise RefusedError("an integer tensor is too large")
    if isinstance(data, list):
        if kind == INT32 and any(not -(1 << 31) <= v < 1 << 31 for v in data):
            raise RefusedError("a 32-bit integer is out of range")
        return tuple(data)
    return tuple(_numbers(_CODES[kind], data))


def _numbers(code: str, data: Any) -> array[Any]:
    """Little-endian bytes as numbers."""
    values = array(code)
    if len(data) % values.itemsize:
        raise RefusedError("a tensor's data are cut short")
    values.frombytes(data)
    if sys.byteorder == "big":
        values.byteswap()
    return values


def _check_numbers(name: str, values: array[float]) -> None:
    """Finite, and of a size whose products are normal float64 numbers."""
    if not all(map(math.isfinite, values)):
        raise RefusedError(f"tensor {name!r} holds NaN or infinite values")
    least = min(filter(None, map(abs, values)), default=1.0)
    if not LEAST_MAGNITUDE <= least <= max(1.0, *map(abs, (max(values), min(values)))) <= MOST_MAGNITUDE:
        raise RefusedError(f"tensor {name!r} holds numbers beyond 2^±300")
