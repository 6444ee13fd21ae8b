"""The model as ONNX Runtime gets it: external data embedded, declared types repaired where they contradict."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import onnx
from google.protobuf.message import EncodeError  # type: ignore[import-untyped]

from verify.core.network import Port
from verify.errors import ModelError
from verify.importer.read import ModelFile, tensors
from verify.importer.wiring import read_wiring

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE)


@dataclass(frozen=True, eq=False)
class RuntimeModel:
    """`data` is the model in one piece; `repaired` makes the bytes with repaired types, or None if there is no way."""

    inputs: tuple[Port, ...]
    added: int  # outputs that are inner tensors, last
    data: bytes
    repaired: Callable[[], bytes | None]


def runtime_model(source: ModelFile, hidden: Sequence[str] = ()) -> RuntimeModel:
    """With the inner tensors `hidden` as further outputs.  Raises ModelError."""
    inputs = read_wiring(source, integers=True).inputs
    known = {info.name for info in source.proto.graph.output}
    new = [name for name in dict.fromkeys(hidden) if name not in known]
    source.proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in new)
    return RuntimeModel(inputs, len(new), _bytes(source, source.proto), lambda: _repaired(source))


def _bytes(source: ModelFile, proto: onnx.ModelProto) -> bytes:
    try:
        return bytes(proto.SerializeToString())
    except (EncodeError, ValueError) as problem:
        raise ModelError("E120", f"{source.name}: too large to replay: {problem}") from None


def _repaired(source: ModelFile) -> bytes | None:
    """Inputs and outputs declared with the one element type that all stored float tensors have."""
    stored = {tensor.data_type for tensor in tensors(source.proto)} & set(FLOATS)
    if len(stored) != 1:
        return None
    kind = stored.pop()
    proto = onnx.ModelProto()
    proto.CopyFrom(source.proto)
    changed = False
    for info in [*proto.graph.input, *proto.graph.output]:
        declared = info.type.tensor_type
        if declared.elem_type in FLOATS and declared.elem_type != kind:
            declared.elem_type = kind
            changed = True
    del proto.graph.value_info[:]
    return _bytes(source, proto) if changed else None
