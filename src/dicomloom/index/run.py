"""`index`: files to a table on disk, and its update."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterable, Iterator
from typing import BinaryIO, NamedTuple

from dicomloom._native.scan import Known
from dicomloom.errors import DicomloomError
from dicomloom.files import Replacing, writing
from dicomloom.index.scan import Progress, Scan, StrPath
from dicomloom.index.schema import Schema
from dicomloom.index.sinks import Kept, Previous, Sink, format_of, open_previous, open_sink

# Small: 32 threads on a cold disk hold a table each, and none outlives its way to the sink.
_BATCH_ROWS = 2048
_NO_SIZE = (1 << 64) - 1  # no file has it


class Summary(NamedTuple):
    """What an index run did.

    Attributes
    ----------
    files : int
        Files found, each of which has a row (unless ``errors`` drops it).
    ok, errors : int
        Of these, by Status.
    unchanged, changed, removed : int
        For an update: rows kept as they were, files read again, and rows whose file is gone.
    misfits : int
        Values of typed columns that were no number or date, and are null.
    bytes_read : int
        Bytes asked of the file system.
    seconds : float
    """

    files: int
    ok: int
    errors: int
    unchanged: int
    changed: int
    removed: int
    misfits: int
    bytes_read: int
    seconds: float


@contextlib.contextmanager
def _ending(sink: Sink, name: str) -> Iterator[Sink]:
    """Close the sink when all went well, abandon it otherwise."""
    try:
        yield sink
        with writing(name):
            sink.close()
    except BaseException as error:
        sink.abandon(error)
        raise


@contextlib.contextmanager
def _open_output(
    kind: str,
    out: StrPath | BinaryIO,
    name: str,
    schema: Schema,
    *,
    update: bool,
    spreadsheet: bool,
) -> Iterator[tuple[Sink, Previous | None]]:
    """Give the sink and, for an update of something, what is updated."""
    with contextlib.ExitStack() as stack:
        previous: Previous | None = None
        sink: Sink
        if kind == "sqlite" and isinstance(out, str | os.PathLike):
            from dicomloom.index.sinks.sqlite import SqliteIndex

            sink = database = SqliteIndex(name, schema, update=update)
            previous = database if database.has_rows else None
        else:
            file = out
            if isinstance(file, str | os.PathLike):
                if update and os.path.exists(name):
                    previous = open_previous(kind, name, schema)
                file = stack.enter_context(Replacing(name))
            with writing(name):
                sink = open_sink(kind, file, schema, spreadsheet=spreadsheet)
        yield stack.enter_context(_ending(sink, name)), previous


def _load(previous: Previous, name: str) -> Known:
    known = Known()
    for filename, size, modified_ns, inode in previous.states():
        try:
            if size is None or modified_ns is None or inode is None:
                # The system would not let it be read: known by name, and to be tried again.
                known.add(filename, _NO_SIZE, 0, 0)
            else:
                known.add(filename, size, modified_ns, inode)
        except (TypeError, OverflowError, UnicodeEncodeError) as error:
            raise DicomloomError(
                f"a row has no Filename, FileSize, FileModified or FileInode as `index` writes "
                f"them ({error}): make the index anew",
                path=name,
            ) from error
    return known


def index(
    paths: StrPath | Iterable[StrPath],
    out: StrPath | BinaryIO,
    tags: Iterable[str] | None = None,
    *,
    format: str | None = None,  # noqa: A002 (the name users of pyarrow and pandas know)
    update: bool = False,
    threads: int | None = None,
    errors: str = "keep",
    typed: bool = False,
    follow_symlinks: bool = False,
    spreadsheet: bool = False,
    progress: Callable[[Progress], object] | None = None,
) -> Summary:
    """Index all files below some paths into a table on disk.

    The table appears under its name when it is complete. Every format but CSV also has the columns
    FileSize (bytes), FileModified (nanoseconds since 1970) and FileInode, which an update compares.

    Parameters
    ----------
    paths, tags, threads, errors, typed, follow_symlinks, progress
        See `scan`.
    out : path or binary file object
        The path's suffix gives the format: .csv .jsonl .parquet .sqlite .db .arrow. An open file
        gets every format but sqlite, and cannot be updated.
    format : {"csv", "jsonl", "parquet", "sqlite", "arrow"}, optional
        Instead of the suffix; needed for an open file.
    update : bool
        Keep the rows of files whose size, modification time and inode are those in `out`, read new
        and changed ones, drop those that are gone. Not for CSV. Where `out` does not exist all is
        read; an interrupted first run into SQLite is continued.
    spreadsheet : bool
        Of CSV, for a file that a spreadsheet is to open: what that could take for a formula, which
        is a way to run programs, gets an apostrophe in front, and control characters are escaped.
        Numbers stay. Programs take the values as they are, without this.

    Returns
    -------
    Summary

    Raises
    ------
    TagError, ValueError
        A wrong argument; nothing was done.
    WriteError
        `out` could not be written; it is as it was.
    MissingDependencyError
        Arrow and Parquet need pyarrow.

    Notes
    -----
    Memory: see `Scan`; an update adds about 20 to 40 bytes a row of `out`.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> from pydicom.data import get_testdata_file
    >>> out = pathlib.Path(tempfile.mkdtemp(), "ct.jsonl")
    >>> index(get_testdata_file("CT_small.dcm"), out).ok
    1
    >>> index(get_testdata_file("CT_small.dcm"), out, update=True).unchanged
    1
    """
    began = time.monotonic()
    name = os.fspath(out) if isinstance(out, str | os.PathLike) else "the output"
    if isinstance(out, str | os.PathLike):
        kind = format_of(out, format)
    elif format is None or update:
        raise ValueError("an open file needs a format, and cannot be updated")
    else:
        kind = format_of("", format)
    if update and kind == "csv":
        raise ValueError("a CSV index holds no file times to compare: update another format")
    if spreadsheet and kind != "csv":
        raise ValueError(f"spreadsheet is for csv: {kind} has the values as they are")
    schema = Schema(tags, typed=typed, file_info=kind != "csv")
    misfits = 0
    kept = Kept(0, 0, 0)
    where = _open_output(kind, out, name, schema, update=update, spreadsheet=spreadsheet)
    with where as (sink, previous):
        known = _load(previous, name) if previous else None
        with Scan(
            paths,
            schema,
            threads=threads,
            errors=errors,
            follow_symlinks=follow_symlinks,
            progress=progress,
            batch_size=_BATCH_ROWS,
            known=known,
        ) as found:
            for batch in found:
                misfits += batch.misfits
                with writing(name):
                    sink.write(batch)
            counts = found.counts()
        if previous and known:
            with writing(name):
                kept = previous.copy_kept(known, sink)
    return Summary(
        files=counts["files"] + kept.ok + kept.errors,
        ok=counts["ok"] + kept.ok,
        errors=counts["errors"] + kept.errors,
        unchanged=kept.ok + kept.errors,
        changed=counts["changed"],
        removed=max(0, kept.dropped - counts["changed"]),
        misfits=misfits,
        bytes_read=counts["bytes_read"],
        seconds=time.monotonic() - began,
    )
