"""Which declared tensor of a VNN-LIB 2 file is which of its model, which inputs are one variable, and their bounds."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from verify.core.network import Network, Port
from verify.core.query import TRUE, And, Formula, Or, Row, Selection, conjunction, disjunction
from verify.errors import QueryError, VnnlibError
from verify.spec.vnnlib2 import FLOATS, REAL, Declaration, Document, Tensor

Interval = tuple[Fraction, Fraction]
Values = tuple[tuple[int, ...], tuple[Fraction, ...]]  # shape, elements


@dataclass(frozen=True)
class BoundModel:
    """A declared network's model: its outputs are the model's, then the declared hidden nodes in their order.

    `defaults` holds the inputs that the model gives a value itself, in the model's order.
    """

    network: Network
    hidden: int = 0
    selection: Selection | None = None
    defaults: Mapping[str, Values] | None = None

    @property
    def inputs(self) -> tuple[Port, ...]:
        return self.network.inputs[: -1 if self.selection is not None else None]

    @property
    def outputs(self) -> tuple[Port, ...]:
        """The model's own."""
        return self.network.outputs[: len(self.network.outputs) - self.hidden - self._guard_ports]

    @property
    def hidden_ports(self) -> tuple[Port, ...]:
        return self.network.outputs[len(self.outputs) : len(self.outputs) + self.hidden]

    @property
    def _guard_ports(self) -> int:
        return 1 if self.selection is not None and self.selection.guards else 0


# -- which inputs are one variable -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Variables:
    """The file's inputs as variables: `of[i]` is the variable that input element i is."""

    of: tuple[int, ...]
    first: tuple[int, ...]  # the first element of each variable

    @classmethod
    def read(cls, document: Document) -> Variables:
        size = sum(t.size for t in document.tensors if t.kind == "input")
        root = list(range(size))

        def find(i: int) -> int:
            while root[i] != i:
                root[i] = root[root[i]]
                i = root[i]
            return i

        for a, b in _equal_pairs(document.asserts):
            a, b = find(a), find(b)
            root[max(a, b)] = min(a, b)
        first = [i for i in range(size) if find(i) == i]
        number = {i: k for k, i in enumerate(first)}
        return cls(tuple(number[find(i)] for i in range(size)), tuple(first))


def _equal_pairs(asserts: Sequence[Formula]) -> list[tuple[int, int]]:
    """Pairs of inputs that the file's conjuncts say are equal."""
    below: set[tuple[int, int]] = set()
    for row in conjuncts(asserts):
        if isinstance(row, Row) and not row.outputs and not row.strict and not row.bound and len(row.inputs) == 2:
            (a, c), (b, d) = row.inputs
            if c == -d:
                below.add((a, b) if c > 0 else (b, a))
    return sorted((a, b) for a, b in below if a < b and (b, a) in below)


def conjuncts(formulas: Sequence[Formula]) -> list[Formula]:
    whole = conjunction(formulas)
    return list(whole.children) if isinstance(whole, And) else [whole]


def substitute(
    formula: Formula, inputs: Callable[[int], int | Fraction], outputs: Callable[[int], int] = lambda i: i
) -> Formula:
    """The formula with its indices replaced; an input may become a constant.  Rows that always hold are dropped."""
    if isinstance(formula, And):
        return conjunction(substitute(c, inputs, outputs) for c in formula.children)
    if isinstance(formula, Or):
        return disjunction(substitute(c, inputs, outputs) for c in formula.children)
    coefficients: dict[int, Fraction] = {}
    bound = formula.bound
    for index, c in formula.inputs:
        target = inputs(index)
        if isinstance(target, Fraction):
            bound -= c * target
        else:
            coefficients[target] = coefficients.get(target, Fraction(0)) + c
    row = Row.of(coefficients, {outputs(i): c for i, c in formula.outputs}, bound, strict=formula.strict)
    if not row.inputs and not row.outputs and (bound > 0 or (bound == 0 and not row.strict)):
        return TRUE
    return row


# -- the box of a network --------------------------------------------------------------------------------------------


FLOAT32_MAX = Fraction(2**24 - 1) * 2**104


def in_variables(document: Document, variables: Variables) -> tuple[Formula, tuple[str, ...]]:
    """The file's asserts over its variables; an unbounded float32 input gets the range of its type, with a note."""
    formula = substitute(conjunction(document.asserts), lambda i: variables.of[i])
    hull = _hull(formula)
    rows: list[Formula] = []
    unbounded: list[str] = []
    for tensor in document.tensors:
        if hull is None or tensor.element_type != "float32" or tensor.kind != "input" or tensor.initialized:
            continue
        for variable in dict.fromkeys(variables.of[tensor.first : tensor.first + tensor.size]):
            low, high = hull.get(variable, (None, None))
            rows += [] if low is not None else [Row.of({variable: -1}, {}, FLOAT32_MAX)]
            rows += [] if high is not None else [Row.of({variable: 1}, {}, FLOAT32_MAX)]
            if low is None or high is None:
                unbounded.append(tensor.name)
    notes = (
        f"unbounded float32 inputs range over the finite numbers of their type: {', '.join(dict.fromkeys(unbounded))}",
    )
    return conjunction([formula, *rows]), notes if unbounded else ()


def input_box(document: Document, declaration: Declaration, inputs: Sequence[Port]) -> tuple[Interval, ...]:
    """Bounds of every element of a model's inputs, in the model's order, that every solution satisfies.

    Raises QueryError E401 where there is none, VnnlibError E208 where declaration and model differ.
    """
    variables = Variables.read(document)
    names = [n for t in document.tensors if t.kind == "input" for n in t.element_names()]
    formula, _ = in_variables(document, variables)
    tensors = matched(document, declaration, "input", inputs)
    elements = [e for t in tensors for e in range(t.first, t.first + t.size)]
    return enclosing_box(formula, [(variables.of[e], names[e]) for e in elements])


