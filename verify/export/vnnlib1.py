"""VNN-LIB 1 text of one property: its unsafe set over X_0, X_1, … and Y_0, Y_1, …"""

from __future__ import annotations

from fractions import Fraction

from verify.core.property import Property
from verify.core.query import Affine, conjunction
from verify.export.conditions import Writer, cannot, described, heading


def write_vnnlib1(prop: Property, *, exact: bool = False) -> tuple[str, tuple[str, ...]]:
    """The text, and notes on what is not exact.

    Most tools of this version take plain bounds of inputs only, so that bounds that are no finite decimals are rounded
    outwards: unsatisfiable text still means that nothing satisfies the query, satisfiable text means it for a slightly
    larger region.  `exact` writes them as scaled rows instead.
    Raises: QueryError E410 for a query over anything but one network's raw inputs.
    """
    query = prop.query
    identity = tuple(Affine(((i, Fraction(1)),)) for i in range(len(query.inputs)))
    if len(query.copies) != 1 or query.copies[0].raw_inputs != identity:
        raise cannot("VNN-LIB 1 is about one network and its raw inputs", "export it with --to vnnlib2 or smtlib2")
    writer = Writer(lambda i: f"X_{i}", lambda i: f"Y_{i}", plain=not exact)
    asserts = writer.asserts(conjunction([query.assumption, query.violation]), len(query.inputs))
    names = [f"X_{i}" for i in range(len(query.inputs))] + [f"Y_{i}" for i in range(len(query.outputs))]
    notes: tuple[str, ...] = ()
    if writer.rounded:
        many = f"{writer.rounded} bound{'s' * (writer.rounded != 1)}"
        notes = (
            f"{many} of inputs rounded outwards: no finite decimal is exact, and most tools take plain bounds only",
        )
    fields = [described(n, f) for n, f in zip(names, (*query.inputs, *query.outputs), strict=True) if n != f.name]
    lines = [heading(prop), *(f"; note: {n}" for n in notes), *fields]
    lines += [f"(declare-const {name} Real)" for name in names] + asserts
    return "\n".join(lines) + "\n", notes
