"""SQLite: a table `files`, one row a file, keyed by Filename.

A first run writes to a partial file beside OUT, committing as it goes, and renames it when it is
complete; an interrupted one leaves that file, and an update goes on from it. An update of a
complete index is one transaction: killed at any point, SQLite rolls it back at the next open.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import os
import sqlite3
from collections.abc import Iterator

from dicomloom._native.scan import Known
from dicomloom.errors import WriteError
from dicomloom.files import writing
from dicomloom.index.scan import Batch
from dicomloom.index.schema import Schema
from dicomloom.index.sinks import Kept, Sink, State, check_columns
from dicomloom.system import sync_folder

_TYPES = {"text": "TEXT", "int64": "INTEGER", "float64": "REAL", "date32": "TEXT"}


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cell(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime.date) else value


def partial_path(path: str) -> str:
    """Where a first run writes until it is complete; a scan leaves such names out."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".dicomloom-{name}.partial")


class SqliteIndex:
    """Both the sink and, when updating, the previous index.

    Parameters
    ----------
    path : str
        OUT.
    schema : Schema
    update : bool
        Go on from OUT or, where there is none, from the partial file of an interrupted first run.

    Notes
    -----
    Row ids are given out here, rising: rows of this run are those above the last earlier one.
    """

    def __init__(self, path: str, schema: Schema, *, update: bool) -> None:
        self.path = path
        self.names = schema.names
        self._types = schema.types
        self._final = os.path.realpath(path)
        self._partial = partial_path(self._final)
        self._in_place = update and os.path.exists(self._final)
        self.has_rows = self._in_place or (update and os.path.exists(self._partial))
        with self._writing():
            if not self.has_rows:
                self._remove_partial()
            file = self._final if self._in_place else self._partial
            self._db = sqlite3.connect(file, isolation_level=None)
            self._open(schema)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writing(self.path):
            try:
                yield
            except sqlite3.Error as error:
                message = f"cannot write the SQLite index: {error}"
                raise WriteError(message, path=self.path) from error

    def _open(self, schema: Schema) -> None:
        execute = self._db.execute
        if not self._in_place:
            # Nobody reads the partial file, so a commit need not wait for the disk; the write-ahead
            # log still keeps the file whole through a power cut.
            execute("PRAGMA journal_mode=WAL")
            execute("PRAGMA synchronous=NORMAL")
        found = tuple(row[1] for row in execute("PRAGMA table_info(files)"))
        if found or self._in_place:
            check_columns(self.path, found or ("no table of files",), schema)
        else:
            columns = ", ".join(
                f"{_name(name)} {_TYPES[kind]}{' PRIMARY KEY' if name == 'Filename' else ''}"
                for name, kind in zip(schema.names, schema.types, strict=True)
            )
            execute(f"CREATE TABLE files ({columns})")
        names = ", ".join(map(_name, schema.names))
        places = ", ".join("?" * len(schema.names))
        self._insert = f"INSERT OR REPLACE INTO files (rowid, {names}) VALUES (?, {places})"
        execute("BEGIN IMMEDIATE")
        query = "SELECT coalesce(max(rowid), 0), count(*) FROM files"
        self._earlier, self._earlier_rows = execute(query).fetchone()
        self._ids = itertools.count(self._earlier + 1)

    def write(self, batch: Batch) -> None:
        """Add rows; a first run can be continued from here."""
        columns = [map(_cell, batch.column(name)) for name in self.names]
        with self._writing():
            self._db.executemany(self._insert, zip(self._ids, *columns, strict=False))
            if not self._in_place:
                self._db.execute("COMMIT")
                self._db.execute("BEGIN IMMEDIATE")

    def states(self) -> Iterator[State]:
        """Iterate over all rows."""
        query = "SELECT Filename, FileSize, FileModified, FileInode FROM files"
        return map(State._make, self._db.execute(query))

    def copy_kept(self, known: Known, sink: Sink) -> Kept:
        """Delete the earlier rows that no longer hold; the others are where they belong."""
        assert sink is self
        last = 0
        query = (
            "SELECT rowid, Filename, FileSize, FileModified, FileInode FROM files "
            "WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT 10000"
        )
        while rows := self._db.execute(query, (last, self._earlier)).fetchall():
            last = rows[-1][0]
            stale = [(row[0],) for row in rows if not State(*row[1:]).held_by(known)]
            self._db.executemany("DELETE FROM files WHERE rowid = ?", stale)
        counts = "SELECT count(*), sum(Status = 'OK') FROM files WHERE rowid <= ?"
        rows_kept, ok = self._db.execute(counts, (self._earlier,)).fetchone()
        # Rows of files that were read again are among the dropped: `write` replaced them.
        return Kept(ok or 0, rows_kept - (ok or 0), self._earlier_rows - rows_kept)

    def close(self) -> None:
        """Commit, and put a first run's file under its name."""
        with self._writing():
            self._db.execute("COMMIT")
            if self._in_place:
                self._db.close()
                return
            self._db.execute("PRAGMA journal_mode=DELETE")
            self._db.close()
            with open(self._partial, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self._partial, self._final)
            sync_folder(os.path.dirname(self._final))

    def abandon(self, error: BaseException) -> None:
        """Give up: roll back an update; keep a first run that was interrupted, to be continued."""
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")
        self._db.close()
        if not self._in_place and not isinstance(error, KeyboardInterrupt):
            self._remove_partial()

    def _remove_partial(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self._partial + suffix)
