"""From a model file to an exact network."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx

from verify.core.network import Network, Port
from verify.core.query import Selection
from verify.errors import ModelError
from verify.importer.arithmetic import Array, Ints
from verify.importer.assemble import Output, assemble
from verify.importer.fold import constant_node, fold
from verify.importer.graph import Builder, Node, Tensor, UnsupportedError, Value, malformed
from verify.importer.model import Model
from verify.importer.operators import JUMPS, MOVES, OPERATORS, RANDOM, UNBOUNDED, rewrite_for
from verify.importer.read import FilePath, ModelFile, read_model, to_array
from verify.importer.wiring import Wiring, node_name, node_output, read_wiring

if TYPE_CHECKING:
    from verify.importer.choices import Choices

# Exact bounds of every element of the inputs; may raise.
Box = Callable[[Sequence[Port]], Sequence[tuple[Fraction, Fraction]]]


@dataclass(frozen=True)
class Unsupported:
    """A node outside what is supported: its name, operator, why (or ""), and what to write instead."""

    name: str
    op: str
    reason: str
    rewrite: str

    def __str__(self) -> str:
        return f"{self.op} (node {self.name!r})" + (f": {self.reason}" if self.reason else "")


@dataclass(frozen=True, eq=False)
class Lowered:
    """The outcome of an import: a network, or the nodes that prevent one."""

    source: ModelFile
    inputs: tuple[Port, ...]
    network: Network | None
    unsupported: tuple[Unsupported, ...]
    selection: Selection | None = None


def load(
    path: FilePath, *, outputs: Sequence[str] | None = None, hidden: Sequence[str] = (), box: Box | None = None
) -> Model:
    """Import an ONNX model (.onnx or .onnx.gz) exactly, over the reals.

    `outputs` names the output tensors to keep (default all), `hidden` further tensors or nodes that become outputs.
    With `box`, which gives the bounds of all inputs that will be asked for, operators may jump (see `choices`).
    A leading dynamic axis is fixed to 1.
    Guarantee: the network is the stored floats' exact rational function; declared roundings are in its notes.
    Raises: ModelError, for every unsupported node at once.
    """
    source = read_model(path)
    names = tuple(_hidden_name(source, name) for name in hidden)
    lowered = lower(source, outputs=outputs, hidden=names, box=box)
    if lowered.network is None:
        raise unsupported_error(source.name, lowered.unsupported)
    return Model(source.name, source.sha256, lowered.network, names, lowered.selection)


def _hidden_name(source: ModelFile, name: str) -> str:
    found = node_output(source, name)
    if found is None:
        known = [o for node in source.proto.graph.node for o in node.output if o]
        fix = f"name an output of a node: {', '.join(known[:12])}{', …' if len(known) > 12 else ''}"
        raise ModelError("E122", f"{source.name}: no hidden node {name!r}", fix=fix)
    return found


def unsupported_error(file: str, nodes: Sequence[Unsupported]) -> ModelError:
    """One error for all unsupported nodes, in the order of the graph."""
    many = f"{len(nodes)} unsupported nodes" if len(nodes) > 1 else "1 unsupported node"
    lines = [f"{file}: {many}:", *(f"    {node}" for node in nodes)]
    fixes: dict[str, list[str]] = {}
    for node in nodes:
        ops = fixes.setdefault(node.rewrite, [])
        if node.op not in ops:
            ops.append(node.op)
    fix = "\n          ".join(f"{', '.join(ops)}: {rewrite}" for rewrite, ops in fixes.items())
    return ModelError("E105", "\n".join(lines), fix=fix)


def lower(
    source: ModelFile, *, outputs: Sequence[str] | None = None, hidden: Sequence[str] = (), box: Box | None = None
) -> Lowered:
    """Lower a parsed model; unsupported nodes are collected, not raised.  Raises ModelError for malformed ones."""
    wiring = read_wiring(source, outputs, hidden=hidden, integers=box is not None)
    try:
        choices: Choices | None = None
        if box is not None and any(source.proto.graph.node[i].op_type in JUMPS for i in wiring.order):
            from verify.importer.choices import MAX_CHOICES, Choices

            choices = Choices(box(wiring.inputs), MAX_CHOICES)
        work = Importing(source, wiring, choices).run_all()
        if choices is not None and not work.unsupported:  # how many choices there are is known now
            choices = Choices(choices.box, len(choices.names))
            work = Importing(source, wiring, choices).run_all()
        if work.unsupported:
            return Lowered(source, wiring.inputs, None, tuple(work.unsupported))
        return _assembled(work, choices)
    except MemoryError:
        message = f"{source.name}: the model is too large for this machine's memory"
        raise ModelError("E115", message, fix="use a smaller model") from None


def _assembled(work: Importing, choices: Choices | None) -> Lowered:
    """The network; its last input and output are the choices and their guards, where there are any."""
    inputs, names = work.wiring.inputs, work.wiring.outputs
    ends = [Output(o.name, work.output_ids(o.name), o.element_type) for o in names]
    selection = None
    if choices is not None and choices.names:
        selection = choices.selection(work.build, sum(end.ids.size for end in ends))
        inputs = (*inputs, Port("choices", (choices.capacity,), len(inputs)))
        if choices.guards:
            ends.append(Output("guards", np.asarray(choices.guards, dtype=np.int64), "float32"))
        work.build.notes.append(f"operators that jump are split into {choices.capacity} choices, exactly")
    return Lowered(work.source, work.wiring.inputs, assemble(inputs, ends, work.build), (), selection)


class Importing:
    """An import under way: the tensors known so far, by name."""

    def __init__(self, source: ModelFile, wiring: Wiring, choices: Choices | None = None) -> None:
        self.source = source
        self.wiring = wiring
        sizes = [p.size for p in wiring.inputs]
        self.build = Builder([*sizes, choices.capacity] if choices is not None else sizes, choices)
        self.kinds: dict[str, str] = {}  # of tensors that depend on the inputs and are no floats
        self.unsupported: list[Unsupported] = []
        self.values: dict[str, Value] = {}
        self.broken: set[str] = set()  # outputs of unsupported nodes, and what follows from them
        self.finite: set[str] = set()  # constants already checked
        self.pending = dict(wiring.readers)  # stored tensors: reads to come
        first = 0
        for port in wiring.inputs:
            self.values[port.name] = Tensor(np.arange(first, first + port.size, dtype=np.int64).reshape(port.shape))
            first += port.size

    def run_all(self) -> Importing:
        for index in self.wiring.order:
            self.run(index)
        return self

    def run(self, index: int) -> None:
        """Lower one node, or record why not."""
        proto = self.source.proto.graph.node[index]
        node = Node(
            node_name(proto, index), proto.op_type, self.source.opset, _attributes(proto), sum(map(bool, proto.output))
        )
        try:
            results = self._lower(node, proto)
        except UnsupportedError as problem:
            self.unsupported.append(Unsupported(node.name, node.op, problem.reason, problem.rewrite))
            results = None
        except (ValueError, IndexError, TypeError, KeyError, ArithmeticError) as problem:
            missing = "an input or attribute is missing" if isinstance(problem, IndexError) else ""
            raise malformed(node, missing or str(problem) or type(problem).__name__) from problem
        if results is None:
            self.broken.update(name for name in proto.output if name)
            return
        for name, value in zip(proto.output, results, strict=False):
            if name:
                self.values[name] = value

    def _lower(self, node: Node, proto: onnx.NodeProto) -> tuple[Value, ...] | None:
        """The node's outputs; None when an input of it is unknown."""
        if proto.domain not in ("", "ai.onnx"):
            raise UnsupportedError(f"custom domain {proto.domain!r}", rewrite_for(node.op))
        if node.op == "Constant":
            return (constant_node(node, to_array),)
        args = [self.value(name, node) if name else None for name in proto.input]
        dynamic = any(isinstance(a, Tensor) for a in args)
        broken = any(name in self.broken for name in proto.input)
        self.consider(node, args)
        if self.build.choices is not None and dynamic and not broken:
            return self._lower_typed(node, proto, args)
        if node.op in RANDOM or (node.op not in OPERATORS and (dynamic or broken or not args or _has_graph(proto))):
            raise UnsupportedError("", rewrite_for(node.op))
        if broken:
            return None
        if node.op in OPERATORS and not args:
            raise malformed(node, "it has no inputs")
        if dynamic or node.op in MOVES:
            found = OPERATORS[node.op](node, args, self.build)
            return found if isinstance(found, tuple) else (found,)
        known = [a for a in args if not isinstance(a, Tensor)]
        return fold(node, proto, known, self.build, lowering=OPERATORS.get(node.op))

    def consider(self, node: Node, args: Sequence[Value | None]) -> None:
        """What a kind of import asks of a node before it is lowered.  May raise UnsupportedError."""

    def _lower_typed(self, node: Node, proto: onnx.NodeProto, args: Sequence[Value | None]) -> tuple[Value, ...]:
        """A node that depends on the inputs, where operators may jump: integers and Booleans are told apart."""
        from verify.importer import discontinuous

        kinds = tuple(self._kind(name, a) for name, a in zip(proto.input, args, strict=True))
        typed = [k for a, k in zip(args, kinds, strict=True) if isinstance(a, Tensor) and k != "float"]
        lowering = discontinuous.OPERATORS.get(node.op) or OPERATORS.get(node.op)
        if lowering is None:
            raise UnsupportedError("", rewrite_for(node.op))
        if typed and node.op not in discontinuous.INTEGER_OPERATORS:
            raise UnsupportedError("integers or Booleans that depend on the inputs", "cast them to float32 before it")
        found = lowering(replace(node, kinds=kinds), args, self.build)
        results = found if isinstance(found, tuple) else (found,)
        kind = discontinuous.kind_of(node, kinds)
        for name, value in zip(proto.output, results, strict=False):
            if kind != "float" and isinstance(value, Tensor):
                if kind != "bool":
                    discontinuous.check_range(value, kind, self.build)
                self.kinds[name] = kind
        return results

    def _kind(self, name: str, value: Value | None) -> str:
        if isinstance(value, np.ndarray):
            return "float" if value.dtype.kind in "fO" else "bool" if value.dtype.kind == "b" else str(value.dtype)
        return self.kinds.get(name, "float")

    def value(self, name: str, node: Node) -> Value | None:
        """The tensor `name`; stored ones are converted when read, and freed after their last read."""
        found = self.values.get(name)
        if found is None and name in self.broken:
            return None
        if found is None:
            tensor = self.wiring.stored[name]
            found = to_array(tensor)
            self.pending[name] -= 1
            if not self.pending[name] and self.build.choices is None:  # with choices there is a second run
                tensor.ClearField("raw_data")
        if isinstance(found, np.ndarray) and found.dtype.kind == "f" and node.op not in UNBOUNDED:
            self._check_finite(name, found)
        return found

    def _check_finite(self, name: str, value: Array) -> None:
        if name not in self.finite:
            if not np.isfinite(value).all():
                what = "NaN" if np.isnan(value).any() else "infinite"
                fix = "train or export the model again; a verifier needs finite weights"
                raise ModelError("E107", f"{self.source.name}: tensor {name!r} holds {what} values", fix=fix)
            self.finite.add(name)

    def output_ids(self, name: str) -> Ints:
        """The ids of an output tensor."""
        node = Node(name, "output", self.source.opset, {}, 1)
        value = self.value(name, node)
        if value is None or 0 in value.shape:
            raise malformed(node, "the output has no elements")
        try:
            return self.build.ids(value)
        except UnsupportedError as problem:
            raise malformed(node, problem.reason) from None


def _attributes(proto: onnx.NodeProto) -> Mapping[str, Any]:
    return {a.name: onnx.helper.get_attribute_value(a) for a in proto.attribute}


def _has_graph(proto: onnx.NodeProto) -> bool:
    return any(a.HasField("g") or a.graphs for a in proto.attribute)
