"""Which tiers of the search a test runs."""

from __future__ import annotations

import pytest

from tests.search.networks import compiled_entry
from verify.native import machine
from verify.search import tiers
from verify.search.attack import Attack


@pytest.fixture
def splitting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small problems are split like large ones instead of going to Z3 whole."""
    monkeypatch.setattr(tiers, "problem_is_small", lambda _: False)


@pytest.fixture
def no_attack(monkeypatch: pytest.MonkeyPatch) -> None:
    """Attack rounds find nothing, so that solutions are found by splitting."""
    monkeypatch.setattr(Attack, "run", lambda *_, **__: iter(()))


@pytest.fixture
def numpy_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if compiled code could never be had."""
    monkeypatch.setattr(machine.Compiler, "_start", lambda *_: None)
    monkeypatch.setattr(machine.Compiler, "ready", lambda _: None)


@pytest.fixture
def compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compiled code is there from the start."""
    functions = {entry: compiled_entry(entry) for entry in machine.ENTRIES}
    monkeypatch.setattr(machine, "cached", functions.__getitem__)


@pytest.fixture(params=["numpy_only", "compiled"])
def tier(request: pytest.FixtureRequest) -> str:
    """Both ways of splitting, one after the other."""
    name: str = request.param
    request.getfixturevalue("splitting")
    request.getfixturevalue(name)
    return name
