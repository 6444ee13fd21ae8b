"""ONNX models in, exact networks out.  One file per operator family; `operators` is the table.

Everything but `Model` is imported on first use: who only names a model does not pay for onnx.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import TYPE_CHECKING, Any

from verify.importer.model import Model

if TYPE_CHECKING:
    from verify.importer.assemble import prune
    from verify.importer.inspection import Inspection, TensorInfo, inspect, spec_skeleton
    from verify.importer.load import Unsupported, load

__all__ = ["Inspection", "Model", "TensorInfo", "Unsupported", "inspect", "load", "prune", "spec_skeleton"]

_HOME = {
    "prune": "assemble",
    **dict.fromkeys(("Inspection", "TensorInfo", "inspect", "spec_skeleton"), "inspection"),
    **dict.fromkeys(("Unsupported", "load"), "load"),
}


def __getattr__(name: str) -> Any:
    if name in _HOME:
        from importlib import import_module

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


class _Package(ModuleType):
    """`load` is the function, though a submodule of the same name would replace it when imported."""

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, value.load if name == "load" and isinstance(value, ModuleType) else value)


sys.modules[__name__].__class__ = _Package
