"""The catalog: what an archive holds, and what it answers to C-FIND, C-MOVE and C-GET."""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple, cast

from dicomloom._native.scan import Known
from dicomloom.errors import DicomloomError
from dicomloom.index.read import read_tags
from dicomloom.index.scan import Batch, Scan
from dicomloom.index.schema import Schema
from dicomloom.network import words
from dicomloom.network.serve.archive.answers import answer_of
from dicomloom.network.serve.archive.columns import SCANNED
from dicomloom.network.serve.archive.database import Database
from dicomloom.network.serve.archive.intake import Unfit, delete, spares, take_in
from dicomloom.network.serve.archive.query import UNABLE, Question, find_question, held_question
from dicomloom.network.serve.refusal import Refusal

if TYPE_CHECKING:
    from pydicom import Dataset

_LOGGER = logging.getLogger("dicomloom.network")
INDEX = "index.sqlite"
# PS3.3 C.14.1.1: failure reasons of storage commitment.
HELD, _PROCESSING_FAILURE, _NO_SUCH_INSTANCE, _CLASS_CONFLICT = 0, 0x0110, 0x0112, 0x0119
_NAMES = ("SOPInstanceUID", "SOPClassUID")
_ROWS = 8192
_NO_SIZE = (1 << 64) - 1  # no file has it


class Held(NamedTuple):
    """An instance that can be sent.

    Attributes
    ----------
    path : str
    sop_class_uid, sop_instance_uid, transfer_syntax : str
    """

    path: str
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax: str


class Refreshed(NamedTuple):
    """What `Catalog.refresh` found.

    Attributes
    ----------
    read, gone : int
        Files that were new or changed; that are there no more.
    unfit : int
        Of the first: those that do not answer.
    """

    read: int
    gone: int
    unfit: int


