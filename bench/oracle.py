"""Compare verdicts with brute force and with plain Z3 on random tiny networks.

    python bench/oracle.py [--count 1000] [--seed 0]

Prints differences (none are allowed) and the shares of verdicts; exits 1 on a difference.
"""

from __future__ import annotations

import argparse
import random
import sys
import time

sys.path.insert(0, ".")

from tests.oracle import decided_by_tie, phase_enumeration, plain_z3, random_tiny_query
from verify.core.budget import Budget
from verify.search.decide import decide


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    tally: dict[str, int] = {}
    ties = differences = 0
    seconds = slowest = 0.0
    for number in range(options.count):
        query = random_tiny_query(random.Random(1_000_003 * options.seed + number), number % 2 == 0)
        expected = phase_enumeration(query)
        start = time.perf_counter()
        decision = decide(query, Budget(time.monotonic() + 20, time.monotonic), seed=number)
        took = time.perf_counter() - start
        seconds, slowest = seconds + took, max(slowest, took)
        answer = decision.answer
        name = f"{answer} {decision.evidence or ''}".strip()
        tally[name] = tally.get(name, 0) + 1
        ties += decided_by_tie(query)
        if (answer == "sat") != expected or answer == "unknown" or plain_z3(query) != expected:
            differences += 1
            print(f"DIFFERENCE at {number}: {decision}, brute force {expected}, Z3 {plain_z3(query)}")
    for name, count in sorted(tally.items()):
        print(f"{name:16s} {count:5d}  {100 * count / options.count:.1f} %")
    print(f"decided only by an exact tie: {100 * ties / options.count:.1f} %")
    print(f"{options.count} queries, {differences} differences, {seconds:.1f} s deciding, slowest {slowest:.2f} s")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
