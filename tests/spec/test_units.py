"""Units form an Abelian group, and stored parse tables are those of the grammar."""

from __future__ import annotations

import subprocess
import sys
from importlib import resources

from hypothesis import given
from hypothesis import strategies as st

from verify.spec import tables
from verify.spec.units import DIMENSIONLESS, Unit

units = st.dictionaries(st.sampled_from(["ms", "kg", "rad"]), st.integers(-3, 3).filter(bool), max_size=3).map(
    lambda powers: Unit(tuple(sorted(powers.items())))
)


@given(units, units, units)
def test_group_laws(a: Unit, b: Unit, c: Unit) -> None:
    assert (a * b) * c == a * (b * c)
    assert a * b == b * a
    assert a * DIMENSIONLESS == a
    assert a / a == DIMENSIONLESS
    assert (a / b) * b == a


@given(units, st.integers(-4, 4), st.integers(-4, 4))
def test_powers(a: Unit, p: int, q: int) -> None:
    assert a**p * a**q == a ** (p + q)
    assert (a**p) ** q == a ** (p * q)


def test_printed_form() -> None:
    m, s, kg = map(Unit.base, ("m", "s", "kg"))
    assert [str(u) for u in (m, m / s**2, m * kg / s, DIMENSIONLESS / s, DIMENSIONLESS)] == [
        "m", "m/s^2", "kg*m/s", "1/s", "1",
    ]  # fmt: skip


def test_stored_tables_fit_the_grammar() -> None:
    from verify.spec import grammar_tables

    grammar = resources.files("verify.spec").joinpath("grammar.lark").read_text(encoding="utf-8")
    assert grammar_tables.KEY.split()[1] == tables.key(grammar).split()[1], "run python -m verify.spec.tables"


def test_without_fitting_tables_the_parser_is_built() -> None:
    grammar = resources.files("verify.spec").joinpath("grammar.lark").read_text(encoding="utf-8")
    text = "property p { forall x : [0, 1]  assert x <= 1 }"
    assert tables.build(grammar).parse(text) == tables.parser().parse(text)


def test_the_package_alone_does_not_import_lark() -> None:
    code = "import sys, verify.spec; sys.exit('lark' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
