"""The tree of records of a collection (PS3.3 F.3, F.4, F.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dicomloom.errors import DicomloomError
from dicomloom.media.collect import DATES, SYNTAX, TIMES, Collection
from dicomloom.media.encode import Items, Record, element, is_value, keys, tag_and_vr
from dicomloom.media.records import AT_ROOT, KEYS, LEVELS, record_type
from dicomloom.media.sequences import sequences

if TYPE_CHECKING:
    from dicomloom.codecs.isolation import Isolation

_KEYS = {
    kind: sorted((*tag_and_vr(keyword), keyword, need) for keyword, need in wanted.items())
    for kind, wanted in KEYS.items()
}
_SEQUENCES = {kind: [key[0] for key in wanted if key[1] == "SQ"] for kind, wanted in _KEYS.items()}
_TYPES = {kind: element(0x00041430, "CS", kind.encode()) for kind in KEYS}

# Tag, VR, keyword, type, and the column it comes from.
_Wanted = tuple[int, str, str, int, list[str] | None]


class Placed(NamedTuple):
    """A record that refers to a file.

    `place` numbers patient, study, series and instance; of records at the root, the record.
    """

    row: int
    kind: str
    record: Record
    place: tuple[int, ...]


class Builder:
    """Makes the records of a collection.

    Attributes
    ----------
    root : list of Record
    placed : list of Placed
        The records that refer to files; `refer` says to which.
    """

    def __init__(
        self, collection: Collection, icons: bool, isolation: Isolation | None = None
    ) -> None:
        self._all = collection
        self._icons = icons
        self._isolation = isolation
        self._encoded: dict[str, bytes] = {}  # what many records share
        self._images: dict[str, bytes] = {}
        self._keys: dict[str, list[_Wanted]] = {}
        self._numbers = collection.column("InstanceNumber")
        self.root: list[Record] = []
        self.placed: list[Placed] = []
        self._build()

    def _build(self) -> None:
        ids, names, births, classes = map(
            self._all.column, ("PatientID", "PatientName", "PatientBirthDate", "SOPClassUID")
        )
        patients: dict[tuple[str, ...], list[int]] = {}
        for row in self._all.rows:
            kind = record_type(classes[row])
            if kind in AT_ROOT:
                self._instance(row, kind, self.root, (len(self.root) + 1,))
                continue
            # Without a Patient ID, files of one name and birth date are one patient's.
            who: tuple[str, ...] = (ids[row],) if ids[row] else ("", names[row], births[row])
            patients.setdefault(who, []).append(row)
        for number, who in enumerate(sorted(patients), 1):
            self._patient(patients[who], number)

    def _fill(self, row: int, keyword: str, value: str, what: str) -> None:
        values = self._all.column(keyword)
        if not values[row]:
            values[row] = value
            self._all.find(
                "filled",
                row,
                f"{keyword} has no value, which its {what} record needs (PS3.3 F.5): {value}",
            )

    def _group(self, rows: list[int], keyword: str) -> list[list[int]]:
        values = self._all.column(keyword)
        groups: dict[str, list[int]] = {}
        for row in rows:
            groups.setdefault(values[row], []).append(row)
        return list(groups.values())

    def _patient(self, rows: list[int], number: int) -> None:
        column = self._all.column
        if column("PatientID")[rows[0]]:
            self._all.same(rows, ("PatientName", "PatientBirthDate"), "patient")
        else:
            self._fill(rows[0], "PatientID", f"UNKNOWN{number:05d}", "PATIENT")
        record = Record(self._content("PATIENT", rows[0]))
        self.root.append(record)
        order = [column(keyword) for keyword in ("StudyDate", "StudyTime", "StudyID")]
        studies = self._group(rows, "StudyInstanceUID")
        studies.sort(key=lambda of: [values[of[0]] for values in order])
        for count, study in enumerate(studies, 1):
            self._study(study, record, (number, count))

    def _study(self, rows: list[int], parent: Record, place: tuple[int, ...]) -> None:
        first = rows[0]
        self._all.same(rows, ("StudyDate", "StudyTime", "StudyID", "AccessionNumber"), "study")
        self._fill(first, "StudyDate", self._all.first(DATES, first) or "19000101", "STUDY")
        self._fill(first, "StudyTime", self._all.first(TIMES, first) or "000000", "STUDY")
        self._fill(first, "StudyID", str(place[-1]), "STUDY")
        record = Record(self._content("STUDY", first))
        parent.children.append(record)
        numbers, uids = map(self._all.column, ("SeriesNumber", "SeriesInstanceUID"))
        series = self._group(rows, "SeriesInstanceUID")
        series.sort(key=lambda of: (_number(numbers[of[0]]), uids[of[0]]))
        for count, one in enumerate(series, 1):
            self._series(one, record, (*place, count))

    def _series(self, rows: list[int], parent: Record, place: tuple[int, ...]) -> None:
        self._all.same(rows, ("Modality", "SeriesNumber"), "series")
        self._fill(rows[0], "Modality", "OT", "SERIES")
        self._fill(rows[0], "SeriesNumber", str(place[-1]), "SERIES")
        record = Record(self._content("SERIES", rows[0]))
        parent.children.append(record)
        numbers = self._numbers
        uids, classes = map(self._all.column, ("SOPInstanceUID", "SOPClassUID"))
        rows.sort(key=lambda row: (_number(numbers[row]), uids[row]))
        for count, row in enumerate(rows, 1):
            self._instance(row, record_type(classes[row]), record.children, (*place, count))

    def _instance(
        self, row: int, kind: str, siblings: list[Record], place: tuple[int, ...]
    ) -> None:
        wanted = KEYS[kind]
        if not self._numbers[row] and wanted.get("InstanceNumber") == 1:
            self._fill(row, "InstanceNumber", str(place[-1]), kind)
        if wanted.get("ContentDate") == 1:
            self._fill(row, "ContentDate", self._all.first(DATES[::-1], row) or "19000101", kind)
            self._fill(row, "ContentTime", self._all.first(TIMES[::-1], row) or "000000", kind)
        content = self._image(row) if kind == "IMAGE" else self._content(kind, row)
        record = Record(content)
        siblings.append(record)
        self.placed.append(Placed(row, kind, record, place))

    def _image(self, row: int) -> bytes:
        """Encode an image's only key, which it shares with one image of most other series."""
        number = self._numbers[row]
        content = self._images.get(number)
        if content is None:
            content = self._content("IMAGE", row)
            if number.isascii():  # else it depends on the character set, too
                self._images[number] = content
        return content + self._icon(row) if self._icons else content

    def _content(self, kind: str, row: int) -> bytes:
        """Encode a record's type and keys; `refer` puts what refers to a file between them."""
        inside = self._sequences(kind, row) if _SEQUENCES[kind] else {}
        values: list[tuple[int, str, str | Items]] = []
        for tag, vr, keyword, need, column in self._wanted(kind):
            value = column[row] if column is not None else inside.get(tag, [])
            if not value or not is_value(vr, value):
                if need == 3:
                    continue
                if need == 1:
                    message = f"{keyword} is missing, which its {kind} record needs (PS3.3 F.5)"
                    self._all.find("key", row, message)
                value = [] if vr == "SQ" else ""
            values.append((tag, vr, value))
        encoded = keys(values, self._all.column("SpecificCharacterSet")[row])
        return encoded if kind not in LEVELS else _TYPES[kind] + encoded

    def _wanted(self, kind: str) -> list[_Wanted]:
        made = self._keys.get(kind)
        if made is None:
            column = self._all.column
            made = self._keys[kind] = [
                (tag, vr, keyword, need, column(keyword) if vr != "SQ" else None)
                for tag, vr, keyword, need in _KEYS[kind]
            ]
        return made

    def _sequences(self, kind: str, row: int) -> dict[int, Items]:
        try:
            return sequences(self._all.column("Filename")[row], _SEQUENCES[kind])
        except DicomloomError as error:
            self._all.find("key", row, f"its sequences cannot be copied: {error}")
            return {}

    def _icon(self, row: int) -> bytes:
        from dicomloom.media.icons import icon

        try:
            return icon(self._all.column("Filename")[row], self._isolation or False)
        except (ValueError, ImportError, OSError) as error:
            self._all.find("key", row, f"no icon, as the image cannot be decoded: {error}")
            return b""

    def _shared(self, tag: int, text: str) -> bytes:
        made = self._encoded.get(text)
        if made is None:
            made = self._encoded[text] = element(tag, "UI", text.encode())
        return made

    def refer(self, file_ids: list[str]) -> None:
        """Put references to files in front of the keys of `placed`, in its order."""
        classes, uids, syntaxes = map(self._all.column, ("SOPClassUID", "SOPInstanceUID", SYNTAX))
        for (row, kind, record, _), file_id in zip(self.placed, file_ids, strict=True):
            record.body = b"".join(
                (
                    _TYPES[kind],
                    element(0x00041500, "CS", file_id.encode()),
                    self._shared(0x00041510, classes[row]),
                    element(0x00041511, "UI", uids[row].encode()),
                    self._shared(0x00041512, syntaxes[row]),
                    record.body,
                )
            )


def _number(text: str) -> tuple[int, str]:
    """Return what numbers are sorted by, even where they are none."""
    try:
        return int(text), ""
    except ValueError:
        return 1 << 62, text
