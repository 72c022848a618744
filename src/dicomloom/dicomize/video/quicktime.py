"""QuickTime files made MP4 files, by changes that move no byte.

What the two have in common is most of it: ISO/IEC 14496-12 was made from Apple's QuickTime File
Format. Where fields or boxes differ, those here get what the former demands, in the same place.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from dicomloom.dicomize.video.boxes import SMALL, Box, BoxFile, named, spans
from dicomloom.dicomize.video.descriptors import find_descriptor
from dicomloom.dicomize.video.location import is_full_box
from dicomloom.dicomize.video.patches import Patch, freed, replaced
from dicomloom.errors import UnsupportedError

_VIDEO = (b"avc1", b"avc3", b"hvc1", b"hev1")
_OPENED = (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"dinf")
_UNDETERMINED = 0x55C4  # "und", as three letters of five bits
# Boxes behind whose fields a reader expects nothing, so that a few bytes more do no harm.
_PATIENT = (b"pasp", b"colr", b"fiel", b"clap", b"btrt", b"free")
_ENTRY = 36  # bytes of a sound sample entry of ISO/IEC 14496-12 before its boxes


def as_mp4(file: BoxFile, kept: frozenset[int]) -> Iterator[Patch]:
    """Return what makes a QuickTime file an MP4 file.

    Parameters
    ----------
    file : BoxFile
    kept : frozenset of int
        Where the track boxes begin that stay; the others are blanked elsewhere.

    Raises
    ------
    UnsupportedError
        It has something in it that cannot be changed in place; the message says what.
    """
    for box in file.boxes(0, file.size):
        if box.kind == b"ftyp":
            yield from _brands(file, box)
        elif box.kind in (b"wide", b"pnot", b"PICT"):
            yield from freed(box)
        elif box.kind in (b"moov", b"meta", b"udta"):
            yield from _changed(file, box, kept)


def _brands(file: BoxFile, box: Box) -> Iterator[Patch]:
    if (box.end - box.start) % 4 or box.end - box.start < 12:
        raise UnsupportedError("a box ftyp of a QuickTime file with room for a compatible brand")
    yield replaced(box.start, b"isom" + struct.pack(">L", 0x200))
    others = iter((b"isom", b"mp42", b"mp41"))
    for at in range(box.start + 8, min(box.end, box.start + SMALL), 4):
        # Brands may be repeated; readers look for those they know.
        yield replaced(at, next(others, b"isom"))


def _changed(file: BoxFile, top: Box, kept: frozenset[int]) -> Iterator[Patch]:
    waiting = [(top, b"")]
    while waiting:
        box, outer = waiting.pop()
        if box.kind == b"trak" and box.at not in kept:
            continue
        if box.kind in _OPENED:
            waiting.extend((part, box.kind) for part in file.boxes(box.start, box.end))
        elif box.kind == b"udta" or (box.kind == b"meta" and not is_full_box(file, box)):
            # User data end with four zeros that are no box, and have no form in MP4.
            yield from freed(box)
        elif box.kind in (b"tref", b"tmcd", b"load") or (box.kind, outer) == (b"hdlr", b"minf"):
            yield from freed(box)
        else:
            change = _CHANGES.get(box.kind)
            for patch in change(file, box) if change else ():
                if patch.end > box.end:
                    raise UnsupportedError(f"a box {named(box.kind)} with all of its fields")
                yield patch


def _movie_header(file: BoxFile, box: Box) -> Iterator[Patch]:
    """Zero the times of preview, poster and selection (QuickTime) in front of next_track_ID."""
    if box.end - box.start >= 100:
        yield Patch(box.end - 28, 24)


def _media_header(file: BoxFile, box: Box) -> Iterator[Patch]:
    data = file.content(box)
    at = 32 if data[:1] == b"\1" else 20
    language = int.from_bytes(data[at : at + 2], "big")
    # Of QuickTime, a number below 0x400 is Macintosh's, and 0x7fff means none.
    if language < 0x400 or language == 0x7FFF:
        yield replaced(box.start + at, struct.pack(">H", _UNDETERMINED))


def _handler(file: BoxFile, box: Box) -> Iterator[Patch]:
    data = file.content(box)
    yield Patch(box.start + 4, 4)  # mhlr
    yield Patch(box.start + 12, 12)  # manufacturer and flags
    name = data[24:]
    if name and name[0] == len(name) - 1:
        yield replaced(box.start + 24, name[1:] + b"\0")  # of Pascal's form
    elif name:
        yield Patch(box.end - 1, 1)


def _video_media(file: BoxFile, box: Box) -> Iterator[Patch]:
    """Copy is the only graphics mode (ISO/IEC 14496-12 12.1.2)."""
    yield Patch(box.start + 4, max(0, min(8, box.end - box.start - 4)))


def _references(file: BoxFile, box: Box) -> Iterator[Patch]:
    """Data are in this file: QuickTime's alias to itself becomes a URL to itself."""
    for entry in file.boxes(box.start + 8, box.end):
        if file.content(entry, 4) != b"\0\0\0\1":
            raise UnsupportedError("its samples lie in this file, not in another one")
        if entry.kind == b"alis" and entry.end - entry.start == 4:
            yield replaced(entry.at + 4, b"url ")
        elif entry.kind not in (b"url ", b"urn "):
            raise UnsupportedError(f"a data reference url, not {named(entry.kind)}")


