"""What the training scripts share: seeding, a ReLU network, and writing it as ONNX.

The ONNX file is assembled node by node with `onnx.helper`, so it depends on no exporter, holds no
time stamp, and the same weights always give the same bytes.
"""

from __future__ import annotations

import hashlib
import random
import time
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

Layers = list[tuple[np.ndarray, np.ndarray]]
OPSET = 17
IR_VERSION = 8


def seed_everything(seed: int) -> None:
    """Make a run repeatable: one thread, one seed for Python, numpy and torch."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def relu_mlp(sizes: Sequence[int]) -> torch.nn.Sequential:
    """Return Linear, ReLU, …, Linear with the given widths, orthogonally initialised."""
    modules: list[torch.nn.Module] = []
    for i, (fan_in, fan_out) in enumerate(pairwise(sizes)):
        linear = torch.nn.Linear(fan_in, fan_out)
        torch.nn.init.orthogonal_(linear.weight, 2**0.5 if i < len(sizes) - 2 else 0.1)
        torch.nn.init.zeros_(linear.bias)
        modules += [linear, torch.nn.ReLU()]
    return torch.nn.Sequential(*modules[:-1])


def layers_of(net: torch.nn.Sequential) -> Layers:
    """Return the (weight, bias) pairs of a `relu_mlp`; weight has shape (out, in), float32."""
    return [
        (m.weight.detach().numpy().astype(np.float32), m.bias.detach().numpy().astype(np.float32))
        for m in net
        if isinstance(m, torch.nn.Linear)
    ]


def forward(layers: Layers, x: np.ndarray) -> np.ndarray:
    """Evaluate the network in float32 on x of shape (..., inputs)."""
    v = np.asarray(x, dtype=np.float32)
    for i, (weight, bias) in enumerate(layers):
        v = v @ weight.T + bias
        if i < len(layers) - 1:
            v = np.maximum(v, np.float32(0))
    return v


def write_onnx(path: Path, layers: Layers, *, name: str, input_name: str, output_name: str) -> str:
    """Write Gemm, Relu, …, Gemm with batch axis 1; return the file's SHA-256."""
    nodes, weights, value = [], [], input_name
    for i, (weight, bias) in enumerate(layers):
        weights += [numpy_helper.from_array(weight, f"w{i}"), numpy_helper.from_array(bias, f"b{i}")]
        last = i == len(layers) - 1
        z = output_name if last else f"z{i}"
        nodes.append(helper.make_node("Gemm", [value, f"w{i}", f"b{i}"], [z], name=f"gemm{i}", transB=1))
        if not last:
            nodes.append(helper.make_node("Relu", [z], [f"v{i}"], name=f"relu{i}"))
        value = f"v{i}"
    n_in, n_out = layers[0][0].shape[1], layers[-1][0].shape[0]
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(input_name, TensorProto.FLOAT, [1, n_in])],
        [helper.make_tensor_value_info(output_name, TensorProto.FLOAT, [1, n_out])],
        initializer=weights,
    )
    model = helper.make_model(graph, producer_name="policyproof models", opset_imports=[helper.make_opsetid("", OPSET)])
    model.ir_version = IR_VERSION
    onnx.checker.check_model(model, full_check=True)
    data = model.SerializeToString(deterministic=True)
    path.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def gym_returns(env_id: str, act: Callable[[np.ndarray], int], *, episodes: int, first_seed: int) -> np.ndarray:
    """Return one undiscounted return per episode; episode i is reset with seed first_seed + i."""
    import gymnasium

    env = gymnasium.make(env_id)
    returns = np.zeros(episodes)
    for i in range(episodes):
        obs, _ = env.reset(seed=first_seed + i)
        over = False
        while not over:
            obs, reward, terminated, truncated, _ = env.step(act(obs))
            returns[i] += float(reward)
            over = terminated or truncated
    return returns


def report(path: Path, digest: str, *, score: str, started: float) -> None:
    """Print the lines that each README records."""
    print(f"file     {path}")
    print(f"sha256   {digest}")
    print(f"score    {score}")
    print(f"seconds  {time.perf_counter() - started:.0f}")
