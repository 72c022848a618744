"""The bytes of a DICOMDIR: explicit VR little endian, offsets by prefix sum (PS3.3 F.3.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from hashlib import blake2b
from itertools import pairwise

from dicomloom._native.dicom import find_keyword
from dicomloom.errors import LimitError
from dicomloom.media.records import DIRECTORY_CLASS
from dicomloom.uids import IMPLEMENTATION_CLASS_UID

_LONG = frozenset(["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"])
_BINARY = {"US": "<H", "UL": "<L", "UV": "<Q"}
_short = struct.Struct("<HH2sH").pack
_long = struct.Struct("<HH2sHL").pack
_item = struct.Struct("<HHL").pack
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


TEXT_VRS = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
# Items of a sequence: (tag, VR, value), where text is decoded.
Items = list[list[tuple[int, str, "str | bytes | Items"]]]


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Encode one element, its value padded to an even length.

    What is too long for its VR becomes UN, as PS3.5 6.2.2 allows.
    """
    if len(value) & 1:
        value += b"\0" if vr in ("UI", "OB", "UN") else b" "
    if vr not in _LONG and len(value) <= 0xFFFE:
        return _short(tag >> 16, tag & 0xFFFF, vr.encode(), len(value)) + value
    vr = vr if vr in _LONG else "UN"
    return _long(tag >> 16, tag & 0xFFFF, vr.encode(), 0, len(value)) + value


def tag_and_vr(keyword: str) -> tuple[int, str]:
    """Return what PS3.6 says of a keyword."""
    entry = find_keyword(keyword)
    if entry is None:
        raise KeyError(keyword)
    return entry[0], entry[2]


def is_value(vr: str, value: str | Items) -> bool:
    """Whether a key's text can be encoded: of a binary VR, one number that fits."""
    if vr not in _BINARY:
        return True
    try:
        struct.pack(_BINARY[vr], int(str(value)))
    except (ValueError, struct.error):
        return False
    return True


def _texts(values: list[tuple[int, str, str | Items]]) -> Iterator[str]:
    """Return all text of some keys, that of sequences included."""
    waiting: list[object] = [value for _, _, value in values]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            for item in value:
                waiting.extend(each for _, _, each in item)


def _fits(text: str, codec: str) -> bool:
    try:
        text.encode(codec)
    except UnicodeEncodeError:
        return False
    return True


def _items(items: Items, codec: str) -> bytes:
    made = []
    for item in items:
        content = b"".join([_encoded(tag, vr, value, codec) for tag, vr, value in item])
        made.append(_item(0xFFFE, 0xE000, len(content)) + content)
    return b"".join(made)


def _encoded(tag: int, vr: str, value: str | bytes | Items, codec: str) -> bytes:
    if isinstance(value, str):
        if vr in _BINARY and value:
            value = struct.pack(_BINARY[vr], int(value))
        else:
            value = value.encode(codec, "replace")  # "?" for what no Unicode is: a lone surrogate
    elif isinstance(value, list):
        value = _items(value, codec)
    return element(tag, vr, value)


def keys(values: list[tuple[int, str, str | Items]], charset: str) -> bytes:
    """Encode keys (tag, VR, text or items), sorted by tag, and the character set that all need.

    `charset` is the Specific Character Set of the object; where it cannot be used, ISO_IR 192 is.
    """
    codec, head = "ascii", b""
    others: list[str] = []
    for _, _, value in values:
        if not isinstance(value, str) or not value.isascii():
            others = [text for text in _texts(values) if not text.isascii()]
            break
    if others:
        name = charset.strip()
        if name not in _SINGLE or not all(_fits(text, _SINGLE[name]) for text in others):
            name = "ISO_IR 192"
        codec = _SINGLE[name]
        head = element(0x00080005, "CS", name.encode())
    return head + b"".join([_encoded(tag, vr, value, codec) for tag, vr, value in values])


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
