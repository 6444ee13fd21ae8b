"""The states of closed loops as a property's query computes them, for reports."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.property import Step
from verify.core.query import Affine, Field
from verify.spec.terms import OutputRef, Ref, Term
from verify.spec.values import Application, FieldInfo, Record


@dataclass(frozen=True)
class Trajectory:
    """Where the quantities of one property are in its query.

    `fed`: index and field of every variable and, behind them, output; `places`: the index of a variable by its name;
    `used`: the applications whose outputs the query has; `constants`: outputs that are known, in declared units.
    """

    applications: Sequence[Application]
    used: Sequence[int]
    fed: Mapping[Ref, tuple[int, FieldInfo]]
    places: Mapping[str, int]
    constants: Mapping[Ref, Fraction]

    def steps(self, states: Sequence[Record]) -> tuple[Step, ...]:
        """One step per state that the query says something of."""
        found: list[Step] = []
        told: set[int] = set()
        for state in states:
            pairs = zip(state.layout.fields, map(self.physical, state.terms or ()), strict=True)
            shown = [(field, affine) for field, affine in pairs if affine is not None]
            if not shown:
                continue
            outputs = [k for number in sorted(self._computed_in(state) - told) for k in self._outputs(number)]
            told |= self._computed_in(state)
            inputs = [self.places[d] for d in state.disturbances if d in self.places]
            fields = tuple(Field(f"{state.label}.{f.name}", f.scale.text) for f, _ in shown)
            found.append(Step(state.label, tuple(inputs), tuple(outputs), fields, tuple(a for _, a in shown)))
        return tuple(found)

    def physical(self, term: Term) -> Affine | None:
        """A quantity in its declared unit over raw variables, then raw outputs; None where the query lacks some."""
        coefficients: dict[int, Fraction] = {}
        constant = term.constant
        for ref, c in term.linear.items():
            if ref in self.constants:
                constant += c * self.constants[ref]
            elif ref in self.fed:
                index, field = self.fed[ref]
                coefficients[index] = c / field.slope
                constant -= c * field.intercept / field.slope
            else:
                return None
        return Affine(tuple(sorted(coefficients.items())), constant)

    def _outputs(self, number: int) -> list[int]:
        """The numbers of an application's outputs among the query's."""
        first = self.fed[OutputRef(number, 0)][0] - len(self.places)
        return list(range(first, first + self.applications[number].network.outputs.size))

    def _computed_in(self, state: Record) -> set[int]:
        """The used applications that a state depends on."""
        waiting = _applications(state.terms or ())
        found: set[int] = set()
        while waiting:
            number = waiting.pop()
            found.add(number)
            waiting |= _applications(self.applications[number].arguments) - found
        return found & set(self.used)


def _applications(terms: Sequence[Term]) -> set[int]:
    return {ref.application for term in terms for ref in term.linear if isinstance(ref, OutputRef)}
