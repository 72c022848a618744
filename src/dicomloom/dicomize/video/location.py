"""Where MP4 and QuickTime files say where they were recorded, and how that is taken out."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

from dicomloom.dicomize.video.boxes import SMALL, Box, BoxFile, parts
from dicomloom.dicomize.video.patches import Patch, freed
from dicomloom.errors import CorruptError, TruncatedError

# 3GPP TS 26.244 8.2 (loci), QuickTime's user data, and what makers of cameras added: Novatek,
# GoPro, Adobe's XMP, Samsung.
_PLACES = frozenset(
    [b"loci", b"\xa9xyz", b"\xa9gps", b"gps ", b"gps0", b"GPS ", b"GPMF", b"XMP_", b"smta"]
)
_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # the extended type of a box uuid
_OPENED = frozenset([b"moov", b"trak", b"mdia", b"minf", b"moof", b"traf"])
_WORDS = (b"location", b"gps", b"xyz", b"geotag")
_DEEPEST = 8
_MOST_PLACES = 4096  # of one box of user data


def places(file: BoxFile, start: int, end: int) -> Iterator[Patch]:
    """Return the patches that blank what says where a file was recorded.

    User data and metadata that cannot be walked are blanked whole, for what is in them cannot be
    told.
    """
    waiting = [(start, end, 0)]
    while waiting:
        start, end, depth = waiting.pop()
        for box in file.boxes(start, end):
            if box.kind in _PLACES or _is_xmp(file, box):
                yield from freed(box)
            elif box.kind in (b"udta", b"meta"):
                yield from _in_bounds(file, box, depth)
            elif box.kind in _OPENED and depth < _DEEPEST:
                waiting.append((box.start, box.end, depth + 1))


def _in_bounds(file: BoxFile, box: Box, depth: int) -> list[Patch]:
    try:
        found = list(itertools.islice(_in_user_data(file, box, depth), _MOST_PLACES))
    except (CorruptError, TruncatedError):
        return freed(box)
    return found if len(found) < _MOST_PLACES else freed(box)


def _is_xmp(file: BoxFile, box: Box) -> bool:
    return box.kind == b"uuid" and file.content(box, 16) == _XMP


def _in_user_data(file: BoxFile, box: Box, depth: int) -> Iterator[Patch]:
    if box.kind == b"meta":
        yield from _in_metadata(file, box)
        return
    for inner in file.boxes(box.start, box.end):
        if inner.kind in _PLACES or _is_xmp(file, inner):
            yield from freed(inner)
        elif inner.kind == b"meta":
            yield from _in_metadata(file, inner)
        elif inner.kind == b"udta" and depth < _DEEPEST:
            yield from _in_user_data(file, inner, depth + 1)


def is_full_box(file: BoxFile, meta: Box) -> bool:
    """Whether a box meta has version and flags, as ISO/IEC 14496-12 has it and QuickTime not."""
    return file.content(meta, 8)[4:8] != b"hdlr"


def _in_metadata(file: BoxFile, meta: Box) -> Iterator[Patch]:
    start = meta.start + 4 * is_full_box(file, meta)
    names = _names(file, start, meta.end)
    for box in file.boxes(start, meta.end):
        if box.kind in _PLACES or _is_xmp(file, box) or box.kind == b"xml ":
            yield from freed(box)
        elif box.kind == b"ilst":
            for item in file.boxes(box.start, box.end):
                number = int.from_bytes(item.kind, "big")
                name = names[number - 1] if 0 < number <= len(names) else item.kind
                if item.kind == b"----":
                    name = file.content(item).lower()
                if any(word in name for word in _WORDS):
                    yield from _emptied(file, item)


def _names(file: BoxFile, start: int, end: int) -> list[bytes]:
    """Return the names of metadata, to which items refer by number, in small letters."""
    for box in file.boxes(start, end):
        if box.kind == b"keys":
            if box.end - box.start > SMALL:
                raise CorruptError("the names of metadata take more than 64 KiB", offset=box.start)
            # What a name's box is called is its namespace.
            return [name.lower() for _, name in parts(file.content(box), 8)]
    return []


def _emptied(file: BoxFile, item: Box) -> Iterator[Patch]:
    """Keep an item and its type, and blank its values."""
    for box in file.boxes(item.start, item.end):
        if box.kind == b"data" and box.end - box.start >= 8:
            yield Patch(box.start + 8, box.end - box.start - 8)
