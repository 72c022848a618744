"""CSV (RFC 4180): a header line, UTF-8, lines ended by LF."""

from __future__ import annotations

import datetime
import io
from csv import writer
from typing import BinaryIO

from dicomloom._native.scan import Text
from dicomloom.index.scan import Batch
from dicomloom.index.schema import Schema
from dicomloom.shown import harmless_value


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
        self._file.write(self._text_of(batch))
        self._file.flush()

    def _text_of(self, batch: Batch) -> Text | bytes:
        return batch.csv_into(self._text)

    def close(self) -> None:
        """Nothing is held back."""

    def abandon(self, error: BaseException) -> None:
        """Nothing is held back."""


class SpreadsheetSink(CsvSink):
    """CSV for people: no cell is a formula, none does harm in a terminal."""

    def _text_of(self, batch: Batch) -> bytes:
        text = io.StringIO()
        rows = ([_cell(value) for value in row] for row in batch.rows())
        writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: str | float | datetime.date | None) -> str:
    if value is None:
        return ""
    return harmless_value(value) if isinstance(value, str) else str(value)
