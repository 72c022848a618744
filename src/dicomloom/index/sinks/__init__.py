"""Where an index goes: one module a format.

A sink takes batches (`write`) and is ended by `close`. A previous index, for updates, tells what it
knows of files (`states`) and copies the rows that still hold (`copy_kept`).
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple, Protocol

from dicomloom._native.scan import Known
from dicomloom.errors import DicomloomError
from dicomloom.index.scan import Batch
from dicomloom.index.schema import Schema

SUFFIXES = {
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
    ".sqlite": "sqlite",
    ".db": "sqlite",
    ".arrow": "arrow",
}
FORMATS = ("csv", "jsonl", "parquet", "sqlite", "arrow")


class State(NamedTuple):
    """What an index says of one file: None where the file could not be looked at."""

    filename: str
    size: int | None
    modified_ns: int | None
    inode: int | None

    def held_by(self, known: Known) -> bool:
        """Whether the scan that used `known` saw the file unchanged."""
        if self.size is None or self.modified_ns is None or self.inode is None:
            return False
        return known.keeps(self.filename, self.size, self.modified_ns, self.inode)


class Kept(NamedTuple):
    """Rows of the previous index that still hold, and those that were dropped."""

    ok: int
    errors: int
    dropped: int


class Sink(Protocol):
    """Takes batches."""

    def write(self, batch: Batch) -> None:
        """Add rows."""

    def close(self) -> None:
        """Write what is still held; the file itself is the caller's."""

    def abandon(self, error: BaseException) -> None:
        """Let go of everything after a failure; the output is thrown away."""


class Previous(Protocol):
    """An index made earlier."""

    names: tuple[str, ...]

    def states(self) -> Iterator[State]:
        """Iterate over all rows."""

    def copy_kept(self, known: Known, sink: Sink) -> Kept:
        """Write the rows that still hold to a sink of the same format."""


def format_of(path: str | os.PathLike[str], given: str | None = None) -> str:
    """Return the format for an output, by name or by the path's suffix.

    Raises
    ------
    ValueError
        The suffix says nothing; the message lists those that do.
    """
    if given is not None:
        if given not in FORMATS:
            raise ValueError(f"format {given!r}: choose from {', '.join(FORMATS)}")
        return given
    suffix = os.path.splitext(os.fspath(path))[1].lower()
    if suffix not in SUFFIXES:
        raise ValueError(
            f"{os.fspath(path)}: no format for this suffix; use {' '.join(SUFFIXES)}, or name one"
        )
    return SUFFIXES[suffix]


def open_sink(kind: str, file: BinaryIO, schema: Schema, *, spreadsheet: bool = False) -> Sink:
    """Open a sink that writes a stream of bytes: every format but sqlite, which owns its file."""
    if kind == "csv":
        from dicomloom.index.sinks.csv import CsvSink, SpreadsheetSink

        return (SpreadsheetSink if spreadsheet else CsvSink)(file, schema)
    if kind == "jsonl":
        from dicomloom.index.sinks.jsonl import JsonlSink

        return JsonlSink(file, schema)
    if kind == "sqlite":
        raise ValueError("sqlite needs a path: SQLite writes its file itself")
    from dicomloom.index.sinks.arrow import ArrowSink, ParquetSink

    return ParquetSink(file, schema) if kind == "parquet" else ArrowSink(file, schema)


def open_previous(kind: str, path: str, schema: Schema) -> Previous:
    """Open an index to update it.

    Raises
    ------
    DicomloomError
        It has other columns than `schema`: an update would mix the two.
    """
    previous: Previous
    if kind == "jsonl":
        from dicomloom.index.sinks.jsonl import JsonlPrevious

        previous = JsonlPrevious(path)
    else:
        from dicomloom.index.sinks.arrow import ArrowPrevious

        previous = ArrowPrevious(path, kind)
    check_columns(path, previous.names, schema)
    return previous


def check_columns(path: str, names: tuple[str, ...], schema: Schema) -> None:
    """Refuse to update an index whose columns are not those of `schema`."""
    if names and names != schema.names:
        raise DicomloomError(
            f"has the columns {', '.join(names)}, not {', '.join(schema.names)}: update it with "
            "the tags it was made with, or make it anew",
            path=path,
        )
