"""Replaying a point in ONNX Runtime, the model's own float arithmetic.  The only home of onnxruntime (lazy)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from verify.errors import ModelError
from verify.importer.read import FilePath, read_model

if TYPE_CHECKING:
    from verify.importer.repair import RuntimeModel

ELEMENT_BITS = {"float32": (24, -149, 128), "float64": (53, -1074, 1024)}  # precision, least exponent, overflow


def round_to(value: Fraction, element_type: str) -> float:
    """`value` rounded once, half to even, to float32 or float64.  Raises OverflowError beyond the finite range."""
    precision, least, overflow = ELEMENT_BITS[element_type]
    if not value:
        return 0.0
    n, d = abs(value.numerator), value.denominator
    exponent = n.bit_length() - d.bit_length()  # 2^(exponent - 1) < |value| < 2^(exponent + 1)
    if (n << max(0, -exponent)) >= (d << max(0, exponent)):
        exponent += 1
    unit = max(exponent - precision, least)  # the value lies in [2^(exponent - 1), 2^exponent)
    quotient, rest = divmod(n << max(0, -unit), d << max(0, unit))
    twice = 2 * rest - (d << max(0, unit))
    if twice > 0 or (twice == 0 and quotient & 1):
        quotient += 1
    if quotient.bit_length() + unit > overflow:
        raise OverflowError(f"{value} is beyond the range of {element_type}")
    return math.ldexp(quotient, unit) * (-1 if value < 0 else 1)


@dataclass(frozen=True)
class _Feed:
    name: str
    shape: tuple[int, ...]
    element_type: str  # of the session's input

    @property
    def size(self) -> int:
        return math.prod(self.shape)


class Replayer:
    """One model in ONNX Runtime: one thread, batch axis 1, warnings silenced.

    `hidden` names inner tensors that are returned after the model's outputs.

    Raises ModelError (E120) when the runtime refuses the model even after its declared types are repaired in
    memory; the caller may turn that into a note.
    """

    def __init__(self, path: FilePath, hidden: Sequence[str] = ()) -> None:
        from verify.importer.repair import runtime_model

        model = runtime_model(read_model(path), hidden)
        self._session = _session(model)
        self._feeds = tuple(
            _Feed(port.name, port.shape, "float64" if info.type == "tensor(double)" else "float32")
            for port, info in zip(model.inputs, self._session.get_inputs(), strict=True)
        )
        own = [info.name for info in self._session.get_outputs()]
        self._outputs = own[: len(own) - model.added] + list(hidden)

    @property
    def element_types(self) -> tuple[str, ...]:
        """The element type of every flat input element, as ONNX Runtime takes it."""
        return tuple(feed.element_type for feed in self._feeds for _ in range(feed.size))

    @property
    def runtime(self) -> str:
        import onnxruntime

        return f"onnxruntime {onnxruntime.__version__}"

    def round_inputs(self, values: Sequence[Fraction]) -> tuple[float, ...]:
        """Each value rounded once to its element's type.  Raises ModelError (E121) beyond the finite range."""
        try:
            return tuple(round_to(v, kind) for v, kind in zip(values, self.element_types, strict=True))
        except OverflowError as problem:
            raise ModelError("E121", f"replay: {problem}", fix="use a smaller input range") from None

    def run(self, flat_inputs: Sequence[float]) -> tuple[float, ...]:
        """The concatenated outputs at one point, in the model's own arithmetic.

        Raises ModelError (E120) when the runtime fails, ValueError when the number of inputs is wrong.
        """
        total = sum(feed.size for feed in self._feeds)
        if len(flat_inputs) != total:
            raise ValueError(f"{total} inputs needed, not {len(flat_inputs)}")
        feeds, position = {}, 0
        for feed in self._feeds:
            part = np.array(flat_inputs[position : position + feed.size], dtype=feed.element_type)
            feeds[feed.name] = part.reshape(feed.shape)
            position += feed.size
        results = _guarded(lambda: self._session.run(self._outputs, feeds))
        return tuple(float(v) for result in results for v in np.asarray(result).ravel())


def _session(model: RuntimeModel) -> Any:
    """A session of the model as it is, else with its declared types repaired."""
    try:
        return _start(model.data)
    except ModelError:
        repaired = model.repaired()
        if repaired is None:
            raise
        return _start(repaired)


def _start(data: bytes) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return _guarded(lambda: onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"]))


def _guarded(call: Callable[[], Any]) -> Any:
    """ONNX Runtime's own failures become ModelError."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    failures = (
        state.EPFail, state.Fail, state.InvalidArgument, state.InvalidGraph, state.InvalidProtobuf,
        state.NotImplemented, state.RuntimeException, state.EngineError, state.ModelLoaded, state.NoModel,
        state.NoSuchFile,
    )  # fmt: skip
    try:
        return call()
    except failures as problem:
        reason = " ".join(str(problem).split())
        message = f"ONNX Runtime cannot run the model: {reason}"
        raise ModelError("E120", message, fix="check that the model runs in ONNX Runtime") from None
