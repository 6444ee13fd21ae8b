"""The whole one-file checker, isolated, on certificates that `verify run` makes: what it accepts and rejects."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tests.importer.models import build, node
from verify.api import prove, read_spec
from verify.core import certificate
from verify.independent import vcheck
from verify.independent.bundle import bundle
from verify.independent.command import Case, NotAcceptedError, read_case

SPEC = """(declare-const X_0 Real)(declare-const X_1 Real)(declare-const Y_0 Real)
(assert (>= X_0 -1))(assert (<= X_0 1))(assert (>= X_1 -1))(assert (<= X_1 1))
(assert (>= Y_0 {bound}))
"""  # the network is |x0| + relu(x1) <= 2
CONTRADICTION = SPEC.format(bound=3) + "(assert (>= X_0 2))\n"
BENCHMARKS = Path(__file__).parents[3] / "shared" / "bench" / "dev"
PUBLIC = ("rl_benchmarks/onnx/cartpole.onnx", "rl_benchmarks/vnnlib/cartpole_case_safe_14.vnnlib")


def write_model(file: Path, last: float = 1.0) -> Path:
    weights: NDArray[np.float32] = np.array([[1, -1, 0], [0, 0, 1]], dtype=np.float32)
    out: NDArray[np.float32] = np.array([[1], [1], [last]], dtype=np.float32)
    nodes = [node("MatMul", "x W", "h"), node("Relu", "h", "r"), node("MatMul", "r V", "y")]
    file.write_bytes(build(nodes, {"x": [1, 2]}, ["y"], {"W": weights, "V": out}).SerializeToString())
    return file


def certify(model: Path, spec: Path, folder: Path) -> Path:
    result = prove(read_spec(spec, networks={"": model}), certificates=folder).results[0]
    assert result.certificate is not None
    return Path(result.certificate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """vcheck.py, a model m.onnx, and p.vnnlib (unsat) and v.vnnlib (vacuous) with their certificates."""
    folder = tmp_path_factory.mktemp("vcheck")
    (folder / "vcheck.py").write_text(bundle("verify.independent.vcheck:main"), encoding="utf-8")
    model = write_model(folder / "m.onnx")
    for name, text in {"p": SPEC.format(bound=2.5), "v": CONTRADICTION}.items():
        (folder / f"{name}.vnnlib").write_text(text)
        certify(model, folder / f"{name}.vnnlib", folder / name).rename(folder / f"{name}.vcert")
    return folder


def run(folder: Path, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-I", "-S", "vcheck.py", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(("name", "verdict"), [("p", "PROVED (unsat)"), ("v", "VACUOUS (vacuous)")])
def test_accepts(folder: Path, name: str, verdict: str) -> None:
    code, out = run(folder, f"{name}.vcert", "m.onnx", f"{name}.vnnlib")
    assert code == 0 and out.startswith(f"accepted: {verdict}")


def test_rejects_other_files(folder: Path) -> None:
    write_model(folder / "n.onnx", 1.25)
    (folder / "q.vnnlib").write_text(SPEC.format(bound=2.25))
    (folder / "r.vnnlib").write_text(SPEC.format(bound=2.5) + "; a comment\n")
    for model, spec, reason in (
        ("n.onnx", "p.vnnlib", "another model"),
        ("m.onnx", "q.vnnlib", "another spec"),
        ("m.onnx", "r.vnnlib", "another spec"),
    ):
        code, out = run(folder, "p.vcert", model, spec)
        assert code == 1 and out.startswith("rejected: ") and reason in out


def test_rejects_flipped_bytes(folder: Path) -> None:
    data = (folder / "p.vcert").read_bytes()
    case = read_case((folder / "m.onnx").read_bytes(), (folder / "p.vnnlib").read_bytes())
    assert vcheck.check(data, case).startswith("PROVED")
    (folder / "flipped.vcert").write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])
    code, out = run(folder, "flipped.vcert", "m.onnx", "p.vnnlib")
    assert code == 1 and out.startswith("rejected: ")


def changed(folder: Path, **changes: object) -> tuple[bytes, Case]:
    found = certificate.decode((folder / "p.vcert").read_bytes())
    subject = {k: changes.pop(k) for k in ("params", "network_digest", "query_digest", "networks") if k in changes}
    found = replace(found, subject=replace(found.subject, **subject), **changes)  # type: ignore[arg-type]
    case = read_case((folder / "m.onnx").read_bytes(), (folder / "p.vnnlib").read_bytes())
    return certificate.encode(found), case


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"params": {"eps": "1"}}, "params"),
        ({"networks": {}}, "another model"),
        ({"network_digest": "0" * 64}, "another exact network"),
        ({"query_digest": "0" * 64}, "another query"),
        ({"verdict": "PROVED"}, "PROVED is no verdict"),
        ({"verdict": "VACUOUS"}, "the proof does not hold"),
        ({"payload": b""}, "the proof does not hold"),
        ({"leaves": {"bound": 77}}, "other leaves"),
    ],
)
def test_rejects_changed_claims(folder: Path, changes: dict[str, object], reason: str) -> None:
    data, case = changed(folder, **changes)
    if "no verdict" in reason:  # VNN-LIB's queries are not `exists`: change the case instead
        case = replace(case, query=replace(case.query, quantifier="exists"))
        found = certificate.decode(data)
        digest = case.query.digest
        data = certificate.encode(replace(found, subject=replace(found.subject, query_digest=digest)))
        reason = "is no verdict|not the one it names"
    with pytest.raises(NotAcceptedError, match=reason):
        vcheck.check(data, case)


def test_a_vacuous_query_is_not_proved(folder: Path) -> None:
    found = certificate.decode((folder / "v.vcert").read_bytes())
    case = read_case((folder / "m.onnx").read_bytes(), (folder / "v.vnnlib").read_bytes())
    with pytest.raises(NotAcceptedError, match="VACUOUS"):
        vcheck.check(certificate.encode(replace(found, verdict="PROVED")), case)


@pytest.mark.skipif(not BENCHMARKS.exists(), reason="the public benchmarks are not here")
def test_accepts_a_public_benchmark(folder: Path, tmp_path: Path) -> None:
    model, spec = (BENCHMARKS / name for name in PUBLIC)
    found = certify(model, spec, tmp_path)
    assert run(folder, str(found), str(model), str(spec))[0] == 0
    assert run(folder, str(found), str(folder / "m.onnx"), str(spec))[0] != 0
