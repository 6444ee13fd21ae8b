"""The verifier under measurement: its command line, one instance at a time, or the same work inside this process."""

from __future__ import annotations

import gc
import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.corpus import ANSWERS, Instance, Unpacked
from bench.process import Meter, run_process

WARM = "from verify.native import machine; machine.store()"


@dataclass(frozen=True)
class Run:
    """One instance decided, or not, with one seed."""

    instance: Instance
    seed: int
    verdict: str
    limit: float
    wall: float
    cpu: float
    peak_mb: float
    evidence: str = ""
    detail: str = ""

    @property
    def answer(self) -> str | None:
        return ANSWERS.get(self.verdict)

    @property
    def wrong(self) -> bool:
        return self.instance.is_wrong(self.verdict)

    @property
    def solved(self) -> bool:
        return self.instance.is_solved(self.verdict)

    @property
    def seconds(self) -> float:
        """Wall seconds; an undecided instance counts its timeout."""
        return self.wall if self.answer else self.limit


Runner = Callable[[Instance, float, int], Run]  # instance, seconds, seed


def default_command() -> list[str]:
    """`verify run` of the environment this Python belongs to."""
    script = Path(sys.executable).with_name("verify")
    found = str(script) if script.exists() else shutil.which("verify")
    if found is None:
        raise SystemExit("bench: no `verify` command; install the package first (pip install -e .)")
    return [found, "run"]


def warm_cache() -> str:
    """Compile the search ahead unless that is done already, in a process of its own; "warm", or what went wrong."""
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, check=False)
    if done.returncode == 0:
        return "warm"
    return f"unknown ({(done.stderr.strip().splitlines() or ['no message'])[-1]})"


def fresh_process(command: Sequence[str], unpacked: Unpacked) -> Runner:
    """Every instance in a process of its own, start-up included."""

    def run(instance: Instance, limit: float, seed: int) -> Run:
        files = [unpacked(instance.vnnlib), "--network", unpacked(instance.onnx)]
        words = [*command, *files, "--timeout", str(limit), "--seed", str(seed), "--format", "json"]
        outcome = run_process(words, limit * 1.05 + 5)
        if outcome.killed:
            verdict, evidence, detail = "KILLED", "", "ran past the limit"
        else:
            try:
                verdict, evidence, detail = read_document(outcome.out)
            except (ValueError, LookupError, TypeError):
                verdict, evidence, detail = "ERROR", "", outcome.last_line or f"exit code {outcome.code}"
        return Run(instance, seed, verdict, limit, outcome.wall, outcome.cpu, outcome.peak_mb, evidence, detail)

    return run


def read_document(text: str) -> tuple[str, str, str]:
    """(verdict, evidence, reason or error) of the first result of a JSON document."""
    result = json.loads(text[text.index("{") :])["results"][0]
    error = result.get("error") or {}
    reason = result.get("reason") or (f"{error['code']}: {error['message']}" if error else "")
    return result["verdict"], str(result.get("evidence") or ""), str(reason).splitlines()[0][:160] if reason else ""


def warm_process() -> Runner:
    """Every instance inside this process; the first one is decided once before it counts."""
    import verify
    from verify.errors import VerifyError

    warmed: list[bool] = []

    def run(instance: Instance, limit: float, seed: int) -> Run:
        if not warmed:
            warmed.append(True)
            run(instance, limit, seed)
        gc.collect()
        meter = Meter()
        evidence = detail = ""
        try:
            spec = verify.read_spec(instance.vnnlib, networks={"": instance.onnx})
            (result,) = verify.prove(spec, timeout=limit, seed=seed)
            verdict, evidence = str(result.verdict), str(result.evidence or "")
            detail = str(result.reason or (result.error and result.error.message) or "")
        except VerifyError as problem:
            verdict, detail = "ERROR", problem.message
        except Exception as problem:  # noqa: BLE001  # a defect on one instance is a row of the table, not the end of it
            verdict, detail = "ERROR", f"defect: {type(problem).__name__}: {problem}"
        detail = detail.splitlines()[0][:160] if detail else ""
        return Run(instance, seed, verdict, limit, meter.wall, meter.cpu, meter.peak_mb, evidence, detail)

    return run
