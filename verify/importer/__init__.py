"""ONNX models in, exact networks out.  One file per operator family; `operators` is the table."""

from verify.importer.assemble import prune
from verify.importer.inspection import Inspection, TensorInfo, inspect, spec_skeleton
from verify.importer.load import Unsupported, load
from verify.importer.model import Model

__all__ = ["Inspection", "Model", "TensorInfo", "Unsupported", "inspect", "load", "prune", "spec_skeleton"]
