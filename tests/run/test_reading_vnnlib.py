"""VNN-LIB files with their models: which file goes with which network, and queries over operators that jump."""

from __future__ import annotations

import itertools
import random
from fractions import Fraction
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto

import verify
from tests.importer.models import build, info, node, runtime, save, tensor
from tests.oracle import phase_enumeration
from tests.spec_vnnlib.test_meaning import meaning
from verify import api
from verify.core.verdict import Verdict

SAT = {Verdict.REFUTED, Verdict.FRAGILE}
UNSAT = {Verdict.PROVED, Verdict.VACUOUS}
HIDDEN = (
    '(declare-network N (declare-input XN float32 [2]) (declare-hidden H float32 [2] "{}") '
    "(declare-output Y float32 [2]))"
)
NETWORK = "(declare-network {n} {relation}(declare-input X{n} float32 [2]) (declare-output Y{n} float32 [2]))"


def relu_model(folder: Path, name: str = "relu.onnx", weight: float = 2.0, op: str = "Relu") -> Path:
    nodes = [node("Mul", "x k", "h"), node(op, "h", "y")]
    model = build(nodes, {"x": [2]}, {"y": None}, {"k": tensor("k", [weight])}, opset=18)
    return save(model, folder, name)


def query(folder: Path, *declared: str, asserts: str = "(assert (<= 0 XN[0] 1))(assert (<= 0 XN[1] 1))") -> Path:
    file = folder / "q.vnnlib"
    file.write_text("(vnnlib-version <2.0>)" + "".join(declared) + asserts, encoding="utf-8")
    return file


def declared(name: str, relation: str = "") -> str:
    return NETWORK.format(n=name, relation=relation)


@pytest.mark.parametrize(
    ("relation", "given", "code", "hint"),
    [
        ("", ["N"], "E004", "--network M=FILE.onnx"),
        ("", [], "E004", "--network N=FILE.onnx"),
        ("", [""], "E003", "one of: N, M"),
        ("", ["N", "M", "L"], "E003", "one of: N, M"),
        ("(equal-to N)", ["M"], "E003", "leave out --network M"),
        ("(equal-to N)", [], "E004", "--network N=FILE.onnx"),
    ],
)
def test_wrong_models(relation: str, given: list[str], code: str, hint: str, tmp_path: Path) -> None:
    file, model = query(tmp_path, declared("N"), declared("M", relation)), relu_model(tmp_path)
    with pytest.raises(verify.UsageError) as caught:
        api.read_spec(file, networks=dict.fromkeys(given, model))
    assert caught.value.code == code
    assert hint in caught.value.fix


def test_right_models(tmp_path: Path) -> None:
    model, other = relu_model(tmp_path), relu_model(tmp_path, "other.onnx", 3.0)
    one = query(tmp_path, declared("N"))
    for name in ("", "N"):
        assert list(api.read_spec(one, networks={name: model}).networks) == ["N"]
    equal = query(tmp_path, declared("N"), declared("M", "(equal-to N)"))
    for given in ({"N": model}, {"": model}, {"N": model, "M": model}):
        spec = api.read_spec(equal, networks=given)
        assert {name: m.file for name, m in spec.networks.items()} == {"N": str(model), "M": str(model)}
    isomorphic = query(tmp_path, declared("N"), declared("M", "(isomorphic-to N)"))
    spec = api.read_spec(isomorphic, networks={"N": model, "M": other})
    assert spec.networks["M"].file == str(other)
    with pytest.raises(verify.UsageError, match="no params"):
        api.read_spec(one, networks={"": model}, params={"eps": "1"})


def test_models_that_are_not_isomorphic(tmp_path: Path) -> None:
    file = query(tmp_path, declared("N"), declared("M", "(isomorphic-to N)"))
    model = relu_model(tmp_path)
    for other in (relu_model(tmp_path, "abs.onnx", op="Abs"), relu_model(tmp_path, "leaky.onnx", op="LeakyRelu")):
        with pytest.raises(verify.VnnlibError, match="differ in more than weights") as caught:
            api.read_spec(file, networks={"N": model, "M": other})
        assert caught.value.code == "E221"
        assert caught.value.place is not None and caught.value.place.line == 1


