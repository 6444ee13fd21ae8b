"""The compiled search's systems alone: exact stored rows (no error of their own) against exact arithmetic.

Run as plain Python: the functions that call no other compiled one, on wide, cancelling and denormal coefficients.
"""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from verify.bounds.compressed import CompressedSystem
from verify.search.compiled import layout, system
from verify.search.compiled.session import BoxSession, flatten

KINDS = ("small integers", "wide", "cancelling", "denormal")


def plain(function):  # type: ignore[no-untyped-def]
    return getattr(function, "py_func", function)


def coefficient(rng: random.Random, kind: str) -> float:
    sign = rng.choice((-1.0, 1.0))
    if kind == "small integers":
        return float(rng.randint(-3, 3))
    if kind == "wide":
        return sign * 10.0 ** rng.uniform(-30, 30)
    if kind == "cancelling":
        return sign * rng.choice((2.0**40, 2.0**40 + 1, 1.0, 1 + 2.0**-50))
    return sign * 2.0**-1074 * rng.randint(0, 2**20)


class World:
    """A random exact system, its box, and exact values of z and r at points."""

    def __init__(self, rng: random.Random, kind: str) -> None:
        self.d, self.unstable, self.rows = rng.randint(1, 3), rng.randint(1, 6), 0
        self.rows = self.unstable + 2
        self.matrix = np.zeros((self.rows, self.d + self.unstable))
        for i in range(self.rows):
            for k in range(self.d + min(i, self.unstable)):
                self.matrix[i, k] = coefficient(rng, kind) if rng.random() < 0.8 else 0.0
        self.constant = np.array([coefficient(rng, kind) for _ in range(self.rows)])
        middle = np.array([rng.gauss(0, 1) for _ in range(self.d)])
        reach = rng.choice((0.0, 1e-12, 1.0))
        self.box = middle - reach, middle + reach
        shares = [[rng.choice((0.0, 1.0, rng.random())) for _ in range(self.d)] for _ in range(5)]
        low, high = self.box
        self.points = [
            tuple(Fraction(float(min(max(a + s * (b - a), a), b))) for s, a, b in zip(share, low, high, strict=True))
            for share in shares
        ]
        self.values = [self.at(x) for x in self.points]
        self.bounds = self.intervals()

    def at(self, x: tuple[Fraction, ...]) -> list[Fraction]:
        z: list[Fraction] = []
        for i in range(self.rows):
            total = Fraction(float(self.constant[i]))
            for k in range(self.d):
                total += Fraction(float(self.matrix[i, k])) * x[k]
            for j in range(min(i, self.unstable)):
                total += Fraction(float(self.matrix[i, self.d + j])) * max(z[j], 0)
            z.append(total)
        return z

    def intervals(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Safe bounds of the ReLUs, by intervals a little too wide, and the magnitudes of all rows."""
        low, high, size = [], [], []
        reach = list(np.maximum(np.abs(self.box[0]), np.abs(self.box[1])))
        for i in range(self.rows):
            total = float(np.abs(self.matrix[i, : len(reach)]) @ np.array(reach)) + abs(float(self.constant[i]))
            size.append(total * (1 + 2.0**-40) + 2.0**-1060)
            if i < self.unstable:
                low.append(-size[-1])
                high.append(size[-1])
                reach.append(size[-1])
        return np.array(low), np.array(high), np.array(size)

    def session(self) -> BoxSession:
        low, high, size = self.bounds
        flat = CompressedSystem(self.matrix, self.constant, np.zeros(self.rows), size, low, high)
        assert len(flatten(flat))
        strict = np.zeros(2, dtype=np.bool_)
        return BoxSession(lambda *_: layout.DONE, flat, self.box, np.array([[0, 1]]), strict)


@pytest.mark.parametrize("kind", KINDS)
def test_bounds_and_substitution_of_exact_systems(kind: str) -> None:
    for number in range(40):
        rng = random.Random(f"{kind} {number}")
        check(rng, World(rng, kind))


def check(rng: random.Random, world: World) -> None:
    session = world.session()
    P, F, d, unstable = session.integers, session.floats, world.d, world.unstable
    place, top = int(P[layout.ARENA]), int(P[int(P[layout.INT_FRAMES]) + 2])
    box = int(P[layout.SCRATCH])
    relaxations = box + 3 * d + 2 * unstable
    form = relaxations + 4 * unstable + unstable * d + unstable + 2
    note = form + unstable + d
    mapping = note + 2 + 2 * (d + 1) + 6 + 2 * unstable + unstable + d
    buffer = mapping - unstable - d
    F[box : box + 2 * d] = np.concatenate(world.box)
    tiny, at = float(F[int(P[layout.TINY])]), (form, relaxations, box, note)
    for i in range(unstable):
        at_points = [z[i] for z in world.values]
        low, high = world.bounds[0][i], world.bounds[1][i]
        if rng.random() < 0.4 and all(v >= 0 for v in at_points):
            low = 0.0
        elif rng.random() < 0.4 and all(v <= 0 for v in at_points):
            high = 0.0
        plain(system.relax)(F, relaxations + 4 * i, low, high)
    for i in range(world.rows):
        for sign in (1.0, -1.0):
            bound = plain(system.backward)(F, place, d, i, min(i, unstable), sign, at, tiny, -1)
            slope, constant = [Fraction(float(v)) for v in F[form : form + d]], Fraction(float(F[note]))
            for x, z in zip(world.points, world.values, strict=True):
                assert Fraction(float(bound)) <= int(sign) * z[i]
                assert sum((a * v for a, v in zip(slope, x, strict=True)), constant) <= int(sign) * z[i]
    P[int(P[layout.NEEDED]) : int(P[layout.NEEDED]) + 2] = 1
    left = plain(system.mark_needed)(F, P, place, d, unstable, 2, int(P[layout.NEEDED]), relaxations, mapping)
    target, limit = place + top, place + int(P[layout.ARENA_SIZE])
    rows = (d, unstable, world.rows, left, relaxations, mapping, buffer, tiny)
    assert plain(system.substitute)(F, place, target, limit, *rows) > 0
    kept = [j for j in range(unstable) if F[mapping + j] >= 0]
    for out, i in enumerate([*kept, unstable, unstable + 1]):
        meta = target + layout.META * out
        data, first, last = target + int(F[meta]), int(F[meta + 1]), int(F[meta + 2])
        for x, z in zip(world.points, world.values, strict=True):
            total = Fraction(float(F[meta + 3]))
            for k in range(d):
                total += Fraction(float(F[data + k])) * x[k]
            for k in range(first, last):
                total += Fraction(float(F[data + d + k - first])) * max(z[kept[k]], 0)
            assert abs(total - z[i]) <= Fraction(float(F[meta + 4]))
