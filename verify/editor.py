"""What an editor asks about a spec: mistakes, what a name means, where it is declared.  No model is read."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from verify.errors import Place, VerifyError
from verify.spec import syntax as s
from verify.spec.diagnose import diagnose
from verify.spec.parse import parse_and_recover

_NAME = re.compile(r"[A-Za-z_]\w*")
_PATH = re.compile(r"([A-Za-z_]\w*)\s*(\((?:[^()]|\([^()]*\))*\))?\s*\.\s*$")  # `s.` or `n(…).` before a field

_UNIT = re.compile(r"\w\s*\[[\w\s*/^-]*$")  # inside the brackets of a unit
_LOOKED_BACK = 200  # characters: the searches are quadratic


@dataclass(frozen=True)
class Meaning:
    """What the name at a place stands for: its words, and its declaration."""

    words: str
    place: Place


def mistakes(text: str, file: str) -> tuple[VerifyError, ...]:
    """All errors of a spec, in the order of the file."""
    return diagnose(text, file, {}).errors


def meaning(text: str, file: str, line: int, column: int) -> Meaning | None:
    """What is named at a place (counted from 1); None where nothing is, or it is unknown."""
    spec, _ = parse_and_recover(text, file)
    source = next(iter(text.removeprefix("\ufeff").split("\n")[line - 1 : line]), "")
    match = next((m for m in _NAME.finditer(source) if m.start() < column <= m.end()), None)
    if match is None:
        return None
    before = source[max(0, match.start() - _LOOKED_BACK) : match.start()]
    owner = _PATH.search(before)
    if owner is not None:
        return _field(spec, line, owner[1], match.group(), is_output=owner[2] is not None)
    if _UNIT.search(before):
        return next((m for m in _declared(spec, units=True) if m[0] == match.group()), (None, None))[1]
    named = [*_local(spec, line), *_declared(spec), *_declared(spec, units=True), *_fields(spec)]
    return next((m for name, m in named if name == match.group()), None)


def _declared(spec: s.SpecFile, *, units: bool = False) -> Iterator[tuple[str, Meaning]]:
    for item in spec.items:
        if isinstance(item, s.UnitDecl) is units:
            words = item.text
            if isinstance(item, (s.NetworkDecl, s.SystemDecl, s.PropertyDecl)):
                words = item.text.partition("{")[0].rstrip()
            yield item.name.text, Meaning(words, item.name.place)


def _local(spec: s.SpecFile, line: int) -> Iterator[tuple[str, Meaning]]:
    """The variables, lets and parameters of the property, definition or system that a line belongs to."""
    item = _enclosing(spec, line)
    if isinstance(item, s.DefineDecl):
        for parameter, domain in item.parameters:
            yield parameter.text, Meaning(f"{parameter.text} : {domain.text}", parameter.place)
    if isinstance(item, s.SystemDecl):
        yield from _states(item)
        for let in (i for i in item.items if isinstance(i, s.Let)):
            yield let.name.text, Meaning(let.text, let.name.place)
    for statement in reversed(item.statements) if isinstance(item, s.PropertyDecl) else ():
        if isinstance(statement, s.Quantifier):
            for name in statement.names:
                yield name.text, Meaning(f"{statement.word} {name.text} : {statement.domain.text}", name.place)
        elif isinstance(statement, s.Let):
            yield statement.name.text, Meaning(statement.text, statement.name.place)


def _enclosing(spec: s.SpecFile, line: int) -> s.Item | None:
    before = [i for i in spec.items if i.place.line <= line]
    return before[-1] if before else None


def _field(spec: s.SpecFile, line: int, owner: str, name: str, *, is_output: bool) -> Meaning | None:
    """The field of a quantified input, or the output of a network."""
    network = owner
    for variable, found in _local(spec, line):
        if variable == owner and not is_output:
            network = found.words.rpartition(": ")[2].partition(".")[0]
            is_output = found.words.endswith(".output")
            break
    fields = [m for n, m in _fields(spec, network, "output" if is_output else "input") if n == name]
    return fields[0] if fields else next((m for n, m in _fields(spec) if n == name), None)


def _fields(spec: s.SpecFile, network: str = "", direction: str = "") -> Iterator[tuple[str, Meaning]]:
    """Every field with its unit, range and normalisation."""
    for item in spec.items:
        if isinstance(item, s.NetworkDecl) and network in ("", item.name.text):
            for port in item.items:
                if isinstance(port, s.PortItem) and direction in ("", port.direction):
                    for name in port.names:
                        yield name.text, Meaning(f"{item.name.text}: {_described(port, name.text)}", name.place)
        elif isinstance(item, s.SystemDecl) and network in ("", item.name.text) and direction in ("", "input"):
            yield from _states(item)


def _states(item: s.SystemDecl) -> Iterator[tuple[str, Meaning]]:
    """The states and disturbances of a closed loop."""
    for line in item.items:
        if isinstance(line, s.StateItem):
            for name in line.names:
                parts = [f"{line.kind} {name.text}"]
                parts += [line.unit.text] if line.unit is not None else []
                parts += [f"in {line.interval.text}"] if line.interval is not None else []
                yield name.text, Meaning(f"{item.name.text}: {' '.join(parts)}", name.place)


def _described(port: s.PortItem, name: str) -> str:
    shape = "" if port.shape is None else f"[{', '.join(map(str, port.shape))}]"
    parts = [f"{port.direction} {name}{shape}"]
    if port.unit is not None:
        parts.append(port.unit.text)
    if port.interval is not None:
        parts.append(f"in {port.interval.text}")
    if port.raw is not None:
        parts.append(f"raw = {port.raw.text}")
    return " ".join(parts)
