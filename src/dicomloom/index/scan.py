"""`scan`: files to columns."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from dicomloom._native import scan as _native
from dicomloom.index import charsets
from dicomloom.index.schema import Schema
from dicomloom.inflate import InflatedReader

if TYPE_CHECKING:
    from datetime import date

    Cell = str | int | float | date | None

StrPath = str | os.PathLike[str]

# Nesting of sequences, and bytes of one wanted value: beyond them a file is an ERROR row.
LIMITS = (64, 1 << 20)
_FEED = 1024  # paths handed to the C core at a time
_PROGRESS_SECONDS = 0.2


class Progress(NamedTuple):
    """How far a scan is.

    Attributes
    ----------
    files, ok, errors : int
        Files read so far, by their Status.
    bytes_read : int
        Bytes asked of the file system.
    seconds : float
        Since the scan was made.
    """

    files: int
    ok: int
    errors: int
    bytes_read: int
    seconds: float


class Batch:
    """Some rows of a scan, as columns in the Arrow layout, held by the C core.

    ``pyarrow.record_batch(batch)`` and whatever else knows the Arrow PyCapsule interface takes the
    columns without copying them.
    """

    __slots__ = ("_table",)

    def __init__(self, table: _native.Table) -> None:
        self._table = table

    def __len__(self) -> int:
        """Return the number of rows."""
        return self._table.rows

    def __repr__(self) -> str:
        return f"<Batch of {len(self)} rows, {len(self.names)} columns>"

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns."""
        return self._table.names

    @property
    def misfits(self) -> int:
        """Values that were no number or date although their typed column is, and are null."""
        return self._table.misfits

    def column(self, name: str) -> list[Cell]:
        """Return one column as Python objects.

        Parameters
        ----------
        name : str
            One of `names`.

        Returns
        -------
        list
            Of str, or in a typed scan of int, float or datetime.date too; None where the file does
            not have the value.

        Raises
        ------
        KeyError
            There is no such column.
        """
        try:
            index = self._table.names.index(name)
        except ValueError:
            raise KeyError(name) from None
        values = self._table.values(index)
        if self._table.types[index] == "date32":
            from datetime import date, timedelta

            epoch = date(1970, 1, 1)
            return [None if days is None else epoch + timedelta(int(days)) for days in values]
        return list(values)

    def rows(self) -> Iterator[tuple[Cell, ...]]:
        """Iterate over the rows as tuples; convenient, and slower than columns."""
        return zip(*map(self.column, self.names), strict=True)

    def csv(self) -> bytes:
        """Return the rows as CSV (RFC 4180, UTF-8, lines ended by LF), without a header."""
        return bytes(self.csv_into(_native.Text()))

    def csv_into(self, text: _native.Text) -> _native.Text:
        """Fill a buffer with the rows as CSV, and return it; for writers of many batches."""
        text.csv(self._table)
        return text

    def json(self) -> bytes:
        """Return the rows as JSON lines: one object a row, null for what is absent."""
        return bytes(self.json_into(_native.Text()))

    def json_into(self, text: _native.Text) -> _native.Text:
        """Fill a buffer with the rows as JSON lines, and return it; for writers of many batches."""
        import json

        keys = [json.dumps(name, ensure_ascii=False).encode() + b":" for name in self.names]
        text.json(self._table, keys)
        return text

    def __arrow_c_array__(self, requested_schema: object = None) -> tuple[object, object]:
        """Export through the Arrow PyCapsule interface; a requested schema is not honoured."""
        schema = _native.schema_capsule(self._table.names, self._table.types)
        return schema, self._table.array_capsule()


