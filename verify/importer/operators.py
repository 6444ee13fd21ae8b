"""Which operators are supported, by what, and what to do about the others: literal tables."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from verify.importer import affine, elementwise, pooling, shape
from verify.importer.graph import Lowering

# Work on constants as well as on dynamic tensors: they only move elements.
MOVES: Mapping[str, Lowering] = MappingProxyType(
    {
        "Cast": shape.cast,
        "Concat": shape.concat,
        "DepthToSpace": shape.depth_to_space,
        "Dropout": shape.dropout,
        "Expand": shape.expand,
        "Flatten": shape.flatten,
        "Gather": shape.gather,
        "Identity": shape.identity,
        "Pad": shape.pad,
        "Reshape": shape.reshape,
        "Shape": shape.shape_of,
        "Size": shape.shape_of,
        "Slice": shape.slice_,
        "SpaceToDepth": shape.depth_to_space,
        "Split": shape.split,
        "Squeeze": shape.squeeze,
        "Tile": shape.tile,
        "Transpose": shape.transpose,
        "Unsqueeze": shape.unsqueeze,
        "Where": shape.where,
    }
)

OPERATORS: Mapping[str, Lowering] = MappingProxyType({
    **MOVES,
    "Abs": elementwise.absolute,
    "Add": elementwise.add,
    "AveragePool": pooling.average_pool,
    "BatchNormalization": affine.batch_normalization,
    "Clip": elementwise.clip,
    "Conv": affine.conv,
    "ConvTranspose": affine.conv_transpose,
    "Div": elementwise.div,
    "Gemm": affine.gemm,
    "GlobalAveragePool": pooling.global_pool,
    "GlobalMaxPool": pooling.global_pool,
    "HardSigmoid": elementwise.hard_sigmoid,
    "LeakyRelu": elementwise.leaky_relu,
    "MatMul": affine.matmul,
    "Max": elementwise.max_min,
    "MaxPool": pooling.max_pool,
    "Mean": elementwise.sum_all,
    "Min": elementwise.max_min,
    "Mul": elementwise.mul,
    "Neg": elementwise.neg,
    "PRelu": elementwise.p_relu,
    "ReduceMax": pooling.reduce,
    "ReduceMean": pooling.reduce,
    "ReduceMin": pooling.reduce,
    "ReduceSum": pooling.reduce,
    "Relu": elementwise.relu,
    "Sub": elementwise.sub,
    "Sum": elementwise.sum_all,
})  # fmt: skip

# Constants may hold infinities here: they mean "no bound".
UNBOUNDED = frozenset({"Clip", "Cast", "Constant", "Identity"})

# Never folded, even when every input is constant.
RANDOM = frozenset({
    "Bernoulli", "Multinomial", "RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike",
})  # fmt: skip

_SMOOTH = "not piecewise linear; retrain with ReLU, or replace it by HardSigmoid or Clip"
_DECISION = "cut the graph before it and state the decision in the spec (argmax, comparison)"
_UNROLL = "unroll it when exporting, so that the graph has no control flow"
_RECURRENT = "unroll the cell over a fixed number of steps with Gemm and Relu"
_SOFTMAX = "cut the graph before it: the order of the logits decides, and Softmax keeps it"
_QUANTISED = "export the float model; quantised arithmetic is not supported"
_ATTENTION = "attention multiplies dynamic tensors; it is not piecewise linear"
_NORM = "it divides by a computed deviation; fold it into the weights or retrain with BatchNormalization"

REWRITES: Mapping[str, str] = MappingProxyType({
    "ArgMax": _DECISION, "ArgMin": _DECISION, "TopK": _DECISION, "NonZero": _DECISION, "Hardmax": _DECISION,
    "Equal": _DECISION, "Greater": _DECISION, "GreaterOrEqual": _DECISION, "Less": _DECISION,
    "LessOrEqual": _DECISION, "Not": _DECISION, "And": _DECISION, "Or": _DECISION, "Xor": _DECISION,
    "Sign": _DECISION, "Round": _DECISION, "Floor": _DECISION, "Ceil": _DECISION, "Mod": _DECISION,
    "Where": "make its condition a constant",
    "Softmax": _SOFTMAX, "LogSoftmax": _SOFTMAX,
    "Sigmoid": _SMOOTH, "Tanh": _SMOOTH, "Elu": _SMOOTH, "Selu": _SMOOTH, "Celu": _SMOOTH, "Gelu": _SMOOTH,
    "Softplus": _SMOOTH, "Softsign": _SMOOTH, "Mish": _SMOOTH, "Swish": _SMOOTH, "HardSwish": _SMOOTH,
    "Erf": _SMOOTH, "Exp": _SMOOTH, "Log": _SMOOTH, "Sqrt": _SMOOTH, "Reciprocal": _SMOOTH,
    "Sin": _SMOOTH, "Cos": _SMOOTH, "Tan": _SMOOTH, "Atan": _SMOOTH, "Pow": _SMOOTH,
    "ReduceProd": _SMOOTH, "ReduceL2": _SMOOTH, "ReduceSumSquare": _SMOOTH, "ReduceLogSumExp": _SMOOTH,
    "Mul": "keep one factor constant", "Div": "divide by a constant",
    "Shrink": "it jumps; replace it by Relu forms", "ThresholdedRelu": "it jumps; replace it by Relu",
    "If": _UNROLL, "Loop": _UNROLL, "Scan": _UNROLL,
    "LSTM": _RECURRENT, "GRU": _RECURRENT, "RNN": _RECURRENT,
    "QuantizeLinear": _QUANTISED, "DequantizeLinear": _QUANTISED, "QLinearConv": _QUANTISED,
    "QLinearMatMul": _QUANTISED, "MatMulInteger": _QUANTISED, "ConvInteger": _QUANTISED,
    "Attention": _ATTENTION, "Einsum": "write it as MatMul with a constant operand",
    "LayerNormalization": _NORM, "InstanceNormalization": _NORM, "GroupNormalization": _NORM,
    "RMSNormalization": _NORM, "LpNormalization": _NORM, "MeanVarianceNormalization": _NORM, "LRN": _NORM,
    "Resize": "use ConvTranspose, or Tile and Reshape for nearest-neighbour scaling",
    "Upsample": "use ConvTranspose, or Tile and Reshape for nearest-neighbour scaling",
    "ScatterND": "use Concat of slices", "ScatterElements": "use Concat of slices",
    "GatherND": "use Gather with constant indices", "GatherElements": "use Gather with constant indices",
})  # fmt: skip

FALLBACK_REWRITE = "express it with Gemm, Conv, Add, Relu, Max, Min, Concat or Slice, or cut it off the graph"


def rewrite_for(op: str) -> str:
    """What to do about an unsupported operator."""
    return REWRITES.get(op, FALLBACK_REWRITE)


# What `discontinuous` lowers; listed here because most models have none of them, and it costs start-up.
JUMPS = frozenset({
    "And", "Cast", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Not", "Or", "Round",
    "Sign", "Where", "Xor",
})  # fmt: skip

# Not declared to callers of the VNN-LIB interface: they are supported by constants alone, and products and quotients
# of computed tensors are what such queries are about.
CONSTANT_ONLY = frozenset({"Div", "Mul"})


def declared_operators() -> tuple[str, ...]:
    """The operators that `verify supports --onnx-operators` names, in alphabetical order."""
    return tuple(sorted(({*OPERATORS, *JUMPS, "Constant", "ConstantOfShape"}) - CONSTANT_ONLY))
