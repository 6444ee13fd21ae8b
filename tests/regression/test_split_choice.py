"""The compiled search halved two inputs down to 1e-9 and never touched the third.

The score of an input used the slope of each ReLU's lower linear form; where the ReLUs before it are relaxed by 0 that
slope is 0, and the input starves although the relaxation hangs on it.  NumPy splitting settles the first two in 30 and
68 boxes (and starves in the third as well), where the compiled search gave up after four million.
"""

from __future__ import annotations

import random

import pytest

from tests.search.conftest import compiled, no_attack, splitting  # noqa: F401
from tests.search.networks import budget
from tests.search.test_compiled import hard_query
from verify.search.decide import decide


@pytest.mark.usefixtures("splitting", "no_attack", "compiled")
@pytest.mark.parametrize("number", [7, 12, 13])
def test_every_input_is_split_when_it_matters(number: int) -> None:
    found = decide(hard_query(random.Random(number)), budget(2))
    assert found.answer != "unknown", found.statistics
