"""The result document, schema verify/result/1 (`--format json`).

Rationals are strings; key order is stable; two runs on the same input differ only in `seconds`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

from verify import __version__
from verify.core.property import Step, split_name
from verify.core.query import Query, margin
from verify.core.rational import rational
from verify.core.report import Report, Result
from verify.core.verdict import Replay, Witness
from verify.errors import VerifyError

SCHEMA = "verify/result/1"
TOOL = "policyproof"

Document = dict[str, Any]


def dumps(document: Mapping[str, Any]) -> str:
    """One line-broken ASCII JSON text, ending in a line break.  NaN and infinity cannot occur in it."""
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


def tool() -> Document:
    return {"name": TOOL, "version": __version__}


def result_document(report: Report) -> Document:
    """The whole document of one run."""
    return {
        "schema": SCHEMA,
        "tool": tool(),
        "semantics": report.semantics,
        "params": dict(report.params),
        "networks": {
            name: {"file": info.file, "sha256": info.sha256, "digest": info.digest}
            for name, info in report.networks.items()
        },
        "spec": {"file": report.spec_file, "sha256": report.spec_sha256 or None},
        "results": [_result(result) for result in report.results],
    }


def error_fields(error: VerifyError) -> Document:
    """An error as data: code, place, problem, fix."""
    place = error.place
    return {
        "code": error.code,
        "file": place.file if place else None,
        "line": (place.line or None) if place else None,
        "column": (place.column or None) if place else None,
        "message": error.message,
        "fix": error.fix or None,
    }


def finite(value: float) -> float | None:
    """The float, or None for NaN and the infinities, which JSON cannot say."""
    return value if math.isfinite(value) else None


def _result(result: Result) -> Document:
    witness = None
    notes = list(result.notes)
    if result.witness is not None and result.query is not None:
        witness = _witness(result.witness, result.query, result.steps)
        replay = result.witness.replay
        if replay is not None and replay.note:
            notes.append(replay.note)
    if result.error is not None:  # the schema has one error; the others are said in words
        notes += [f"also {e.code} at {e.place}: {e.message}" for e in result.error.more]
    origin = result.origin
    return {
        "property": split_name(result.name)[0],
        "row": split_name(result.name)[1],
        "verdict": str(result.verdict),
        "expected": None if result.expected is None else str(result.expected),
        "reason": result.reason,
        "error": None if result.error is None else error_fields(result.error),
        "seconds": round(result.seconds, 4),
        "settled": result.settled,
        "evidence": None if result.evidence is None else str(result.evidence),
        "kernel_mode": result.kernel_mode,
        "certificate": result.certificate,
        "witness": witness,
        "warnings": list(result.warnings),
        "notes": notes,
        "origin": None if origin is None else {"file": origin.file, "line": origin.line or None},
    }


def _witness(witness: Witness, query: Query, steps: Sequence[Step]) -> Document:
    replay = witness.replay
    replayed = physical_replay(replay, query)
    return {
        "inputs": {
            field.name: {"exact": rational(field.physical(raw)), "unit": field.unit}
            for field, raw in zip(query.inputs, witness.x, strict=True)
        },
        "outputs": {
            field.name: {"exact": rational(field.physical(raw)), "replay": again, "unit": field.unit}
            for field, raw, again in zip(query.outputs, witness.outputs, replayed, strict=True)
        },
        **({"steps": [_step(step, witness, query) for step in steps]} if steps else {}),
        "margin": {
            "exact": None if witness.margin is None else rational(witness.margin),
            "replay": replay_margin(witness, query),
        },
        "networks": [
            {
                "copy": copy.label,
                "raw_input": [rational(affine((*witness.x, *witness.outputs))) for affine in copy.raw_inputs],
                "replay_input": [finite(v) for v in replay.inputs[number]]
                if replay is not None and number < len(replay.inputs)
                else None,
            }
            for number, copy in enumerate(query.copies)
        ],
        "replay": None
        if replay is None
        else {"runtime": replay.runtime, "agrees": replay.agrees, "left_region": replay.left_region},
    }


def _step(step: Step, witness: Witness, query: Query) -> Document:
    """A step of a closed loop; `replay` is the state that ONNX Runtime's outputs lead to from the exact start."""
    replay = witness.replay.outputs if witness.replay is not None else ()
    again = len(replay) == len(query.outputs) and all(map(math.isfinite, replay))
    floats = [Fraction(v) for v in replay] if again else None
    values = {}
    for field, affine in zip(step.fields, step.values, strict=True):
        rerun = None if floats is None else _as_float(affine((*witness.x, *floats)))
        exact = rational(affine((*witness.x, *witness.outputs)))
        values[field.name] = {"exact": exact, "replay": rerun, "unit": field.unit}
    return {
        "state": step.state,
        "disturbances": [query.inputs[k].name for k in step.inputs],
        "outputs": [query.outputs[k].name for k in step.outputs],
        "values": values,
    }


def physical_replay(replay: Replay | None, query: Query) -> list[float | None]:
    """The replayed outputs in the spec's units; None where there is none or it is not finite."""
    if replay is None or len(replay.outputs) != len(query.outputs):
        return [None] * len(query.outputs)
    result: list[float | None] = []
    for field, raw in zip(query.outputs, replay.outputs, strict=True):
        result.append(_as_float(field.physical(Fraction(raw))) if math.isfinite(raw) else None)
    return result


def replay_margin(witness: Witness, query: Query) -> float | None:
    """By how much the assert fails on the floats ONNX Runtime returned, at the exact point."""
    replay = witness.replay
    if replay is None or len(replay.outputs) != len(query.outputs) or not all(map(math.isfinite, replay.outputs)):
        return None
    value = margin(query.violation, witness.x, [Fraction(v) for v in replay.outputs])
    return None if value is None else _as_float(value)


def _as_float(value: Fraction) -> float | None:
    try:
        return float(value)
    except OverflowError:
        return None
