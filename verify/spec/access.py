"""The meaning of fields, indices and calls."""

from __future__ import annotations

from fractions import Fraction

from verify.errors import Mark
from verify.spec import syntax as s
from verify.spec import systems
from verify.spec.applying import apply
from verify.spec.arithmetic import extreme
from verify.spec.codes import error
from verify.spec.decisions import decide, elements, find_label
from verify.spec.names import did_you_mean, one_of
from verify.spec.scope import BUILT_IN, Scope, wrong_kind
from verify.spec.terms import Term, maximum, minimum
from verify.spec.units import DIMENSIONLESS
from verify.spec.values import (
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
        return apply(node, function.target, scope)
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
