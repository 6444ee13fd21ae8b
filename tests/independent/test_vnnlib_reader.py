"""The independent reader of VNN-LIB files: the same query as the other reader, or a refusal."""

from __future__ import annotations

import csv
import gzip
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.strategies import decimal_literals, vnnlib_conditions, vnnlib_terms
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import And, Or, Row, holds
from verify.errors import VnnlibError
from verify.independent.refusal import RefusedError
from verify.independent.vnnlib_reader import read_query
from verify.spec.vnnlib import read

SHARED = Path(__file__).parents[2].parent / "shared" / "bench" / "dev"
NAMES = ["X_0", "X_1", "Y_0", "Y_1"]
HEADER = "".join(f"(declare-const {n} Real)\n" for n in NAMES)
BOTH = Network((Port("x", (1, 2), 0),), (Port("x", (1, 2), 0),), ())


def plain_conditions() -> SearchStrategy[str]:
    relation, term = st.sampled_from(["<=", ">=", "<", ">", "="]), vnnlib_terms(NAMES)
    simple = st.builds("({} {} {})".format, relation, st.sampled_from(NAMES), decimal_literals)
    return st.recursive(
        simple | st.builds("({} {} {})".format, relation, term, term),
        lambda c: st.builds("({} {})".format, st.sampled_from(["and", "or"]), st.lists(c, min_size=1).map(" ".join)),
        max_leaves=6,
    )


def same_or_refused(text: str, network: Network = BOTH) -> bool:
    try:
        mine = read_query(text, network)
    except RefusedError:
        return False
    theirs = read(text, "p.vnnlib", network).query
    assert mine.digest == theirs.digest
    assert mine == theirs
    return True


@given(st.lists(plain_conditions(), min_size=1, max_size=3))
def test_reads_what_the_other_reader_reads(conditions: list[str]) -> None:
    text = HEADER + "".join(f"(assert {c}) ; a remark (\n" for c in conditions)
    assert same_or_refused(text) or "(* " in text or "(/ " in text


@given(vnnlib_conditions(NAMES))
def test_beyond_plain_it_is_the_same_or_refused(condition: str) -> None:
    same_or_refused(f"{HEADER}(assert {condition})")


TEXT = HEADER + "(assert (<= X_0 0.1))\n(assert (or (and (>= Y_0 -1e-2) (<= (+ X_1 (* 2 Y_1)) 3.5)) (< Y_1 Y_0)))\n"


@settings(max_examples=300)
@given(st.integers(0, len(TEXT)), st.integers(0, 6), st.text('()XY_019.-+e<=>* /;\n\x00é|"Raorndst', max_size=6))
def test_damaged_files_are_the_same_or_refused(position: int, cut: int, noise: str) -> None:
    text = TEXT[:position] + noise + TEXT[position + cut :]
    try:
        mine = read_query(text, BOTH)
    except RefusedError:
        return
    try:
        theirs = read(text, "p.vnnlib", BOTH).query
    except VnnlibError:
        raise AssertionError(f"the other reader refuses {text!r}") from None
    assert mine.digest == theirs.digest


def test_decimals_are_exact_and_strict_stays_strict() -> None:
    query = read_query(TEXT, BOTH)
    assert query.assumption == Row.of({0: 1}, {}, Fraction(1, 10))
    assert query.violation == Or(
        (
            And((Row.of({}, {0: -1}, Fraction(1, 100)), Row.of({1: 1}, {1: 2}, Fraction(7, 2)))),
            Row.of({}, {0: -1, 1: 1}, 0, strict=True),
        )
    )
    assert not holds(query.violation, (Fraction(0),) * 2, (Fraction(-1), Fraction(-1)))


def long_sum(count: int) -> str:
    return f"(<= (+ {' '.join(['X_0'] * count)}) 1)"


