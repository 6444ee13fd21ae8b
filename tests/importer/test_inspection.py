"""inspect and the spec skeleton."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.importer.models import build, node, save
from verify.importer import inspect, spec_skeleton


def test_inspection(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Relu", "h", "y"), node("Neg", "z", "q")]
    path = save(build(nodes, {"x": ["n", 3], "z": [2]}, ["y", "q"], {"w": np.ones((3, 4))}), tmp_path, "pi.onnx")
    found = inspect(path)
    assert [(t.name, t.element_type, t.shape, t.first, t.size) for t in found.inputs] == [
        ("x", "float32", (1, 3), 0, 3), ("z", "float32", (2,), 3, 2)
    ]  # fmt: skip
    assert [(t.name, t.shape, t.first) for t in found.outputs] == [("y", (1, 4), 0), ("q", (2,), 4)]
    assert found.operators == (("MatMul", 1), ("Neg", 1), ("Relu", 1))
    assert (found.relu_count, found.parameter_count, found.opset, found.unsupported) == (4, 12, 17, ())


def test_skeleton(tmp_path: Path) -> None:
    path = save(build([node("MatMul", "x w", "y")], {"x": [1, 3]}, ["y"], {"w": np.ones((3, 2))}), tmp_path, "pi.onnx")
    assert (
        spec_skeleton(inspect(path), "my-pi")
        == f"""\
# {path}: the ranges below are placeholders, set the real ones (and units, raw = …)
network my_pi = onnx("pi.onnx") {{
  input x0 in [-1, 1]    # x[0, 0]
  input x1 in [-1, 1]    # x[0, 1]
  input x2 in [-1, 1]    # x[0, 2]
  output y0, y1    # y[1, 2]
}}

property first {{
  forall s : my_pi.input
  assert argmax(my_pi(s)) is y0
}}
"""
    )


def test_skeleton_of_large_tensors_and_odd_names(tmp_path: Path) -> None:
    stored = {"s": np.array([0, -1])}
    path = save(build([node("Reshape", "x s", "y")], {"x": [1, 8, 8]}, ["y"], stored), tmp_path, "m.onnx")
    text = spec_skeleton(inspect(path), "2 input")
    assert "network n_2_input = onnx(" in text
    assert "  input x[1, 8, 8] in [-1, 1]" in text
    assert "  output y[1, 64]" in text
    assert "network input_ = " in spec_skeleton(inspect(path), "input")
