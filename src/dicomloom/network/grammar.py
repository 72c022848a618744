"""Whether bytes that came over the network are a data set, before anybody reads values of them."""

from __future__ import annotations

from struct import unpack_from
from typing import NamedTuple

from dicomloom._native import dicom as _dicom

_UNDEFINED = 0xFFFFFFFF
_STRUCTURE = 0xFFFE  # the group of items and delimiters
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
# PS3.5 7.1.2: two reserved bytes and a 32-bit length; the others have 16 bits.
_LONG = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
_SHORT = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
_MOST_DEPTH = 50


class _Level(NamedTuple):
    items: bool  # a sequence, whose content is items; else elements
    end: int  # where it ends, or has to have ended
    delimited: bool
    implicit: bool


def check_data_set(data: bytes, implicit: bool) -> None:
    """Raise ValueError unless bytes are a Little Endian data set (PS3.5 7.1, 7.5).

    pydicom takes a value that is cut short for a whole one. Time and memory are those of one walk
    over the headers, whatever the lengths say.

    Examples
    --------
    >>> check_data_set(bytes.fromhex("10002000 4c4f0200 3720"), False)
    >>> check_data_set(bytes.fromhex("10002000 4c4f0400 3720"), False)
    Traceback (most recent call last):
    ValueError: (0010,0020) at byte 0 has 4 bytes, of which 2 are there
    """
    if not data:
        raise ValueError("it is empty")
    levels = [_Level(False, len(data), False, implicit)]
    at = 0
    while levels:
        level = levels[-1]
        if at == level.end and not level.delimited:
            levels.pop()
            continue
        tag, vr, length, value = _header(data, at, level)
        if level.delimited and tag == (_SEQUENCE_END if level.items else _ITEM_END):
            if length:
                raise ValueError(f"a delimiter at byte {at} has a length")
            levels.pop()
            at = value
            continue
        if level.items != (tag == _ITEM) or (not level.items and tag >> 16 == _STRUCTURE):
            raise ValueError(f"unexpected {_name(tag)} at byte {at}")
        if length != _UNDEFINED and length > level.end - value:
            left = level.end - value
            raise ValueError(
                f"{_name(tag)} at byte {at} has {length} bytes, of which {left} are there"
            )
        if length != _UNDEFINED and vr != b"SQ" and not level.items:
            at = value + length
            continue
        if not level.items and vr not in (b"SQ", b"UN"):
            raise ValueError(f"{_name(tag)} at byte {at} has no length, and is no sequence")
        if len(levels) > _MOST_DEPTH:
            raise ValueError(f"sequences are nested deeper than {_MOST_DEPTH // 2}")
        delimited = length == _UNDEFINED
        end = level.end if delimited else value + length
        # PS3.5 6.2.2: what is UN and has no length is in Implicit VR.
        within = level.implicit or (vr == b"UN" and not level.items)
        levels.append(_Level(not level.items, end, delimited, within))
        at = value


def _header(data: bytes, at: int, level: _Level) -> tuple[int, bytes, int, int]:
    """Return tag, VR ("" of items), length, and where the value begins."""
    if level.end - at < 8:
        raise ValueError(f"{level.end - at} bytes are left at byte {at}, too few for an element")
    group, element = unpack_from("<HH", data, at)
    tag = group << 16 | element
    if group == _STRUCTURE:
        return tag, b"", unpack_from("<L", data, at + 4)[0], at + 8
    if level.implicit:
        vr = _dicom.vr_of(tag).encode()
        length = unpack_from("<L", data, at + 4)[0]
        # Private ones, which no dictionary knows, may be sequences (PS3.5 7.8).
        return tag, b"SQ" if length == _UNDEFINED else vr, length, at + 8
    vr = data[at + 4 : at + 6]
    if vr in _SHORT:
        return tag, vr, unpack_from("<H", data, at + 6)[0], at + 8
    if vr not in _LONG:
        raise ValueError(f"{_name(tag)} at byte {at} has no VR of PS3.5")
    if level.end - at < 12:
        raise ValueError(f"{level.end - at} bytes are left at byte {at}, too few for an element")
    return tag, vr, unpack_from("<L", data, at + 8)[0], at + 12


def _name(tag: int) -> str:
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
