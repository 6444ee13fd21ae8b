"""The compiled search: the same answers as the NumPy one, leaves and shares accounted for, and its cache file."""

from __future__ import annotations

import random
import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from tests.oracle import random_network
from tests.search.networks import budget, compiled_boxes, network, over_box
from tests.strategies import box_rows, query_of
from verify.bounds.backward import propagate
from verify.bounds.compressed import compress
from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.normal_form import normal_form
from verify.core.query import And, Formula, Or, Query, Row
from verify.native import machine
from verify.search import tiers
from verify.search.attack import Attack
from verify.search.compiled import layout
from verify.search.compiled.session import BoxSession
from verify.search.decide import decide
from verify.search.problem import build_problem

Point = tuple[Fraction, ...]


def wide_network(rng: random.Random, inputs: int) -> Network:
    """Two hidden layers of 12 ReLUs, small half-integer weights."""

    def rows(count: int, width: int) -> list[list[float]]:
        return [[rng.randint(-4, 4) / 2 for _ in range(width)] for _ in range(count)]

    return network(
        inputs,
        ([(0, rows(12, inputs))], [rng.randint(-2, 2) / 2 for _ in range(12)], True),
        ([(1, rows(12, 12))], [rng.randint(-2, 2) / 2 for _ in range(12)], True),
        ([(2, rows(3, 12)), (0, rows(3, inputs))], [0, 0, 0], False),
    )


def least(
    net: Network, rng: random.Random, boxes: list[tuple[list[Fraction], list[Fraction]]], output: int
) -> Fraction:
    """The least exact value of an output at random corners and points of the boxes."""
    found = []
    for low, high in boxes:
        for _ in range(400):
            mix = [rng.choice((Fraction(0), Fraction(1), Fraction(rng.randint(0, 8), 8))) for _ in low]
            x = [a + m * (b - a) for a, b, m in zip(low, high, mix, strict=True)]
            found.append(evaluate(net, x)[output])
    return min(found)


def hard_query(rng: random.Random) -> Query:
    """Two regions, one cut by a row, and up to four cases of unequal length with bounds near the least values."""
    inputs = rng.randint(2, 3)
    net = wide_network(rng, inputs)
    boxes = []
    for _ in range(2):
        low = [Fraction(rng.randint(-8, 0), 4) for _ in range(inputs)]
        boxes.append((low, [v + Fraction(rng.randint(4, 9), 4) for v in low]))
    cut = Row.of({0: 1, 1: 1}, {}, sum(boxes[0][1][:2]) - Fraction(1, 8))
    regions = Or((And((*box_rows(*boxes[0]), cut)), And(box_rows(*boxes[1]))))
    cases: list[Formula] = []
    for output in range(rng.randint(1, 3)):
        level = least(net, rng, boxes, output)
        step = rng.choice((Fraction(-4), Fraction(-1), Fraction(-1, 4), Fraction(-1, 8), Fraction(0)))
        row = Row.of({}, {output: 1}, level + step, strict=rng.random() < 0.3)
        extra = Row.of({}, {(output + 1) % 3: 1}, Fraction(rng.randint(0, 90)))
        cases.append(And((row, extra)) if rng.random() < 0.5 else row)
    return query_of(net, regions, Or(tuple(cases)))


@pytest.mark.usefixtures("splitting", "no_attack")
@pytest.mark.parametrize("number", [*range(7), 8, 9, 10, 11, 14, 15, 16, 17, 18])
def test_same_answers_as_numpy(number: int, request: pytest.FixtureRequest) -> None:
    query = hard_query(random.Random(number))
    request.getfixturevalue("compiled")
    fast = decide(query, budget(5), seed=number)
    request.getfixturevalue("numpy_only")
    slow = decide(query, budget(5), seed=number)
    assert fast.answer != "vacuous" and slow.answer != "vacuous"
    assert "unknown" in (fast.answer, slow.answer) or fast.answer == slow.answer


