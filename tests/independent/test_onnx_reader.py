"""The independent reader of ONNX files: the same digest as the importer, or a refusal."""

from __future__ import annotations

import gzip
import struct
import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from tests.importer.models import build, info, node, save, tensor
from tests.independent.generated import COPIES, plain_models
from verify.core.evaluate import evaluate
from verify.errors import VerifyError
from verify.importer import load
from verify.independent.onnx_reader import read_network
from verify.independent.refusal import RefusedError

SHARED = Path(__file__).parents[2].parent / "shared" / "bench" / "dev"
MODELS = Path(__file__).parents[2] / "models"


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(plain_models() | plain_models(COPIES))
def test_reads_what_the_importer_reads(model: onnx.ModelProto) -> None:
    try:
        network = read_network(model.SerializeToString())
    except RefusedError:
        return
    with tempfile.TemporaryDirectory() as folder:
        other = load(save(model, Path(folder))).network
    assert network.digest == other.digest
    assert [(p.name, p.shape, p.element_type) for p in (*network.inputs, *network.outputs)] == [
        (p.name, p.shape, p.element_type) for p in (*other.inputs, *other.outputs)
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(plain_models())
def test_few_plain_models_are_refused(model: onnx.ModelProto) -> None:
    """Else the comparison above would compare nothing: only numbers that are no float64 may stop the reader."""
    try:
        read_network(model.SerializeToString())
    except RefusedError as problem:
        assert "no float64" in str(problem) or "depend" in str(problem), problem


@pytest.mark.parametrize("path", sorted(MODELS.rglob("*.onnx")), ids=lambda p: p.stem)
def test_shipped_models(path: Path) -> None:
    assert read_network(path.read_bytes()).digest == load(path).network.digest


FAMILIES = {
    "test": "*.onnx", "acasxu_2023": "ACASXU_run2a_[135]_*.onnx", "rl_benchmarks": "*.onnx*", "safenlp": "**/*.onnx",
    "mnist_fc": "*256x2.onnx.gz", "linearizenn": "*10_10.onnx.gz", "collins_rul_cnn": "*small*", "acc": "*.onnx",
}  # fmt: skip


@pytest.mark.skipif(not SHARED.exists(), reason="the shared corpus is not here")
@pytest.mark.parametrize("family", FAMILIES)
def test_public_networks(family: str) -> None:
    paths = sorted((SHARED / family / "onnx").glob(FAMILIES[family]))
    assert paths
    for path in paths:
        data = path.read_bytes()
        data = gzip.decompress(data) if path.suffix == ".gz" else data
        assert read_network(data).digest == load(path).network.digest, path


N = {"N": [[1.0, -2.0], [0.5, 4.0]], "c": [0.25, 1.0], "d": [0.5, 2.0], "t": [2.0], "n": [-1.0], "p": [0.1, 0.7],
     "q": numpy_helper.from_array(np.float64([1e20, 1.0]), "q"), "z": [0.0, 1.0], "s": [[2.0], [-3.0]]}  # fmt: skip
CANONICAL = {
    "a shift and back over a relu": "MatMul x N a; Relu a b; Add b c e; Mul e t f; Sub f d y",
    "two readers of a copy": "MatMul x N a; Neg a b; Add b c e; Sub b c f; Add e f y",
    "a reader less": "MatMul x N a; Add a c b; Relu a e; Add b e f; Sub f b y",
    "negative scale over a relu": "MatMul x N a; Relu a b; Mul b n e; Relu e f; Mul f t y",
    "cancelled": "Sub x x a; Add a c y",
    "inexact shift": "Add x q a; Mul a p b; MatMul b N e; Add e p y",
    "zero column": "Mul x z a; Relu a b; MatMul b N y",
    "a copy of a part": "MatMul x N a; Relu a b; Mul b z e; Add e b y",
    "scaled before a matrix": "Mul x p a; Sub a p b; MatMul b N e; Relu e y",
    "one column": "MatMul x s a; Relu a b; MatMul b w y",
    "the input itself": "Identity x y",
    "one part": "Transpose x a; Concat a b; MatMul N b e; Relu e y",
}


@pytest.mark.parametrize("case", CANONICAL)
def test_canonical_form(case: str, tmp_path: Path) -> None:
    words = [step.split() for step in CANONICAL[case].split("; ")]
    axis = {"Concat": {"axis": 0}}
    nodes = [node(op, " ".join(names[:-1]), names[-1], **axis.get(op, {})) for op, *names in words]
    model = build(nodes, {"x": (1, 2)}, ["y"], {**N, "w": [[1.0, 2.0]]})
    assert read_network(model.SerializeToString()).digest == load(save(model, tmp_path)).network.digest


def test_old_slices(tmp_path: Path) -> None:
    """Before opset 10 starts, ends and axes are attributes."""
    nodes = [
        node("Slice", "x", "a", starts=[1], ends=[-1], axes=[1]),
        node("Slice", "a", "y", starts=[0, 1], ends=[9, 3]),
    ]
    model = build(nodes, {"x": (2, 5)}, ["y"], opset=9)
    network = read_network(model.SerializeToString())
    assert network.digest == load(save(model, tmp_path)).network.digest
    assert network.outputs[0].shape == (2, 2)


def test_other_integers(tmp_path: Path) -> None:
    """32-bit ones, typed ones, and packed extents."""
    for stored in (
        numpy_helper.from_array(np.array([1, -2], dtype=np.int32), "k"),
        helper.make_tensor("k", TensorProto.INT32, [2], [1, -2]),
        helper.make_tensor("k", TensorProto.INT64, [2], [1, -2]),
    ):
        model = build([node("Gather", "x k", "y", axis=1)], X, ["y"], {"k": stored})
        assert read_network(model.SerializeToString()).digest == load(save(model, tmp_path)).network.digest
    data = plain().SerializeToString()
    assert data.count(b"\x08\x02\x08\x02") == 1
    path = tmp_path / "packed.onnx"
    path.write_bytes(data.replace(b"\x08\x02\x08\x02", b"\x0a\x02\x02\x02"))
    assert read_network(path.read_bytes()).digest == load(path).network.digest == read_network(data).digest


def test_means_what_it_says() -> None:
    weights = {"W": [[1.0, -2.0], [0.5, 4.0]], "b": [0.25, 1.0], "V": [[3.0], [-1.0]]}
    nodes = [node("MatMul", "x W", "a"), node("Add", "a b", "c"), node("Relu", "c", "d"), node("Gemm", "d V", "y")]
    network = read_network(build(nodes, {"x": (1, 2)}, ["y"], weights).SerializeToString())
    assert evaluate(network, [Fraction(1), Fraction(1, 2)]) == (Fraction(3, 2) * 3 - 1,)


# -- refusals ----------------------------------------------------------------------------------------------------

W = {"W": [[1.0, 2.0], [3.0, 4.0]]}
X = {"x": (1, 2)}


def plain(**options: Any) -> onnx.ModelProto:
    return build([node("MatMul", "x W", "y")], X, ["y"], W, **options)


def edited(change: Any, model: onnx.ModelProto | None = None) -> onnx.ModelProto:
    model = plain() if model is None else model
    change(model)
    return model


def one(op: str, inputs: str, stored: Any = (), shape: Any = (1, 2), **attributes: Any) -> onnx.ModelProto:
    return build([node(op, inputs, "y", **attributes)], {"x": shape}, ["y"], stored)


def _external(model: onnx.ModelProto) -> None:
    part = model.graph.initializer[0]
    part.ClearField("raw_data")
    part.data_location = TensorProto.EXTERNAL
    part.external_data.add(key="location", value="weights.bin")


def _located_elsewhere(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].data_location = TensorProto.EXTERNAL


def _function(model: onnx.ModelProto) -> None:
    model.functions.append(helper.make_function("d", "f", ["a"], ["b"], [node("Relu", "a", "b")], []))


def _both_data(model: onnx.ModelProto) -> None:
    model.graph.initializer[0].float_data.extend([1.0] * 4)


def _two_versions(model: onnx.ModelProto) -> None:
    model.opset_import.append(helper.make_opsetid("ai.onnx", 13))


def _second_layout(model: onnx.ModelProto) -> None:
    """A second graph message, which protobuf would merge into the first."""
    model.MergeFromString(model.SerializeToString())


integers = {"k": np.array([0, 5], dtype=np.int64)}
negative = {"k": np.array([-2, -1], dtype=np.int64)}
beyond = {"k": np.array([1, 2], dtype=np.int64)}
steps = {k: np.array([v], dtype=np.int64) for k, v in {"a": 1, "b": 0, "c": 1, "d": -1}.items()}
REFUSED: dict[str, tuple[onnx.ModelProto, str]] = {
    "duplicate initializer": (edited(lambda m: m.graph.initializer.append(tensor("W", [[1.0]]))), "two initializers"),
    "external data": (edited(_external), "external_data is not supported"),
    "data located elsewhere": (edited(_located_elsewhere), "external data"),
    "local function": (edited(_function), "functions is not supported"),
    "unknown operator": (one("Sigmoid", "x"), "not supported"),
    "unknown domain": (one("Relu", "x", domain="com.example"), "domain 'com.example'"),
    "unknown operator set": (
        edited(lambda m: m.opset_import.append(helper.make_opsetid("com.example", 1))),
        "unknown operator set",
    ),
    "two versions": (edited(_two_versions), "exactly one version"),
    "old operator set": (plain(opset=6), "operator set 6"),
    "no operator set": (edited(lambda m: m.ClearField("opset_import")), "exactly one version"),
    "data twice": (edited(_both_data), "data in float_data, raw_data"),
    "cut data": (edited(lambda m: setattr(m.graph.initializer[0], "raw_data", b"\0" * 15)), "cut short"),
    "data of another shape": (edited(lambda m: setattr(m.graph.initializer[0], "raw_data", b"\0" * 12)), "3 values"),
    "negative extent": (edited(lambda m: m.graph.initializer[0].dims.append(-1)), "shape"),
    "huge shape": (edited(lambda m: m.graph.initializer[0].dims.extend([2**62] * 4)), "4 values for shape"),
    "half floats": (one("Mul", "x h", {"h": np.float16([1.0])}), "element type 10"),
    "NaN": (one("Add", "x h", {"h": [float("nan"), 0.0]}), "NaN or infinite"),
    "infinity": (one("Add", "x h", {"h": [float("inf"), 0.0]}), "NaN or infinite"),
    "absurd number": (one("Mul", "x h", {"h": numpy_helper.from_array(np.float64([1e-200, 1]), "h")}), "2^±300"),
    "growing constant": (one("Add", "x h", {"h": [[1.0], [2.0]]}), "changes the shape"),
    "higher rank": (one("Add", "x h", {"h": [[[1.0, 2.0]]]}), "changes the shape"),
    "bias of another shape": (one("Gemm", "x W h", {**W, "h": [[1.0], [2.0]]}), "changes the shape"),
    "bilinear": (one("Mul", "x x"), "two tensors that depend"),
    "quotient": (one("Div", "x h", {"h": [3.0]}), "power of two"),
    "division by zero": (one("Div", "x h", {"h": [0.0]}), "power of two"),
    "constant data": (build([node("Relu", "W", "y")], X, ["y"], W), "do not depend on the inputs"),
    "constant output": (build([node("Relu", "x", "y")], X, ["y", "W"], W), "no float tensor"),
    "wrong shapes": (one("MatMul", "x W", {"W": [[1.0]]}), "shapes"),
    "transposed data": (one("Gemm", "x W", W, transA=1, shape=(2, 1)), "A is transposed"),
    "unknown attribute": (one("Relu", "x", alpha=0.5), "attribute 'alpha'"),
    "attribute of another type": (one("Flatten", "x", axis=1.0), "attribute 'axis'"),
    "training dropout": (
        one("Dropout", "x r t", {"r": np.float32(0.5), "t": np.float32(1.0)}),
        "3 inputs",
    ),
    "dropout mask": (build([node("Dropout", "x", "z y")], X, ["y"]), "more than a first output"),
    "batch normalisation": (one("BatchNormalization", "x W W W W", W), "not supported"),
    "flat convolution": (one("Conv", "x w", {"w": [1.0]}), "weights [1]"),
    "convolution of a matrix": (one("Conv", "x w", {"w": [[[1.0]]]}), "data [1, 2]"),
    "convolution of other channels": (one("Conv", "x w", {"w": np.ones((1, 3, 1))}, (1, 2, 4)), "1 groups"),
    "convolution bias of another length": (
        one("Conv", "x w b", {"w": np.ones((1, 2, 1)), "b": [1.0, 2.0]}, (1, 2, 4)), "weights [1, 2, 1], bias [2]"),
    "wide kernel": (one("Conv", "x w", {"w": np.ones((1, 2, 5))}, (1, 2, 4)), "wider than the data"),
    "padded by name": (one("Conv", "x w", {"w": np.ones((1, 2, 1))}, (1, 2, 4), auto_pad="VALID"), "'auto_pad'"),
    "reshape that does not fit": (one("Reshape", "x k", integers), "does not fit"),
    "negative extents": (one("Reshape", "x k", negative), "new shape"),
    "two unknown extents": (one("Reshape", "x k", {"k": np.array([-1, -1], dtype=np.int64)}), "new shape"),
    "no extents": (one("Reshape", "x k", {"k": np.array([0, 0, 0], dtype=np.int64)}), "new shape"),
    "float extents": (one("Reshape", "x k", {"k": [1.0, 2.0]}), "constant integers"),
    "index out of range": (one("Gather", "x k", beyond, axis=1), "out of range"),
    "different extents": (
        build([node("Transpose", "x", "z"), node("Concat", "x z", "y", axis=0)], X, ["y"]), "shapes differ"),
    "sum of shapes": (build([node("Transpose", "x", "z"), node("Add", "x z", "y")], X, ["y"]), "shapes"),
    "axis out of range": (one("Flatten", "x", axis=3), "axis 3"),
    "permutation": (one("Transpose", "x", perm=[0, 0]), "permutation"),
    "backward slice": (one("Slice", "x a b c d", steps), "a step backwards"),
    "empty slice": (one("Slice", "x b b c a", steps), "nothing is left"),
    "dynamic second axis": (build([node("Relu", "x", "y")], {"x": (1, "n")}, ["y"]), "dynamic axis"),
    "integer input": (build([node("Relu", "x", "y")], {"x": info("x", (2,), TensorProto.INT64)}, ["y"]), "type 7"),
    "no shape": (build([node("Relu", "x", "y")], {"x": info("x", None)}, ["y"]), "no shape"),
    "no inputs": (build([node("Relu", "W", "y")], {}, ["y"], W), "no inputs"),
    "no outputs": (build([node("Relu", "x", "y")], X, []), "no outputs"),
    "wrong order": (build([node("Relu", "a", "y"), node("Neg", "x", "a")], X, ["y"]), "stands before"),
    "cycle": (build([node("Relu", "y", "y")], X, ["y"]), "stands before"),
    "two producers": (build([node("Relu", "x", "y"), node("Neg", "x", "y")], X, ["y"]), "two tensors are named"),
    "shadowed input": (build([node("Relu", "x", "x")], X, ["x"]), "two tensors are named"),
    "missing tensor": (build([node("Relu", "q", "y")], X, ["y"]), "made by nothing"),
    "omitted input": (one("Slice", "x a b - c", steps), "made by nothing"),
    "sum that is no float64": (
        build([node("Concat", "x x", "z", axis=1), node("MatMul", "z V", "y")], {"x": (1, 1)}, ["y"],
              {"V": numpy_helper.from_array(np.float64([[1.0], [2.0**-80]]), "V")}),
        "no float64",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    model, reason = REFUSED[case]
    with pytest.raises(RefusedError) as caught:
        read_network(model.SerializeToString())
    assert reason in str(caught.value)


def test_second_graph_is_refused() -> None:
    data = plain().SerializeToString()
    with pytest.raises(RefusedError, match="occurs twice"):
        read_network(data + data)


def test_unknown_field_is_refused() -> None:
    with pytest.raises(RefusedError, match="unknown field 90"):
        read_network(plain().SerializeToString() + bytes([0xD0, 0x05, 0x01]))


# -- damage ------------------------------------------------------------------------------------------------------


def _same_or_refused(data: bytes, folder: Path) -> None:
    try:
        network = read_network(data)
    except RefusedError:
        return
    path = folder / "damaged.onnx"
    path.write_bytes(data)
    try:
        other = load(path).network
    except VerifyError as problem:
        assert problem.code == "E103"  # protobuf finds damage in parts that are skipped here
        return
    assert other.digest == network.digest


def _victim() -> bytes:
    nodes = [node("Sub", "x m", "a"), node("Gemm", "a W b", "c", transB=1), node("Relu", "c", "d"),
             node("Reshape", "d k", "e"), node("MatMul", "e V", "y")]  # fmt: skip
    stored = {"m": [0.5, 1.0], "W": [[1.0, 2.0], [3.0, 4.0]], "b": [1.0, 0.25], "V": [[1.0], [-1.0]],
              "k": np.array([1, -1], dtype=np.int64)}  # fmt: skip
    return build(nodes, X, ["y"], stored).SerializeToString()


def test_truncations_are_refused_or_read_alike(tmp_path: Path) -> None:
    data = _victim()
    for length in range(len(data)):
        _same_or_refused(data[:length], tmp_path)


def test_flipped_bits_are_refused_or_read_alike(tmp_path: Path) -> None:
    data = _victim()
    for bit in range(8 * len(data)):
        damaged = bytearray(data)
        damaged[bit // 8] ^= 1 << bit % 8
        _same_or_refused(bytes(damaged), tmp_path)


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 40))
def test_any_bytes_are_refused_or_read(noise: bytes, position: int, cut: int) -> None:
    data = _victim()
    for attempt in (noise, data[:position] + noise + data[position + cut :]):
        try:
            read_network(attempt)
        except RefusedError:
            continue


def varint(value: int) -> bytes:
    parts = bytearray()
    while value > 0x7F:
        parts.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*parts, value])


