"""The list of operators that jump, which `operators` holds so that most models need not import their lowering."""

from verify.importer import discontinuous, operators


def test_the_list_is_what_can_be_lowered() -> None:
    assert frozenset(discontinuous.OPERATORS) == operators.JUMPS
