"""The boxes of ISO base media files and QuickTime files (ISO/IEC 14496-12 4.2)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from dicomloom.errors import CorruptError, LimitError, TruncatedError
from dicomloom.frames.sources import Source

SMALL = 1 << 16  # of boxes that are read whole
_MOST_BOXES = 1 << 21


class Box(NamedTuple):
    """Where a box lies: its type, its first byte, the first of its content, and its end."""

    kind: bytes
    at: int
    start: int
    end: int


def named(kind: bytes) -> str:
    """Return the type of a box for messages."""
    return repr(kind.decode("latin-1"))


class BoxFile:
    """A file whose boxes are walked where they lie."""

    def __init__(self, source: Source) -> None:
        self.source = source
        self.size = source.size()
        self._boxes = 0

    def boxes(self, start: int, end: int) -> Iterator[Box]:
        """Walk the boxes that lie side by side."""
        while end - start >= 8:
            self._boxes += 1
            if self._boxes > _MOST_BOXES:
                raise LimitError(f"more than {_MOST_BOXES} boxes", offset=start)
            size, kind = struct.unpack(">L4s", self.source.exactly(start, 8))
            head = 8
            if size == 1:
                size, head = struct.unpack(">Q", self.source.exactly(start + 8, 8))[0], 16
            elif size == 0:
                size = end - start
            if size < head:
                raise CorruptError(f"box {named(kind)} claims {size} bytes", offset=start)
            if size > end - start:
                raise TruncatedError(
                    f"box {named(kind)} claims {size} bytes, {end - start} are there", offset=start
                )
            yield Box(kind, start, start + head, start + size)
            start += size

    def content(self, box: Box, most: int = SMALL) -> bytes:
        """Return what is in a box, as far as that is small."""
        return self.source.exactly(box.start, min(box.end - box.start, most))

    def entries(self, box: Box, at: int, width: int, count: int) -> Iterator[bytes]:
        """Read a table that begins `at` bytes into a box, in pieces."""
        if count * width > box.end - box.start - at:
            raise CorruptError(
                f"box {named(box.kind)} claims {count} entries, and has room for "
                f"{max(0, box.end - box.start - at) // width}",
                offset=box.start,
            )
        start, end = box.start + at, box.start + at + count * width
        while start < end:
            step = min(end - start, 4096 * width)
            data = self.source.exactly(start, step)
            yield from (data[i : i + width] for i in range(0, step, width))
            start += step


def spans(data: bytes, at: int) -> Iterator[tuple[bytes, int, int]]:
    """Walk boxes that are in memory: the type of each, where it begins and where it ends."""
    while at + 8 <= len(data):
        size, kind = struct.unpack_from(">L4s", data, at)
        if not 8 <= size <= len(data) - at:
            return
        yield kind, at, at + size
        at += size


def parts(data: bytes, at: int) -> Iterator[tuple[bytes, bytes]]:
    """Walk boxes that are in memory: the type of each and its content."""
    for kind, start, end in spans(data, at):
        yield kind, data[start + 8 : end]
