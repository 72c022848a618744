"""Sample tables: where the samples of a track lie (ISO/IEC 14496-12 8.7)."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator

from dicomloom.dicomize.video.boxes import Box, BoxFile, named
from dicomloom.errors import CorruptError


def sample_ranges(file: BoxFile, tables: dict[bytes, Box]) -> Iterator[tuple[int, int]]:
    """Return first byte and end of what a track has in the file, neighbors joined."""
    offsets = tables.get(b"stco") or tables.get(b"co64")
    lengths = tables.get(b"stsz") or tables.get(b"stz2")
    if offsets is None or lengths is None or b"stsc" not in tables:
        return
    each = struct.unpack(">L", file.content(lengths, 12)[4:8])[0] if lengths.kind == b"stsz" else 0
    sizes = iter(()) if each else _sizes(file, lengths)
    counts = _samples_of_chunks(file, tables[b"stsc"])
    first = last = 0
    for start in _numbers(file, offsets):
        count = next(counts, 0)
        size = each * count if each else sum(itertools.islice(sizes, count))
        if start != last:
            if first < last:
                yield first, last
            first = start
        last = min(start + size, file.size)
    if first < last:
        yield first, last


def _numbers(file: BoxFile, box: Box) -> Iterator[int]:
    width = 8 if box.kind == b"co64" else 4
    count = struct.unpack(">L", file.content(box, 8)[4:8])[0]
    for data in file.entries(box, 8, width, count):
        yield int.from_bytes(data, "big")


def _sizes(file: BoxFile, box: Box) -> Iterator[int]:
    field, count = struct.unpack(">LL", file.content(box, 12)[4:12])
    if box.kind == b"stsz":
        for data in file.entries(box, 12, 4, count):
            yield int.from_bytes(data, "big")
        return
    width = field & 255
    if width not in (4, 8, 16):
        raise CorruptError(f"box {named(box.kind)} has fields of {width} bits", offset=box.start)
    step = max(1, width // 8)
    for data in file.entries(box, 12, step, (count * width + 7) // 8 // step):
        if width == 4:
            yield data[0] >> 4
            yield data[0] & 15
        else:
            yield int.from_bytes(data, "big")


def _samples_of_chunks(file: BoxFile, box: Box) -> Iterator[int]:
    """Return how many samples each chunk has, without end."""
    count = struct.unpack(">L", file.content(box, 8)[4:8])[0]
    chunk, samples = 1, 0
    for data in file.entries(box, 8, 12, count):
        first, following, _ = struct.unpack(">LLL", data)
        if first < chunk:
            raise CorruptError("chunks of the sample-to-chunk box go back", offset=box.start)
        yield from itertools.repeat(samples, first - chunk)
        chunk, samples = first, following
    yield from itertools.repeat(samples)
