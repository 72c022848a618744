"""Rows of a scan into the tables of the catalog, and out of them; within one transaction each."""

from __future__ import annotations

import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, cast

from dicomloom.index.scan import Batch
from dicomloom.index.schema import FILE_INFO
from dicomloom.network.serve.archive.columns import (
    NAMED,
    SCANNED,
    SYNTAX,
    TABLES,
    is_keyed,
    key_of,
)
from dicomloom.network.serve.archive.database import columns_of

_NEEDED = ("SOPInstanceUID", "SOPClassUID", "SeriesInstanceUID", "StudyInstanceUID")
_INSERTS = {
    table: f"INSERT INTO {table} ({', '.join(columns_of(table))}) "
    f"VALUES ({', '.join('?' * len(columns_of(table)))})"
    for table in TABLES
}
_KEYED = {table: tuple(filter(is_keyed, keywords)) for table, keywords in TABLES.items()}
_Columns = dict[str, list[str]]


class Unfit(NamedTuple):
    """A file that does not answer.

    Attributes
    ----------
    path, reason : str
    """

    path: str
    reason: str


class _Series:
    """The series of a batch: which id each has, and how many instances more."""

    def __init__(self, database: sqlite3.Connection, columns: _Columns) -> None:
        self._database = database
        self._columns = columns
        self._ids: dict[tuple[str, str], int] = {}
        self._more: Counter[int] = Counter()

    def of(self, row: int) -> int:
        """Return the id of a row's series, which is made where it is new; counts the row."""
        uids = self._columns["StudyInstanceUID"][row], self._columns["SeriesInstanceUID"][row]
        made = self._ids.get(uids)
        if made is None:
            made = self._ids[uids] = self._find(uids, row)
        self._more[made] += 1
        return made

    def _find(self, uids: tuple[str, str], row: int) -> int:
        execute = self._database.execute
        study = execute("SELECT id FROM study WHERE StudyInstanceUID = ?", uids[:1]).fetchone()
        study_id = study[0] if study else self._insert("study", row)
        query = "SELECT id FROM series WHERE study = ? AND SeriesInstanceUID = ?"
        series = execute(query, (study_id, uids[1])).fetchone()
        return int(series[0]) if series else self._insert("series", row, study_id, 0)

    def _insert(self, table: str, row: int, *more: int) -> int:
        values = _cells(table, self._columns, row)
        made = self._database.execute(_INSERTS[table], (*values, *more)).lastrowid
        assert made is not None
        return made

    def count(self) -> None:
        """Add what came to the counts."""
        query = "UPDATE series SET instances = instances + ? WHERE id = ?"
        self._database.executemany(query, ((more, series) for series, more in self._more.items()))


def take_in(
    database: sqlite3.Connection, folder: str, batch: Batch, unfit: list[Unfit]
) -> list[str]:
    """Make rows of files, in place of those that they had.

    Returns
    -------
    list of str
        UIDs of instances whose file was another; see `spares`.
    """
    columns = {
        name: cast("list[str]", [value or "" for value in batch.column(name)])
        for name in ("Filename", "Status", "Error", *SCANNED)
    }
    states = list(zip(*map(batch.column, FILE_INFO), strict=True))
    paths = [name[len(folder) + 1 :] for name in columns["Filename"]]
    freed = delete(database, paths)
    shown = _shown(database, columns["SOPInstanceUID"])
    series = _Series(database, columns)
    demoted: Counter[int] = Counter()
    rows: list[tuple[object, ...]] = []
    # Of several files of an instance the one with the shortest path answers: none with a number.
    for row in sorted(range(len(paths)), key=lambda at: _rank(paths[at])):
        path, uid = paths[row], columns["SOPInstanceUID"][row]
        if os.path.basename(path).startswith("."):
            continue
        home: int | None = None
        reason = _fault(columns, row)
        if reason:
            columns["SOPInstanceUID"][row] = ""
        elif uid in shown and _rank(shown[uid][0]) < _rank(path):
            reason = _same(folder, shown[uid][0])
        else:
            if uid in shown:
                demoted[_demote(database, *shown[uid])] += 1
                unfit.append(Unfit(os.path.join(folder, shown[uid][0]), _same(folder, path)))
            home = series.of(row)
            shown[uid] = path, home
        if reason:
            unfit.append(Unfit(columns["Filename"][row], reason))
        state = (-1 if value is None else value for value in states[row])
        cells = _cells("instance", columns, row)
        rows.append((*cells, home, path, columns[SYNTAX][row], *state))
    database.executemany(_INSERTS["instance"], rows)
    series.count()
    _fewer(database, demoted)
    return freed


