"""Certificates of searches, against brute force; exact linear programs against Fourier–Motzkin."""

from __future__ import annotations

import random
from collections.abc import Callable
from fractions import Fraction

import pytest

from tests.exact_lp import feasible, half
from tests.oracle import phase_enumeration, random_tiny_query
from tests.search.networks import budget, network, over_box
from verify.core.query import Row
from verify.core.verdict import Evidence
from verify.kernel import RejectedError, check
from verify.native import machine
from verify.search import certify as certifying
from verify.search import decide as deciding
from verify.search import evidence
from verify.search.decide import decide
from verify.search.exact_lp import Infeasible, solve
from verify.search.scales import UncertifiedError


@pytest.mark.parametrize("number", range(80))
def test_every_unsat_of_a_tiny_query_gets_a_certificate(number: int) -> None:
    query = random_tiny_query(random.Random(20_000 + number), number % 2 == 0)
    found = decide(query, budget(), certificate=True)
    assert (found.answer == "sat") == phase_enumeration(query)
    if found.answer != "sat":
        assert found.evidence is Evidence.KERNEL and found.payload is not None
        claim = "vacuous" if found.answer == "vacuous" else "unsat"
        assert tuple(sorted(check(query, found.payload, claim).leaves.items())) == found.leaves


@pytest.mark.usefixtures("no_attack")
@pytest.mark.parametrize("number", range(20))
def test_steps_of_every_tier_lead_to_certificates(tier: str, number: int) -> None:
    query = random_tiny_query(random.Random(30_000 + number), number % 2 == 0)
    found = decide(query, budget(), certificate=True)
    assert found.answer == "sat" or found.evidence is Evidence.KERNEL, tier


HAT = network(1, ([(0, [[1], [-1]])], [0, 0], True), ([(1, [[1, 1]])], [0], False))  # |x|


def test_a_search_that_lies_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    query = over_box(HAT, -1, 1, Row.of({}, {0: -1}, -1))  # |x| >= 1 at both ends
    monkeypatch.setattr(deciding, "search", lambda run, _regions, _seed: run.unsat())
    found = decide(query, budget())
    assert (found.answer, found.reason) == ("unknown", "defect")
    assert "DEFECT" in found.notes[0]


def test_a_kernel_that_rejects_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    def reject(*_: object, **__: object) -> None:
        raise RejectedError("no")

    monkeypatch.setattr(evidence, "check_fast", reject)
    found = decide(over_box(HAT, -1, 1, Row.of({}, {0: -1}, -3)), budget(), certificate=True)
    assert (found.answer, found.reason, found.payload) == ("unknown", "defect", None)


def test_without_a_certificate_the_evidence_stays_what_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(certifying, "header", lambda *_: (_ for _ in ()).throw(certifying.UncertifiedError("no")))
    found = decide(over_box(HAT, -1, 1, Row.of({}, {0: -1}, -3)), budget(), certificate=True)
    assert (found.answer, found.payload) == ("unsat", None)
    assert found.evidence in (Evidence.BOUNDS, Evidence.SOLVER) and "no certificate" in found.notes[0]


@pytest.mark.parametrize("number", range(300))
def test_exact_programs_agree_with_elimination(number: int) -> None:
    rng = random.Random(number)
    size = rng.randint(1, 3)
    rows = [
        (tuple(Fraction(rng.randint(-4, 4), rng.choice([1, 2, 3])) for _ in range(size + 1)), rng.random() < 0.4)
        for _ in range(rng.randint(1, 5))
    ]
    halves = {half(list(form[1:]), -form[0], strict) for form, strict in rows}
    for k in range(size):
        unit = [Fraction(j == k) for j in range(size)]
        halves |= {half(unit, Fraction(1), False), half([-u for u in unit], Fraction(0), False)}
    found = solve(rows)
    if isinstance(found, Infeasible):
        assert not feasible(halves, size)
        pairs = list(zip(found.multipliers, rows, strict=True))
        total = [sum((m * form[k] for m, (form, _) in pairs), Fraction(0)) for k in range(size + 1)]
        least = total[0] + sum(min(a, Fraction(0)) for a in total[1:])
        assert least > 0 or (least == 0 and any(m and strict for m, (_, strict) in pairs))
        assert min(found.multipliers) >= 0
    else:
        assert all(0 <= t <= 1 for t in found)
        for form, strict in rows:
            value = form[0] + sum(a * t for a, t in zip(form[1:], found, strict=True))
            assert value < 0 or (value == 0 and not strict)


@pytest.mark.parametrize("asked", [True, False])
def test_only_what_is_not_asked_for_has_a_pace(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A share of the work that foretells hours ends a certificate that nobody asked for, and no other."""
    told: list[bool] = []

    def certify(*_words: object, stop: Callable[..., bool], **_named: object) -> bytes:
        told.append(stop(1e-9))
        raise UncertifiedError("enough")

    monkeypatch.setattr(certifying, "certify", certify)
    decide(over_box(HAT, -1, 1, Row.of({}, {0: -1}, -3)), budget(), certificate=asked)
    assert told == [not asked]


@pytest.mark.parametrize("asked", [True, False])
def test_nothing_is_mended_on_the_plain_path_unasked(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would take seconds, on a machine where nothing is compiled yet, of a run that needed less."""
    told: list[bool] = []

    def certify(*_words: object, mend: bool, **_named: object) -> bytes:
        told.append(mend)
        raise RejectedError("open") if not mend else UncertifiedError("enough")

    monkeypatch.setattr(certifying, "certify", certify)
    monkeypatch.setattr(machine, "cached", lambda _entry: None)
    monkeypatch.setattr(evidence, "FEW_WEIGHTS", 0)
    found = decide(over_box(HAT, -1, 1, Row.of({}, {0: -1}, -3)), budget(), certificate=asked)
    assert told == ([False, True] if asked else [False])
    assert (found.answer, found.payload) == ("unsat", None)
