"""Certificate files, format `VCERT 1` (standard library only).

    "VCERT 1\\n" · u32 length · header · compressed query and payload (verify.core.packing)     integers little-endian

The header is canonical JSON of a closed schema: what is claimed, about which bytes, by which rules.  The query is
canonical JSON too (verify.core.query_text); the payload is the kernel's.  Nothing here judges a proof.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from verify.core import canonical_json
from verify.core.canonical_json import closed, malformed, table
from verify.core.packing import compress, decompress, prefixed
from verify.errors import EvidenceError

MAGIC = b"VCERT 1\n"
RULES = ("K1",)  # sets of proof rules that this version's kernel checks
LOWERING = 1  # raise it when the same spec lowers to another query than before
MAX_FILE = 64 << 20
MAX_HEADER = 1 << 20
CLAIMS = {"PROVED": "unsat", "NO WITNESS": "unsat", "VACUOUS": "vacuous"}
QUANTIFIERS = {"PROVED": ("forall",), "NO WITNESS": ("exists",), "VACUOUS": ("forall", "exists")}
REAL, FLOAT32 = "real", "float32-any-order"
SEMANTICS = (REAL, FLOAT32)
_OTHER_VERSION = re.compile(rb"VCERT [0-9]{1,6}\n")
HEX = frozenset("0123456789abcdef")
_KEYS: dict[str, type | tuple[type, ...]] = {
    "rule": str,
    "claim": str,
    "verdict": str,
    "semantics": str,
    "leaves": dict,
}


@dataclass(frozen=True)
class FileRef:
    """A file, as a path relative to the evidence file (or as given), and the SHA-256 of its un-gzipped bytes."""

    file: str
    sha256: str


@dataclass(frozen=True)
class Subject:
    """What a piece of evidence is about: which property of which bytes."""

    property: str
    spec: FileRef
    networks: Mapping[str, FileRef]
    params: Mapping[str, str]
    network_digest: str
    query_digest: str
    lowering: int = LOWERING
    producer: Mapping[str, str] = field(default_factory=dict)  # name, version


@dataclass(frozen=True)
class Certificate:
    """A proof and its claim.  `leaves`: how many leaves each rule closed, as the producer counted them."""

    subject: Subject
    verdict: str
    query: bytes  # as verify.core.query_text.encode writes it
    payload: bytes
    leaves: Mapping[str, int]
    rule: str = RULES[-1]
    semantics: str = REAL
    programs: Mapping[str, str] = field(default_factory=dict)  # float32: the digest of each network's program

    @property
    def claim(self) -> str:
        """What the kernel must accept: "unsat" or "vacuous"."""
        return CLAIMS[self.verdict]


_FLOAT32_KEYS: dict[str, type | tuple[type, ...]] = {"programs": dict}
SUBJECT_KEYS: dict[str, type | tuple[type, ...]] = {
    "property": str,
    "spec": dict,
    "networks": dict,
    "params": dict,
    "network_digest": str,
    "query_digest": str,
    "lowering": int,
    "producer": dict,
}


def encode(certificate: Certificate) -> bytes:
    """The file's bytes."""
    header = canonical_json.dumps(
        {
            **subject_fields(certificate.subject),
            "rule": certificate.rule,
            "claim": certificate.claim,
            "verdict": certificate.verdict,
            "semantics": certificate.semantics,
            "leaves": dict(certificate.leaves),
            **({"programs": dict(certificate.programs)} if certificate.semantics == FLOAT32 else {}),
        }
    )
    return MAGIC + struct.pack("<I", len(header)) + header + compress(certificate.query, certificate.payload)


def decode(data: bytes) -> Certificate:
    """The certificate in a file's bytes, in bounded memory and time.

    Raises RejectedError E510 (malformed), EvidenceError E502 (another version or rule set).
    """
    if not data.startswith(MAGIC):
        if _OTHER_VERSION.match(data):
            raise EvidenceError("E502", "another version of the certificate format", fix="use a newer verify")
        raise malformed("not a certificate: it does not begin with VCERT 1")
    header, rest = prefixed(data[len(MAGIC) :], MAX_HEADER, "the header")
    value = canonical_json.loads(header, "the header")
    float32 = isinstance(value, dict) and value.get("semantics") == FLOAT32
    found = closed(value, {**SUBJECT_KEYS, **_KEYS, **(_FLOAT32_KEYS if float32 else {})}, "the header")
    if found["rule"] not in RULES:
        raise EvidenceError(
            "E502", f"rule set {found['rule'][:20]!r} is not known here", fix=f"known: {', '.join(RULES)}"
        )
    of_inputs = float32 and found["claim"] == "vacuous"  # says nothing of networks
    if CLAIMS.get(found["verdict"]) != found["claim"] or found["semantics"] not in SEMANTICS or of_inputs:
        raise malformed("the header's verdict, claim and semantics do not fit together")
    programs = table(found.get("programs", {}), str, "the header: 'programs'")
    for digest in programs.values():
        _check_hash(digest, "the header: 'programs'")
    leaves = table(found["leaves"], int, "the header: 'leaves'")
    if any(count < 0 for count in leaves.values()):
        raise malformed("the header: 'leaves' counts below 0")
    query, payload = decompress(rest)
    subject, rule, semantics = read_subject(found), found["rule"], found["semantics"]
    return Certificate(subject, found["verdict"], query, payload, leaves, rule, semantics, programs)


def subject_fields(subject: Subject) -> dict[str, Any]:
    return asdict(subject)


def read_subject(found: Mapping[str, Any]) -> Subject:
    """From fields that have the types of SUBJECT_KEYS.  Raises RejectedError E510."""
    producer = table(found["producer"], str, "'producer'")
    closed(producer, {"name": str, "version": str}, "'producer'")
    for key in ("network_digest", "query_digest"):
        _check_hash(found[key], key)
    return Subject(
        property=found["property"],
        spec=_file(found["spec"], "'spec'"),
        networks={name: _file(entry, f"network {name[:40]!r}") for name, entry in found["networks"].items()},
        params=table(found["params"], str, "'params'"),
        network_digest=found["network_digest"],
        query_digest=found["query_digest"],
        lowering=found["lowering"],
        producer=producer,
    )


def _file(entry: Any, what: str) -> FileRef:
    found = closed(entry, {"file": str, "sha256": str}, what)
    _check_hash(found["sha256"], what)
    if not found["file"] or "\0" in found["file"]:
        raise malformed(f"{what}: no file is named")
    return FileRef(found["file"], found["sha256"])


def _check_hash(text: str, what: str) -> None:
    if len(text) != 64 or not HEX.issuperset(text):
        raise malformed(f"{what} is not a SHA-256 in hexadecimal")
