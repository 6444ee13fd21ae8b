"""`verify supports`: what the VNN-LIB standard's callers ask a solver."""

from __future__ import annotations

import functools
from argparse import Namespace
from collections.abc import Callable

from verify.cli.options import Command, Option
from verify.errors import UsageError

# capability: (what it asks, the answer; None: asked of the importer)
CAPABILITIES: dict[str, tuple[str, tuple[str, ...] | None]] = {
    "vnnlib-versions": ("least and greatest version of VNN-LIB", ("1.0", "2.1")),
    "onnx-opset-versions": ("least and greatest ONNX operator set", None),
    "onnx-element-types": ("element types decided in their own arithmetic", ("real",)),
    "onnx-operators": ("operators that are supported wherever they occur", None),
    "onnx-operators-unsat-proofs": ("operators within proofs in the standard's format", ()),
    "hidden-node-theories": ("hidden nodes", ("NH", "H")),
    "multiple-input-output-theories": ("several inputs and outputs", ("SIO", "MIO")),
    "multiple-network-theories": ("several networks", ("SNET", "MENET", "MINET", "MNET")),
    "multiple-node-comparison-theories": ("comparisons between nodes", ("SNC", "MNC")),
    "arithmetic-complexity-theories": ("arithmetic in conditions", ("BND", "OUTC", "LIN")),
    "optimised-disjunctive-reasoning": ("whether `or` is more than a disjunctive normal form", ("false",)),
    "serialise-assignments": ("whether assignments can be written as tensors", ("true",)),
    "unsat-proofs": ("whether proofs are written in the standard's format", ("false",)),
    # as earlier drafts spell them
    "multiple-input-outputs": ("several inputs and outputs", ("true",)),
    "hidden-nodes": ("hidden nodes", ("true",)),
    "multiple-networks": ("several networks", ("true",)),
    "multiple-node-comparisons": ("comparisons between nodes", ("true",)),
    "arithmetic-complexity": ("arithmetic in conditions", ("BND", "OUTC", "LIN")),
}


def prepare(values: Namespace) -> Callable[[], int]:
    """Check the call.  Raises UsageError."""
    asked = [name for name in CAPABILITIES if getattr(values, name)]
    if len(asked) != 1:
        problem = "no capability is asked for" if not asked else f"{len(asked)} capabilities are asked for"
        raise UsageError("E019", problem, fix="ask for one, such as `verify supports --onnx-operators`")
    return functools.partial(_execute, asked[0])


def _execute(capability: str) -> int:
    from verify.cli.output import emit_text

    lines = CAPABILITIES[capability][1]
    if lines is None:
        lines = _opsets() if capability == "onnx-opset-versions" else _operators()
    emit_text("".join(f"{line}\n" for line in lines))
    return 0


def _opsets() -> tuple[str, ...]:
    from verify.importer.read import opset_range

    return tuple(map(str, opset_range()))


def _operators() -> tuple[str, ...]:
    from verify.importer.operators import declared_operators

    return declared_operators()


COMMAND = Command(
    name="supports",
    argument="",
    argument_help="",
    summary="what a VNN-LIB solver is asked about itself",
    description="Answer one of the VNN-LIB standard's questions to a solver, a line per item.",
    epilog="Mul and Div are supported by constants alone, and so are not listed.",
    options=tuple(Option((f"--{name}",), "", text, kind=bool) for name, (text, _) in CAPABILITIES.items()),
    prepare=prepare,
)
