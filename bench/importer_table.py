"""Every network of the public development set: does it load, how fast, and how far from a float64 reference.

    python bench/importer_table.py [DEV_FOLDER] [FAMILY …]      (default ../shared/bench/dev)

The reference is onnx's evaluator with float64 weights, else ONNX Runtime in the model's own arithmetic; the
figure is the largest difference over 100 random inputs in [-1, 1], relative to the largest output.
"""

from __future__ import annotations

import csv
import gzip
import sys
import time
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from verify.core.network import Matrix, Network
from verify.errors import ModelError
from verify.importer import load
from verify.importer.assemble import exact_array

SAMPLES = 100
TOLERANCE = 1e-6


def evaluate(network: Network, points: np.ndarray) -> np.ndarray:
    """The network in float64 at every row of `points`."""
    values, position = [], 0
    for port in network.inputs:
        values.append(points[:, position : position + port.size].T)
        position += port.size
    for block in network.blocks:
        z = np.repeat(exact_array(block.bias).astype(float)[:, None], len(points), axis=1)
        for term in block.terms:
            z += multiply(term.matrix, values[term.source])
        relu = np.frombuffer(block.relu, dtype=np.uint8).astype(bool)
        z[relu] = np.maximum(z[relu], 0)
        values.append(z)
    return np.concatenate([values[p.value] for p in network.outputs]).T


def multiply(matrix: Matrix, x: np.ndarray) -> np.ndarray:
    weights = exact_array(matrix.values).astype(float)
    if matrix.starts is None or matrix.indices is None:
        return weights.reshape(matrix.rows, matrix.columns) @ x
    starts, indices = np.asarray(matrix.starts), np.asarray(matrix.indices)
    sums = np.zeros((matrix.rows, x.shape[1]))
    filled = np.flatnonzero(np.diff(starts))
    step = max(1, 20_000_000 // max(1, x.shape[1] * max(1, len(indices) // max(1, len(filled)))))
    for begin in range(0, len(filled), step):
        part = filled[begin : begin + step]
        low, high = starts[part[0]], starts[part[-1] + 1]
        sums[part] = np.add.reduceat(weights[low:high, None] * x[indices[low:high]], starts[part] - low, axis=0)
    return sums


def widened(data: bytes) -> onnx.ModelProto:
    """The model with every float32 tensor and declaration as float64."""
    model = onnx.load_model_from_string(data)
    for tensor in model.graph.initializer:
        if tensor.data_type == onnx.TensorProto.FLOAT:
            tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor).astype(np.float64), tensor.name))
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t") and attribute.t.data_type == onnx.TensorProto.FLOAT:
                wide = numpy_helper.to_array(attribute.t).astype(np.float64)
                attribute.t.CopyFrom(numpy_helper.from_array(wide, attribute.t.name))
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == onnx.TensorProto.FLOAT:
                attribute.i = onnx.TensorProto.DOUBLE
    for info in [*model.graph.input, *model.graph.output]:
        if info.type.tensor_type.elem_type == onnx.TensorProto.FLOAT:
            info.type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    del model.graph.value_info[:]
    return model


def reference(data: bytes, network: Network, points: np.ndarray) -> np.ndarray:
    runner = ReferenceEvaluator(widened(data))
    rows = []
    for point in points:
        feeds, position = {}, 0
        for port in network.inputs:
            feeds[port.name] = point[position : position + port.size].reshape(port.shape)
            position += port.size
        results = runner.run([p.name for p in network.outputs], feeds)
        rows.append(np.concatenate([np.asarray(r).ravel() for r in results]))
    return np.array(rows)


def main() -> int:
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else "../shared/bench/dev")
    only = set(sys.argv[2:])
    networks = {}
    for row in csv.DictReader((folder / "instances.csv").open()):
        networks.setdefault(row["onnx"], row)
    failures = 0
    print(
        f"{'network':76s} {'result':9s} {'blocks':>6s} {'relus':>7s} {'csv':>7s} {'seconds':>8s} {'max rel diff':>12s}"
    )
    for name, row in networks.items():
        if only and row["family"] not in only:
            continue
        failures += not line(folder / name, name, row)
        sys.stdout.flush()
    print(f"{len(networks)} networks, {failures} failures")
    return 1 if failures else 0


def line(path: Path, name: str, row: dict[str, str]) -> bool:
    """Print one row of the table; True when it is as expected."""
    begin = time.perf_counter()
    try:
        network = load(path).network
    except ModelError as problem:
        text = " ".join(problem.message.split()[1:])[:160]
        print(f"{name:76s} refused   {text}")
        return row["piecewise_linear"] != "1"
    seconds = time.perf_counter() - begin
    data = path.read_bytes()
    data = gzip.decompress(data) if path.suffix == ".gz" else data
    rng = np.random.default_rng(0)
    samples = SAMPLES
    points = rng.uniform(-1, 1, (samples, network.input_size))
    expected, found = reference(data, network, points), evaluate(network, points)
    difference = np.abs(expected - found).max() / max(np.abs(expected).max(), 1e-300)
    good = bool(difference <= TOLERANCE) and row["piecewise_linear"] == "1"
    counts = f"{len(network.blocks):6d} {network.relu_count:7d} {row['n_relu']:>7s}"
    print(f"{name:76s} {'loads' if good else 'WRONG':9s} {counts} {seconds:8.3f} {difference:12.2e}")
    return good


if __name__ == "__main__":
    sys.exit(main())
