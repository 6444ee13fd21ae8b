"""The declaration of a closed loop: states, disturbances, and one `next` for every state."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction

from verify.errors import Mark, Place
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.mistakes import Mistakes
from verify.spec.names import did_you_mean, one_of
from verify.spec.ranges import check_new, interval, scope_of
from verify.spec.scope import Declarations
from verify.spec.systems import step, symbolic_state
from verify.spec.units import resolve
from verify.spec.values import FieldInfo, Layout, SystemInfo


def declare_system(item: s.SystemDecl, declared: Declarations) -> SystemInfo:
    fields: dict[str, list[FieldInfo]] = {"state": [], "disturbance": []}
    seen: dict[tuple[str, str], Place] = {}
    mistakes = Mistakes()
    for line in item.items:
        names = line.names if isinstance(line, s.StateItem) else [line.name] if isinstance(line, s.Let) else []
        for name in names:
            with mistakes.collecting():
                check_new(name, "name", seen)
                _check_hides_nothing(name, declared)
                if isinstance(line, s.StateItem):
                    fields[line.kind].append(_state_field(name, line, len(fields[line.kind]), declared))
    for problem in _wrong_items(item):
        with mistakes.collecting():
            raise problem
    mistakes.raise_any()
    states, disturbances = (Layout(tuple(fields[kind])) for kind in ("state", "disturbance"))
    return SystemInfo(item.name.text, states, Layout(()), item.name.place, disturbances, item)


def _check_hides_nothing(name: s.Identifier, declared: Declarations) -> None:
    if name.text in declared.later:
        also = [Mark(declared.later[name.text], "declared here")]
        raise error("E311", name.place, f"`{name.text}` is already declared", "choose another name", also=also)


def _state_field(name: s.Identifier, line: s.StateItem, start: int, declared: Declarations) -> FieldInfo:
    scale = resolve(line.unit, declared.units)
    low = high = None
    if line.interval is not None:
        low, high = interval(line.interval, scale, scope_of(declared))
    elif line.kind == "disturbance":
        raise error(
            "E344",
            name.place,
            f"the disturbance `{name.text}` has no bounds",
            f"write its range: disturbance {name.text}{f' {line.unit.text}' if line.unit else ''} in [LOW, HIGH]",
        )
    return FieldInfo(name.text, None, start, scale, low, high, Fraction(1), Fraction(0), False, name.place)


def check_step(item: s.Item, declared: Declarations, params: Mapping[str, str]) -> None:
    """Compute one step from a symbolic state, so that a mistake shows even when the system is not used."""
    del params
    if isinstance(item, s.SystemDecl) and item.name.text in declared.systems:
        step(symbolic_state(declared.systems[item.name.text], "q"), scope_of(declared))


def _wrong_items(item: s.SystemDecl) -> Iterator[Exception]:
    """What is wrong with the names in a system block: every state has one `next`."""
    states = {n.text: n for i in item.items if isinstance(i, s.StateItem) and i.kind == "state" for n in i.names}
    if not states:
        yield error(
            "E370", item.name.place, f"system `{item.name.text}` has no state", "add `state NAME` and `next NAME = …`"
        )
    given: dict[str, s.NextItem] = {}
    for line in item.items:
        if not isinstance(line, s.NextItem):
            continue
        name = line.name.text
        if name not in states:
            fix = did_you_mean(name, states) or f"the states are {one_of(states)}"
            yield error("E371", line.name.place, f"`{item.name.text}` has no state `{name}`", fix)
        elif name in given:
            yield error(
                "E372",
                line.name.place,
                f"the next `{name}` is given twice",
                "give one; use `let` for what comes in between",
                also=[Mark(given[name].name.place, "first given here")],
            )
        given.setdefault(name, line)
    for name, written in states.items():
        if name not in given:
            fix = f"add `next {name} = …`, or `next {name} = {name}` if it never changes"
            yield error("E370", written.place, f"state `{name}` has no `next`", fix)
