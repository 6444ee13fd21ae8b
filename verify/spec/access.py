"""The meaning of fields, indices and calls."""

from __future__ import annotations

from fractions import Fraction

from verify.errors import Mark
from verify.spec import syntax as s
from verify.spec import systems
from verify.spec.arithmetic import extreme
from verify.spec.codes import error
from verify.spec.decisions import decide, elements, find_label
from verify.spec.feeding import linear, linear_key
from verify.spec.names import did_you_mean, one_of
from verify.spec.scope import BUILT_IN, Scope, wrong_kind
from verify.spec.terms import Term, maximum, minimum
from verify.spec.units import DIMENSIONLESS, Unit
from verify.spec.values import (
    Application,
    DataRow,
    Dataset,
    FieldInfo,
    Function,
    Label,
    Layout,
    NetworkInfo,
    Record,
    Run,
    Scalar,
    Stepping,
    SystemInfo,
    Tensor,
    Value,
    describe,
    in_unit,
)


def attribute(node: s.Attribute, scope: Scope) -> Value:
    base = scope.evaluate(node.base)
    if isinstance(base, Function) and isinstance(base.target, NetworkInfo) and node.field.text == "input":
        raise error(
            "E319", node.place, f"`{node.text}` is a domain, not a value", f"quantify over it: forall s : {node.text}"
        )
    if isinstance(base, Function) and isinstance(base.target, SystemInfo):
        if node.field.text != "next":
            raise systems.wrong_member(node, base.target)
        return Function(node.text, Stepping(base.target))
    if isinstance(base, DataRow):
        return _of_row(node, base)
    if not isinstance(base, Record):
        fix = f"call it first: `{node.base.text}(…).{node.field.text}`"
        if not isinstance(base, Function):
            fix = f"write `{node.base.text}` without `.{node.field.text}`"
        raise error("E319", node.base.place, f"`{node.base.text}` is {describe(base)} and has no fields", fix)
    found = base.layout.find(node.field.text)
    if found is None:
        raise _unknown_field(node, base)
    if found.shape is not None:
        return Tensor(base, found)
    return base.scalar(found.start, found)


def _of_row(node: s.Attribute, row: DataRow) -> Value:
    if node.field.text == "input":
        return row.input
    if node.field.text != "label":
        raise error("E315", node.field.place, "a row of a dataset has `.input` and `.label`")
    if row.label is None:
        raise error("E362", node.place, f"`{row.dataset}` has no labels", "add a column `label` to the file")
    if isinstance(row.label, str):
        return Label(row.label)
    return Scalar(Term(constant=Fraction(row.label)), DIMENSIONLESS)


def _unknown_field(node: s.Attribute, base: Record) -> Exception:
    name, network = node.field.text, base.network
    if isinstance(network, SystemInfo):
        fix = did_you_mean(name, base.layout.names()) or f"there are {one_of(base.layout.names())}"
        if network.disturbances.find(name):
            fix = f"`{name}` is a disturbance: only `next` may depend on it"
        return error("E315", node.field.place, f"a state of `{network.name}` has no `{name}`", fix)
    other = network.outputs if base.is_input else network.inputs
    fix = did_you_mean(name, base.layout.names()) or f"there are {one_of(base.layout.names())}"
    if other.find(name):
        fix = (
            f"`{name}` is an output: write `{network.name}({base.label}).{name}`"
            if base.is_input
            else f"`{name}` is an input: write it without `{network.name}(…)`"
        )
    kind = "input" if base.is_input else "output"
    return error("E315", node.field.place, f"`{network.name}` has no {kind} `{name}`", fix)