REFUSED = {
    "nothing": ("", "declared"),
    "no assert": (HEADER, "no assert"),
    "undeclared": ("(declare-const X_0 Real)(assert (<= X_0 1))", "declared"),
    "too many": (HEADER + "(declare-const X_2 Real)(assert (<= X_0 1))", "3 variables"),
    "twice": (HEADER + "(declare-const X_0 Real)(assert (<= X_0 1))", "declared twice"),
    "before": ("(assert (<= X_0 1))" + HEADER, "before it is declared"),
    "another sort": ("(declare-const X_0 Int)", "command 'declare-const'"),
    "another name": ("(declare-const Z_0 Real)", "no X_i or Y_i"),
    "leading zero": ("(declare-const X_00 Real)", "no X_i or Y_i"),
    "function": ("(declare-fun X_0 (Real) Real)", "command 'declare-fun'"),
    "unknown command": (HEADER + "(define-fun f () Real 1)", "command 'define-fun'"),
    "version 2": ("(vnnlib-version <2.0>)", "command 'vnnlib-version'"),
    "stray text": (HEADER + "X_0", "command 'X_0'"),
    "empty command": ("()", "command ()"),
    "negation": (HEADER + "(assert (not (<= X_0 1)))", "condition 'not'"),
    "constant": (HEADER + "(assert true)", "condition 'true'"),
    "empty and": (HEADER + "(assert (and))", "condition 'and'"),
    "three terms": (HEADER + "(assert (<= X_0 X_1 1))", "condition '<='"),
    "two conditions": (HEADER + "(assert (<= X_0 1) (<= X_1 1))", "command 'assert'"),
    "product": (HEADER + "(assert (<= (* X_0 X_1) 1))", "product of variables"),
    "quotient": (HEADER + "(assert (<= (/ 1 X_1) 1))", "division by one"),
    "zero": (HEADER + "(assert (<= (/ X_0 0) 1))", "division by zero"),
    "no terms": (HEADER + "(assert (<= (+) 1))", "without its terms"),
    "malformed number": (HEADER + "(assert (<= X_0 1.2.3))", "no number"),
    "no digits": (HEADER + "(assert (<= X_0 -.))", "no number"),
    "other digits": (HEADER + "(assert (<= X_0 ١))", "no number"),
    "infinity": (HEADER + "(assert (<= X_0 inf))", "no number"),
    "long number": (HEADER + f"(assert (<= X_0 {'9' * 1001}))", "no number"),
    "exponent": (HEADER + "(assert (<= X_0 1e401))", "beyond 400"),
    "huge exponent": (HEADER + "(assert (<= X_0 1e999999999))", "no number"),
    "product bomb": (HEADER + f"(assert (<= (* X_0 {'1e400 ' * 400}) 1))", "20000 bits"),
    "nesting bomb": (HEADER + "(assert " + "(and " * 100_000, "nested more than"),
    "open": (HEADER + "(assert (<= X_0 1)", "never closed"),
    "closed twice": (HEADER + "(assert (<= X_0 1)))", "never opened"),
    "quotation": (HEADER + '(set-info "x")', "quoted text"),
    "size": (" " * ((8 << 20) + 1), "too large"),
    "lists": ("()" * (2 << 20), "too large"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    text, reason = REFUSED[case]
    with pytest.raises(RefusedError) as caught:
        read_query(text, BOTH)
    assert reason in str(caught.value)


def test_long_sums_take_linear_time() -> None:
    assert same_or_refused(f"{HEADER}(assert {long_sum(20_000)})")


def samples() -> list[tuple[str, int, int]]:
    """Two different files of every family with their network's sizes."""
    table = SHARED / "instances.csv"
    if not table.exists():
        return []
    families: dict[str, dict[str, tuple[str, int, int]]] = {}
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            item = row["vnnlib"], int(row["n_inputs"]), int(row["n_outputs"])
            families.setdefault(row["family"], {})[row["vnnlib"]] = item
    return [item for files in families.values() for item in sorted(files.values())[:: max(1, len(files) - 1)]]


@pytest.mark.parametrize(("file", "inputs", "outputs"), samples())
def test_public_properties(file: str, inputs: int, outputs: int) -> None:
    data = (SHARED / file).read_bytes()
    text = (gzip.decompress(data) if file.endswith(".gz") else data).decode()
    nothing = Matrix.sparse(outputs, inputs, [0] * (outputs + 1), [], Numbers.zeros(0))
    block = Block((Term(0, nothing),), Numbers.zeros(outputs), bytes(outputs))
    network = Network((Port("x", (1, inputs), 0),), (Port("y", (outputs,), 1),), (block,))
    assert same_or_refused(text, network)
