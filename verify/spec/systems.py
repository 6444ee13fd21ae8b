"""Closed loops: `system` blocks, `sys.next(q)` and `run(sys, q, N)`.

A successor is a record of linear terms over the variable it started from, disturbances and networks' outputs; it is
written out when it is asked for, once per start and step.  Every step has disturbances of its own: quantified numbers
within their declared ranges.
"""

from __future__ import annotations

from verify.errors import Mark
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.feeding import linear
from verify.spec.names import did_you_mean, one_of
from verify.spec.scope import Scope, check_size
from verify.spec.terms import InputRef, Term, reference
from verify.spec.values import (
    Disturbance,
    FieldInfo,
    Function,
    Record,
    Run,
    Scalar,
    Stepping,
    SystemInfo,
    Value,
    describe,
    in_unit,
)

MAX_STEPS = 200  # of a run


def next_state(node: s.Call, stepping: Stepping, scope: Scope) -> Record:
    """`sys.next(q)`."""
    system = stepping.system
    if len(node.arguments) != 1 or node.keywords:
        raise error(
            "E331", node.place, f"`{system.name}.next` takes one state", f"write {system.name}.next(q) for a state `q`"
        )
    return step(_state(node.arguments[0], system, scope), scope)


def run(node: s.Call, scope: Scope) -> Run:
    """`run(sys, q, N)`: the states from q to the one after N steps."""
    if len(node.arguments) != 3 or node.keywords:
        raise error(
            "E331",
            node.place,
            f"`run` takes a system, a state and a number of steps, not {len(node.arguments)} arguments",
            "write run(SYSTEM, q, 20)",
        )
    first, start, count = node.arguments
    target = scope.evaluate(first)
    if not isinstance(target, Function) or not isinstance(target.target, SystemInfo):
        raise error(
            "E333",
            first.place,
            f"`run` needs a system, but `{first.text}` is {describe(target)}",
            f"the systems here are {one_of(scope.declared.systems)}" if scope.declared.systems else "declare a system",
        )
    states = [_state(start, target.target, scope)]
    steps = scope.integer(count, "the number of steps")
    if not 0 <= steps <= MAX_STEPS:
        raise error(
            "E308",
            count.place,
            f"a run of {steps} steps; at least 0, at most {MAX_STEPS} are possible",
            "prove an invariant instead: one step from every state of a set leads back into it",
        )
    for _ in range(steps):
        states.append(step(states[-1], scope))
    return Run(tuple(states))


def _state(node: s.Expression, system: SystemInfo, scope: Scope) -> Record:
    value = scope.evaluate(node)
    if isinstance(value, Record) and value.network is system:
        return value
    raise error(
        "E333",
        node.place,
        f"a state of `{system.name}` is needed, but `{node.text}` is {describe(value)}",
        f"quantify it: forall q : {system.name}.state",
    )


def step(state: Record, scope: Scope) -> Record:
    """The successor of a state; the same one whenever it is asked for."""
    assert isinstance(state.network, SystemInfo)
    system, work = state.network, scope.work
    key = (state.start, state.step)
    if key not in work.successors:
        inner = Scope(scope.declared, scope.handlers, work, step=state)
        work.successors[key] = _successor(system, state, inner)
    return work.successors[key]


def _successor(system: SystemInfo, state: Record, scope: Scope) -> Record:
    disturbances: list[str] = []
    names: dict[str, Value] = {f.name: state.scalar(f.start, f) for f in system.inputs.fields}
    for field in system.disturbances.fields:
        name = f"{state.label}.{field.name}"
        scope.work.disturbances.append(Disturbance(name, field))
        disturbances.append(name)
        names[field.name] = Scalar(reference(InputRef(name, 0), field.scale.factor), field.scale.unit)
    scope = scope.bind(names)
    for item in system.item.items:
        if isinstance(item, s.Let):
            scope = scope.bind({item.name.text: scope.evaluate(item.value)})
    values = {i.name.text: i.value for i in system.item.items if isinstance(i, s.NextItem)}
    fields = system.inputs.fields
    terms = scope.each([values[f.name] for f in fields], scope.scalar)
    carried = [_carried(f, values[f.name], v, scope) for f, v in zip(fields, terms, strict=True)]
    scope.work.steps += sum(len(t.linear) for t in carried)  # so that runs whose terms grow too long end as an error
    name = f"{state.start}[{state.step + 1}]"
    successor = Record(
        system,
        name,
        name,
        terms=tuple(carried),
        start=state.start,
        step=state.step + 1,
        disturbances=tuple(disturbances),
    )
    scope.work.states.append(successor)
    return successor


def _carried(field: FieldInfo, node: s.Expression, value: Scalar, scope: Scope) -> Term:
    """A field of the next state in its declared unit."""
    if value.unit is not None and value.unit != field.scale.unit:
        bare = not value.unit.powers
        raise error(
            "E317" if bare else "E316",
            node.place,
            f"the next `{field.name}` is{in_unit(value.unit)}, but the state is{in_unit(field.scale.unit)}",
            f"multiply it by `1[{field.scale.unit}]`"
            if bare
            else "give a quantity of that unit; is a time step missing?",
            also=[Mark(field.place, "the state")],
        )
    term = linear(value.term, node, scope).times(1 / field.scale.factor)
    for coefficient in term.linear.values():
        check_size(coefficient, node)
    return term


def symbolic_state(system: SystemInfo, name: str) -> Record:
    """A state about which nothing is known but its fields."""
    return Record(system, name, name, start=name)


def wrong_member(node: s.Attribute, system: SystemInfo) -> Exception:
    """What is wrong with `sys.something`."""
    name = node.field.text
    if name == "state":
        fix = f"quantify over it: forall q : {node.text}"
        return error("E319", node.place, f"`{node.text}` is a domain, not a value", fix)
    fix = did_you_mean(name, ["next", "state"]) or f"there are `{system.name}.state` and `{system.name}.next(q)`"
    if system.inputs.find(name):
        fix = f"`{name}` is a field of a state: write `q.{name}` for a quantified `q`"
    return error("E315", node.field.place, f"system `{system.name}` has no `{name}`", fix)


def element(node: s.Index, states: Run, scope: Scope) -> Record:
    """`run(…)[k]`."""
    if len(node.indices) != 1:
        raise error("E331", node.place, "a run takes one index", f"write `{node.base.text}[0]`")
    number = scope.integer(node.indices[0], "an index")
    if not 0 <= number < len(states.states):
        raise error(
            "E330",
            node.indices[0].place,
            f"state {number} is out of range: the run has {len(states.states)} states",
            f"indices run from 0, the start, to {len(states.states) - 1}",
        )
    return states.states[number]
