"""Fuzz the VNN-LIB readers: nothing but VnnlibError, QueryError or a reading may come out, soon, in little memory.

    python -m bench.fuzz_vnnlib [--seconds 240] [--seed 0]

Damaged files (deleted, doubled, swapped and inserted pieces), noise in the languages' alphabet, and large monsters.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time

from verify.core.network import Network, Port
from verify.core.normal_form import normal_form
from verify.errors import VerifyError
from verify.spec import vnnlib, vnnlib2
from verify.spec.vnnlib2_binding import bind
from verify.spec.vnnlib2_matching import BoundModel, input_box

NETWORK = Network((Port("x", (1, 2), 0),), (Port("x", (1, 2), 0),), ())
SLOW_S = 2.0
SAMPLES = (
    "(vnnlib-version <2.0>) ; remark (\n"
    "(declare-network N (declare-input X float32 [1, 2]) (declare-output Y real [1,2]))\n"
    "(declare-network M (equal-to N) (declare-input A float32 [1,2]) (declare-output B float32 [1,2]))\n"
    "(assert (or (and (<= X[0,0] 0.5) (>= X[0, 1] -0.5)) (> (* 2 A[0,1]) (- B[0,0] 1e-3))))\n"
    "(assert (and (<= X[0,0] 1) (>= X[0,0] -1) (== X[0,0] A[0,0])))(assert (!= Y[0,1] (/ 1 3)))\n",
    "(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)(declare-const Y_1 Real)\n"
    "(assert (and (<= X_0 1) (>= X_0 0) (<= 0 X_1 1)))"
    "(assert (or (>= Y_0 Y_1) (and (< Y_1 -1e-7) (not (= X_0 Y_0)))))\n",
)
PIECES = (
    *"()[]<>;\"|,.-+*/=! \n\\\0é", "(assert ", "(and ", "(or ", "(not ", "(<= ", "X[0,0]", "Y[0,1]", "X_0", "1e400",
    "-0.5", "1e-400", "9" * 50, "0/0", "nan", "(declare-network ", "(declare-input ", "(declare-hidden ", "initialized",
    '"node"', "(equal-to N)", "(isomorphic-to N)", "float32", "real", "[1,2]", "[]", "[99999999,9]",
    "(vnnlib-version <2.0>)",
)  # fmt: skip


def read(text: str) -> str:
    """Read as the program does; the name of what came out."""
    try:
        if vnnlib.is_version_2(text):
            document = vnnlib2.parse(text, "f.vnnlib")
            for declaration in document.networks:
                input_box(document, declaration, NETWORK.inputs)
            query = bind(document, {d.name: BoundModel(NETWORK) for d in document.networks}).query
        else:
            query = vnnlib.read(text, "f.vnnlib", NETWORK).query
        normal_form(query)
    except VerifyError as error:
        return error.code
    return "read"


def damaged(rng: random.Random) -> str:
    text = rng.choice(SAMPLES)
    for _ in range(rng.randint(1, 6)):
        at, length = rng.randrange(len(text) + 1), rng.randint(0, 20)
        piece = text[at : at + length]
        kind = rng.randrange(4)
        if kind == 0:
            text = text[:at] + text[at + length :]
        elif kind == 1:
            text = text[:at] + piece * rng.randint(2, 5) + text[at:]
        elif kind == 2:
            text = text[:at] + rng.choice(PIECES) + text[at:]
        else:
            other = rng.randrange(len(text) + 1)
            text = text[:other] + piece + text[other:]
    return text


def noise(rng: random.Random) -> str:
    start = rng.choice(["", "(vnnlib-version <2.0>)", SAMPLES[0][:150]])
    return start + "".join(rng.choice(PIECES) for _ in range(rng.randint(1, 60)))


def monsters() -> list[str]:
    """Large inputs, each within a few megabytes."""
    head, old = SAMPLES[0][:200], SAMPLES[1][:104]
    many = " ".join(f"(and (<= X_0 {k}) (>= Y_0 {k}))" for k in range(60_000))
    return [
        "(" * 2_000_000,
        "(vnnlib-version <2.0>)" + "(" * 2_000_000,
        "(vnnlib-version <2.0>)(declare-network " + "x" * 3_000_000,
        "(vnnlib-version <2.0>)(declare-network N (declare-input X float32 [" + "1," * 500_000 + "1])",
        head + "(assert " + "(+ " * 1_000_000,
        head + "(assert " + "X[0,0] " * 500_000,
        head + '"' + "a" * 3_000_000,
        head + "|" * 1_000_001,
        head + "(assert (<= X[0,0] " + "9" * 3_000_000 + "))",
        head + "(assert (<= (*" + " 1e300" * 2000 + ") X[0,0]))",
        old + f"(assert (or {many}))",
        old + "".join("(assert (or (<= X_0 1) (<= X_1 1)))" for _ in range(40)),
        ";" * 3_000_000,
        "\n" * 3_000_000,
        "(vnnlib-version <2.0>)" + "".join(f"(declare-network N{k} (declare-input X{k} float32 [1,2])"
                                            f" (declare-output Y{k} float32 [1,2]))" for k in range(5000)),
    ]  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=240.0)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng, ends = random.Random(options.seed), time.monotonic() + options.seconds
    outcomes: dict[str, int] = {}
    slowest, monstrous, waiting = 0.0, 0.0, monsters()
    while waiting or time.monotonic() < ends:
        monster = bool(waiting)
        text = waiting.pop() if waiting else rng.choice([damaged, noise])(rng)
        start = time.process_time()
        outcome = read(text)
        seconds = time.process_time() - start
        if seconds > (20 * SLOW_S if monster else SLOW_S):
            print(f"slow: {seconds:.1f} s, {outcome}: {text[:200]!r}")
            return 1
        slowest, monstrous = (slowest, max(monstrous, seconds)) if monster else (max(slowest, seconds), monstrous)
        outcomes[outcome] = outcomes.get(outcome, 0) + 1
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    count = sum(outcomes.values())
    print(f"{count} texts, slowest {slowest:.3f} s of CPU (monsters {monstrous:.1f} s), {peak:.0f} MB at most")
    print(", ".join(f"{code} {count}" for code, count in sorted(outcomes.items())))
    return 0


if __name__ == "__main__":
    sys.exit(main())
