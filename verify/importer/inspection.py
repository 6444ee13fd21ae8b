"""What a model holds, for `verify inspect`, and a spec to start from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from onnx import TensorProto

from verify.core.network import Network, Port
from verify.importer.load import Unsupported, lower
from verify.importer.read import FilePath, read_model, tensors

FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
MOST_FIELDS = 32  # tensors with more elements become one array field
KEYWORDS = frozenset({
    "abs", "accepted", "all", "and", "any", "argmax", "argmin", "assert", "assume", "const", "csv", "dataset",
    "define", "disturbance", "else", "eventually", "exists", "false", "for", "forall", "hidden", "if",
    "implies", "in", "input", "is", "let", "max", "may", "be", "min", "network", "next", "not", "onnx", "or",
    "output", "param", "property", "raw", "reach", "same", "state", "strictly", "sum", "system", "then", "true",
    "unit", "value", "within",
})  # fmt: skip


@dataclass(frozen=True)
class TensorInfo:
    """An input or output tensor; its elements are numbered first … first + size - 1 in the flat vector, row-major."""

    name: str
    element_type: str
    shape: tuple[int, ...]
    first: int

    @property
    def size(self) -> int:
        size = 1
        for extent in self.shape:
            size *= extent
        return size


@dataclass(frozen=True, eq=False)
class Inspection:
    """A model at a glance.  `network` is None and `outputs` empty exactly when nodes are unsupported."""

    file: str
    sha256: str
    ir_version: int
    opset: int
    producer: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    operators: tuple[tuple[str, int], ...]  # (operator, nodes), most frequent first
    relu_count: int  # of the exact network; Relu nodes' elements do not count when it is None
    parameter_count: int  # stored float numbers
    unsupported: tuple[Unsupported, ...]
    notes: tuple[str, ...]
    network: Network | None


def inspect(path: FilePath) -> Inspection:
    """Describe a model.  Unsupported nodes are listed; a file that is no sound model raises ModelError."""
    source = read_model(path)
    parameters = sum(_size(tensor.dims) for tensor in tensors(source.proto) if tensor.data_type in FLOATS)
    counts = Counter(node.op_type for node in source.proto.graph.node)
    producer = f"{source.proto.producer_name} {source.proto.producer_version}".strip()
    lowered = lower(source)
    network = lowered.network
    return Inspection(
        file=source.name,
        sha256=source.sha256,
        ir_version=source.proto.ir_version,
        opset=source.opset,
        producer=producer,
        inputs=_infos(lowered.inputs),
        outputs=_infos(network.outputs) if network is not None else (),
        operators=tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0]))),
        relu_count=network.relu_count if network is not None else 0,
        parameter_count=parameters,
        unsupported=lowered.unsupported,
        notes=network.notes if network is not None else (),
        network=network,
    )


def _size(dims: Sequence[int]) -> int:
    size = 1
    for extent in dims:
        size *= extent
    return size


def _infos(ports: Sequence[Port]) -> tuple[TensorInfo, ...]:
    infos, first = [], 0
    for port in ports:
        infos.append(TensorInfo(port.name, port.element_type, port.shape, first))
        first += port.size
    return tuple(infos)


def spec_skeleton(inspection: Inspection, stem: str) -> str:
    """The text of a .nnspec to start from: every field named, ranges and a property to fill in."""
    name = _identifier(stem)
    inputs = _fields(inspection.inputs, "x")
    outputs = _fields(inspection.outputs, "y")
    names = [field for fields, _ in outputs for field in fields]
    lines = [
        f"# {inspection.file}: the ranges below are placeholders, set the real ones (and units, raw = …)",
        f'network {name} = onnx("{_file_name(inspection.file)}") {{',
    ]
    for fields, info in inputs:
        for k, field in enumerate(fields):
            lines.append(f"  input {field} in [-1, 1]    # {info.name}{_indices(info, k, len(fields))}")
    for fields, info in outputs:
        lines.append(f"  output {', '.join(fields)}    # {info.name}{list(info.shape)}")
    lines += ["}", "", "property first {", f"  forall s : {name}.input"]
    if len(names) > 1 and not any("[" in n for n in names):
        lines.append(f"  assert argmax({name}(s)) is {names[0]}")
    else:
        lines.append(f"  assert {name}(s).{names[0].split('[')[0] if names else 'y0'}{_first(names)} >= 0")
    return "\n".join([*lines, "}", ""])


def _first(names: Sequence[str]) -> str:
    if not names or "[" not in names[0]:
        return ""
    return "[" + ", ".join("0" for _ in names[0].split("[")[1].split(",")) + "]"


def _file_name(file: str) -> str:
    return re.split(r"[\\/]", file)[-1]


def _identifier(text: str) -> str:
    name = re.sub(r"\W", "_", text, flags=re.ASCII).strip("_") or "net"
    if name[0].isdigit():
        name = f"n_{name}"
    return f"{name}_" if name in KEYWORDS else name


def _fields(infos: Sequence[TensorInfo], stem: str) -> list[tuple[list[str], TensorInfo]]:
    """Field names of every tensor: one per element when small, else one array."""
    result, taken = [], 0
    for number, info in enumerate(infos):
        if info.size <= MOST_FIELDS:
            result.append(([f"{stem}{taken + k}" for k in range(info.size)], info))
        else:
            label = stem if len(infos) == 1 else f"{stem}_{number}"
            result.append(([f"{label}[{', '.join(map(str, info.shape))}]"], info))
        taken += info.size
    return result


def _indices(info: TensorInfo, position: int, fields: int) -> str:
    """Which element of the tensor a field is."""
    if fields != info.size or not info.shape:
        return str(list(info.shape))
    index = []
    for extent in reversed(info.shape):
        position, rest = divmod(position, extent)
        index.append(rest)
    return str(index[::-1])
