"""The SQLite file of the catalog: its tables, its connections, and what to do when it is broken."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import logging
import os
import sqlite3
import threading
from collections.abc import Iterator

from dicomloom.errors import WriteError
from dicomloom.network.serve.archive.columns import TABLES, column_of, is_keyed

_LOGGER = logging.getLogger("dicomloom.network")
_APPLICATION = 0x646C6F6D  # "dlom"
_WAIT = 30.0  # seconds for another's write
_SUFFIXES = ("", "-wal", "-shm")
_NUMBERS = ("series", "size", "modified", "inode")
# Beside the attributes. An instance without a series does not answer: its file cannot be read, or
# another file has its SOP Instance UID. It is there so that nobody reads it again.
_MORE = {
    "study": (),
    "series": ("study", "instances"),
    "instance": ("series", "path", "syntax", "size", "modified", "inode"),
}
_INDICES = (
    "CREATE UNIQUE INDEX study_uid ON study (StudyInstanceUID)",
    "CREATE INDEX study_patient ON study (PatientID, IssuerOfPatientID)",
    "CREATE INDEX study_date ON study (StudyDate_key)",
    "CREATE INDEX study_name ON study (PatientName_key)",
    "CREATE INDEX study_accession ON study (AccessionNumber)",
    "CREATE UNIQUE INDEX series_uid ON series (study, SeriesInstanceUID)",
    "CREATE INDEX series_alone ON series (SeriesInstanceUID)",
    "CREATE UNIQUE INDEX instance_path ON instance (path)",
    "CREATE UNIQUE INDEX instance_uid ON instance (SOPInstanceUID) WHERE series IS NOT NULL",
    "CREATE INDEX instance_spare ON instance (SOPInstanceUID) WHERE series IS NULL",
    "CREATE INDEX instance_class ON instance (series, SOPClassUID)",
)


def columns_of(table: str) -> tuple[str, ...]:
    """Return the columns of a table, but for its id, in the order in which rows are given."""
    keyword_columns = TABLES[table]
    keys = (column_of(keyword) for keyword in keyword_columns if is_keyed(keyword))
    return (*keyword_columns, *keys, *_MORE[table])


def _schema() -> str:
    made = []
    for table in TABLES:
        columns = ", ".join(
            f"{name} {'INTEGER' if name in (*_NUMBERS, 'study', 'instances') else 'TEXT'}"
            for name in columns_of(table)
        )
        # Ids rise: those of an update are above all earlier ones.
        made.append(f"CREATE TABLE {table} (id INTEGER PRIMARY KEY AUTOINCREMENT, {columns})")
    return ";".join((*made, *_INDICES))


class Database:
    """Connections to an index, each used by one thread at a time.

    Parameters
    ----------
    path : str
        A file that is none, is damaged, or is of another version is put aside, and that is logged.

    Raises
    ------
    WriteError
        It cannot be opened or made.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.writing = threading.RLock()
        self._pooling = threading.Lock()
        self._idle: list[sqlite3.Connection] = []
        self._closed = False
        schema = _schema()
        digest = hashlib.blake2b(schema.encode(), digest_size=4).digest()
        self._version = int.from_bytes(digest, "big") & 0x7FFFFFFF
        try:
            why = self._open()
        except sqlite3.Error as error:
            if not is_damage(error):
                raise self.write_error(error) from error
            why = str(error)
        if why:
            self.put_aside(why)

    def _open(self) -> str:
        """Open the index, and make it where there is none; returns why it is not ours."""
        self._writer = self._connect()
        execute = self._writer.execute
        try:
            empty = not execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
            why = "" if empty else self._foreign()
            if not why:
                execute("PRAGMA journal_mode=WAL")
                # What a power cut takes, the next refresh brings back.
                execute("PRAGMA synchronous=NORMAL")
            if empty:
                self._make()
        except BaseException:
            self._writer.close()
            raise
        return why

    def _make(self) -> None:
        self._writer.executescript(
            f"BEGIN IMMEDIATE; {_schema()}; PRAGMA application_id={_APPLICATION}; "
            f"PRAGMA user_version={self._version}; COMMIT"
        )

    def _foreign(self) -> str:
        """Return why this is no index of ours, "" where it is; nothing is changed."""
        (application,) = self._writer.execute("PRAGMA application_id").fetchone()
        (version,) = self._writer.execute("PRAGMA user_version").fetchone()
        if application != _APPLICATION:
            return "it is of another program"
        return "" if version == self._version else "it is of another version"

    def check(self) -> None:
        """Put a damaged index aside; reads all of it."""
        with self.writing:
            try:
                (said,) = self._writer.execute("PRAGMA quick_check(1)").fetchone()
            except sqlite3.DatabaseError as error:
                if not is_damage(error):
                    raise self.write_error(error) from error
                said = str(error)
            if said != "ok":
                self.put_aside(said)

    def put_aside(self, why: str) -> None:
        """Begin a new index; the old one is kept under another name."""
        self._writer.close()
        self._forget_idle()
        try:
            for number in itertools.count(1):
                aside = f"{self.path}.aside-{number}"
                if not os.path.lexists(aside):
                    break
            for suffix in _SUFFIXES:
                with contextlib.suppress(FileNotFoundError):
                    os.rename(self.path + suffix, aside + suffix)
            self._open()
        except (OSError, sqlite3.Error) as error:
            raise self.write_error(error) from error
        _LOGGER.warning("%s cannot be used (%s): made anew, kept as %s", self.path, why, aside)

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(
            self.path, timeout=_WAIT, isolation_level=None, check_same_thread=False
        )

    def write_error(self, error: Exception) -> WriteError:
        """Turn an error of SQLite into one that says where."""
        return WriteError(f"cannot write the index: {error}", path=self.path)

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """Give the connection that writes, in a transaction; one thread at a time."""
        with self.writing:
            try:
                if self._closed:
                    raise sqlite3.ProgrammingError("it is closed")
                self._writer.execute("BEGIN IMMEDIATE")
                try:
                    yield self._writer
                    self._writer.execute("COMMIT")
                except BaseException:
                    if self._writer.in_transaction:
                        self._writer.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise self.write_error(error) from error

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """Give a connection that nobody else uses; it sees what was there when it first asks."""
        # Not one a thread: a server's threads come and go, and an answer may change its thread.
        with self._pooling:
            if self._closed:
                raise sqlite3.ProgrammingError("it is closed")
            idle = self._idle
            connection = idle.pop() if idle else None
        if connection is None:
            connection = self._connect()
        try:
            yield connection
        finally:
            with self._pooling:
                # One to an index that was put aside is of no use.
                kept = not self._closed and self._idle is idle
                if kept:
                    idle.append(connection)
            if not kept:
                connection.close()

    def _forget_idle(self) -> None:
        with self._pooling:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def close(self) -> None:
        """Close all connections; those in use when they are given back."""
        with self.writing:
            self._closed = True
            self._forget_idle()
            self._writer.close()


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file is broken or no database, rather than full, locked or not to be read."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
