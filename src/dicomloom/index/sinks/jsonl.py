"""JSON lines: one object a row, null for what is absent."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Generator, Iterator
from typing import Any, BinaryIO

from dicomloom._native.scan import Known, Text
from dicomloom.errors import DicomloomError
from dicomloom.files import reading
from dicomloom.index.scan import Batch
from dicomloom.index.schema import Schema
from dicomloom.index.sinks import Kept, Sink, State

_LONGEST = 64 << 20  # bytes of a line; what is cut is no JSON


class JsonlSink:
    """Writes objects whose keys stand in the order of the columns."""

    def __init__(self, file: BinaryIO, schema: Schema) -> None:
        self._file = file
        self._text = Text()

    def write(self, batch: Batch) -> None:
        """Add rows; they reach the reader of a pipe batch by batch."""
        self._file.write(batch.json_into(self._text))
        self._file.flush()

    def write_line(self, line: bytes) -> None:
        """Add a row of an earlier index as it stands."""
        self._file.write(line)

    def close(self) -> None:
        """Nothing is held back."""

    def abandon(self, error: BaseException) -> None:
        """Nothing is held back."""


class JsonlPrevious:
    """An earlier index, read a line at a time."""

    def __init__(self, path: str) -> None:
        self.path = path
        with contextlib.closing(self._rows()) as rows:  # or the file is closed when nobody hears
            _, first = next(rows, (b"", {}))
        self.names: tuple[str, ...] = tuple(first)

    def _rows(self) -> Generator[tuple[bytes, dict[str, Any]]]:
        with reading(self.path), open(self.path, "rb") as file:
            lines = iter(lambda: file.readline(_LONGEST), b"")
            for number, line in enumerate(lines, 1):
                try:
                    row = json.loads(line)
                    if not (isinstance(row, dict) and {"Filename", "Status"} <= row.keys()):
                        raise ValueError("it has no Filename or no Status")
                except (ValueError, RecursionError) as error:
                    raise DicomloomError(
                        f"line {number} is no JSON object of an index ({error}); make the index "
                        "anew",
                        path=self.path,
                    ) from error
                yield line, row

    @staticmethod
    def _state(row: dict[str, Any]) -> State:
        return State(
            row["Filename"], row.get("FileSize"), row.get("FileModified"), row.get("FileInode")
        )

    def states(self) -> Iterator[State]:
        """Iterate over all rows."""
        for _, row in self._rows():
            yield self._state(row)

    def copy_kept(self, known: Known, sink: Sink) -> Kept:
        """Copy the lines that still hold."""
        assert isinstance(sink, JsonlSink)
        ok = errors = dropped = 0
        for line, row in self._rows():
            if not self._state(row).held_by(known):
                dropped += 1
                continue
            sink.write_line(line)
            ok += row["Status"] == "OK"
            errors += row["Status"] != "OK"
        return Kept(ok, errors, dropped)