def nested(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def _deep() -> bytes:
    data = b""
    for _ in range(20_000):
        data = nested(6, data)  # AttributeProto.g
    return nested(7, nested(1, nested(5, data)))


def test_bombs_are_refused() -> None:
    ones = {"o": np.ones((1, 4096), dtype=np.float32), "t": np.ones((4096, 1), dtype=np.float32)}
    doubled = [node("Concat", f"t{k} t{k}" if k else "x x", f"t{k + 1}", axis=1) for k in range(60)]
    grown = [node("MatMul", "x t", "a"), node("MatMul", "a o", "b"), node("Reshape", "b k", "c"),
             node("MatMul", "c o", "d"), node("Reshape", "d k", "e"), node("MatMul", "e o", "y")]  # fmt: skip
    column = {**ones, "k": np.array([-1, 1], dtype=np.int64)}
    wide = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2**40])
    huge_pads = {"w": np.ones((1, 1, 2), dtype=np.float32)}
    for data in (
        _deep(),
        b"\xff" * 100_000,
        b"\x08\x01" * 400_000,  # field after field
        nested(7, nested(5, b"\x08\x01" * 400_000)),  # dims
        nested(7, nested(5, nested(1, b"\x01" * 400_000))),  # dims, packed
        nested(7, varint(1 << 3 | 2) + varint(2**63)),  # a length beyond the file
        b"\x3a" + b"\xff" * 9 + b"\x01",  # a length of 2^64 - 1
        struct.pack("<B", 0x0B),  # a group
        build(doubled, {"x": (1, 8)}, ["t60"]).SerializeToString(),
        build(grown, {"x": (1, 4096)}, ["y"], column).SerializeToString(),
        build([node("Relu", "x", "y")], {"x": wide}, ["y"]).SerializeToString(),
        build([node("Conv", "x w", "y", pads=[2**41, 2**41], dilations=[2**41])], {"x": (1, 1, 8)}, ["y"], huge_pads)
        .SerializeToString(),
        bytes(1 << 27),
    ):  # fmt: skip
        with pytest.raises(RefusedError):
            read_network(data)


