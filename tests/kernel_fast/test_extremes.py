"""Numbers of any size in any place: the compiled kernel reads them as the reference does, or refuses."""

from __future__ import annotations

import contextlib
import random

import pytest

from tests.kernel.test_check import payload
from tests.kernel_fast.test_identity import BUMP
from tests.search.networks import compiled_entry, over_box
from verify.core.payload import varint
from verify.core.query import Or, Query, Row
from verify.kernel import RejectedError, check
from verify.kernel.walk import (
    AFRESH,
    BOUND,
    CASES,
    CLIP,
    EXACT,
    HIGH,
    LEAF,
    LOW,
    PHASES,
    REDUCE,
    TIGHTEN,
    WEIGHTED,
)
from verify.kernel_fast import RefusedError, check_fast

SIZES = (
    0,
    1,
    2,
    3,
    127,
    128,
    1 << 16,
    (1 << 31) - 1,
    1 << 31,
    1 << 32,
    1 << 40,
    (1 << 56) - 1,
    1 << 56,
    1 << 63,
    1 << 70,
)

STEPS = (TIGHTEN, REDUCE, BOUND, CLIP, WEIGHTED, WEIGHTED, EXACT, AFRESH, LOW, HIGH, PHASES, CASES)


def number(rng: random.Random) -> bytes:
    size = rng.choice(SIZES[:3] if rng.random() < 0.7 else SIZES)
    return varint(max(0, size - rng.randint(0, 1)))


def hints(rng: random.Random) -> bytes:
    """Some numbers by variable; now and then so many and so large that their sum leaves 64 bits, twice."""
    count = rng.choice((0, 0, 1, 2, 3, 130, 258))
    gaps = [varint((1 << 56) - 1 - rng.randint(0, 1)) if count > 3 else number(rng) for _ in range(count)]
    pairs = [gap + (varint(rng.choice((0, 1, 2, 255))) if rng.random() < 0.9 else number(rng)) for gap in gaps]
    return varint(count) + b"".join(pairs) if rng.random() < 0.95 else number(rng) + b"".join(pairs)


def weights(rng: random.Random, cases: int) -> bytes:
    each = [varint(c) + bytes([rng.randint(0, 3)]) + hints(rng) + hints(rng) for c in range(cases)]
    return varint(cases) + b"".join(each) if rng.random() < 0.9 else number(rng) + b"".join(each)


def steps(rng: random.Random, cases: int, depth: int = 0) -> bytes:
    out = bytearray()
    for _ in range(rng.randint(1, 5)):
        opcode = rng.choice(STEPS if depth < 3 else STEPS[:7])
        out.append(opcode)
        if opcode == WEIGHTED:
            out += weights(rng, cases)
        elif opcode == EXACT:
            out += b"".join(number(rng) for _ in range(rng.randint(1, 5)))
        elif opcode in (LOW, HIGH, PHASES, CASES):
            out += number(rng)
            return bytes(out) + steps(rng, cases, depth + 1) + steps(rng, cases, depth + 1)
        elif opcode == AFRESH:
            out += b"".join(number(rng) for _ in range(2 + cases)) + steps(rng, cases, depth + 1)
    return bytes(out) + bytes([LEAF])


def closed(rng: random.Random, cases: int) -> bytes:
    """Halves that are closed by bounds, and then say something of weights."""
    half = [bytes([TIGHTEN, BOUND, WEIGHTED]) + weights(rng, cases) + bytes([LEAF]) for _ in range(2)]
    return bytes([LOW, 0]) + b"".join(half)


def claim(cases: int) -> Query:
    """The bump, at most 1/2, reaches 0.6 (false), or less than that (in one of several cases, true)."""
    rows = [Row.of({}, {0: -1}, bound) for bound in (-0.6, -0.55, -0.51)[:cases]]
    return over_box(BUMP, -1, 1, Or(tuple(rows)))


def judged(judge: object, *words: object, **named: object) -> dict[str, int] | None:
    try:
        return judge(*words, **named).leaves  # type: ignore[operator, no-any-return]
    except RejectedError:
        return None


@pytest.mark.parametrize("first", range(0, 4000, 1000))
def test_any_numbers_are_read_alike(first: int) -> None:
    compiled_entry("kernel")
    accepted = 0
    for seed in range(first, first + 1000):
        rng = random.Random(seed)
        cases = rng.randint(1, 3)
        query, stream = claim(cases), rng.choice((steps, closed))(rng, cases)
        proof = payload(*stream, scales=(1, 2) + (3,) * cases)
        reference = judged(check, query, proof, "unsat")
        with contextlib.suppress(RefusedError):
            fast = judged(check_fast, query, proof, "unsat", plain=False)
            assert fast in (None, reference), (seed, stream)
            accepted += fast is not None
        assert judged(check_fast, query, proof, "unsat") == reference, (seed, stream)
    assert accepted > 20
