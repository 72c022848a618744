"""Elementary stream descriptors of MPEG-4 (ISO/IEC 14496-1 7.2.6)."""

from __future__ import annotations

from typing import NamedTuple

from dicomloom.dicomize.video.boxes import spans


class Descriptor(NamedTuple):
    """What kind of stream it is, and what its decoder has to know."""

    object_type: int | None = None
    specific: bytes = b""


def find_descriptor(entry: bytes, at: int) -> tuple[int, int] | None:
    """Return where the box esds of a sample entry lies, whose boxes begin at `at`."""
    for kind, start, end in spans(entry, at):
        if kind == b"esds":
            return start, end
        if kind == b"wave":  # QuickTime puts it one floor deeper
            for kind_inside, start_inside, end_inside in spans(entry[:end], start + 8):
                if kind_inside == b"esds":
                    return start_inside, end_inside
    return None


def read_descriptor(entry: bytes, at: int) -> Descriptor:
    """Read objectTypeIndication and DecoderSpecificInfo, as far as they are there."""
    found = find_descriptor(entry, at)
    if found is None:
        return Descriptor()
    data = entry[found[0] + 8 : found[1]]
    at, _ = _content(data, 4)
    if at + 3 > len(data) or data[4] != 3:
        return Descriptor()
    flags = data[at + 2]
    at += 3 + 2 * (flags >> 7) + 2 * (flags >> 5 & 1)
    if flags >> 6 & 1:
        at += 1 + data[at] if at < len(data) else 0  # a URL
    if at >= len(data) or data[at] != 4:
        return Descriptor()
    at, _ = _content(data, at)
    if at >= len(data):
        return Descriptor()
    kind, at = data[at], at + 13
    if at < len(data) and data[at] == 5:
        at, size = _content(data, at)
        return Descriptor(kind, data[at : at + size])
    return Descriptor(kind)


def _content(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content of a descriptor begins, and its length."""
    at += 1
    size = 0
    while at < len(data):
        size = (size & 0x1FFFFF) << 7 | data[at] & 0x7F
        at += 1
        if not data[at - 1] & 0x80:
            break
    return at, size
