"""Checking evidence files again: exact arithmetic alone, no search, no solver.

certificate   the bytes of spec and models are those it names; the spec, lowered again, is the query it carries;
              the kernel accepts the proof
witness       the same bytes and query; the point, evaluated exactly, is inside and violates; ONNX Runtime, where it
              is installed, is asked again
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Union, cast

from verify.core import certificate, query_text, witness_file
from verify.core.certificate import FLOAT32, LOWERING, MAX_FILE, QUANTIFIERS, Certificate, FileRef, Subject
from verify.core.evaluate import evaluate
from verify.core.normal_form import normal_form
from verify.core.query import Query, holds, margin
from verify.core.report import EXIT_ERROR, EXIT_OK, EXIT_VIOLATED
from verify.core.witness_file import Record, WitnessFile
from verify.errors import EvidenceError, Place, RejectedError, UsageError, VerifyError
from verify.run.reading import Request, Spec, read

if TYPE_CHECKING:
    from verify.core.property import Property
    from verify.core.verdict import Replay

FilePath = Union[str, "PathLike[str]"]


class Checked(Protocol):
    """What the kernel returns for a proof it accepts."""

    @property
    def claim(self) -> str: ...

    @property
    def network_digest(self) -> str: ...

    @property
    def leaves(self) -> Mapping[str, int]: ...

    @property
    def mode(self) -> str: ...


Kernel = Callable[[Query, bytes, str], Checked]  # query, payload, claim; raises RejectedError


@dataclass(frozen=True)
class Outcome:
    """Whether one file was accepted, and why not.  `record`: what the file says, where it could be read."""

    file: str
    error: VerifyError | None = None
    record: Record | None = None
    checked: Checked | None = None  # of an accepted certificate
    size: int = 0  # of the file, in bytes
    notes: tuple[str, ...] = ()

    @property
    def accepted(self) -> bool:
        return self.error is None

    @property
    def exit_code(self) -> int:
        if self.error is None:
            return EXIT_OK
        return EXIT_VIOLATED if isinstance(self.error, RejectedError) else EXIT_ERROR


@dataclass
class Checker:
    """Checks any number of files; each spec is read once.

    `spec`, `networks`, `params` replace what the files name.  `kernel`: None takes the package's own.
    """

    spec: str | None = None
    networks: Mapping[str, str] = field(default_factory=dict)
    params: Mapping[str, str] = field(default_factory=dict)
    reference: bool = False
    kernel: Kernel | None = None
    _specs: dict[object, Spec] = field(default_factory=dict)

    def check(self, file: FilePath) -> Outcome:
        """Raises nothing that a file's content can cause: it is in the outcome."""
        name, record, size = fspath(file), None, 0
        try:
            data = read_bytes(file)
            size = len(data)
            record = decode(data)
            spec = self._spec(record.subject, Path(file).parent)
            prop = find_property(record.subject, spec)
            compare_files(record.subject, spec)
            checked, notes = self.judge(record, prop, spec)
            return Outcome(name, None, record, checked, size, notes)
        except VerifyError as error:
            error.place = error.place or Place(name)
            return Outcome(name, error, record, size=size)

    def judge(self, record: Record, prop: Property, spec: Spec) -> tuple[Checked | None, tuple[str, ...]]:
        """Check a record against a property, whatever bytes both are from; notes.  Raises RejectedError, QueryError."""
        compare_query(record.subject, prop.query)
        try:
            if isinstance(record, Certificate):
                kernel = self.kernel or load_kernel(reference=self.reference)
                if record.semantics == FLOAT32:
                    kernel = float32_kernel(record, prop.query, spec, kernel)
                return check_certificate(record, prop.query, kernel), check_not_vacuous(record, prop.query)
            check_witness(record, prop.query)
            if not all(ball.contains(record.witness.x) for ball in prop.balls):
                raise RejectedError("E513", "the point lies outside the l2 ball, only in its flat-sided hull")
            return None, replay_witness(record, prop.query, spec)
        except (MemoryError, RecursionError) as problem:
            kind = "memory" if isinstance(problem, MemoryError) else "stack"
            raise RejectedError("E512", f"checking it takes more {kind} than there is") from None

    def _spec(self, subject: Subject, home: Path) -> Spec:
        """The spec that the options name, else the one the file does."""
        given = self.spec if self.spec is not None else find(subject.spec, home, "--spec FILE")
        networks = dict(self.networks)  # one that the property does not use may have no file in the spec
        if "" in networks and len(subject.networks) == 1:
            networks = dict.fromkeys(subject.networks, networks[""])
        for name, ref in subject.networks.items():
            if name not in networks:
                networks[name] = find(ref, home, f"--network {name}{'=' if name else ''}FILE")
        if self.params and dict(self.params) != dict(subject.params):
            raise RejectedError("E511", f"made for other params: {_params(subject.params)}")
        key = (given, tuple(networks.items()), tuple(subject.params.items()))
        if key not in self._specs:
            self._specs[key] = _read(Request.of(given, networks, subject.params))
        return self._specs[key]


