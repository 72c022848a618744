"""Sequences that records copy from their objects, as items whose text is decoded."""

from __future__ import annotations

from collections.abc import Collection

from dicomloom.errors import LimitError
from dicomloom.frames.header import Header, Stored, header_of, read_object
from dicomloom.frames.sources import FileSource
from dicomloom.index.charsets import decode
from dicomloom.media.encode import TEXT_VRS, Items

CHARSET = 0x00080005
CONTENT, RELATIONSHIP = 0x0040A730, 0x0040A010
_MOST = 1 << 24  # bytes of a sequence; a title and its codes are a few hundred
_DEPTH = 64


def sequences(path: str, tags: Collection[int]) -> dict[int, Items]:
    """Return what a file has of some sequences.

    Of a content tree only the items that modify the title are taken (PS3.3 F.5.25).

    Raises
    ------
    NotDicomError, TruncatedError, CorruptError, LimitError, ReadError
    """
    source = FileSource(path)
    try:
        header = read_object(source).header
        charset = _charset(header, b"")
        made = {}
        for tag in tags:
            found = header.elements.get(tag)
            if isinstance(found, Stored) and found.vr == "SQ":
                made[tag] = _items(found, charset, 0)
        if CONTENT in made:
            made[CONTENT] = [
                item for item in made[CONTENT] if (RELATIONSHIP, "CS", b"HAS CONCEPT MOD ") in item
            ]
        return made
    finally:
        source.close()


def _charset(header: Header, inherited: bytes) -> bytes:
    own = header.elements.get(CHARSET)
    return inherited if own is None else own.value


def _items(element: Stored, charset: bytes, depth: int) -> Items:
    """Decode a sequence; an item's own character set holds for that item (PS3.3 C.12.1.1.2)."""
    if depth == _DEPTH or element.size > _MOST:
        raise LimitError(
            f"({element.tag >> 16:04X},{element.tag & 0xFFFF:04X}) is nested deeper than {_DEPTH} "
            f"or larger than {_MOST} bytes, which no record needs"
        )
    made = []
    source, starts, ends = element.items()
    for start, end in zip(starts, ends, strict=True):
        header = header_of(source.exactly(start, end - start))
        own = _charset(header, charset)
        item: list[tuple[int, str, str | bytes | Items]] = []
        for tag, each in header.elements.items():
            if tag == CHARSET or not tag & 0xFFFF:
                continue
            if each.vr == "SQ" and isinstance(each, Stored):
                item.append((tag, "SQ", _items(each, own, depth + 1)))
            elif each.vr in TEXT_VRS:
                item.append((tag, each.vr, decode(each.value, own, each.vr)))
            else:
                item.append((tag, each.vr, each.value))
        made.append(item)
    return made