@pytest.mark.usefixtures("splitting")
@pytest.mark.parametrize("number", range(6))
def test_handing_over_half_way(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code that arrives after some batches starts over and answers the same."""
    query = hard_query(random.Random(number))
    monkeypatch.setattr(Attack, "run", lambda *_, **__: iter(()))
    explore, answers = compiled_boxes(), set()
    for wait in (0, 3, 10**9):
        looks = iter(range(10**9))
        monkeypatch.setattr(machine.Compiler, "_start", lambda *_: None)
        ready = lambda _, wait=wait, looks=looks: explore if next(looks) >= wait else None  # noqa: E731
        monkeypatch.setattr(machine.Compiler, "ready", ready)
        answers.add(decide(query, budget(5)).answer)
    assert len(answers - {"unknown"}) <= 1


def session_of(query: Query, region: int = 0) -> BoxSession:
    problem = build_problem(query, normal_form(query).regions)
    box = problem.lower[region : region + 1], problem.upper[region : region + 1]
    cases = problem.case_rows[region]
    rows = np.unique(cases)
    system = compress(problem.plan, propagate(problem.plan, box, problem.row_block), rows)
    places = np.unique(np.searchsorted(rows, cases), axis=0)
    return BoxSession(compiled_boxes(), system, (box[0][0], box[1][0]), places, problem.strict[rows])


@pytest.mark.parametrize("number", range(20))
def test_every_solution_is_in_a_box_handed_back(number: int) -> None:
    """Known solutions lie in some leaf, or in what is still open: the closed boxes hold none."""
    rng = random.Random(number)
    net = random_network(rng, number % 2 == 0) if number < 10 else wide_network(rng, 2)
    d = net.input_size
    points = [tuple(Fraction(rng.randint(-8, 8), 8) for _ in range(d)) for _ in range(40)]
    values = [evaluate(net, x)[0] for x in points]
    level = sorted(values)[2]
    solutions = [x for x, v in zip(points, values, strict=True) if v <= level]
    session = session_of(over_box(net, -1, 1, Row.of({}, {0: 1}, level)))
    session.judge_below(2)
    leaves, share = [], 0.0
    for _ in range(400):
        status = session.run(50)
        if status == layout.LEAF:
            leaves.append(session.leaf())
            share += leaves[-1][2]
        if status == layout.DONE:
            break
    assert share + session.settled <= 1 + 1e-9
    if status == layout.DONE:
        assert share + session.settled >= 1 - 1e-9
        for x in solutions:
            assert any(_inside(x, low, high) for low, high, _ in leaves)


def _inside(x: Point, low: np.ndarray, high: np.ndarray) -> bool:
    return all(float(a) <= v <= float(b) for v, a, b in zip(x, low, high, strict=True))


def test_a_full_stack_hands_boxes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Out of memory in the compiled search: its boxes are searched anew, none is lost."""
    explore = compiled_boxes()
    monkeypatch.setattr(machine, "cached", lambda entry: explore if entry == "boxes" else None)
    monkeypatch.setattr(tiers, "problem_is_small", lambda _: False)
    monkeypatch.setattr(Attack, "run", lambda *_, **__: iter(()))
    statuses: list[int] = []

    class Tight(BoxSession):
        def run(self, boxes: int) -> int:
            self.integers[layout.FRAME_LIMIT] = 3
            statuses.append(super().run(boxes))
            return statuses[-1]

    for number in (0, 9, 15, 16):
        query = hard_query(random.Random(number))
        monkeypatch.setattr(tiers, "BoxSession", BoxSession)
        expected = decide(query, budget(5)).answer
        monkeypatch.setattr(tiers, "BoxSession", Tight)
        found = decide(query, budget(5)).answer
        assert "unknown" in (expected, found) or expected == found
    assert layout.FULL in statuses


@pytest.mark.usefixtures("splitting", "compiled", "no_attack")
def test_a_box_that_never_fits_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoxSession, "run", lambda self, _: layout.FULL if self.open else layout.DONE)
    found = decide(hard_query(random.Random(0)), budget(20))
    assert (found.answer, found.settled < 1) == ("unknown", True)


# -- the cache file ----------------------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache directory of its own that holds this machine's object; returns the object's path."""
    compiled_boxes()
    directory = machine.cache_directory()
    assert directory is not None
    (tmp_path / "cache").mkdir(mode=0o700)
    file = shutil.copy(directory / machine.object_name("boxes"), tmp_path / "cache")
    monkeypatch.setenv("VERIFY_CACHE_DIR", str(tmp_path / "cache"))
    return Path(file)


HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))


@pytest.mark.usefixtures("elsewhere")
def test_the_cache_directory_can_be_chosen(tmp_path: Path) -> None:
    assert machine.cache_directory() == tmp_path / "cache"
    assert machine.cached("boxes") is not None


@pytest.mark.parametrize("damage", ["empty", "cut", "header", "symbol", "code", "last"])
def test_a_damaged_object_is_not_run(elsewhere: Path, damage: str) -> None:
    data = bytearray(elsewhere.read_bytes())
    place = {"header": 2, "symbol": 60, "code": len(data) // 2, "last": len(data) - 1}.get(damage, 0)
    data[place] ^= 0x55
    elsewhere.write_bytes({"empty": b"", "cut": bytes(data[: len(data) // 2])}.get(damage, bytes(data)))
    assert machine.cached("boxes") is None


def test_a_missing_object_is_not_run(elsewhere: Path) -> None:
    elsewhere.unlink()
    assert machine.cached("boxes") is None


@pytest.mark.usefixtures("splitting")
@pytest.mark.parametrize("place", ["file/below", "/proc/nowhere/at/all"])
def test_a_cache_that_cannot_be_written_changes_no_answer(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("VERIFY_CACHE_DIR", str(tmp_path / place))
    for bound, answer in ((Fraction(-1, 2**30), "unsat"), (Fraction(0), "sat")):
        assert decide(over_box(HAT, -1, 1, Row.of({}, {0: 1}, bound)), budget(20)).answer == answer


def test_a_compilation_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERIFY_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(machine, "compile_object", lambda _: (b"code", {"symbol": "s", "externals": []}))

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(machine.os, "replace", fail)
    with pytest.raises(OSError, match="disk full"):
        machine.keep("boxes")
    assert not list(tmp_path.glob("*.o")) and not list(tmp_path.glob("*.part"))