def enclosing_box(formula: Formula, variables: Sequence[tuple[int, str]]) -> tuple[Interval, ...]:
    """Bounds of the named variables that every solution of `formula` satisfies.  Raises QueryError E401."""
    hull = _hull(formula)
    if hull is None:  # nothing satisfies it
        return ((Fraction(0), Fraction(0)),) * len(variables)
    result = []
    for variable, name in variables:
        low, high = hull.get(variable, (None, None))
        if low is None or high is None:
            raise QueryError(
                "E401",
                f"input {name!r} has no {'lower' if low is None else 'upper'} bound",
                fix=f"add a range for {name!r}; an unbounded input is never taken as 0",
            )
        result.append((low, max(low, high)))
    return tuple(result)


Sides = tuple["Fraction | None", "Fraction | None"]


def _hull(formula: Formula) -> dict[int, Sides] | None:
    """Bounds that single-variable rows imply, per variable; None when they contradict each other."""
    if isinstance(formula, Or):
        parts = [h for h in map(_hull, formula.children) if h is not None]
        if not parts:
            return None
        shared = set(parts[0]).intersection(*parts[1:])
        return {
            i: (_outermost([p[i][0] for p in parts], min), _outermost([p[i][1] for p in parts], max)) for i in shared
        }
    if isinstance(formula, And):
        result: dict[int, Sides] = {}
        for child in formula.children:
            part = _hull(child)
            if part is None:
                return None
            for i, (low, high) in part.items():
                known = result.get(i, (None, None))
                result[i] = (_innermost(known[0], low, max), _innermost(known[1], high, min))
        return result
    if formula.outputs or len(formula.inputs) != 1:
        return {}
    ((index, c),) = formula.inputs
    limit = formula.bound / c
    return {index: (None, limit) if c > 0 else (limit, None)}


def _outermost(sides: Sequence[Fraction | None], pick: Callable[[list[Fraction]], Fraction]) -> Fraction | None:
    known = [s for s in sides if s is not None]
    return pick(known) if len(known) == len(sides) else None


def _innermost(
    a: Fraction | None, b: Fraction | None, pick: Callable[[Fraction, Fraction], Fraction]
) -> Fraction | None:
    return b if a is None else a if b is None else pick(a, b)


# -- which tensor is which -------------------------------------------------------------------------------------------


def matched(document: Document, declaration: Declaration, kind: str, ports: Sequence[Port]) -> list[Tensor]:
    """The declared tensors in the model's order: by name where all have one, else as they come.  Raises E208."""
    declared = [t for t in declaration.of_kind(kind) if not t.initialized]
    has = ", ".join(f"{p.name}{list(p.shape)}" for p in ports)
    if len(declared) != len(ports):
        message = f"network {declaration.name!r} declares {len(declared)} {kind}s, its model has {len(ports)} ({has})"
        raise mismatch(document, declaration.token, message, f"declare every {kind} of the model, in its order")
    if all(t.onnx_name is not None for t in declared):
        by_name = {t.onnx_name: t for t in declared}
        if set(by_name) != {p.name for p in ports}:
            odd = next(t for t in declared if t.onnx_name not in {p.name for p in ports})
            raise mismatch(document, odd.token, f"the model has no {kind} {odd.onnx_name!r}; it has {has}", "")
        declared = [by_name[p.name] for p in ports]
    for tensor, port in zip(declared, ports, strict=True):
        if tensor.shape != port.shape:
            raise _other_shape(document, tensor, port)
    return declared


def _other_shape(document: Document, tensor: Tensor, port: Port) -> VnnlibError:
    message = f"{tensor.name} is declared with shape {list(tensor.shape)}, but {tensor.kind} {port.name!r} has "
    return mismatch(document, tensor.token, f"{message}{list(port.shape)}", "")


def mismatch(document: Document, token: int, message: str, fix: str) -> VnnlibError:
    fix = fix or "declare it as the model has it, or give the model that belongs to this file"
    return VnnlibError("E208", message, fix=fix, place=document.source.place(token))


def check_hidden(document: Document, declaration: Declaration, model: BoundModel) -> None:
    for tensor, port in zip(declaration.of_kind("hidden"), model.hidden_ports, strict=True):
        if tensor.shape != port.shape:
            raise _other_shape(document, tensor, port)


def type_notes(document: Document, pairs: Sequence[tuple[Tensor, str]], *, strict: bool) -> list[str]:
    """Notes on what is decided over the reals; raises VnnlibError E220 where types clash, or float types are strict."""
    floats, notes = [], []
    for tensor, element_type in pairs:
        place = document.source.place(tensor.token)
        declared = tensor.element_type
        if declared in REAL:
            continue
        if strict and declared in FLOATS:
            message = f"{tensor.name} is {declared}; what is decided here is the network over the real numbers"
            raise VnnlibError("E220", message, fix="declare it as real, or leave out --strict-types", place=place)
        if declared == element_type:
            floats += [declared] if declared in FLOATS else []
            continue
        if declared not in FLOATS or element_type not in FLOATS:
            message = f"{tensor.name} is declared {declared}, but the model has {element_type}"
            raise VnnlibError("E220", message, fix=f"declare it {element_type}", place=place)
        notes.append(f"{tensor.name} is declared {declared}, but the model has {element_type}")
        floats.append(declared)
    if floats:
        notes.append(f"{', '.join(dict.fromkeys(floats))}: decided over the real numbers; witnesses are replayed")
    return notes
