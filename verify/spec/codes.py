"""Every error of a .nnspec file: stable code and one-line meaning.  The reference prints this table."""

from __future__ import annotations

from collections.abc import Iterable

from verify.errors import Mark, Place, SpecError

CODES = {
    "E301": "the text is not a spec: an unexpected word or character",
    "E302": "a bracket is never closed",
    "E303": "a closing bracket without its opener",
    "E304": "nested too deeply",
    "E305": "a number that is too long or too large",
    "E306": "a construct that is not supported yet",
    "E307": "the file states no property",
    "E308": "the property is too large to expand",
    "E309": "the file is too large",
    "E310": "unknown name",
    "E311": "a name is declared twice",
    "E312": "a product of two unknown quantities is not linear",
    "E313": "division by something that is not a constant",
    "E314": "division by zero",
    "E315": "unknown field",
    "E316": "units clash",
    "E317": "a bare number where a unit is needed",
    "E318": "unknown unit",
    "E319": "an expression of the wrong kind",
    "E320": "a property quantifies over nothing",
    "E321": "`forall` and `exists` in one property",
    "E322": "a property asserts nothing",
    "E323": "`assume` after `assert`",
    "E324": "unknown attribute",
    "E325": "an attribute with a wrong value",
    "E330": "index out of range",
    "E331": "wrong number of arguments or indices",
    "E332": "a definition uses itself",
    "E333": "an argument that does not fit",
    "E334": "not an output of the network",
    "E335": "argmax or argmin over outputs with different or negative normalisations",
    "E336": "a decision is compared with `is`, `is strictly` or `may be`",
    "E340": "`raw = …` is not affine in `value`",
    "E341": "`raw = …` does not depend on `value`",
    "E342": "an empty range",
    "E343": "a range on an output",
    "E344": "an input without a bound",
    "E345": "the declared fields do not match the network's tensors",
    "E346": "a network without its model",
    "E347": "a constant is needed",
    "E348": "a network block without inputs or outputs",
    "E350": "unknown param",
    "E351": "a param's value cannot be read",
    "E352": "a param's value is out of its range",
    "E353": "a param without a value",
    "E360": "a dataset's file cannot be read",
    "E361": "a dataset's columns or cells do not fit",
    "E362": "a dataset without labels",
    "E363": "a ball's centre or radius does not fit",
    "E364": "a property is swept over what has no single values",
    "E370": "a system without a state, or a state without its `next`",
    "E371": "`next` of something that is no state",
    "E372": "two `next` of one state",
    "E390": "no such spec file",
    "E391": "the spec file cannot be read",
    "E392": "the spec file is not UTF-8 text",
    "E393": "the spec file cannot be written",
}


class FollowUpError(SpecError):
    """A mistake that only follows from one already reported; it is never shown."""


def error(
    code: str, place: Place, message: str, fix: str = "", *, label: str = "", also: Iterable[Mark] = ()
) -> SpecError:
    """The SpecError to raise; `code` is a key of CODES.  `also`: the other places of a clash."""
    assert code in CODES, code
    return SpecError(code, message, fix=fix, place=place, label=label, also=also)


def follow_up(place: Place, name: str) -> FollowUpError:
    """What to raise where `name` is used whose own declaration is wrong."""
    return FollowUpError("E310", f"`{name}` is not usable", place=place)
