"""Every error of the VNN-LIB reader, as a person sees it.

`errors.txt` holds the cases: `=== name`, the file, `---`, the rendered error.  A file may use `{{…}}`, a Python
expression, for what is too long to write out.  After a wanted change, write the file anew with
`python -m tests.spec_vnnlib.test_errors` and read the difference.
"""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from verify.core.network import Network, Port
from verify.errors import VnnlibError
from verify.spec.vnnlib import read

GOLDEN = Path(__file__).with_name("errors.txt")
NETWORK = Network((Port("x", (1, 2), 0),), (Port("x", (1, 2), 0),), ())
HEADER = "(declare-const X_0 Real)\n(declare-const X_1 Real)\n(declare-const Y_0 Real)\n(declare-const Y_1 Real)\n"


def cases(file: Path = GOLDEN) -> list[tuple[str, str, str]]:
    parts = re.split(r"^=== (.*)\n", file.read_text(encoding="utf-8"), flags=re.M)
    halves = [(n, body.partition("\n---\n")) for n, body in zip(parts[1::2], parts[2::2], strict=True)]
    return [(n, source, expected.rstrip("\n")) for n, (source, _, expected) in halves]


def rendered(source: str) -> str:
    text = re.sub(r"\{\{(.*?)\}\}", lambda m: str(eval(m.group(1))), source).replace("@header\n", HEADER)
    with pytest.raises(VnnlibError) as caught:
        read(text, "f.vnnlib", NETWORK)
    assert caught.value.fix
    return str(caught.value)


@pytest.mark.parametrize(("name", "source", "expected"), cases(), ids=[c[0] for c in cases()])
def test_golden(name: str, source: str, expected: str) -> None:
    del name
    assert rendered(source) == expected


def test_every_code_has_a_case() -> None:
    codes = {re.search(r"E2\d\d", expected).group() for _, _, expected in cases()}
    assert codes == {f"E{n}" for n in range(201, 216)}


WHOLE = HEADER + (
    "; a remark\n(assert (or (and (<= X_0 0.5) (>= X_0 -0.5)) (> (* 2 X_1) (- Y_0 1e-3))))\n"
    "(assert (not (= Y_1 (/ 1 3))))\n(check-sat)\n"
)


@given(
    st.integers(0, len(WHOLE)),
    st.integers(0, 12),
    st.sampled_from(["", "(", ")", " ", ";", '"', "|", "X_0", "1e9999", "or"]),
)
def test_damaged_files_never_crash(at: int, dropped: int, inserted: str) -> None:
    try:
        read(WHOLE[:at] + inserted + WHOLE[at + dropped :], "f.vnnlib", NETWORK)
    except VnnlibError as error:
        assert error.place is not None
        assert re.fullmatch(r"E2\d\d", error.code)


@given(st.text(alphabet='()<>=+-*/ \n\r;"|.0123456789eEXY_andorRealsrtclu', max_size=80))
def test_noise_never_crashes(text: str) -> None:
    with pytest.raises(VnnlibError):
        read("(assert " + text, "f.vnnlib", NETWORK)


@pytest.mark.parametrize("depth", [201, 1000, 100_000])
def test_deep_nesting_is_an_error(depth: int) -> None:
    with pytest.raises(VnnlibError, match="nested more than 200 levels"):
        read(HEADER + "(assert " + "(not " * depth + "true" + ")" * depth + ")", "f.vnnlib", NETWORK)


if __name__ == "__main__":
    GOLDEN.write_text("\n".join(f"=== {n}\n{s}\n---\n{rendered(s)}\n" for n, s, _ in cases()), encoding="utf-8")
