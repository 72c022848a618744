"""Icon images of directory records (PS3.3 F.7, C.7.6.1.1.6)."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from dicomloom.media.encode import element

if TYPE_CHECKING:
    from dicomloom.codecs.isolation import Isolation

SIZE = 64


def icon(path: str, isolate: bool | Isolation = False) -> bytes:
    """Return an Icon Image Sequence of an image's middle frame: 64 x 64, 8 bits, MONOCHROME2.

    `isolate` is as of `FrameReader`.

    Raises
    ------
    ValueError, ImportError, OSError
        It cannot be decoded.
    """
    import numpy as np

    from dicomloom.frames.reader import FrameReader
    from dicomloom.frames.render import shown

    with FrameReader(path, isolate=isolate) as reader:
        pixels = shown(reader, reader.count // 2).astype("f4")
    if pixels.ndim == 3:
        pixels = pixels @ np.array([0.299, 0.587, 0.114], "f4")
    side = max(pixels.shape)
    made = np.zeros((SIZE, SIZE), "u1")
    rows, columns = (max(1, round(SIZE * n / side)) for n in pixels.shape)
    top, left = (SIZE - rows) // 2, (SIZE - columns) // 2
    for axis, count in ((0, rows), (1, columns)):
        have = pixels.shape[axis]
        edges = np.arange(count + 1) * have // count
        starts = np.minimum(edges[:-1], have - 1)
        widths = np.maximum(edges[1:] - starts, 1)
        sums = np.add.reduceat(pixels, starts, axis=axis)
        if count > have:  # an image smaller than its icon: the nearest pixel
            sums, widths = np.take(pixels, starts, axis=axis), np.ones_like(widths)
        pixels = sums / (widths[:, None] if axis == 0 else widths)
    made[top : top + rows, left : left + columns] = pixels.round().clip(0, 255)
    numbers = (
        (0x02, 1),
        (0x10, SIZE),
        (0x11, SIZE),
        (0x100, 8),
        (0x101, 8),
        (0x102, 7),
        (0x103, 0),
    )
    parts = {0x00280000 | tag: ("US", struct.pack("<H", value)) for tag, value in numbers}
    parts[0x00280004] = ("CS", b"MONOCHROME2")
    parts[0x7FE00010] = ("OB", made.tobytes())
    content = b"".join(element(tag, *parts[tag]) for tag in sorted(parts))
    return element(0x00880200, "SQ", struct.pack("<HHL", 0xFFFE, 0xE000, len(content)) + content)
