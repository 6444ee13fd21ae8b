"""A witness in words: where it is, what comes out, and whether ONNX Runtime agrees."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from verify.core.query import Field, Query
from verify.core.verdict import Replay, Witness
from verify.report.document import physical_replay
from verify.report.numbers import equation, float_text, quantity, shown
from verify.report.replay_command import Invocation, replay_command
from verify.report.terminal import WIDTH, Line, line, wrap

WIDE = 16  # more variables than this are not listed in full
FEW = 6
INDENT = "  "


def witness_lines(witness: Witness, query: Query, *, invocation: Invocation) -> list[Line]:
    """The witness below its verdict, in physical units."""
    lines = _inputs(witness, query)
    lines += _fields(query.outputs, witness.outputs, "outputs")
    lines += _replay(witness.replay, query)
    lines += _margin(witness, query)
    if len(query.inputs) <= WIDE:
        lines.append(line(INDENT, ("replay: ", "dim"), replay_command(witness, query, invocation)))
    else:
        command = invocation.command("run", "--format", "json")
        lines.append(line(INDENT, ("full point: ", "dim"), f"{command}   (witness.inputs)"))
    return lines


def _inputs(witness: Witness, query: Query) -> list[Line]:
    rows = _fields(query.inputs, witness.x, "inputs")
    pairs = list(zip(query.inputs, witness.x, strict=True))[:WIDE]
    is_exact = all(shown(field.physical(raw))[1] for field, raw in pairs)
    note = "(exact)" if is_exact else "(≈ rounded here, exact below)"
    last = rows[-1].text
    if len(query.inputs) > WIDE:
        return rows
    if len(last) + 3 + len(note) <= WIDTH:
        return [*rows[:-1], line(last + "   ", (note, "dim"))]
    return [*rows, line(INDENT, (note, "dim"))]


def _fields(fields: Sequence[Field], raw: Sequence[Fraction], what: str) -> list[Line]:
    """`name = value unit` cells, the first few only when there are many."""
    count = len(fields) if len(fields) <= WIDE else FEW
    cells = [
        equation(field.name, field.physical(value), field.unit)
        for field, value in zip(fields[:count], raw[:count], strict=True)
    ]
    if count < len(fields):
        cells.append(f"… ({len(fields)} {what} in all)")
    return [line(row) for row in wrap(cells, indent=INDENT)]


def _replay(replay: Replay | None, query: Query) -> list[Line]:
    if replay is None:
        return [line(f"{INDENT}not replayed in ONNX Runtime")]
    runtime = runtime_name(replay.runtime)
    lines = []
    if replay.outputs:
        values = physical_replay(replay, query)
        count = len(values) if len(values) <= WIDE else FEW
        texts = ["not finite" if v is None else float_text(v) for v in values[:count]]
        cells = [f"{text}," for text in texts[:-1]] + texts[-1:]
        cells[-1] += ", … –" if count < len(values) else " –"
        label = f"{INDENT}{runtime}: "
        judgement = "agrees" if replay.agrees else "does not agree"
        rows = wrap(cells, indent=label, gap=" ", hanging=" " * len(label))
        lines += [line(row) for row in rows[:-1]]
        lines.append(line(rows[-1] + " ", (judgement, "green" if replay.agrees else "yellow")))
    else:
        lines.append(line(f"{INDENT}{runtime} gave no answer"))
    lines += [line(f"{INDENT}{text}") for text in _explain(replay, query)]
    if replay.note:
        lines.append(line(INDENT, ("note: ", "dim"), replay.note))
    return lines


def _explain(replay: Replay, query: Query) -> list[str]:
    float32 = all(port.element_type == "float32" for port in query.network.inputs)
    element_type = "float32" if float32 else "the model's float type"
    texts = []
    if not replay.agrees and replay.outputs:
        subject = "satisfied" if query.quantifier == "exists" else "violated"
        texts.append(f"{subject} over the real numbers, but not reproduced in the model's own float arithmetic")
    if replay.left_region:
        texts.append(f"rounded to {element_type}, the point fed to ONNX Runtime lies just outside the assumed region")
    return texts


def _margin(witness: Witness, query: Query) -> list[Line]:
    if witness.margin is None:
        return []
    exists = query.quantifier == "exists"
    if witness.margin == 0:
        text = "holds as an exact tie (margin 0)" if exists else "fails by an exact tie (margin 0)"
    else:
        text = f"{'holds' if exists else 'fails'} by {quantity(witness.margin)}"
    return [line(INDENT + text)]


def runtime_name(runtime: str) -> str:
    return runtime.replace("onnxruntime", "ONNX Runtime", 1) if runtime else "ONNX Runtime"
