"""The .nnspec language: text -> syntax -> checked meaning -> exact queries.

    spec = parse(text, file)                     # SpecFile: networks, params, properties
    properties = lower(spec, networks, params)   # tuple of verify.core.property.Property

The parser is imported on first use: reading a VNN-LIB file does not pay for it.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from verify.core.network import Network
    from verify.core.property import Property
    from verify.spec.syntax import SpecFile

__all__ = ["check", "lower", "parse"]


def parse(text: str, file: str) -> SpecFile:
    """The syntax tree of a .nnspec file; `file` is the name shown in errors.  Raises SpecError."""
    from verify.spec.parse import parse_text

    return parse_text(text, file)


def check(spec: SpecFile, params: Mapping[str, str]) -> None:
    """Find every mistake that needs no model: names, kinds, units, linearity, params.  Raises SpecError."""
    from verify.spec.check import check_spec

    check_spec(spec, params)


def lower(spec: SpecFile, networks: Mapping[str, Network], params: Mapping[str, str]) -> tuple[Property, ...]:
    """Every property as an exact query.  `networks`: name -> model; `params`: name -> text, overriding defaults.

    Checks the spec first.  Raises SpecError, also where a declaration does not match its model.
    """
    from verify.spec.lower import lower_spec

    return lower_spec(spec, networks, params)


class _Package(ModuleType):
    """Importing the submodule `parse` (check, lower) must not put it in the place of the function of that name."""

    def __setattr__(self, name: str, value: object) -> None:
        if not (isinstance(value, ModuleType) and name in __all__):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
