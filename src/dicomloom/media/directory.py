"""A DICOMDIR as it is read: records, how they hang together, and what is wrong (PS3.3 F.3.2.2)."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from itertools import chain
from sys import intern

from dicomloom._native.frames import Records, list_records, read_header
from dicomloom.errors import DicomloomError, LimitError, NotDicomError, UnsupportedError
from dicomloom.frames.sources import FileSource
from dicomloom.media.encode import tag_and_vr
from dicomloom.media.findings import Finding
from dicomloom.media.records import LEVELS

FIRST, LAST, CONSISTENT = 0x00041200, 0x00041202, 0x00041212
NEXT, IN_USE, LOWER, TYPE = 0x00041400, 0x00041410, 0x00041420, 0x00041430
FILE_ID, CLASS, UID, SYNTAX = 0x00041500, 0x00041510, 0x00041511, 0x00041512
SET_ID, CHARSET = 0x00041130, 0x00080005
# Numbers, and what stands for those that a record does not have.
_NUMBERS = {FIRST: 0, LAST: 0, CONSISTENT: 0, NEXT: 0, IN_USE: 0xFFFF, LOWER: 0}
# What lists show and searches look at; all other keys are read when they are asked for.
SHOWN = (
    "PatientID",
    "PatientName",
    "StudyInstanceUID",
    "StudyID",
    "StudyDate",
    "StudyTime",
    "StudyDescription",
    "AccessionNumber",
    "Modality",
    "SeriesInstanceUID",
    "SeriesNumber",
    "SeriesDescription",
    "InstanceNumber",
)
_DEEPEST = 64  # levels; PS3.3 F.4 has four, private records may have more
_MOST_FINDINGS = 100_000  # of a kind, that are told one by one
_SHOWN = {keyword: tag_and_vr(keyword)[0] for keyword in SHOWN}
_TAGS = (*sorted(_NUMBERS), TYPE, FILE_ID, CLASS, UID, SYNTAX, SET_ID, CHARSET, *_SHOWN.values())


class Directory:
    """The records of a DICOMDIR as parallel lists, and which is below which.

    Attributes
    ----------
    content : bytes
        The whole file.
    kinds : list of str
        Directory Record Types; record 0 stands for the root.
    children : dict of int to list of int
        The records in use below each record that has some.
    findings : list of Finding
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.findings: list[Finding] = []
        self._counts: dict[str, int] = {}
        try:
            self.content = _content(path)
            head = read_header(self.content)
        except DicomloomError as error:
            error.path = error.path or path
            raise
        if head.deflated:
            raise UnsupportedError("a deflated DICOMDIR (PS3.10 8.6 forbids it)", path=path)
        self.explicit_vr, self.big_endian = head.explicit_vr, head.big_endian
        self.transfer_syntax = head.transfer_syntax
        try:
            self.records: Records = list_records(
                self.content,
                head.data_set,
                head.explicit_vr,
                head.big_endian,
                _TAGS,
                numbers=_NUMBERS,
            )
        except DicomloomError as error:
            error.path = path
            raise
        if not self.records.has_sequence:
            raise NotDicomError("there is no Directory Record Sequence: no DICOMDIR", path=path)
        self.kinds = [intern(self.text(i, TYPE).upper()) for i in range(len(self.records.offsets))]
        self.kinds[0] = ""
        self._check_sequence(head.explicit_vr and not head.big_endian)
        self._link()
        for kind, count in self._counts.items():
            if count > _MOST_FINDINGS:
                more = f"{count - _MOST_FINDINGS:,} more of kind {kind} are not listed"
                self.findings.append(Finding(kind, path, more))

    def find(self, kind: str, index: int, message: str) -> None:
        """Note what is wrong with a record; of too many findings only how many there are."""
        self._counts[kind] = count = self._counts.get(kind, 0) + 1
        if count <= _MOST_FINDINGS:
            at = self.records.offsets[index] if index else None
            self.findings.append(Finding(kind, self.path, message, at))

    def text(self, index: int, tag: int) -> str:
        """Return a value as text of the default repertoire, without padding; "" for none."""
        start = self.records.starts[tag][index]
        end = start + self.records.lengths[tag][index]
        return self.content[start:end].decode("latin_1").strip(" \0")

    def shown(self, index: int, keyword: str) -> str | None:
        """Return the text of one of `SHOWN`, None where the record does not have it."""
        tag = _SHOWN[keyword]
        start = self.records.starts[tag][index]
        if not start:
            return None
        raw = self.content[start : start + self.records.lengths[tag][index]]
        charset = self.text(index, CHARSET)
        if raw.isascii() and b"\x1b" not in raw:
            return raw.decode("ascii").strip(" \0")
        from dicomloom.index.charsets import decode

        return decode(raw, charset.encode(), tag_and_vr(keyword)[1]).strip(" \0")

    def _check_sequence(self, as_asked: bool) -> None:
        records = self.records
        if not as_asked:
            self.find("record", 0, "not in explicit VR little endian, as PS3.10 8.6 asks")
        if records.length_lies:
            self.find("record", 0, "the length of the Directory Record Sequence is wrong")
        if records.cut:
            self.find("record", len(records.offsets) - 1, "the file is cut off in this record")
        for index in records.broken:
            self.find("record", index, "the record breaks the grammar of PS3.5: its start was read")
        flag = records.numbers[CONSISTENT][0]
        if flag:
            self.find("record", 0, f"File-set Consistency Flag is {flag:04X}H, not 0000H")

    def _at(self, offset: int) -> int:
        """Return the record that begins at an offset, 0 for none."""
        offsets = self.records.offsets
        index = bisect_left(offsets, offset, 1)
        return index if index < len(offsets) and offsets[index] == offset else 0

    def _target(self, index: int, tag: int, shift: int) -> int:
        """Return the record that an offset points to; 0 for none, and where it is wrong."""
        offset = self.records.numbers[tag][index]
        if not offset:
            return 0
        near = index + 1  # where most writers put it
        at_hand = near < len(self.kinds) and self.records.offsets[near] == offset - shift
        found = near if at_hand else self._at(offset - shift)
        if not found:
            self.find(
                "offset", index, f"offset {offset} in {tag:08X} is of no record: not followed"
            )
        return found

    def _shift(self) -> int:
        """Return by how much all offsets are wrong: some writers count from elsewhere."""
        records = self.records
        if len(records.offsets) < 2:
            return 0
        first, following, lower = (records.numbers[tag] for tag in (FIRST, NEXT, LOWER))
        if any(self._at(offset) for offset in chain(first[:1], following, lower) if offset):
            return 0
        given = {first[0], *following, *lower} - {0}
        if not given:
            return 0
        shift: int = min(given) - records.offsets[1]
        fits = sum(self._at(offset - shift) > 0 for offset in given)
        if fits < len(given) or len(given) < 2:
            return 0
        self.find("offset", 0, f"all offsets are {shift} bytes off, and were corrected")
        return shift

    def _link(self) -> None:
        """Follow the offsets, each record once; then place the records that nothing led to."""
        count = len(self.kinds)
        shift = self._shift()
        self.children: dict[int, list[int]] = {}
        parents = array("i", [-1]) * count
        waiting = [(0, self._target(0, FIRST, shift), 1)]
        while waiting:
            parent, index, depth = waiting.pop()
            if depth > _DEEPEST:
                self.find("offset", index, f"more than {_DEEPEST} levels: not followed")
                continue
            while index:
                if parents[index] >= 0:
                    self.find("offset", index, "two records lead here, or a loop: followed once")
                    break
                parents[index] = parent
                if self.records.numbers[IN_USE][index] != 0:
                    self.children.setdefault(parent, []).append(index)
                below = self._target(index, LOWER, shift)
                if below:
                    waiting.append((index, below, depth + 1))
                index = self._target(index, NEXT, shift)
        self._place(parents)

    def _place(self, parents: array[int]) -> None:
        """Put records that no offset leads to below the last record of the level above them."""
        last = [0, 0, 0, 0]
        for index, kind in enumerate(self.kinds):
            if not index:
                continue
            level = LEVELS.index(kind) if kind in LEVELS else 3
            if parents[index] < 0 and self.records.numbers[IN_USE][index] != 0:
                parent = next((p for p in last[level::-1] if p), 0) if level else 0
                self.children.setdefault(parent, []).append(index)
                where = f"the {self.kinds[parent]} record" if parent else "the root"
                self.find("offset", index, f"no offset leads to this record: put below {where}")
            if level < 3:
                last[level + 1] = index
                last[level + 2 :] = [0] * (2 - level)


def _content(path: str) -> bytes:
    """Read a whole DICOMDIR, when its start says that it is one."""
    source = FileSource(path)
    try:
        size = source.size()
        if size > 0xFFFFFFFF:
            raise LimitError("larger than 4 GiB, which no DICOMDIR can be", path=path)
        # Of anything else only the start is read, however large it is.
        head = read_header(source.native)
        if source.read_at(head.data_set, 2) not in (b"\4\0", b"\0\4"):
            raise NotDicomError("the data set has no group 0004: no DICOMDIR", path=path)
        return source.read_at(0, size)
    except DicomloomError as error:
        error.path = error.path or path
        raise
    finally:
        source.close()