class Catalog:
    """An index of all objects below a folder, in ``index.sqlite`` there.

    Can be used from many threads: one adds, others ask meanwhile, and see what was there when they
    asked. An index that is damaged or none of ours is put aside; `refresh` makes it anew.

    Parameters
    ----------
    folder : str or path-like
        Of `Places`; hidden folders and files are left out.
    ae_title : str
        Retrieve AE Title (0008,0054) of all answers; "" for none.

    Raises
    ------
    WriteError
        The index cannot be opened or made.

    Notes
    -----
    The first file that has a SOP Instance UID answers; others wait until that is gone. Attributes
    of a study or series are those of the first of its instances that was read.
    """

    def __init__(self, folder: str | os.PathLike[str], *, ae_title: str = "") -> None:
        self.folder = os.path.realpath(folder)
        self._ae_title = ae_title
        self._schema = Schema(SCANNED, file_info=True)
        self._database = Database(os.path.join(self.folder, INDEX))

    def close(self) -> None:
        """Close the index; what is still being answered ends first."""
        self._database.close()

    def __enter__(self) -> Catalog:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the index."""
        self.close()

    def add(self, paths: Iterable[str | os.PathLike[str]]) -> list[Unfit]:
        """Read files, or read them again, and take them in: all of them, or none.

        Parameters
        ----------
        paths : iterable of path
            Below the folder.

        Returns
        -------
        list of Unfit
            Those that do not answer: not to be read, without the UIDs that they need, or of an
            instance that another file has.

        Raises
        ------
        WriteError
            The index could not be written; it is as it was.
        ValueError
            A path is not below the folder.
        """
        real = lru_cache(maxsize=1024)(os.path.realpath)
        names = [self._below(os.fspath(path), real) for path in paths]
        unfit: list[Unfit] = []
        with self._database.changing() as database:
            self._take(database, self._scan(names), unfit)
        return unfit

    def refresh(self) -> Refreshed:
        """Bring the index up to date with the folder: files that are new, changed, or gone.

        Reads the headers of new and changed files only. Holds 20 to 40 bytes a file.

        Raises
        ------
        WriteError
            The index could not be written; what was read before is in it.
        """
        self._database.check()
        known = Known()
        query = "SELECT path, size, modified, inode FROM instance"
        with self._database.reading() as database:
            for path, *state in database.execute(query):
                known.add(os.path.join(self.folder, path), *_known(state))
            (last,) = database.execute("SELECT coalesce(max(id), 0) FROM instance").fetchone()
        with os.scandir(self.folder) as entries:
            roots = [entry.path for entry in entries if not entry.name.startswith((".", INDEX))]
        read = count = 0
        for batch in self._scan(roots, known):
            unfit: list[Unfit] = []
            with self._database.changing() as database:
                self._take(database, [batch], unfit)
            _tell(unfit)
            read += len(batch)
            count += len(unfit)
        # Files that were read again have rows behind the last.
        with self._database.reading() as database:
            gone = [
                path
                for path, *state in database.execute(f"{query} WHERE id <= ?", (last,))
                if not known.keeps(os.path.join(self.folder, path), *_known(state))
            ]
        for start in range(0, len(gone), _ROWS):
            unfit = []
            with self._database.changing() as database:
                self._promote(database, delete(database, gone[start : start + _ROWS]), unfit)
            _tell(unfit)
        if count:
            _LOGGER.warning(
                "%s: %d of %d new files do not answer; the log at INFO has which, and why",
                *(self.folder, count, read),
            )
        return Refreshed(read, len(gone), count)

    def remove(self, sop_instance_uid: str) -> list[str]:
        """Forget an instance, and return the paths of its files, which are left where they are.

        A file that still lies there at the next `refresh` is found again.
        """
        with self._database.changing() as database:
            query = "SELECT path FROM instance WHERE SOPInstanceUID = ?"
            paths = [row[0] for row in database.execute(query, (sop_instance_uid,))]
            delete(database, paths)
        return [os.path.join(self.folder, path) for path in paths]

    def find(
        self, model: str, level: str, identifier: Dataset, *, relational: bool = False
    ) -> Iterator[Dataset]:
        """Answer a C-FIND (PS3.4 C.4.1): a data set an entity, made as they are taken.

        Parameters
        ----------
        model : str
            UID of the information model.
        level : str
            Query/Retrieve Level (0008,0052).
        identifier : pydicom.Dataset
        relational : bool
            Whether relational queries were negotiated (C.5.1.1).

        Returns
        -------
        iterator of pydicom.Dataset
            Close it, or take all: it holds a connection.

        Raises
        ------
        Refusal
            A900 or C000, from the call itself; C000 from the iterator where the index is broken.

        Notes
        -----
        Keys of levels above are matched and returned without a relational query, too. Those of
        levels below are matched by a relational query: one entity below has to have all of them.
        Names match without regard to case, whole or by a component group. Whatever the catalog does
        not hold comes back empty: see `supports`.
        """
        return self._answers(find_question(model, level, identifier, relational))

    def supports(
        self, model: str, level: str, identifier: Dataset, *, relational: bool = False
    ) -> bool:
        """Whether all keys are matched and returned: pending is FF00, else FF01; see `find`."""
        return find_question(model, level, identifier, relational).supported

    def _answers(self, question: Question) -> Iterator[Dataset]:
        for row in self._rows(question.sql, question.values):
            yield answer_of(question, row[1:], self._ae_title)

    def _rows(self, sql: str, values: tuple[str | float, ...]) -> Iterator[tuple[object, ...]]:
        try:
            with (
                self._database.reading() as database,
                closing(database.execute(sql, values)) as cursor,
            ):
                yield from cursor
        except sqlite3.Error as error:
            _LOGGER.error("%s: %s; start again to make it anew", self._database.path, error)
            raise Refusal(UNABLE, "the index cannot be read") from error

    def instances(
        self, model: str, level: str, identifier: Dataset, *, relational: bool = False
    ) -> Generator[Held, None, None]:
        """Return what a C-MOVE or C-GET asks for (PS3.4 C.4.2, C.4.3); see `find`.

        Raises
        ------
        Refusal
            A900: the unique key of the level is missing, or that of one above.
        """
        sql, values = held_question(model, level, identifier, relational)
        return self._held(sql, values)

    def _held(self, sql: str, values: tuple[str | float, ...]) -> Generator[Held, None, None]:
        for row in self._rows(sql, values):
            path, *names = cast("tuple[str, ...]", row)
            yield Held(os.path.join(self.folder, path), *names)

    def holds(self, sop_class_uid: str, sop_instance_uid: str) -> int:
        """Return `HELD` (0) where an instance is safely here, else why not.

        The file is opened, and has to say that it is this instance.

        Returns
        -------
        int
            Failure Reason (0008,1197) of storage commitment (PS3.3 C.14.1.1): 0112 no such object
            instance, 0119 class-instance conflict, 0110 processing failure: the file is broken.
        """
        sql = "SELECT path, SOPClassUID FROM instance WHERE series > 0 AND SOPInstanceUID = ?"
        found = cast("list[tuple[str, str]]", list(self._rows(sql, (sop_instance_uid,))))
        if not found:
            return _NO_SUCH_INSTANCE
        path, own_class = found[0]
        if own_class != sop_class_uid:
            return _CLASS_CONFLICT
        try:
            said = read_tags(os.path.join(self.folder, path), _NAMES)
        except DicomloomError as error:
            _LOGGER.error("%s", error)
            gone = isinstance(error, OSError) and not os.path.lexists(str(error.path))
            return _NO_SUCH_INSTANCE if gone else _PROCESSING_FAILURE
        matches = said["SOPInstanceUID"] == sop_instance_uid and said["SOPClassUID"] == own_class
        return HELD if matches else _PROCESSING_FAILURE

    # --- taking in, letting go ---

    def _below(self, path: str, real: Callable[[str], str]) -> str:
        """Return the path as the folder is written; links in it are followed, but for the last."""
        folder, name = os.path.split(os.path.abspath(path))
        made = os.path.join(real(folder), name)
        if not made.startswith(os.path.join(self.folder, "")):
            raise ValueError(f"{path} is not below {self.folder}")
        return made

    def _scan(self, paths: list[str], known: Known | None = None) -> Scan:
        return Scan(
            paths,
            self._schema,
            threads=None,
            errors="keep",
            follow_symlinks=False,
            progress=None,
            batch_size=_ROWS,
            known=known,
        )

    def _take(
        self, database: sqlite3.Connection, batches: Iterable[Batch], unfit: list[Unfit]
    ) -> None:
        for batch in batches:
            self._promote(database, take_in(database, self.folder, batch, unfit), unfit)

    def _promote(self, database: sqlite3.Connection, uids: list[str], unfit: list[Unfit]) -> None:
        """Let other files answer for instances whose file is gone, where there are such."""
        paths = spares(database, uids)
        if paths:
            names = [os.path.join(self.folder, path) for path in paths]
            self._take(database, self._scan(names), unfit)


def _known(state: list[int]) -> tuple[int, int, int]:
    """Return size, time and inode of a file; of one that could not be looked at, none there is."""
    size, modified, inode = state
    return (size, modified, inode) if size >= 0 else (_NO_SIZE, 0, 0)


def _tell(unfit: list[Unfit]) -> None:
    for path, reason in unfit:
        _LOGGER.info("%s does not answer: %s", words.printable(path), words.printable(reason))
