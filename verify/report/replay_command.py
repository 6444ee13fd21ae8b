"""The command that reproduces a witness, to be pasted into a shell."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from verify.core.query import Query
from verify.core.verdict import Witness
from verify.report.numbers import exact


@dataclass(frozen=True)
class Invocation:
    """The part of the user's call that a command about the same spec must repeat."""

    spec: str
    networks: tuple[str, ...] = ()  # as given: NAME=FILE or FILE
    params: tuple[str, ...] = ()  # as given: NAME=VALUE

    def command(self, verb: str, *rest: str) -> str:
        words = ["verify", verb, self.spec]
        for network in self.networks:
            words += ["--network", network]
        for param in self.params:
            words += ["-p", param]
        return " ".join(map(shlex.quote, [*words, *rest]))


def replay_command(witness: Witness, query: Query, invocation: Invocation) -> str:
    """`verify eval` at the witness, every value exact."""
    words: list[str] = []
    for field, raw in zip(query.inputs, witness.x, strict=True):
        words += ["--at", f"{field.name}={exact(field.physical(raw))}"]
    return invocation.command("eval", *words)
