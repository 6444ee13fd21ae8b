"""Declarations: units, constants, params, networks, definitions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction

from verify.errors import Place, SpecError
from verify.spec import syntax as s
from verify.spec.access import network_domain
from verify.spec.codes import error
from verify.spec.datasets import read_dataset
from verify.spec.declare_system import check_step, declare_system
from verify.spec.meaning import HANDLERS
from verify.spec.mistakes import Mistakes
from verify.spec.names import did_you_mean, one_of
from verify.spec.ranges import check_new, declared_number, interval, scope_of
from verify.spec.scope import BUILT_IN, Declarations, Scope
from verify.spec.systems import symbolic_state
from verify.spec.terms import RawValue, Term, constant, reference
from verify.spec.units import BROKEN, DIMENSIONLESS, Scale, Unit, resolve
from verify.spec.values import Application, FieldInfo, Layout, NetworkInfo, Record, Scalar, SystemInfo, Value, in_unit

MAX_ELEMENTS = 1_000_000  # of one field
_VALUE = re.compile(
    r"\s*([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d{1,4})?)(?:\s*/\s*(\d+))?\s*(?:\[([^\]]*)\]|([A-Za-z_1].*))?\s*"
)
_POWER = re.compile(r"([A-Za-z_]\w*)(?:\^(-?\d{1,2}))?")


def declare(spec: s.SpecFile, params: Mapping[str, str], mistakes: Mistakes) -> Declarations:
    """Everything the file declares, checked; `params` overrides values of params.  What is wrong is in `mistakes`."""
    declared = Declarations(broken=set(spec.broken))
    repeated: list[s.Item] = []
    seen: dict[tuple[str, str], Place] = {}
    for item in spec.items:
        space = {s.UnitDecl: "unit", s.PropertyDecl: "property"}.get(type(item), "name")
        repeated.append(item)
        with mistakes.collecting():
            check_new(item.name, space, seen)
            repeated.pop()
        if space == "name":
            declared.later[item.name.text] = item.name.place
        if isinstance(item, s.DefineDecl):
            declared.defines[item.name.text] = item
    with mistakes.collecting():
        _check_params(spec, params)
    for check in (_declare, check_step, _check_define):  # definitions may use names that are declared after them
        for item in spec.items:
            if item not in repeated and not mistakes.keep(lambda: check(item, declared, params)):  # noqa: B023
                _break(item, declared)
    return declared


def _break(item: s.Item, declared: Declarations) -> None:
    """What uses a wrong declaration is not reported again."""
    if isinstance(item, s.UnitDecl):
        declared.units[item.name.text] = BROKEN
    elif isinstance(item, s.NetworkDecl) and Mistakes().keep(lambda: _declare(_without_ranges(item), declared, {})):
        pass  # the names and units of its fields are known, so that its properties can be checked
    elif not isinstance(item, s.PropertyDecl):
        declared.broken.add(item.name.text)


def _check_params(spec: s.SpecFile, params: Mapping[str, str]) -> None:
    for name in params:
        if name not in spec.params and name not in spec.broken:
            known = f"this spec has {one_of(spec.params)}" if spec.params else "this spec declares no param"
            fix = did_you_mean(name, spec.params) or known
            raise error("E350", Place(spec.file), f"unknown param `{name}`", fix)


def _declare(item: s.Item, declared: Declarations, params: Mapping[str, str]) -> None:
    if isinstance(item, s.UnitDecl):
        declared.units[item.name.text] = _unit(item, declared)
    elif isinstance(item, s.ConstDecl):
        what = f"const `{item.name.text}`"
        declared.constants[item.name.text] = scope_of(declared).constant(item.value, what)
    elif isinstance(item, s.ParamDecl):
        declared.constants[item.name.text] = _param(item, declared, params.get(item.name.text))
    elif isinstance(item, s.NetworkDecl):
        declared.networks[item.name.text] = _network(item, declared)
    elif isinstance(item, s.DatasetDecl):
        declared.datasets[item.name.text] = read_dataset(item, _network_of(item, declared))
    elif isinstance(item, s.SystemDecl):
        declared.systems[item.name.text] = declare_system(item, declared)


def _network_of(item: s.DatasetDecl, declared: Declarations) -> NetworkInfo:
    network = declared.networks.get(item.network.text)
    if network is None:
        fix = did_you_mean(item.network.text, declared.networks) or "declare the network before the dataset"
        raise error("E310", item.network.place, f"unknown network `{item.network.text}`", fix)
    return network


def _unit(item: s.UnitDecl, declared: Declarations) -> Scale:
    name = item.name.text
    if item.value is None:
        return Scale(Unit.base(name), Fraction(1), name)
    value = scope_of(declared).constant(item.value, f"unit `{name}`")
    if value.unit is None or not value.unit.powers or value.term.constant <= 0:
        raise error(
            "E319",
            item.value.place,
            f"unit `{name}` must be a positive multiple of another unit",
            f"write for example `unit {name} = 1000[m]`",
        )
    return Scale(value.unit, value.term.constant, name)


def _without_ranges(item: s.NetworkDecl) -> s.NetworkDecl:
    """A network block whose ranges and input normalisations are left out."""
    lines = [
        replace(line, interval=None, raw=None if line.direction == "input" else line.raw)
        if isinstance(line, s.PortItem)
        else line
        for line in item.items
    ]
    return replace(item, items=tuple(lines))


# --- params ------------------------------------------------------------------------------------------------


def _param(item: s.ParamDecl, declared: Declarations, given: str | None) -> Scalar:
    name, scope = item.name.text, scope_of(declared)
    scale = resolve(item.unit, declared.units)
    if given is not None:
        number = _given(item, given, scale, declared)
    elif item.value is not None:
        number = declared_number(item.value, scale, scope, f"param `{name}`")
        if item.unit is None:
            value = scope.constant(item.value, f"param `{name}`")
            scale = Scale(value.unit or DIMENSIONLESS) if value.unit else scale
            number = value.term.constant
    else:
        raise error("E353", item.name.place, f"param `{name}` has no value", f"give one: --param {name}=VALUE")
    if item.interval is not None:
        low, high = interval(item.interval, scale, scope)
        if not low <= number <= high:
            place = item.name.place if given is not None or item.value is None else item.value.place
            raise error("E352", place, f"param `{name}` is {number}, outside [{low}, {high}]", "choose a value inside")
    return Scalar(constant(number * scale.factor), scale.unit)


def _given(item: s.ParamDecl, text: str, scale: Scale, declared: Declarations) -> Fraction:
    """The number in an override, in the param's declared unit."""
    name = item.name.text
    match = _VALUE.fullmatch(text)
    if (
        match is None
        or len(text) > 1000
        or re.match(r"[eE]\d", match[4] or "")
        or (match[2] is not None and not int(match[2]))
    ):
        raise error(
            "E351", item.name.place, f"`{text}` is not a value for param `{name}`", "write a number: 0.01, 1/100 or 5 m"
        )
    number = Fraction(match[1]) / int(match[2] or 1)
    written = match[3] if match[3] is not None else match[4]
    if written is None:
        return number
    unit, factor = DIMENSIONLESS, Fraction(1)
    for position, (operator, part) in enumerate(re.findall(r"(^|[*/])\s*([^*/]*)", written.strip())):
        power = _POWER.fullmatch(part.strip())
        if part.strip() == "1" and position == 0:
            continue
        if power is None or power[1] not in declared.units:
            fix = did_you_mean(power[1] if power else part, declared.units) or f"the units are {one_of(declared.units)}"
            raise error("E351", item.name.place, f"`{text}` for param `{name}`: unknown unit `{part.strip()}`", fix)
        exponent = int(power[2] or 1) * (-1 if operator == "/" else 1)
        unit, factor = (
            unit * declared.units[power[1]].unit ** exponent,
            factor * declared.units[power[1]].factor ** exponent,
        )
    if unit != scale.unit:
        raise error(
            "E351",
            item.name.place,
            f"`{text}` is{in_unit(unit)}, but param `{name}` is{in_unit(scale.unit)}",
            "give it in that unit, or as a bare number",
        )
    return number * factor / scale.factor


