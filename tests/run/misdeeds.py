"""What a decision can do wrong; `entry` makes a worker's entry that decides like this, by property (in spec order)."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from verify.core.budget import Budget
from verify.core.query import Query
from verify.core.verdict import Decision, Evidence

Report = Callable[[str, float, int], None]


def entry(*deeds: str) -> str:
    """The k-th property's threshold (see conftest) chooses the k-th deed."""
    return (
        f"from tests.run import misdeeds; misdeeds.install({list(deeds)!r}); "
        "from verify.run.worker import main; main(*sys.argv[1:])"
    )


def install(deeds: list[str]) -> None:
    import verify.search.decide as module

    real = module.decide

    def decide(query: Query, budget: Budget, *, report: Report, **rest: Any) -> Decision:
        deed = deeds[place(query)]
        if deed == "decide":
            return real(query, budget, report=report, **rest)
        return globals()[deed](query, budget, report)  # type: ignore[no-any-return]

    module.decide = decide  # type: ignore[assignment]


def place(query: Query) -> int:
    """`n(s).y <= 10 + k` in property k."""
    row = query.violation
    return int(abs(row.bound)) - 10  # type: ignore[union-attr]


def proved(_query: Query, _budget: Budget, _report: Report) -> Decision:
    return Decision("unsat", evidence=Evidence.BOUNDS)


def certified(_query: Query, _budget: Budget, _report: Report) -> Decision:
    """With a proof that the stub kernel of tests.evidence accepts."""
    return Decision("unsat", evidence=Evidence.KERNEL, payload=b"proof", kernel_mode="reference", leaves=(("stub", 3),))


def slow(_query: Query, _budget: Budget, _report: Report) -> Decision:
    time.sleep(2)
    return Decision("unsat", evidence=Evidence.SOLVER)


def hang(_query: Query, _budget: Budget, report: Report) -> Decision:
    """Never looks at the clock."""
    time.sleep(0.15)
    report("splitting", 0.25, 7)
    if "TEST_HANGING" in os.environ:
        Path(os.environ["TEST_HANGING"]).touch()
    time.sleep(60)
    raise AssertionError


def obey(_query: Query, budget: Budget, report: Report) -> Decision:
    while budget.exhausted() is None:
        time.sleep(0.01)
        report("splitting", 0.5, 3)
    return Decision("unknown", reason=budget.exhausted(), settled=0.5)


def hoard(_query: Query, _budget: Budget, report: Report) -> Decision:
    """Fills memory and looks at nothing."""
    time.sleep(0.15)
    report("splitting", 0.125, 1)
    held = []
    for _ in range(400):
        held.append(bytearray(b"x" * 5_000_000))
        time.sleep(0.002)
    time.sleep(60)
    raise AssertionError(len(held))


def out_of_memory(_query: Query, _budget: Budget, _report: Report) -> Decision:
    raise MemoryError


def fail(_query: Query, _budget: Budget, _report: Report) -> Decision:
    raise KeyError("oh")


def crash(_query: Query, _budget: Budget, _report: Report) -> Decision:
    ctypes.string_at(0)
    raise AssertionError


def leave(_query: Query, _budget: Budget, _report: Report) -> Decision:
    os._exit(3)


def be_killed(_query: Query, _budget: Budget, _report: Report) -> Decision:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError


def first_or_never(query: Query, budget: Budget, report: Report) -> Decision:
    """The part with the smallest inputs is refuted at once; the others hang."""
    from verify.core.normal_form import normal_form

    box = normal_form(query).regions[0].box
    if box.lower[0] == -1:
        return Decision("sat", x=(box.lower[0],))
    return hang(query, budget, report)


def with_child(query: Query, budget: Budget, report: Report) -> Decision:
    """Has a process of its own, as the compiler is."""
    from verify.core import child

    code = (
        "import time; from verify.core.child import die_with_parent; die_with_parent(int(sys.argv[1])); time.sleep(60)"
    )
    process = child.start(code, [])
    with open(os.environ["TEST_CHILD_FILE"], "w") as file:
        file.write(f"{os.getpid()} {process.pid}")
    return hang(query, budget, report)


def alive(pid: int) -> bool:
    """Whether a process runs (a zombie does not)."""
    done = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return bool(done.stdout.strip()) and not done.stdout.startswith("Z")


def children(pid: int | str = "self") -> list[int]:
    """Running child processes (Linux)."""
    pid = os.getpid() if pid == "self" else pid
    done = subprocess.run(
        ["ps", "-o", "pid=,stat=,comm=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    rows = [row.split() for row in done.stdout.splitlines()]
    return [int(r[0]) for r in rows if not r[1].startswith("Z") and r[2] != "ps"]


def eventually(condition: Callable[[], bool], seconds: float = 20.0) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


linux = sys.platform == "linux"