def index(node: s.Index, scope: Scope) -> Value:
    base = scope.evaluate(node.base)
    if isinstance(base, Dataset):
        number = scope.integer(node.indices[0], "a row's number") if len(node.indices) == 1 else -1
        if not 0 <= number < len(base.rows):
            raise error("E330", node.place, f"`{base.name}` has the rows 0 to {len(base.rows) - 1}")
        return base.rows[number]
    if isinstance(base, Run):
        return systems.element(node, base, scope)
    if isinstance(base, Tensor):
        return base.record.scalar(tensor_element(node, base.field, scope), base.field)
    if isinstance(base, Record) and not base.is_input:
        if len(node.indices) != 1:
            raise error(
                "E331",
                node.place,
                f"`{node.base.text}[…]` takes one label or number, not {len(node.indices)}",
                f"write `{node.base.text}[{base.layout.fields[0].name}]`" if base.layout.fields else "",
            )
        label = find_label(base, node.indices[0], scope)
        return base.scalar(label, base.layout.field_of(label))
    raise wrong_kind(node.base, base, "only tensors and network outputs can be indexed")


def tensor_element(node: s.Index, field: FieldInfo, scope: Scope) -> int:
    """The position of an element among the network's elements.  Raises E330, E331."""
    shape = field.shape or ()
    if len(node.indices) != len(shape):
        raise error(
            "E331",
            node.place,
            f"`{field.name}` takes {len(shape)} indices, not {len(node.indices)}",
            f"it is declared as {field.name}[{','.join(map(str, shape))}]",
        )
    position = 0
    for given, extent in zip(node.indices, shape, strict=True):
        number = scope.integer(given, "an index")
        if not 0 <= number < extent:
            raise error(
                "E330",
                given.place,
                f"index {number} is out of range: `{field.name}` has {extent} elements here",
                f"indices run from 0 to {extent - 1}",
            )
        position = position * extent + number
    return field.start + position


def call(node: s.Call, scope: Scope) -> Value:
    function = scope.evaluate(node.function)
    if not isinstance(function, Function):
        raise error(
            "E319",
            node.function.place,
            f"`{node.function.text}` is {describe(function)}; it cannot be called",
            "networks, definitions, abs, min, max, argmax and argmin can be called",
        )
    if isinstance(function.target, SystemInfo):
        name = function.name
        fix = f"write {name}.next(q) for the next state, or run({name}, q, 20) for a run"
        raise error("E319", node.function.place, f"`{name}` is a system; it cannot be called", fix)
    if isinstance(function.target, Stepping):
        return systems.next_state(node, function.target, scope)
    if isinstance(function.target, NetworkInfo):
        return _apply(node, function.target, scope)
    if node.keywords:
        raise error(
            "E331",
            node.keywords[0][0].place,
            f"`{function.name}` takes no named arguments",
            f"write the values only: `{function.name}(…, …)`",
        )
    if function.target is None:
        return _built_in(node, function.name, scope)
    return _expand(node, function.target, scope)


def _built_in(node: s.Call, name: str, scope: Scope) -> Value:
    assert name in BUILT_IN
    if name == "run":
        return systems.run(node, scope)
    count = len(node.arguments)
    if name in ("abs", "argmax", "argmin"):
        if count != 1:
            raise error("E331", node.place, f"`{name}` takes 1 argument, not {count}", f"write {name}(…)")
        if name == "abs":
            return extreme(name, list(node.arguments), scope)
        return decide(name, node.arguments[0], scope)
    if count == 0:
        raise error("E331", node.place, f"`{name}` takes at least 1 argument", f"write {name}(…, …)")
    if count == 1:
        value = scope.evaluate(node.arguments[0])
        if isinstance(value, (Record, Tensor)):
            options = [scalar for _, _, scalar in elements(value, node.arguments[0])]
            terms = [o.term for o in options]
            return Scalar(minimum(terms) if name == "min" else maximum(terms), options[0].unit)
    return extreme(name, list(node.arguments), scope)


