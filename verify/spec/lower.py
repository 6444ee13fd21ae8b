"""A checked spec and its models to properties: queries over raw numbers, exact."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from typing import Literal, cast

from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.property import Ball, Premise, Property
from verify.core.query import (
    FALSE,
    Affine,
    Copy,
    Field,
    Formula,
    Query,
    Row,
    conjunction,
    identity_copy,
)
from verify.spec.applications import needed, with_constants
from verify.spec.balls import centre_terms
from verify.spec.check import CheckedProperty, CheckedSpec, Variable, check_spec
from verify.spec.codes import error
from verify.spec.compose import Use, VariablePort, compose, maximum_network
from verify.spec.expand import Expander, Quantity, bounded_sides
from verify.spec.mistakes import Mistakes
from verify.spec.syntax import Assume, SpecFile
from verify.spec.terms import InputRef, OutputRef, Ref, Term, opposite, reference
from verify.spec.trajectory import Trajectory
from verify.spec.values import Application, FieldInfo, Layout, MaximumInfo, NetworkInfo, SystemInfo
from verify.spec.warnings import normalisation_warnings


def lower_spec(spec: SpecFile, networks: Mapping[str, Network], params: Mapping[str, str]) -> tuple[Property, ...]:
    """Every property of the file as an exact query; `params` overrides values of params.

    Raises SpecError for the spec's own mistakes (E31x and later) and where it does not match a network (E345).
    """
    checked = check_spec(spec, params)
    used = {v.network.name for p in checked.properties for v in p.variables if v.network is not None}
    used |= {a.network.name for p in checked.properties for a in p.applications}
    for info in checked.declared.networks.values():
        if info.name in networks:
            _check_sizes(info, networks[info.name])
        elif info.name in used:
            raise error(
                "E346", info.place, f"network `{info.name}` has no model", f"give --network {info.name}=FILE.onnx"
            )
    return tuple(_Lowering.of(p, networks).property(checked) for p in checked.properties)


def check_lowering(checked: CheckedSpec) -> tuple[str, ...]:
    """What lowering can find without any model: warnings.  Raises SpecError E308, E344, for all properties at once."""
    mistakes, warnings = Mistakes(), dict[str, None]()
    for item in checked.properties:
        if any(_is_known(a) for a in item.applications):
            continue  # outputs at known inputs are numbers that only the model tells
        with mistakes.collecting():
            lowering = _Lowering.of(item, {})
            lowering.conditions()
            warnings.update(dict.fromkeys(lowering.warnings(checked)))
    mistakes.raise_any()
    return tuple(warnings)


def _check_sizes(info: NetworkInfo, network: Network) -> None:
    hidden = info.outputs.hidden()
    own = network.outputs[: len(network.outputs) - len(hidden)]
    for field, port in zip(hidden, network.outputs[len(own) :], strict=True):
        if field.size != port.size:
            message = f"`{field.name}` has {field.size} elements, but {field.tensor!r} in the model has {port.size}"
            raise error("E345", field.place, message, f"write its shape: {field.name}{list(port.shape)}")
    for word, layout, ports in (("input", info.inputs, network.inputs), ("output", info.outputs.proper(), own)):
        size = sum(p.size for p in ports)
        if layout.size != size:
            shapes = ", ".join(f"{p.name}{list(p.shape)}" for p in ports)
            raise error(
                "E345",
                info.place,
                f"`{info.name}` declares {layout.size} {word} number{'s' * (layout.size != 1)}, "
                f"but its model has {size} ({shapes})",
                "`verify inspect MODEL` prints every element and a skeleton to start from",
            )


@dataclass(frozen=True)
class _Lowering:
    """One property: its used applications, and where every quantity is in the query."""

    item: CheckedProperty
    networks: Mapping[str, Network]
    used: tuple[int, ...]  # applications that the conditions mention
    spaces: Mapping[str, Layout]  # per variable: the fields, with the normalisation it is searched in
    direct: NetworkInfo | None  # the model, when it is searched as it is
    constants: Mapping[Ref, Fraction]  # outputs of applications to known inputs, in declared units

    @classmethod
    def of(cls, item: CheckedProperty, networks: Mapping[str, Network]) -> _Lowering:
        item, every = needed(item)
        constants: dict[Ref, Fraction] = {}
        known: list[Application] = list(item.applications)
        for k in every:
            known[k] = with_constants(known[k], constants)
            if _is_known(known[k]):
                constants.update(_known_outputs(k, known[k], networks))
        item = replace(item, applications=tuple(known))
        used = tuple(k for k in every if not _is_known(known[k]))
        applications = [known[k] for k in used]
        spaces = {v.name: _space(v, applications) for v in item.variables}
        direct = _direct(item, applications)
        if direct is not None:
            spaces = {v.name: _as_normalised(v.layout, direct.inputs) for v in item.variables}
        return cls(item, networks, used, spaces, direct, constants)

    def conditions(self) -> tuple[Formula, Formula]:
        """What is assumed, and what is then asked for; needs no model.  Raises E308, E344."""
        item = self.item
        expander = Expander(self.quantities(), item.origin, self.constants)
        assumption = conjunction([self.ranges(), expander.formula(item.assumption)])
        # negated before it is expanded: |d| <= Σ|e| has two cases when violated, and 2^n the other way round
        wanted = opposite(item.assertion) if item.quantifier == "forall" else item.assertion
        violation = expander.formula(wanted)
        self.check_bounds(assumption)
        return assumption, violation

    def warnings(self, checked: CheckedSpec) -> list[str]:
        warnings = [*self.item.warnings, *normalisation_warnings(self.infos(checked))]
        about_states = any(isinstance(v.network, SystemInfo) for v in self.item.variables)  # as invariants' first steps
        if not self.used and not self.constants and not about_states:
            warnings.append(f"property `{self.item.name}` is decided without any network: it mentions no output")
        return warnings

    def property(self, checked: CheckedSpec) -> Property:
        item = self.item
        assumption, violation = self.conditions()
        return Property(
            name=item.name,
            query=self.query(assumption, violation),
            origin=item.origin,
            title=item.title,
            source=item.source,
            expected=item.expected,
            timeout_s=item.timeout_s,
            warnings=tuple(self.warnings(checked)),
            notes=self.notes(),
            premises=self.premises(Expander(self.quantities(), item.origin, self.constants)),
            balls=self.balls(),
            steps=self.trajectory().steps(item.states),
        )

    def premises(self, expander: Expander) -> tuple[Premise, ...]:
        """The ranges, then each `assume`."""
        found = []
        for index, name, field in self.variables().values():
            rows = _range_rows(index, field)
            if rows:
                low, high = ("" if end is None else str(end) for end in (field.low, field.high))
                text = f"`{name}` in [{low}, {high}]"
                found.append(Premise(text, field.place, conjunction(rows)))
        for statement, condition in self.item.parts:
            if isinstance(statement, Assume):
                found.append(Premise(f"`{statement.text}`", statement.place, expander.formula(condition)))
        return tuple(found)

    def notes(self) -> tuple[str, ...]:
        return tuple(
            f"`{ball.place.text}` is enclosed by flat sides: PROVED covers the whole ball, a witness lies in the ball "
            "itself"
            for _, ball in self.item.balls
        )

    def trajectory(self) -> Trajectory:
        places = {name: index for index, name, _ in self.variables().values()}
        return Trajectory(self.item.applications, self.used, self.fed, places, self.constants)

    def balls(self) -> tuple[Ball, ...]:
        """The exact l2 balls, over the query's variables."""
        known = self.variables()
        result = []
        for variable, ball in self.item.balls:
            offsets = []
            for element, centre in enumerate(centre_terms(ball.centre)):
                term = reference(InputRef(variable, element)).plus(centre, Fraction(-1))
                coefficients: dict[int, Fraction] = {}
                constant = term.constant
                for ref, coefficient in term.linear.items():
                    index, _, field = known[cast(InputRef, ref)]
                    coefficients[index] = coefficients.get(index, Fraction(0)) + coefficient / field.slope
                    constant -= coefficient * field.intercept / field.slope
                offsets.append(Affine(tuple(sorted((i, c) for i, c in coefficients.items() if c)), constant))
            result.append(Ball(tuple(offsets), ball.radius))
        return tuple(result)

    def infos(self, checked: CheckedSpec) -> list[NetworkInfo]:
        names = {self.item.applications[k].network.name for k in self.used}
        names |= {v.network.name for v in self.item.variables if v.network is not None}
        return [n for n in checked.declared.networks.values() if n.name in names]

    def applications(self) -> list[Application]:
        return [self.item.applications[k] for k in self.used]

    def variables(self) -> dict[InputRef, tuple[int, str, FieldInfo]]:
        """Every variable of the query: its index, its name in reports, its field."""
        found: dict[InputRef, tuple[int, str, FieldInfo]] = {}
        for variable in self.item.variables:
            for element, (name, field) in enumerate(self.spaces[variable.name].elements()):
                shown = variable.name if variable.network is None else f"{variable.name}.{name}"
                found[InputRef(variable.name, element)] = (len(found), shown, field)
        return found

    def outputs(self) -> dict[OutputRef, tuple[int, str, FieldInfo]]:
        found: dict[OutputRef, tuple[int, str, FieldInfo]] = {}
        for number, application in zip(self.used, self.applications(), strict=True):
            for element, (name, field) in enumerate(application.network.outputs.elements()):
                found[OutputRef(number, element)] = (len(found), f"{application.label}.{name}", field)
        return found

    @cached_property
    def fed(self) -> dict[Ref, tuple[int, FieldInfo]]:
        """Every quantity that an application may be fed: the variables, then the outputs."""
        variables, outputs = self.variables(), self.outputs()
        found: dict[Ref, tuple[int, FieldInfo]] = {ref: (k, field) for ref, (k, _, field) in variables.items()}
        found.update({ref: (len(variables) + k, field) for ref, (k, _, field) in outputs.items()})
        return found

    def quantities(self) -> dict[Ref, Quantity]:
        result: dict[Ref, Quantity] = {}
        for ref, (index, _, field) in (*self.variables().items(), *self.outputs().items()):
            result[cast(Ref, ref)] = Quantity(index, 1 / field.slope, -field.intercept / field.slope)
        return result

    def ranges(self) -> Formula:
        return conjunction([r for index, _, field in self.variables().values() for r in _range_rows(index, field)])

    def check_bounds(self, assumption: Formula) -> None:
        """Raise E344 for an input that neither a range nor an assumption bounds."""
        sides = bounded_sides(assumption)
        if sides is None or assumption == FALSE:
            return
        for index, name, field in self.variables().values():
            for side in ("lower", "upper"):
                if (index, side) in sides:
                    continue
                shown = side if field.slope > 0 else {"lower": "upper", "upper": "lower"}[side]
                raise error(
                    "E344",
                    field.place,
                    f"input `{name}` has no {shown} bound in property `{self.item.name}` "
                    f"(line {self.item.origin.line})",
                    f"declare a range, `{field.name} … in [LOW, HIGH]`, or assume one for `{name}`",
                )

    def query(self, assumption: Formula, violation: Formula) -> Query:
        inputs = tuple(_field(name, field) for _, name, field in self.variables().values())
        quantifier = cast(Literal["forall", "exists"], self.item.quantifier)
        if self.direct is not None:
            network = self.networks[self.direct.name]
            label = self.applications()[0].label if self.used else f"{self.direct.name}({self.item.variables[0].name})"
            outputs = tuple(_field(f"{label}.{name}", field) for name, field in self.direct.outputs.elements())
            copies = (identity_copy(label, self.direct.name, network.input_size),)
            return Query(network, inputs, outputs, assumption, violation, copies, quantifier)
        outputs = tuple(_field(name, field) for _, name, field in self.outputs().values())
        uses = [Use(a.label, _model(a.network, self.networks), self.raw_inputs(a)) for a in self.applications()]
        ports = [VariablePort(v.name, v.layout.size, self.element_type(v)) for v in self.item.variables]
        copies_list: list[Copy] = []
        first = 0
        for application, use in zip(self.applications(), uses, strict=True):
            copies_list.append(Copy(use.label, application.network.name, use.raw_inputs, first))
            first += use.network.output_size
        return Query(compose(ports, uses), inputs, outputs, assumption, violation, tuple(copies_list), quantifier)

    def element_type(self, variable: Variable) -> str:
        if variable.network is None or variable.network.name not in self.networks:
            return "float64"
        return self.networks[variable.network.name].inputs[0].element_type

    def raw_inputs(self, application: Application) -> tuple[Affine, ...]:
        """What the application is fed, in the query's variables, then its outputs."""
        known = self.fed
        result = []
        for term, (_, field) in zip(application.arguments, application.network.inputs.elements(), strict=True):
            coefficients: dict[int, Fraction] = {}
            constant = field.intercept + field.slope * term.constant
            for ref, coefficient in term.linear.items():
                index, space = known[ref]
                coefficients[index] = field.slope * coefficient / space.slope
                constant -= field.slope * coefficient * space.intercept / space.slope
            result.append(Affine(tuple(sorted(coefficients.items())), constant))
        return tuple(result)


