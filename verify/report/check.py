"""What `verify check` says of evidence files."""

from __future__ import annotations

from collections.abc import Sequence

from verify.core.certificate import FLOAT32, Certificate
from verify.core.report import worst_exit_code
from verify.core.witness_file import Record
from verify.recheck import Outcome
from verify.report.document import Document, error_fields, tool
from verify.report.terminal import Line, line, printable

SCHEMA = "verify/check/1"
FLOAT32_CHECKED = "how far rounding can move each row over outputs, from the model's operations, in exact integers"
FLOAT32_TRUSTED = (
    "that the runtime computes the model's operations in IEEE float32, to nearest, with subnormal numbers, in "
    "any order (not covered: Winograd and FFT convolutions, TF32, flush-to-zero, fused approximations)"
)


def check_document(outcomes: Sequence[Outcome]) -> Document:
    """The JSON document of one call."""
    return {"schema": SCHEMA, "tool": tool(), "results": [_document(outcome) for outcome in outcomes]}


def outcome_lines(outcome: Outcome, *, explain: bool) -> list[Line]:
    """One file: accepted or why not, what was checked, what is trusted."""
    record = outcome.record
    name = "" if record is None else printable(record.subject.property)
    if outcome.error is not None:
        word = "REJECTED" if outcome.exit_code == 1 else "ERROR"
        lines = [line((word.ljust(9), "bold red"), f" {outcome.file}")]
        if record is not None:
            lines.append(line(f"  claims {record.verdict}  {name}"))
        lines.append(line("  ", ("reason: ", "dim"), f"[{outcome.error.code}] {printable(outcome.error.message)}"))
        if outcome.error.fix:
            lines.append(line("  ", ("help: ", "dim"), printable(outcome.error.fix)))
        return lines
    assert record is not None
    lines = [
        line(("ACCEPTED ", "bold green"), f" {outcome.file}"),
        line(f"  {record.verdict}{_semantics(record)}  {name}  {_basis(outcome)}".rstrip()),
        *(line("  ", ("checked: ", "dim"), text) for text in map(printable, checked(record))),
        *(line("  ", ("trusted: ", "dim"), text) for text in trusted(record, outcome)),
        *(line("  ", ("note: ", "dim"), text) for text in map(printable, outcome.notes)),
    ]
    return lines + (_explanation(outcome, record) if explain else [])


def summary_line(outcomes: Sequence[Outcome]) -> Line:
    """How many files, and the exit code."""
    accepted = sum(outcome.accepted for outcome in outcomes)
    rejected = sum(outcome.exit_code == 1 for outcome in outcomes)
    counts = [(accepted, "accepted"), (rejected, "rejected"), (len(outcomes) - accepted - rejected, "not readable")]
    text = ", ".join(f"{count} {word}" for count, word in counts if count)
    code = worst_exit_code(outcome.exit_code for outcome in outcomes)
    return line(f"{len(outcomes)} file{'' if len(outcomes) == 1 else 's'}: {text} (exit {code})")


def checked(record: Record) -> list[str]:
    """What acceptance took."""
    subject = record.subject
    models = ", ".join(f"{ref.file} ({ref.sha256[:8]})" for ref in subject.networks.values())
    lowered = "is read again to" if subject.spec.file.endswith((".vnnlib", ".gz")) else "is lowered again to"
    files = f"the bytes of {subject.spec.file} ({subject.spec.sha256[:8]}) and {models}"
    query = f"the spec {lowered} the query that the file is about ({subject.query_digest[:8]})"
    if isinstance(record, Certificate):
        proof = "every leaf of the proof, in exact integers, by the kernel"
        return [files, query, *([FLOAT32_CHECKED] if record.semantics == FLOAT32 else []), proof]
    return [files, query, "the point, evaluated exactly: it satisfies the assumptions, and the verdict holds there"]


def trusted(record: Record, outcome: Outcome) -> list[str]:
    """What acceptance rests on besides."""
    reading = "how this version reads the model and the spec; Python's integers"
    if isinstance(record, Certificate) and record.semantics == FLOAT32:
        reading += f"; {FLOAT32_TRUSTED}"
    if not isinstance(record, Certificate):
        return [reading]
    fast = outcome.checked is not None and outcome.checked.mode == "fast"
    kernel = f"the kernel's rules ({record.rule}) and its code"
    return [
        f"{kernel}, its compiled form (NumPy, Numba, LLVM, the code cache); {reading}"
        if fast
        else f"{kernel}; {reading}"
    ]


def _semantics(record: Record) -> str:
    return " (float32, any evaluation order)" if isinstance(record, Certificate) and record.semantics == FLOAT32 else ""


def _basis(outcome: Outcome) -> str:
    if outcome.checked is None or not isinstance(outcome.record, Certificate):
        return ""
    count = sum(outcome.checked.leaves.values())
    leaves = f"{count} {'leaf' if count == 1 else 'leaves'}"
    return f"rules {outcome.record.rule}, {leaves}, {outcome.checked.mode} path"


def _explanation(outcome: Outcome, record: Record) -> list[Line]:
    sizes = f"{outcome.size} bytes"
    if isinstance(record, Certificate):
        sizes += f"; unpacked: query {len(record.query)}, proof {len(record.payload)}"
    rows = [("size", sizes)]
    if outcome.checked is not None:
        depth = getattr(outcome.checked, "depth", None)
        if depth is not None:
            rows.append(("depth", str(depth)))
        rows += [(f"leaves {rule}", str(count)) for rule, count in outcome.checked.leaves.items()]
    return [line("  ", (f"{name}: ", "dim"), text) for name, text in rows]


def _document(outcome: Outcome) -> Document:
    record, proof = outcome.record, outcome.checked
    certificate = record if isinstance(record, Certificate) else None
    subject = None if record is None else record.subject
    return {
        "file": outcome.file,
        "accepted": outcome.accepted,
        "error": None if outcome.error is None else error_fields(outcome.error),
        "kind": None if record is None else "witness" if certificate is None else "certificate",
        "property": None if subject is None else subject.property,
        "verdict": None if record is None else record.verdict,
        "rule": None if certificate is None else certificate.rule,
        "claim": None if certificate is None else certificate.claim,
        "semantics": None if certificate is None else certificate.semantics,
        "kernel_mode": None if proof is None else proof.mode,
        "leaves": None if proof is None else dict(proof.leaves),
        "depth": getattr(proof, "depth", None),
        "bytes": {
            "file": outcome.size,
            "query": None if certificate is None else len(certificate.query),
            "proof": None if certificate is None else len(certificate.payload),
        },
        "spec": None if subject is None else {"file": subject.spec.file, "sha256": subject.spec.sha256},
        "networks": None
        if subject is None
        else {name: {"file": ref.file, "sha256": ref.sha256} for name, ref in subject.networks.items()},
        "params": None if subject is None else dict(subject.params),
        "query_digest": None if subject is None else subject.query_digest,
        "checked": checked(record) if record is not None and outcome.accepted else [],
        "trusted": trusted(record, outcome) if record is not None and outcome.accepted else [],
        "notes": list(outcome.notes),
    }