@pytest.mark.parametrize(
    ("tensor", "reason"),
    [
        (b"\x08\x01\x10\x06" + nested(5, varint(2**31)), "32-bit integer is out of range"),
        (b"\x08\x01\x10\x06" + nested(5, varint(2**64 - 2**31 - 1)), "32-bit integer is out of range"),
        (b"\x08\x01\x10\x06" + nested(5, varint(2**31 - 1)), "no input"),
        (b"\x08\x01\x10\x06" + nested(5, varint(2**64 - 2**31)), "no input"),
        (b"\x08\x01\x10\x07" + nested(5, b"\x01"), "data in int32_data"),
        (b"\x08\x00\x10\x01", "no elements"),
        (b"\x08\x01\x10\x01", "0 values for shape"),
        (b"\x0a\x03\x80\x80\x08\x10\x07" + nested(9, bytes(1 << 20)), "no input"),
        (b"\x0a\x03\x81\x80\x08\x10\x07" + nested(9, bytes((1 << 20) + 8)), "integer tensor is too large"),
    ],
)
def test_crafted_tensors(tensor: bytes, reason: str) -> None:
    """The model has nothing but the tensor: where that is sound, the missing inputs are told."""
    graph = nested(5, tensor + nested(8, b"t"))
    with pytest.raises(RefusedError, match=reason):
        read_network(nested(7, graph) + nested(8, b"\x10\x11"))


def test_refusal_is_no_error_of_the_package() -> None:
    assert not issubclass(RefusedError, VerifyError)
