"""Bad models: each a ModelError with its code and a fix."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tests.importer.models import build, info, node, save, tensor
from verify.errors import ModelError
from verify.importer import inspect, load

W = {"w": np.ones((3, 4))}
GOOD = build([node("MatMul", "x w", "y")], {"x": [1, 3]}, ["y"], W)


def failure(path: Path) -> ModelError:
    with pytest.raises(ModelError) as caught:
        load(path)
    assert caught.value.fix
    return caught.value


def test_files(tmp_path: Path) -> None:
    assert failure(tmp_path / "none.onnx").code == "E101"
    assert failure(tmp_path).code == "E102"
    good = GOOD.SerializeToString()
    for name, data in {
        "empty": b"",
        "text": b"this is no model\n" * 20,
        "truncated": good[: len(good) // 2],
        "zeros": bytes(100),
        "gzip": gzip.compress(good)[:-9],
        "damaged": b"\x1f\x8b" + b"x" * 40,
    }.items():
        path = tmp_path / name
        path.write_bytes(data)
        assert failure(path).code == "E103", name


def test_every_truncation_is_an_error_or_still_sound(tmp_path: Path) -> None:
    good, path = GOOD.SerializeToString(), tmp_path / "cut.onnx"
    for length in range(len(good)):
        path.write_bytes(good[:length])
        assert failure(path).code.startswith("E1")


def relu(**inputs: Any) -> onnx.ModelProto:
    return build([node("Relu", "x", "y")], inputs, ["y"])


MODELS: dict[str, tuple[onnx.ModelProto, str, str]] = {
    "old opset": (build([node("Relu", "x", "y")], {"x": [1]}, ["y"], opset=5), "E104", "operator set 5"),
    "new opset": (build([node("Relu", "x", "y")], {"x": [1]}, ["y"], opset=999), "E104", "999"),
    "inner shapes": (build([node("MatMul", "x w", "y")], {"x": [1, 5]}, ["y"], W), "E106", "MatMul_y"),
    "broadcast": (build([node("Add", "x w", "y")], {"x": [1, 5]}, ["y"], W), "E106", "Add_y"),
    "reshape": (
        build([node("Reshape", "x s", "y")], {"x": [5]}, ["y"], {"s": np.array([2, -1])}), "E106", "Reshape_y"),
    "gather range": (build([node("Gather", "x i", "y")], {"x": [5]}, ["y"], {"i": np.array([5])}), "E106", "Gather_y"),
    "missing operand": (build([node("Add", "x -", "y")], {"x": [5]}, ["y"]), "E106", "Add_y"),
    "no operands": (build([node("Relu", "", "y")], {"x": [5]}, ["y"]), "E106", "Relu_y"),
    "division by zero": (build([node("Div", "x c", "y")], {"x": [1]}, ["y"], {"c": np.zeros(1)}), "E106", "zero"),
    "nan": (
        build([node("MatMul", "x w", "y")], {"x": [1, 1]}, ["y"], {"w": np.array([[np.nan]])}),
        "E107", "'w' holds NaN"),
    "infinite": (build([node("Add", "x w", "y")], {"x": [1]}, ["y"], {"w": np.array([np.inf])}), "E107", "infinite"),
    "unknown tensor": (build([node("Add", "x q", "y")], {"x": [1]}, ["y"]), "E108", "'q'"),
    "unknown output": (build([node("Relu", "x", "y")], {"x": [1]}, ["z"]), "E108", "'z'"),
    "dynamic axis": (relu(x=["batch", "time"]), "E109", "axis 1 (time)"),
    "no shape": (relu(x=info("x", None)), "E109", "'x'"),
    "integer input": (relu(x=info("x", [1], TensorProto.INT64)), "E110", "int64"),
    "boolean input": (relu(x=info("x", [1], TensorProto.BOOL)), "E110", "bool"),
    "half input": (relu(x=info("x", [1], TensorProto.FLOAT16)), "E110", "float16"),
    "integer output": (
        build([node("Relu", "x", "y")], {"x": [1]}, [info("y", [1], TensorProto.INT32)]), "E110", "int32"),
    "cycle": (build([node("Add", "x b", "a"), node("Relu", "a", "b")], {"x": [1]}, ["b"]), "E112", "cycle"),
    "two producers": (build([node("Relu", "x", "y"), node("Neg", "x", "y")], {"x": [1]}, ["y"]), "E112", "'y'"),
    "two initialisers": (
        helper.make_model(helper.make_graph([node("Add", "x w", "y")], "g", [info("x", [1])], [info("y", None)],
                                            [tensor("w", [1.0]), tensor("w", [2.0])])), "E112", "'w'"),
    "no inputs": (build([node("Relu", "w", "y")], {}, ["y"], W), "E113", "no inputs"),
    "no outputs": (build([node("Relu", "x", "y")], {"x": [1]}, []), "E113", "no outputs"),
}  # fmt: skip


@pytest.mark.parametrize("name", MODELS)
def test_malformed_models(name: str, tmp_path: Path) -> None:
    model, code, text = MODELS[name]
    error = failure(save(model, tmp_path))
    assert (error.code, text in error.message) == (code, True), error


def test_damaged_names_and_types(tmp_path: Path) -> None:
    model = build([node("Relu", "x", "y")], {"x": [1, 3]}, ["y"])
    path = save(model, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"Relu", b"Re\xfeu"))
    assert failure(path).code == "E103"
    model.graph.input[0].type.tensor_type.elem_type = 77
    assert "element type 77" in failure(save(model, tmp_path)).message


def test_an_output_without_elements_and_a_huge_input(tmp_path: Path) -> None:
    stored = {"s": np.array([3]), "e": np.array([1])}
    assert failure(save(build([node("Slice", "x s e", "y")], {"x": [4]}, ["y"], stored), tmp_path)).code == "E106"
    assert failure(save(relu(x=[1, 1 << 40]), tmp_path)).code == "E115"


def test_tensor_data_that_do_not_fit_the_shape(tmp_path: Path) -> None:
    model = onnx.ModelProto()
    model.CopyFrom(GOOD)
    model.graph.initializer[0].dims[0] = 7
    assert failure(save(model, tmp_path)).code == "E106"


def test_all_unsupported_nodes_at_once(tmp_path: Path) -> None:
    nodes = [
        node("Sigmoid", "x", "a"),
        node("Mul", "x x", "b"),
        node("Add", "a b", "c"),
        node("Softmax", "c", "d"),
        helper.make_node("Thing", ["d"], ["y"], name="odd", domain="com.example"),
        node("Tanh", "x", "dead"),
    ]
    path = save(build(nodes, {"x": [1, 3]}, ["y"]), tmp_path, "bad.onnx")
    error = failure(path)
    assert error.code == "E105"
    assert error.message.splitlines()[1:] == [
        "    Sigmoid (node 'Sigmoid_a')",
        "    Mul (node 'Mul_b'): product of two tensors that both depend on the inputs",
        "    Softmax (node 'Softmax_d')",
        "    Thing (node 'odd'): custom domain 'com.example'",
    ]
    assert "cut the graph before it" in error.fix
    found = inspect(path)
    assert [(n.name, n.op) for n in found.unsupported] == [
        ("Sigmoid_a", "Sigmoid"), ("Mul_b", "Mul"), ("Softmax_d", "Softmax"), ("odd", "Thing")
    ]  # fmt: skip
    assert found.network is None


UNSUPPORTED: dict[str, onnx.ModelProto] = {
    "ArgMax": build([node("ArgMax", "x", "y")], {"x": [1, 3]}, ["y"]),
    "Div": build([node("Div", "c x", "y")], {"x": [1]}, ["y"], {"c": np.ones(1)}),
    "MatMul": build([node("MatMul", "x x", "y")], {"x": [2, 2]}, ["y"]),
    "Gemm": build([node("Gemm", "x x", "y")], {"x": [2, 2]}, ["y"]),
    "Dropout": build([node("Dropout", "x r t", "y")], {"x": [2]}, ["y"], {"r": np.float32(0.5), "t": np.array(True)}),
    "BatchNormalization": build(
        [node("BatchNormalization", "x c c c c", "y", training_mode=1)], {"x": [1, 1]}, ["y"], {"c": np.ones(1)}
    ),
    "MaxPool": build([node("MaxPool", "x", "z y", kernel_shape=[2])], {"x": [1, 1, 2]}, ["z"]),
    "Cast": build([node("Cast", "x", "y", to=7)], {"x": [1]}, ["y"]),
    "RandomNormal": build([node("RandomNormal", "", "r", shape=[1]), node("Add", "x r", "y")], {"x": [1]}, ["y"]),
    "Reshape": build([node("Reshape", "x x", "y")], {"x": [1]}, ["y"]),
}


@pytest.mark.parametrize("op", UNSUPPORTED)
def test_refused_by_name(op: str, tmp_path: Path) -> None:
    error = failure(save(UNSUPPORTED[op], tmp_path))
    assert error.code == "E105"
    assert f"    {op} (node " in error.message


def external(folder: Path, location: str, **entries: str) -> Path:
    model = onnx.ModelProto()
    model.CopyFrom(GOOD)
    stored = model.graph.initializer[0]
    stored.ClearField("raw_data")
    stored.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **entries}.items():
        stored.external_data.add(key=key, value=value)
    return save(model, folder)


def test_external_data(tmp_path: Path) -> None:
    folder, data = tmp_path / "in", np.arange(12, dtype=np.float32).tobytes()
    folder.mkdir()
    (folder / "w.bin").write_bytes(b"pad!" + data)
    found = load(external(folder, "w.bin", offset="4", length="48")).network
    assert [float(v) for v in found.blocks[0].terms[0].matrix.values][:3] == [0.0, 4.0, 8.0]
    load(external(folder, "./../in/w.bin", offset="4"))
    (tmp_path / "w.bin").write_bytes(data)
    os.symlink(tmp_path / "w.bin", folder / "link.bin")
    escapes = ["../w.bin", str(tmp_path / "w.bin"), "link.bin"]
    bad = ["missing.bin", "", "a\0b", "."]
    for location in escapes + bad:
        error = failure(external(folder, location))
        assert error.code == "E111", location
        assert ("leaves the model's folder" in error.message) == (location in escapes)
    assert failure(external(folder, "w.bin", offset="4", length="480")).code == "E111"
    assert failure(external(folder, "w.bin", offset="x")).code == "E111"
    assert failure(external(folder, "w.bin", offset="9000")).code == "E106"


def test_gzip_and_digest(tmp_path: Path) -> None:
    plain = save(GOOD, tmp_path)
    packed = tmp_path / "m.onnx.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert load(plain).sha256 == load(packed).sha256
    assert load(plain).network.digest == load(packed).network.digest


def test_initialisers_listed_as_inputs_and_nodes_out_of_order(tmp_path: Path) -> None:
    nodes = [node("Relu", "h", "y"), node("MatMul", "x w", "h"), node("Sigmoid", "x", "unused")]
    model = build(nodes, {"w": [3, 4], "x": ["batch", 3]}, ["y"], W)
    network = load(save(model, tmp_path)).network
    assert [p.name for p in network.inputs] == ["x"]
    assert network.relu_count == 4


def test_only_some_outputs(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Tanh", "h", "t")]
    path = save(build(nodes, {"x": [1, 3]}, ["h", "t"], W), tmp_path)
    assert failure(path).code == "E105"
    assert [p.name for p in load(path, outputs=["h"]).network.outputs] == ["h"]
    with pytest.raises(ModelError, match="no output 'q'"):
        load(path, outputs=["q"])


def test_a_huge_integer_constant_is_exact_or_refused(tmp_path: Path) -> None:
    weights = helper.make_tensor("w", TensorProto.DOUBLE, [1, 1], [0.1])
    model = build([node("MatMul", "x w", "y")], {"x": info("x", [1, 1], TensorProto.DOUBLE)}, [
        info("y", None, TensorProto.DOUBLE)], {"w": weights})  # fmt: skip
    network = load(save(model, tmp_path)).network
    assert network.inputs[0].element_type == "float64"
    assert float(network.blocks[0].terms[0].matrix.values[0]) == 0.1
