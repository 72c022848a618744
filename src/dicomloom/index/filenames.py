"""The files of an index: what a table of `index` says can be read, for whoever goes on."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, TextIO
from urllib.parse import quote

from dicomloom.errors import CorruptError, MissingDependencyError, ReadError
from dicomloom.files import open_regular
from dicomloom.index.sinks import format_of

if TYPE_CHECKING:
    from dicomloom.index.scan import StrPath

_ROWS = 10_000
_LONGEST = 64 << 20  # characters of a line
# What the readers of tables raise; pyarrow's own are among them, or among OSError.
_UNREADABLE = (
    *(KeyError, ValueError, TypeError, csv.Error, sqlite3.Error),
    *(NotImplementedError, RecursionError),
)


def filenames(index: StrPath) -> Iterator[str]:
    """Give the Filename of each row whose Status is OK, of a table in any format of `index`.

    Parameters
    ----------
    index : str or path-like
        Its suffix says what it is, see `dicomloom.index.sinks.SUFFIXES`.

    Yields
    ------
    str

    Raises
    ------
    ReadError
        The table cannot be read.
    CorruptError
        It is none that `index` wrote: it has no columns Filename and Status.
    MissingDependencyError
        Parquet and Arrow files need pyarrow.

    Examples
    --------
    >>> import os, tempfile
    >>> from pydicom.data import get_testdata_file
    >>> import dicomloom
    >>> table = os.path.join(tempfile.mkdtemp(), "index.csv")
    >>> _ = dicomloom.index(get_testdata_file("CT_small.dcm"), table)
    >>> [os.path.basename(name) for name in filenames(table)]
    ['CT_small.dcm']
    """
    path = os.fspath(index)
    rows = {"csv": _csv, "jsonl": _jsonl, "sqlite": _sqlite}.get(format_of(path), _arrow)
    try:
        for filename, status in rows(path):
            if status != "OK":
                continue
            # A number would be taken for an open file, and a NUL for the end of a name.
            if not isinstance(filename, str) or "\0" in filename:
                raise ValueError(f"{filename!r:.80} is no name of a file")
            yield filename
    except ReadError:
        raise
    except _UNREADABLE as error:
        raise CorruptError(
            f"expected an index with the columns Filename and Status: {error}", path=path
        ) from error
    except OSError as error:
        raise ReadError(f"cannot read: {error.strerror or error}", path=path) from error


def _lines(file: TextIO) -> Iterator[str]:
    while line := file.readline(_LONGEST):
        if len(line) == _LONGEST:
            raise ValueError(f"a line of {_LONGEST} characters or more")
        yield line


def _csv(path: str) -> Iterator[tuple[str, str]]:
    with open(open_regular(path), encoding="utf-8", newline="") as file:
        for row in csv.DictReader(_lines(file)):
            yield row["Filename"], row["Status"]


def _jsonl(path: str) -> Iterator[tuple[str, str]]:
    with open(open_regular(path), encoding="utf-8") as file:
        for line in _lines(file):
            row = json.loads(line)
            yield row["Filename"], row["Status"]


def _sqlite(path: str) -> Iterator[tuple[str, str]]:
    os.close(open_regular(path))  # tells better than sqlite3 why it cannot be read
    database = sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=ro", uri=True)
    try:
        yield from database.execute("SELECT Filename, Status FROM files")
    finally:
        database.close()


def _arrow(path: str) -> Iterator[tuple[str, str]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise MissingDependencyError(
            "this table needs pyarrow: pip install dicomloom[parquet]", path=path
        ) from error
    os.close(open_regular(path))
    columns = ["Filename", "Status"]
    batches: Any
    if path.lower().endswith(".parquet"):
        batches = pq.ParquetFile(path).iter_batches(_ROWS, columns=columns)
    else:
        file = pa.ipc.open_file(path)
        batches = (file.get_batch(i).select(columns) for i in range(file.num_record_batches))
    for batch in batches:
        yield from zip(*(batch.column(name).to_pylist() for name in columns), strict=True)
