"""Every error of the VNN-LIB 2 reader, as a person sees it; see `test_errors` for the golden file.

After a wanted change, write it anew with `python -m tests.spec_vnnlib.test_errors2` and read the difference.
"""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.spec_vnnlib.test_errors import cases
from verify.core.network import Network, Port
from verify.errors import VnnlibError
from verify.spec.vnnlib import is_version_2
from verify.spec.vnnlib2 import parse
from verify.spec.vnnlib2_binding import bind
from verify.spec.vnnlib2_matching import BoundModel

GOLDEN = Path(__file__).with_name("errors2.txt")
NETWORK = Network((Port("x", (1, 2), 0),), (Port("x", (1, 2), 0),), ())
DECLARED = "(declare-network N (declare-input X float32 [1,2]) (declare-output Y float32 [1,2]))\n"
HEADER = "(vnnlib-version <2.0>)\n" + DECLARED


def read(text: str, *, strict: bool = False) -> None:
    document = parse(text, "f.vnnlib")
    bind(document, {d.name: BoundModel(NETWORK) for d in document.networks}, strict_types=strict)


def rendered(source: str) -> str:
    text = re.sub(r"\{\{(.*?)\}\}", lambda m: str(eval(m.group(1))), source) + "\n"
    strict = "@strict\n" in text
    text = text.replace("@strict\n", "").replace("@header\n", HEADER).replace("@network\n", DECLARED)
    with pytest.raises(VnnlibError) as caught:
        read(text, strict=strict)
    assert caught.value.fix
    return str(caught.value)


@pytest.mark.parametrize(("name", "source", "expected"), cases(GOLDEN), ids=[c[0] for c in cases(GOLDEN)])
def test_golden(name: str, source: str, expected: str) -> None:
    del name
    assert rendered(source) == expected


def test_every_code_has_cases() -> None:
    codes = [re.search(r"E2\d\d", expected).group() for _, _, expected in cases(GOLDEN)]
    # E219 and E221 need model files: tests/run/test_reading_vnnlib.py
    assert set(codes) == {f"E{n}" for n in range(201, 221)} - {"E219"}
    assert all(codes.count(f"E{n}") >= 2 for n in (215, 216, 217, 218, 220))


WHOLE = (
    "(vnnlib-version <2.0>) ; a remark\n"
    '(declare-network N (declare-input X float32 [1, 2]) (declare-output Y real [1,2] "x"))\n'
    "(declare-network M (isomorphic-to N) (declare-input A float32 [1,2]) (declare-output B real [1,2]))\n"
    "(assert (or (and (<= X[0,0] 0.5) (>= X[0, 1] -0.5)) (> (* 2 A[0,1]) (- B[0,0] 1e-3))))\n"
    "(assert (not (== Y[0,1] (/ 1 3))))\n(assert (!= X[0,0] A[0,0]))\n"
)


def test_the_damaged_file_is_whole() -> None:
    assert is_version_2(WHOLE)
    read(WHOLE)


@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 12),
    st.sampled_from(["", "(", ")", " ", ";", '"', "|", "[", "]", "X[0,0]", "1e9999", "or", "declare-input", "\\"]),
)
def test_damaged_files_never_crash(at: int, dropped: int, inserted: str) -> None:
    try:
        read(WHOLE[:at] + inserted + WHOLE[at + dropped :])
    except VnnlibError as error:
        assert error.place is not None
        assert re.fullmatch(r"E2\d\d", error.code)


@given(st.text(alphabet='()<>=+-*/![], \n\r;"|.0123456789eEXYNM_andorRealsrtclu', max_size=80))
def test_noise_never_crashes(text: str) -> None:
    with pytest.raises(VnnlibError):
        read(HEADER + "(assert " + text)


@given(st.text(alphabet='()<>[], \n;"\\.0123456789XN_declare-networkinputoutputhiddenfloat32equal-to', max_size=80))
def test_noise_in_declarations_never_crashes(text: str) -> None:
    with pytest.raises(VnnlibError):
        read("(vnnlib-version <2.0>)(declare-network " + text)


@pytest.mark.parametrize("depth", [201, 1000, 100_000])
def test_deep_nesting_is_an_error(depth: int) -> None:
    with pytest.raises(VnnlibError, match="nested more than 200 levels"):
        read(HEADER + "(assert " + "(and " * depth + "(<= X[0,0] 1)" + ")" * depth + ")")


if __name__ == "__main__":
    parts = [f"=== {n}\n{s}\n---\n{rendered(s)}\n" for n, s, _ in cases(GOLDEN)]
    GOLDEN.write_text("\n".join(parts), encoding="utf-8")
