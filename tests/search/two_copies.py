"""Properties of two copies of one network with two inputs, from small specs."""

from __future__ import annotations

import random

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import Query
from verify.spec import lower, parse

BLOCK = 'network n = onnx("n") { input x in [-1, 1]  input y in [-1, 1]  output r }\n'


def query_of(body: str, network: Network) -> Query:
    (prop,) = lower(parse(f"{BLOCK}property p {{ {body} }}", "t.nnspec"), {"n": network}, {})
    return prop.query


def deep_network(seed: int) -> Network:
    """2-3-3-1 with quarter-integer weights."""
    rng = random.Random(seed)

    def block(source: int, rows: int, columns: int, relu: int) -> Block:
        values = [rng.randint(-6, 6) / 4 for _ in range(rows * columns)]
        bias = Numbers.of_floats([rng.randint(-4, 4) / 4 for _ in range(rows)])
        return Block(
            (Term(source, Matrix.dense(rows, columns, Numbers.of_floats(values))),), bias, bytes([relu] * rows)
        )

    blocks = (block(0, 3, 2, 1), block(1, 3, 3, 1), block(2, 1, 3, 0))
    return Network((Port("x", (1, 2), 0),), (Port("y", (1, 1), 3),), blocks)


MONOTONE = "forall a, b : n.input  assume same(a, b) except x  assume a.x <= b.x  assert n(a).r <= n(b).r"
LIPSCHITZ = "forall a, b : n.input  assert abs(n(a).r - n(b).r) <= %s * (abs(a.x - b.x) + abs(a.y - b.y))"
CLOSE = "forall a, b : n.input  assume same(a, b) except x  assert abs(n(a).r - n(b).r) <= %s"
STEEP = MONOTONE.replace("<= n(b).r", "+ %s * (b.x - a.x) <= n(b).r")
