"""argmax, argmin, labels, `same`, and finite `all`/`any`."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from verify.errors import Mark, SpecError
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.names import did_you_mean, one_of
from verify.spec.scope import Scope, wrong_kind
from verify.spec.terms import Condition, all_of, any_of, compare, constant
from verify.spec.units import DIMENSIONLESS
from verify.spec.values import (
    Dataset,
    Decision,
    FieldInfo,
    Label,
    Record,
    Run,
    Scalar,
    Tensor,
    Truth,
    Value,
    describe,
    in_unit,
)

MAX_RANGE = 10_000  # values of one all/any


def elements(value: Record | Tensor, node: s.Expression) -> list[tuple[str, FieldInfo, Scalar]]:
    """(label, field, value) of every element; they must share one unit."""
    if isinstance(value, Tensor):
        found = [
            (str(k), value.field, value.record.scalar(value.field.start + k, value.field))
            for k in range(value.field.size)
        ]
    else:
        layout = value.layout.proper()
        found = [(name, f, value.scalar(k, f)) for k, (name, f) in enumerate(layout.elements())]
    for name, _, scalar in found:
        if scalar.unit != found[0][2].unit:
            raise error(
                "E316",
                node.place,
                f"units clash: `{found[0][0]}` is{in_unit(found[0][2].unit)}, `{name}` is{in_unit(scalar.unit)}",
                "only quantities of the same unit can be compared",
            )
    return found


def decide(word: str, node: s.Expression, scope: Scope) -> Decision:
    """argmax or argmin.  Raises E335 where normalisation would change the network's own decision."""
    value = scope.evaluate(node)
    if not isinstance(value, (Record, Tensor)):
        raise wrong_kind(node, value, f"`{word}` needs the outputs of a network")
    found = elements(value, node)
    record = value.record if isinstance(value, Tensor) else value
    if not record.is_input:
        _check_slopes(word, node, found)
    return Decision(word, value, tuple((name, scalar.term) for name, _, scalar in found))


def _check_slopes(word: str, node: s.Expression, found: list[tuple[str, FieldInfo, Scalar]]) -> None:
    name, first, _ = found[0]
    for other_name, other, _ in found:
        if other.slope < 0:
            problem = f"`{other_name}` has the negative slope {other.slope} in `raw = …`"
        elif _physical(other) != _physical(first):
            problem = f"`{name}` and `{other_name}` are normalised differently"
        else:
            continue
        raise error(
            "E335",
            node.place,
            f"`{word}` would not be the network's own decision: {problem}",
            "write the comparisons out, or give the outputs one normalisation with a positive slope",
            also=[Mark(f.place, "") for f in ([other] if other is first else [first, other])],
        )


def _physical(field: FieldInfo) -> tuple[Fraction, Fraction]:
    """Base-unit value = first * raw + second."""
    return field.scale.factor / field.slope, -field.intercept * field.scale.factor / field.slope


# --- labels ------------------------------------------------------------------------------------------------


def find_label(over: Record | Tensor, node: s.Expression, scope: Scope) -> int:
    """The element that a label or number means.  Raises E330, E331, E334."""
    if isinstance(node, s.Name):
        bound = scope.names.get(node.text)
        if isinstance(bound, Label):
            return _named(over, bound.name, node)
        if bound is None and not (node.text in scope.declared.constants and _position(over, node.text) is None):
            return _named(over, node.text, node)
    if isinstance(node, s.Index) and isinstance(node.base, s.Name) and isinstance(over, Record):
        indices = ",".join(str(scope.integer(i, "an index")) for i in node.indices)
        return _named(over, f"{node.base.text}[{indices}]", node)
    value = scope.evaluate(node)
    if isinstance(value, Label):
        return _named(over, value.name, node)
    if not isinstance(value, Scalar):
        raise wrong_kind(node, value, "an output's name or number is needed")
    number = scope.integer(node, "an output's number")
    size = len(_labels(over))
    if not 0 <= number < size:
        raise error(
            "E330",
            node.place,
            f"index {number} is out of range: {_owner(over)} has {size} elements",
            f"indices run from 0 to {size - 1}",
        )
    return number


def _named(over: Record | Tensor, name: str, node: s.Expression) -> int:
    position = _position(over, name)
    if position is not None:
        return position
    labels = _labels(over)
    field = over.layout.proper().find(name) if isinstance(over, Record) else None
    if field is not None:
        raise error("E331", node.place, f"`{name}` is a tensor of {field.size}", f"name one element: `{name}[0]`")
    fix = did_you_mean(name, labels) or f"there are {one_of(labels)}"
    raise error("E334", node.place, f"`{name}` is not an output of {_owner(over)}", fix)


def _position(over: Record | Tensor, name: str) -> int | None:
    labels = _labels(over)
    return labels.index(name) if name in labels else None


def _labels(over: Record | Tensor) -> list[str]:
    if isinstance(over, Tensor):
        return [str(k) for k in range(over.field.size)]
    return [name for name, _ in over.layout.proper().elements()]


def _owner(over: Record | Tensor) -> str:
    return f"`{over.field.name}`" if isinstance(over, Tensor) else f"`{over.network.name}`"


# --- is, is strictly, may be -------------------------------------------------------------------------------


