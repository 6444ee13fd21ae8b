"""Vehicle (PyPI: vehicle-lang, in an environment of its own) drives `verify`; skipped where it is not on the path."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"
VEHICLE = os.environ.get("VEHICLE", "vehicle")
SOLVER = Path(sys.executable).with_name("verify")

pytestmark = pytest.mark.skipif(
    shutil.which(VEHICLE) is None or not SOLVER.exists(), reason="vehicle-lang or the command verify is not installed"
)


@pytest.mark.parametrize(
    ("spec", "network", "good", "bad"),
    [
        ("cartpole.vcl", f"policy:{MODELS / 'cartpole_ppo' / 'policy.onnx'}", "pushRight", "pushHard"),
        ("integrator.vcl", f"f:{MODELS / 'double_integrator' / 'policy.onnx'}", "bounded", "falling"),
    ],
)
def test_vehicle_drives_verify(spec: str, network: str, good: str, bad: str) -> None:
    call = [VEHICLE, "verify", "-s", spec, "-n", network, "-v", str(SOLVER), "-a", "--verdict-style vehicle"]
    done = subprocess.run(call, cwd=HERE, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    before, _, after = done.stdout.rpartition(bad)
    assert good in before
    assert "policyproof proved no counterexample exists" in before
    assert "policyproof found a counterexample" in after