class Scan:
    """A running scan: an iterator of `Batch`, made by `scan`.

    Holds a table of at most ``batch_size`` rows or 8 MiB a thread, and eight more that wait to be
    taken or used again, however many files there are. ``follow_symlinks`` adds 32 bytes a
    directory.

    Can be consumed by one thread at a time, any thread. Leaving the ``with`` block, `close`, or
    dropping the last reference ends its threads.
    """

    def __init__(
        self,
        paths: StrPath | Iterable[StrPath],
        schema: Schema,
        *,
        threads: int | None,
        errors: str,
        follow_symlinks: bool,
        progress: Callable[[Progress], object] | None,
        batch_size: int,
        known: _native.Known | None = None,
    ) -> None:
        if errors not in ("keep", "skip", "only"):
            raise ValueError(f'errors is "keep", "skip" or "only", not {errors!r}')
        if threads is not None and not 1 <= threads <= 1024:
            raise ValueError(f"threads is 1 to 1024, or None, not {threads}")
        if batch_size < 1:
            raise ValueError(f"batch_size is at least 1, not {batch_size}")
        given = (paths,) if isinstance(paths, str | os.PathLike) else paths
        self.schema = schema
        self._paths: Iterator[StrPath] | None = iter(given)
        self._waiting: list[bytes] = []
        self._progress = progress
        self._began = time.monotonic()
        self._reported = 0.0
        self._native: _native.Scanner | None = _native.Scanner(
            schema.plan(),
            schema.names,
            threads=threads or 0,
            batch_rows=batch_size,
            errors=errors,
            follow_links=follow_symlinks,
            file_info="FileSize" in schema.names,
            known=known,
            limits=LIMITS,
            inflater=InflatedReader,
        )
        self._counts = self._native.counts()

    def _feed(self, native: _native.Scanner) -> None:
        """Hand over paths until the C core has enough, or there are no more."""
        while self._paths is not None:
            while len(self._waiting) < _FEED:
                path = next(self._paths, None)
                if path is None:
                    break
                self._waiting.append(os.fsencode(path))
            if not self._waiting:
                native.close_input()
                self._paths = None
                return
            taken = native.add(self._waiting)
            del self._waiting[:taken]
            if self._waiting:
                return

    def __iter__(self) -> Scan:
        """Return self: a scan is consumed once."""
        return self

    def __next__(self) -> Batch:
        """Wait for the next batch."""
        return Batch(self._next_table())

    def _next_table(self) -> _native.Table:
        native = self._native
        while native is not None:
            self._feed(native)
            # While paths are still to be handed over, look often: the queue holds a few thousand.
            table, finished = native.next(_PROGRESS_SECONDS if self._paths is None else 0.002)
            self._report(native, finished)
            if table is not None:
                table.resolve(charsets.decode)
                return table
            if finished:
                self.close()
            native = self._native
        raise StopIteration

    def _report(self, native: _native.Scanner, finished: bool) -> None:
        now = time.monotonic()
        if self._progress and (finished or now - self._reported >= _PROGRESS_SECONDS):
            self._reported = now
            self._progress(self.progress())

    def progress(self) -> Progress:
        """Return how far the scan is; may be called from any thread at any time."""
        counts = self.counts()
        return Progress(
            counts["files"],
            counts["ok"],
            counts["errors"],
            counts["bytes_read"],
            time.monotonic() - self._began,
        )

    def counts(self) -> _native.Counts:
        """Return all counters of the C core, also after the end."""
        native = self._native
        return native.counts() if native is not None else self._counts

    def close(self) -> None:
        """End the scan and its threads; batches already taken stay valid."""
        native = self._native
        if native is not None:
            if native.is_ours():  # in a child by fork there is nothing to end
                native.stop()
                self._counts = native.counts()
            self._native = None

    cancel = close

    def __del__(self) -> None:
        # Batches that outlive the scan hold the C core's part of it, but not its threads.
        if hasattr(self, "_native"):
            self.close()

    def __enter__(self) -> Scan:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the scan."""
        self.close()

    def _tables(self) -> Iterator[_native.Table]:
        while True:
            try:
                table = self._next_table()
            except StopIteration:
                return
            yield table

    def __arrow_c_schema__(self) -> object:
        """Export the schema through the Arrow PyCapsule interface."""
        return _native.schema_capsule(self.schema.names, self.schema.types)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Export the scan as an Arrow stream, consumed once; a requested schema is not honoured."""
        return _native.stream_capsule(self._tables(), self.schema.names, self.schema.types)


def scan(
    paths: StrPath | Iterable[StrPath],
    tags: Iterable[str] | None = None,
    *,
    threads: int | None = None,
    errors: str = "keep",
    typed: bool = False,
    follow_symlinks: bool = False,
    progress: Callable[[Progress], object] | None = None,
    batch_size: int = 8192,
    file_info: bool = False,
) -> Scan:
    """Read wanted values of all files below some paths into columns.

    Every regular file gives exactly one row, in no particular order. Links to files are read;
    FIFOs, sockets and devices are never opened.

    Parameters
    ----------
    paths : path, or iterable of paths
        Files and directories. An iterable is consumed as the scan goes on.
    tags : iterable of str, optional
        Wanted values (see `dicomloom.tags.parse_tag`); by default
        `dicomloom.index.schema.DEFAULT_TAGS`.
    threads : int, optional
        How many threads read. By default one a processor, and up to 32 while they mostly wait for
        the disk.
    errors : {"keep", "skip", "only"}
        Whether rows of files that could not be read are kept.
    typed : bool
        Give single numbers and dates columns of int64, float64 and date32. A value that does not
        fit is null and counted in `Batch.misfits`.
    follow_symlinks : bool
        Enter linked directories, each directory once.
    progress : callable, optional
        Called with a `Progress` a few times a second, from the thread that consumes.
    batch_size : int
        Most rows of one batch.
    file_info : bool
        Add the columns FileSize (bytes), FileModified (nanoseconds since 1970) and FileInode.

    Returns
    -------
    Scan
        An iterator of `Batch`, and an Arrow stream (``pyarrow.table(scan)``,
        ``polars.DataFrame(scan)``, ``duckdb.sql("from scan")``). Columns: Filename, Status ("OK"
        or "ERROR"), one a tag, Error.

    Raises
    ------
    TagError
        A tag is not one.

    Examples
    --------
    >>> import dicomloom
    >>> from pydicom.data import get_testdata_file
    >>> path = get_testdata_file("CT_small.dcm")
    >>> with dicomloom.scan(path, tags=["PatientID", "Rows"], typed=True) as found:
    ...     for batch in found:
    ...         print(batch.column("PatientID"), batch.column("Rows"))
    ['1CT1'] [128]
    """
    return Scan(
        paths,
        Schema(tags, typed=typed, file_info=file_info),
        threads=threads,
        errors=errors,
        follow_symlinks=follow_symlinks,
        progress=progress,
        batch_size=batch_size,
    )
