"""Round trip of exports: random specs of tiny networks, decided as they are and as read back from every target.

    python -m bench.exports [--count 200] [--seed 0] [--vnnlib PYTHON]

Each spec has normalisations that are no finite decimals, one or two copies of a network, and nested conditions.  Its
verdict, that of its VNN-LIB 2 and exact VNN-LIB 1 text read back, and plain Z3's word on its SMT-LIB text are compared.
`--vnnlib` names a Python with the package `vnnlib`, which then parses every VNN-LIB 2 text.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from verify import api
from verify.core.property import Property
from verify.core.report import Report
from verify.core.verdict import Verdict
from verify.errors import QueryError
from verify.export.smtlib2 import write_smtlib2
from verify.export.vnnlib1 import write_vnnlib1
from verify.export.vnnlib2 import ModelOutline, write_vnnlib2

SATISFIABLE = {Verdict.REFUTED: "sat", Verdict.FRAGILE: "sat", Verdict.WITNESSED: "sat", Verdict.PROVED: "unsat",
               Verdict.NO_WITNESS: "unsat", Verdict.VACUOUS: "unsat"}  # fmt: skip
PARSE = "import sys, vnnlib\nfor file in sys.argv[1:]:\n    vnnlib.parse_query_file(file)\n"


@dataclass(frozen=True)
class Case:
    """A spec file and its model, in one folder."""

    spec: Path
    model: Path


def write_case(folder: Path, seed: int) -> Case:
    """A random network of at most eight ReLUs and a random property about it; the same for the same seed."""
    rng = random.Random(seed)
    inputs, hidden, outputs = rng.randint(1, 3), rng.randint(2, 5), rng.randint(1, 3)
    model = folder / f"net{seed}.onnx"
    model.write_bytes(_network(rng, inputs, hidden, outputs).SerializeToString())
    spec = folder / f"spec{seed}.nnspec"
    spec.write_text(_spec(rng, model.name, inputs, outputs), encoding="utf-8")
    return Case(spec, model)


def _network(rng: random.Random, inputs: int, hidden: int, outputs: int) -> onnx.ModelProto:
    def stored(name: str, *shape: int) -> TensorProto:
        values = [rng.choice([rng.uniform(-2, 2), rng.randint(-2, 2)]) for _ in range(int(np.prod(shape)))]
        return numpy_helper.from_array(np.array(values, dtype=np.float32).reshape(shape), name)

    nodes = [
        helper.make_node("Gemm", ["x", "w1", "b1"], ["z"]),
        helper.make_node("Relu", ["z"], ["h"]),
        helper.make_node("Gemm", ["h", "w2", "b2"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, inputs])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, outputs])],
        [stored("w1", inputs, hidden), stored("b1", hidden), stored("w2", hidden, outputs), stored("b2", outputs)],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def _spec(rng: random.Random, model: str, inputs: int, outputs: int) -> str:
    number = _number(rng)
    scales = [f"raw = (value - {number()}) / {rng.choice(['3', '7', '0.3', '2', '1'])}" for _ in range(inputs)]
    fields = [f"  input x{i} in [-1, {rng.choice(['1', '0.5', '1/3'])}] {s}" for i, s in enumerate(scales)]
    raw = rng.choice(["", " raw = (value - 1) / 3"])
    lines = [f'network net = onnx("{model}") {{', *fields]
    lines.append(f"  output {', '.join(f'y{j}' for j in range(outputs))}{raw}")
    lines += ["}", "property p {"]
    two = rng.random() < 0.3
    lines.append(f"  {rng.choice(['forall', 'forall', 'exists'])} {'s, t' if two else 's'} : net.input")
    variables = ["s", "t"] if two else ["s"]
    ins = [f"{v}.x{i}" for v in variables for i in range(inputs)]
    outs = [f"net({v}).y{j}" for v in variables for j in range(outputs)]
    if two and rng.random() < 0.7:
        lines.append(f"  assume s.x0 {rng.choice(['==', '<=', '<'])} t.x0")
    if rng.random() < 0.5:
        lines.append(f"  assume {_comparison(rng, ins)}")
    asserted = _condition(rng, [*outs, rng.choice(ins)], depth=2)
    if outputs > 1 and not raw and rng.random() < 0.3:
        asserted = f"argmax(net(s)) is {rng.choice(['', 'strictly '])}y{rng.randrange(outputs)}"
    return "\n".join([*lines, f"  assert {asserted}", "}"]) + "\n"


def _number(rng: random.Random):  # type: ignore[no-untyped-def]
    return lambda: rng.choice(["0", "0.5", "-1", "0.1", "1/3", "-2/7", "1.25", "-0.3"])


def _comparison(rng: random.Random, names: list[str]) -> str:
    number = _number(rng)
    terms = " + ".join(f"({number()}) * {name}" for name in rng.sample(names, rng.randint(1, min(3, len(names)))))
    return f"{terms} {rng.choice(['<=', '>=', '<', '>'])} {number()}"


def _condition(rng: random.Random, names: list[str], *, depth: int) -> str:
    if depth == 0 or rng.random() < 0.4:
        return _comparison(rng, names)
    parts = [_condition(rng, names, depth=depth - 1) for _ in range(rng.randint(2, 3))]
    word = rng.choice(["and", "or"])
    return f"({f' {word} '.join(parts)})"


@dataclass(frozen=True)
class Outcome:
    """What every way said: sat, unsat, or why not."""

    spec: str
    vnnlib1: str
    wider: str  # VNN-LIB 1 with bounds rounded outwards
    vnnlib2: str
    z3: str

    @property
    def agrees(self) -> bool:
        said = {self.spec, self.vnnlib1, self.vnnlib2, self.z3} - {"not expressible"}
        return len(said) == 1 and said <= {"sat", "unsat"} and (self.wider != "unsat" or self.spec == "unsat")


def compare(case: Case, folder: Path, *, timeout: float = 20.0) -> Outcome:
    """Decide a spec and all its exports, which are written to `folder`."""
    spec = api.read_spec(case.spec)
    (prop,) = spec.properties
    models = {name: ModelOutline(m.file, m.network, m.hidden) for name, m in spec.networks.items()}
    first, wider = (_version_1(prop, case, folder, exact, timeout) for exact in (True, False))
    second = folder / f"{case.spec.stem}.2.vnnlib"
    second.write_text(write_vnnlib2(prop, models), encoding="utf-8")
    third = _read_back(second, {"": str(case.model)}, timeout)
    text = write_smtlib2(prop)
    (folder / f"{case.spec.stem}.smt2").write_text(text, encoding="utf-8")
    return Outcome(_word(api.prove(spec, timeout=timeout)), first, wider, third, _z3(text))


def _version_1(prop: Property, case: Case, folder: Path, exact: bool, timeout: float) -> str:
    file = folder / f"{case.spec.stem}.{'exact' if exact else 'plain'}.vnnlib"
    try:
        file.write_text(write_vnnlib1(prop, exact=exact)[0], encoding="utf-8")
    except QueryError:
        return "not expressible"
    return _read_back(file, {"": str(case.model)}, timeout)


def _read_back(file: Path, networks: dict[str, str], timeout: float) -> str:
    return _word(api.prove(api.read_spec(file, networks=networks), timeout=timeout))


def _word(report: Report) -> str:
    (result,) = report.results
    return SATISFIABLE.get(result.verdict, f"{result.verdict} {result.error or result.reason}")


def _z3(text: str) -> str:
    import z3

    solver = z3.Solver()
    solver.set("timeout", 60_000)
    solver.from_string(text)
    return str(solver.check())


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vnnlib", metavar="PYTHON", help="a Python that has the package vnnlib")
    options = parser.parse_args()
    tally: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed in range(options.seed, options.seed + options.count):
            case = write_case(folder, seed)
            outcome = compare(case, folder)
            tally[f"{outcome.spec}, vnnlib1 {'too' if outcome.vnnlib1 == outcome.spec else outcome.vnnlib1}"] += 1
            tally["agree" if outcome.agrees else "DISAGREE"] += 1
            if not outcome.agrees:
                print(case.spec.read_text(encoding="utf-8"), outcome)
        if options.vnnlib:
            files = [str(f) for f in sorted(folder.glob("*.2.vnnlib"))]
            found = subprocess.run([options.vnnlib, "-c", PARSE, *files], capture_output=True, text=True, check=False)
            print(f"vnnlib parsed {len(files)} files" if not found.returncode else found.stderr)
            tally["DISAGREE"] += found.returncode != 0
    for what, count in sorted(tally.items()):
        print(f"{count:5d}  {what}")
    return 1 if tally["DISAGREE"] else 0


if __name__ == "__main__":
    sys.exit(main())
