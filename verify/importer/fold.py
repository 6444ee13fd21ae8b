"""Constant nodes and constant subexpressions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from verify.importer.arithmetic import Array, add_at, exact, fractions, product
from verify.importer.graph import Builder, Lowering, Node, Tensor, UnsupportedError, Value, malformed

if TYPE_CHECKING:
    import onnx

# Choose or negate what is there: nothing to round.
EXACT = frozenset({
    "And", "Ceil", "ConstantOfShape", "Equal", "Floor", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "NonZero",
    "Not", "Or", "Round", "ScatterND", "Sign",
})  # fmt: skip


def constant_node(node: Node, to_array: Callable[[onnx.TensorProto], Array]) -> Array:
    """The value of a Constant node, any attribute form."""
    attributes = node.attributes
    if "value" in attributes:
        return to_array(attributes["value"])
    if "value_float" in attributes or "value_floats" in attributes:
        return np.asarray(attributes.get("value_float", attributes.get("value_floats")), dtype=np.float32)
    if "value_int" in attributes or "value_ints" in attributes:
        return np.asarray(attributes.get("value_int", attributes.get("value_ints")), dtype=np.int64)
    if "sparse_value" in attributes:
        return _dense(node, attributes["sparse_value"], to_array)
    raise UnsupportedError("a constant that is no number", "use a numeric constant")


def _dense(node: Node, sparse: onnx.SparseTensorProto, to_array: Callable[[onnx.TensorProto], Array]) -> Array:
    values, indices = to_array(sparse.values), to_array(sparse.indices)
    shape = tuple(sparse.dims)
    flat = indices if indices.ndim == 1 else np.ravel_multi_index(tuple(indices.T), shape)
    if values.ndim != 1 or len(flat) != len(values):
        raise malformed(node, "sparse value and indices differ in length")
    result = np.zeros(int(np.prod(shape)), dtype=values.dtype)
    result[flat] = values
    return result.reshape(shape)


def fold(
    node: Node, proto: onnx.NodeProto, args: Sequence[Array | None], build: Builder, *, lowering: Lowering | None
) -> tuple[Array, ...]:
    """The outputs of a node whose inputs are all constant.

    Guarantee: supported float operators are evaluated exactly and rounded once, correctly, where the result is no
    float64; others by onnx's reference evaluator in float64.  Every rounding is named in the notes.
    """
    floating = any(a is not None and a.dtype.kind == "f" for a in args)
    if not floating or lowering is None:
        if floating and node.op not in EXACT:
            build.notes.append(f"{node}: constant subexpression evaluated in float64, rounded")
        return _reference(node, proto, args)
    scratch = Builder([])
    first = None if args[0] is None else Tensor(scratch.ids(args[0]))
    found = lowering(node, [first, *args[1:]], scratch)
    build.notes.extend(scratch.notes)
    results = [_evaluated(scratch, v) for v in (found if isinstance(found, tuple) else (found,))]
    if any(r.dtype == object for r in results):
        build.notes.append(f"{node}: constant subexpression is the correctly rounded float64")
    return tuple(r.astype(np.float64) for r in results)


def _evaluated(scratch: Builder, value: Value) -> Array:
    """The exact value of a tensor that a builder without inputs made."""
    if not isinstance(value, Tensor):
        return exact(value)
    known: Array = np.zeros(0)
    for block in scratch.blocks:
        rows = np.repeat(np.arange(block.size), block.starts[1:] - block.starts[:-1])
        z = add_at(block.bias, rows, product(block.values, known[block.columns])) if len(rows) else block.bias
        z = np.where(block.relu & (z < 0), 0 * z, z)
        known = (
            np.concatenate([known, z]) if known.dtype == z.dtype else np.concatenate([fractions(known), fractions(z)])
        )
    pool = scratch.constants(value.ids)
    if not len(known):
        return pool
    inner = known[np.maximum(value.ids, 0)]
    return np.asarray(np.where(value.ids < 0, pool, inner))


def _reference(node: Node, proto: onnx.NodeProto, args: Sequence[Array | None]) -> tuple[Array, ...]:
    """onnx's reference evaluator on this one node."""
    from onnx import TypeProto, ValueInfoProto, helper
    from onnx.reference import ReferenceEvaluator

    feeds = {name: _widened(a) for name, a in zip(proto.input, args, strict=True) if name and a is not None}
    infos = [
        helper.make_tensor_value_info(n, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape) for n, a in feeds.items()
    ]
    outputs = [ValueInfoProto(name=name, type=TypeProto()) for name in proto.output if name]
    graph = helper.make_graph([proto], "fold", infos, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", node.opset)])
    try:
        results = ReferenceEvaluator(model).run(None, feeds)
    except (NotImplementedError, RuntimeError, ValueError, TypeError, KeyError, IndexError, AttributeError) as problem:
        raise UnsupportedError(f"its constant value cannot be computed: {problem}", "fold the constant") from problem
    return tuple(np.asarray(r) for r in results)


def _widened(value: Array) -> Array:
    return np.asarray(value, dtype=np.float64) if value.dtype == np.float32 else value
