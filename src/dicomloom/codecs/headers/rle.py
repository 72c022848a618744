"""RLE (PS3.5 Annex G): the header of 64 bytes."""

from __future__ import annotations

import struct
from itertools import pairwise

from dicomloom.codecs.headers import Parsed
from dicomloom.errors import CorruptError


def parse(data: bytes) -> Parsed:
    """Return the number of segments; the header says nothing else."""
    if len(data) < 64:
        raise CorruptError(f"expected an RLE header of 64 bytes, found {len(data)}")
    count, *offsets = struct.unpack("<16L", data[:64])
    if not 1 <= count <= 15:
        raise CorruptError(f"expected 1 to 15 RLE segments, found {count}")
    used = offsets[:count]
    if used[0] < 64 or any(a >= b for a, b in pairwise(used)):
        raise CorruptError(f"expected RLE offsets that rise from 64, found {used}")
    return None, None, None, None, {"format": "rle", "segments": count, "offsets": tuple(used)}


def starts(prefix: bytes) -> bool:
    """Return whether bytes look like a header: 1 to 15 segments, the first behind the header."""
    return prefix[4:8] == b"\x40\0\0\0" and 1 <= int.from_bytes(prefix[:4], "little") <= 15