# --- networks ----------------------------------------------------------------------------------------------


def _network(item: s.NetworkDecl, declared: Declarations) -> NetworkInfo:
    fields: dict[str, list[FieldInfo]] = {"input": [], "output": []}
    hidden: list[s.HiddenItem] = []
    seen: dict[tuple[str, str], Place] = {}
    mistakes = Mistakes()
    for line in item.items:
        with mistakes.collecting():
            if isinstance(line, s.HiddenItem):
                hidden.append(line)
                continue
            for written in line.names:
                check_new(written, line.direction, seen)
                fields[line.direction].append(_field(written, line, fields[line.direction], declared))
    for node in hidden:  # last, as they come after the outputs
        with mistakes.collecting():
            check_new(node.name, "output", seen)
            fields["output"].append(_hidden(node, fields["output"]))
    mistakes.raise_any()
    name = item.name.text
    for direction in ("input", "output"):
        if all(f.tensor for f in fields[direction]):
            raise error(
                "E348",
                item.name.place,
                f"network `{name}` declares no {direction}",
                "`verify inspect` prints a skeleton",
            )
    return NetworkInfo(name, Layout(tuple(fields["input"])), Layout(tuple(fields["output"])), item.name.place)


def _field(name: s.Identifier, line: s.PortItem, before: list[FieldInfo], declared: Declarations) -> FieldInfo:
    scope = scope_of(declared)
    scale = resolve(line.unit, declared.units)
    low = high = None
    if line.interval is not None:
        if line.direction == "output":
            raise error(
                "E343",
                line.interval.place,
                f"the output `{name.text}` cannot have a range: the network computes it",
                f"state it in a property: assert {line.interval.low.text} <= …{name.text} <= {line.interval.high.text}",
            )
        low, high = interval(line.interval, scale, scope)
    slope, intercept = _raw(line.raw, scope) if line.raw is not None else (Fraction(1), Fraction(0))
    start = _end(before)
    normalised = line.raw is not None
    field = FieldInfo(name.text, line.shape, start, scale, low, high, slope, intercept, normalised, name.place)
    return _of_possible_size(field, line)


