"""Witness files: an exact point with what it showed, as JSON (standard library only).

Exact numbers are text; floats are what ONNX Runtime was fed and returned, each with its shortest decimal.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Union

from verify.core import canonical_json
from verify.core.canonical_json import closed, malformed
from verify.core.certificate import SUBJECT_KEYS, Certificate, Subject, read_subject, subject_fields
from verify.core.rational import parse_rational, rational
from verify.core.verdict import Replay, Witness

SCHEMA = "verify/witness/1"
MAX_FILE = 16 << 20
VERDICTS = ("REFUTED", "FRAGILE", "WITNESSED")
QUANTIFIERS = {"REFUTED": "forall", "FRAGILE": "forall", "WITNESSED": "exists"}
_KEYS: dict[str, type | tuple[type, ...]] = {
    **SUBJECT_KEYS,
    "schema": str,
    "verdict": str,
    "assert": str,
    "inputs": list,
    "outputs": list,
    "margin": (str, type(None)),
    "replay": (dict, type(None)),
}
_REPLAY_KEYS: dict[str, type | tuple[type, ...]] = {
    "runtime": str,
    "inputs": list,
    "outputs": list,
    "agrees": bool,
    "left_region": bool,
    "note": str,
}


@dataclass(frozen=True)
class WitnessFile:
    """A witness and its claim.  `source`: the assert as written."""

    subject: Subject
    verdict: str
    source: str
    input_names: tuple[str, ...]
    output_names: tuple[str, ...]
    witness: Witness


Record = Union[Certificate, WitnessFile]  # what an evidence file holds


def encode(record: WitnessFile) -> bytes:
    """The file's bytes: readable, one text per record."""
    witness, replay = record.witness, record.witness.replay
    return canonical_json.readable(
        {
            **subject_fields(record.subject),
            "schema": SCHEMA,
            "verdict": record.verdict,
            "assert": record.source,
            "inputs": _named(record.input_names, witness.x),
            "outputs": _named(record.output_names, witness.outputs),
            "margin": None if witness.margin is None else rational(witness.margin),
            "replay": None
            if replay is None
            else {
                "runtime": replay.runtime,
                "inputs": [_floats_text(values) for values in replay.inputs],
                "outputs": _floats_text(replay.outputs),
                "agrees": replay.agrees,
                "left_region": replay.left_region,
                "note": replay.note,
            },
        }
    )


def decode(data: bytes) -> WitnessFile:
    """The record in a file's bytes, in bounded memory and time.  Raises RejectedError E510."""
    if len(data) > MAX_FILE:
        raise malformed(f"the file has more than {MAX_FILE} bytes")
    found = canonical_json.loads(data, "the file", canonical_json.readable)
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise malformed(f"not a witness file: it is not of schema {SCHEMA}")
    found = closed(found, _KEYS, "the file")
    if found["verdict"] not in VERDICTS:
        raise malformed("the file's verdict is not one that a witness shows")
    try:
        inputs, outputs = _read_named(found["inputs"]), _read_named(found["outputs"])
        margin = None if found["margin"] is None else parse_rational(found["margin"])
        replay = None if found["replay"] is None else _replay(found["replay"])
    except ValueError as problem:
        raise malformed(f"the file: {problem}") from None
    witness = Witness(tuple(v for _, v in inputs), tuple(v for _, v in outputs), margin, replay)
    names = tuple(n for n, _ in inputs), tuple(n for n, _ in outputs)
    record = WitnessFile(read_subject(found), found["verdict"], found["assert"], *names, witness)
    if encode(record) != data:
        raise malformed("the file is not in canonical form")
    return record


def _named(names: Sequence[str], values: Sequence[Fraction]) -> list[list[str]]:
    return [[name, rational(value)] for name, value in zip(names, values, strict=True)]


def _read_named(entries: list[Any]) -> list[tuple[str, Fraction]]:
    found = []
    for entry in entries:
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(text, str) for text in entry):
            raise ValueError("a value is not a pair of name and exact number")
        found.append((entry[0], parse_rational(entry[1])))
    return found


def _replay(entry: Any) -> Replay:
    found = closed(entry, _REPLAY_KEYS, "'replay'")
    inputs = tuple(_floats(values) for values in found["inputs"])
    return Replay(
        found["runtime"],
        inputs,
        _floats(found["outputs"]),
        agrees=found["agrees"],
        left_region=found["left_region"],
        note=found["note"],
    )


def _floats_text(values: Sequence[float]) -> list[float | str]:
    """Floats as they are; NaN and the infinities, which JSON cannot say, as text."""
    return [float(v) if math.isfinite(v) else str(float(v)) for v in values]


def _floats(entries: Any) -> tuple[float, ...]:
    if not isinstance(entries, list):
        raise ValueError("floats are not a list")
    for entry in entries:
        if type(entry) is not float and entry not in ("nan", "inf", "-inf"):
            raise ValueError("a float is neither a number nor nan, inf, -inf")
    return tuple(map(float, entries))
