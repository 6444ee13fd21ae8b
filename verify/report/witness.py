"""A witness in words: where it is, what comes out, and whether ONNX Runtime agrees."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from fractions import Fraction

from verify.core.property import Step
from verify.core.query import Field, Query
from verify.core.verdict import Replay, Witness
from verify.report.document import physical_replay
from verify.report.numbers import equation, float_text, quantity, shown
from verify.report.replay_command import Invocation, replay_command
from verify.report.terminal import WIDTH, Line, line, wrap

WIDE = 16  # more variables than this are not listed in full
FEW = 6
MOST_STEPS = 2 * FEW  # more steps of a closed loop are not listed in full
MOST_INPUTS = 64  # of a closed loop that a command to replay it names
INDENT = "  "


def witness_lines(witness: Witness, query: Query, steps: Sequence[Step] = (), *, invocation: Invocation) -> list[Line]:
    """The witness below its verdict, in physical units; the steps of a closed loop one by one."""
    told_outputs = {k for step in steps for k in step.outputs}
    lines = _inputs(witness, query, {k for step in steps for k in step.inputs})
    kept = [k for k in range(len(query.outputs)) if k not in told_outputs]
    if kept or not steps:
        lines += _fields([query.outputs[k] for k in kept], [witness.outputs[k] for k in kept], "outputs")
    lines += step_lines(steps, query, witness)
    lines += _replay(witness.replay, query, told=bool(steps) and not kept)
    lines += _margin(witness, query)
    if len(steps) == 1 and query.quantifier == "forall":
        text = "any state within the assumptions may be the start: this one need not be reachable from others"
        lines.append(line(INDENT, ("note: ", "dim"), text))
    if len(query.inputs) <= (WIDE if not steps else MOST_INPUTS):
        lines.append(line(INDENT, ("replay: ", "dim"), replay_command(witness, query, invocation)))
    else:
        command = invocation.command("run", "--format", "json")
        lines.append(line(INDENT, ("full point: ", "dim"), f"{command}   (witness.inputs)"))
    return lines


def step_lines(steps: Sequence[Step], query: Query, witness: Witness) -> list[Line]:
    """Each step's disturbances, networks' outputs (exact, then ONNX Runtime's) and the state after it."""
    x, y, replay = witness.x, witness.outputs, physical_replay(witness.replay, query)
    shown = range(len(steps)) if len(steps) <= MOST_STEPS else [*range(FEW), *range(len(steps) - FEW, len(steps))]
    auxiliary = {copy.first_output for copy in query.copies if copy.is_maximum}
    lines: list[Line] = []
    for before, number in zip([-1, *shown], shown, strict=False):
        if number != before + 1:
            lines.append(line(f"{INDENT}… ({len(steps)} steps in all)"))
        step = steps[number]
        cells = [equation(f.name, f.physical(x[k]), f.unit) for k, f in ((k, query.inputs[k]) for k in step.inputs)]
        for k in (k for k in step.outputs if k not in auxiliary):
            field, again = query.outputs[k], replay[k]
            rerun = "" if again is None else f" (ONNX Runtime {float_text(again)})"
            cells.append(equation(field.name, field.physical(y[k]), field.unit) + rerun)
        cells += [equation(f.name, v((*x, *y)), f.unit) for f, v in zip(step.fields, step.values, strict=True)]
        label = f"{INDENT}step {number + 1}: "
        lines += [line(row) for row in wrap(cells, indent=label, hanging=" " * len(label))]
    return lines


def _inputs(witness: Witness, query: Query, told: Collection[int] = ()) -> list[Line]:
    kept = [k for k in range(len(query.inputs)) if k not in told]
    pairs = [(query.inputs[k], witness.x[k]) for k in kept]
    rows = _fields([f for f, _ in pairs], [v for _, v in pairs], "inputs")
    pairs = pairs[:WIDE]
    is_exact = all(shown(field.physical(raw))[1] for field, raw in pairs)
    note = "(exact)" if is_exact else "(≈ rounded here, exact below)"
    last = rows[-1].text
    if len(kept) > WIDE:
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


def _replay(replay: Replay | None, query: Query, *, told: bool) -> list[Line]:
    """Whether ONNX Runtime agrees; its outputs too, unless they are `told` step by step."""
    if replay is None:
        return [line(f"{INDENT}not replayed in ONNX Runtime")]
    runtime = runtime_name(replay.runtime)
    lines = []
    judgement, colour = ("agrees", "green") if replay.agrees else ("does not agree", "yellow")
    if replay.outputs and told:
        lines.append(line(f"{INDENT}{runtime} ", (judgement, colour)))
    elif replay.outputs:
        values = physical_replay(replay, query)
        count = len(values) if len(values) <= WIDE else FEW
        texts = ["not finite" if v is None else float_text(v) for v in values[:count]]
        cells = [f"{text}," for text in texts[:-1]] + texts[-1:]
        cells[-1] += ", … –" if count < len(values) else " –"
        label = f"{INDENT}{runtime}: "
        rows = wrap(cells, indent=label, gap=" ", hanging=" " * len(label))
        lines += [line(row) for row in rows[:-1]]
        lines.append(line(rows[-1] + " ", (judgement, colour)))
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
