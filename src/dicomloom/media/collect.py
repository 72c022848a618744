"""The files that a DICOMDIR can refer to: one scan, held as columns."""

from __future__ import annotations

import os
from typing import cast

from dicomloom.index.scan import scan
from dicomloom.media.encode import tag_and_vr
from dicomloom.media.findings import Finding
from dicomloom.media.names import is_component, is_file_id, is_uid
from dicomloom.media.records import AT_ROOT, DIRECTORY_CLASS, KEYS, PROFILES, record_type

SYNTAX = "(0002,0010)"
META_UID = "(0002,0003)"
META_CLASS = "(0002,0002)"
# Where a study or an instance has no date of its own: from the widest to the narrowest.
DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime")
# UIDs that files have in common: of records at the root only the first.
_SHARED = ("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID")


def _columns() -> tuple[str, ...]:
    wanted = [META_CLASS, META_UID, SYNTAX, "SpecificCharacterSet", "SOPClassUID"]
    wanted += ["SOPInstanceUID", *DATES, *TIMES, "PatientBirthDate"]
    for keys in KEYS.values():
        wanted += [keyword for keyword in keys if tag_and_vr(keyword)[1] != "SQ"]
    return tuple(dict.fromkeys(wanted))


COLUMNS = _columns()


class Collection:
    """The instances that are found, and what is wrong with them.

    An instance is the number of its row. A column becomes Python objects when it is asked for:
    most files need few of them.

    Parameters
    ----------
    paths : list of str
        Files and folders, absolute.
    skip : str
        The DICOMDIR itself.
    profile : str or None
        A key of `PROFILES`.
    jobs : int or None
        Threads that read.

    Attributes
    ----------
    rows : list of int
        The instances that a record can refer to, by path.
    findings : list of Finding
    file_ids : dict of int to str
        What `name` gave.
    """

    def __init__(self, paths: list[str], skip: str, profile: str | None, jobs: int | None) -> None:
        self.findings: list[Finding] = []
        self.file_ids: dict[int, str] = {}
        with scan(paths, COLUMNS, threads=jobs, file_info=True) as found:
            self._batches = list(found)
        self._columns: dict[str, list[str]] = {}
        self._shared_uids: set[str] = set()  # of classes, studies and series
        self.rows = self._collect(skip, profile)

    def column(self, name: str) -> list[str]:
        """Return a value of all files, "" where a file has none; may be written to."""
        made = self._columns.get(name)
        if made is None:
            made = []
            for batch in self._batches:
                values = cast("list[str | None]", batch.column(name))
                made += [value or "" for value in values]
            self._columns[name] = made
        return made

    def sizes(self) -> list[int]:
        """Return how many bytes all files had when they were looked at."""
        found = (batch.column("FileSize") for batch in self._batches)
        return [int(cast("int", size or 0)) for sizes in found for size in sizes]

    def first(self, names: tuple[str, ...], row: int) -> str:
        """Return the first of some values that an instance has, "" for none."""
        return next((value for name in names if (value := self.column(name)[row])), "")

    def find(self, kind: str, row: int, message: str) -> None:
        """Note what is wrong with a file."""
        self.findings.append(Finding(kind, self.column("Filename")[row], message))

    def _collect(self, skip: str, profile: str | None) -> list[int]:
        names, status, errors = map(self.column, ("Filename", "Status", "Error"))
        uids = self.column("SOPInstanceUID")
        classes, _, _ = map(self.column, _SHARED)
        meta_uids, meta_classes = self.column(META_UID), self.column(META_CLASS)
        syntaxes = self.column(SYNTAX)
        allowed = PROFILES[profile] if profile else ()
        seen: dict[str, int] = {}
        for row in sorted(range(len(names)), key=names.__getitem__):
            if status[row] != "OK":
                if os.path.basename(names[row]).upper() != "DICOMDIR":
                    self.find("unreadable", row, f"left out: {errors[row]}")
                continue
            if names[row] == skip or meta_classes[row] == DIRECTORY_CLASS:
                continue
            why = self._unfit(row)
            if why:
                self.find("left-out", row, f"{why}: the file is left out")
                continue
            uid = uids[row]
            if seen.setdefault(uid, row) != row:
                message = f"SOP Instance UID {uid} is that of {names[seen[uid]]}, too"
                self.find("duplicate", row, message)
                continue
            if meta_uids[row] != uid or meta_classes[row] != classes[row]:
                self.find(
                    "inconsistent",
                    row,
                    "file meta information and data set name different SOP Classes or Instances: "
                    "those of the data set are taken",
                )
            if allowed and syntaxes[row] not in allowed:
                self.find(
                    "profile",
                    row,
                    f"{profile} does not allow transfer syntax {syntaxes[row]}: write the file "
                    f"with dicomloom transcode --to {allowed[0]}, or choose another profile",
                )
        return list(seen.values())

    def _unfit(self, row: int) -> str:
        """Return why no record can refer to a file, "" where one can."""
        if not self._columns[SYNTAX][row] or not self._columns[META_CLASS][row]:
            return "there is no file meta information (PS3.10 7.1)"
        at_root = record_type(self._columns["SOPClassUID"][row]) in AT_ROOT
        for keyword in _SHARED[:1] if at_root else _SHARED:
            uid = self._columns[keyword][row]
            if uid not in self._shared_uids:
                if not is_uid(uid):
                    return f"{keyword} is {uid!r} and no UID"
                self._shared_uids.add(uid)
        uid = self._columns["SOPInstanceUID"][row]
        return "" if is_uid(uid) else f"SOPInstanceUID is {uid!r} and no UID"

    def name(self, root: str) -> None:
        """Give the files their File IDs where they are, and leave out those that have none."""
        names = self.column("Filename")
        prefix = root.rstrip(os.sep) + os.sep
        folders: dict[str, str | None] = {}
        for row in self.rows:
            folder, _, name = names[row].rpartition(os.sep)
            if folder not in folders:
                folders[folder] = _folder_id(folder + os.sep, prefix)
            start = folders[folder]
            if start is None or not is_component(name):
                self.find(
                    "name",
                    row,
                    "left out: the name is no File ID (PS3.10 8.5: one to eight of A-Z 0-9 _ a "
                    "component, below the folder of the DICOMDIR); copy the files with --copy-to",
                )
            else:
                self.file_ids[row] = start + name
        self.rows = list(self.file_ids)

    def same(self, rows: list[int], keywords: tuple[str, ...], what: str) -> None:
        """Note where instances of one patient, study or series differ in what they share."""
        for keyword in keywords:
            values = self.column(keyword)
            if len(set(map(values.__getitem__, rows))) > 1:
                other = next(row for row in rows if values[row] != values[rows[0]])
                message = (
                    f"{keyword} is not that of {self.column('Filename')[rows[0]]}, which is of the "
                    f"same {what}: the record has the latter's"
                )
                self.find("inconsistent", other, message)


def _folder_id(folder: str, prefix: str) -> str | None:
    """Return how File IDs of files in a folder begin, None where they cannot be."""
    if not folder.startswith(prefix):
        return None
    if folder == prefix:
        return ""
    components = folder[len(prefix) : -1].split(os.sep)
    # The file's own name is the eighth component at most.
    return "\\".join(components) + "\\" if is_file_id(components) and len(components) < 8 else None
