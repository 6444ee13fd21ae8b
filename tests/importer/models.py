"""Small ONNX models for tests, and the reference they are compared with."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from verify.core.evaluate import evaluate
from verify.importer import load

NEWEST = onnx.defs.onnx_opset_version()


def tensor(name: str, values: Any) -> TensorProto:
    array = np.asarray(values)
    return numpy_helper.from_array(array.astype(np.float32) if array.dtype == np.float64 else array, name)


def info(name: str, shape: Any, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def build(
    nodes: Any, inputs: Any, outputs: Any, stored: Any = (), *, opset: int = 17, **options: Any
) -> onnx.ModelProto:
    """inputs: {name: shape}; outputs: names; stored: {name: array}."""
    graph = helper.make_graph(
        nodes,
        "g",
        [v if isinstance(v, onnx.ValueInfoProto) else info(k, v) for k, v in inputs.items()],
        [o if isinstance(o, onnx.ValueInfoProto) else info(o, None) for o in outputs],
        [v if isinstance(v, TensorProto) else tensor(k, v) for k, v in dict(stored).items()],
        **options,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def node(op: str, inputs: str, outputs: str, **attributes: Any) -> onnx.NodeProto:
    """Names separated by spaces; `-` is an omitted input."""
    names = ["" if n == "-" else n for n in inputs.split()]
    return helper.make_node(op, names, outputs.split(), name=f"{op}_{outputs.split()[0]}", **attributes)


def save(model: onnx.ModelProto, folder: Path, name: str = "m.onnx") -> Path:
    path = folder / name
    path.write_bytes(model.SerializeToString())
    return path


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    """The same model in float64."""
    wide = onnx.ModelProto()
    wide.CopyFrom(model)
    for t in list(wide.graph.initializer) + [a.t for n in wide.graph.node for a in n.attribute if a.HasField("t")]:
        if t.data_type == TensorProto.FLOAT:
            t.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(t).astype(np.float64), t.name))
    for i in [*wide.graph.input, *wide.graph.output]:
        if i.type.tensor_type.elem_type == TensorProto.FLOAT:
            i.type.tensor_type.elem_type = TensorProto.DOUBLE
    return wide


def reference(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    return [np.asarray(r) for r in ReferenceEvaluator(widened(model)).run(None, feeds)]


def runtime(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """ONNX Runtime in float32, where the reference evaluator has a defect."""
    import onnxruntime

    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return list(session.run(None, {name: value.astype(np.float32) for name, value in feeds.items()}))


def compare(
    model: onnx.ModelProto, folder: Path, *, points: int = 3, tolerance: float = 1e-9, oracle: Any = reference
) -> Any:
    """Load, and compare exact evaluation with the float64 reference at random points; returns the network."""
    network = load(save(model, folder)).network
    rng = np.random.default_rng(7)
    for _ in range(points):
        feeds = {p.name: rng.integers(-24, 25, p.shape) / 8 for p in network.inputs}
        expected = oracle(model, feeds)
        assert [tuple(e.shape) for e in expected] == [p.shape for p in network.outputs]
        flat = [Fraction(v) for p in network.inputs for v in feeds[p.name].ravel().tolist()]
        found = np.array([float(v) for v in evaluate(network, flat)])
        wanted = np.concatenate([e.ravel() for e in expected]) if expected else np.zeros(0)
        scale = max(1.0, np.abs(wanted).max(initial=0))
        assert np.abs(found - wanted).max(initial=0) <= tolerance * scale, model.graph.node
    return network
