"""The float32 program of a model: the same operators as in `load`, none folded, with the roundings of each.

    operators that move, choose or compare     exact in float32
    Add, Sub, Mul, Div, LeakyRelu, PRelu       one rounding
    Gemm, MatMul, ConvTranspose                sums of products in any order: as many as there are terms, and one for
                                               what is added behind, which runtimes make a part of the sum
    Conv                                       one more: runtimes multiply its weights by a constant that follows
    Sum, ReduceSum                             likewise
    Mean, ReduceMean, AveragePool, GlobalAveragePool     one more, for the division or the reciprocal

Every other operator, and every use of these that is not plain, is refused: there is no rule for its rounding.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from types import MappingProxyType

import numpy as np

from verify.core.evaluate import evaluate
from verify.core.network import Network
from verify.core.program import MOST_ROUNDINGS, Program
from verify.core.query import Query
from verify.errors import ModelError, Place
from verify.importer.arithmetic import Array, Ints
from verify.importer.assemble import Output, as_built
from verify.importer.fold import EXACT as EXACT_CONSTANTS
from verify.importer.graph import ZERO, Builder, Node, Tensor, UnsupportedError, Value
from verify.importer.load import Importing, Unsupported
from verify.importer.model import Model
from verify.importer.operators import MOVES
from verify.importer.read import read_model
from verify.importer.wiring import Wiring, read_wiring

EXACT = frozenset({
    *MOVES, "Abs", "Clip", "Constant", "ConstantOfShape", "GlobalMaxPool", "Max", "MaxPool", "Min", "Neg", "ReduceMax",
    "ReduceMin", "Relu",
})  # fmt: skip

# How many roundings a summand of a row passes through at most, from the number of the row's terms.
ROUNDINGS: Mapping[str, Callable[[Ints], Ints]] = MappingProxyType({
    **dict.fromkeys(("Add", "Sub", "Mul", "Div", "LeakyRelu", "PRelu"), np.ones_like),
    **dict.fromkeys(("Gemm", "MatMul", "ConvTranspose", "Sum", "ReduceSum"), lambda terms: terms + 1),
    **dict.fromkeys(("Conv", "Mean", "ReduceMean", "AveragePool", "GlobalAveragePool"), lambda terms: terms + 2),
})  # fmt: skip
FLOAT = 1  # TensorProto.FLOAT
JOINED = frozenset({"Add", "Sub"})  # runtimes make their operands part of the sum that the other operand is
FIX = "express it with Gemm, MatMul, Conv, Add, Sub, Mul and Relu, or prove it over the reals (--semantics real)"


def float32_program(model: Model) -> Program:
    """The program of an imported model, from its file.

    Guarantee: its network is exactly the model's function, which is compared at two points; see Program for the rest.
    Raises ModelError E123 for what has no rule, E102 when the file is not the one that was imported.
    """
    source = read_model(model.file)
    place = Place(model.file)
    if source.sha256 != model.sha256:
        raise ModelError("E102", "the file has changed since it was read", place=place, fix="run the command again")
    if model.selection is not None:
        raise _uncovered(model, [Unsupported("", "operators that jump", "", FIX)])
    wiring = read_wiring(source, [p.name for p in model.network.outputs][: _own(model)], hidden=model.hidden)
    problems = _types(wiring)
    if problems:
        raise _uncovered(model, problems)
    tracer = Tracer([p.size for p in wiring.inputs])
    work = _Tracing(source, wiring)
    work.build = tracer
    work.run_all()
    if work.unsupported:
        raise _uncovered(model, work.unsupported)
    tracer.rule = None
    ends = [Output(o.name, work.output_ids(o.name), o.element_type) for o in wiring.outputs]
    program = tracer.program(as_built(wiring.inputs, ends, tracer))
    _check_same(model, program.network)
    return program


def float32_programs(query: Query, models: Mapping[str, Model]) -> dict[str, Program]:
    """The programs of all models that a query is about, by name.  Raises ModelError E102, E123."""
    if query.chained:
        message = "float32 semantics does not cover networks that are fed with what networks give"
        raise ModelError("E123", message, fix="prove closed loops over the reals (--semantics real)")
    return {name: float32_program(models[name]) for name in dict.fromkeys(copy.model for copy in query.copies)}


def _own(model: Model) -> int:
    return len(model.network.outputs) - len(model.hidden)


def _types(wiring: Wiring) -> list[Unsupported]:
    ends = [("input", p.name, p.element_type) for p in wiring.inputs]
    ends += [("output", o.name, o.element_type) for o in wiring.outputs]
    return [Unsupported(name, f"{what} of type {kind}", "", FIX) for what, name, kind in ends if kind != "float32"]


def _uncovered(model: Model, nodes: Sequence[Unsupported]) -> ModelError:
    lines = "".join(f"\n    {node}" for node in nodes)
    message = f"float32 semantics does not cover:{lines}"
    return ModelError("E123", message, place=Place(model.file), fix=FIX)


def _check_same(model: Model, network: Network) -> None:
    """Two exact points, one inside the unit box and one outside: a guard against a defect of this package."""
    for numerator, denominator in ((1, 3), (-7, 5)):
        x = [Fraction(numerator * (k % 7 + 1), denominator * (k % 5 + 1)) for k in range(network.input_size)]
        assert evaluate(network, x) == evaluate(model.network, x), "the float32 program is another function"


class Tracer(Builder):
    """A builder that notes the roundings of every row; `rule` is the running node's, None where it is exact."""

    def __init__(self, input_sizes: Sequence[int]) -> None:
        super().__init__(input_sizes)
        self.rule: Callable[[Ints], Ints] | None = None
        self.joined = False  # whether the running node is one of JOINED
        self.products: list[Ints] = []
        self.biases: list[Ints] = []
        self._of_element = np.zeros(self._next, dtype=np.int64)  # by id

    def emit(
        self, counts: Ints, columns: Ints, values: Array, bias: Array, *, relu: bool = False, clean: bool = False
    ) -> Ints:
        """As in Builder.  Raises UnsupportedError where terms of a row would be put together unrounded."""
        if self.rule is not None and not clean:
            rows = np.repeat(np.arange(len(counts)), counts)
            kept = (columns != ZERO) & (values != 0)
            if (columns[kept] < 0).any():
                raise UnsupportedError("constants among the elements of a sum", FIX)
            pairs = np.stack([rows[kept], columns[kept]])
            if np.unique(pairs, axis=1).shape[1] < pairs.shape[1]:
                raise UnsupportedError("a sum that reads an element twice", FIX)
        ids = super().emit(counts, columns, values, bias, relu=relu, clean=clean)
        self._note(len(self.blocks) - 1)
        return ids

    def _note(self, number: int) -> None:
        block = self.blocks[number]
        terms = np.diff(block.starts)
        if self.rule is None:
            products = biases = np.zeros(block.size, dtype=np.int64)
        else:
            products = np.asarray(self.rule(terms), dtype=np.int64)
            biases = products.copy()
            if self.joined:
                rows = np.repeat(np.arange(block.size), terms)
                behind = np.zeros(block.size, dtype=np.int64)
                np.maximum.at(behind, rows, self._of_element[block.columns])
                biases += behind
                products = products + np.where(terms > 1, behind, 0)
            if int(biases.max(initial=0)) > MOST_ROUNDINGS:
                raise UnsupportedError(f"a sum of {int(terms.max())} terms", FIX)
        self.products.append(products)
        self.biases.append(biases)
        self._of_element = np.concatenate([self._of_element, products])

    def program(self, network: Network) -> Program:
        """The rows that `as_built` adds, the outputs, are exact."""
        sizes = [block.size for block in network.blocks]
        return Program(network, _arrays(self.products, sizes), _arrays(self.biases, sizes))