def load_kernel(*, reference: bool) -> Kernel:
    """The package's kernel: with `reference` its plain exact path, else the fast one where there is one."""
    try:
        import verify.kernel as kernel
        from verify.kernel_slopes import check as plain
    except ModuleNotFoundError:
        raise EvidenceError("E504", "this installation has no kernel", fix="install the whole of policyproof") from None
    path: Callable[[Query, bytes, kernel.Claim], Checked] = plain
    if not reference:
        from verify.kernel_fast import check_fast

        path = check_fast

    def check(query: Query, payload: bytes, claim: str) -> Checked:
        try:
            return path(query, payload, cast("kernel.Claim", claim))
        except kernel.RejectedError as problem:
            raise RejectedError("E512", str(problem)) from None

    return check


def float32_kernel(record: Certificate, query: Query, spec: Spec, kernel: Kernel) -> Kernel:
    """The kernel for float32 semantics, with the programs that the models' files give now.

    Raises RejectedError E511 when they are not those that the record names; ModelError E123.
    """
    from verify.importer.rounding import float32_programs
    from verify.kernel import RejectedError as Refused
    from verify.kernel_float32 import check_float32

    programs = float32_programs(query, spec.networks)
    if {name: program.digest for name, program in programs.items()} != dict(record.programs):
        raise RejectedError("E511", "the models give other float32 operations than those it is about")

    def check(query: Query, payload: bytes, claim: str) -> Checked:
        try:
            return cast("Checked", check_float32(query, programs, payload, cast("Any", claim), cast("Any", kernel)))
        except Refused as problem:
            raise RejectedError("E512", str(problem)) from None

    return check


def read_bytes(file: FilePath) -> bytes:
    """The bytes of an evidence file.  Raises EvidenceError E501, RejectedError E510 above the limit of size."""
    path, place = Path(file), Place(fspath(file))
    try:
        if not path.is_file():
            what = "no such file" if not path.exists() else "not a file"
            raise EvidenceError("E501", what, place=place, fix="name a .vcert or .witness file")
        with path.open("rb") as stream:
            data = stream.read(MAX_FILE + 1)
    except (OSError, ValueError) as problem:
        raise EvidenceError("E501", f"cannot be read: {problem}", place=place, fix="check the path") from None
    if len(data) > MAX_FILE:
        raise RejectedError("E510", f"the file has more than {MAX_FILE} bytes")
    return data


def decode(data: bytes) -> Record:
    """What an evidence file says, told apart by its first byte.  Raises RejectedError E510, EvidenceError E502."""
    return witness_file.decode(data) if data[:1] == b"{" else certificate.decode(data)


def find(ref: FileRef, home: Path, option: str) -> str:
    """The file that evidence in directory `home` names.  Raises EvidenceError E505."""
    path = home / ref.file
    try:
        found = path.is_file()
    except (OSError, ValueError):
        found = False
    if not found:
        raise EvidenceError("E505", f"the file it is about is not there: {str(path)!r}", fix=f"name it: {option}")
    return str(path)


def find_property(subject: Subject, spec: Spec) -> Property:
    """The property a record is about.  Raises RejectedError E511."""
    for prop in spec.properties:
        if prop.name == subject.property:
            return prop
    raise RejectedError("E511", f"the spec has no property {subject.property[:80]!r}")


def compare_files(subject: Subject, spec: Spec) -> None:
    """The bytes a record names against those that were read.  Raises RejectedError E511."""
    for name, ref in subject.networks.items():
        model = spec.networks.get(name)
        if model is None or model.sha256 != ref.sha256:
            raise RejectedError("E511", f"made for another model{f' {name[:80]!r}' if name else ''} (sha256 differs)")
    if spec.sha256 != subject.spec.sha256:
        raise RejectedError("E511", "made for another spec (sha256 differs)")


def compare_query(subject: Subject, query: Query) -> None:
    """The query a record names against the one that spec and models give now.  Raises RejectedError E511."""
    if query.network.digest != subject.network_digest:
        raise RejectedError("E511", "the models give another exact network than the one it is about")
    if query.digest != subject.query_digest:
        version = f" (lowering {subject.lowering}, now {LOWERING})" if subject.lowering != LOWERING else ""
        raise RejectedError("E511", f"the spec lowers to another query than the one it is about{version}")