def test_a_hidden_node_that_is_not_there(tmp_path: Path) -> None:
    model = relu_model(tmp_path)
    for name in ("nowhere", "x"):
        with pytest.raises(verify.VnnlibError, match=f"no hidden node '{name}'") as caught:
            api.read_spec(query(tmp_path, HIDDEN.format(name)), networks={"N": model})
        assert (caught.value.code, caught.value.fix) == ("E219", "name an output of a node: h, y")
    spec = api.read_spec(query(tmp_path, HIDDEN.format("h")), networks={"N": model})
    assert spec.networks["N"].hidden == ("h",)


def test_a_hidden_node_is_replayed(tmp_path: Path) -> None:
    text = HIDDEN.format("h")
    asserts = "(assert (<= -1 XN[0] 1))(assert (<= 0 XN[1] 1))(assert (<= H[0] -1))(assert (>= Y[1] 1))"
    spec = api.read_spec(query(tmp_path, text, asserts=asserts), networks={"N": relu_model(tmp_path)})
    result = api.prove(spec, timeout=30)["q"]
    assert result.verdict is Verdict.REFUTED
    assert result.witness is not None and result.witness.replay is not None
    assert len(result.witness.replay.outputs) == 4 and result.witness.replay.outputs[2] <= -1


def test_initialized_inputs(tmp_path: Path) -> None:
    nodes = [node("Mul", "x k", "y")]
    model = build(nodes, {"x": [2], "k": [1]}, {"y": [2]}, {"k": tensor("k", [2.0])}, opset=18)
    text = (
        "(declare-network N (declare-input XN float32 [2]) (declare-input K float32 [1] initialized)"
        "(declare-output Y float32 [2]))"
    )
    for bound, expected in (("2.5", UNSAT), ("1.5", SAT)):
        asserts = f"(assert (<= 0 XN[0] 1))(assert (<= 0 XN[1] 1))(assert (>= Y[0] {bound}))(assert (== K[0] 2.0))"
        spec = api.read_spec(query(tmp_path, text, asserts=asserts), networks={"N": save(model, tmp_path)})
        assert api.prove(spec, timeout=30)["q"].verdict in expected


def test_text_files_and_strict_types(tmp_path: Path) -> None:
    file = query(tmp_path, declared("N"))
    text = tmp_path / "q.txt"
    text.write_text(file.read_text(encoding="utf-8"), encoding="utf-8")
    assert api.read_spec(text, networks={"": relu_model(tmp_path)}).properties[0].name == "q.txt"
    report = api.prove_files(text, networks={"": relu_model(tmp_path)}, timeout=60)
    assert report["q.txt"].verdict is Verdict.REFUTED
    with pytest.raises(verify.VnnlibError, match="XN is float32"):
        api.prove_files(file, networks={"": relu_model(tmp_path)}, strict_types=True)


# -- operators that jump ---------------------------------------------------------------------------------------------


def jumping(rng: random.Random) -> onnx.ModelProto:
    """x (2) to y (1) through a jump or two, with weights that put them on the grid."""

    def weights(*shape: int) -> TensorProto:
        values = [rng.choice([-1.0, -0.5, 0.0, 0.5, 1.0]) for _ in range(int(np.prod(shape)))]
        return tensor("", np.array(values).reshape(shape))

    compare = rng.choice(["Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Equal"])
    nodes = [node("MatMul", "x w", "h"), node(compare, "h c", "b")]
    kind = rng.randrange(4)
    if kind == 0:
        nodes += [node("Relu", "h", "r"), node("Where", "b r c", "s")]
    elif kind == 1:
        nodes += [node("Cast", "b", "s", to=TensorProto.FLOAT)]
    elif kind == 2:
        nodes += [node(rng.choice(["Floor", "Ceil", "Round", "Sign"]), "h", "f"), node("Where", "b h f", "s")]
    else:
        nodes += [node("Cast", "h", "i", to=TensorProto.INT64), node("Cast", "i", "f", to=TensorProto.FLOAT)]
        nodes += [node("Sub", "h f", "s")]
    nodes += [node("MatMul", "s v", "y")]
    stored = {"w": weights(2, 2), "c": weights(1), "v": weights(2, 1)}
    for name, value in stored.items():
        value.name = name
    return build(nodes, {"x": [1, 2]}, {"y": None}, stored, opset=18)