def _expand(node: s.Call, define: s.DefineDecl, scope: Scope) -> Value:
    name = define.name.text
    if name in scope.active:
        raise error(
            "E332",
            node.place,
            f"`{name}` uses itself: {' -> '.join([*scope.active[scope.active.index(name) :], name])}",
            "definitions are inlined and cannot be recursive",
        )
    if len(node.arguments) != len(define.parameters):
        raise error(
            "E331",
            node.place,
            f"`{name}` takes {len(define.parameters)} argument{'s' * (len(define.parameters) != 1)}, "
            f"not {len(node.arguments)}",
            f"write {name}({', '.join(p.text for p, _ in define.parameters)})",
            also=[Mark(define.name.place, "defined here")],
        )
    names: dict[str, Value] = {}
    for (parameter, domain), argument in zip(define.parameters, node.arguments, strict=True):
        names[parameter.text] = _fit_domain(argument, scope.evaluate(argument), domain, scope)
    inner = Scope(scope.declared, scope.handlers, scope.work, names, (*scope.active, name), step=scope.step)
    return inner.evaluate(define.body)


def _fit_domain(argument: s.Expression, value: Value, domain: s.Domain, scope: Scope) -> Value:
    network, is_input = network_domain(domain, scope)
    if isinstance(network, SystemInfo) and isinstance(value, Record) and value.network is network:
        return value
    wanted = network.inputs if is_input else network.outputs
    if isinstance(value, Record) and value.is_input == is_input and _fits(value, wanted):
        return value
    raise error(
        "E333",
        argument.place,
        f"`{domain.text}` is needed, but `{argument.text}` is {describe(value)}",
        f"quantify it: forall s : {domain.text}" if is_input else f"write `{network.name}(…)`",
        also=[Mark(domain.place, "needed here")],
    )


def _fits(value: Record, wanted: Layout) -> bool:
    layout = value.layout
    shape = [(f.name, f.shape, f.scale) for f in layout.fields]
    return shape == [(f.name, f.shape, f.scale) for f in wanted.fields]


def network_domain(domain: s.Domain, scope: Scope) -> tuple[NetworkInfo, bool]:
    """The network of `net.input` (True) or `net.output` (False), or the system of `sys.state` (True)."""
    if isinstance(domain, s.Attribute) and isinstance(domain.base, s.Name):
        value, word = scope.lookup(domain.base.text), domain.field.text
        if isinstance(value, Function) and isinstance(value.target, SystemInfo):
            if word == "state":
                return value.target, True
            fix = f"write `{domain.base.text}.state`"
            raise error("E319", domain.place, f"`{domain.text}` is no domain", fix)
        if isinstance(value, Function) and isinstance(value.target, NetworkInfo) and word in ("input", "output"):
            return value.target, word == "input"
    if isinstance(domain, (s.Call, s.Interval, s.Choices)):
        raise error("E319", domain.place, f"`{domain.text}` is no network's input", "write NETWORK.input")
    base = domain.base if isinstance(domain, s.Attribute) else domain
    if isinstance(base, s.Name) and scope.lookup(base.text) is None:
        raise _unknown_network(base, scope)
    fix = "write NETWORK.input"
    if isinstance(domain, s.Attribute):
        fix = f"write `{domain.base.text}.input`"
    elif isinstance(domain, s.Name) and domain.text in scope.declared.networks:
        fix = f"write `{domain.text}.input`"
    elif isinstance(domain, s.Name) and domain.text in scope.declared.systems:
        fix = f"write `{domain.text}.state`"
    raise error("E319", domain.place, f"`{domain.text}` is no domain", fix)


def _unknown_network(node: s.Name, scope: Scope) -> Exception:
    problem = scope.unknown(node)
    networks = list(scope.declared.networks)
    if problem.code == "E310" and networks:
        problem.fix = did_you_mean(node.text, networks) or f"the networks here are {one_of(networks)}"
    return problem


# --- networks ----------------------------------------------------------------------------------------------


def _apply(node: s.Call, network: NetworkInfo, scope: Scope) -> Record:
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
    return [linear(p, unit, expression, scope).times(1 / field.scale.factor) for p in parts]
