"""Witnesses: an exact point, exactly evaluated, and replayed in ONNX Runtime at its rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.evaluate import evaluate
from verify.core.query import Affine, And, Copy, Formula, Or, Query, Row, conjunction, margin
from verify.core.verdict import Replay, Witness
from verify.errors import ModelError
from verify.importer.model import Model

Point = tuple[Fraction, ...]


@dataclass(frozen=True)
class CopyReplay:
    """What ONNX Runtime was fed for one copy and what it returned."""

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]


class Trace:
    """A replay of a query's copies, one after the other: what each is fed, from what the others returned.

    Where copies are chained, the variables are what the runtime saw of them, and all between networks is exact.
    """

    def __init__(self, query: Query, x: Point) -> None:
        self.rounded = list(x)  # variables as the runtime saw them: read back where a copy is fed one as it is
        self._x = x
        self._returned: list[float] = []
        self._variables = len(query.inputs)

    def feed(self, copy: Copy) -> tuple[Fraction, ...]:
        """The copy's raw inputs.  Raises ModelError (E121) where what they depend on is no number."""
        return tuple(self._value(affine) for affine in copy.raw_inputs)

    def _value(self, affine: Affine) -> Fraction:
        needed = [i - self._variables for i, _ in affine.coefficients if i >= self._variables]
        if not needed:
            return affine(self._x)
        if needed[-1] >= len(self._returned) or not all(math.isfinite(self._returned[i]) for i in needed):
            raise ModelError("E121", "replay: a network before it gave no number", fix="use a smaller input range")
        return affine([*self.rounded, *(Fraction(v) if math.isfinite(v) else Fraction(0) for v in self._returned)])

    def add(self, copy: Copy, run: CopyReplay, size: int) -> None:
        """The copy has been run; `size` is the number of its outputs."""
        self._returned += run.outputs if len(run.outputs) == size else [math.nan] * size
        for affine, value in zip(copy.raw_inputs, run.inputs, strict=False):
            if len(affine.coefficients) == 1 and affine.coefficients[0][0] < self._variables and math.isfinite(value):
                ((index, coefficient),) = affine.coefficients
                self.rounded[index] = (Fraction(value) - affine.constant) / coefficient


class Confirmation:
    """Replays points of one query in ONNX Runtime; sessions are opened on first use and kept."""

    def __init__(self, query: Query, models: Mapping[str, Model]) -> None:
        self.query = query
        self.models = models
        self.runtime = ""
        self._sessions: dict[str, object] = {}

    def agrees(self, x: Point) -> bool:
        """Whether the replay at x rounded to the models' element types reproduces the violation."""
        return self.replay(x).agrees

    def replay_copy(self, copy: Copy, raw_inputs: Sequence[Fraction]) -> CopyReplay:
        """Run one copy.  Raises ModelError when ONNX Runtime cannot run the model."""
        from verify.replay import Replayer, round_to

        if copy.is_maximum:
            try:
                options = tuple(round_to(v, "float64") for v in raw_inputs)
            except OverflowError as problem:
                raise ModelError("E121", f"replay: {problem}", fix="use a smaller input range") from None
            return CopyReplay(options, (max(options),))
        session = self._sessions.get(copy.model)
        if session is None:
            model = self.models[copy.model]
            session = self._sessions[copy.model] = Replayer(model.file, model.hidden)
        assert isinstance(session, Replayer)
        self.runtime = session.runtime
        fed = session.round_inputs(raw_inputs)
        return CopyReplay(tuple(fed), tuple(session.run(fed)))

    def replay(self, x: Point) -> Replay:
        """Replay all copies; the violated rows are evaluated exactly on the floats that come back."""
        try:
            copies, rounded = self._replay_copies(x)
        except ModelError as problem:
            note = f"ONNX Runtime could not run the model: {problem.message}"
            return Replay(self.runtime or "onnxruntime", (), (), agrees=False, left_region=False, note=note)
        inputs = tuple(c.inputs for c in copies)
        outputs = tuple(v for c in copies for v in c.outputs)
        if not all(map(math.isfinite, outputs)):
            note = "ONNX Runtime returned NaN or an infinity"
            return Replay(self.runtime, inputs, outputs, agrees=False, left_region=False, note=note)
        y = [Fraction(v) for v in outputs]
        claim = conjunction([self.query.assumption, self.query.violation])
        agrees = _holds(claim, lambda row: _replayed(row, rounded, y) if row.outputs else row.holds(x, ()))
        inside = _holds(claim, lambda row: True if row.outputs else row.holds(rounded, ()))
        return Replay(self.runtime, inputs, outputs, agrees=agrees, left_region=not inside)

    def _replay_copies(self, x: Point) -> tuple[list[CopyReplay], Point]:
        """What every copy was fed and returned, and the variables as the runtime saw them."""
        trace, runs = Trace(self.query, x), []
        for copy in self.query.copies:
            run = self.replay_copy(copy, trace.feed(copy))
            trace.add(copy, run, len(run.outputs))
            runs.append(run)
        return runs, tuple(trace.rounded)


def build_witness(query: Query, x: Point, confirmation: Confirmation) -> Witness:
    """The exact outputs and margin at x, with its replay."""
    y = evaluate(query.network, x)
    return Witness(x, y, margin(query.violation, x, y), confirmation.replay(x))


def _replayed(row: Row, x: Point, y: Sequence[Fraction]) -> bool:
    """Whether a row holds on what the runtime returned; what decides a jump is inside of it, and it has decided."""
    return row.outputs[-1][0] >= len(y) or row.holds(x, y)


def _holds(formula: Formula, row_holds: Callable[[Row], bool]) -> bool:
    if isinstance(formula, And):
        return all(_holds(c, row_holds) for c in formula.children)
    if isinstance(formula, Or):
        return any(_holds(c, row_holds) for c in formula.children)
    return row_holds(formula)
