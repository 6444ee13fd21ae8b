"""A model file and the exact network it means."""

from __future__ import annotations

from dataclasses import dataclass

from verify.core.network import Network


@dataclass(frozen=True, eq=False)
class Model:
    """An imported ONNX model.  `sha256` is of the file's bytes, un-gzipped."""

    file: str
    sha256: str
    network: Network

    def __repr__(self) -> str:
        return f"Model({self.file!r}, {self.network!r})"
