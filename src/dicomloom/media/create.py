"""A DICOMDIR of the files below a folder, made from one scan (PS3.3 annex F, PS3.10 8)."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

from dicomloom.errors import NotDicomError, WriteError
from dicomloom.files import EagerFile, Replacing, sync_folder, writing
from dicomloom.index.scan import scan
from dicomloom.media.encode import Record, directory, element, keys, tag_and_vr
from dicomloom.media.findings import Finding
from dicomloom.media.names import is_file_id, is_file_set_id, is_uid
from dicomloom.media.records import AT_ROOT, DIRECTORY_CLASS, KEYS, PROFILES, record_type

SYNTAX = "(0002,0010)"
META_UID = "(0002,0003)"
META_CLASS = "(0002,0002)"
_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate", "InstanceCreationDate")
_TIMES = ("StudyTime", "SeriesTime", "AcquisitionTime", "ContentTime", "InstanceCreationTime")
_KEYS = {
    kind: sorted((*tag_and_vr(keyword), keyword, need) for keyword, need in wanted.items())
    for kind, wanted in KEYS.items()
}
_TEXT = dict.fromkeys(
    keyword for wanted in _KEYS.values() for _, vr, keyword, _ in wanted if vr != "SQ"
)
COLUMNS = tuple(
    dict.fromkeys(
        [
            META_CLASS,
            META_UID,
            SYNTAX,
            "SpecificCharacterSet",
            "SOPClassUID",
            "SOPInstanceUID",
            *_DATES,
            *_TIMES,
            *_TEXT,
            "PatientBirthDate",
        ]
    )
)

Row = dict[str, str]


def _number(text: str) -> tuple[int, str]:
    """Return what numbers are sorted by, even where they are none."""
    try:
        return int(text), ""
    except ValueError:
        return 1 << 62, text


class Collection:
    """The instances that are found, and what is wrong with them.

    Parameters
    ----------
    paths : iterable of path
        Files and folders.
    skip : str
        The DICOMDIR itself.
    profile : str or None
        A key of `PROFILES`.
    """

    def __init__(self, paths: list[str], skip: str, profile: str | None, jobs: int | None) -> None:
        self.findings: list[Finding] = []
        self.rows: list[Row] = []
        self._profile = profile
        seen: dict[str, str] = {}
        for row in sorted(self._scanned(paths, jobs), key=lambda row: row["Filename"]):
            path = row["Filename"]
            if path == skip or row[META_CLASS] == DIRECTORY_CLASS:
                continue
            if not self._usable(row):
                continue
            uid = row["SOPInstanceUID"]
            if uid in seen:
                self.find("duplicate", path, f"SOP Instance UID {uid} is that of {seen[uid]}, too")
                continue
            seen[uid] = path
            self.rows.append(row)

    def find(self, kind: str, path: str, message: str) -> None:
        """Note a finding."""
        self.findings.append(Finding(kind, path, message))

    def _scanned(self, paths: list[str], jobs: int | None) -> Iterator[Row]:
        with scan(paths, COLUMNS, threads=jobs) as found:
            for batch in found:
                names = batch.names
                for values in batch.rows():
                    row = {
                        name: "" if value is None else str(value)
                        for name, value in zip(names, values, strict=True)
                    }
                    if row["Status"] == "OK":
                        yield row
                    elif os.path.basename(row["Filename"]).upper() != "DICOMDIR":
                        self.find("unreadable", row["Filename"], f"left out: {row['Error']}")

    def _usable(self, row: Row) -> bool:
        path = row["Filename"]
        if not row[SYNTAX] or not row[META_CLASS]:
            self.find("left-out", path, "there is no file meta information (PS3.10 7.1): left out")
            return False
        needed = ["SOPClassUID", "SOPInstanceUID"]
        if record_type(row["SOPClassUID"]) not in AT_ROOT:
            needed += ["StudyInstanceUID", "SeriesInstanceUID"]
        for keyword in needed:
            if not is_uid(row[keyword]):
                self.find(
                    "left-out",
                    path,
                    f"{keyword} is {row[keyword]!r} and no UID: the file is left out",
                )
                return False
        if row[META_UID] != row["SOPInstanceUID"] or row[META_CLASS] != row["SOPClassUID"]:
            self.find(
                "inconsistent",
                path,
                "file meta information and data set name different SOP Classes or Instances: "
                "those of the data set are taken",
            )
        allowed = PROFILES[self._profile] if self._profile else ()
        if allowed and row[SYNTAX] not in allowed:
            self.find(
                "profile",
                path,
                f"{self._profile} does not allow transfer syntax {row[SYNTAX]}: write the file "
                f"with dicomloom transcode --to {allowed[0]}, or choose another profile",
            )
        return True

    def same(self, rows: list[Row], keywords: tuple[str, ...], what: str) -> None:
        """Note where instances of one patient, study or series differ in what they share."""
        for keyword in keywords:
            first = rows[0][keyword]
            for row in rows:
                if row[keyword] != first:
                    message = (
                        f"{keyword} is not that of {rows[0]['Filename']}, which is of the same "
                        f"{what}: the record has the latter's"
                    )
                    self.find("inconsistent", row["Filename"], message)
                    break


class Builder:
    """Makes the tree of records of a collection."""

    def __init__(self, collection: Collection, icons: bool) -> None:
        self._all = collection
        self._icons = icons
        self.root: list[Record] = []
        self.placed: list[tuple[Row, Record, tuple[int, ...]]] = []

    def build(self) -> None:
        """Make all records; `placed` has those that refer to files."""
        patients: dict[tuple[str, ...], list[Row]] = {}
        for row in self._all.rows:
            kind = record_type(row["SOPClassUID"])
            if kind in AT_ROOT:
                self._instance(row, kind, self.root, (len(self.root) + 1,))
                continue
            # Without a Patient ID, files of one name and birth date are one patient's.
            who: tuple[str, ...] = (row["PatientID"],)
            if not row["PatientID"]:
                who = ("", row["PatientName"], row["PatientBirthDate"])
            patients.setdefault(who, []).append(row)
        for number, who in enumerate(sorted(patients), 1):
            self._patient(patients[who], number)

    def _fill(self, row: Row, keyword: str, value: str, what: str) -> None:
        if not row[keyword] and value:
            row[keyword] = value
            self._all.find(
                "filled",
                row["Filename"],
                f"{keyword} has no value, which its {what} record needs (PS3.3 F.5): {value}",
            )

    def _group(self, rows: list[Row], uid: str) -> list[list[Row]]:
        groups: dict[str, list[Row]] = {}
        for row in rows:
            groups.setdefault(row[uid], []).append(row)
        return list(groups.values())

    def _record(self, kind: str, row: Row) -> Record:
        values = []
        for tag, vr, keyword, need in _KEYS[kind]:
            if need == 1 and not row[keyword]:
                message = f"{keyword} is missing, which its {kind} record needs (PS3.3 F.5)"
                self._all.find("key", row["Filename"], message)
            values.append((tag, vr, row[keyword]))
        head = element(0x00041430, "CS", kind.encode())
        return Record(head + keys(values, row["SpecificCharacterSet"]))

    def _patient(self, rows: list[Row], number: int) -> None:
        self._fill(rows[0], "PatientID", f"UNKNOWN{number:05d}", "PATIENT")
        if rows[0]["PatientID"] and all(row["PatientID"] for row in rows):
            self._all.same(rows, ("PatientName", "PatientBirthDate"), "patient")
        record = self._record("PATIENT", rows[0])
        self.root.append(record)
        studies = self._group(rows, "StudyInstanceUID")
        studies.sort(key=lambda of: (of[0]["StudyDate"], of[0]["StudyTime"], of[0]["StudyID"]))
        for count, study in enumerate(studies, 1):
            self._study(study, record, (number, count))

    def _study(self, rows: list[Row], parent: Record, place: tuple[int, ...]) -> None:
        first = rows[0]
        self._all.same(rows, ("StudyDate", "StudyTime", "StudyID", "AccessionNumber"), "study")
        date = next((first[name] for name in _DATES if first[name]), "19000101")
        time = next((first[name] for name in _TIMES if first[name]), "000000")
        self._fill(first, "StudyDate", date, "STUDY")
        self._fill(first, "StudyTime", time, "STUDY")
        self._fill(first, "StudyID", str(place[-1]), "STUDY")
        record = self._record("STUDY", first)
        parent.children.append(record)
        series = self._group(rows, "SeriesInstanceUID")
        series.sort(key=lambda of: (_number(of[0]["SeriesNumber"]), of[0]["SeriesInstanceUID"]))
        for count, one in enumerate(series, 1):
            self._series(one, record, (*place, count))

    def _series(self, rows: list[Row], parent: Record, place: tuple[int, ...]) -> None:
        first = rows[0]
        self._all.same(rows, ("Modality", "SeriesNumber"), "series")
        self._fill(first, "Modality", "OT", "SERIES")
        self._fill(first, "SeriesNumber", str(place[-1]), "SERIES")
        record = self._record("SERIES", first)
        parent.children.append(record)
        rows.sort(key=lambda row: (_number(row["InstanceNumber"]), row["SOPInstanceUID"]))
        for count, row in enumerate(rows, 1):
            self._instance(row, record_type(row["SOPClassUID"]), record.children, (*place, count))

    def _instance(
        self, row: Row, kind: str, siblings: list[Record], place: tuple[int, ...]
    ) -> None:
        wanted = KEYS[kind]
        for keyword, value in (
            ("InstanceNumber", str(place[-1])),
            ("ContentDate", next((row[name] for name in _DATES[::-1] if row[name]), "19000101")),
            ("ContentTime", next((row[name] for name in _TIMES[::-1] if row[name]), "000000")),
        ):
            if wanted.get(keyword) == 1:
                self._fill(row, keyword, value, kind)
        values = []
        inside: dict[int, bytes] | None = None
        for tag, vr, keyword, need in _KEYS[kind]:
            if vr == "SQ":
                inside = _sequences(row["Filename"], kind) if inside is None else inside
            text = row.get(keyword, "")
            absent = not text if vr != "SQ" else not (inside or {}).get(tag)
            if need == 1 and absent:
                message = f"{keyword} is missing, which its {kind} record needs (PS3.3 F.5)"
                self._all.find("key", row["Filename"], message)
            if vr != "SQ" and not (need == 3 and absent):
                values.append((tag, vr, text))
            elif vr == "SQ" and need != 3:
                (inside or {}).setdefault(tag, b"")
        encoded = keys(values, row["SpecificCharacterSet"])
        if inside:
            encoded = _merged(encoded, inside)
        if self._icons and kind == "IMAGE":
            encoded += self._icon(row["Filename"])
        record = Record(encoded)
        siblings.append(record)
        self.placed.append((row, record, place))

    def _icon(self, path: str) -> bytes:
        from dicomloom.media.icons import icon

        try:
            return icon(path)
        except (ValueError, ImportError, OSError) as error:
            self._all.find("key", path, f"no icon, as the image cannot be decoded: {error}")
            return b""


def _merged(encoded: bytes, inside: dict[int, bytes]) -> bytes:
    """Put sequences where their tags belong among encoded keys."""
    from dicomloom._native.frames import list_elements

    pieces = {
        each[0]: encoded[each[2] : each[5]] for each in list_elements(encoded, 0, True, False)
    }
    pieces |= {tag: element(tag, "SQ", content) for tag, content in inside.items()}
    return b"".join(pieces[tag] for tag in sorted(pieces))


def _sequences(path: str, kind: str) -> dict[int, bytes]:
    """Return the items of the sequences that a record copies, as explicit VR little endian."""
    from pydicom import dcmread
    from pydicom.filebase import DicomBytesIO
    from pydicom.filewriter import write_sequence_item

    with open(path, "rb") as file:
        found = dcmread(
            file,
            stop_before_pixels=True,
            specific_tags=[tag for tag, vr, _, _ in _KEYS[kind] if vr == "SQ"],
        )
    made = {}
    for each in found:
        if each.VR != "SQ":
            continue
        into = DicomBytesIO()
        into.is_little_endian, into.is_implicit_VR = True, False
        for item in each.value:
            # PS3.3 F.5.25: of the content tree only what modifies the title.
            if each.keyword == "ContentSequence" and item.get("RelationshipType") != (
                "HAS CONCEPT MOD"
            ):
                continue
            write_sequence_item(into, item, ["iso8859"])
        if into.getvalue():
            made[int(each.tag)] = into.getvalue()
    return made


def _complete(row: Row, record: Record, file_id: str) -> None:
    """Put what refers to the file in front of the keys."""
    kind = record_type(row["SOPClassUID"])
    record.body = b"".join(
        (
            element(0x00041430, "CS", kind.encode()),
            element(0x00041500, "CS", file_id.encode()),
            element(0x00041510, "UI", row["SOPClassUID"].encode()),
            element(0x00041511, "UI", row["SOPInstanceUID"].encode()),
            element(0x00041512, "UI", row[SYNTAX].encode()),
            record.body,
        )
    )


def name_of(place: tuple[int, ...]) -> str:
    r"""Return the File ID of an instance by its numbers in patient, study and series.

    Examples
    --------
    >>> name_of((1, 1, 2, 30))
    'PAT00001\\STU00001\\SER00002\\IMG00030'
    """
    prefixes = ("PAT", "STU", "SER", "IMG") if len(place) == 4 else ("OBJ",)
    parts = zip(prefixes, place, strict=True)
    return "\\".join(f"{p}{n:05d}" if n < 100_000 else f"{p[0]}{n:07d}" for p, n in parts)


def _copy(source: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), exist_ok=True)
    with open(source, "rb") as file:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        with EagerFile(os.open(target, flags, 0o666)) as copy:
            copy.copy(file.fileno(), 0, os.fstat(file.fileno()).st_size)
            os.fsync(copy.fileno())


def _write_copies(builder: Builder, target: str, file_set_id: str) -> None:
    """Write a whole file-set beside `target`, and give it its name when it is complete."""
    parent = os.path.dirname(os.path.realpath(target))
    partial = os.path.join(parent, f".dicomloom-{os.urandom(8).hex()}.partial")
    try:
        with writing(target):
            if os.path.isdir(target) and os.listdir(target):
                raise WriteError("the folder to copy to is not empty: name a new one", path=target)
            os.mkdir(partial)
            for row, record, place in builder.placed:
                file_id = name_of(place)
                _complete(row, record, file_id)
                _copy(row["Filename"], os.path.join(partial, *file_id.split("\\")))
            with Replacing(os.path.join(partial, "DICOMDIR")) as file:
                file.write(directory(builder.root, file_set_id))
            os.rename(partial, target)
            sync_folder(parent)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def create(
    paths: list[str],
    target: str,
    *,
    profile: str | None,
    file_set_id: str,
    copy_to: str | None,
    icons: bool,
    jobs: int | None,
) -> list[Finding]:
    """Make a DICOMDIR; returns what is wrong. See `DicomDir.create`."""
    if not is_file_set_id(file_set_id):
        raise ValueError(f"a File-set ID is up to 16 of A-Z 0-9 _ and space, not {file_set_id!r}")
    if profile is not None and profile not in PROFILES:
        raise ValueError(f"the profile is one of {', '.join(PROFILES)}, not {profile}")
    found = Collection(paths, target, profile, jobs)
    root = os.path.dirname(target)
    if copy_to is None:
        named = []
        for row in found.rows:
            components = os.path.relpath(row["Filename"], root).split(os.sep)
            if is_file_id(components):
                row["FileID"] = "\\".join(components)
                named.append(row)
            else:
                message = (
                    "left out: the name is no File ID (PS3.10 8.5: one to eight of A-Z 0-9 _ a "
                    "component, below the folder of the DICOMDIR); copy the files with --copy-to"
                )
                found.find("name", row["Filename"], message)
        found.rows = named
    if not found.rows:
        why = f": {found.findings[0].path}: {found.findings[0].message}" if found.findings else ""
        raise NotDicomError(f"there is no file that a DICOMDIR can refer to{why}", path=root)
    builder = Builder(found, icons)
    builder.build()
    if copy_to is not None:
        _write_copies(builder, copy_to, file_set_id)
        return found.findings
    for row, record, _ in builder.placed:
        _complete(row, record, row["FileID"])
    with Replacing(target) as file:
        file.write(directory(builder.root, file_set_id))
    return found.findings
