"""Hand-made results, one per verdict, for the tests of every output format."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.query import Copy, Field, Query, Row, identity_copy
from verify.core.report import NetworkInfo, Report, Result
from verify.core.verdict import Evidence, Replay, Verdict, Witness
from verify.errors import ModelError, Place, SpecError
from verify.report.replay_command import Invocation

INVOCATION = Invocation("cartpole.nnspec", ("pi=policy v2.onnx",), ("eps=1/10",))
ORIGIN = Place("cartpole.nnspec", 18, 3, 6, "  assert argmax(pi(s)) is strictly right")
SOURCE = "assert argmax(pi(s)) is strictly right"
HALF = Fraction(1, 2)


def cartpole(size: int = 2) -> Query:
    """`size` inputs, two outputs (the identity on the first two); violated when right - left <= 0."""
    matrix = Matrix.from_rows(size, [{0: Fraction(1)}, {1: Fraction(1)}])
    block = Block((Term(0, matrix),), Numbers.zeros(2), bytes(2))
    network = Network((Port("obs", (1, size), 0),), (Port("logits", (1, 2), 1),), (block,))
    inputs: tuple[Field, ...] = (Field("s.x", "m", Fraction(2), Fraction(1, 10)), Field("s.v", "m/s"))
    if size > 2:
        inputs = tuple(Field(f"s.px[{i}]") for i in range(size))
    outputs = (Field("pi(s).left"), Field("pi(s).right"))
    violation = Row.of({}, {0: -1, 1: 1}, 0)
    return Query(network, inputs, outputs, Row.of({0: 1}, {}, 4), violation, (identity_copy("pi(s)", "pi", size),))


def witness(x: tuple[Fraction, ...], outputs: tuple[Fraction, Fraction], replay: Replay | None) -> Witness:
    return Witness(x, outputs, outputs[0] - outputs[1], replay)


def replayed(x: tuple[float, ...], left: float, right: float, *, agrees: bool = True, outside: bool = False) -> Replay:
    return Replay("onnxruntime 1.20.0", (x,), (left, right), agrees=agrees, left_region=outside)


def result(name: str, verdict: Verdict, **rest: object) -> Result:
    base = Result(name, verdict, 0.03, title="", source=SOURCE, origin=ORIGIN, query=cartpole())
    return replace(base, **rest)  # type: ignore[arg-type]


def refuted() -> Result:
    x = (Fraction(1, 10), Fraction(-3))
    found = witness(
        x, (Fraction(5, 4), Fraction(6, 5)), replayed((0.10000000149011612, -3.0), 1.25, 1.2000000476837158)
    )
    return result("lean_right", Verdict.REFUTED, witness=found, title="pole falling hard to the right: never push left")


def results() -> dict[str, Result]:
    """One example per verdict and per noteworthy shape, by golden file name."""
    third = (Fraction(1, 3), Fraction(1, 3) + Fraction(1, 2**60))
    wide_x = tuple(Fraction(i, 4) for i in range(40))
    exists = replace(cartpole(), quantifier="exists")
    return {
        "proved_bounds": result("upright", Verdict.PROVED, evidence=Evidence.BOUNDS, title="stays upright"),
        "proved_solver": result("upright", Verdict.PROVED, evidence=Evidence.SOLVER, expected=Verdict.PROVED),
        "refuted": refuted(),
        "refuted_tie_outside": result(
            "tie",
            Verdict.REFUTED,
            witness=witness((HALF, HALF), (HALF, HALF), replayed((0.5, 0.5), 0.5, 0.5, outside=True)),
            expected=Verdict.PROVED,
            warnings=("the range of `x` is wide",),
            notes=("batch normalisation rounded",),
        ),
        "refuted_wide": result(
            "wide",
            Verdict.REFUTED,
            query=cartpole(40),
            witness=witness(wide_x, (HALF, Fraction(0)), replayed(tuple(map(float, wide_x)), 0.5, 0.0)),
        ),
        "fragile": result(
            "edge",
            Verdict.FRAGILE,
            witness=witness(third, (third[1], third[0]), replayed((0.25, 0.5), 0.25, 0.5, agrees=False)),
        ),
        "fragile_no_runtime": result(
            "edge",
            Verdict.FRAGILE,
            witness=witness(
                (HALF, HALF), (HALF, HALF), Replay("", (), (), False, False, note="ONNX Runtime refused it")
            ),
        ),
        "witnessed": result(
            "possible",
            Verdict.WITNESSED,
            query=exists,
            witness=witness((HALF, HALF), (Fraction(1), HALF), replayed((0.5, 0.5), 1.0, 0.5)),
        ),
        "no_witness": result("possible", Verdict.NO_WITNESS, query=exists, evidence=Evidence.SOLVER),
        "vacuous": result("never", Verdict.VACUOUS, evidence=Evidence.BOUNDS),
        "unknown_timeout": replace(result("hard", Verdict.UNKNOWN, reason="timeout", settled=0.99999), seconds=60.2),
        "unknown_memory": result("hard", Verdict.UNKNOWN, reason="memory", settled=0.0, expected=Verdict.PROVED),
        "error": result("bad", Verdict.ERROR, error=spec_error(), settled=0.0, query=None),
        "error_no_place": result(
            "bad", Verdict.ERROR, error=ModelError("E101", "not an ONNX file"), settled=0.0, origin=None
        ),
    }


def spec_error() -> SpecError:
    place = Place("cartpole.nnspec", 18, 10, 4, "  assert pi(s).lefft <= 1")
    return SpecError("E311", "no output is named `lefft`", fix="did you mean `left`?", place=place)


def report(*chosen: Result) -> Report:
    networks = {"pi": NetworkInfo("policy v2.onnx", "ab" * 32, "cd" * 32)}
    return Report("cartpole.nnspec", "ef" * 32, networks, {"eps": "1/10"}, chosen or tuple(results().values()))


def two_copies() -> Result:
    """A relational query: one network used twice, fed from two variables."""
    query = cartpole()
    copies = (
        Copy("pi(a)", "pi", query.copies[0].raw_inputs, 0),
        Copy("pi(b)", "pi", query.copies[0].raw_inputs[::-1], 1),
    )
    again = Replay("onnxruntime 1.20.0", ((0.5, 0.25), (0.25, 0.5)), (float("inf"), 1.0), False, False)
    found = witness((HALF, HALF / 2), (HALF, HALF), again)
    return result("relational", Verdict.FRAGILE, query=replace(query, copies=copies), witness=found)
