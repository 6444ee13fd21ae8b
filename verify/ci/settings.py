"""Settings of `verify ci`: the file verify.toml.

    proofs = "proofs"                           where evidence is kept, a folder per spec; default "proofs"
    timeout = 60                                defaults of what follows: seconds, MB, processes
    memory = 4000
    jobs = 2
    semantics = "real"                          or "float32"

    [[spec]]
    file = "specs/cartpole.nnspec"              or a .vnnlib file, with  network = "model.onnx"
    networks = { pi = "models/policy.onnx" }    instead of those the spec names
    params = { eps = "0.01" }
    properties = ["falling_right"]              default: all
    proofs = "proofs/cartpole"                  default: the folder named like the spec, in `proofs`
    timeout = 10                                and memory, jobs, semantics

Paths are relative to the file.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

from verify.errors import EvidenceError, Place
from verify.run.deciding import SEMANTICS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

LIMITS = ("timeout", "memory", "jobs", "semantics")
TOP = ("proofs", *LIMITS, "spec")
ENTRY = ("file", "network", "networks", "params", "properties", "proofs", *LIMITS)


@dataclass(frozen=True)
class Target:
    """One spec with the models, params and limits it is decided with; paths as seen from the working directory."""

    spec: str
    proofs: str
    networks: Mapping[str, str]
    params: Mapping[str, str]
    properties: tuple[str, ...] | None = None
    timeout: float | None = None
    memory: float | None = None
    jobs: int = 1
    semantics: str = "real"


def read_settings(file: str) -> tuple[Target, ...]:
    """Raises EvidenceError E506 with the reason."""
    reader = _Reader(file)
    try:
        found = tomllib.loads(Path(file).read_text("utf-8"), parse_float=Decimal)
    except FileNotFoundError:
        raise reader.error("no such file", "write one; `docs/ci.md` shows how") from None
    except (OSError, ValueError, RecursionError) as problem:
        raise reader.error(f"cannot be read: {problem}") from None
    reader.known(found, TOP, "the file")
    entries = found.get("spec", [])
    if not isinstance(entries, list) or not entries or not all(isinstance(entry, dict) for entry in entries):
        raise reader.error("it names no spec", "add a table [[spec]] with file = …")
    defaults = {key: found[key] for key in LIMITS if key in found}
    targets = tuple(reader.target(entry, defaults, reader.text(found, "proofs", "proofs")) for entry in entries)
    homes = [target.proofs for target in targets]
    for home in homes:
        if homes.count(home) > 1:
            raise reader.error(f"two specs keep their evidence in {home!r}", 'give one of them a folder: proofs = "…"')
    return targets


@dataclass(frozen=True)
class _Reader:
    file: str

    def target(self, entry: Mapping[str, Any], defaults: Mapping[str, Any], proofs: str) -> Target:
        self.known(entry, ENTRY, "[[spec]]")
        spec = self.text(entry, "file")
        networks = {name: self.path(file) for name, file in self.texts(entry, "networks").items()}
        if "network" in entry:
            networks[""] = self.path(self.text(entry, "network"))
        home = self.text(entry, "proofs", f"{proofs}/{Path(spec).name.split('.')[0]}")
        properties = entry.get("properties")
        if properties is not None and not (
            isinstance(properties, list) and properties and all(isinstance(name, str) for name in properties)
        ):
            raise self.error("properties is not a list of names")
        limits = {**defaults, **{key: entry[key] for key in LIMITS if key in entry}}
        jobs = limits.get("jobs", 1)
        if type(jobs) is not int or jobs < 1:
            raise self.error("jobs is not a whole number above 0")
        semantics = self.text(limits, "semantics", "real")
        if semantics not in SEMANTICS:
            raise self.error(f"semantics {semantics!r} is not known", f"there are {', '.join(SEMANTICS)}")
        return Target(
            self.path(spec),
            self.path(home),
            networks,
            self.texts(entry, "params"),
            None if properties is None else tuple(properties),
            self.limit(limits, "timeout"),
            self.limit(limits, "memory"),
            jobs,
            semantics,
        )

    def known(self, table: Mapping[str, Any], keys: tuple[str, ...], what: str) -> None:
        for key in table:
            if key not in keys:
                raise self.error(f"{what} has no setting {key!r}", f"there are {', '.join(keys)}")

    def text(self, table: Mapping[str, Any], key: str, default: str | None = None) -> str:
        value = table.get(key, default)
        if not isinstance(value, str) or not value or "\0" in value:
            raise self.error(f"{key} is missing or no text", f'write {key} = "…"')
        return value

    def texts(self, table: Mapping[str, Any], key: str) -> dict[str, str]:
        """A table of texts; numbers are taken as they are written."""
        value = table.get(key, {})
        if not isinstance(value, dict):
            raise self.error(f"{key} is not a table")
        for name, entry in value.items():
            if isinstance(entry, bool) or not isinstance(entry, (str, int, Decimal)):
                raise self.error(f"{key}: {name} is neither text nor number")
        return {name: str(entry) for name, entry in value.items()}

    def limit(self, table: Mapping[str, Any], key: str) -> float | None:
        value = table.get(key)
        if value is None:
            return None
        number = 0.0 if isinstance(value, bool) or not isinstance(value, (int, Decimal)) else float(value)
        if not number > 0:
            raise self.error(f"{key} is not a number above 0")
        return number

    def path(self, name: str) -> str:
        return str(Path(self.file).parent / name)

    def error(self, message: str, fix: str = "mend the settings; `docs/ci.md` lists them") -> EvidenceError:
        return EvidenceError("E506", message, fix=fix, place=Place(self.file))