HEADER = "(declare-network N (declare-input XN float32 [1,2]) (declare-output Y float32 [1,1]))"


@pytest.mark.parametrize("seed", range(60))
def test_jumping_queries(seed: int, tmp_path: Path) -> None:
    """Against ONNX Runtime on a grid that meets all guards, and against the enumeration of phases."""
    rng = random.Random(seed)
    model = jumping(rng)
    y = rng.choice(["<=", ">=", "<", ">", "=="])
    bound = rng.choice([-1.0, -0.5, 0.0, 0.25, 0.5, 1.0])
    condition = f"({y} Y[0,0] {bound})"
    if rng.random() < 0.3:
        condition = f"(or (and {condition} (< XN[0,0] 0.5)) (> Y[0,0] (+ XN[0,1] 1.0)))"
    box = "(assert (and (>= XN[0,0] -1.0) (<= XN[0,0] 1.0)))(assert (and (>= XN[0,1] -1.0) (<= XN[0,1] 1.0)))"
    file = query(tmp_path, HEADER, asserts=f"{box}(assert {condition})")
    spec = api.read_spec(file, networks={"N": save(model, tmp_path)})
    result = api.prove(spec, timeout=60)["q"]
    assert result.verdict in SAT | UNSAT, result.error
    text = f"{box}(assert {condition})"
    steps = [k / 8 for k in range(-8, 9)]
    on_grid = any(
        meaning(text, {"XN[0,0]": Fraction(a), "XN[0,1]": Fraction(b), "Y[0,0]": Fraction(float(out[0].ravel()[0]))})
        for a, b in itertools.product(steps, steps)
        for out in [runtime(model, {"x": np.array([[a, b]])})]
    )
    assert (result.verdict in SAT) >= on_grid
    assert (result.verdict in SAT) is phase_enumeration(spec.properties[0].query)


def test_version_1_files_jump_too(tmp_path: Path) -> None:
    nodes = [node("Greater", "x c", "b"), node("Where", "b x d", "y")]
    model = build(nodes, {"x": [1]}, {"y": None}, {"c": tensor("c", [0.5]), "d": tensor("d", [7.0])}, opset=18)
    path = save(model, tmp_path)
    file = tmp_path / "v1.vnnlib"
    declared = "(declare-const X_0 Real)(declare-const Y_0 Real)(assert (>= X_0 0.0))"
    for asserts, expected in (
        ("(assert (<= X_0 1.0))(assert (<= Y_0 0.5))", UNSAT),  # at the guard itself the other branch is taken
        ("(assert (<= X_0 1.0))(assert (<= Y_0 0.51))", SAT),
        ("(assert (<= X_0 0.5))(assert (< Y_0 7.0))", UNSAT),
        ("(assert (<= X_0 1.0))(assert (= Y_0 X_0))(assert (= X_0 0.5))", UNSAT),
    ):
        file.write_text(declared + asserts, encoding="utf-8")
        result = api.prove(api.read_spec(file, networks={"": path}), timeout=30)["v1"]
        assert result.verdict in expected, asserts
    file.write_text(declared + "(assert (<= Y_0 0.5))", encoding="utf-8")
    with pytest.raises(verify.QueryError, match="'X_0' has no upper bound"):
        api.read_spec(file, networks={"": path})


def test_a_specification_in_nnspec_refuses_jumps(tmp_path: Path) -> None:
    model = build(
        [node("Greater", "x c", "b"), node("Where", "b x c", "y")],
        {"x": info("x", [1])},
        {"y": None},
        {"c": tensor("c", [0.5])},
        opset=18,
    )
    save(model, tmp_path)
    file = tmp_path / "a.nnspec"
    network = 'network n = onnx("m.onnx") { input x in [0, 1] output y }'
    file.write_text(network + "\nproperty p { forall s : n.input assert n(s).y <= 2 }", encoding="utf-8")
    with pytest.raises(verify.ModelError, match="Greater"):
        api.read_spec(file)
