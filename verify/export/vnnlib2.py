"""VNN-LIB 2 text of one property, exact: rows are scaled until every number is a finite decimal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.network import Network, Port
from verify.core.property import Property
from verify.core.query import Affine, And, Copy, Formula, Or, Query, Row, conjunction, disjunction
from verify.export.conditions import Writer, cannot, described, heading


@dataclass(frozen=True)
class ModelOutline:
    """What a declaration says of a model; `hidden` are the ONNX names of its last outputs."""

    file: str
    network: Network
    hidden: tuple[str, ...] = ()


def write_vnnlib2(prop: Property, models: Mapping[str, ModelOutline]) -> str:
    """The text.  Exact.

    Copies of one model are `equal-to` networks; what they are fed is tied together by equations over their inputs and,
    in a closed loop, their outputs.
    Raises: QueryError E410 where there is no network, operators jump, or a network is fed with max, min or abs.
    """
    query = prop.query
    if not models:
        raise cannot("VNN-LIB needs a network, and there is none", "export it with --to smtlib2")
    if any(c.is_maximum for c in query.copies):
        raise cannot("a network is fed with abs, min or max", "export it with --to smtlib2")
    copies = [*query.copies, *_further_copies(query, models)]
    if any(len(c.raw_inputs) != models[c.model].network.input_size for c in copies):
        raise cannot("operators of a network jump", "export it with --to smtlib2")
    declared = [_Declared.of(copies, k, models) for k in range(len(copies))]
    input_names = [n for d in declared for n in d.inputs]
    feeds = [affine for copy in copies for affine in copy.raw_inputs]
    homes = _homes(len(query.inputs), feeds)
    ties = [
        _tie(feeds[e], e, homes, len(query.inputs)) for e in range(len(feeds)) if e not in {h.element for h in homes}
    ]
    formula = _in_elements(conjunction([query.assumption, query.violation]), homes)
    output_names = [n for d in declared[: len(query.copies)] for n in d.outputs]
    writer = Writer(input_names.__getitem__, output_names.__getitem__)
    lines = [heading(prop)]
    lines += [f"; --network {d.name}={models[d.copy.model].file}" for d in declared if d.equal_to is None]
    for field, home in zip(query.inputs, homes, strict=True):
        lines.append(described(input_names[home.element], field, home.coefficient, home.constant))
    lines += [described(n, f) for n, f in zip(output_names, query.outputs, strict=True) if n != f.name]
    lines.append("(vnnlib-version <2.0>)")
    lines += [line for d in declared for line in d.lines()]
    lines += writer.asserts(conjunction([formula, *ties]), len(input_names))
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class _Declared:
    """One copy as a declared network."""

    name: str
    copy: Copy
    equal_to: str | None
    input_ports: tuple[tuple[str, Port], ...]  # declared name, port
    output_ports: tuple[tuple[str, Port], ...]
    hidden_ports: tuple[tuple[str, Port, str], ...]

    @classmethod
    def of(cls, copies: Sequence[Copy], number: int, models: Mapping[str, ModelOutline]) -> _Declared:
        copy = copies[number]
        model = models[copy.model]
        first = next(k for k, c in enumerate(copies) if c.model == copy.model)
        network, many = model.network, len(copies) > 1
        outputs = network.outputs[: len(network.outputs) - len(model.hidden)]
        hidden = network.outputs[len(outputs) :]
        mark = str(number + 1) if many else ""
        return cls(
            f"N{mark}",
            copy,
            f"N{first + 1}" if first < number else None,
            _named(f"X{mark}", network.inputs),
            _named(f"Y{mark}", outputs),
            tuple((n, p, o) for (n, p), o in zip(_named(f"H{mark}", hidden), model.hidden, strict=True)),
        )

    @property
    def inputs(self) -> list[str]:
        return [n for name, port in self.input_ports for n in _elements(name, port)]

    @property
    def outputs(self) -> list[str]:
        ports = [*self.output_ports, *((n, p) for n, p, _ in self.hidden_ports)]
        return [n for name, port in ports for n in _elements(name, port)]

    def lines(self) -> list[str]:
        relation = [] if self.equal_to is None else [f"  (equal-to {self.equal_to})"]
        return [
            f"(declare-network {self.name}",
            *relation,
            *(f"  (declare-input {n} {p.element_type} {_shape(p)})" for n, p in self.input_ports),
            *(f'  (declare-hidden {n} {p.element_type} {_shape(p)} "{o}")' for n, p, o in self.hidden_ports),
            *(f"  (declare-output {n} {p.element_type} {_shape(p)})" for n, p in self.output_ports),
            ")",
        ]


def _named(letter: str, ports: Sequence[Port]) -> tuple[tuple[str, Port], ...]:
    names = [letter] if len(ports) == 1 else [f"{letter}_{k + 1}" for k in range(len(ports))]
    return tuple(zip(names, ports, strict=True))


def _shape(port: Port) -> str:
    return f"[{','.join(map(str, port.shape))}]"


def _elements(name: str, port: Port) -> list[str]:
    found = []
    for number in range(port.size):
        index: list[str] = []
        for extent in reversed(port.shape):
            number, place = divmod(number, extent)
            index.append(str(place))
        found.append(f"{name}[{','.join(reversed(index))}]" if port.shape else name)
    return found


@dataclass(frozen=True)
class _Home:
    """A variable x as the element that it feeds alone: element = coefficient · x + constant."""

    element: int
    coefficient: Fraction
    constant: Fraction


def _further_copies(query: Query, models: Mapping[str, ModelOutline]) -> list[Copy]:
    """Copies that nobody asks for outputs, to be fed the variables that no copy is fed alone.

    VNN-LIB has no variables but networks' inputs.
    """
    alone = {a.coefficients[0][0] for c in query.copies for a in c.raw_inputs if len(a.coefficients) == 1}
    rest = [v for v in range(len(query.inputs)) if v not in alone]
    model = query.copies[0].model if query.copies else next(iter(models))
    size = len(query.copies[0].raw_inputs) if query.copies else models[model].network.input_size
    further = []
    while rest:
        mine, rest = rest[:size], rest[size:]
        feeds = [Affine(((v, Fraction(1)),)) for v in mine] + [Affine(())] * (size - len(mine))
        further.append(Copy("", model, tuple(feeds), 0))
    return further


def _homes(variables: int, feeds: Sequence[Affine]) -> list[_Home]:
    found: dict[int, _Home] = {}
    for element, affine in enumerate(feeds):
        if len(affine.coefficients) == 1 and affine.coefficients[0][0] < variables:
            ((variable, c),) = affine.coefficients
            found.setdefault(variable, _Home(element, c, affine.constant))
    return [found[v] for v in range(variables)]


def _tie(affine: Affine, element: int, homes: Sequence[_Home], variables: int) -> Formula:
    """element = affine, as two rows over elements and outputs."""
    coefficients = {v: -c for v, c in affine.coefficients if v < variables}
    outputs = {v - variables: -c for v, c in affine.coefficients if v >= variables}
    below = _in_elements(Row.of(coefficients, outputs, affine.constant), homes)
    assert isinstance(below, Row)
    merged = dict(below.inputs)
    merged[element] = merged.get(element, Fraction(0)) + 1
    above = {i: -c for i, c in merged.items()}, {i: -c for i, c in outputs.items()}
    return And((Row.of(merged, outputs, below.bound), Row.of(*above, -below.bound)))


def _in_elements(formula: Formula, homes: Sequence[_Home]) -> Formula:
    """The formula over elements instead of variables."""
    if isinstance(formula, And):
        return conjunction(_in_elements(c, homes) for c in formula.children)
    if isinstance(formula, Or):
        return disjunction(_in_elements(c, homes) for c in formula.children)
    coefficients: dict[int, Fraction] = {}
    bound = formula.bound
    for variable, c in formula.inputs:
        home = homes[variable]
        coefficients[home.element] = coefficients.get(home.element, Fraction(0)) + c / home.coefficient
        bound += c * home.constant / home.coefficient
    return Row.of(coefficients, dict(formula.outputs), bound, strict=formula.strict)
