"""Witnesses: an exact point, exactly evaluated, and replayed in ONNX Runtime at its rounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.evaluate import evaluate
from verify.core.query import And, Copy, Formula, Or, Query, Row, conjunction, margin
from verify.core.verdict import Replay, Witness
from verify.errors import ModelError
from verify.importer.model import Model

Point = tuple[Fraction, ...]


@dataclass(frozen=True)
class CopyReplay:
    """What ONNX Runtime was fed for one copy and what it returned."""

    inputs: tuple[float, ...]
    outputs: tuple[float, ...]


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

    def replay_copy(self, copy: Copy, x: Point) -> CopyReplay:
        """Run one copy at x.  Raises ModelError when ONNX Runtime cannot run the model."""
        from verify.replay import Replayer

        session = self._sessions.get(copy.model)
        if session is None:
            model = self.models[copy.model]
            session = self._sessions[copy.model] = Replayer(model.file, model.hidden)
        assert isinstance(session, Replayer)
        self.runtime = session.runtime
        fed = session.round_inputs([affine(x) for affine in copy.raw_inputs])
        return CopyReplay(tuple(fed), tuple(session.run(fed)))

    def replay(self, x: Point) -> Replay:
        """Replay all copies; the violated rows are evaluated exactly on the floats that come back."""
        try:
            copies = [self.replay_copy(copy, x) for copy in self.query.copies]
        except ModelError as problem:
            note = f"ONNX Runtime could not run the model: {problem.message}"
            return Replay(self.runtime or "onnxruntime", (), (), agrees=False, left_region=False, note=note)
        inputs = tuple(c.inputs for c in copies)
        outputs = tuple(v for c in copies for v in c.outputs)
        if not all(map(math.isfinite, outputs)):
            note = "ONNX Runtime returned NaN or an infinity"
            return Replay(self.runtime, inputs, outputs, agrees=False, left_region=False, note=note)
        y = [Fraction(v) for v in outputs]
        rounded = self._rounded_variables(x, copies)
        claim = conjunction([self.query.assumption, self.query.violation])
        agrees = _holds(claim, lambda row: _replayed(row, rounded, y) if row.outputs else row.holds(x, ()))
        inside = _holds(claim, lambda row: True if row.outputs else row.holds(rounded, ()))
        return Replay(self.runtime, inputs, outputs, agrees=agrees, left_region=not inside)

    def _rounded_variables(self, x: Point, copies: Sequence[CopyReplay]) -> Point:
        """The variables as the runtime saw them: read back where a copy is fed a variable as it is."""
        rounded = list(x)
        for copy, run in zip(self.query.copies, copies, strict=True):
            for affine, value in zip(copy.raw_inputs, run.inputs, strict=True):
                if len(affine.coefficients) == 1 and math.isfinite(value):
                    ((index, coefficient),) = affine.coefficients
                    rounded[index] = (Fraction(value) - affine.constant) / coefficient
        return tuple(rounded)


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
