"""Datasets, sweeps and balls: what each row means, exactly, and what is said of files that do not fit."""

from __future__ import annotations

import random
from fractions import Fraction
from pathlib import Path

import pytest

import verify
from tests.spec.models import affine_network, random_network
from verify.core.evaluate import evaluate
from verify.core.normal_form import normal_form
from verify.core.property import Property, selects, split_name
from verify.core.query import holds
from verify.errors import SpecError
from verify.spec import lower, parse

BLOCK = 'network n = onnx("n") {\n  input x in [0, 4]  input y in [0, 4] raw = value / 2\n  output a, b\n}\n'
DATA = 'dataset d = csv("d.csv") for n\n'
NET = affine_network([[1.0, 0.0], [0.0, 2.0]], [0.0, 0.0])
MODELS = Path(__file__).parents[2] / "models"


def lowered(folder: Path, data: str, text: str) -> tuple[Property, ...]:
    (folder / "d.csv").write_text(data, encoding="utf-8")
    return lower(parse(BLOCK + DATA + text, str(folder / "t.nnspec")), {"n": NET}, {})


ROBUST = "property robust for row in d { forall s : linf(row.input, 0.5)  assert argmax(n(s)) is row.label }"


@pytest.mark.parametrize(
    "data",
    [
        "y,label,x,ignored\n2,a,1,zz\n0.25,b,3.5,zz\n",
        "label, first, second\na,1,2\nb,3.5,0.25\n",
        "1,2,0\n3.5,0.25,1\n",
        "x,y,label\n1,2e0,0\n\n3.5,.25,1.0\n",
    ],
)
def test_one_exact_query_per_row(tmp_path: Path, data: str) -> None:
    one, two = lowered(tmp_path, data, ROBUST)
    assert (one.name, two.name) == ("robust[0]", "robust[1]")
    (region,) = normal_form(one.query).regions
    assert (region.box.lower, region.box.upper) == (
        (Fraction(1, 2), Fraction(3, 4)), (Fraction(3, 2), Fraction(5, 4))
    )  # fmt: skip  # y is searched in raw numbers
    (region,) = normal_form(two.query).regions
    assert (region.box.lower[1], region.box.upper[0]) == (Fraction(0), Fraction(4))  # declared ranges hold on top


def test_known_inputs_cost_no_copy_of_the_network(tmp_path: Path) -> None:
    text = "property p for e in {0.1, 1/2} { forall s : linf(d[1].input, e)  "
    text += "assert argmax(n(s)) is argmax(n(d[1].input)) }"
    one, two = lowered(tmp_path, "1,2\n3,1\n", text)
    assert one.query.network is NET and (one.name, two.name) == ("p[0.1]", "p[1/2]")
    x = (Fraction(3), Fraction(1, 2))
    assert not holds(one.query.violation, x, evaluate(NET, x))  # a = 3 > b = 1
    x = (Fraction(1), Fraction(2))
    assert holds(one.query.violation, x, evaluate(NET, x))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("", "has no rows"),
        ("x,label\n1,a\n", "no column `y`"),
        ("x,x,y\n1,1,1\n", "two columns `x`"),
        ("1,2,3,4\n", "has 4 columns"),
        ("p,q,r,s\n1,2,3,4\n", "no column has an input's name"),
        ("1,2,0\n1,2\n", "2 columns, where the first line has 3"),
        ("x,y\n1,two\n", "`two` is not a number"),
        ("x,y\n1,nan\n", "`nan` is not a number"),
        ("x,y,label\n1,2,c\n", "`c` is no label"),
        ("x,y,label\n1,2,2\n", "`2` is no label"),
    ],
)
def test_files_that_do_not_fit(tmp_path: Path, data: str, words: str) -> None:
    with pytest.raises(SpecError, match=words) as caught:
        lowered(tmp_path, data, ROBUST)
    assert caught.value.code == "E361"


def test_labels_and_rows_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="has no labels") as caught:
        lowered(tmp_path, "1,2\n", ROBUST)
    assert caught.value.code == "E362"
    with pytest.raises(SpecError, match="rows 0 to 0"):
        lowered(tmp_path, "1,2\n", "property p { forall s : linf(d[1].input, 1)  assert n(s).a <= 9 }")
    with pytest.raises(SpecError, match=r"`\.input` and `\.label`"):
        lowered(tmp_path, "1,2\n", "property p for r in d { forall s : linf(r.inputs, 1)  assert n(s).a <= 9 }")


def test_names_of_rows() -> None:
    assert split_name("robust[3]") == ("robust", "3") and split_name("robust") == ("robust", None)
    assert selects("robust", "robust[3]") and selects("robust[3]", "robust[3]")
    assert not selects("robust[3]", "robust[4]") and not selects("rob", "robust[3]")


