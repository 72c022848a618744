"""Streams of the JPEG family in parts, so that a test can leave out, repeat or spoil one.

Marker segments are those of ITU-T T.81 Annex B, which T.87 (JPEG-LS) takes over.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable
from typing import NamedTuple

SOI, EOI, SOS, DHT, DNL, DRI, RST0, COM = 0xD8, 0xD9, 0xDA, 0xC4, 0xDC, 0xDD, 0xD0, 0xFE
SOF3, SOF55, LSE, APP0 = 0xC3, 0xF7, 0xF8, 0xE0


class Part(NamedTuple):
    """A marker with its segment, a marker alone, or entropy-coded data (no marker)."""

    marker: int | None
    content: bytes | None = None

    def bytes(self, fill: int = 0) -> bytes:
        if self.marker is None:
            return self.content or b""
        # T.81 B.1.1.2: any number of bytes FF may stand before a marker.
        filled = b"" if self.marker == SOI else b"\xff" * fill
        made = filled + bytes([0xFF, self.marker])
        if self.content is None:
            return made
        return made + struct.pack(">H", len(self.content) + 2) + self.content


def joined(parts: Iterable[Part], fill: int = 0) -> bytes:
    return b"".join(part.bytes(fill) for part in parts)


def without(parts: list[Part], marker: int | None) -> list[Part]:
    return [part for part in parts if part.marker != marker]


def index_of(parts: list[Part], marker: int | None, nth: int = 0) -> int:
    return [i for i, part in enumerate(parts) if part.marker == marker][nth]


def replaced(parts: list[Part], marker: int | None, *others: Part, nth: int = 0) -> list[Part]:
    """The stream with some other parts in place of one."""
    at = index_of(parts, marker, nth)
    return [*parts[:at], *others, *parts[at + 1 :]]


def before(parts: list[Part], marker: int | None, *others: Part, nth: int = 0) -> list[Part]:
    at = index_of(parts, marker, nth)
    return [*parts[:at], *others, *parts[at:]]


def frame_header(marker: int, bits: int, rows: int, columns: int, ids, sampling: int) -> Part:
    """B.2.2; no quantisation tables."""
    content = struct.pack(">BHHB", bits, rows, columns, len(ids))
    return Part(marker, content + b"".join(bytes([each, sampling * 17, 0]) for each in ids))


def comment(text: bytes = b"between") -> Part:
    return Part(COM, text)


def jfif() -> Part:
    return Part(APP0, b"JFIF\0\1\2\0\0\1\0\1\0\0")


def adobe(transform: int) -> Part:
    return Part(APP0 + 14, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


def spiff(bits: int, rows: int, columns: int, samples: int) -> list[Part]:
    """T.84 Annex F: the header, and the end of its directory, whose length counts a second SOI."""
    space = 8 if samples == 1 else 10  # grey, RGB
    header = struct.pack(">HBBLLBBBBLL", 0x200, 0, samples, rows, columns, space, bits, 6, 0, 1, 1)
    end = b"\xff\xe8" + struct.pack(">HL", 8, 1) + b"\xff\xd8"
    return [Part(APP0 + 8, b"SPIFF\0" + header), Part(None, end)]
