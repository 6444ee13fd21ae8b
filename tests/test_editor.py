"""What a name in a spec stands for, and where it is declared."""

from __future__ import annotations

import pytest

from verify.editor import meaning, mistakes

TEXT = """unit m   unit s
unit cm = 0.01[m]
const reach = 5[cm]
param eps [m] in [0, 1] = 0.5
network n = onnx("n.onnx") {
  input x [m] in [-1, 1]  raw = value / 2
  input px[2, 3]
  output a, b
}
network k = onnx("k.onnx") { input x [m] in [0, 1]  output a }
define near(u: k.input) = u.x <= reach and k(u).a <= 1
property p "title" {
  forall s : n.input
  let far = s.x + eps
  assert far <= 3[m] and n(s).a <= s.px[0, 1]
  assert n(x = s.x, px = s.px).b <= 1
}
system loop {
  state x, y [m] in [0, 1]
  disturbance d in [-1, 1]
  let half = y / 2
  next x = half + 1[m] * d
  next y = x
}
property r { forall z : loop.state  assert loop.next(z).y <= run(loop, z, 3)[2].x + z.y }
property q { forall s : k.input  assert near(s) and k(s).a <= s.x / 1[m] }
"""


def at(marked: str) -> tuple[int, int]:
    """The place of `¦` in a copy of one of TEXT's lines."""
    plain = marked.replace("¦", "")
    line = next(k for k, text in enumerate(TEXT.split("\n"), 1) if plain in text)
    return line, TEXT.split("\n")[line - 1].index(plain) + marked.index("¦") + 1


@pytest.mark.parametrize(
    ("marked", "words", "line"),
    [
        ("forall ¦s : n.input", "forall s : n.input", 13),
        ("let far = ¦s.x", "forall s : n.input", 13),
        ("let far = s.¦x", "n: input x [m] in [-1, 1] raw = value / 2", 6),
        ("s.x + e¦ps", "param eps [m] in [0, 1] = 0.5", 4),
        ("assert ¦far <= 3", "let far = s.x + eps", 14),
        ("far <= 3[¦m]", "unit m", 1),
        ("n(s).¦a <=", "n: output a", 8),
        ("s.¦px[0, 1]", "n: input px[2, 3]", 7),
        ("n(x = s.x, px = s.px).¦b", "n: output b", 8),
        ("= 5[¦cm]", "unit cm = 0.01[m]", 2),
        ("u.x <= ¦reach", "const reach = 5[cm]", 3),
        ("u.¦x <= reach", "k: input x [m] in [0, 1]", 10),
        ("k(u).¦a", "k: output a", 10),
        ("assert ¦near(s)", "define near(u: k.input) = u.x <= reach and k(u).a <= 1", 11),
        ("and ¦k(s)", 'network k = onnx("k.onnx")', 10),
        ("+ z.¦y }", "loop: state y [m] in [0, 1]", 19),
        ("next x = ¦half", "let half = y / 2", 21),
        ("1[m] * ¦d", "loop: disturbance d in [-1, 1]", 20),
        ("run(¦loop, z", "system loop", 18),
        ("next(¦z).y", "forall z : loop.state", 25),
        ("input ¦x [m] in [-1", "n: input x [m] in [-1, 1] raw = value / 2", 6),
    ],
)
def test_meaning(marked: str, words: str, line: int) -> None:
    found = meaning(TEXT, "f.nnspec", *at(marked))
    assert found is not None
    assert (found.words, found.place.line) == (words, line)


@pytest.mark.parametrize("marked", ["far ¦<= 3", "far <= ¦3[m]", 'property p "ti¦tle"', "for¦all s : n.input"])
def test_nothing_is_named(marked: str) -> None:
    assert meaning(TEXT, "f.nnspec", *at(marked)) is None


def test_a_text_with_mistakes_is_still_read() -> None:
    broken = TEXT.replace('"title" {', "{ ]").replace("const reach", "const reach +")
    found = meaning(broken, "f.nnspec", *at("and ¦k(s)"))
    assert found is not None
    assert found.place.line == 10
    assert [e.code for e in mistakes(broken, "f.nnspec")] == ["E301", "E303"]
    assert [e.code for e in mistakes(TEXT, "f.nnspec")] == ["E344"]
