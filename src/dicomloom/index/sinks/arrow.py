"""Arrow IPC and Parquet, through pyarrow."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import Any, BinaryIO

from dicomloom._native.scan import Known
from dicomloom.errors import DicomloomError, MissingDependencyError
from dicomloom.files import reading
from dicomloom.index.scan import Batch
from dicomloom.index.schema import Schema
from dicomloom.index.sinks import Kept, Sink, State

_log = logging.getLogger("dicomloom.index")
_log.addHandler(logging.NullHandler())

# Rows of one row group or record batch: readers skip whole ones, and one is held while writing.
_GROUP_ROWS = 65536
_STATE_COLUMNS = ["Filename", "FileSize", "FileModified", "FileInode"]


def _pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingDependencyError(
            "Arrow and Parquet files need pyarrow: pip install 'dicomloom[parquet]'"
        ) from error
    return pa


class _Columns:
    """What `pyarrow.schema` asks of an object."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def __arrow_c_schema__(self) -> object:
        from dicomloom._native.scan import schema_capsule

        return schema_capsule(self._schema.names, self._schema.types)


class _Grouping:
    """Gathers small batches into groups of a useful size, for a writer of pyarrow's."""

    _writer: Any

    def __init__(self, schema: Schema) -> None:
        self._pa = _pyarrow()
        self.schema = self._pa.schema(_Columns(schema))
        self._held: list[Any] = []
        self._rows = 0

    def write(self, batch: Batch) -> None:
        """Add rows."""
        self.write_arrow(self._pa.record_batch(batch))

    def write_arrow(self, batch: Any) -> None:
        """Add rows of an earlier index."""
        self._held.append(batch)
        self._rows += batch.num_rows
        if self._rows >= _GROUP_ROWS:
            self._write_group()

    def _write_group(self) -> None:
        held, self._held, self._rows = self._held, [], 0
        if held:
            table = self._pa.Table.from_batches(held, self.schema)
            self._writer.write_table(table.combine_chunks())

    def close(self) -> None:
        """Write the last group and the footer."""
        self._write_group()
        self._writer.close()

    def abandon(self, error: BaseException) -> None:
        """End the writer while its file is still open; pyarrow would try again when collected."""
        try:
            self._writer.close()
        except Exception as failure:  # the file is thrown away, and `error` says why
            _log.debug("ending an abandoned writer: %s", failure)
            self._writer.is_open = False


class ArrowSink(_Grouping):
    """An Arrow IPC file, or a stream where the output cannot be sought in."""

    def __init__(self, file: BinaryIO, schema: Schema) -> None:
        super().__init__(schema)
        ipc = self._pa.ipc
        new = ipc.new_file if file.seekable() else ipc.new_stream
        self._writer = new(file, self.schema)


class ParquetSink(_Grouping):
    """A Parquet file, compressed with zstd: UIDs and names repeat."""

    def __init__(self, file: BinaryIO, schema: Schema) -> None:
        super().__init__(schema)
        import pyarrow.parquet as pq

        self._writer = pq.ParquetWriter(file, self.schema, compression="zstd")


class ArrowPrevious:
    """An earlier Arrow or Parquet index, read a batch at a time."""

    def __init__(self, path: str, kind: str) -> None:
        self.path = path
        self._kind = kind
        self._pa = _pyarrow()
        with self._understood(), open(path, "rb") as file:
            if kind == "parquet":
                import pyarrow.parquet as pq

                schema = pq.ParquetFile(file).schema_arrow
            else:
                schema = self._pa.ipc.open_file(file).schema
        self.names = tuple(schema.names)

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Let errors of a block say which file could not be read."""
        with reading(self.path):
            try:
                yield
            except self._pa.ArrowException as error:
                message = f"no {self._kind} index ({error}): make the index anew"
                raise DicomloomError(message, path=self.path) from error

    def _batches(self, columns: list[str] | None) -> Iterator[Any]:
        with self._understood(), open(self.path, "rb") as file:
            if self._kind == "parquet":
                import pyarrow.parquet as pq

                yield from pq.ParquetFile(file).iter_batches(_GROUP_ROWS, columns=columns)
                return
            reader = self._pa.ipc.open_file(file)
            for i in range(reader.num_record_batches):
                batch = reader.get_batch(i)
                yield batch.select(columns) if columns else batch

    @staticmethod
    def _states(batch: Any) -> Iterator[State]:
        columns = (batch.column(name).to_pylist() for name in _STATE_COLUMNS)
        return map(State._make, zip(*columns, strict=True))

    def states(self) -> Iterator[State]:
        """Iterate over all rows."""
        for batch in self._batches(_STATE_COLUMNS):
            yield from self._states(batch)

    def copy_kept(self, known: Known, sink: Sink) -> Kept:
        """Copy the rows that still hold, a batch at a time."""
        assert isinstance(sink, _Grouping)
        ok = errors = dropped = 0
        for batch in self._batches(None):
            mask = [state.held_by(known) for state in self._states(batch)]
            kept = batch.filter(self._pa.array(mask))
            statuses = kept.column("Status").to_pylist()
            ok += statuses.count("OK")
            errors += len(statuses) - statuses.count("OK")
            dropped += len(mask) - len(statuses)
            sink.write_arrow(kept.cast(sink.schema))
        return Kept(ok, errors, dropped)
