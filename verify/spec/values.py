"""What expressions mean: typed symbolic values."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from typing import Union

from verify.errors import Place
from verify.spec.syntax import DefineDecl, SystemDecl
from verify.spec.terms import Condition, InputRef, OutputRef, Ref, Term, constant, reference
from verify.spec.units import Scale, Unit


@dataclass(frozen=True)
class FieldInfo:
    """A declared field of a network.  raw = slope * value + intercept, value a bare number in the declared unit."""

    name: str
    shape: tuple[int, ...] | None  # None for a scalar
    start: int  # of its elements in the network's concatenated tensors
    scale: Scale
    low: Fraction | None
    high: Fraction | None
    slope: Fraction
    intercept: Fraction
    normalised: bool  # whether `raw = …` was written
    place: Place
    tensor: str = ""  # of a hidden field: what it is called in the model

    @property
    def size(self) -> int:
        return math.prod(self.shape or ())

    def element_names(self) -> Iterator[str]:
        if self.shape is None:
            yield self.name
            return
        for index in product(*map(range, self.shape)):
            yield f"{self.name}[{','.join(map(str, index))}]"


@dataclass(frozen=True)
class Layout:
    """The fields of a network's inputs or outputs, in tensor order; hidden ones come after the outputs."""

    fields: tuple[FieldInfo, ...]

    @property
    def size(self) -> int:
        return sum(f.size for f in self.fields)

    def find(self, name: str) -> FieldInfo | None:
        return next((f for f in self.fields if f.name == name), None)

    def field_of(self, element: int) -> FieldInfo:
        return next(f for f in self.fields if f.start <= element < f.start + f.size)

    def proper(self) -> Layout:
        """Without hidden fields: what decisions and labels are about."""
        return Layout(tuple(f for f in self.fields if not f.tensor))

    def hidden(self) -> list[FieldInfo]:
        return [f for f in self.fields if f.tensor]

    def names(self) -> list[str]:
        return [f.name for f in self.fields]

    def elements(self) -> Iterator[tuple[str, FieldInfo]]:
        for declared in self.fields:
            for name in declared.element_names():
                yield name, declared


@dataclass(frozen=True)
class NetworkInfo:
    name: str
    inputs: Layout
    outputs: Layout
    place: Place


@dataclass(frozen=True)
class MaximumInfo(NetworkInfo):
    """The greatest of several quantities, where a network is fed with it: a network of its own in the query."""


@dataclass(frozen=True)
class SystemInfo(NetworkInfo):
    """A closed loop; its `inputs` are the fields of its state, it has no outputs."""

    disturbances: Layout
    item: SystemDecl


@dataclass(frozen=True)
class Scalar:
    """A quantity in base units; `unit` is None for a zero, which has any unit."""

    term: Term
    unit: Unit | None


@dataclass(frozen=True)
class Truth:
    condition: Condition


@dataclass(frozen=True)
class Label:
    """The name of an output, resolved where it is used."""

    name: str


@dataclass(frozen=True)
class Record:
    """A quantified input or a state (`owner` its name), or the result of an application (`owner` its number)."""

    network: NetworkInfo
    owner: str | int
    label: str  # as shown: "s", "acas(s)"
    values: tuple[Fraction, ...] | None = None  # of an input that is known, in declared units
    terms: tuple[Term, ...] | None = None  # of a state that a system computes, in declared units
    start: str = ""  # of a state: the variable that the run started from
    step: int = 0  # … and how many steps ago
    disturbances: tuple[str, ...] = ()  # … and what came in on the last step, by name

    @property
    def is_input(self) -> bool:
        return isinstance(self.owner, str)

    @property
    def layout(self) -> Layout:
        return self.network.inputs if self.is_input else self.network.outputs

    def ref(self, element: int) -> Ref:
        return InputRef(self.owner, element) if isinstance(self.owner, str) else OutputRef(self.owner, element)

    def scalar(self, element: int, declared: FieldInfo) -> Scalar:
        if self.values is not None:
            return Scalar(constant(self.values[element] * declared.scale.factor), declared.scale.unit)
        if self.terms is not None:
            return Scalar(self.terms[element].times(declared.scale.factor), declared.scale.unit)
        return Scalar(reference(self.ref(element), declared.scale.factor), declared.scale.unit)


@dataclass(frozen=True)
class Tensor:
    """A tensor field of a record."""

    record: Record
    field: FieldInfo


@dataclass(frozen=True)
class Decision:
    """argmax or argmin over the elements of a record or tensor."""

    word: str
    over: Record | Tensor
    options: tuple[tuple[str, Term], ...]  # (label, value) in order


@dataclass(frozen=True)
class Function:
    """A name that can only be called: a network, a definition, a system's `next` or a built-in function."""

    name: str
    target: NetworkInfo | DefineDecl | Stepping | None


@dataclass(frozen=True)
class Stepping:
    """`sys.next`."""

    system: SystemInfo


@dataclass(frozen=True)
class Run:
    """The states of `run(sys, q, N)`, the start first."""

    states: tuple[Record, ...]


@dataclass(frozen=True)
class Disturbance:
    """A quantified number that a step has introduced."""

    name: str  # as shown: "q[1].w"
    field: FieldInfo


@dataclass(frozen=True)
class DataRow:
    """One row of a dataset: an exact input, in declared units, and its label (an output's name or number)."""

    dataset: str
    number: int
    network: NetworkInfo
    values: tuple[Fraction, ...]
    label: str | int | None

    @property
    def input(self) -> Record:
        name = f"{self.dataset}[{self.number}].input"
        return Record(self.network, name, name, self.values)


@dataclass(frozen=True)
class Dataset:
    name: str
    rows: tuple[DataRow, ...]


Value = Union[Scalar, Truth, Label, Record, Tensor, Decision, Function, DataRow, Dataset, Run]


@dataclass(frozen=True)
class Application:
    """A network applied to `arguments`, one linear term per input element, in the field's declared unit."""

    network: NetworkInfo
    arguments: tuple[Term, ...]
    label: str


def describe(value: Value) -> str:
    """The kind of a value in words."""
    if isinstance(value, Scalar):
        return f"a number{in_unit(value.unit)}"
    if isinstance(value, Truth):
        return "a condition"
    if isinstance(value, Label):
        return f"the label `{value.name}`"
    if isinstance(value, Record) and isinstance(value.network, SystemInfo):
        return f"a state of `{value.network.name}`"
    if isinstance(value, Run):
        return f"a run of {len(value.states) - 1} steps"
    if isinstance(value, Record):
        return f"{'an input' if value.is_input else 'the outputs'} of `{value.network.name}`"
    if isinstance(value, Tensor):
        return f"a tensor of {value.field.size} numbers"
    if isinstance(value, (DataRow, Dataset)):
        return "a row of a dataset" if isinstance(value, DataRow) else "a dataset"
    if isinstance(value, Decision):
        return f"a decision ({value.word})"
    words = {SystemInfo: "system", NetworkInfo: "network", DefineDecl: "definition"}
    return f"a {words.get(type(value.target), 'function')}"


def in_unit(unit: Unit | None) -> str:
    return f" in [{unit}]" if unit is not None and unit.powers else " without a unit" if unit is not None else ""
