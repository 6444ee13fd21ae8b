"""Aim at the kernel: proofs that lie about refutable claims, made from honest proofs of nearby claims.

    python bench/mutations.py CORPUS [--instances N] [--each M] [--seed S] [--timeout T]

For each of N instances whose answer is sat (spread over the families) the unsafe set is moved away until the search
proves it unreachable; that proof, an honest tree of the same shape, is then changed M times and held against the claim
as it was.  Changes: none at all, subtrees cut short, halves left out, splits of other sides, rules swapped, scales
moved, multipliers changed, bytes lost, regions begun afresh.  The claim is false, so any acceptance is a false proof:
exit code 1.
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

sys.path.insert(0, ".")

from bench.corpus import Instance, Unpacked, by_family, read_corpus
from verify.core.budget import Budget
from verify.core.payload import varint
from verify.core.query import Formula, Query, Row
from verify.errors import VerifyError
from verify.kernel import RejectedError
from verify.kernel.walk import AFRESH, BOUND, CASES, CLIP, EXACT, HIGH, LEAF, LOW, PHASES, REDUCE, TIGHTEN, WEIGHTED
from verify.kernel_fast import Known, RefusedError, StoppedError, check_fast
from verify.kernel_slopes import check
from verify.native import machine
from verify.run.reading import Request, read
from verify.search.decide import decide

STEPS = (LEAF, TIGHTEN, REDUCE, BOUND, CLIP, WEIGHTED, EXACT, LOW, HIGH, PHASES, CASES, AFRESH)
MOST_WEIGHTS = 300_000  # larger networks would spend the time on building their roots
DOUBLINGS = 24


def moved(formula: Formula, by: Fraction) -> Formula:
    """Every row that mentions an output asks for so much more."""
    if isinstance(formula, Row):
        return replace(formula, bound=formula.bound - by) if formula.outputs else formula
    return type(formula)(tuple(moved(child, by) for child in formula.children))


def nearby_proof(query: Query, seconds: float) -> bytes | None:
    """A proof of the least moved claim that the search proves, trying distances 1/1024, 1/512, …"""
    until = time.monotonic() + seconds
    for doubling in range(DOUBLINGS):
        by = Fraction(2) ** (doubling - 10)
        near = replace(query, violation=moved(query.violation, by))
        left = until - time.monotonic()
        if left <= 0:
            return None
        decision = decide(near, Budget(time.monotonic() + min(5.0, left), time.monotonic), certificate=True)
        if decision.answer == "unsat" and decision.payload is not None:
            return decision.payload
    return None


def mutate(payload: bytes, rng: random.Random) -> bytes:
    """Up to four changes of one proof."""
    data = bytearray(payload)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(data))
        kind = rng.randrange(10)
        if kind == 0:  # a subtree becomes a leaf
            data[at : at + rng.randint(1, 40)] = bytes([LEAF])
        elif kind == 1:  # a part is left out
            del data[at : at + rng.randint(1, 40)]
        elif kind == 2:  # a part is said twice
            data[at:at] = data[at : at + rng.randint(1, 40)]
        elif kind == 3:  # another rule, or another number
            data[at] = rng.choice(STEPS)
        elif kind == 4:
            data[at] = (data[at] + rng.choice((-2, -1, 1, 2))) % 256
        elif kind == 5:  # LEAF at once
            del data[at:]
            data += bytes([LEAF]) * rng.randint(0, 3)
        elif kind == 6:  # split the other half first
            data[at] = {LOW: HIGH, HIGH: LOW}.get(data[at], data[at])
        elif kind == 7:  # a region afresh, with the scales of the whole, which follow the numbers of regions and slopes
            data[at:at] = bytes([AFRESH]) + data[2 : 2 + rng.randint(2, 16)]
        elif kind == 8:  # weights for variables whose numbers leave 64 bits
            wide = varint((1 << 56) - 1) + varint(rng.randint(0, 256))
            many = varint(rng.choice((1, 129, 257)) + 1)
            hints = (
                many + wide * (many[0] % 128 + 128 * (len(many) > 1 and many[1]) - 1) + varint(rng.randint(0, 999)) * 2
            )
            data[at:at] = bytes([WEIGHTED, 1, 0, rng.randint(0, 255)]) + hints + varint(0) + bytes([LEAF])
        else:
            data[at] = rng.randrange(256)
        if not data:
            data = bytearray([1])
    return bytes(data)


def attack(query: Query, payload: bytes, count: int, rng: random.Random) -> int:
    """How many of `count` changed proofs the kernel accepts; the compiled path, and the plain one for some."""
    accepted, until, known = 0, [0.0], Known()  # what one proof has closed must not help another that lies
    for number in range(count):
        changed = mutate(payload, rng)
        until[0] = time.monotonic() + 2.0
        try:
            if number % 100 == 0 and len(changed) < 500:
                check(query, changed, "unsat")
            else:
                stop = lambda: time.monotonic() > until[0]  # noqa: E731
                check_fast(query, changed, "unsat", stop=stop, plain=False, known=known if number % 2 else None)
        except (RejectedError, RefusedError, StoppedError):
            continue
        accepted += 1
    return accepted


def small(query: Query) -> bool:
    return sum(len(t.matrix.values) for b in query.network.blocks for t in b.terms) <= MOST_WEIGHTS


def queries(instances: list[Instance], unpack: Unpacked) -> Iterator[tuple[Instance, Query]]:
    """Of sat instances with an exact solution, family after family in turn, so that the first N are spread."""
    families = list(by_family(i for i in instances if i.expected == "sat").values())
    for turn in range(max(map(len, families))):
        for members in families:
            if turn >= len(members):
                continue
            instance = members[turn]
            try:
                spec = read(Request.of(str(unpack(instance.vnnlib)), {"": str(unpack(instance.onnx))}, {}))
            except VerifyError:
                continue  # operators that are not supported
            query = spec.properties[0].query
            if not small(query):
                continue
            if decide(query, Budget(time.monotonic() + 5.0, time.monotonic)).answer == "sat":
                yield instance, query


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("corpus", type=Path)
    parser.add_argument("--instances", type=int, default=20)
    parser.add_argument("--each", type=int, default=500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=20.0, help="seconds to find a nearby proof")
    given = parser.parse_args()
    if machine.missing():
        machine.store()
    rng, tried, total, accepted = random.Random(given.seed), 0, 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        for instance, query in queries(read_corpus(given.corpus), Unpacked(Path(scratch))):
            if tried == given.instances:
                break
            payload = nearby_proof(query, given.timeout)
            if payload is None or len(payload) < 20:
                continue
            tried += 1
            wrong = attack(query, payload, given.each, rng)
            total, accepted = total + given.each, accepted + wrong
            print(
                f"{instance.family} {instance.name}: {given.each} of a proof of {len(payload)} bytes, {wrong} accepted"
            )
            sys.stdout.flush()
    print(f"{tried} instances, {total} changed proofs of false claims, {accepted} accepted (seed {given.seed})")
    return int(accepted > 0 or tried < given.instances)


if __name__ == "__main__":
    sys.exit(main())
