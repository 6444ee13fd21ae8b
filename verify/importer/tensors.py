"""Writing numbers as ONNX tensors."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx

# element type of a VNN-LIB declaration: ONNX's; `real` becomes the widest float
TENSOR_TYPES = {
    "float16": onnx.TensorProto.FLOAT16, "float32": onnx.TensorProto.FLOAT, "float64": onnx.TensorProto.DOUBLE,
    "bfloat16": onnx.TensorProto.BFLOAT16, "int8": onnx.TensorProto.INT8, "int16": onnx.TensorProto.INT16,
    "int32": onnx.TensorProto.INT32, "int64": onnx.TensorProto.INT64, "uint8": onnx.TensorProto.UINT8,
    "uint16": onnx.TensorProto.UINT16, "uint32": onnx.TensorProto.UINT32, "uint64": onnx.TensorProto.UINT64,
    "bool": onnx.TensorProto.BOOL, "real": onnx.TensorProto.DOUBLE, "Real": onnx.TensorProto.DOUBLE,
}  # fmt: skip


def write_tensor(path: Path, name: str, *, element_type: str, shape: Sequence[int], values: Sequence[Fraction]) -> None:
    """Write a serialised TensorProto; each value is rounded to its element type.  Raises OSError."""
    kind = TENSOR_TYPES[element_type]
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    numbers = (
        np.array([float(v) for v in values], dtype=np.float64) if dtype.kind not in "iu" else [int(v) for v in values]
    )
    array = np.asarray(numbers).astype(dtype).reshape(tuple(shape))
    path.write_bytes(onnx.numpy_helper.from_array(array, name).SerializeToString())
