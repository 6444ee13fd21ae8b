"""Evidence of results, as records and as files in a directory."""

from __future__ import annotations

import contextlib
import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from verify.core import certificate, query_text, witness_file
from verify.core.certificate import CLAIMS, FLOAT32, Certificate, FileRef, Subject
from verify.core.property import Property
from verify.core.report import Report, Result
from verify.core.version import __version__
from verify.core.witness_file import VERDICTS, Record, WitnessFile
from verify.errors import EvidenceError, Place, RejectedError
from verify.run.reading import FilePath, Spec

PRODUCER = {"name": "policyproof", "version": __version__}
PROOF, FLOAT32_PROOF, WITNESS = "vcert", "float32.vcert", "witness"
LONGEST_NAME = 60  # characters of a network's or property's name within a file's name


def record_of(result: Result, prop: Property, spec: Spec) -> Record | None:
    """The evidence of a result: a certificate where there is a payload, a witness where there is one, else None.

    Files are named as they were given.
    """
    verdict = str(result.verdict)
    if verdict in CLAIMS and result.payload is not None:
        query = query_text.encode(prop.query)
        proof = Certificate(subject_of(prop, spec), verdict, query, result.payload, dict(result.leaves))
        if result.semantics == "real" or proof.claim == "vacuous":
            return proof
        from verify.importer.rounding import float32_programs  # start-up time

        programs = {name: p.digest for name, p in float32_programs(prop.query, spec.networks).items()}
        return replace(proof, semantics=FLOAT32, programs=programs)
    if verdict in VERDICTS and result.witness is not None:
        inputs, outputs = (tuple(f.name for f in fields) for fields in (prop.query.inputs, prop.query.outputs))
        return WitnessFile(subject_of(prop, spec), verdict, prop.source, inputs, outputs, result.witness)
    return None


def models_of(prop: Property, spec: Spec) -> list[str]:
    """The names of the networks that a property is about."""
    used = {copy.model for copy in prop.query.copies}
    return [name for name in spec.networks if name in used] or list(spec.networks)


def relative_to(directory: FilePath, record: Record) -> Record:
    """The record with its files named as seen from `directory`."""

    def seen(ref: FileRef) -> FileRef:
        try:
            return FileRef(Path(os.path.relpath(ref.file, directory)).as_posix(), ref.sha256)
        except ValueError:  # another drive
            return FileRef(os.path.abspath(ref.file), ref.sha256)

    subject = record.subject
    networks = {name: seen(ref) for name, ref in subject.networks.items()}
    return replace(record, subject=replace(subject, spec=seen(subject.spec), networks=networks))


def file_name(subject: Subject, suffix: str) -> str:
    """NETWORK.PROPERTY.DIGEST8.suffix, in letters, digits, `_`, `-` and `+` only."""
    networks = [name or Path(ref.file).name.split(".")[0] for name, ref in subject.networks.items()]
    return f"{_plain('+'.join(networks))}.{_plain(subject.property)}.{subject.query_digest[:8]}.{suffix}"


def suffix(record: Record) -> str:
    """What the names of files with such a record end in."""
    if not isinstance(record, Certificate):
        return WITNESS
    return PROOF if record.semantics == "real" else FLOAT32_PROOF


def encode(record: Record) -> bytes:
    """The bytes of the record's file."""
    return certificate.encode(record) if isinstance(record, Certificate) else witness_file.encode(record)


def write(directory: FilePath, record: Record) -> Path:
    """Write a record into `directory`: the whole file or none.

    Raises EvidenceError E503 (cannot be written), E507 (beyond the limits of what is read back).
    """
    home = Path(directory)
    target = home / file_name(record.subject, suffix(record))
    data = encode(relative_to(home, record))
    try:
        certificate.decode(data) if isinstance(record, Certificate) else witness_file.decode(data)
    except RejectedError as problem:
        raise EvidenceError(
            "E507",
            f"no evidence is written: {problem.message}",
            place=Place(str(target)),
            fix="shorten the spec's names and numbers, or leave --certificate out",
        ) from None
    try:
        handle, temporary = tempfile.mkstemp(prefix=".writing-", dir=home)
        try:
            with os.fdopen(handle, "wb") as stream:
                stream.write(data)
            os.chmod(temporary, 0o666 & ~_umask())
            os.replace(temporary, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)
    except OSError as problem:
        raise _unwritable(target, problem) from None
    return target


class Keeper:
    """Writes the evidence of every result as it comes, and passes the result on with the file's path.

    Raises EvidenceError E503, at once when the directory cannot be made.
    """

    def __init__(self, directory: FilePath, on_result: Callable[[Result], None]) -> None:
        self.directory = directory
        self.on_result = on_result
        self.files: dict[str, str] = {}
        self.warnings: dict[str, str] = {}
        try:
            os.makedirs(directory, exist_ok=True)
        except OSError as problem:
            raise _unwritable(Path(directory), problem) from None

    def __call__(self, result: Result) -> None:
        if result.record is not None:
            try:
                self.files[result.name] = str(write(self.directory, result.record))
            except EvidenceError as problem:
                if problem.code != "E507":
                    raise
                self.warnings[result.name] = problem.message
        self.on_result(self._with_file(result))

    def complete(self, report: Report) -> Report:
        return replace(report, results=tuple(map(self._with_file, report.results)))

    def _with_file(self, result: Result) -> Result:
        more = (self.warnings[result.name],) if result.name in self.warnings else ()
        return replace(result, certificate=self.files.get(result.name), warnings=(*result.warnings, *more))


def subject_of(prop: Property, spec: Spec) -> Subject:
    """What evidence for a property is about; files are named as they were given."""
    networks = {name: spec.networks[name] for name in models_of(prop, spec)}
    return Subject(
        property=prop.name,
        spec=FileRef(spec.file, spec.sha256),
        networks={name: FileRef(model.file, model.sha256) for name, model in networks.items()},
        params=dict(spec.params),
        network_digest=prop.query.network.digest,
        query_digest=prop.query.digest,
        producer=PRODUCER,
    )


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_+-]+", "_", name)[:LONGEST_NAME] or "_"


def _unwritable(file: Path, problem: OSError) -> EvidenceError:
    reason = problem.strerror or str(problem)
    message = f"evidence cannot be written: {reason}"
    return EvidenceError("E503", message, place=Place(str(file)), fix="name another directory")


def _umask() -> int:
    """The process's umask, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
