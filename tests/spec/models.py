"""Small exact networks for spec tests."""

from __future__ import annotations

import random

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term


def random_network(inputs: int, outputs: int, *, seed: int = 0, hidden: int = 4) -> Network:
    """One hidden ReLU layer, small half-integer weights, so that ties and zeros really occur."""
    rng = random.Random(seed)

    def matrix(rows: int, columns: int) -> Matrix:
        return Matrix.dense(rows, columns, Numbers.of_floats([rng.randint(-4, 4) / 2 for _ in range(rows * columns)]))

    def bias(size: int) -> Numbers:
        return Numbers.of_floats([rng.randint(-2, 2) / 2 for _ in range(size)])

    first = Block((Term(0, matrix(hidden, inputs)),), bias(hidden), bytes([1] * hidden))
    second = Block((Term(1, matrix(outputs, hidden)),), bias(outputs), bytes(outputs))
    return Network((Port("x", (1, inputs), 0),), (Port("y", (1, outputs), 2),), (first, second))


def two_port_network(seed: int = 0) -> Network:
    """Inputs of 1 and 2 numbers, outputs of 2 and 1, with a skip from the first input to the second output."""
    rng = random.Random(seed)

    def matrix(rows: int, columns: int) -> Matrix:
        return Matrix.dense(
            rows, columns, Numbers.of_floats([float(rng.randint(-3, 3)) for _ in range(rows * columns)])
        )

    hidden = Block(
        (Term(0, matrix(3, 1)), Term(1, matrix(3, 2))), Numbers.of_floats([1.0, 0.0, -1.0]), bytes([1, 1, 0])
    )
    one = Block((Term(2, matrix(2, 3)),), Numbers.zeros(2), bytes(2))
    two = Block((Term(2, matrix(1, 3)), Term(0, matrix(1, 1))), Numbers.of_floats([0.5]), bytes([1]))
    return Network(
        (Port("a", (1, 1), 0), Port("b", (1, 2), 1)), (Port("p", (1, 2), 3), Port("q", (1, 1), 4)), (hidden, one, two)
    )


def affine_network(weights: list[list[float]], bias: list[float]) -> Network:
    """y = weights · x + bias, no ReLU: answers a test can compute in the head."""
    rows, columns = len(weights), len(weights[0])
    matrix = Matrix.dense(rows, columns, Numbers.of_floats([w for row in weights for w in row]))
    block = Block((Term(0, matrix),), Numbers.of_floats(bias), bytes(rows))
    return Network((Port("x", (1, columns), 0),), (Port("y", (1, rows), 1),), (block,))
