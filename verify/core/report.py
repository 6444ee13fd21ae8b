"""Typed results: what the API returns and every output format prints."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from verify.core.property import Step
from verify.core.query import Query
from verify.core.verdict import Evidence, Statistics, Verdict, Witness
from verify.errors import DefectError, Place, VerifyError

if TYPE_CHECKING:  # start-up time
    from verify.core.witness_file import Record

EXIT_OK, EXIT_VIOLATED, EXIT_USAGE, EXIT_ERROR, EXIT_UNKNOWN, EXIT_VACUOUS, EXIT_DEFECT = 0, 1, 2, 3, 4, 5, 70
EXIT_ORDER = (EXIT_DEFECT, EXIT_ERROR, EXIT_VIOLATED, EXIT_VACUOUS, EXIT_UNKNOWN, EXIT_OK)  # worst first

_EXIT_OF_VERDICT = {
    Verdict.PROVED: EXIT_OK,
    Verdict.WITNESSED: EXIT_OK,
    Verdict.REFUTED: EXIT_VIOLATED,
    Verdict.FRAGILE: EXIT_VIOLATED,
    Verdict.NO_WITNESS: EXIT_VIOLATED,
    Verdict.UNKNOWN: EXIT_UNKNOWN,
    Verdict.VACUOUS: EXIT_VACUOUS,
    Verdict.ERROR: EXIT_ERROR,
}


@dataclass(frozen=True)
class Result:
    """The verdict on one property, with its evidence."""

    name: str  # of the property
    verdict: Verdict
    seconds: float
    title: str = ""
    source: str = ""
    expected: Verdict | None = None
    reason: str | None = None  # of UNKNOWN: timeout, memory, interrupted
    error: VerifyError | None = None
    settled: float = 1.0  # share of the input domain
    evidence: Evidence | None = None
    witness: Witness | None = None
    query: Query | None = None
    steps: tuple[Step, ...] = ()  # of closed loops, where there is a witness
    origin: Place | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    statistics: Statistics = field(default_factory=Statistics)
    payload: bytes | None = None  # the proof, for the kernel
    kernel_mode: str | None = None  # "reference" or "fast": the path of the kernel that accepted the payload
    leaves: tuple[tuple[str, int], ...] = ()  # of the payload, by the rule that closes them
    record: Record | None = None  # the evidence as a file would hold it, where it was asked for
    certificate: str | None = None  # the file that the evidence was written to
    semantics: str = "real"  # or "float32": the arithmetic that PROVED and NO WITNESS speak of

    @property
    def exit_code(self) -> int:
        """The exit code this result alone asks for."""
        if self.verdict is Verdict.ERROR:
            return EXIT_DEFECT if isinstance(self.error, DefectError) else EXIT_ERROR
        if self.expected is not None:
            return EXIT_OK if self.verdict is self.expected else EXIT_VIOLATED
        return _EXIT_OF_VERDICT[self.verdict]

    def __bool__(self) -> bool:
        raise TypeError("a result is not a truth value; compare result.verdict, for example with Verdict.PROVED")

    def __repr__(self) -> str:
        rest = f", reason={self.reason!r}" if self.reason else ""
        rest += f", evidence={str(self.evidence)!r}" if self.evidence else ""
        return f"Result({self.name!r}, {self.verdict}{rest}, {self.seconds:.2f} s)"


def worst_exit_code(codes: Iterable[int]) -> int:
    """The worst of several, in the contract's order; 0 for none."""
    found = set(codes)
    return next((code for code in EXIT_ORDER if code in found), EXIT_OK)


@dataclass(frozen=True)
class NetworkInfo:
    """Which model bytes a report speaks of."""

    file: str
    sha256: str
    digest: str


@dataclass(frozen=True)
class Report:
    """All results of one run, in the spec's order."""

    spec_file: str
    spec_sha256: str
    networks: Mapping[str, NetworkInfo]
    params: Mapping[str, str]
    results: tuple[Result, ...]
    semantics: str = "real"  # that was asked for

    @property
    def exit_code(self) -> int:
        """The worst of the results' codes, in the contract's order."""
        return worst_exit_code(r.exit_code for r in self.results)

    def __getitem__(self, name: str) -> Result:
        for result in self.results:
            if result.name == name:
                return result
        raise KeyError(f"no property {name!r}; there are {', '.join(r.name for r in self.results)}")

    def __iter__(self) -> Iterator[Result]:
        return iter(self.results)

    def __len__(self) -> int:
        return len(self.results)

    def __bool__(self) -> bool:
        raise TypeError("a report is not a truth value; look at its results or its exit_code")

    def __repr__(self) -> str:
        rows = "".join(f"\n  {r!r}" for r in self.results)
        return f"Report({self.spec_file!r}, {len(self.results)} properties){rows}"


@dataclass(frozen=True)
class Progress:
    """What a progress line shows while a property is being decided."""

    property: str
    elapsed_s: float
    settled: float
    open_subproblems: int
    phase: str = ""
