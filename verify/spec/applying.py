"""The meaning of `net(…)`: what a network is fed, field by field."""

from __future__ import annotations

from verify.errors import Mark
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.feeding import linear, linear_key
from verify.spec.names import did_you_mean, one_of
from verify.spec.scope import Scope
from verify.spec.terms import Term
from verify.spec.units import Unit
from verify.spec.values import Application, FieldInfo, NetworkInfo, Record, Scalar, Tensor, describe, in_unit


def apply(node: s.Call, network: NetworkInfo, scope: Scope) -> Record:
    """The outputs of a network, given one input or a value for every field; the same for the same values."""
    if node.keywords:
        arguments = _named_arguments(node, network, scope)
    else:
        if len(node.arguments) != 1:
            raise error(
                "E331",
                node.place,
                f"`{network.name}` takes one input, not {len(node.arguments)} arguments",
                f"write `{network.name}(s)` for a quantified `s`, or name every field: "
                f"{network.name}({', '.join(f'{n} = …' for n in network.inputs.names()[:3])})",
            )
        arguments = _record_arguments(node.arguments[0], network, scope)
    key = (network.name, *(linear_key(t) for t in arguments))
    work = scope.work
    if key not in work.known:
        label = f"{network.name}({', '.join(a.text for a in node.arguments)})"
        if node.keywords:
            label = f"{network.name}({', '.join(f'{k.text}={v.text}' for k, v in node.keywords)})"
        shown = scope.lookup(node.arguments[0].text) if node.arguments else None
        if isinstance(shown, Record):
            label = f"{network.name}({shown.label})"
        elif scope.step is not None:
            label = _label_in_step(label, network, arguments, scope.step)
        if any(a.label == label for a in work.applications):
            label += f"#{len(work.applications) + 1}"
        work.known[key] = len(work.applications)
        work.applications.append(Application(network, arguments, label))
    number = work.known[key]
    return Record(network, number, work.applications[number].label)


def _label_in_step(label: str, network: NetworkInfo, arguments: tuple[Term, ...], state: Record) -> str:
    """`ctl(q[1])` for a network that is fed the state as it is, else what was written and at which state."""
    fields = [state.layout.find(f.name) for f in network.inputs.fields]
    if all(f is not None and f.shape == w.shape for f, w in zip(fields, network.inputs.fields, strict=True)):
        own = [state.scalar(f.start, f).term.times(1 / f.scale.factor) for f in fields if f is not None]
        if [linear_key(t) for t in own] == [linear_key(t) for t in arguments]:
            return f"{network.name}({state.label})"
    return f"{label} at {state.label}"


def _record_arguments(argument: s.Expression, network: NetworkInfo, scope: Scope) -> tuple[Term, ...]:
    value = scope.evaluate(argument)
    if not isinstance(value, Record) or not value.is_input:
        raise error(
            "E333",
            argument.place,
            f"`{network.name}` needs an input, but `{argument.text}` is {describe(value)}",
            f"quantify it: forall s : {network.name}.input, then `{network.name}(s)`",
        )
    result: list[Term] = []
    for wanted in network.inputs.fields:
        found = value.layout.find(wanted.name)
        if found is None or found.shape != wanted.shape or found.scale.unit != wanted.scale.unit:
            problem = "has no such field"
            if found is not None:
                problem = "has another shape" if found.shape != wanted.shape else f"has it{in_unit(found.scale.unit)}"
            raise error(
                "E333",
                argument.place,
                f"`{network.name}` needs the field `{wanted.name}`{in_unit(wanted.scale.unit)}, "
                f"but `{argument.text}` {problem}",
                f"quantify over `{network.name}.input`, or name every field: {network.name}({wanted.name} = …)",
            )
        for offset in range(wanted.size):
            term = value.scalar(found.start + offset, found).term
            result.append(term.times(1 / wanted.scale.factor))
    return tuple(result)


def _named_arguments(node: s.Call, network: NetworkInfo, scope: Scope) -> tuple[Term, ...]:
    if node.arguments:
        raise error(
            "E331",
            node.arguments[0].place,
            "either one input or all fields by name, not both",
            f"write `{network.name}(s)` or `{network.name}(NAME = …, …)`",
        )
    given: dict[str, s.Expression] = {}
    for name, expression in node.keywords:
        if network.inputs.find(name.text) is None:
            fix = did_you_mean(name.text, network.inputs.names()) or f"there are {one_of(network.inputs.names())}"
            raise error("E315", name.place, f"`{network.name}` has no input `{name.text}`", fix)
        if name.text in given:
            raise error(
                "E311",
                name.place,
                f"`{name.text}` is given twice",
                "give it once",
                also=[Mark(given[name.text].place, "given here")],
            )
        given[name.text] = expression
    result = []
    for field in network.inputs.fields:
        if field.name not in given:
            raise error(
                "E331",
                node.place,
                f"`{network.name}` needs a value for its input `{field.name}`",
                f"add `{field.name} = …`",
            )
        result.extend(_named_argument(field, given[field.name], scope))
    return tuple(result)


def _named_argument(field: FieldInfo, expression: s.Expression, scope: Scope) -> list[Term]:
    value = scope.evaluate(expression)
    if isinstance(value, Tensor) and value.field.shape == field.shape:
        unit: Unit | None = value.field.scale.unit
        parts = [value.record.scalar(value.field.start + k, value.field).term for k in range(field.size)]
    elif isinstance(value, Scalar) and field.shape is None:
        unit, parts = value.unit, [value.term]
    else:
        raise error(
            "E333",
            expression.place,
            f"`{expression.text}` is {describe(value)}, which does not fit `{field.name}`",
            "give a number" if field.shape is None else f"give a tensor of shape {list(field.shape)}",
        )
    if unit is not None and unit != field.scale.unit:
        raise error(
            "E316",
            expression.place,
            f"`{expression.text}` is{in_unit(unit)}, but the field `{field.name}` is{in_unit(field.scale.unit)}",
            "give a quantity of that unit",
            also=[Mark(field.place, "the field")],
        )
    return [linear(p, expression, scope).times(1 / field.scale.factor) for p in parts]
