"""Model files: bytes, un-gzipping, parsing, external data.  The edge where onnx and protobuf errors become ours."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import Union

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import numpy_helper

from verify.errors import ModelError, Place
from verify.importer.arithmetic import Array

FilePath = Union[str, "PathLike[str]"]
OLDEST_OPSET = 6
EXPORT_AGAIN = "export the model again"


@dataclass(frozen=True, eq=False)
class ModelFile:
    """A parsed model file.  `sha256` is of the un-gzipped bytes; `opset` is the default domain's."""

    path: Path
    name: str  # as the caller gave it
    sha256: str
    proto: onnx.ModelProto
    opset: int


def read_bytes(path: FilePath) -> bytes:
    """The un-gzipped bytes of a model file.  Raises ModelError."""
    name = fspath(path)
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise ModelError("E101", f"no model file {name!r}", fix="check the path", place=Place(name)) from None
    except IsADirectoryError:
        raise ModelError(
            "E102", f"{name!r} is a directory", fix="name the .onnx file inside it", place=Place(name)
        ) from None
    except OSError as problem:
        raise ModelError(
            "E102", f"cannot read {name!r}: {problem.strerror}", fix="check its permissions", place=Place(name)
        ) from None
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as problem:
            raise ModelError(
                "E103", f"{name!r} is a damaged gzip file: {problem}", fix="copy it again", place=Place(name)
            ) from None
    if not data:
        raise ModelError("E103", f"{name!r} is empty", fix=EXPORT_AGAIN, place=Place(name))
    return data


def read_model(path: FilePath) -> ModelFile:
    """Parse a model and resolve its external data.  Raises ModelError; never runs onnx.checker."""
    name, data = fspath(path), read_bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    proto = onnx.ModelProto()
    try:
        proto.ParseFromString(data)
    except DecodeError:
        raise ModelError(
            "E103", f"{name!r} is not an ONNX file, or is truncated", fix=EXPORT_AGAIN, place=Place(name)
        ) from None
    if not proto.HasField("graph") or not (proto.graph.node or proto.graph.output):
        raise ModelError("E103", f"{name!r} holds no ONNX graph", fix=EXPORT_AGAIN, place=Place(name))
    if not _is_text(proto):
        raise ModelError(
            "E103", f"{name!r} is damaged: a name in it is no UTF-8 text", fix=EXPORT_AGAIN, place=Place(name)
        )
    opset = _opset(name, proto)
    if proto.functions:
        proto = _inlined(name, proto)
    for tensor in tensors(proto):
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            _load_external(tensor, Path(path))
    return ModelFile(Path(path), name, digest, proto, opset)


def _is_text(proto: onnx.ModelProto) -> bool:
    """Damaged strings come out of protobuf as bytes."""
    graph = proto.graph
    named = [*graph.initializer, *graph.input, *graph.output, *graph.node]
    names = [item.name for item in named] + [proto.producer_name, proto.producer_version]
    for node in graph.node:
        names += [node.op_type, node.domain, *node.input, *node.output, *(a.name for a in node.attribute)]
    for info in graph.input:
        names += [dim.dim_param for dim in info.type.tensor_type.shape.dim]
    return all(isinstance(name, str) for name in names)


def _opset(name: str, proto: onnx.ModelProto) -> int:
    versions = [int(o.version) for o in proto.opset_import if o.domain in ("", "ai.onnx")]
    _, newest = opset_range()
    if not versions:
        raise ModelError("E104", f"{name!r} names no ONNX operator set", fix=EXPORT_AGAIN, place=Place(name))
    opset = max(versions)
    if not OLDEST_OPSET <= opset <= newest:
        raise ModelError(
            "E104",
            f"{name!r} uses operator set {opset}; supported are {OLDEST_OPSET} to {newest}",
            fix="convert it with onnx.version_converter, or export it for opset 17",
            place=Place(name),
        )
    return opset


def opset_range() -> tuple[int, int]:
    """The oldest and the newest operator set that is read."""
    return OLDEST_OPSET, int(onnx.defs.onnx_opset_version())


def _inlined(name: str, proto: onnx.ModelProto) -> onnx.ModelProto:
    """Model-local functions expanded (exact)."""
    from onnx.inliner import inline_local_functions

    try:
        return inline_local_functions(proto)
    except (RuntimeError, ValueError, TypeError) as problem:
        message = f"{name!r}: its local functions cannot be inlined: {problem}"
        raise ModelError("E106", message, fix="inline them with onnx.inliner before", place=Place(name)) from None


def tensors(proto: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in the main graph: initialisers, and those of Constant nodes."""
    yield from proto.graph.initializer
    for node in proto.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t


def _load_external(tensor: onnx.TensorProto, model: Path) -> None:
    """Read external data into `raw_data`.  The file, symlinks resolved, must lie inside the model's folder."""
    info = {e.key: e.value for e in tensor.external_data}
    folder, place = model.parent.resolve(), Place(str(model))
    location = info.get("location", "")
    inside = "keep the data file beside the model, and name it relatively"
    if not location or "\0" in location:
        raise ModelError("E111", f"tensor {tensor.name!r} names no external data file", fix=EXPORT_AGAIN, place=place)
    target = (folder / location).resolve()
    if not target.is_relative_to(folder):
        message = f"external data of tensor {tensor.name!r} leaves the model's folder: {location!r}"
        raise ModelError("E111", message, fix=inside, place=place)
    try:
        offset, length = int(info.get("offset", "0") or 0), int(info.get("length", "-1") or -1)
        with target.open("rb") as stream:
            stream.seek(offset)
            data = stream.read(length)
    except (OSError, ValueError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else str(problem)
        message = f"external data of tensor {tensor.name!r} cannot be read from {location!r}: {reason}"
        raise ModelError("E111", message, fix=inside, place=place) from None
    if length >= 0 and len(data) != length:
        message = f"external data of tensor {tensor.name!r} is cut short: {len(data)} of {length} bytes"
        raise ModelError("E111", message, fix="copy the data file again", place=place)
    tensor.raw_data = data
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def to_array(tensor: onnx.TensorProto) -> Array:
    """A stored tensor as a NumPy array.  Raises ModelError when its data do not fit its shape."""
    try:
        return numpy_helper.to_array(tensor)
    except (ValueError, TypeError, KeyError, NotImplementedError) as problem:
        message = f"tensor {tensor.name!r} is malformed: {problem}"
        raise ModelError("E106", message, fix=EXPORT_AGAIN) from None
