"""Directories of file-sets: records by offset and by place, keys, names, and what `check` says.

The first byte chooses keys to ask for; the rest is the DICOMDIR. Every record in use is in the tree
once, and no path leads out of the folder.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

from harness import Folder

from dicomloom import DicomDir, DicomloomError
from dicomloom.media.check import check as check_file_set
from support import UNDEFINED, element, item, part10

INSTRUMENTED = "dicomloom.media dicomloom.index.charsets"
_FOLDER = Folder()
_KEYS = ("PatientID", "PatientName", "StudyDate", "SOPInstanceUID", "ImageType", "Rows", "NoSuch")
_MOST = 64  # records that are looked at closely


def check(data: bytes) -> None:
    """Open one directory, and ask all that can be asked."""
    if not data:
        return
    path = _FOLDER.put("DICOMDIR", data[1:])
    try:
        found = DicomDir.open(path)
    except DicomloomError as error:
        assert error.path == str(path)
        return
    folder = os.path.realpath(path.parent)
    nodes = []
    waiting = list(found.children)
    while waiting:
        node = waiting.pop()
        nodes.append(node)
        waiting.extend(node.children)
    assert len({node.offset for node in nodes}) == len(nodes)
    assert sum(1 for _ in found.instances) <= len(nodes)
    assert isinstance(found.file_set_id, str)
    key = _KEYS[data[0] % len(_KEYS)]
    for node in nodes[:_MOST]:
        _ = node.sop_class_uid, node.sop_instance_uid, node.transfer_syntax_uid, repr(node)
        if node.path is not None:
            assert os.path.realpath(node.path).startswith(folder)
        try:
            value = node.get(key)
            assert value is None or isinstance(value, str)
            node.matches({key: "A*"})
            assert node.dataset is not None
        except DicomloomError:
            pass
    for finding in found.findings:
        assert finding.message
    if len(nodes) < _MOST and data[0] >= 224:  # seldom: a scan has threads
        check_file_set(path)


def _record(kind: bytes, *, following: int, lower: int, **keys: bytes) -> bytes:
    values = [
        element(0x00041400, "UL", following.to_bytes(4, "little")),
        element(0x00041410, "US", b"\xff\xff"),
        element(0x00041420, "UL", lower.to_bytes(4, "little")),
        element(0x00041430, "CS", kind + b" " * (len(kind) % 2)),
    ]
    values += [element(int(tag[1:], 16), "LO", value) for tag, value in keys.items()]
    return b"".join(values)


def _directory(length: int | None, shift: int = 0) -> bytes:
    """Return a patient, a study, a series and an image; `length` as `support.item` has it."""
    kinds = (
        (b"PATIENT", {"x00100010": b"Doe^Jane", "x00100020": b"P1"}),
        (b"STUDY", {"x0020000D": b"1.2.3 ", "x00080020": b"20240102"}),
        (b"SERIES", {"x00080060": b"CT", "x0020000E": b"1.2.4 "}),
        (b"IMAGE", {"x00041500": b"DIR\\IM1 ", "x00041511": b"1.2.5 "}),
    )
    sizes = [len(item(_record(k, following=0, lower=0, **v), length=length)) for k, v in kinds]
    head = element(0x00041130, "CS", b"SET ")
    first = 0

    def front() -> bytes:
        return head + b"".join(
            element(tag, "UL", first.to_bytes(4, "little")) for tag in (0x00041200, 0x00041202)
        ) + element(0x00041212, "US", b"\0\0")  # fmt: skip

    first = len(part10(front())) + 12
    starts = [first + sum(sizes[:n]) + shift for n in range(len(kinds))] + [0]
    first += shift
    records = b"".join(
        item(_record(kind, following=0, lower=starts[n + 1], **keys), length=length)
        for n, (kind, keys) in enumerate(kinds)
    )
    if length == UNDEFINED:
        records += element(0xFFFEE0DD, None)
    return part10(front() + element(0x00041220, "SQ", records, length=length))


def seeds() -> Iterator[bytes]:
    """A small tree, and one whose offsets are all wrong."""
    for number, (length, shift) in enumerate(((None, 0), (UNDEFINED, 0), (None, 8), (None, 9999))):
        yield bytes([number]) + _directory(length, shift)
        yield bytes([224 + number]) + _directory(length, shift)


def of_corpus(name: str, content: bytes) -> Iterator[bytes]:
    """Take the directories."""
    if "DICOMDIR" in name and len(content) <= 65536:
        yield b"\1" + content
