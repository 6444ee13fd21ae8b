"""The shipped policies are the files their READMEs describe, and each has a spec that points at it."""

from __future__ import annotations

import hashlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest

ROOT = Path(__file__).resolve().parents[2]
SIZES = {
    "cartpole_ppo": (4, 32, 32, 2),
    "cartpole_dqn": (4, 24, 24, 2),
    "mountaincar": (2, 32, 32, 3),
    "collision_avoidance": (4, 32, 32, 5),
    "double_integrator": (2, 24, 24, 1),
}
MODELS = sorted(SIZES)


def readme(model: str) -> str:
    return (ROOT / "models" / model / "README.md").read_text(encoding="utf-8")


def spec(model: str) -> str:
    return (ROOT / "specs" / model / f"{model}.nnspec").read_text(encoding="utf-8")


def load(model: str) -> onnx.ModelProto:
    return onnx.load(ROOT / "models" / model / "policy.onnx")


def width(value: onnx.ValueInfoProto) -> list[int]:
    return [axis.dim_value for axis in value.type.tensor_type.shape.dim]


def test_every_folder_with_a_policy_is_listed() -> None:
    assert sorted(path.parent.name for path in (ROOT / "models").glob("*/policy.onnx")) == MODELS


@pytest.mark.parametrize("model", MODELS)
def test_readme_records_the_committed_file(model: str) -> None:
    digest = hashlib.sha256((ROOT / "models" / model / "policy.onnx").read_bytes()).hexdigest()
    assert f"`{digest}`" in readme(model)


@pytest.mark.parametrize("model", MODELS)
def test_policy_has_the_documented_shape(model: str) -> None:
    proto, sizes = load(model), SIZES[model]
    onnx.checker.check_model(proto, full_check=True)
    assert "-".join(map(str, sizes)) in readme(model)
    assert [(i.version, i.domain) for i in proto.opset_import] == [(17, "")]
    assert [node.op_type for node in proto.graph.node] == ["Gemm", "Relu", "Gemm", "Relu", "Gemm"]
    assert [width(v) for v in proto.graph.input] == [[1, sizes[0]]]
    assert [width(v) for v in proto.graph.output] == [[1, sizes[-1]]]
    assert [v.type.tensor_type.elem_type for v in proto.graph.input] == [onnx.TensorProto.FLOAT]
    for value in (*proto.graph.input, *proto.graph.output):
        assert f"`{value.name}` {width(value)}" in readme(model)


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_finite_float32(model: str) -> None:
    tensors = [onnx.numpy_helper.to_array(t) for t in load(model).graph.initializer]
    assert all(t.dtype == np.float32 and np.isfinite(t).all() for t in tensors)
    shapes = [shape for a, b in zip(SIZES[model], SIZES[model][1:], strict=False) for shape in ((b, a), (b,))]
    assert [t.shape for t in tensors] == shapes


@pytest.mark.parametrize("model", MODELS)
def test_spec_points_at_the_policy_and_expects_a_verdict_of_each_property(model: str) -> None:
    text = spec(model)
    (target,) = re.findall(r'onnx\("([^"]+)"\)', text)
    assert (ROOT / "specs" / model / target).resolve() == ROOT / "models" / model / "policy.onnx"
    expected = re.findall(r"@expect\((\w+)\)\nproperty (\w+)", text)
    assert [name for _, name in expected] == re.findall(r"^property (\w+)", text, flags=re.MULTILINE)
    assert {verdict for verdict, _ in expected} == {"proved", "refuted", "witnessed"}


def test_index_lists_every_property_under_its_expected_verdict() -> None:
    index = (ROOT / "models" / "README.md").read_text(encoding="utf-8")
    for model in MODELS:
        expected = re.findall(r"@expect\((\w+)\)\nproperty (\w+)", spec(model))
        columns = [
            ", ".join(name for verdict, name in expected if verdict == wanted)
            for wanted in ("proved", "refuted", "witnessed")
        ]
        assert "| " + " | ".join([model, *columns]) + " |" in index


@pytest.fixture(scope="module")
def sample_check() -> ModuleType:
    location = importlib.util.spec_from_file_location("sample_check", ROOT / "models" / "sample_check.py")
    assert location is not None and location.loader is not None
    module = importlib.util.module_from_spec(location)
    sys.modules[location.name] = module  # dataclasses look their module up
    location.loader.exec_module(module)
    return module


def test_uniform_samples_miss_the_violations_that_are_there(sample_check: ModuleType) -> None:
    for claim in sample_check.CLAIMS:
        assert f"@expect(refuted)\nproperty {claim.name} " in spec(claim.model)
        points = np.random.default_rng(0).uniform(claim.lower, claim.upper, (100_000, len(claim.lower)))
        assert (sample_check.excess(claim, points) < 0).all()
        assert sample_check.excess(claim, np.array([claim.witness]))[0] > 0
