"""A model file and the exact network it means."""

from __future__ import annotations

from dataclasses import dataclass

from verify.core.network import Network
from verify.core.query import Selection


@dataclass(frozen=True, eq=False)
class Model:
    """An imported ONNX model.  `sha256` is of the file's bytes, un-gzipped.

    `hidden` names inner tensors that are outputs of the network too, after the model's own; `selection` is there
    when operators jump: the network then has one more input and perhaps one more output, see `Selection`.
    """

    file: str
    sha256: str
    network: Network
    hidden: tuple[str, ...] = ()
    selection: Selection | None = None

    def __repr__(self) -> str:
        return f"Model({self.file!r}, {self.network!r})"