def _hidden(line: s.HiddenItem, before: list[FieldInfo]) -> FieldInfo:
    """A tensor inside the network: bare numbers, as the network computes them."""
    one, zero = Fraction(1), Fraction(0)
    scale, place = Scale(DIMENSIONLESS), line.name.place
    field = FieldInfo(line.name.text, line.shape, _end(before), scale, None, None, one, zero, False, place, line.tensor)
    if not line.tensor:
        message = f"`{field.name}` names no tensor of the model"
        raise error("E345", line.place, message, f'write hidden {field.name}[{field.size}] at "TENSOR"')
    return _of_possible_size(field, line)


def _end(fields: list[FieldInfo]) -> int:
    return fields[-1].start + fields[-1].size if fields else 0


def _of_possible_size(field: FieldInfo, line: s.Node) -> FieldInfo:
    if field.shape is not None and not 0 < field.size <= MAX_ELEMENTS:
        raise error(
            "E308",
            line.place,
            f"`{field.name}` has {field.size} elements; at least 1, at most {MAX_ELEMENTS} are possible",
            "`verify inspect MODEL` prints the shape",
        )
    return field


def _raw(node: s.Expression, scope: Scope) -> tuple[Fraction, Fraction]:
    """Slope and intercept of `raw = …` in `value`."""
    value = evaluate_raw(node, scope)
    if value.unit is not None and value.unit.powers:
        raise error(
            "E316",
            node.place,
            f"`raw` is a bare number, but `{node.text}` is in [{value.unit}]",
            "leave out the units here",
        )
    if value.term.atoms:
        raise error(
            "E340", node.place, f"`raw = {node.text}` is not affine in `value`", "write raw = (value - MEAN) / RANGE"
        )
    (slope,) = value.term.linear.values() or (Fraction(0),)
    if not slope:
        raise error(
            "E341", node.place, f"`raw = {node.text}` does not depend on `value`", "write raw = (value - MEAN) / RANGE"
        )
    return slope, value.term.constant


def evaluate_raw(node: s.Expression, scope: Scope) -> Scalar:
    try:
        return scope.bind({"value": Scalar(reference(RawValue()), DIMENSIONLESS)}).scalar(node)
    except SpecError as problem:
        if problem.code in ("E312", "E313"):
            raise error(
                "E340",
                node.place,
                f"`raw = {node.text}` is not affine in `value`",
                "write raw = (value - MEAN) / RANGE",
            ) from None
        raise


# --- definitions -------------------------------------------------------------------------------------------


def _check_define(item: s.Item, declared: Declarations, params: Mapping[str, str]) -> None:
    """Evaluate a definition on symbolic arguments, so that a mistake shows even when it is not used."""
    del params
    if not isinstance(item, s.DefineDecl):
        return
    names: dict[str, Value] = {}
    scope = scope_of(declared)
    for parameter, domain in item.parameters:
        if parameter.text in names or parameter.text in declared.later or parameter.text in BUILT_IN:
            raise error("E311", parameter.place, f"`{parameter.text}` already has a meaning", "choose another name")
        network, is_input = network_domain(domain, scope)
        if isinstance(network, SystemInfo):
            names[parameter.text] = symbolic_state(network, parameter.text)
            continue
        names[parameter.text] = Record(network, parameter.text if is_input else 0, parameter.text)
        if not is_input:
            names[parameter.text] = symbolic_output(network, scope, parameter.text)
    body = Scope(declared, HANDLERS, scope.work, names, (item.name.text,))
    body.evaluate(item.body)


def symbolic_output(network: NetworkInfo, scope: Scope, label: str) -> Record:
    number = len(scope.work.applications)
    scope.work.applications.append(Application(network, (Term(),) * network.inputs.size, label))
    return Record(network, number, label)
