"""The table of codes lists what the readers raise, and nothing else."""

import re
from pathlib import Path

import verify
from verify.spec.vnnlib_codes import CODES

PACKAGE = Path(verify.__file__).parent


def test_table() -> None:
    files = [*PACKAGE.glob("spec/vnnlib*.py"), *PACKAGE.glob("run/reading*.py")]
    raised = {c for f in files if f.name != "vnnlib_codes.py" for c in re.findall(r'"(E2\d\d)"', f.read_text("utf-8"))}
    assert raised | {"E290", "E291", "E292"} == set(CODES)  # the last three are composed
    assert list(CODES) == sorted(CODES)
