"""SQLite: a table `files`, one row a file, keyed by Filename.

A first run writes to a partial file beside OUT, committing as it goes, and renames it when it is
complete; an interrupted one leaves that file, and an update goes on from it. An update of a
complete index is one transaction: killed at any point, SQLite rolls it back at the next open.

SQLite finds a journal by its name, whatever file it was made for: nothing may be named like a
database as long as another's journal can be beside it.
"""

from __future__ import annotations

import contextlib
import datetime
import errno
import hashlib
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator

from dicomloom._native.scan import Known
from dicomloom.errors import WriteError
from dicomloom.files import replaced_mode, writing
from dicomloom.index.scan import Batch
from dicomloom.index.schema import Schema
from dicomloom.index.sinks import Kept, Sink, State, check_columns
from dicomloom.system import BYTES, keep_mode, lock, sync_folder

_TYPES = {"text": "TEXT", "int64": "INTEGER", "float64": "REAL", "date32": "TEXT"}


def _name(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _cell(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime.date) else value


_BESIDE = ("-wal", "-shm", "-journal")
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def partial_path(path: str) -> str:
    """Where a first run writes until it is complete; a scan leaves such names out."""
    folder, name = os.path.split(path)
    data = os.fsencode(name)
    room = 255 - len(".dicomloom-.partial-journal")
    if len(data) > room:
        digest = hashlib.blake2b(data, digest_size=8).hexdigest()
        name = data[: room - 17].decode("utf-8", "ignore") + f"-{digest}"
    return os.path.join(folder, f".dicomloom-{name}.partial")


def _remove_beside(path: str) -> None:
    for suffix in _BESIDE:
        try:
            os.unlink(path + suffix)
        except OSError as error:
            # A name that is too long is nobody's.
            if error.errno not in (errno.ENOENT, errno.ENAMETOOLONG):
                raise


class _Claim:
    """The partial file, held by this process: no other run writes to it, replaces or removes it.

    Parameters
    ----------
    path : str
        OUT, for errors.
    partial : str
        Made where it is absent.

    Attributes
    ----------
    size : int
        Bytes that an earlier run left.

    Raises
    ------
    WriteError
        Another process has it.
    OSError
        It cannot be made.
    """

    def __init__(self, path: str, partial: str) -> None:
        self._partial = partial
        while True:
            # Its descriptor is closed behind SQLite's: closing one takes all locks of this process.
            self._descriptor = os.open(partial, os.O_RDWR | os.O_CREAT | BYTES, 0o666)
            try:
                if not lock(self._descriptor):
                    message = "another process makes this index: wait for it, or name another file"
                    raise WriteError(message, path=path)
                found = os.fstat(self._descriptor)
                with contextlib.suppress(FileNotFoundError):
                    if os.path.samestat(found, os.stat(partial)):
                        break
            except BaseException:
                self.release()
                raise
            self.release()  # it was put in its place meanwhile
        self.size = found.st_size

    def permit(self, mode: int) -> None:
        """Give it permissions, which what SQLite has beside it gets too."""
        keep_mode(self._descriptor, mode)

    def empty(self) -> None:
        """Throw away what an earlier run left."""
        os.ftruncate(self._descriptor, 0)
        _remove_beside(self._partial)

    def _holds_name(self) -> bool:
        """Whether the partial file is this one: not placed, nor let go."""
        if self._descriptor < 0:
            return False
        with contextlib.suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._descriptor), os.stat(self._partial))
        return False

    def sync(self) -> None:
        """Bring it to the disk."""
        os.fsync(self._descriptor)

    def remove(self) -> None:
        """Remove it, with all that SQLite has beside it, unless it is in its place."""
        with contextlib.suppress(OSError):
            if self._holds_name():
                os.unlink(self._partial)
                _remove_beside(self._partial)

    def release(self) -> None:
        """Let others have what is there."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


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
        self._claim: _Claim | None = None
        self._db: sqlite3.Connection | None = None
        with self._writing():
            mode = replaced_mode(self._final)
            self._in_place = update and mode is not None
            self.has_rows = self._in_place
            try:
                if not self._in_place:
                    self._claim = _Claim(path, self._partial)
                    self.has_rows = update and self._claim.size > 0
                    if mode is not None:
                        self._claim.permit(mode)
                    if not self.has_rows:
                        self._claim.empty()
                file = self._final if self._in_place else self._partial
                self._db = sqlite3.connect(file, isolation_level=None)
                self._open(schema)
            except BaseException:
                self._let_go(keep=self.has_rows)
                raise

    def _execute_many(self, statement: str, rows: Iterable[tuple[object, ...]]) -> None:
        assert self._db is not None
        self._db.executemany(statement, rows)

    @property
    def _execute(self) -> Callable[..., sqlite3.Cursor]:
        assert self._db is not None
        return self._db.execute

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        with writing(self.path):
            try:
                yield
            except sqlite3.Error as error:
                message = f"cannot write the SQLite index: {error}"
                raise WriteError(message, path=self.path) from error

    def _open(self, schema: Schema) -> None:
        execute = self._execute
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
            self._execute_many(self._insert, zip(self._ids, *columns, strict=False))
            if not self._in_place:
                self._execute("COMMIT")
                self._execute("BEGIN IMMEDIATE")

    def states(self) -> Iterator[State]:
        """Iterate over all rows."""
        query = "SELECT Filename, FileSize, FileModified, FileInode FROM files"
        with self._writing():
            yield from map(State._make, self._execute(query))

    def copy_kept(self, known: Known, sink: Sink) -> Kept:
        """Delete the earlier rows that no longer hold; the others are where they belong."""
        assert sink is self
        with self._writing():
            return self._delete_stale(known)

    def _delete_stale(self, known: Known) -> Kept:
        last = 0
        query = (
            "SELECT rowid, Filename, FileSize, FileModified, FileInode FROM files "
            "WHERE rowid > ? AND rowid <= ? ORDER BY rowid LIMIT 10000"
        )
        while rows := self._execute(query, (last, self._earlier)).fetchall():
            last = rows[-1][0]
            stale = [(row[0],) for row in rows if not State(*row[1:]).held_by(known)]
            self._execute_many("DELETE FROM files WHERE rowid = ?", stale)
        counts = "SELECT count(*), sum(Status = 'OK') FROM files WHERE rowid <= ?"
        rows_kept, ok = self._execute(counts, (self._earlier,)).fetchone()
        # Rows of files that were read again are among the dropped: `write` replaced them.
        return Kept(ok or 0, rows_kept - (ok or 0), self._earlier_rows - rows_kept)

    def close(self) -> None:
        """Commit, and put a first run's file under its name."""
        with self._writing():
            self._execute("COMMIT")
            if self._claim is None:
                self._close_database()
                return
            self._execute("PRAGMA journal_mode=DELETE")
            self._close_database()
            self._claim.sync()
            with self._old_at_rest():
                os.replace(self._partial, self._final)
            self._claim.release()
            sync_folder(os.path.dirname(self._final))

    @contextlib.contextmanager
    def _old_at_rest(self) -> Iterator[None]:
        """Keep the table that is replaced from having a journal, which would be taken for ours.

        Raises
        ------
        WriteError
            Another process writes to it, or reads it while it has a write-ahead log.
        """
        with contextlib.ExitStack() as held:
            if os.path.exists(self._final):
                old = held.enter_context(
                    contextlib.closing(sqlite3.connect(self._final, isolation_level=None))
                )
                try:
                    (journal,) = old.execute("PRAGMA journal_mode=DELETE").fetchone()
                    old.execute("BEGIN IMMEDIATE")  # rolls back what a killed update left
                    used = journal == "wal"
                except sqlite3.Error as error:
                    # Else it is no database, or one that cannot be read any more.
                    used = (getattr(error, "sqlite_errorcode", 0) & 0xFF) in _BUSY
                if used:
                    raise WriteError("another process uses the index: try again", path=self.path)
            _remove_beside(self._final)
            yield

    def _close_database(self) -> None:
        database, self._db = self._db, None
        if database is not None:
            database.close()

    def abandon(self, error: BaseException) -> None:
        """Give up: roll back an update; keep a first run that was interrupted, to be continued."""
        self._let_go(keep=isinstance(error, KeyboardInterrupt))

    def _let_go(self, *, keep: bool) -> None:
        # What failed is told already; SQLite rolls back when it is closed, or opened again.
        with contextlib.suppress(sqlite3.Error):
            self._close_database()
        if self._claim is not None:
            if not keep:
                self._claim.remove()
            with contextlib.suppress(OSError):
                self._claim.release()