def check_certificate(record: Certificate, query: Query, kernel: Kernel) -> Checked:
    """Have the kernel judge a proof.  Raises RejectedError E510 to E512."""
    if query.quantifier not in QUANTIFIERS[record.verdict]:
        raise RejectedError("E511", f"{record.verdict} is no verdict on a property with `{query.quantifier}`")
    if query_text.decode(record.query, query.network).digest != query.digest:
        raise RejectedError("E511", "the query it carries is not the one it names")
    checked = kernel(query, record.payload, record.claim)
    if (checked.claim, checked.network_digest) != (record.claim, query.network.digest):
        raise RejectedError("E512", "the kernel accepted another claim than the file's")
    if dict(checked.leaves) != dict(record.leaves):
        raise RejectedError("E512", f"the header counts other leaves than the proof has ({_counts(checked.leaves)})")
    return checked


def check_not_vacuous(record: Certificate, query: Query) -> tuple[str, ...]:
    """Look for a point that satisfies the assumptions, without which a proof shows nothing; what there is to say.

    Raises RejectedError E511 when their boxes alone contradict each other: the verdict would be VACUOUS.
    """
    if record.claim == "vacuous":
        return ()
    assumed = normal_form(query).assumed
    if not assumed:
        raise RejectedError("E511", f"the assumptions contradict each other: this is VACUOUS, not {record.verdict}")
    for region in assumed:
        centre = [(low + high) / 2 for low, high in zip(region.box.lower, region.box.upper, strict=True)]
        if all(row.holds(centre, ()) for row in region.rows):
            return ()
    return ("not shown by this file: that some point satisfies the assumptions",)


def check_witness(record: WitnessFile, query: Query) -> None:
    """Evaluate a witness exactly.  Raises RejectedError E511, E513."""
    witness = record.witness
    if query.quantifier != witness_file.QUANTIFIERS[record.verdict]:
        raise RejectedError("E511", f"{record.verdict} is no verdict on a property with `{query.quantifier}`")
    names = ([f.name for f in query.inputs], [f.name for f in query.outputs])
    if names != (list(record.input_names), list(record.output_names)):
        raise RejectedError("E511", "its inputs or outputs have other names than the property's")
    y = evaluate(query.network, witness.x)
    if y != witness.outputs:
        raise RejectedError("E513", "the network's exact outputs at the point are others")
    if not holds(query.assumption, witness.x, y):
        raise RejectedError("E513", "the point does not satisfy the assumptions")
    if not holds(query.violation, witness.x, y):
        fails = "violate" if query.quantifier == "forall" else "satisfy"
        raise RejectedError("E513", f"the point does not {fails} the assert")
    if witness.margin != margin(query.violation, witness.x, y):
        raise RejectedError("E513", "the margin is another")
    if record.verdict == "REFUTED" and (witness.replay is None or not witness.replay.agrees):
        raise RejectedError("E513", "REFUTED, but its own replay does not agree")


def replay_witness(record: WitnessFile, query: Query, spec: Spec) -> tuple[str, ...]:
    """Ask ONNX Runtime again, where it is installed; what there is to say.  Raises RejectedError E514."""
    try:
        import onnxruntime  # noqa: F401
    except ImportError:
        return ("not replayed: ONNX Runtime is not installed here",)
    from verify.witness import Confirmation

    replay = Confirmation(query, spec.networks).replay(record.witness.x)
    if record.verdict == "REFUTED" and not replay.agrees:
        raise RejectedError("E514", f"{replay.runtime} does not reproduce the violation")
    notes = [f"replayed in {replay.runtime}: {'agrees' if replay.agrees else 'does not agree'}"]
    if record.verdict == "FRAGILE" and replay.agrees:
        notes.append("the float replay reproduces the violation here, although the file says FRAGILE")
    return (*notes, *_difference(record.witness.replay, replay))


def _difference(before: Replay | None, now: Replay) -> Sequence[str]:
    if before is None or repr(before.outputs) == repr(now.outputs):
        return ()
    return (f"the floats returned differ from those of {before.runtime or 'the first replay'}",)


def _read(request: Request) -> Spec:
    """A call that the record causes, not the user, is no usage error."""
    try:
        return read(request)
    except UsageError as error:
        raise EvidenceError(error.code, error.message, fix=error.fix, place=error.place) from None


def _params(params: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in params.items()) or "none"


def _counts(leaves: Mapping[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in leaves.items()) or "none"