def _description(file: BoxFile, box: Box) -> Iterator[Patch]:
    data = file.content(box)
    count = int.from_bytes(data[4:8], "big")
    entry = data[8:]
    size = int.from_bytes(entry[:4], "big")
    if count != 1 or size != len(entry):
        raise UnsupportedError("one sample entry a track")
    kind = entry[4:8]
    if kind in _VIDEO:
        yield from _video_entry(entry, box.start + 8)
    elif kind == b"mp4a":
        yield replaced(box.start + 8, _sound_entry(entry))
    else:
        raise UnsupportedError(f"samples that MP4 has, as avc1, hvc1 or mp4a, not {named(kind)}")


def _video_entry(entry: bytes, offset: int) -> Iterator[Patch]:
    if len(entry) < 86:
        raise UnsupportedError("a video sample entry of 86 bytes at least")
    # Version, vendor and qualities, and the color table: reserved, with what they must be.
    yield Patch(offset + 16, 16)
    yield replaced(offset + 82, b"\0\x18\xff\xff")
    found = list(spans(entry, 86))
    end = found[-1][2] if found else 86
    rest = len(entry) - end
    if rest:
        # Four zeros may end a sample description of QuickTime: in MP4 they would begin a box.
        kind, start, _ = found[-1] if found else (b"", 0, 0)
        if rest > 7 or any(entry[end:]) or kind not in _PATIENT:
            raise UnsupportedError("a sample entry that ends with its last box")
        yield replaced(offset + start, struct.pack(">L", len(entry) - start))


def _sound_entry(entry: bytes) -> bytes:
    """Return a sample entry of the same size in the form of ISO/IEC 14496-14 5.6."""
    version = int.from_bytes(entry[16:18], "big")
    channels, bits, rate = struct.unpack_from(">HH4xL", entry, 24)
    boxes = _ENTRY + {1: 16, 2: 36}.get(version, 0)
    if version == 2:
        hertz = struct.unpack_from(">d", entry, 40)[0]
        channels, bits = 2, 16
        rate = int(hertz) << 16 if 0 < hertz < 1 << 16 else 0
    found = find_descriptor(entry, boxes)
    if version > 2 or found is None:
        raise UnsupportedError("a sound sample entry mp4a with a box esds in it")
    made = entry[:16] + bytes(8) + struct.pack(">HH4xL", channels, bits, rate)
    made += entry[found[0] : found[1]]
    rest = len(entry) - len(made)
    if rest >= 8:
        made += struct.pack(">L4s", rest, b"free") + bytes(rest - 8)
    elif rest:
        raise UnsupportedError("a sound sample entry with room for what MP4 puts there")
    return made


_CHANGES = {
    b"mvhd": _movie_header,
    b"mdhd": _media_header,
    b"hdlr": _handler,
    b"vmhd": _video_media,
    b"dref": _references,
    b"stsd": _description,
}
