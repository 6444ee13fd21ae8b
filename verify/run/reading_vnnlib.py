"""Reading a VNN-LIB file, version 1 or 2, together with its models."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from verify.core.network import Port
from verify.core.property import Property
from verify.core.query import conjunction
from verify.errors import ModelError, Place, UsageError, VnnlibError
from verify.run.reading import Outline, Request, Spec, load, read_text

if TYPE_CHECKING:
    from verify.importer.model import Model
    from verify.spec.vnnlib2 import Declaration, Document
    from verify.spec.vnnlib2_matching import BoundModel, Interval


def read_vnnlib(request: Request, on_outline: Callable[[tuple[Outline, ...]], None]) -> Spec:
    """Raises UsageError, VnnlibError, ModelError, QueryError; the file's own mistakes come first."""
    from verify.spec import vnnlib

    text, digest = read_text(Path(request.path), VnnlibError)
    if request.params:
        raise UsageError("E005", "a VNN-LIB file has no params", fix="leave out -p / --param")
    outline = Outline(vnnlib.property_name(request.path), origin=Place(request.path))
    if vnnlib.is_version_2(text):
        from verify.spec import vnnlib2

        on_outline((outline,))
        document = vnnlib2.parse(text, request.path)
        item, models = _read_version_2(request, document)
    else:
        item, models = _read_version_1(request, text, lambda: on_outline((outline,)))
    return Spec(request.path, digest, (item,), models, {})


def _read_version_1(request: Request, text: str, announce: Callable[[], None]) -> tuple[Property, dict[str, Model]]:
    from verify.spec import vnnlib

    if len(request.networks) != 1:
        raise UsageError("E004", "a VNN-LIB file needs one network", fix="give it: --network FILE.onnx")
    announce()
    ((name, model_file),) = request.networks.items()
    document = vnnlib.parse(text, request.path)

    def box(ports: Sequence[Port]) -> Sequence[Interval]:
        from verify.spec.vnnlib2_matching import enclosing_box

        size = sum(p.size for p in ports)
        vnnlib.check_declarations(document, "X", document.inputs, size)
        return enclosing_box(conjunction(document.asserts), [(i, f"X_{i}") for i in range(size)])

    model = load(model_file, box=box)
    return vnnlib.bind(document, model.network, model.selection), {name: model}


def _read_version_2(request: Request, document: Document) -> tuple[Property, dict[str, Model]]:
    from verify.spec.vnnlib2_binding import bind

    files = _files(request, document)
    models: dict[str, Model] = {}
    bound: dict[str, BoundModel] = {}
    for declaration in document.networks:
        file = files[document.model_of(declaration)]
        models[declaration.name], bound[declaration.name] = _load(document, declaration, file)
    for declaration in document.networks:
        if declaration.relation is not None and declaration.relation[0] == "isomorphic-to":
            _check_isomorphic(document, declaration, files)
    return bind(document, bound, strict_types=request.strict_types), models


def _files(request: Request, document: Document) -> dict[str, str]:
    """The model file of every network that needs one.  Raises UsageError E003, E004."""
    needed = [d.name for d in document.networks if document.model_of(d) == d.name]
    given: Mapping[str, str] = request.networks
    if len(needed) == 1 and set(given) == {""}:
        given = {needed[0]: given[""]}
    equal = {d.name: document.model_of(d) for d in document.networks if d.name not in needed}
    for name, file in given.items():
        if name in equal and given.get(equal[name]) != file:
            fix = f"leave out --network {name}=…"
            raise UsageError(
                "E003", f"network {name!r} is equal to {equal[name]!r} and has no model of its own", fix=fix
            )
        if name not in needed and name not in equal:
            what = f"the query declares no network {name!r}" if name else "the network needs a name here"
            raise UsageError("E003", what, fix=f"write --network NAME=FILE.onnx with one of: {', '.join(needed)}")
    missing = [name for name in needed if name not in given]
    if missing:
        fix = f"give it: --network {missing[0]}=FILE.onnx"
        raise UsageError("E004", f"network {missing[0]!r} has no model", fix=fix)
    return {name: given[name] for name in needed}


def _load(document: Document, declaration: Declaration, file: str) -> tuple[Model, BoundModel]:
    from verify.spec.vnnlib2_matching import BoundModel, input_box

    hidden = declaration.of_kind("hidden")
    names = [t.onnx_name for t in hidden if t.onnx_name is not None]
    try:
        model = load(file, hidden=names, box=lambda ports: input_box(document, declaration, ports))
    except ModelError as error:
        tensor = next((t for t in hidden if error.code == "E122" and repr(t.onnx_name) in error.message), None)
        if tensor is None:
            raise
        place = document.source.place(tensor.token)
        raise VnnlibError("E219", error.message, fix=error.fix, place=place) from None
    defaults = None
    if any(t.initialized for t in declaration.tensors):
        from verify.importer.structure import default_inputs

        defaults = default_inputs(file)
    return model, BoundModel(model.network, len(hidden), model.selection, defaults)


def _check_isomorphic(document: Document, declaration: Declaration, files: Mapping[str, str]) -> None:
    from verify.importer.structure import graph_structure

    assert declaration.relation is not None
    other = declaration.relation[1]
    if graph_structure(files[declaration.name]) != graph_structure(files[other]):
        message = (
            f"network {declaration.name!r} is isomorphic-to {other!r}, but their models differ in more than weights"
        )
        place = document.source.place(declaration.token)
        raise VnnlibError("E221", message, fix="remove (isomorphic-to …), or give models of one structure", place=place)
