"""Random small ONNX models of the plain operators, for comparing the two ways of reading them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from onnx import TensorProto, helper, numpy_helper

from tests.importer.models import build, node

neat = st.sampled_from([0.0, 1.0, -1.0, 0.5, 2.0, -0.25, 3.0])
wild = st.floats(-4, 4, width=32).filter(lambda v: v == 0 or abs(v) > 1e-30)
numbers = st.one_of(neat, neat, wild)


class Draft:
    """A model under construction; `tensors` are its dynamic tensors with their shapes."""

    def __init__(self, draw: DrawFn) -> None:
        self.draw = draw
        self.tensors: dict[str, tuple[int, ...]] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.stored: dict[str, TensorProto] = {}
        self.numbers = draw(st.sampled_from([neat, numbers]))

    def constant(self, shape: tuple[int, ...]) -> str:
        """Of float32 or float64, raw or typed; sometimes through an Identity or a Constant node."""
        values = self.draw(st.lists(self.numbers, min_size=math.prod(shape), max_size=math.prod(shape)))
        name = f"c{len(self.stored)}_{len(self.nodes)}"
        kind = self.draw(st.sampled_from([np.float32, np.float32, np.float64]))
        array = np.array(values).reshape(shape).astype(kind)
        stored = numpy_helper.from_array(array, name)
        if self.draw(st.booleans()):
            code = TensorProto.FLOAT if kind is np.float32 else TensorProto.DOUBLE
            stored = helper.make_tensor(name, code, shape, array.ravel().tolist())
        form = self.draw(st.integers(0, 5))
        if form == 0:
            self.nodes.append(node("Constant", "", name, value=stored))
            return name
        self.stored[name] = stored
        if form == 1:
            self.nodes.append(node("Identity", name, f"{name}i"))
            return f"{name}i"
        return name

    def integers(self, values: list[int]) -> str:
        name = f"k{len(self.stored)}_{len(self.nodes)}"
        self.stored[name] = numpy_helper.from_array(np.array(values, dtype=np.int64), name)
        return name

    def add(self, op: str, inputs: str, shape: tuple[int, ...], **attributes: Any) -> None:
        name = f"t{len(self.nodes)}"
        self.nodes.append(node(op, inputs, name, **attributes))
        self.tensors[name] = shape

    def pick(self) -> tuple[str, tuple[int, ...]]:
        """A tensor, mostly the newest."""
        names = list(self.tensors)
        name = names[-1] if self.draw(st.integers(0, 3)) else self.draw(st.sampled_from(names))
        return name, self.tensors[name]

    def broadcastable(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        cut = self.draw(st.integers(0, len(shape)))
        return tuple(n if self.draw(st.booleans()) else 1 for n in shape[cut:])


def _elementwise(draft: Draft) -> None:
    name, shape = draft.pick()
    op = draft.draw(st.sampled_from(["Add", "Sub", "Mul", "Add", "Sub"]))
    other = draft.constant(draft.broadcastable(shape))
    swap = draft.draw(st.booleans())
    draft.add(op, f"{other} {name}" if swap else f"{name} {other}", shape)


def _unary(draft: Draft) -> None:
    name, shape = draft.pick()
    draft.add(draft.draw(st.sampled_from(["Relu", "Relu", "Relu", "Neg", "Identity", "Dropout"])), name, shape)


def _half(draft: Draft) -> None:
    name, shape = draft.pick()
    key = f"h{len(draft.nodes)}"
    draft.stored[key] = numpy_helper.from_array(np.float32(draft.draw(st.sampled_from([2.0, -4.0, 0.5]))), key)
    draft.add("Div", f"{name} {key}", shape)


def _sum(draft: Draft) -> None:
    name, shape = draft.pick()
    same = [n for n, s in draft.tensors.items() if s == shape]
    draft.add(draft.draw(st.sampled_from(["Add", "Sub"])), f"{name} {draft.draw(st.sampled_from(same))}", shape)


def _matmul(draft: Draft) -> None:
    name, shape = draft.pick()
    width = draft.draw(st.integers(1, 4))
    if len(shape) == 2 and draft.draw(st.integers(0, 3)) == 0:
        draft.add("MatMul", f"{draft.constant((width, shape[0]))} {name}", (width, shape[1]))
    elif shape:
        draft.add("MatMul", f"{name} {draft.constant((shape[-1], width))}", (*shape[:-1], width))


def _gemm(draft: Draft) -> None:
    name, shape = draft.pick()
    if len(shape) != 2:
        return
    width, turned = draft.draw(st.integers(1, 4)), draft.draw(st.booleans())
    inputs = f"{name} {draft.constant((width, shape[1]) if turned else (shape[1], width))}"
    if draft.draw(st.booleans()):
        inputs += f" {draft.constant(draft.broadcastable((shape[0], width)))}"
    scale = st.sampled_from([1.0, 0.5, -2.0])
    draft.add("Gemm", inputs, (shape[0], width), transB=int(turned), alpha=draft.draw(scale), beta=draft.draw(scale))


def _flatten(draft: Draft) -> None:
    name, shape = draft.pick()
    axis = draft.draw(st.integers(0, len(shape)))
    draft.add("Flatten", name, (math.prod(shape[:axis]), math.prod(shape[axis:])), axis=axis)


def _reshape(draft: Draft) -> None:
    name, shape = draft.pick()
    size = math.prod(shape)
    first = draft.draw(st.sampled_from([d for d in range(1, size + 1) if size % d == 0]))
    wanted = draft.draw(st.sampled_from([[first, -1], [-1, first], [1, first, size // first], [-1]]))
    result = tuple(size // abs(math.prod(wanted)) if d == -1 else d for d in wanted)
    draft.add("Reshape", f"{name} {draft.integers(wanted)}", result)


def _transpose(draft: Draft) -> None:
    name, shape = draft.pick()
    order = draft.draw(st.permutations(range(len(shape))))
    draft.add("Transpose", name, tuple(shape[a] for a in order), perm=order)


def _slice(draft: Draft) -> None:
    name, shape = draft.pick()
    axis = draft.draw(st.integers(0, len(shape) - 1))
    start = draft.draw(st.integers(0, shape[axis] - 1))
    step = draft.draw(st.integers(1, 2))
    kept = len(range(start, shape[axis], step))
    lists = [draft.integers([v]) for v in (start - shape[axis], 2**40, axis - len(shape), step)]
    draft.add("Slice", f"{name} {' '.join(lists)}", (*shape[:axis], kept, *shape[axis + 1 :]))


def _gather(draft: Draft) -> None:
    name, shape = draft.pick()
    axis = draft.draw(st.integers(0, len(shape) - 1))
    indices = draft.draw(st.lists(st.integers(-shape[axis], shape[axis] - 1), min_size=1, max_size=3))
    draft.add(
        "Gather", f"{name} {draft.integers(indices)}", (*shape[:axis], len(indices), *shape[axis + 1 :]), axis=axis
    )


def _concat(draft: Draft) -> None:
    name, shape = draft.pick()
    axis = draft.draw(st.integers(0, len(shape) - 1))
    fits = [n for n, s in draft.tensors.items() if s[:axis] + s[axis + 1 :] == shape[:axis] + shape[axis + 1 :]]
    fits = [n for n in fits if len(draft.tensors[n]) == len(shape)]
    other = draft.draw(st.sampled_from(fits))
    total = shape[axis] + draft.tensors[other][axis]
    draft.add("Concat", f"{name} {other}", (*shape[:axis], total, *shape[axis + 1 :]), axis=axis)


def _conv(draft: Draft) -> None:
    name, shape = draft.pick()
    if math.prod(shape) % 4 == 0:
        draft.add("Reshape", f"{name} {draft.integers([1, -1, 2, 2])}", (1, math.prod(shape) // 4, 2, 2))
    name, shape = draft.pick()
    if len(shape) < 3:
        return
    axes = len(shape) - 2
    kernel = tuple(draft.draw(st.integers(1, 2)) for _ in range(axes))
    pads = [draft.draw(st.integers(0, kernel[i % axes] - 1)) for i in range(2 * axes)]
    strides = [draft.draw(st.integers(1, 2)) for _ in range(axes)]
    reach = [shape[2 + i] + pads[i] + pads[axes + i] - kernel[i] for i in range(axes)]
    if min(reach) < 0:
        return
    groups = shape[1] if draft.draw(st.booleans()) else 1
    maps = groups * draft.draw(st.integers(1, 2))
    inputs = f"{name} {draft.constant((maps, shape[1] // groups, *kernel))}"
    if draft.draw(st.booleans()):
        inputs += f" {draft.constant((maps,))}"
    result = (shape[0], maps, *(reach[i] // strides[i] + 1 for i in range(axes)))
    draft.add("Conv", inputs, result, group=groups, pads=pads, strides=strides)


STEPS: list[Callable[[Draft], None]] = [
    _elementwise, _elementwise, _unary, _unary, _unary, _half, _sum, _matmul, _matmul, _gemm, _gemm, _flatten, _reshape,
    _transpose, _slice, _gather, _concat, _conv,
]  # fmt: skip


COPIES = [_elementwise, _elementwise, _unary, _unary, _half, _sum, _slice, _concat, _matmul]


@st.composite
def plain_models(draw: DrawFn, steps: list[Callable[[Draft], None]] = STEPS) -> onnx.ModelProto:
    """Any graph of plain operators, dead nodes included; outputs are one or two of its tensors."""
    draft = Draft(draw)
    for number in range(draw(st.integers(1, 2))):
        draft.tensors[f"x{number}"] = tuple(draw(st.lists(st.integers(1, 4), min_size=1, max_size=3)))
    inputs = dict(draft.tensors)
    for step in draw(st.lists(st.sampled_from(steps), min_size=1, max_size=10)):
        if max(map(math.prod, draft.tensors.values())) <= 64:
            step(draft)
    names = list(draft.tensors)
    outputs = {names[-1], draw(st.sampled_from(names))} if draw(st.booleans()) else {names[-1]}
    return build(draft.nodes, inputs, sorted(outputs), draft.stored)
