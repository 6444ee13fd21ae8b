"""Matrices, construction checks, and the digest."""

import hashlib
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.strategies import integer_weights, networks, rationals
from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term


def matrix_digest(matrix: Matrix) -> str:
    hasher = hashlib.sha256()
    matrix.digest_into(hasher)
    return hasher.hexdigest()


def from_sparse(rows: int, columns: int, values: list[Fraction]) -> Matrix:
    kept = [k for k, v in enumerate(values) if v]
    starts = [sum(k < row * columns for k in kept) for row in range(rows + 1)]
    return Matrix.sparse(rows, columns, starts, [k % columns for k in kept], Numbers.of(values[k] for k in kept))


@given(st.integers(1, 3), st.integers(1, 4), st.data())
def test_storage_follows_from_content(rows: int, columns: int, data: st.DataObject) -> None:
    entry = st.just(Fraction(0)) | rationals
    values = data.draw(st.lists(entry, min_size=rows * columns, max_size=rows * columns))
    dense, sparse = Matrix.dense(rows, columns, Numbers.of(values)), from_sparse(rows, columns, values)
    by_rows = Matrix.from_rows(columns, [{c: values[r * columns + c] for c in range(columns)} for r in range(rows)])
    assert dense.is_dense == sparse.is_dense == by_rows.is_dense
    assert matrix_digest(dense) == matrix_digest(sparse) == matrix_digest(by_rows)
    for row in range(rows):
        expected = [(c, values[row * columns + c]) for c in range(columns) if values[row * columns + c]]
        assert list(dense.entries(row)) == list(sparse.entries(row)) == list(by_rows.entries(row)) == expected


def test_identity() -> None:
    assert matrix_digest(Matrix.identity(3)) == matrix_digest(
        Matrix.dense(3, 3, Numbers.of([1, 0, 0, 0, 1, 0, 0, 0, 1]))
    )


def test_malformed_matrices() -> None:
    one = Numbers.of([1])
    with pytest.raises(ValueError, match="2x2 matrix from 1 values"):
        Matrix.dense(2, 2, one)
    with pytest.raises(ValueError, match="malformed"):
        Matrix.sparse(2, 2, [0, 1], [0], one)
    with pytest.raises(ValueError, match="malformed"):
        Matrix.sparse(1, 2, [0, 2], [0], one)
    with pytest.raises(ValueError, match="no zeros"):
        Matrix.sparse(1, 9, [0, 1], [0], Numbers.of([0]))


def small() -> Network:
    """x (2) → relu block (2) → y (1), with a skip from x."""
    hidden = Block((Term(0, Matrix.dense(2, 2, Numbers.of([1, -1, 2, 3]))),), Numbers.of([0, 1]), b"\1\1")
    terms = (Term(0, Matrix.dense(1, 2, Numbers.of([1, 1]))), Term(1, Matrix.dense(1, 2, Numbers.of([-1, 1]))))
    output = Block(terms, Numbers.of([Fraction(1, 3)]), b"\0")
    return Network((Port("x", (1, 2), 0),), (Port("y", (1,), 2),), (hidden, output))


def test_sizes() -> None:
    network = small()
    assert (network.input_size, network.output_size, network.relu_count) == (2, 1, 2)
    assert network.value_sizes == (2, 2, 1)
    assert repr(network) == "Network(x[1, 2] -> y[1]; 2 blocks, 2 ReLUs)"


def test_constructor_checks() -> None:
    good = small()
    hidden, output = good.blocks

    def build(inputs: tuple[Port, ...] = good.inputs, outputs: tuple[Port, ...] = good.outputs, *blocks: Block) -> None:
        Network(inputs, outputs, blocks or good.blocks)

    build()
    with pytest.raises(ValueError, match="mask"):
        build(good.inputs, good.outputs, replace(hidden, relu=b"\1"), output)
    with pytest.raises(ValueError, match="not an earlier value"):
        build(good.inputs, good.outputs, replace(hidden, terms=(Term(1, hidden.terms[0].matrix),)), output)
    with pytest.raises(ValueError, match="wrong shape"):
        build(good.inputs, good.outputs, replace(hidden, terms=output.terms), output)
    with pytest.raises(ValueError, match="first values"):
        build((Port("x", (1, 2), 1),))
    with pytest.raises(ValueError, match="does not match"):
        build(good.inputs, (Port("y", (2,), 2),))
    with pytest.raises(ValueError, match="does not match"):
        build(good.inputs, (Port("y", (1,), 3),))


def with_block(network: Network, number: int, **changes: object) -> Network:
    blocks = list(network.blocks)
    blocks[number] = replace(blocks[number], **changes)  # type: ignore[arg-type]
    return replace(network, blocks=tuple(blocks))


def test_digest_ignores_names_shapes_and_notes() -> None:
    network = small()
    renamed = Network((Port("other", (2,), 0, "float64"),), (Port("z", (1, 1), 2),), network.blocks, notes=("a note",))
    assert renamed.digest == network.digest


def test_digest_changes_with_everything_else() -> None:
    network = small()
    hidden = network.blocks[0]
    other_matrix = Matrix.dense(2, 2, Numbers.of([1, -1, 2, Fraction(3) + Fraction(1, 2**40)]))
    variants = [
        network,
        with_block(network, 0, relu=b"\1\0"),
        with_block(network, 0, bias=Numbers.of([0, 2])),
        with_block(network, 0, terms=(Term(0, other_matrix),)),
        with_block(network, 1, bias=Numbers.of([Fraction(1, 3) + Fraction(1, 10**30)])),
        with_block(
            network, 1, terms=(Term(0, network.blocks[1].terms[0].matrix), Term(0, network.blocks[1].terms[1].matrix))
        ),
        with_block(network, 1, terms=network.blocks[1].terms[:1]),
        replace(network, outputs=(Port("y", (2,), 1),)),
        replace(network, outputs=(Port("y", (1,), 2), Port("h", (2,), 1))),
        replace(network, blocks=(hidden,), outputs=(Port("y", (2,), 1),)),
    ]
    assert len({v.digest for v in variants}) == len(variants)


def test_digest_sees_how_inputs_are_split() -> None:
    bias, outputs = Numbers.zeros(1), (Port("y", (1,), 2),)
    block = Block((Term(0, Matrix.dense(1, 1, Numbers.of([1]))),), bias, b"\0")
    first = Network((Port("a", (1,), 0), Port("b", (2,), 1)), outputs, (block,))
    second = Network((Port("a", (1,), 0), Port("b", (3,), 1)), outputs, (block,))
    assert first.digest != second.digest


@given(networks(), st.data())
def test_any_changed_weight_changes_the_digest(network: Network, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, len(network.blocks) - 1))
    block = network.blocks[number]
    which = data.draw(st.integers(0, len(block.terms) - 1))
    matrix = block.terms[which].matrix
    entries = [dict(matrix.entries(r)) for r in range(matrix.rows)]
    row, column = data.draw(st.integers(0, matrix.rows - 1)), data.draw(st.integers(0, matrix.columns - 1))
    same = Matrix.from_rows(matrix.columns, entries)
    entries[row][column] = entries[row].get(column, Fraction(0)) + data.draw(integer_weights.filter(bool).map(Fraction))
    changed = Matrix.from_rows(matrix.columns, entries)

    def swapped(new: Matrix) -> Network:
        terms = tuple(Term(t.source, new) if k == which else t for k, t in enumerate(block.terms))
        return with_block(network, number, terms=terms)

    assert swapped(same).digest == network.digest
    assert swapped(changed).digest != network.digest
