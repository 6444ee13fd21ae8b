"""The example specs decided on small networks whose answers are known: each kind of verdict comes out."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.spec.models import affine_network, random_network
from verify.core.budget import Budget
from verify.core.network import Network
from verify.search.decide import decide
from verify.spec import lower, parse

EXAMPLES = Path(__file__).with_name("examples")
UNLIMITED = Budget(1e9, lambda: 0.0)


def answers(name: str, networks: dict[str, Network]) -> list[str]:
    path = EXAMPLES / f"{name}.nnspec"
    properties = lower(parse(path.read_text(encoding="utf-8"), path.name), networks, {})
    return [decide(p.query, UNLIMITED).answer for p in properties]


FLAT = [0.0] * 5
NEVER_COC = affine_network([FLAT] * 5, [0.0, 1.0, 2.0, 3.0, 4.0])  # COC has always the least score
OFTEN_COC = affine_network([FLAT] * 5, [9.0, 1.0, 2.0, 3.0, 4.0])


@pytest.mark.parametrize(
    ("name", "networks", "expected"),
    [
        ("acas", {"acas": NEVER_COC}, ["unsat", "unsat", "sat", "sat"]),
        ("acas", {"acas": OFTEN_COC}, ["sat", "sat", "unsat", "unsat"]),
        ("cartpole", {"pi": affine_network([[0, 0, -1, 0], [0, 0, 1, 0]], [0, 0])}, ["unsat", "sat"]),
        ("cartpole", {"pi": affine_network([[0, 0, 1, 0], [0, 0, -1, 0]], [0, 0])}, ["sat", "unsat"]),
        ("monotone", {"rm": affine_network([[0.1, -1.0, 0.3]], [0.7])}, ["unsat"]),
        ("monotone", {"rm": affine_network([[-0.1, 1.0, 0.3]], [0.7])}, ["sat"]),
        ("fairness", {"loan": affine_network([[1.0, -1.0, 0.03]], [0.7])}, ["unsat"]),
        ("fairness", {"loan": affine_network([[1.0, -1.0, 0.3]], [0.7])}, ["sat"]),
        ("distilled", {"teacher": random_network(2, 3), "student": random_network(2, 3)}, ["unsat", "unsat"]),
        ("distilled", {"teacher": random_network(2, 3), "student": random_network(2, 3, seed=1)}, ["sat", "unsat"]),
    ],
)
def test_verdicts(name: str, networks: dict[str, Network], expected: list[str]) -> None:
    assert answers(name, networks) == expected