def _range_rows(index: int, field: FieldInfo) -> list[Formula]:
    scale, offset = 1 / field.slope, -field.intercept / field.slope
    rows: list[Formula] = []
    if field.low is not None:
        rows.append(Row.of({index: -scale}, {}, offset - field.low))
    if field.high is not None:
        rows.append(Row.of({index: scale}, {}, field.high - offset))
    return rows


def _direct(item: CheckedProperty, applications: list[Application]) -> NetworkInfo | None:
    """The model to search as it is: nothing varies but its inputs, and nothing else is computed."""
    if len(item.variables) != 1 or len(applications) > 1:
        return None
    variable = item.variables[0]
    if not applications:
        return None if isinstance(variable.network, SystemInfo) else variable.network
    network = applications[0].network
    return network if not isinstance(network, MaximumInfo) and _is_projection(applications[0], variable) else None


def _model(info: NetworkInfo, networks: Mapping[str, Network]) -> Network:
    return maximum_network(info.inputs.size) if isinstance(info, MaximumInfo) else networks[info.name]


def _is_known(application: Application) -> bool:
    return all(term.is_constant for term in application.arguments)


def _known_outputs(number: int, application: Application, networks: Mapping[str, Network]) -> dict[Ref, Fraction]:
    """The exact outputs of an application to constants, in declared units."""
    info = application.network
    raw = [
        field.slope * term.constant + field.intercept
        for term, (_, field) in zip(application.arguments, info.inputs.elements(), strict=True)
    ]
    outputs = evaluate(_model(info, networks), raw)
    return {
        OutputRef(number, k): (value - field.intercept) / field.slope
        for k, (value, (_, field)) in enumerate(zip(outputs, info.outputs.elements(), strict=True))
    }


