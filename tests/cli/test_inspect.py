"""`verify inspect` on small real models."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from tests.report.golden import check_golden
from verify.cli.main import main


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """relu(obs @ w) with two outputs, in the current directory."""
    return save(tmp_path, monkeypatch, "Relu")


def save(folder: Path, monkeypatch: pytest.MonkeyPatch, operator: str) -> str:
    monkeypatch.chdir(folder)
    nodes = [
        helper.make_node("MatMul", ["obs", "w"], ["z"], name="first"),
        helper.make_node(operator, ["z"], ["act"], name="second"),
    ]
    weights = numpy_helper.from_array(np.eye(3, 2, dtype=np.float32), "w")
    ends = [helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, s]) for n, s in (("obs", 3), ("act", 2))]
    graph = helper.make_graph(nodes, "g", ends[:1], ends[1:], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8, producer_name="tests")
    onnx.save(made, "policy.onnx")
    return "policy.onnx"


def test_text(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", model]) == 0
    out = capsys.readouterr().out
    digest = next(row for row in out.splitlines() if "sha256" in row).split()[-1]
    check_golden("inspect.txt", out.replace(digest, "SHA256"))


def test_json(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", model, "--format", "json"]) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["schema"] == "verify/inspect/1" and document["supported"] is True
    obs = {"name": "obs", "element_type": "float32", "shape": [1, 3], "first": 0, "size": 3}
    assert document["inputs"] == [obs]
    assert (document["relus"], document["parameters"]) == (2, 6)
    assert document["skeleton"].count("input") >= 3


def test_unsupported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    model = save(tmp_path, monkeypatch, "Tanh")
    assert main(["inspect", model]) == 3
    out = capsys.readouterr().out
    assert "unsupported: 1 node" in out and "Tanh  (node 'second')" in out and "rewrite: " in out
    assert main(["inspect", model, "--format", "json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert document["unsupported"][0]["operator"] == "Tanh" and document["skeleton"] is None


@pytest.mark.parametrize("format_", ["text", "json"])
def test_no_model(format_: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "policy.onnx"
    file.write_bytes(b"not a model")
    assert main(["inspect", str(file), "--format", format_]) == 3
    out, err = capsys.readouterr()
    assert err.startswith("error[E1") and "Traceback" not in err
    assert out == "" if format_ == "text" else json.loads(out)["error"]["code"].startswith("E1")
