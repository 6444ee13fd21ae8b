"""A VNN-LIB 2 file and its models: one exact query.

Inputs that the file says are equal become one variable, so that copies of a network that share inputs are searched
over those inputs once.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction

from verify.core.network import Network, Port
from verify.core.property import Property
from verify.core.query import TRUE, Affine, Copy, Field, Formula, Or, Query, conjunction, mentions_outputs
from verify.errors import Place
from verify.spec.compose import Use, VariablePort, compose
from verify.spec.vnnlib import property_name
from verify.spec.vnnlib2 import Declaration, Document, Tensor
from verify.spec.vnnlib2_matching import (
    BoundModel,
    Variables,
    check_hidden,
    conjuncts,
    in_variables,
    matched,
    mismatch,
    substitute,
    type_notes,
)


def bind(document: Document, models: Mapping[str, BoundModel], *, strict_types: bool = False) -> Property:
    """The property of a VNN-LIB 2 file for the models of its networks: REFUTED when its constraints are satisfiable.

    Guarantee: decimals are taken exactly, strict stays strict.  Raises: VnnlibError (E208, E220).
    """
    lowering = _Lowering(document, models)
    notes = (*type_notes(document, lowering.types, strict=strict_types), *lowering.notes)
    file = document.source.file
    return Property(property_name(file), lowering.query(), Place(file), notes=notes)


class _Lowering:
    """Where every declared element is among the query's variables and outputs."""

    def __init__(self, document: Document, models: Mapping[str, BoundModel]) -> None:
        self.document = document
        self.models = models
        self.types: list[tuple[Tensor, str]] = []
        self.inputs: dict[str, list[Tensor]] = {}  # per network, in the model's order
        self.constants: dict[int, Fraction] = {}  # input elements with a default
        self.output_place: dict[int, int] = {}
        self.first_output: dict[str, int] = {}
        self.outputs_in_all = 0
        for declaration in document.networks:
            self._place(declaration, models[declaration.name])
        whole = Variables.read(document)
        self.constant_of = {whole.of[i]: value for i, value in self.constants.items()}
        kept = [k for k in range(len(whole.first)) if k not in self.constant_of]
        self.number = {k: n for n, k in enumerate(kept)}
        self.whole = whole
        self.asserts, self.notes = in_variables(document, whole)

    def _place(self, declaration: Declaration, model: BoundModel) -> None:
        inputs = matched(self.document, declaration, "input", model.inputs)
        outputs = matched(self.document, declaration, "output", model.outputs)
        check_hidden(self.document, declaration, model)
        self.inputs[declaration.name] = inputs
        self.types += zip(inputs, (p.element_type for p in model.inputs), strict=True)
        self.types += zip(outputs, (p.element_type for p in model.outputs), strict=True)
        self._place_defaults(declaration, model)
        self.first_output[declaration.name] = self.outputs_in_all
        for tensor in (*outputs, *declaration.of_kind("hidden")):
            for element in range(tensor.size):
                self.output_place[tensor.first + element] = self.outputs_in_all + element
            self.outputs_in_all += tensor.size

    def _place_defaults(self, declaration: Declaration, model: BoundModel) -> None:
        declared = [t for t in declaration.of_kind("input") if t.initialized]
        defaults = dict(model.defaults or {})
        for position, tensor in enumerate(declared):
            names = list(defaults)
            name = tensor.onnx_name if tensor.onnx_name is not None else "".join(names[position : position + 1])
            shape, values = defaults.get(name, ((), ()))
            if name not in defaults or shape != tensor.shape:
                known = ", ".join(f"{n}{list(s)}" for n, (s, _) in defaults.items()) or "none"
                message = (
                    f"{tensor.name} is initialized, but the model has no such input with a default (it has {known})"
                )
                raise mismatch(self.document, tensor.token, message, "")
            self.constants.update({tensor.first + k: v for k, v in enumerate(values)})

    def variable(self, element: int) -> int | Fraction:
        """Where an input element is: the number of its variable, or its value."""
        return self.numbered(self.whole.of[element])

    def numbered(self, variable: int) -> int | Fraction:
        return self.constant_of[variable] if variable in self.constant_of else self.number[variable]

    def query(self) -> Query:
        formula = substitute(self.asserts, self.numbered, self.output_place.__getitem__)
        clashes = [self._default_holds(i, v) for i, v in self.constants.items()]
        parts = conjuncts([formula, *clashes])
        selections, choices, guards = self._selections()
        assumption = conjunction([*(p for p in parts if not mentions_outputs(p)), *selections])
        violation = conjunction(p for p in parts if mentions_outputs(p))
        names = [n for t in self.document.tensors if t.kind == "input" for n in t.element_names()]
        fields = [names[self.whole.first[k]] for k in self.number]
        return Query(
            self._network(),
            tuple(Field(n) for n in (*fields, *choices)),
            tuple(Field(n) for n in (*self._output_names(), *guards)),
            assumption,
            violation,
            tuple(self._copies()),
        )

    def _default_holds(self, element: int, value: Fraction) -> Formula:
        """Inputs that are equal and have different defaults contradict each other."""
        known = self.constant_of[self.whole.of[element]]
        return TRUE if known == value else Or(())

    def _output_names(self) -> list[str]:
        names = [""] * self.outputs_in_all
        for tensor in self.document.tensors:
            if tensor.kind != "input":
                for element, name in enumerate(tensor.element_names()):
                    names[self.output_place[tensor.first + element]] = name
        return names

    def _selections(self) -> tuple[list[Formula], list[str], list[str]]:
        """What the choices must satisfy, over the query's variables; the choices' and the guards' names."""
        formulas: list[Formula] = []
        choices: list[str] = []
        guards: list[str] = []
        for declaration in self.document.networks:
            model = self.models[declaration.name]
            if model.selection is None:
                continue
            elements = [e for t in self.inputs[declaration.name] for e in range(t.first, t.first + t.size)]
            choice, guard = len(self.number) + len(choices), self.outputs_in_all + len(guards)
            own = sum(p.size for p in (*model.outputs, *model.hidden_ports))

            def place(i: int, elements: Sequence[int] = elements, choice: int = choice) -> int | Fraction:
                return self.variable(elements[i]) if i < len(elements) else choice + i - len(elements)

            formulas.append(substitute(model.selection.formula, place, lambda i, g=guard - own: i + g))  # type: ignore[misc]
            choices += [f"{declaration.name}: choice {n}" for n in model.selection.names]
            guards += [f"{declaration.name}: guard {k}" for k in range(model.selection.guards)]
        return formulas, choices, guards

    def _copies(self) -> list[Copy]:
        return [
            Copy(d.name, d.name, tuple(self._raw_inputs(d)), self.first_output[d.name]) for d in self.document.networks
        ]

    def _raw_inputs(self, declaration: Declaration) -> list[Affine]:
        places = [self.variable(e) for t in self.inputs[declaration.name] for e in range(t.first, t.first + t.size)]
        return [Affine((), p) if isinstance(p, Fraction) else Affine(((p, Fraction(1)),)) for p in places]

    def _network(self) -> Network:
        """The model itself where the file is about one, and searches it as it is."""
        if len(self.document.networks) == 1:
            (declaration,) = self.document.networks
            model = self.models[declaration.name]
            raw = self._raw_inputs(declaration)
            if raw == [Affine(((k, Fraction(1)),)) for k in range(len(self.number))]:
                return model.network
        return self._composed()

    def _composed(self) -> Network:
        ports: list[VariablePort] = []
        for declaration in self.document.networks:
            for tensor in declaration.of_kind("input"):
                elements = range(tensor.first, tensor.first + tensor.size)
                own = [
                    e for e in elements if self.whole.first[self.whole.of[e]] == e and self.whole.of[e] in self.number
                ]
                if own:
                    ports.append(VariablePort(tensor.name, len(own), _float_type(tensor)))
        uses: list[Use] = []
        choice = len(self.number)
        for declaration in self.document.networks:
            model = self.models[declaration.name]
            raw = self._raw_inputs(declaration)
            if model.selection is not None:
                count = len(model.selection.names)
                ports.append(VariablePort(f"{declaration.name}.choices", count))
                raw += [Affine(((choice + k, Fraction(1)),)) for k in range(count)]
                choice += count
            uses.append(Use(declaration.name, model.network, tuple(raw)))
        whole = compose(ports, uses)
        return Network(whole.inputs, self._guards_last(whole.outputs), whole.blocks, whole.notes)

    def _guards_last(self, ports: Sequence[Port]) -> tuple[Port, ...]:
        plain: list[Port] = []
        guards: list[Port] = []
        position = 0
        for declaration in self.document.networks:
            model = self.models[declaration.name]
            count, own = len(model.network.outputs), len(model.outputs) + model.hidden
            plain += ports[position : position + own]
            guards += ports[position + own : position + count]
            position += count
        return (*plain, *guards)


def _float_type(tensor: Tensor) -> str:
    return tensor.element_type if tensor.element_type in ("float32", "float64") else "float64"
