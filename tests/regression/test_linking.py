"""Linking the compiled search a second time freed the code of the first: a crash in whoever still held it.

(Two threads that prove at once; a caller that keeps a session over two decisions.)
"""

from __future__ import annotations

import subprocess
import sys

from tests.search.networks import compiled_boxes

CODE = """
import gc
from tests.regression.test_linking import run_affine
from verify.native import machine
explore = machine.cached("boxes")
run_affine(explore)
machine.cached("boxes"), machine.cached("boxes"), gc.collect()
run_affine(explore)
print("alive")
"""


def run_affine(explore: object) -> int:
    import numpy as np

    from verify.bounds.compressed import CompressedSystem
    from verify.search.compiled.session import BoxSession

    one = np.ones(1)
    system = CompressedSystem(np.ones((1, 1)), one, 0 * one, 2 * one, np.zeros(0), np.zeros(0))
    session = BoxSession(explore, system, (-0.5 * one, one), np.array([[0]]), np.array([False]))  # type: ignore[arg-type]
    return session.run(10)


def test_code_linked_before_stays_alive() -> None:
    compiled_boxes()
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "alive\n"), done.stderr
