"""Plain feed-forward ONNX files as exact networks, without onnx, protobuf or NumPy."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from itertools import chain, pairwise

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.independent.canonical import canonical, live_rows
from verify.independent.moves import Tensor, Value
from verify.independent.onnx_file import ELEMENT_TYPES, Graph, PlainNode, Signature, read_graph
from verify.independent.operators import lower
from verify.independent.refusal import Allowance, RefusedError
from verify.independent.rows import ROW, Builder, Rows

MOST_ENTRIES = 1 << 24  # of all rows and tensors together


def read_network(data: bytes) -> Network:
    """The network of the (un-gzipped) bytes of a plain ONNX file.

    Guarantee: the exact rational function of the stored floats, in the importer's canonical form; the digests are
    equal.  A leading dynamic axis is 1.  Raises: RefusedError, for everything that is not plain.
    """
    graph = read_graph(data)
    ports = _input_ports(graph.inputs)
    allowance = Allowance("elements", MOST_ENTRIES)
    allowance.spend(ROW * sum(p.size for p in ports))
    build = Builder(sum(p.size for p in ports), allowance)
    values: dict[str, Value] = dict(graph.stored)
    first = 0
    for port in ports:
        values[port.name] = Tensor(port.shape, range(first, first + port.size))
        first += port.size
    for node in _needed(graph, set(values)):
        values[node.outputs[0]] = lower(node, [values[name] for name in node.inputs], build)
    ends = []
    for signature in graph.outputs:
        value = values.get(signature.name)
        if not isinstance(value, Tensor) or signature.element_type not in ELEMENT_TYPES.values():
            raise RefusedError(f"output {signature.name!r} is no float tensor that depends on the inputs")
        ends.append((signature, value))
    return _assembled(ports, ends, build)


def _input_ports(signatures: Sequence[Signature]) -> tuple[Port, ...]:
    ports = []
    for number, signature in enumerate(signatures):
        if signature.shape is None:
            raise RefusedError(f"input {signature.name!r} has no shape, or is {signature.element_type}")
        shape = tuple(extent or (1 if axis == 0 else 0) for axis, extent in enumerate(signature.shape))
        if 0 in shape:
            raise RefusedError(f"input {signature.name!r} has a dynamic axis that is not the first")
        ports.append(Port(signature.name, shape, number, signature.element_type))
    if not ports:
        raise RefusedError("the model has no inputs")
    return tuple(ports)


def _needed(graph: Graph, known: set[str]) -> list[PlainNode]:
    """The nodes that the outputs depend on, in the file's order, which must be topological."""
    if len(known) < len(graph.stored) + len(graph.inputs):
        raise RefusedError("two inputs have one name")
    names = set(known)
    for node in graph.nodes:
        for name in node.outputs:
            if name in names and name:
                raise RefusedError(f"two tensors are named {name!r}")
            names.add(name)
    made = {name: node for node in graph.nodes for name in node.outputs if name}
    outputs = [s.name for s in graph.outputs]
    if not outputs or len(set(outputs)) < len(outputs):
        raise RefusedError("the model has no outputs, or one twice")
    needed: set[str] = set()
    stack = list(outputs)
    while stack:
        name = stack.pop()
        if name in known or name in needed:
            continue
        if name not in made or name != made[name].outputs[0]:
            raise RefusedError(f"tensor {name!r} is made by nothing, or is more than a first output")
        needed.add(name)
        stack.extend(made[name].inputs)
    order = [node for node in graph.nodes if node.outputs and node.outputs[0] in needed]
    ready = set(known)
    for node in order:
        if not ready.issuperset(node.inputs):
            raise RefusedError(f"node {node.name!r} stands before one that it reads")
        ready.add(node.outputs[0])
    return order


def _assembled(ports: tuple[Port, ...], ends: Sequence[tuple[Signature, Tensor]], build: Builder) -> Network:
    """The canonical network; an output shares the value whose elements it is, in order, or has a block of its own."""
    size = build.input_size
    finals = [build.emit((((i,), (1.0,)) for i in value.ids), [0.0] * len(value.ids)) for _, value in ends]
    blocks, new_id = live_rows(canonical(build.blocks, size), size, chain.from_iterable(finals))
    sizes = [p.size for p in ports] + [len(b) for b in blocks]
    starts = [0]
    for width in sizes:
        starts.append(starts[-1] + width)
    value_at = {start: value for value, start in enumerate(starts[:-1])}
    own = [value_at[new_id[ids[0]]] for ids in finals]
    shared = {value: _copied(blocks[value - len(ports)], starts) for value in own}
    place: dict[int, int] = {}
    for value in range(len(sizes)):
        if shared.get(value) is None:
            place[value] = len(place)
    outputs = []
    for (signature, tensor), value in zip(ends, own, strict=True):
        copied = shared[value]
        target = place[value if copied is None else copied]
        outputs.append(Port(signature.name, tensor.shape, target, signature.element_type))
    lowered = [_block(block, starts, place) for k, block in enumerate(blocks) if len(ports) + k in place]
    return Network(ports, tuple(outputs), tuple(lowered))


def _copied(block: Rows, starts: Sequence[int]) -> int | None:
    """The value that a block of an output copies whole and in order, or None."""
    if any(block.relu) or any(block.bias) or any(len(c) != 1 for c in block.columns):
        return None
    if any(v[0] != 1.0 for v in block.values):
        return None
    read = [c[0] for c in block.columns]
    for value, (begin, end) in enumerate(pairwise(starts)):
        if begin == read[0]:
            return value if read == list(range(begin, end)) else None
    return None


def _block(block: Rows, starts: Sequence[int], place: Mapping[int, int]) -> Block:
    reached = {column for columns in {id(c): c for c in block.columns}.values() for column in columns}
    sources = [v for v in range(len(starts) - 1) if any(c in reached for c in range(starts[v], starts[v + 1]))]
    terms = [Term(place[v], _matrix(block, starts[v], starts[v + 1], whole=len(sources) == 1)) for v in sources]
    return Block(tuple(terms), Numbers.of_floats(block.bias), bytes(block.relu))


def _matrix(block: Rows, begin: int, end: int, *, whole: bool) -> Matrix:
    """The block's coefficients of elements begin … end - 1; `whole` when it reads no others."""
    width, values = end - begin, array("d")
    if whole and all(len(c) == width for c in block.columns):
        for row in block.values:
            values.extend(row)
        return Matrix.dense(len(block), width, Numbers.of_floats(values))
    offsets, indices = array("q", [0]), array("q")
    for columns, row in zip(block.columns, block.values, strict=True):
        if whole:
            indices.extend(c - begin for c in columns)
            values.extend(row)
        else:
            mine = [(c - begin, v) for c, v in zip(columns, row, strict=True) if begin <= c < end]
            indices.extend(c for c, _ in mine)
            values.extend(v for _, v in mine)
        offsets.append(len(indices))
    return Matrix.sparse(len(block), width, offsets, indices, Numbers.of_floats(values))
