"""Properties: names, kinds, units and linearity checked; meaning as exact conditions, no model needed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from verify.core.property import row_name
from verify.core.verdict import Verdict
from verify.errors import Mark, Place
from verify.spec import syntax as s
from verify.spec.access import network_domain
from verify.spec.balls import Ball, ball_of
from verify.spec.codes import error
from verify.spec.declare import declare
from verify.spec.mistakes import Mistakes
from verify.spec.names import did_you_mean, one_of
from verify.spec.ranges import interval, scope_of
from verify.spec.scope import BUILT_IN, Declarations, Scope
from verify.spec.sweeps import sweep_values
from verify.spec.systems import symbolic_state
from verify.spec.terms import Condition, InputRef, all_of, any_of, compare, constant, reference
from verify.spec.units import DIMENSIONLESS, PLAIN, Scale
from verify.spec.usage import unused
from verify.spec.values import (
    Application,
    Disturbance,
    FieldInfo,
    Layout,
    NetworkInfo,
    Record,
    Scalar,
    SystemInfo,
    Value,
)

_EXPECTED = {
    "proved": (Verdict.PROVED, "forall"),
    "refuted": (Verdict.REFUTED, "forall"),
    "fragile": (Verdict.FRAGILE, "forall"),
    "witnessed": (Verdict.WITNESSED, "exists"),
    "no_witness": (Verdict.NO_WITNESS, "exists"),
    "vacuous": (Verdict.VACUOUS, ""),
    "unknown": (Verdict.UNKNOWN, ""),
}


@dataclass(frozen=True)
class Variable:
    """A quantified variable: an input of `network`, or a single number (`network` None)."""

    name: str
    layout: Layout
    network: NetworkInfo | None
    place: Place
    is_disturbance: bool = False


@dataclass(frozen=True)
class CheckedProperty:
    """A property as conditions over its variables and applications, in declared units."""

    name: str
    title: str
    quantifier: str
    variables: tuple[Variable, ...]
    applications: tuple[Application, ...]
    assumption: Condition  # the assumes; the declared ranges come on top
    assertion: Condition
    origin: Place
    source: str
    expected: Verdict | None
    timeout_s: float | None
    parts: tuple[tuple[s.Assume | s.Assert, Condition], ...] = ()  # each assume and assert on its own
    warnings: tuple[str, ...] = ()
    balls: tuple[tuple[str, Ball], ...] = ()  # of variables whose domain is an l2 ball
    states: tuple[Record, ...] = ()  # that systems compute


@dataclass(frozen=True)
class CheckedSpec:
    declared: Declarations
    properties: tuple[CheckedProperty, ...]


def check_spec(spec: s.SpecFile, params: Mapping[str, str]) -> CheckedSpec:
    """Check a whole file without its models.  Raises SpecError."""
    mistakes = Mistakes()
    declared = declare(spec, params, mistakes)
    found: list[CheckedProperty] = []
    for item in spec.items:
        if isinstance(item, s.PropertyDecl):
            with mistakes.collecting():
                found.extend(_rows(item, declared))
    mistakes.raise_any()
    if found:
        found[0] = replace(found[0], warnings=(*unused(spec), *found[0].warnings))
    return CheckedSpec(declared, tuple(found))


def _rows(item: s.PropertyDecl, declared: Declarations) -> Iterator[CheckedProperty]:
    """The property, or one per value of its sweep."""
    if item.sweep is None:
        yield _Property(item, declared).check({})
        return
    for row, value in sweep_values(item.sweep, scope_of(declared)):
        yield _Property(item, declared, row).check({item.sweep.name.text: value})


@dataclass
class _Property:
    """The state of checking one property, statement by statement."""

    item: s.PropertyDecl
    declared: Declarations
    row: str | None = None
    word: str = ""
    variables: list[Variable] = field(default_factory=list)
    assumptions: list[Condition] = field(default_factory=list)
    assertions: list[Condition] = field(default_factory=list)
    asserts: list[s.Assert] = field(default_factory=list)
    places: dict[str, Place] = field(default_factory=dict)  # where a name got its meaning
    balls: list[tuple[str, Ball]] = field(default_factory=list)
    parts: list[tuple[s.Assume | s.Assert, Condition]] = field(default_factory=list)

    def check(self, names: Mapping[str, Value]) -> CheckedProperty:
        """`names`: what the sweep binds."""
        item = self.item
        scope, mistakes = scope_of(self.declared, names), Mistakes()
        for statement in item.statements:
            known = scope
            with mistakes.collecting():
                scope = known.break_names(n.text for n in _introduced(statement))
                scope = self._statement(statement, known)
            for name in _introduced(statement):
                self.places.setdefault(name.text, name.place)
            scope.work.depth = 0
        expected: Verdict | None = None
        timeout: float | None = None
        with mistakes.collecting():
            expected, timeout = self._attributes()
        mistakes.raise_any()
        if not self.variables:
            raise error(
                "E320",
                item.name.place,
                f"property `{item.name.text}` quantifies over nothing",
                "start with `forall s : NETWORK.input`",
            )
        if not self.asserts:
            raise error("E322", item.name.place, f"property `{item.name.text}` asserts nothing", "add an `assert`")
        return CheckedProperty(
            name=row_name(item.name.text, self.row),
            title=item.title,
            quantifier=self.word,
            variables=(*self.variables, *map(_disturbance, scope.work.disturbances)),
            applications=tuple(scope.work.applications),
            assumption=all_of(self.assumptions),
            assertion=all_of(self.assertions),
            origin=self.asserts[0].place,
            source="; ".join(a.text for a in self.asserts),
            expected=expected,
            timeout_s=timeout,
            parts=tuple(self.parts),
            balls=tuple(self.balls),
            states=tuple(scope.work.states),
            warnings=tuple(dict.fromkeys(scope.work.warnings)),
        )

    def _statement(self, statement: s.Quantifier | s.Let | s.Assume | s.Assert, scope: Scope) -> Scope:
        if isinstance(statement, s.Quantifier):
            return self._quantify(statement, scope)
        if isinstance(statement, s.Let):
            self._check_new(statement.name, scope)
            return scope.bind({statement.name.text: scope.evaluate(statement.value)})
        if isinstance(statement, s.Assume):
            if self.asserts:
                raise error(
                    "E323",
                    statement.place,
                    "`assume` after an `assert`",
                    "assumptions come before every assert; use `=>` for a condition of one assert",
                    also=[Mark(self.asserts[0].place, "the assert")],
                )
            self.assumptions.append(scope.truth(statement.condition))
            self.parts.append((statement, self.assumptions[-1]))
        else:
            self.asserts.append(statement)
            self.assertions.append(scope.truth(statement.condition))
            self.parts.append((statement, self.assertions[-1]))
        return scope

    def _check_new(self, name: s.Identifier, scope: Scope) -> None:
        text = name.text
        if text in scope.names:
            raise error(
                "E311",
                name.place,
                f"`{text}` already has a meaning in this property",
                "choose another name",
                also=[Mark(self.places[text], "first meaning here")] if text in self.places else (),
            )
        if text in self.declared.later or text in BUILT_IN:
            if text in self.declared.later:
                raise error(
                    "E311",
                    name.place,
                    f"`{text}` is already declared",
                    "choose another name",
                    also=[Mark(self.declared.later[text], "declared here")],
                )
            raise error("E311", name.place, f"`{text}` is a built-in function", "choose another name")

    def _quantify(self, statement: s.Quantifier, scope: Scope) -> Scope:
        if self.word and self.word != statement.word:
            raise error(
                "E321",
                statement.place,
                f"`{statement.word}` after `{self.word}`",
                "one property uses one kind of quantifier; write two properties",
                also=[Mark(self.variables[0].place, f"quantified with `{self.word}`")] if self.variables else (),
            )
        self.word = statement.word
        bound: dict[str, Value] = {}
        for name in statement.names:
            self._check_new(name, scope.bind(bound))
            bound[name.text] = self._variable(name, statement.domain, scope)
        return scope.bind(bound)

    def _variable(self, name: s.Identifier, domain: s.Domain, scope: Scope) -> Value:
        if isinstance(domain, (s.Interval, s.Choices)):
            return self._number(name, domain, scope)
        ball = ball_of(domain, scope)
        if ball is not None:
            network = ball.centre.network
            self.variables.append(Variable(name.text, network.inputs, network, name.place))
            scope.work.layouts[name.text] = network.inputs
            self.assumptions.append(ball.condition(name.text))
            if ball.norm == "l2":
                self.balls.append((name.text, ball))
            return Record(network, name.text, name.text)
        network, is_input = network_domain(domain, scope)
        if isinstance(network, SystemInfo):
            self.variables.append(Variable(name.text, network.inputs, network, name.place))
            scope.work.layouts[name.text] = network.inputs
            return symbolic_state(network, name.text)
        if not is_input:
            raise error("E319", domain.place, "outputs are computed, not quantified", f"write `{network.name}.input`")
        self.variables.append(Variable(name.text, network.inputs, network, name.place))
        scope.work.layouts[name.text] = network.inputs
        return Record(network, name.text, name.text)

    def _number(self, name: s.Identifier, domain: s.Interval | s.Choices, scope: Scope) -> Scalar:
        """A quantified number: `forall d : [0, 1[m]]` or `forall k : {0, 1}`."""
        ends = [domain.low, domain.high] if isinstance(domain, s.Interval) else list(domain.items)
        values = [scope.constant(e, "a domain") for e in ends]
        unit = next((v.unit for v in values if v.unit is not None), DIMENSIONLESS)
        scale = Scale(unit, text=str(unit)) if unit.powers else PLAIN
        numbers = [v.term.constant for v in values]
        low, high = min(numbers), max(numbers)
        for value, end in zip(values, ends, strict=True):
            if value.unit is not None and value.unit != unit:
                raise error("E316", end.place, f"units clash in `{domain.text}`", "give all numbers one unit")
        if isinstance(domain, s.Interval):
            low, high = interval(domain, scale, scope)
        info = FieldInfo(
            name.text,
            None,
            0,
            scale,
            low,
            high,
            slope=constant(1).constant,
            intercept=constant(0).constant,
            normalised=False,
            place=name.place,
        )
        self.variables.append(Variable(name.text, Layout((info,)), None, name.place))
        term = reference(InputRef(name.text, 0))
        if isinstance(domain, s.Choices):
            self.assumptions.append(any_of([compare(term, "==", v.term) for v in values]))
        return Scalar(term, unit)

    # --- attributes

    def _attributes(self) -> tuple[Verdict | None, float | None]:
        expected: Verdict | None = None
        timeout: float | None = None
        seen: set[str] = set()
        for mark in self.item.attributes:
            word = mark.name.text
            if word not in ("expect", "timeout"):
                fix = did_you_mean(word, ["expect", "timeout"]) or "there are @expect(…) and @timeout(…)"
                raise error("E324", mark.name.place, f"unknown attribute `@{word}`", fix)
            if word in seen:
                raise error("E311", mark.name.place, f"`@{word}` is given twice", "give it once")
            seen.add(word)
            if len(mark.arguments) != 1:
                fix = "write @timeout(60)" if word == "timeout" else "write for example @expect(proved)"
                raise error("E325", mark.place, f"`@{word}` takes 1 argument, not {len(mark.arguments)}", fix)
            if word == "expect":
                expected = self._expected(mark.arguments[0])
            else:
                timeout = self._timeout(mark.arguments[0])
        return expected, timeout

    def _expected(self, node: s.Expression) -> Verdict:
        if not isinstance(node, s.Name) or node.text not in _EXPECTED:
            fix = did_you_mean(node.text, _EXPECTED) or f"choose one of {one_of(_EXPECTED)}"
            raise error("E325", node.place, f"`{node.text}` is no verdict to expect", fix)
        verdict, quantifier = _EXPECTED[node.text]
        if quantifier not in ("", self.word):
            fitting = [w for w, (_, q) in _EXPECTED.items() if q in ("", self.word)]
            raise error(
                "E325",
                node.place,
                f"a property with `{self.word}` is never {verdict}",
                f"choose one of {one_of(fitting)}",
            )
        return verdict

    def _timeout(self, node: s.Expression) -> float:
        seconds = scope_of(self.declared).constant(node, "the timeout")
        if seconds.term.constant <= 0 or (seconds.unit is not None and seconds.unit.powers):
            raise error("E325", node.place, "the timeout must be a number of seconds above 0", "write @timeout(60)")
        if seconds.term.constant > 10**9:
            raise error("E325", node.place, "the timeout is longer than 30 years", "write @timeout(60)")
        return float(seconds.term.constant)


def _disturbance(found: Disturbance) -> Variable:
    field = found.field
    alone = replace(field, name=found.name, start=0)
    return Variable(found.name, Layout((alone,)), None, field.place, is_disturbance=True)


def _introduced(statement: s.Quantifier | s.Let | s.Assume | s.Assert) -> Sequence[s.Identifier]:
    """The names that a statement gives a meaning."""
    if isinstance(statement, s.Quantifier):
        return statement.names
    return [statement.name] if isinstance(statement, s.Let) else []
