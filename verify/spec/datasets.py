"""Datasets: rows of a CSV file as exact inputs of a network, with labels."""

from __future__ import annotations

import csv
import io
import re
from fractions import Fraction
from pathlib import Path

from verify.errors import Place, SpecError
from verify.spec import syntax as s
from verify.spec.codes import error
from verify.spec.names import did_you_mean, one_of
from verify.spec.values import DataRow, Dataset, NetworkInfo

LABEL = "label"
MAX_BYTES = 1 << 28
MAX_CELL = 1000
_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?")


def read_dataset(item: s.DatasetDecl, network: NetworkInfo) -> Dataset:
    """Read the rows of `dataset NAME = csv("FILE") for NETWORK`; FILE is relative to the spec's folder.

    Columns: with a header, those of the inputs' names (`x`, `px[0,1]`) in any order and `label`, other columns being
    ignored; or, where no column has an input's name, `label` and as many others as the network has inputs, in order.
    Without a header the inputs in order, then the label if there is one more column.  Numbers are in each field's
    unit, decimals exact.  Raises SpecError E360 (file), E361 (columns, cells).
    """
    path = Path(item.place.file).parent / item.file
    reader = csv.reader(io.StringIO(_text(path, item)))
    try:
        lines = [
            (number, [c.strip() for c in row]) for number, row in enumerate(reader, start=1) if any(map(str.strip, row))
        ]
    except csv.Error as problem:
        raise error("E361", item.place, f"`{item.file}` is no CSV file: {problem}", "check the file") from None
    if not lines:
        raise error("E361", item.place, f"`{item.file}` has no rows", "give one line per input")
    names = [name for name, _ in network.inputs.elements()]
    first = lines[0][1]
    headed = not all(_NUMBER.fullmatch(c) for c in first[: len(names)])
    columns, label = _columns(first, names, item) if headed else _plain(first, names, item)
    outputs = [name for name, _ in network.outputs.proper().elements()]
    rows: list[DataRow] = []
    for number, cells in lines[1:] if headed else lines:
        place = Place(str(path), number)
        if len(cells) != len(first):
            raise error(
                "E361",
                place,
                f"{len(cells)} columns, where the first line has {len(first)}",
                "give every line the same number of columns",
            )
        values = tuple(_number(cells[c], place) for c in columns)
        rows.append(DataRow(item.name.text, len(rows), network, values, _label(cells, label, outputs, place)))
    return Dataset(item.name.text, tuple(rows))


def _text(path: Path, item: s.DatasetDecl) -> str:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise error("E360", item.place, f"`{item.file}` is larger than {MAX_BYTES >> 20} MB", "take fewer rows")
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise error("E360", item.place, f"no such file: {path}", "paths are relative to the spec's folder") from None
    except (OSError, UnicodeDecodeError) as problem:
        raise error("E360", item.place, f"`{item.file}` cannot be read: {problem}", "check the file") from None


def _columns(header: list[str], names: list[str], item: s.DatasetDecl) -> tuple[list[int], int | None]:
    cleaned = [re.sub(r"\s", "", h) for h in header]
    label = cleaned.index(LABEL) if LABEL in cleaned else None
    if not set(names) & set(cleaned):
        rest = [k for k in range(len(cleaned)) if k != label]
        if len(rest) == len(names):
            return rest, label
        raise _mismatch(f"no column has an input's name, and there are {len(rest)}, not {len(names)}", names, item)
    for name in names:
        if cleaned.count(name) != 1:
            near = did_you_mean(name, cleaned)
            problem = f"no column `{name}`" if name not in cleaned else f"two columns `{name}`"
            raise error("E361", item.place, f"`{item.file}` has {problem}", near or f"needed: {one_of(names)}")
    return [cleaned.index(n) for n in names], label


def _plain(first: list[str], names: list[str], item: s.DatasetDecl) -> tuple[list[int], int | None]:
    if len(first) not in (len(names), len(names) + 1):
        raise _mismatch(f"it has {len(first)} columns", names, item)
    return list(range(len(names))), len(names) if len(first) > len(names) else None


def _mismatch(problem: str, names: list[str], item: s.DatasetDecl) -> SpecError:
    return error(
        "E361",
        item.place,
        f"`{item.file}` does not fit `{item.network.text}`: {problem}",
        f"give {len(names)} input columns and at most one `{LABEL}`, or name the columns: {one_of(names)}",
    )


def _number(cell: str, place: Place) -> Fraction:
    if len(cell) > MAX_CELL or _NUMBER.fullmatch(cell) is None:
        raise error("E361", place, f"`{cell[:40]}` is not a number", "write decimals with a point: 0.25 or 1e-3")
    return Fraction(cell)


def _label(cells: list[str], column: int | None, outputs: list[str], place: Place) -> str | int | None:
    if column is None:
        return None
    text = cells[column]
    if text in outputs:
        return text
    if re.fullmatch(r"\d{1,9}(\.0*)?", text) and int(float(text)) < len(outputs):
        return int(float(text))
    raise error("E361", place, f"`{text[:40]}` is no label", f"write an output's name or its number: {one_of(outputs)}")
