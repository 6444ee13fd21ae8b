"""The public benchmark files, where they are to be had."""

import csv
import gzip
from pathlib import Path

import pytest

from verify.core.exact import Numbers
from verify.core.network import Block, Matrix, Network, Port, Term
from verify.core.normal_form import normal_form
from verify.core.query import FALSE, mentions_outputs
from verify.spec.vnnlib import read

CORPUS = Path(__file__).parents[3] / "shared" / "bench" / "dev"
SAMPLES_PER_FAMILY = 3


def samples() -> list[tuple[str, int, int]]:
    """A few different files of every family with their network's input and output sizes."""
    table = CORPUS / "instances.csv"
    if not table.exists():
        return []
    families: dict[str, dict[str, tuple[str, int, int]]] = {}
    with table.open(encoding="utf-8") as lines:
        for row in csv.DictReader(lines):
            item = (row["vnnlib"], int(row["n_inputs"]), int(row["n_outputs"]))
            families.setdefault(row["family"], {})[row["vnnlib"]] = item
    chosen = [sorted(files.values())[:: max(1, len(files) // SAMPLES_PER_FAMILY)] for files in families.values()]
    return [item for items in chosen for item in items[:SAMPLES_PER_FAMILY]]


def constant_network(inputs: int, outputs: int) -> Network:
    nothing = Matrix.sparse(outputs, inputs, [0] * (outputs + 1), [], Numbers.zeros(0))
    block = Block((Term(0, nothing),), Numbers.zeros(outputs), bytes(outputs))
    return Network((Port("x", (1, inputs), 0),), (Port("y", (outputs,), 1),), (block,))


@pytest.mark.skipif(not CORPUS.exists(), reason="the benchmark corpus is not here")
@pytest.mark.parametrize(("file", "inputs", "outputs"), samples())
def test_corpus_file(file: str, inputs: int, outputs: int) -> None:
    data = (CORPUS / file).read_bytes()
    text = (gzip.decompress(data) if file.endswith(".gz") else data).decode()
    item = read(text, file, constant_network(inputs, outputs))
    assert item.query.assumption != FALSE
    assert mentions_outputs(item.query.violation)
    form = normal_form(item.query)
    assert form.regions
    assert form.assumed
    assert not form.assumption_uses_outputs