def _field(name: str, field: FieldInfo) -> Field:
    return Field(name, field.scale.text, 1 / field.slope, -field.intercept / field.slope)


def _is_projection(application: Application, variable: Variable) -> bool:
    """Whether the application is fed the variable's elements, all of them, in order, in the same units."""
    cuts = [[(f.start, f.size) for f in x.fields] for x in (variable.layout, application.network.inputs)]
    return (
        cuts[0] == cuts[1]
        and len(application.arguments) == variable.layout.size
        and all(_is_element(term, variable, element) for element, term in enumerate(application.arguments))
    )


def _is_element(term: Term, variable: Variable, element: int) -> bool:
    return not term.constant and dict(term.linear) == {InputRef(variable.name, element): 1}


def _space(variable: Variable, applications: list[Application]) -> Layout:
    """The space a variable of a composed query is searched in: raw if all its uses agree on it, else physical."""
    feeding = [a for a in applications if any(r[0] == variable.name for t in a.arguments for r in t.linear)]
    if feeding and all(_is_projection(a, variable) for a in feeding):
        layouts = [_as_normalised(variable.layout, a.network.inputs) for a in feeding]
        if all(_normalisation(x) == _normalisation(layouts[0]) for x in layouts):
            return layouts[0]
    fields = (replace(f, slope=Fraction(1), intercept=Fraction(0)) for f in variable.layout.fields)
    return Layout(tuple(fields))


def _as_normalised(layout: Layout, model: Layout) -> Layout:
    """`layout` with the normalisation of the fields that `model` declares at the same elements."""
    result = []
    for own in layout.fields:
        other = next(f for f in model.fields if f.start == own.start and f.size == own.size)
        result.append(replace(own, slope=other.slope, intercept=other.intercept))
    return Layout(tuple(result))


def _normalisation(layout: Layout) -> list[tuple[Fraction, Fraction]]:
    return [(f.slope, f.intercept) for f in layout.fields]
