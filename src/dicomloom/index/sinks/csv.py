"""CSV (RFC 4180): a header line, UTF-8, lines ended by LF."""

from __future__ import annotations

from typing import BinaryIO

from dicomloom._native.scan import Text
from dicomloom.index.scan import Batch
from dicomloom.index.schema import Schema


def quote(name: str) -> str:
    """Write one field, quoted where RFC 4180 asks for it."""
    if any(c in name for c in ',"\r\n'):
        return '"' + name.replace('"', '""') + '"'
    return name


class CsvSink:
    """Writes the header at once, so that an empty scan gives a valid file too."""

    def __init__(self, file: BinaryIO, schema: Schema) -> None:
        self._file = file
        self._text = Text()
        header = ",".join(quote(name) for name in schema.names)
        file.write(header.encode() + b"\n")

    def write(self, batch: Batch) -> None:
        """Add rows; they reach the reader of a pipe batch by batch."""
        self._file.write(batch.csv_into(self._text))
        self._file.flush()

    def close(self) -> None:
        """Nothing is held back."""

    def abandon(self, error: BaseException) -> None:
        """Nothing is held back."""
