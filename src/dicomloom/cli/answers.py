"""Answers of other nodes as tables, CSV, JSON and Parquet.

What a peer sent may hold control characters for the terminal, and formulas for a spreadsheet.
"""

from __future__ import annotations

import contextlib
import sys

from dicomloom.shown import harmless, shown

TYPE_CHECKING = False  # typing's own costs an import
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterable, Iterator, Sequence
    from typing import BinaryIO

    from pydicom import Dataset

FORMATS = ("table", "csv", "json", "parquet")
# Rows that the widths of a table are taken from, that a Parquet row group has.
_FIRST, _GROUP = 100, 4096
_WIDEST = 40


def add_format(parser: argparse.ArgumentParser) -> None:
    """--format, and what it is by default."""
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="default: what the name of OUT ends in, else a table on a terminal, else csv",
    )


def format_of(given: str | None, output: str | None) -> str:
    """Return the format that is meant.

    Raises
    ------
    UsageError
        Parquet needs a file.

    Examples
    --------
    >>> format_of(None, "answers.json"), format_of("csv", "answers.txt")
    ('json', 'csv')
    """
    from dicomloom.cli.options import UsageError

    if given == "parquet" and output is None:
        raise UsageError("parquet needs a file: -o OUT")
    if given is not None:
        return given
    if output is None:
        return "table" if sys.stdout.isatty() else "csv"
    end = output.rpartition(".")[2].lower()
    return end if end in FORMATS else "csv"


def columns_of(identifier: Dataset, before: str = "") -> list[str]:
    """Return the paths of all keys of an identifier, save those that say how it is meant."""
    columns = []
    for element in identifier:
        if element.keyword in ("SpecificCharacterSet", "QueryRetrieveLevel"):
            continue
        name = before + (element.keyword or f"{int(element.tag):08X}")
        if element.VR == "SQ" and element.value:
            columns += columns_of(element.value[0], f"{name}[0].")
        else:
            columns.append(name)
    return columns


def cell(answer: Dataset, path: str) -> str:
    """Return the value at a path as text, several joined by backslashes; "" where there is none."""
    from pydicom.sequence import Sequence as Items

    from dicomloom.tags import parse_tag

    steps = parse_tag(path).steps
    for step in steps[:-1]:
        # A peer may answer with anything where a sequence should be.
        items = answer[step.tag].value if step.tag in answer else None
        if not isinstance(items, Items) or len(items) <= step.item:
            return ""
        answer = items[step.item]
    if steps[-1].tag not in answer:
        return ""
    element = answer[steps[-1].tag]
    value = element.value
    if element.VR == "SQ":
        return f"{len(value)} items" if value else ""
    if value is None:
        return ""
    if isinstance(value, bytes):
        return value.decode("latin-1").rstrip(" \0")
    return "\\".join(map(str, value)) if element.VM > 1 else str(value)


def write(answers: Iterable[Dataset], columns: Sequence[str], kind: str, output: str | None) -> int:
    """Write answers to a file, or standard output; returns how many there were.

    One is held in memory at a time; of a table the first 100, of Parquet 4096 rows.
    """
    from dicomloom.files import Replacing

    where: contextlib.AbstractContextManager[BinaryIO]
    where = Replacing(output) if output else contextlib.nullcontext(sys.stdout.buffer)
    counted = _Counted(answers)
    writers = {"table": _table, "csv": _csv, "json": _json, "parquet": _parquet}
    sys.stdout.flush()
    with where as file:
        writers[kind](iter(counted), columns, file)
        file.flush()
    return counted.count


class _Counted:
    def __init__(self, answers: Iterable[Dataset]) -> None:
        self._answers = answers
        self.count = 0

    def __iter__(self) -> Iterator[Dataset]:
        for answer in self._answers:
            self.count += 1
            yield answer


def _rows(answers: Iterable[Dataset], columns: Sequence[str]) -> Iterator[list[str]]:
    for answer in answers:
        yield [cell(answer, column) for column in columns]


def _table(answers: Iterator[Dataset], columns: Sequence[str], file: BinaryIO) -> None:
    from itertools import chain, islice

    rows = _rows(answers, columns)
    first = list(islice(rows, _FIRST))
    if not first:
        return
    # What no answer has would only push the others off the screen.
    kept = [i for i in range(len(columns)) if any(row[i] for row in first)]
    names = [columns[i].rpartition(".")[2] for i in kept]
    texts = [[shown(row[i]) for i in kept] for row in first]
    widths = [
        min(_WIDEST, max(len(name), *(len(row[at]) for row in texts)))
        for at, name in enumerate(names)
    ]
    for cells in chain([names], texts, ([shown(row[i]) for i in kept] for row in rows)):
        line = "  ".join(text.ljust(width) for text, width in zip(cells, widths, strict=True))
        file.write((line.rstrip() + "\n").encode("utf-8", "backslashreplace"))


def _csv(answers: Iterator[Dataset], columns: Sequence[str], file: BinaryIO) -> None:
    import csv
    import io

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    for row in _rows(answers, columns):
        writer.writerow(map(harmless, row))
        file.write(text.getvalue().encode("utf-8", "backslashreplace"))
        text.seek(0)
        text.truncate()
    file.write(text.getvalue().encode())


def _json(answers: Iterator[Dataset], columns: Sequence[str], file: BinaryIO) -> None:
    # A line an answer, together one array: programs read it whole or line by line.
    before = b"[\n"
    for answer in answers:
        file.write(before + json_of(answer).encode("utf-8", "backslashreplace"))
        before = b",\n"
    file.write(b"\n]\n" if before != b"[\n" else b"[]\n")


def json_of(answer: Dataset) -> str:
    """Return an answer in the DICOM JSON model (PS3.18 F), which is UTF-8 whatever it was."""
    import json

    from dicomloom.json_model import model_of

    return json.dumps(model_of(answer, lenient=True), ensure_ascii=False)


def _parquet(answers: Iterator[Dataset], columns: Sequence[str], file: BinaryIO) -> None:
    from itertools import islice

    from dicomloom.errors import MissingDependencyError

    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(
            "Parquet files need pyarrow: pip install 'dicomloom[parquet]'"
        ) from error
    schema = pa.schema([(column, pa.string()) for column in columns])
    rows = _rows(answers, columns)
    with pq.ParquetWriter(file, schema) as writer:
        while group := list(islice(rows, _GROUP)):
            arrays = [pa.array([row[i] or None for row in group]) for i in range(len(columns))]
            cast = [array.cast(pa.string()) for array in arrays]
            writer.write_table(pa.Table.from_arrays(cast, schema=schema))