def _cells(table: str, columns: _Columns, row: int) -> tuple[str, ...]:
    """Return the values of a row, then those in the form in which they are compared."""
    values = [columns[keyword][row] for keyword in TABLES[table]]
    return (*values, *(key_of(keyword, columns[keyword][row]) for keyword in _KEYED[table]))


def _rank(path: str) -> tuple[int, str]:
    return len(path), path


def _fault(columns: _Columns, row: int) -> str:
    """Return why a file cannot answer, "" where it can."""
    if columns["Status"][row] != "OK":
        return columns["Error"][row]
    if not columns[SYNTAX][row]:
        return "there is no file meta information (PS3.10 7.1)"
    name = columns["Filename"][row]
    if "\\" in name and not os.path.lexists(name):
        return "its name is not UTF-8"
    received = columns[NAMED][row]
    if received not in ("", columns["SOPInstanceUID"][row]) and received == _uid_in(name):
        # A peer stored it as one instance; what is far behind in it may not make it another.
        return "it was received as another instance"
    missing = [keyword for keyword in _NEEDED if not columns[keyword][row]]
    return f"there is no {missing[0]}" if missing else ""


def _uid_in(name: str) -> str:
    """Return the UID by which `Places` has named a file, with a number perhaps."""
    return os.path.basename(name).removesuffix(".dcm").partition("-")[0]


def _shown(database: sqlite3.Connection, uids: Sequence[str]) -> dict[str, tuple[str, int]]:
    """Return path and series of what answers for some instances."""
    query = (
        "SELECT SOPInstanceUID, path, series FROM instance "
        "WHERE series > 0 AND SOPInstanceUID IN (SELECT value FROM json_each(?))"
    )
    return {uid: (path, series) for uid, path, series in database.execute(query, (_array(uids),))}


def _same(folder: str, path: str) -> str:
    return f"{os.path.join(folder, path)} is of the same instance"


def _demote(database: sqlite3.Connection, path: str, series: int) -> int:
    database.execute("UPDATE instance SET series = NULL WHERE path = ?", (path,))
    return series


def delete(database: sqlite3.Connection, paths: Sequence[str]) -> list[str]:
    """Delete rows of files, and series and studies that are empty then.

    Returns
    -------
    list of str
        UIDs of instances that no file answers for now; see `spares`.
    """
    query = (
        "SELECT id, series, SOPInstanceUID FROM instance "
        "WHERE path IN (SELECT value FROM json_each(?))"
    )
    rows = database.execute(query, (_array(paths),)).fetchall()
    database.executemany("DELETE FROM instance WHERE id = ?", ((row[0],) for row in rows))
    shown = [(series, uid) for _, series, uid in rows if series is not None]
    _fewer(database, Counter(series for series, _ in shown))
    return [uid for _, uid in shown]


def _fewer(database: sqlite3.Connection, counts: Counter[int]) -> None:
    query = "UPDATE series SET instances = instances - ? WHERE id = ?"
    database.executemany(query, ((count, series) for series, count in counts.items()))
    query = "DELETE FROM series WHERE id = ? AND instances = 0 RETURNING study"
    studies = {row for series in counts for row in database.execute(query, (series,))}
    database.executemany(
        "DELETE FROM study WHERE id = ? "
        "AND NOT EXISTS (SELECT 1 FROM series WHERE series.study = study.id)",
        studies,
    )


def spares(database: sqlite3.Connection, uids: Sequence[str]) -> list[str]:
    """Return the paths of other files of instances that no file answers for."""
    if not uids:
        return []
    query = (
        "SELECT path FROM instance AS spare WHERE series IS NULL "
        "AND SOPInstanceUID IN (SELECT value FROM json_each(?)) AND NOT EXISTS (SELECT 1 FROM "
        "instance AS shown WHERE shown.series > 0 "
        "AND shown.SOPInstanceUID = spare.SOPInstanceUID)"
    )
    return [path for (path,) in database.execute(query, (_array(uids),))]


def _array(texts: Iterable[str]) -> str:
    return json.dumps(list(texts))