@pytest.mark.parametrize("norm", ["linf", "l1", "l2"])
@pytest.mark.parametrize("seed", range(5))
def test_balls_mean_their_norm_exactly(norm: str, seed: int) -> None:
    """The l2 query contains the ball; with its exact check it is the ball."""
    text = BLOCK + f"property p {{ forall s : n.input  forall t : {norm}(s, 3/4)  assert n(t).a <= n(s).b }}"
    (prop,) = lower(parse(text, "t.nnspec"), {"n": random_network(2, 2, seed=seed)}, {})
    rng = random.Random(seed)
    scales = [Fraction(1), Fraction(1, 2)] * 2  # raw = value / 2 for y
    for _ in range(500):
        s = [Fraction(rng.randint(0, 16), 4) for _ in range(2)]
        t = [v + Fraction(rng.randint(-8, 8), 10) for v in s]
        offsets = [abs(a - b) for a, b in zip(s, t, strict=True)]
        size = {"linf": max(offsets) ** 2, "l1": sum(offsets) ** 2, "l2": sum(o**2 for o in offsets)}[norm]
        inside = size <= Fraction(9, 16) and all(0 <= v <= 4 for v in t)
        x = [v * k for v, k in zip([*s, *t], scales, strict=True)]
        assumed = holds(prop.query.assumption, x, evaluate(prop.query.network, x))
        assert (assumed and all(b.contains(x) for b in prop.balls)) == inside
        assert assumed or not inside
    assert bool(prop.notes) == (norm == "l2")


def test_corners_outside_an_l2_ball_refute_nothing(tmp_path: Path) -> None:
    """Only the corners of the flat-sided hull violate: no REFUTED, and no PROVED either."""
    text = (
        f'network t = onnx("{MODELS / "distilled" / "teacher.onnx"}") {{\n'
        "  input x in [-1, 1]  input y in [-1, 1]\n  output left, stay, right\n}\n"
        "property corner {{ forall c : t.input  forall s : l2(c, 0.1)\n"
        "  assume c.x == 0 and c.y == 0\n  assert s.x + s.y <= {limit} or t(s).left > 100 }}\n"
    )
    expected = {"0.1414": "REFUTED", "0.1415": "PROVED"}  # 0.1 √2 = 0.14142…
    path = tmp_path / "t.nnspec"
    for limit, verdict in expected.items():
        path.write_text(text.replace("{{", "{").replace("}}", "}").replace("{limit}", limit), encoding="utf-8")
        found = verify.prove(verify.read_spec(path), timeout=20)["corner"]
        assert str(found.verdict) in (verdict, "UNKNOWN")
        if found.witness is not None:
            x = found.witness.x
            assert (x[2] - x[0]) ** 2 + (x[3] - x[1]) ** 2 <= Fraction(1, 100)


def test_the_design_s_robustness_example(tmp_path: Path) -> None:
    """Example 3 on a small trained network: a verdict per row and per value, and -k for both."""
    (tmp_path / "points.csv").write_text("x,y,label\n0.75,0.5,right\n-0.75,0,left\n0,0,left\n", encoding="utf-8")
    (tmp_path / "r.nnspec").write_text(
        "network clf = onnx() { input x in [-1, 1]  input y in [-1, 1]  output left, stay, right }\n"
        'dataset test = csv("points.csv") for clf\nparam eps in [0, 1] = 0.01\n@timeout(60)\n'
        "property robust for row in test {\n  forall s : linf(row.input, eps)\n"
        "  assert argmax(clf(s)) is strictly row.label\n}\n"
        "property sweep for e in {0.001, 0.005, 0.01} {\n  forall s : linf(test[0].input, e)\n"
        "  assert argmax(clf(s)) is argmax(clf(test[0].input))\n}\n",
        encoding="utf-8",
    )
    spec = verify.read_spec(tmp_path / "r.nnspec", networks={"clf": MODELS / "distilled" / "teacher.onnx"})
    verdicts = {r.name: str(r.verdict) for r in verify.prove(spec, timeout=20)}
    assert verdicts == {
        "robust[0]": "PROVED", "robust[1]": "PROVED", "robust[2]": "REFUTED",
        "sweep[0.001]": "PROVED", "sweep[0.005]": "PROVED", "sweep[0.01]": "PROVED",
    }  # fmt: skip
    assert [r.name for r in verify.prove(spec, properties=["robust[2]", "sweep"], timeout=20)] == [
        "robust[2]", "sweep[0.001]", "sweep[0.005]", "sweep[0.01]"
    ]  # fmt: skip
