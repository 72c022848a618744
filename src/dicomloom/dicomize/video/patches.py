"""Bytes that differ between a video and its copy."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from dicomloom.dicomize.video.boxes import Box


class Patch(NamedTuple):
    """Bytes to put in the place of as many others.

    Attributes
    ----------
    offset : int
        Of the first byte in the file.
    size : int
        How many bytes are replaced.
    data : bytes
        What is put there; zeros behind it, up to `size`.
    """

    offset: int
    size: int
    data: bytes = b""

    @property
    def end(self) -> int:
        """Offset behind the last byte."""
        return self.offset + self.size

    def bytes_at(self, start: int, end: int) -> bytes:
        """Return what is put from offset `start` to `end` of the file."""
        return self.data[start - self.offset : end - self.offset].ljust(end - start, b"\0")


def replaced(offset: int, data: bytes) -> Patch:
    """Return the patch that puts `data` at an offset."""
    return Patch(offset, len(data), data)


def freed(box: Box) -> list[Patch]:
    """Return the patches that make a box one of type free, full of zeros."""
    return [replaced(box.at + 4, b"free"), Patch(box.start, box.end - box.start)]


def in_order(patches: Iterable[Patch]) -> tuple[Patch, ...]:
    """Return patches by offset; of bytes that several name, the first decides."""
    made: list[Patch] = []
    end = 0
    for patch in sorted(patches, key=lambda one: (one.offset, -one.size)):
        start = max(patch.offset, end)
        if start < patch.end:
            made.append(Patch(start, patch.end - start, patch.data[start - patch.offset :]))
            end = patch.end
    return tuple(made)


def pieces(
    patches: Iterable[Patch], start: int, end: int
) -> Iterator[tuple[int, int, Patch | None]]:
    """Cut a range of the file where patches in order begin and end."""
    for patch in patches:
        if patch.end <= start or patch.offset >= end:
            continue
        if start < patch.offset:
            yield start, patch.offset, None
            start = patch.offset
        yield start, min(end, patch.end), patch
        start = min(end, patch.end)
    if start < end:
        yield start, end, None
