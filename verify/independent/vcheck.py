"""The one-file checker's entry: one certificate against one model and one VNN-LIB 1 file.

`python -m verify.independent.bundle vcheck.py verify.independent.vcheck:main` writes the file.  What a certificate is
about is compared with what the readers of this package make of the files; its proof is the kernel's to judge.
"""

from __future__ import annotations

from collections.abc import Sequence

from verify.core import query_text
from verify.core.certificate import QUANTIFIERS, Certificate, decode
from verify.core.normal_form import normal_form
from verify.core.query import Query
from verify.independent.command import Case, NotAcceptedError, run
from verify.kernel import Checked, Claim, RejectedError
from verify.kernel_slopes import check as check_proof


def check(data: bytes, case: Case) -> str:
    """What the certificate proves about the case's files.

    Guarantee: exact integer arithmetic.  Raises NotAcceptedError; EvidenceError and QueryError as decode and the
    kernel do.
    """
    certificate = decode(data)
    if certificate.semantics != "real":
        raise NotAcceptedError(f"made for semantics {certificate.semantics}; this checker knows the real numbers only")
    compare_files(certificate, case)
    compare_query(certificate, case.query)
    checked = prove(certificate, case.query)
    leaves = ", ".join(f"{count} {rule}" for rule, count in sorted(checked.leaves.items())) or "none"
    return f"{certificate.verdict} ({checked.claim}), over the real numbers; leaves: {leaves}"


def compare_files(certificate: Certificate, case: Case) -> None:
    """Raises NotAcceptedError when it was made for other bytes, or for values of params."""
    subject = certificate.subject
    if subject.spec.sha256 != case.spec_sha256:
        raise NotAcceptedError("made for another spec (sha256 differs)")
    if [ref.sha256 for ref in subject.networks.values()] != [case.model_sha256]:
        raise NotAcceptedError("made for another model (sha256 differs)")
    if dict(subject.params):
        raise NotAcceptedError("made for a spec with params; a VNN-LIB file has none")


def compare_query(certificate: Certificate, query: Query) -> None:
    """Raises NotAcceptedError when files and certificate do not mean the same question."""
    subject = certificate.subject
    if subject.network_digest != query.network.digest:
        raise NotAcceptedError("the model gives another exact network than the one it is about")
    if subject.query_digest != query.digest:
        raise NotAcceptedError("the spec gives another query than the one it is about")
    if query_text.decode(certificate.query, query.network).digest != query.digest:
        raise NotAcceptedError("the query it carries is not the one it names")
    if query.quantifier not in QUANTIFIERS[certificate.verdict]:
        raise NotAcceptedError(f"{certificate.verdict} is no verdict on a property with `{query.quantifier}`")
    if certificate.claim == "unsat" and not normal_form(query).assumed:
        raise NotAcceptedError(f"the assumptions contradict each other: this is VACUOUS, not {certificate.verdict}")


def prove(certificate: Certificate, query: Query) -> Checked:
    """Have the kernel judge the proof.  Raises NotAcceptedError."""
    claim: Claim = "vacuous" if certificate.claim == "vacuous" else "unsat"
    try:
        checked = check_proof(query, certificate.payload, claim)
    except RejectedError as problem:
        raise NotAcceptedError(f"the proof does not hold: {problem}") from None
    except (MemoryError, RecursionError):
        raise NotAcceptedError("checking it takes more memory than there is") from None
    if (checked.claim, checked.network_digest) != (certificate.claim, query.network.digest):
        raise NotAcceptedError("the kernel accepted another claim than the file's")
    if dict(checked.leaves) != dict(certificate.leaves):
        raise NotAcceptedError("the header counts other leaves than the proof has")
    return checked


def main(arguments: Sequence[str]) -> int:
    """Check CERTIFICATE MODEL SPEC; the exit code is that of `command.run`."""
    return run(arguments, check)
