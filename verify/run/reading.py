"""Reading a spec together with its models."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike, fspath
from pathlib import Path
from typing import TYPE_CHECKING, Union

from verify.core.property import Property
from verify.core.report import NetworkInfo
from verify.core.verdict import Verdict
from verify.errors import InputError, ModelError, Place, SpecError, UsageError, VnnlibError

if TYPE_CHECKING:
    from verify.importer.load import Box
    from verify.importer.model import Model
    from verify.spec.values import FieldInfo

FilePath = Union[str, "PathLike[str]"]


@dataclass(frozen=True, eq=False)
class Spec:
    """A spec read together with its networks: properties ready to decide."""

    file: str
    sha256: str
    properties: tuple[Property, ...]
    networks: Mapping[str, Model]
    params: Mapping[str, str]

    def __repr__(self) -> str:
        return f"Spec({self.file!r}, properties={[p.name for p in self.properties]})"


@dataclass(frozen=True)
class Outline:
    """What is known of a property before its models are read, and all that a report needs when it is not decided."""

    name: str
    title: str = ""
    source: str = ""
    expected: Verdict | None = None
    timeout_s: float | None = None
    origin: Place | None = None
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @classmethod
    def of(cls, prop: Property) -> Outline:
        notes = (*prop.notes, *prop.query.network.notes)
        return cls(prop.name, prop.title, prop.source, prop.expected, prop.timeout_s, prop.origin, prop.warnings, notes)


@dataclass(frozen=True)
class Request:
    """Which files to read: a .nnspec file, or a VNN-LIB file (.vnnlib or .txt, perhaps .gz) with its models.

    `standard` takes any other file as VNN-LIB too; `strict_types` refuses what is not decided in its own type.
    """

    path: str
    networks: Mapping[str, str]
    params: Mapping[str, str]
    standard: bool = False
    strict_types: bool = False

    @classmethod
    def of(cls, path: FilePath, networks: Mapping[str, FilePath] | None, params: Mapping[str, str] | None) -> Request:
        files = {name: fspath(file) for name, file in (networks or {}).items()}
        return cls(fspath(path), files, dict(params or {}))

    @property
    def is_vnnlib(self) -> bool:
        suffixes = Path(self.path).suffixes
        return self.standard or ".vnnlib" in suffixes or suffixes[-1:] == [".txt"] or suffixes[-2:] == [".txt", ".gz"]

    @property
    def stem(self) -> str:
        """The file's name without its suffixes."""
        name = Path(self.path).name.removesuffix(".gz")
        return name.rsplit(".", 1)[0] if "." in name[1:] else name


def load(path: FilePath, *, hidden: Sequence[str] = (), box: Box | None = None) -> Model:
    """Import an ONNX model exactly; `hidden` and `box` as in verify.importer.load.  Raises ModelError."""
    from verify.importer import load as load_model

    try:
        return load_model(path, hidden=hidden, box=box)
    except ModelError as error:
        error.place = error.place or Place(fspath(path))
        raise


def read(request: Request, on_outline: Callable[[tuple[Outline, ...]], None] = lambda _: None) -> Spec:
    """Read a spec; its properties are announced before the models are opened.

    Raises UsageError, SpecError, VnnlibError, ModelError, QueryError; the spec's own mistakes come first.
    """
    file = Path(request.path)
    if request.is_vnnlib:
        from verify.run.reading_vnnlib import read_vnnlib

        return read_vnnlib(request, on_outline)
    text, digest = read_text(file, SpecError)
    return read_nnspec(text, digest, request, on_outline)


def read_nnspec(
    text: str,
    digest: str,
    request: Request,
    on_outline: Callable[[tuple[Outline, ...]], None] = lambda _: None,
) -> Spec:
    """Read the text of a .nnspec file; model files are relative to the folder of `request.path`.  Raises as `read`."""
    file = Path(request.path)
    # by submodule: `verify.spec.parse` is the function until the submodule of that name has been imported
    from verify.spec.check import check_spec
    from verify.spec.lower import lower_spec
    from verify.spec.parse import parse_text

    tree = parse_text(text, request.path)
    _check_networks(tree.networks, request.networks)
    checked = check_spec(tree, request.params)
    on_outline(tuple(
        Outline(p.name, p.title, p.source, p.expected, p.timeout_s, p.origin) for p in checked.properties
    ))  # fmt: skip
    models = {}
    for name, declared in tree.networks.items():
        path = request.networks[name] if name in request.networks else file.parent / (declared or "")
        models[name] = _load_declared(path, checked.declared.networks[name].outputs.hidden())
    properties = lower_spec(tree, {name: model.network for name, model in models.items()}, request.params)
    return Spec(request.path, digest, properties, models, request.params)


def _load_declared(path: FilePath, hidden: Sequence[FieldInfo]) -> Model:
    """Raises ModelError; SpecError E345 for a hidden field that the model does not have."""
    try:
        return load(path, hidden=[f.tensor for f in hidden])
    except ModelError as error:
        field = next((f for f in hidden if error.code == "E122" and repr(f.tensor) in error.message), None)
        if field is None:
            raise
        raise SpecError("E345", error.message, fix=error.fix, place=field.place) from None


def _check_networks(declared: Mapping[str, str | None], given: Mapping[str, str]) -> None:
    for name in given:
        if name not in declared:
            known = ", ".join(declared) or "none"
            raise UsageError(
                "E003",
                f"the spec declares no network {name!r}" if name else "the network needs a name here",
                fix=f"write --network NAME=FILE with one of: {known}",
            )
    for name, file in declared.items():
        if file is None and name not in given:
            raise UsageError("E004", f"network {name!r} has no file", fix=f"give it: --network {name}=FILE.onnx")


def network_infos(spec: Spec) -> dict[str, NetworkInfo]:
    """Which model bytes `spec` speaks of, by network name."""
    return {n: NetworkInfo(m.file, m.sha256, m.network.digest) for n, m in spec.networks.items()}


def read_text(file: Path, error: type[InputError]) -> tuple[str, str]:
    """The text of a file (un-gzipped when it ends in .gz) and the SHA-256 of its bytes.

    Raises `error` E290-E292 or E390-E392: no such file, cannot be read, not UTF-8.
    """
    prefix = "E2" if error is VnnlibError else "E3"
    place = Place(str(file))
    try:
        data = file.read_bytes()
        if file.suffix == ".gz":
            data = gzip.decompress(data)
        return data.decode("utf-8"), hashlib.sha256(data).hexdigest()
    except FileNotFoundError:
        raise error(f"{prefix}90", "no such file", place=place, fix="check the path") from None
    except UnicodeDecodeError as problem:
        raise error(
            f"{prefix}92", f"not UTF-8 text (byte {problem.start})", place=place, fix="save the file as UTF-8"
        ) from None
    except (OSError, EOFError, ValueError, zlib.error) as problem:
        reason = problem.strerror if isinstance(problem, OSError) and problem.strerror else str(problem)
        raise error(f"{prefix}91", f"cannot be read: {reason}", place=place, fix="check the file") from None
