"""The oracles agree with each other, and the random queries are as sharp as they should be."""

import random

from tests.oracle import decided_by_tie, phase_enumeration, plain_z3, random_tiny_query

COUNT = 200


def test_the_oracles_agree_and_the_queries_are_aimed() -> None:
    satisfiable = ties = 0
    for seed in range(COUNT):
        query = random_tiny_query(random.Random(seed), integer_weights=seed % 2 == 0)
        assert query.network.relu_count <= 8
        answer = phase_enumeration(query)
        assert plain_z3(query) is answer, seed
        satisfiable += answer
        ties += decided_by_tie(query)
    assert 0.3 * COUNT <= satisfiable <= 0.7 * COUNT
    assert ties >= 0.2 * COUNT


def test_random_queries_depend_on_the_seed_alone() -> None:
    first, second = (random_tiny_query(random.Random(5), integer_weights=False) for _ in range(2))
    assert first.network.digest == second.network.digest
    assert (first.assumption, first.violation) == (second.assumption, second.violation)
