# ruff: noqa: E501
"""Every operator family: lowering equals onnx's float64 reference, evaluated exactly."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import helper

from tests.importer.models import NEWEST, build, compare, node, runtime, save
from verify.core.evaluate import evaluate
from verify.importer import load

RNG = np.random.default_rng(3)


def weights(*shape: int) -> np.ndarray:
    return RNG.integers(-40, 41, shape).astype(np.float32) / np.float32(7)


I64 = np.int64
W34, B4, W45 = weights(3, 4), weights(4), weights(4, 5)

# name: (nodes, inputs, stored, opset)
CASES: dict[str, tuple[list[Any], dict[str, Any], dict[str, Any], int]] = {
    "matmul": ([node("MatMul", "x w", "y")], {"x": [1, 3]}, {"w": W34}, 17),
    "matmul_vector": ([node("MatMul", "x w", "y")], {"x": [3]}, {"w": W34}, 17),
    "matmul_to_vector": ([node("MatMul", "x w", "y")], {"x": [2, 3]}, {"w": weights(3)}, 17),
    "matmul_dot": ([node("MatMul", "x w", "y")], {"x": [3]}, {"w": weights(3)}, 17),
    "matmul_left": ([node("MatMul", "w x", "y")], {"x": [4, 2]}, {"w": W34}, 17),
    "matmul_left_column": ([node("MatMul", "w x", "y")], {"x": [4]}, {"w": W34}, 17),
    "matmul_left_vector": ([node("MatMul", "w x", "y")], {"x": [3, 2]}, {"w": weights(3)}, 17),
    "matmul_rows": ([node("MatMul", "x w", "y")], {"x": [2, 2, 3]}, {"w": W34}, 13),
    "matmul_batched": ([node("MatMul", "x w", "y")], {"x": [2, 1, 2, 3]}, {"w": weights(3, 3, 4)}, 13),
    "matmul_batched_vector": ([node("MatMul", "x w", "y")], {"x": [3]}, {"w": weights(2, 3, 4)}, 13),
    "matmul_left_batched": ([node("MatMul", "w x", "y")], {"x": [3, 2]}, {"w": weights(2, 4, 3)}, 13),
    "gemm": ([node("Gemm", "x w b", "y", alpha=0.3, beta=1.7)], {"x": [1, 3]}, {"w": W34, "b": B4}, 17),
    "gemm_flipped": (
        [node("Gemm", "x w b", "y", transA=1, transB=1)], {"x": [3, 2]}, {"w": weights(4, 3), "b": weights(2, 4)}, 17),
    "gemm_left": ([node("Gemm", "w x b", "y", transB=1)], {"x": [2, 3]}, {"w": weights(4, 3), "b": weights(2)}, 17),
    "gemm_left_flipped": (
        [node("Gemm", "w x b", "y", transA=1, beta=-2.0)], {"x": [3, 2]}, {"w": weights(3, 4), "b": weights(4, 1)}, 11),
    "gemm_dynamic_offset": ([node("Gemm", "x w x", "y", beta=0.5)], {"x": [1, 3]}, {"w": weights(3, 3)}, 17),
    "gemm_no_offset": ([node("Gemm", "x w", "y")], {"x": [1, 3]}, {"w": W34}, 17),
    "conv": ([node("Conv", "x w b", "y")], {"x": [1, 2, 4, 5]}, {"w": weights(3, 2, 2, 3), "b": weights(3)}, 17),
    "conv_1d": (
        [node("Conv", "x w", "y", strides=[2], pads=[1, 2], dilations=[2])], {"x": [2, 2, 7]}, {"w": weights(3, 2, 3)}, 11),
    "conv_3d": ([node("Conv", "x w", "y", pads=[1, 0, 0, 0, 1, 0])], {"x": [1, 1, 3, 3, 3]}, {"w": weights(2, 1, 2, 2, 2)}, 11),
    "conv_groups": (
        [node("Conv", "x w b", "y", group=2, pads=[1, 1, 1, 1])], {"x": [1, 4, 3, 3]},
        {"w": weights(6, 2, 3, 3), "b": weights(6)}, 17),
    "conv_same_upper": (
        [node("Conv", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])], {"x": [1, 1, 5, 6]}, {"w": weights(1, 1, 3, 2)}, 17),
    "conv_same_lower": (
        [node("Conv", "x w", "y", auto_pad="SAME_LOWER", strides=[2, 1])], {"x": [1, 1, 4, 5]}, {"w": weights(1, 1, 3, 2)}, 17),
    "conv_valid": ([node("Conv", "x w", "y", auto_pad="VALID")], {"x": [1, 1, 4, 4]}, {"w": weights(1, 1, 3, 3)}, 17),
    "conv_after_pad": (
        [node("Pad", "x p v", "t"), node("Conv", "t w", "y")], {"x": [1, 1, 3, 3]},
        {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1], I64), "v": np.float32(0.7), "w": weights(2, 1, 3, 3)}, 17),
    "conv_transpose": (
        [node("ConvTranspose", "x w b", "y", strides=[2, 2], pads=[1, 0, 1, 1], output_padding=[1, 0])],
        {"x": [1, 2, 3, 3]}, {"w": weights(2, 3, 3, 2), "b": weights(3)}, 17),
    "conv_transpose_1d_groups": (
        [node("ConvTranspose", "x w", "y", group=2, dilations=[2])], {"x": [2, 4, 3]}, {"w": weights(4, 2, 2)}, 17),
    "conv_transpose_same": (
        [node("ConvTranspose", "x w", "y", auto_pad="SAME_UPPER", strides=[2, 2])], {"x": [1, 1, 2, 2]},
        {"w": weights(1, 1, 3, 3)}, 17),
    "add_both_orders": ([node("Add", "c x", "t"), node("Add", "t d", "y")], {"x": [2, 3]}, {"c": weights(3), "d": weights(2, 1)}, 17),
    "add_grows": ([node("Add", "x c", "y")], {"x": [3]}, {"c": weights(2, 3)}, 17),
    "sub_both": ([node("Sub", "c x", "t"), node("Sub", "t d", "y")], {"x": [2, 3]}, {"c": weights(3), "d": weights(3)}, 17),
    "mul_div": ([node("Mul", "c x", "t"), node("Div", "t d", "y")], {"x": [2, 3]}, {"c": weights(3), "d": weights(2, 1) + 9}, 17),
    "mul_zero": ([node("Mul", "c x", "t"), node("Relu", "t", "y")], {"x": [3]}, {"c": np.array([0, 1, -2.5])}, 17),
    "add_itself": ([node("Add", "x x", "t"), node("Sub", "t x", "y")], {"x": [3]}, {}, 17),
    "neg_sum_mean": (
        [node("Neg", "x", "n"), node("Sum", "x n c x", "s"), node("Mean", "s x c", "y")], {"x": [2, 3]}, {"c": weights(3)}, 13),
    "relu": ([node("Relu", "x", "t"), node("Relu", "t", "y")], {"x": [2, 3]}, {}, 17),
    "leaky": ([node("LeakyRelu", "x", "t", alpha=0.3), node("LeakyRelu", "t", "y")], {"x": [2, 3]}, {}, 6),
    "prelu": ([node("PRelu", "x s", "y")], {"x": [1, 2, 3]}, {"s": weights(2, 1)}, 17),
    "clip": ([node("Clip", "x l h", "y")], {"x": [7]}, {"l": np.float32(-0.7), "h": np.float32(1.3)}, 17),
    "clip_low": ([node("Clip", "x l", "y")], {"x": [7]}, {"l": np.float32(0)}, 13),
    "clip_high": ([node("Clip", "x - h", "y")], {"x": [7]}, {"h": np.float32(0.3)}, 11),
    "clip_crossed": ([node("Clip", "x l h", "y")], {"x": [7]}, {"l": np.float32(1), "h": np.float32(-1)}, 13),
    "clip_attributes": ([node("Clip", "x", "t", min=-0.5), node("Clip", "t", "y", max=0.25, min=-1.0)], {"x": [7]}, {}, 6),
    "max": ([node("Max", "c x z", "y")], {"x": [2, 3], "z": [3]}, {"c": weights(2, 1)}, 17),
    "min": ([node("Min", "x c z x", "y")], {"x": [2, 3], "z": [3]}, {"c": weights(2, 1)}, 8),
    "abs": ([node("Abs", "x", "y")], {"x": [5]}, {}, 17),
    "hard_sigmoid": ([node("HardSigmoid", "x", "y", alpha=0.3)], {"x": [9]}, {}, 17),
    "max_pool": ([node("MaxPool", "x", "y", kernel_shape=[2, 2], strides=[2, 2])], {"x": [1, 2, 4, 4]}, {}, 17),
    "max_pool_overlap": (
        [node("MaxPool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {"x": [1, 1, 4, 4]}, {}, 17),
    "max_pool_ceil": (
        [node("MaxPool", "x", "y", kernel_shape=[3], strides=[2], ceil_mode=1, dilations=[2])], {"x": [1, 2, 8]}, {}, 12),
    "average_pool": ([node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[1, 1, 1, 1])], {"x": [1, 2, 4, 4]}, {}, 17),
    "average_pool_counting": (
        [node("AveragePool", "x", "y", kernel_shape=[3, 2], pads=[1, 0, 1, 1], strides=[2, 2], count_include_pad=1)],
        {"x": [1, 1, 5, 4]}, {}, 17),
    "average_pool_ceil": (
        [node("AveragePool", "x", "y", kernel_shape=[3], strides=[2], ceil_mode=1)], {"x": [1, 1, 6]}, {}, 19),
    "average_pool_dilated": (
        [node("AveragePool", "x", "y", kernel_shape=[2], dilations=[3])], {"x": [1, 1, 6]}, {}, 19),
    "global_average": ([node("GlobalAveragePool", "x", "y")], {"x": [1, 2, 3, 2]}, {}, 17),
    "global_max": ([node("GlobalMaxPool", "x", "y")], {"x": [1, 2, 3, 2]}, {}, 17),
    "reduce_sum_input": ([node("ReduceSum", "x a", "y", keepdims=0)], {"x": [2, 3, 2]}, {"a": np.array([-1, 0], I64)}, 13),
    "reduce_sum_attribute": ([node("ReduceSum", "x", "y", axes=[1])], {"x": [2, 3, 2]}, {}, 11),
    "reduce_sum_all": ([node("ReduceSum", "x", "y", keepdims=0)], {"x": [2, 3]}, {}, 13),
    "reduce_noop": ([node("ReduceSum", "x", "y", noop_with_empty_axes=1)], {"x": [2, 3]}, {}, 13),
    "reduce_mean": ([node("ReduceMean", "x a", "y")], {"x": [2, 3, 2]}, {"a": np.array([1], I64)}, 18),
    "reduce_mean_attribute": ([node("ReduceMean", "x", "y", axes=[1, 2], keepdims=0)], {"x": [2, 3, 2]}, {}, 13),
    "reduce_max": ([node("ReduceMax", "x", "y", axes=[-1])], {"x": [2, 5]}, {}, 13),
    "reduce_min": ([node("ReduceMin", "x a", "y", keepdims=0)], {"x": [2, 5]}, {"a": np.array([0], I64)}, 18),
    "flatten": ([node("Flatten", "x", "t"), node("Flatten", "x", "y", axis=-1)], {"x": [2, 3, 2]}, {}, 13),
    "reshape": (
        [node("Reshape", "x s", "t"), node("Reshape", "t r", "y")], {"x": [2, 3, 2]},
        {"s": np.array([0, -1], I64), "r": np.array([3, 2, 2], I64)}, 17),
    "squeeze": ([node("Squeeze", "x", "t", axes=[0, 2]), node("Unsqueeze", "t", "y", axes=[0, 3])], {"x": [1, 2, 1, 3]}, {}, 11),
    "squeeze_input": (
        [node("Squeeze", "x a", "t"), node("Unsqueeze", "t b", "u"), node("Squeeze", "u", "y")], {"x": [1, 2, 1, 3]},
        {"a": np.array([-2], I64), "b": np.array([0, -1], I64)}, 13),
    "transpose": ([node("Transpose", "x", "t", perm=[1, 0, 2]), node("Transpose", "t", "y")], {"x": [2, 3, 2]}, {}, 17),
    "concat": ([node("Concat", "x c x", "y", axis=-1)], {"x": [2, 3]}, {"c": weights(2, 1)}, 17),
    "concat_matmul": ([node("Concat", "x c x", "t", axis=1), node("MatMul", "t w", "y")], {"x": [1, 3]}, {"c": weights(1, 1), "w": weights(7, 2)}, 17),
    "slice_attributes": ([node("Slice", "x", "y", starts=[1, -2], ends=[100, -1], axes=[0, 1])], {"x": [3, 4]}, {}, 9),
    "slice_inputs": (
        [node("Slice", "x s e a t", "y")], {"x": [5, 4]},
        {"s": np.array([-1, 0], I64), "e": np.array([-100, 3], I64), "a": np.array([0, 1], I64), "t": np.array([-2, 2], I64)}, 13),
    "gather": ([node("Gather", "x i", "y", axis=1)], {"x": [2, 4]}, {"i": np.array([[0, -1], [2, 2]], I64)}, 13),
    "gather_scalar": ([node("Gather", "x i", "y")], {"x": [2, 4]}, {"i": np.array(1, I64)}, 13),
    "split_attribute": ([node("Split", "x", "a b", axis=1, split=[1, 3]), node("Add", "a b", "y")], {"x": [2, 4]}, {}, 11),
    "split_input": ([node("Split", "x s", "a b", axis=-1), node("Sub", "b a", "y")], {"x": [2, 4]}, {"s": np.array([3, 1], I64)}, 13),
    "split_equal": ([node("Split", "x", "a b"), node("Sub", "b a", "y")], {"x": [4, 2]}, {}, 13),
    "split_count": ([node("Split", "x", "a b", num_outputs=2), node("MatMul", "a w", "y")], {"x": [5, 2]}, {"w": weights(2, 2)}, 18),
    "pad_attributes": ([node("Pad", "x", "y", pads=[1, 0, 0, 2], value=1.5)], {"x": [2, 3]}, {}, 10),
    "pad_crop": ([node("Pad", "x p", "y")], {"x": [2, 3]}, {"p": np.array([0, -1, 1, 0], I64)}, 13),
    "pad_axes": ([node("Pad", "x p v a", "y")], {"x": [2, 3]}, {"p": np.array([2, 1], I64), "v": np.float32(2), "a": np.array([1], I64)}, 18),
    "pad_reflect": ([node("Pad", "x p", "y", mode="reflect")], {"x": [3, 3]}, {"p": np.array([1, 2, 0, 0], I64)}, 13),
    "pad_edge": ([node("Pad", "x p", "y", mode="edge")], {"x": [2, 3]}, {"p": np.array([1, 0, 0, 2], I64)}, 13),
    "identity_dropout": ([node("Identity", "x", "t"), node("Dropout", "t", "y")], {"x": [3]}, {}, 10),
    "dropout_inputs": ([node("Dropout", "x r f", "y")], {"x": [3]}, {"r": np.float32(0.5), "f": np.array(False)}, 13),
    "expand": ([node("Expand", "x s", "y")], {"x": [2, 1]}, {"s": np.array([1, 3], I64)}, 13),
    "tile": ([node("Tile", "x s", "y")], {"x": [2, 1]}, {"s": np.array([1, 3], I64)}, 13),
    "where": ([node("Where", "c x d", "y")], {"x": [2, 2]}, {"c": np.array([True, False]), "d": weights(2)}, 16),
    "depth_to_space": ([node("DepthToSpace", "x", "y", blocksize=2)], {"x": [1, 8, 2, 1]}, {}, 13),
    "depth_to_space_crd": ([node("DepthToSpace", "x", "y", blocksize=2, mode="CRD")], {"x": [1, 8, 2, 1]}, {}, 13),
    "space_to_depth": ([node("SpaceToDepth", "x", "y", blocksize=2)], {"x": [1, 1, 4, 2]}, {}, 13),
    "batch_norm": (
        [node("Conv", "x w", "t"), node("BatchNormalization", "t s b m v", "u", epsilon=0.01), node("Relu", "u", "y")],
        {"x": [1, 1, 3, 3]}, {"w": weights(2, 1, 2, 2), "s": weights(2), "b": weights(2), "m": weights(2), "v": weights(2) ** 2}, 15),
    "batch_norm_flat": (
        [node("BatchNormalization", "x s b m v", "y", epsilon=0.125)],
        {"x": [1, 2]}, {"s": weights(2), "b": weights(2), "m": weights(2), "v": weights(2) ** 2}, 9),
    "constants": (
        [node("Constant", "", "a", value_float=1.5), node("Constant", "", "b", value_floats=[1.0, 2.0]),
         node("Constant", "", "i", value_ints=[1, 0]), node("Add", "x a", "t"), node("Mul", "t b", "u"),
         node("Gather", "u i", "v"), node("Constant", "", "k", value_int=1), node("Gather", "v k", "y")],
        {"x": [2]}, {}, 13),
    "shape_folding": (
        [node("Shape", "x", "s"), node("Gather", "s z", "n"), node("Mul", "n two", "m"), node("Concat", "m one", "r", axis=0),
         node("Reshape", "x r", "t"), node("ConstantOfShape", "n", "o", value=helper.make_tensor("v", 1, [1], [2.0])),
         node("Add", "t o", "y")],
        {"x": [2, 2]}, {"z": np.array([0], I64), "two": np.array([2], I64), "one": np.array([-1], I64)}, 13),
    "range_folding": (
        [node("Range", "a b c", "r"), node("Gather", "x r", "y")], {"x": [5]},
        {"a": np.array(0, I64), "b": np.array(5, I64), "c": np.array(2, I64)}, 13),
    "folded_weights": ([node("Add", "w w", "v"), node("Transpose", "v", "t"), node("MatMul", "x t", "y")], {"x": [1, 4]}, {"w": W34}, 13),
    "cast": ([node("Cast", "x", "t", to=11), node("Cast", "t", "y", to=11)], {"x": [3]}, {}, 13),
    "residual": (
        [node("MatMul", "x w", "a"), node("Add", "a b", "h"), node("Relu", "h", "r"), node("MatMul", "r v", "t"),
         node("Add", "t x", "u"), node("Relu", "u", "y")],
        {"x": [1, 4]}, {"w": weights(4, 4), "b": B4, "v": weights(4, 4)}, 17),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_lowering_equals_the_reference(name: str, tmp_path: Path) -> None:
    nodes, inputs, stored, opset = CASES[name]
    defective = name in (
        "conv_transpose_1d_groups",
        "pad_crop",
        "constants",
        "batch_norm_flat",
    )  # in the reference evaluator
    model = build(nodes, inputs, ["y"], stored, opset=opset)
    compare(model, tmp_path, **({"oracle": runtime, "tolerance": 1e-5} if defective else {}))


def test_broadcasting_before_opset_7(tmp_path: Path) -> None:
    nodes = [node("Add", "x c", "t", broadcast=1, axis=0), node("Mul", "t d", "y", broadcast=1)]
    stored = {"c": np.array([1.0, 2.0]), "d": np.array([3.0, 4.0, 5.0])}
    network = load(save(build(nodes, {"x": [2, 3]}, ["y"], stored, opset=6), tmp_path)).network
    x = np.arange(6.0).reshape(2, 3)
    expected = (x + stored["c"][:, None]) * stored["d"]
    assert evaluate(network, [Fraction(v) for v in x.ravel().tolist()]) == tuple(
        map(Fraction, expected.ravel().tolist())
    )


@pytest.mark.parametrize(
    "name", ["matmul", "gemm", "conv", "relu", "transpose", "concat", "abs", "neg_sum_mean", "max_pool"]
)
@pytest.mark.parametrize("opset", [8, 13, 21, NEWEST])
def test_several_opsets(name: str, opset: int, tmp_path: Path) -> None:
    nodes, inputs, stored, _ = CASES[name]
    compare(build(nodes, inputs, ["y"], stored, opset=opset), tmp_path, points=1)


def test_several_inputs_and_outputs(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "r"), node("Add", "r z", "y"), node("Transpose", "r", "q")]
    network = compare(build(nodes, {"x": ["batch", 3], "z": [4]}, ["y", "q", "r"], {"w": W34}), tmp_path)
    assert [p.name for p in network.inputs] == ["x", "z"]
    assert [p.shape for p in network.outputs] == [(1, 4), (4, 1), (1, 4)]
    assert network.outputs[1].value == network.outputs[2].value  # a transposed row is the same vector


def test_an_output_that_is_an_input(tmp_path: Path) -> None:
    network = compare(build([node("Identity", "x", "y")], {"x": [2, 3]}, ["y"]), tmp_path)
    assert network.blocks == ()


def test_a_scalar_and_a_constant_output(tmp_path: Path) -> None:
    nodes = [node("ReduceSum", "x", "y", keepdims=0), node("Add", "c c", "d")]
    compare(build(nodes, {"x": [3]}, ["y", "d"], {"c": weights(2)}), tmp_path)


def test_batch_norm_is_declared_and_correctly_rounded(tmp_path: Path) -> None:
    nodes, inputs, stored, opset = CASES["batch_norm"]
    network = compare(build(nodes, inputs, ["y"], stored, opset=opset), tmp_path)
    assert len(network.notes) == 1
    assert "BatchNormalization_u" in network.notes[0]


def test_rounded_folding_is_declared(tmp_path: Path) -> None:
    nodes = [node("Sqrt", "c", "s"), node("Mul", "x s", "y")]
    network = compare(build(nodes, {"x": [2]}, ["y"], {"c": np.array([2.0, 4.0])}), tmp_path)
    assert "Sqrt_s" in network.notes[0]


FOLDED = ["matmul", "gemm", "conv", "conv_transpose", "add_both_orders", "mul_div", "leaky", "clip", "max", "abs", "max_pool",
          "average_pool", "reduce_mean", "reduce_max", "concat", "residual"]  # fmt: skip


@pytest.mark.parametrize("name", FOLDED)
def test_constant_subexpressions_equal_the_reference(name: str, tmp_path: Path) -> None:
    nodes, inputs, stored, opset = CASES[name]
    known = {k: weights(*shape) for k, shape in inputs.items()}
    last = node("Add", "y extra", "out")
    compare(build([*nodes, last], {"extra": [1]}, ["out"], {**stored, **known}, opset=opset), tmp_path)


def test_exact_folding_needs_no_note(tmp_path: Path) -> None:
    nodes = [node("Mul", "c c", "s"), node("Add", "s c", "t"), node("Relu", "t", "r"), node("Mul", "x r", "y")]
    network = compare(build(nodes, {"x": [2]}, ["y"], {"c": weights(2)}), tmp_path)
    assert network.notes == ()
    nodes[0] = node("Div", "c d", "s")
    rounded = compare(build(nodes, {"x": [2]}, ["y"], {"c": weights(2) + 9, "d": np.array([3.0, 7.0])}), tmp_path)
    assert "Div_s" in rounded.notes[0]
    assert "correctly rounded" in rounded.notes[0]
