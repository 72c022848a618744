"""The bytes of a DICOMDIR: explicit VR little endian, offsets by prefix sum (PS3.3 F.3.2)."""

from __future__ import annotations

import struct
from hashlib import blake2b
from itertools import pairwise

from dicomloom._native.dicom import find_keyword
from dicomloom.errors import LimitError
from dicomloom.frames.header import IMPLEMENTATION_CLASS_UID
from dicomloom.media.records import DIRECTORY_CLASS

_LONG = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_BINARY = {"US": "<H", "UL": "<L", "UV": "<Q"}
_short = struct.Struct("<HH2sH").pack
# item header; (0004,1400), (0004,1410), (0004,1420)
_fixed = struct.Struct("<HHLHH2sHLHH2sHHHH2sHL").pack
FIXED = 42

# Codecs of sets that one byte a character suffices for (PS3.3 C.12.1.1.2).
_SINGLE = {
    "ISO_IR 100": "latin_1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 144": "iso8859_5",
    "ISO_IR 127": "iso8859_6",
    "ISO_IR 126": "iso8859_7",
    "ISO_IR 138": "iso8859_8",
    "ISO_IR 148": "iso8859_9",
    "ISO_IR 166": "iso8859_11",
    "ISO_IR 203": "iso8859_15",
    "ISO_IR 192": "utf_8",
}


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Encode one element, its value padded to an even length."""
    if len(value) & 1:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    if vr in _LONG:
        head = struct.pack("<HH2sHL", tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value))
    else:
        head = _short(tag >> 16, tag & 0xFFFF, vr.encode(), len(value))
    return head + value


def tag_and_vr(keyword: str) -> tuple[int, str]:
    """Return what PS3.6 says of a keyword."""
    entry = find_keyword(keyword)
    if entry is None:
        raise KeyError(keyword)
    return entry[0], entry[2]


def keys(values: list[tuple[int, str, str]], charset: str | None) -> bytes:
    """Encode keys (tag, VR, text), sorted by tag, and the character set they need.

    `charset` is the Specific Character Set of the object; where it cannot be used, ISO_IR 192 is.
    """
    codec, head = "ascii", b""
    if not all(text.isascii() for _, _, text in values):
        name = charset if charset in _SINGLE else "ISO_IR 192"
        codec = _SINGLE[name]
        try:
            for _, _, text in values:
                text.encode(codec)
        except UnicodeEncodeError:
            name, codec = "ISO_IR 192", "utf_8"
        head = element(0x00080005, "CS", name.encode())
    return head + b"".join(
        element(
            tag,
            vr,
            struct.pack(_BINARY[vr], int(text))
            if vr in _BINARY and text
            else text.encode(codec, "replace"),
        )
        for tag, vr, text in values
    )


class Record:
    """A record to be written: its bytes behind the offsets, and the records below it."""

    __slots__ = ("body", "children")

    def __init__(self, body: bytes) -> None:
        self.body = body
        self.children: list[Record] = []


def _in_order(root: list[Record]) -> list[Record]:
    """Return all records, each before those below it, without recursion."""
    made: list[Record] = []
    waiting = root[::-1]
    while waiting:
        record = waiting.pop()
        made.append(record)
        waiting.extend(reversed(record.children))
    return made


def _meta(content: bytes) -> bytes:
    # The same content gets the same UID: RFC 9562 version 8.
    number = int.from_bytes(blake2b(content, digest_size=16).digest(), "big")
    number = number & ~(0xF << 76 | 3 << 62) | 8 << 76 | 2 << 62
    meta = (
        element(0x00020001, "OB", b"\0\1")
        + element(0x00020002, "UI", DIRECTORY_CLASS.encode())
        + element(0x00020003, "UI", f"2.25.{number}".encode())
        + element(0x00020010, "UI", b"1.2.840.10008.1.2.1")
        + element(0x00020012, "UI", IMPLEMENTATION_CLASS_UID.encode())
    )
    return bytes(128) + b"DICM" + element(0x00020000, "UL", struct.pack("<L", len(meta))) + meta


def directory(root: list[Record], file_set_id: str) -> bytes:
    """Return a whole DICOMDIR.

    Raises
    ------
    LimitError
        It would be larger than offsets of 32 bits reach.
    """
    records = _in_order(root)
    set_id = element(0x00041130, "CS", file_set_id.encode())
    digest = b"".join(record.body for record in records) + set_id
    meta = _meta(digest)
    start = len(meta) + len(set_id) + 12 + 12 + 10 + 12
    at = start
    offsets = {}
    for record in records:
        offsets[id(record)] = at
        at += FIXED + len(record.body)
    if at > 0xFFFFFFFF:
        raise LimitError("a DICOMDIR cannot be larger than 4 GiB: make several file-sets")
    following: dict[int, int] = {}
    for siblings in [root, *(record.children for record in records)]:
        for one, other in pairwise(siblings):
            following[id(one)] = offsets[id(other)]
    pieces = [
        meta,
        set_id,
        element(0x00041200, "UL", struct.pack("<L", offsets[id(root[0])] if root else 0)),
        element(0x00041202, "UL", struct.pack("<L", offsets[id(root[-1])] if root else 0)),
        element(0x00041212, "US", b"\0\0"),
        struct.pack("<HH2sHL", 0x0004, 0x1220, b"SQ", 0, at - start),
    ]
    for record in records:
        below = offsets[id(record.children[0])] if record.children else 0
        pieces.append(
            _fixed(
                0xFFFE, 0xE000, FIXED - 8 + len(record.body),
                4, 0x1400, b"UL", 4, following.get(id(record), 0),
                4, 0x1410, b"US", 2, 0xFFFF,
                4, 0x1420, b"UL", 4, below,
            )
        )  # fmt: skip
        pieces.append(record.body)
    return b"".join(pieces)