def decision_is(node: s.DecisionIs, scope: Scope) -> Value:
    left = scope.evaluate(node.left)
    if not isinstance(left, Decision):
        raise error(
            "E319",
            node.left.place,
            f"`{node.mode}` needs argmax(…) or argmin(…) on its left, but `{node.left.text}` is {describe(left)}",
            "numbers are compared with ==, <=, …" if isinstance(left, Scalar) else "",
        )
    right = _other_decision(node.right, scope)
    if right is None:
        return Truth(wins(left, find_label(left.over, node.right, scope), node.mode))
    if [name for name, _ in left.options] != [name for name, _ in right.options]:
        raise error(
            "E333",
            node.place,
            f"the two decisions are between different outputs: {one_of(n for n, _ in left.options)} on the left, "
            f"{one_of(n for n, _ in right.options)} on the right",
            "both networks must name their outputs alike",
        )
    scope.work.steps += len(left.options) ** 2
    both = [all_of([wins(left, k, node.mode), wins(right, k, node.mode)]) for k in range(len(left.options))]
    return Truth(any_of(both))


def _other_decision(node: s.Expression, scope: Scope) -> Decision | None:
    if isinstance(node, s.Call) or (isinstance(node, s.Name) and isinstance(scope.names.get(node.text), Decision)):
        value = scope.evaluate(node)
        return value if isinstance(value, Decision) else None
    return None


def wins(decision: Decision, winner: int, mode: str) -> Condition:
    """Option `winner` is chosen: `is` = the first of the best, `is strictly` = the only best, `may be` = a best."""
    below = "<" if decision.word == "argmax" else ">"
    best = decision.options[winner][1]
    parts = []
    for position, (_, term) in enumerate(decision.options):
        if position != winner:
            strict = mode == "is strictly" or (mode == "is" and position < winner)
            parts.append(compare(term, below if strict else below + "=", best))
    return all_of(parts)


# --- same, all, any ----------------------------------------------------------------------------------------


def same(node: s.Same, scope: Scope) -> Value:
    left, right = scope.evaluate(node.left), scope.evaluate(node.right)
    for operand, value in ((node.left, left), (node.right, right)):
        if not isinstance(value, Record) or not value.is_input:
            raise wrong_kind(operand, value, "`same` compares two quantified inputs")
    assert isinstance(left, Record) and isinstance(right, Record)
    for exception in node.exceptions:
        if left.layout.find(exception.text) is None:
            fix = did_you_mean(exception.text, left.layout.names()) or f"there are {one_of(left.layout.names())}"
            raise error("E315", exception.place, f"`{left.label}` has no field `{exception.text}`", fix)
    excepted = {e.text for e in node.exceptions}
    parts = []
    for field in left.layout.fields:
        other = right.layout.find(field.name)
        if other is None or other.shape != field.shape or other.scale.unit != field.scale.unit:
            raise error(
                "E333",
                node.right.place,
                f"`{right.label}` has no field `{field.name}` like that of `{left.label}`",
                "compare two inputs of one network",
            )
        if field.name not in excepted:
            for k in range(field.size):
                a, b = left.scalar(field.start + k, field), right.scalar(other.start + k, other)
                parts.append(compare(a.term, "==", b.term))
    return Truth(all_of(parts))


def finite(node: s.Finite, scope: Scope) -> Value:
    if node.name.text in scope.names:
        raise error("E311", node.name.place, f"`{node.name.text}` already has a meaning here", "choose another name")
    parts = [scope.bind({node.name.text: value}).truth(node.body) for value in _range(node.range, scope)]
    return Truth(all_of(parts) if node.word == "all" else any_of(parts))


def _range(node: s.Range, scope: Scope) -> Iterator[Value]:
    if isinstance(node, s.Choices):
        yield from choice_values(node, scope)
    elif isinstance(node, s.Steps):
        first, last = scope.integer(node.first, "a range"), scope.integer(node.last, "a range")
        if last - first >= MAX_RANGE:
            raise error("E308", node.place, f"a range of more than {MAX_RANGE} values", "choose a smaller one")
        if last < first:
            raise error("E342", node.place, f"the range {first}..{last} is empty", "write the lower end first")
        for number in range(first, last + 1):
            yield Scalar(constant(number), DIMENSIONLESS)
    else:
        value = scope.evaluate(node)
        if isinstance(value, Dataset):
            yield from value.rows
        elif isinstance(value, Run):
            yield from value.states
        elif isinstance(value, (Record, Tensor)):
            yield from (scalar for _, _, scalar in elements(value, node))
        else:
            raise wrong_kind(
                node, value, "a range is needed", "write {a, b, c}, 0..9, a tensor, outputs, a dataset or a run"
            )


def choice_values(node: s.Choices, scope: Scope) -> Iterator[Value]:
    """The values of {…}; a name that means nothing else is the label of an output."""
    for item in node.items:
        if isinstance(item, s.Name) and scope.lookup(item.text) is None:
            _check_label(item, scope)
            yield Label(item.text)
        else:
            yield scope.evaluate(item)


def _check_label(item: s.Name, scope: Scope) -> None:
    if not any(n.outputs.proper().find(item.text) for n in scope.declared.networks.values()):
        raise _no_label(item, scope)


def _no_label(item: s.Name, scope: Scope) -> SpecError:
    outputs = [name for n in scope.declared.networks.values() for name in n.outputs.proper().names()]
    fix = did_you_mean(item.text, outputs)
    fix = fix or (f"the outputs are {one_of(outputs)}" if outputs else "declare it")
    return error("E334", item.place, f"`{item.text}` is no known name and no output of a network", fix)
