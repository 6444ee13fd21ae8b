from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from tests.core.test_certificate import SUBJECT
from tests.core.test_query_text import at, changed
from verify.core.canonical_json import readable
from verify.core.verdict import Replay, Witness
from verify.core.witness_file import WitnessFile, decode, encode
from verify.errors import RejectedError

REPLAY = Replay("onnxruntime 1", ((0.1, -0.0),), (1e-45, math.inf), agrees=False, left_region=True, note="n")
WITNESS = Witness((Fraction(1, 10), Fraction(0)), (Fraction(-7, 3), Fraction(5)), Fraction(0), REPLAY)
EXAMPLE = WitnessFile(SUBJECT, "FRAGILE", "assert a <= b", ("s.x", "s.x"), ("l", "r"), WITNESS)


@pytest.mark.parametrize(
    "witness", [WITNESS, replace(WITNESS, replay=None), replace(WITNESS, margin=None), Witness((), (), None)]
)
def test_round_trip(witness: Witness) -> None:
    names = ("s.x", "s.x") if witness.x else (), ("l", "r") if witness.x else ()
    written = WitnessFile(SUBJECT, "REFUTED", "assert", *names, witness)
    assert decode(encode(written)) == written
    assert encode(decode(encode(written))) == encode(written)


@pytest.mark.parametrize(
    "change",
    [
        changed(schema="verify/witness/2"),
        changed(verdict="PROVED"),
        changed(more=1),
        changed(margin=0),
        changed(margin="0.5"),
        changed(inputs={}),
        changed(inputs=[["s.x", 1]]),
        changed(inputs=[["s.x", "2/4"]]),
        changed(inputs=["s.x"]),
        changed(outputs=[["l", "1", "2"]]),
        changed(replay=[]),
        at("replay", "agrees", value=1),
        at("replay", "more", value=1),
        at("replay", "outputs", value=["NaN"]),
        at("replay", "outputs", value=[1]),
        at("replay", "outputs", value=[None]),
        at("replay", "inputs", value=[1.0]),
        at("replay", "runtime", value=None),
        at("spec", "sha256", value="x"),
        changed(query_digest="1"),
        changed(params={"a": 1}),
    ],
)
def test_refused(change: Callable[[dict[str, Any]], None]) -> None:
    found = json.loads(encode(EXAMPLE))
    change(found)
    with pytest.raises(RejectedError) as error:
        decode(readable(found))
    assert error.value.code == "E510"


def test_other_texts_are_refused() -> None:
    data = encode(EXAMPLE)
    for bad in (
        data[:-1],
        data + b"\n",
        json.dumps(json.loads(data)).encode(),
        b"[]",
        b"",
        b"{" * 10**6,
        b"\xff",
        data.replace(b'"margin"', b'"margin": "0",\n "margin"'),
    ):
        with pytest.raises(RejectedError):
            decode(bad)
    for length in range(0, len(data), 7):
        with pytest.raises(RejectedError):
            decode(data[:length])
