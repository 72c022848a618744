"""Values as people read them in a terminal: one line, decoded, and never longer than asked for."""

from __future__ import annotations

import struct

from dicomloom._native import dicom as _dicom
from dicomloom.dump.walk import Entry, Kind
from dicomloom.index.charsets import decode
from dicomloom.tags import format_tag

DECODED = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
PLAIN = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"])
_OF_BYTES = {"OW": "H", "OL": "I", "OV": "Q", "OF": "f", "OD": "d"}
_OF_NUMBERS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f"}
NUMBERS = {**_OF_BYTES, **_OF_NUMBERS, "FD": "d", "AT": "HH"}
_SPARE = 64  # bytes of escape sequences


def keyword_of(entry: Entry) -> str:
    """Return the keyword of PS3.6, or the private creator in quotation marks; "" for neither."""
    if entry.tag >> 16 & 1:
        if 0x10 <= entry.tag & 0xFFFF <= 0xFF:
            return "PrivateCreator"
        return f'"{escaped(entry.creator)}"' if entry.creator else ""
    if entry.tag & 0xFFFF == 0:
        return "GroupLength"
    found = _dicom.find_tag(entry.tag)
    return found[4] if found else ""


def escaped(text: str) -> str:
    r"""Return text on one line, without what a terminal would obey.

    Examples
    --------
    >>> escaped("DOE^\x1b[31mJOHN\n")
    'DOE^\\x1b[31mJOHN\\n'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def shortened(text: str, room: int) -> str:
    """Return no more than `room` characters of a text, ``...`` where there is more.

    Examples
    --------
    >>> shortened("Melancholia", 8)
    'Melan...'
    """
    return text if len(text) <= room else text[: max(0, room - 3)] + "..."


def numbers_of(data: bytes, vr: str, big_endian: bool) -> list[int | float | str]:
    """Return the numbers of a binary VR; of AT the tags; what does not fill one is left out."""
    code = NUMBERS[vr]
    size = struct.calcsize("<" + code)
    data = data[: len(data) // size * size]
    found = struct.iter_unpack((">" if big_endian else "<") + code, data)
    if vr == "AT":
        return [format_tag(group << 16 | element) for group, element in found]
    if code == "f":
        return [_single(number) for (number,) in found]
    return [number for (number,) in found]


def _single(number: float) -> float:
    """Return the shortest decimal that is the same number of 32 bits."""
    for digits in range(6, 9):
        short = float(f"{number:.{digits}g}")
        try:
            if struct.pack("<f", short) == struct.pack("<f", number):
                return short
        except OverflowError:
            continue
    return float(f"{number:.9g}")


def text_of(data: bytes, vr: str, charset: bytes) -> str:
    """Return the value of a VR of characters, values separated by backslashes."""
    if vr in DECODED:
        return decode(data, charset, vr)
    parts = data.decode("latin-1").rstrip(" \0").split("\\")
    return "\\".join(part.strip(" \0") for part in parts)


def value_text(entry: Entry, room: int) -> str:
    """Return a value as text of at most `room` characters, reading no more than that needs.

    Raises
    ------
    ReadError, TruncatedError, CorruptError
        The bytes cannot be read.
    """
    if entry.kind is Kind.FRAGMENTS:
        return shortened(f"{entry.number} fragments, {entry.held} bytes", room)
    if entry.kind is Kind.STRAY:
        return shortened(f"{entry.held} bytes that are no element", room)
    if entry.kind is not Kind.ELEMENT:
        return ""
    vr = entry.known
    if vr in DECODED or vr in PLAIN:
        size = 4 * room + _SPARE
        text = escaped(text_of(entry.read(size), vr, entry.charset))
    elif vr in NUMBERS and not entry.held % struct.calcsize("<" + NUMBERS[vr]):
        # No number takes less than one digit and a backslash.
        size = (room // 2 + 1) * struct.calcsize("<" + NUMBERS[vr])
        text = "\\".join(map(str, numbers_of(entry.read(size), vr, entry.big_endian)))
    else:
        size = room // 3 + 1  # two digits and a backslash a byte
        text = "\\".join(f"{byte:02x}" for byte in entry.read(size))
    return shortened(text, room) if entry.held <= size else text[: max(0, room - 3)] + "..."


def line(entry: Entry, width: int) -> str:
    """Return an entry as a line: tag, VR, length, keyword, value.

    `width` characters at most, but for the value, which has 16 at least. The indentation takes no
    more than half of them.
    """
    indent = " " * min(2 * entry.level, width // 2)
    tag = format_tag(entry.tag)
    length = "undef" if entry.length is None else str(entry.length)
    if entry.kind is Kind.ITEM:
        name = f"Item {entry.number}"
    elif entry.kind is Kind.STRAY:
        name = "stray"
    else:
        name = keyword_of(entry)
    head = f"{indent}{tag} {entry.vr or '--':<2} {length:>6} {name}"
    room = max(16, width - len(head) - 2)
    value = value_text(entry, room)
    return f"{head}  {value}" if value else head