def _arrays(counts: Sequence[Ints], sizes: Sequence[int]) -> tuple[array[int], ...]:
    missing = sizes[len(counts) :]
    return (*(array("q", c.tolist()) for c in counts), *(array("q", bytes(8 * size)) for size in missing))


class _Tracing(Importing):
    """An import with a tracer; nodes without a rule are unsupported."""

    def consider(self, node: Node, args: Sequence[Value | None]) -> None:
        tracer = self.build
        assert isinstance(tracer, Tracer)
        tracer.rule, tracer.joined = None, node.op in JOINED
        dynamic = any(isinstance(a, Tensor) for a in args)
        constants = [a for a in args if isinstance(a, np.ndarray) and a.dtype.kind in "fO"]
        if not dynamic and not constants:
            return  # shapes and indices
        if node.op not in EXACT and node.op not in ROUNDINGS and (dynamic or node.op not in EXACT_CONSTANTS):
            raise UnsupportedError("", FIX)
        if not all(map(_is_float32, constants)):
            raise UnsupportedError("a constant that is no float32", FIX)
        if node.op == "Cast" and dynamic and node.integer("to", 1) != FLOAT:
            raise UnsupportedError("a cast to another type than float32", FIX)
        if node.op in ROUNDINGS:
            if not dynamic:
                raise UnsupportedError("a constant subexpression", "fold it to a stored constant")
            _check_plain(node, args)
            tracer.rule = ROUNDINGS[node.op]


def _is_float32(values: Array) -> bool:
    with np.errstate(over="ignore"):
        return bool((values.astype(np.float32).astype(np.float64) == values).all())


def _check_plain(node: Node, args: Sequence[Value | None]) -> None:
    """Raises UnsupportedError for uses whose orders of evaluation the rule does not cover."""
    if node.op == "Gemm" and (node.number("alpha", 1.0), node.number("beta", 1.0)) != (1.0, 1.0):
        raise UnsupportedError("alpha or beta other than 1", "multiply the weights by them")
    if node.op in ("Gemm", "Conv", "ConvTranspose") and len(args) > 2 and isinstance(args[2], Tensor):
        raise UnsupportedError("a bias that depends on the inputs", "add it with Add")
