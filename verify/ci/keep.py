"""One spec of `verify ci`: stored evidence is checked, what it does not cover is decided again.

    stored evidence …                    then
    is accepted, the files are the same  nothing is searched
    is accepted, other bytes of files    (a comment was edited) the same proof holds; its header is written anew
    is missing, stale or rejected        the property is decided again, with the old proof as a hint
    is of no property                    it is removed

Whatever had to be written is a failure unless `update` is set.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

from verify import api
from verify.ci.settings import Target
from verify.core.certificate import CLAIMS, Certificate, Subject
from verify.core.property import Property
from verify.core.report import EXIT_DEFECT, EXIT_ERROR, EXIT_OK, EXIT_VIOLATED, Result
from verify.core.verdict import Verdict
from verify.core.witness_file import VERDICTS, Record
from verify.errors import DefectError, RejectedError, VerifyError
from verify.recheck import Checker, compare_files, decode, read_bytes
from verify.run.recording import FLOAT32_PROOF, PROOF, WITNESS, file_name, subject_of, suffix, write

SUFFIXES = (PROOF, WITNESS)  # float32 proofs end in the first too
CHECKED, DECIDED = "checked", "decided"


@dataclass(frozen=True)
class Case:
    """One property (or file, or spec) of one spec.  `how`: checked, decided, or empty."""

    spec: str
    name: str
    verdict: Verdict | None = None
    expected: Verdict | None = None
    how: str = ""
    seconds: float = 0.0
    file: str | None = None  # of the evidence
    problems: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    error: VerifyError | None = None

    @property
    def exit_code(self) -> int:
        if self.error is not None:
            return EXIT_DEFECT if isinstance(self.error, DefectError) else EXIT_ERROR
        return EXIT_VIOLATED if self.problems else EXIT_OK


@dataclass(frozen=True)
class Stored:
    """One evidence file; `record` is None when it cannot be read."""

    path: Path
    record: Record | None
    problem: str = ""


@dataclass
class Keeper:
    """Keeps the evidence of one target; `on_case` gets every case as it is settled."""

    target: Target
    update: bool
    checker: Checker
    on_case: Callable[[Case], None]
    _names: set[str] = field(default_factory=set)  # that evidence of the properties has or would have

    def run(self) -> list[Case]:
        """All cases: properties in the spec's order, then files that are of none."""
        target = self.target
        try:
            spec = api.read_spec(target.spec, networks=target.networks, params=target.params)
            chosen = self._chosen(spec)
        except VerifyError as error:
            return [self._settled(Case(target.spec, "", error=error))]
        stored = scan(Path(target.proofs))
        cases: dict[str, Case] = {}
        open_properties: dict[str, str] = {}
        for prop in chosen:
            found = self._checked(prop, spec, stored)
            if isinstance(found, Case):
                cases[prop.name] = self._settled(found)
            else:
                open_properties[prop.name] = found
        for case in self._decide(chosen, open_properties, stored):
            cases[case.name] = self._settled(case)
        extra = [self._settled(case) for case in self._orphans(stored, cases)]
        return [*(cases[prop.name] for prop in chosen if prop.name in cases), *extra]

    def _chosen(self, spec: api.Spec) -> list[Property]:
        from verify.run.execute import choose
        from verify.run.reading import Outline

        places = choose([Outline.of(p) for p in spec.properties], self.target.properties, spec.file)
        return [spec.properties[place] for place in places]

    def _settled(self, case: Case) -> Case:
        self.on_case(case)
        return case

    def _checked(self, prop: Property, spec: api.Spec, stored: dict[str, Stored]) -> Case | str:
        """The case of a property whose stored evidence is good; else why it has to be decided again."""
        start = time.monotonic()
        subject = subject_of(prop, spec)
        names = [file_name(subject, suffix) for suffix in self._suffixes(subject, stored)]
        self._names.update(names)
        found = [stored[name] for name in names if name in stored]
        if not found:
            old = of_property(stored, prop.name)
            return "the stored evidence is stale: spec or model have changed" if old else "no evidence is stored"
        if len(found) > 1:
            return "there is both a certificate and a witness"
        record = found[0].record
        if record is None:
            return f"the stored evidence is rejected: {found[0].problem}"
        if isinstance(record, Certificate) and suffix(record) != found[0].path.name.split(".", 3)[3]:
            return f"the stored evidence is of semantics {record.semantics}"
        if record.subject.property != prop.name:
            return "the stored evidence is of another property"
        try:
            _, notes = self.checker.judge(record, prop, spec)
        except VerifyError as error:
            return f"the stored evidence is rejected: {error.message}"
        problems = [*expectation(Verdict(record.verdict), prop.expected)]
        if not self._same_files(record, prop, spec):
            problems.append("the stored evidence names other bytes of spec or model")
        seconds = time.monotonic() - start
        verdict, file = Verdict(record.verdict), str(found[0].path)
        return Case(spec.file, prop.name, verdict, prop.expected, CHECKED, seconds, file, tuple(problems), notes)

    def _suffixes(self, subject: Subject, stored: dict[str, Stored]) -> tuple[str, ...]:
        """What the names of a property's evidence may end in: VACUOUS is the same in both semantics."""
        if self.target.semantics == "real":
            return (PROOF, WITNESS)
        plain = stored.get(file_name(subject, PROOF))
        vacuous = plain is not None and isinstance(plain.record, Certificate) and plain.record.claim == "vacuous"
        return (FLOAT32_PROOF, PROOF, WITNESS) if vacuous else (FLOAT32_PROOF, WITNESS)

    def _same_files(self, record: Record, prop: Property, spec: api.Spec) -> bool:
        """Whether a record names the bytes that were read; with `update` it is made to."""
        try:
            compare_files(record.subject, spec)
        except RejectedError:
            if self.update:
                write(self.target.proofs, replace(record, subject=subject_of(prop, spec)))
            return self.update
        return True

    def _decide(self, chosen: list[Property], reasons: dict[str, str], stored: dict[str, Stored]) -> list[Case]:
        if not reasons:
            return []
        target = self.target
        hints, before = {}, {}
        for name in reasons:
            for old in of_property(stored, name):
                if old.record is not None:
                    before[name] = old.record.verdict
                if isinstance(old.record, Certificate):
                    hints[name] = old.record.payload
        try:
            report = api.prove_files(
                target.spec,
                networks=target.networks,
                params=target.params,
                properties=list(reasons),
                timeout=target.timeout,
                memory=target.memory,
                jobs=target.jobs,
                semantics=target.semantics,
                certificates=target.proofs if self.update else None,
                known=hints,
            )
        except VerifyError as error:
            return [Case(target.spec, p.name, error=error) for p in chosen if p.name in reasons]
        return [self._case(result, reasons[result.name], before.get(result.name)) for result in report]

    def _case(self, result: Result, reason: str, before: str | None) -> Case:
        """A decided property.  A PROVED that is lost is a regression, unless the spec expects the new verdict."""
        problems = list(expectation(result.verdict, result.expected))
        if before in CLAIMS and str(result.verdict) != before and result.verdict is not result.expected:
            problems.append(f"it was {before}")
        decided = str(result.verdict) in (*CLAIMS, *VERDICTS)
        if decided and self.update and result.certificate is None:
            rests = "" if result.evidence is None else f": it rests on {result.evidence}"
            problems.append(f"there is no evidence to keep{rests}")
        elif decided and not self.update:
            problems.append(f"{reason}; `verify ci --update` writes it")
        return Case(
            self.target.spec,
            result.name,
            result.verdict,
            result.expected,
            DECIDED,
            result.seconds,
            result.certificate,
            tuple(problems),
            result.notes,
            result.error,
        )

    def _orphans(self, stored: dict[str, Stored], cases: dict[str, Case]) -> list[Case]:
        """Files that are not the evidence of a property: removed, or a failure each.

        Old evidence of a property that was decided again stays until there is new evidence; its case tells of it.
        """
        current = {case.file for case in cases.values()}
        pending = {name for name, case in cases.items() if case.how != CHECKED and case.file is None}
        left = []
        for name, old in sorted(stored.items()):
            waits = name in self._names if old.record is None else old.record.subject.property in pending
            if waits or str(old.path) in current:
                continue
            if self.update:
                with contextlib.suppress(FileNotFoundError):
                    old.path.unlink()
            else:
                problem = "this file is not the evidence of any property; `verify ci --update` removes it"
                left.append(Case(self.target.spec, name, problems=(problem,), file=str(old.path)))
        return left


def scan(directory: Path) -> dict[str, Stored]:
    """The evidence files of a directory by name."""
    stored = {}
    for path in sorted(directory.glob("*")) if directory.is_dir() else []:
        if path.suffix.lstrip(".") in SUFFIXES:
            try:
                stored[path.name] = Stored(path, decode(read_bytes(path)))
            except VerifyError as error:
                stored[path.name] = Stored(path, None, error.message)
    return stored


def of_property(stored: dict[str, Stored], name: str) -> list[Stored]:
    """The files that are about a property."""
    return [s for s in stored.values() if s.record is not None and s.record.subject.property == name]


def expectation(verdict: Verdict, expected: Verdict | None) -> tuple[str, ...]:
    """What is wrong with a verdict by itself."""
    if expected is not None:
        return () if verdict is expected else (f"{verdict}, but the spec says @expect({expected.value.lower()})",)
    return () if verdict in (Verdict.PROVED, Verdict.WITNESSED) else (f"{verdict}",)
