"""One physical point through a spec: what is fed, what comes out, which properties hold there."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction

from verify.core.evaluate import evaluate
from verify.core.property import Property
from verify.core.query import Query, holds, margin, negate
from verify.errors import ModelError, UsageError
from verify.importer.model import Model
from verify.witness import Confirmation, CopyReplay, Trace

_QUANTITY = re.compile(
    r"\s*(?P<sign>[-+]?)(?=\.?[0-9])(?P<whole>[0-9]*)(?:/(?P<below>[0-9]+)|(?:\.(?P<decimals>[0-9]*))?"
    r"(?:[eE](?P<exponent>[-+]?[0-9]+))?)\s*(?:\[?(?P<unit>[A-Za-z][^\]\s]*)\]?)?\s*",
    re.ASCII,
)
_MAX_DIGITS = 20_000  # exact fractions of a witness can be long; more is refused unread
_MAX_EXPONENT_DIGITS = 4  # with the sign
_SAFE_DIGITS = 640  # the least limit that sys.set_int_max_str_digits can set


@dataclass(frozen=True)
class PropertyAt:
    """How one property fares at one point."""

    name: str
    assumption_holds: bool
    assertion_holds: bool  # for `exists`: the asserted condition holds at this point
    margin: Fraction | None  # by how much the assertion holds (negative: fails)


@dataclass(frozen=True)
class CopyAt:
    """One network use at one point: what is fed and what comes out."""

    label: str  # "acas(s)"
    model: str
    raw_input: tuple[Fraction, ...]
    replay_input: tuple[float, ...]
    raw_output: tuple[Fraction, ...]
    replay_output: tuple[float, ...]  # () when ONNX Runtime could not run the model
    outputs: Mapping[str, tuple[Fraction, str | None]]  # field name -> (physical value, unit)


@dataclass(frozen=True)
class Evaluation:
    """One physical point through a spec; properties that quantify over other variables are left out."""

    inputs: Mapping[str, tuple[Fraction, str | None]]  # field name -> (physical value, unit)
    copies: tuple[CopyAt, ...]
    properties: tuple[PropertyAt, ...]
    runtime: str
    states: Mapping[str, tuple[Fraction, str | None]] = field(default_factory=dict)  # of closed loops, after each step


def evaluate_at(
    properties: Sequence[Property], models: Mapping[str, Model], at: Mapping[str, Fraction | int | float | str]
) -> Evaluation:
    """Evaluate every property whose variables `at` gives (by "rho" or "s.rho"), exactly and in ONNX Runtime.

    Raises UsageError for a field that is missing everywhere, unknown, or not a number in the field's unit.
    """
    _reject_unknown(properties, at)
    inputs: dict[str, tuple[Fraction, str | None]] = {}
    copies: dict[tuple[str, tuple[Fraction, ...]], CopyAt] = {}
    states: dict[str, tuple[Fraction, str | None]] = {}
    rows, missing, runtime = [], "", ""
    for prop in properties:
        query = prop.query
        given = [_lookup(f.name, at) for f in query.inputs]
        if None in given:
            missing = missing or query.inputs[given.index(None)].name
            continue
        physical = [_number(f.name, v, f.unit) for f, v in zip(query.inputs, given, strict=True) if v is not None]
        x = tuple(f.raw(v) for f, v in zip(query.inputs, physical, strict=True))
        y = evaluate(query.network, x)
        confirmation = Confirmation(query, models)
        inputs.update({f.name: (v, f.unit) for f, v in zip(query.inputs, physical, strict=True)})
        for copy in _copies_at(query, x, y, confirmation):
            copies.setdefault((copy.label, copy.raw_input), copy)
        for step in prop.steps:
            for name, value in zip(step.fields, step.values, strict=True):
                states.setdefault(name.name, (value((*x, *y)), name.unit))
        runtime = confirmation.runtime or runtime
        rows.append(_property_at(prop, x, y))
    if not rows:
        raise UsageError("E006", f"no value for {missing!r}", fix=f"add --at {missing}=VALUE")
    return Evaluation(inputs, tuple(copies.values()), tuple(rows), runtime, states)


def _property_at(prop: Property, x: Sequence[Fraction], y: Sequence[Fraction]) -> PropertyAt:
    query = prop.query
    asserted = negate(query.violation) if query.quantifier == "forall" else query.violation
    return PropertyAt(prop.name, holds(query.assumption, x, y), holds(asserted, x, y), margin(asserted, x, y))


def _copies_at(
    query: Query, x: tuple[Fraction, ...], y: Sequence[Fraction], confirmation: Confirmation
) -> list[CopyAt]:
    result = []
    trace = Trace(query, x)
    for position, copy in enumerate(query.copies):
        end = query.copies[position + 1].first_output if position + 1 < len(query.copies) else len(y)
        raw, fields = y[copy.first_output : end], query.outputs[copy.first_output : end]
        try:
            replay = confirmation.replay_copy(copy, trace.feed(copy))
        except ModelError:
            replay = CopyReplay((), ())
        trace.add(copy, replay, len(raw))
        result.append(
            CopyAt(
                copy.label,
                copy.model,
                tuple(affine((*x, *y)) for affine in copy.raw_inputs),
                replay.inputs,
                tuple(raw),
                replay.outputs,
                {f.name: (f.physical(v), f.unit) for f, v in zip(fields, raw, strict=True)},
            )
        )
    return result


def _lookup(name: str, at: Mapping[str, Fraction | int | float | str]) -> Fraction | int | float | str | None:
    if name in at:
        return at[name]
    return at.get(name.partition(".")[2] or name)


def _reject_unknown(properties: Sequence[Property], at: Mapping[str, object]) -> None:
    names = {n for p in properties for f in p.query.inputs for n in (f.name, f.name.partition(".")[2] or f.name)}
    for name in at:
        if name not in names:
            near = difflib.get_close_matches(name, sorted(names), 1)
            fix = f"did you mean {near[0]!r}?" if near else f"the inputs are: {', '.join(sorted(names)[:12])}"
            raise UsageError("E007", f"no input is named {name!r}", fix=fix)


def _number(name: str, value: Fraction | int | float | str, unit: str | None) -> Fraction:
    """An exact quantity; text may carry the field's unit, a float means its shortest decimal."""
    if isinstance(value, (Fraction, int)):
        return Fraction(value)
    match = _QUANTITY.fullmatch(str(value)) if len(str(value)) <= _MAX_DIGITS else None
    if match is None or len(match["exponent"] or "") > _MAX_EXPONENT_DIGITS:
        raise UsageError("E008", f"{_shortened(value)} is not a number for {name}", fix="write it as 0.25, 1e-3 or 1/4")
    if match["unit"] and match["unit"] != unit:
        raise UsageError("E008", f"{name} is in {unit or 'no unit'}, not {match['unit']}", fix=f"give {name} in {unit}")
    decimals, below = match["decimals"] or "", match["below"]
    number = Fraction(_integer(match["whole"] + decimals), 10 ** len(decimals))
    if below:
        if not _integer(below):
            raise UsageError("E008", f"{_shortened(value)} divides by zero", fix="write it as 0.25, 1e-3 or 1/4")
        number /= _integer(below)
    if match["exponent"]:
        number *= Fraction(10) ** int(match["exponent"])
    return -number if match["sign"] == "-" else number


def _integer(digits: str) -> int:
    """int(digits), whatever Python's limit on the length of numbers is (4300 digits by default)."""
    if len(digits) <= _SAFE_DIGITS:
        return int(digits or "0")
    cut = len(digits) // 2
    power: int = 10 ** (len(digits) - cut)
    return _integer(digits[:cut]) * power + _integer(digits[cut:])


def _shortened(value: float | str) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:40]}… ({len(text)} characters)"
