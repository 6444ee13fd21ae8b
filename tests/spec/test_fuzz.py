"""Damaged specs: a SpecError or a query, never a traceback, never a hang."""

from __future__ import annotations

import contextlib
import random
from pathlib import Path

import pytest

from tests.spec.models import random_network
from verify.errors import SpecError
from verify.spec import lower, parse

EXAMPLES = sorted(Path(__file__).with_name("examples").glob("*.nnspec"))
PIECES = [
    *"()[]{}=<>+-*/.,:@#\"_0$\n\x00é", "and", "or", "not", "forall", "assert", "max(", "s", "1e400", "[m]", "value",
    "in", "raw", "property", "argmax", "is", "may be", "if", "then", "else", "all", "..", "!=", "=>", "true", "except",
]  # fmt: skip
MODELS = {
    "acas": random_network(5, 5), "pi": random_network(4, 2), "rm": random_network(3, 1), "loan": random_network(3, 1),
    "teacher": random_network(2, 3), "student": random_network(2, 3, seed=1), "ctl": random_network(2, 1),
}  # fmt: skip


def damage(text: str, rng: random.Random) -> str:
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(text))
        end = min(len(text), at + rng.choice([0, 0, 1, 1, 4, 12]))
        donor = rng.randrange(len(text))
        insert = rng.choice([rng.choice(PIECES), text[donor : donor + rng.randint(1, 15)], ""])
        text = text[:at] + insert + text[end:]
    return text


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda p: p.stem)
def test_damaged_examples(path: Path, rounds: int = 60) -> None:
    rng = random.Random(path.stem)
    text = path.read_text(encoding="utf-8")
    for _ in range(rounds):
        with contextlib.suppress(SpecError):
            lower(parse(damage(text, rng), "damaged.nnspec"), MODELS, {})
