"""A plain maker and reader of JPEG-LS streams from ITU-T T.87 Annexes B and C.

With every liberty that the standard gives a writer; for images of a few thousand samples.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jpeg_ls_model import Decoder, Encoder, Lines, Preset
from jpeg_segments import DNL, DRI, EOI, LSE, RST0, SOF55, SOI, SOS, Part, frame_header


class Table(NamedTuple):
    """A mapping table (C.2.4.1.2): `width` is how many bytes an entry has."""

    entries: tuple[int, ...]
    width: int = 1
    identity: int = 1

    def content(self, entries: Sequence[int]) -> bytes:
        return b"".join(each.to_bytes(self.width, "big") for each in entries)


class Scan(NamedTuple):
    """Which components, and how."""

    components: tuple[int, ...]
    near: int = 0
    interleave: int = 0
    restart_rows: int = 0  # in lines
    preset: Preset | None = None
    table: int = 0  # of mapping, by identity
    shift: int = 0  # point transform Pt


def packed(digits: str) -> bytes:
    """A.1: a zero bit behind each byte FF, zeros at the end."""
    made = bytearray()
    at = 0
    while at < len(digits) or made[-1:] == b"\xff":
        size = 7 if made[-1:] == b"\xff" else 8
        made.append(int(digits[at : at + size].ljust(size, "0"), 2))
        at += size
    return bytes(made)


def unpacked(data: bytes) -> Iterator[str]:
    """The digits of entropy-coded data."""
    last = 0
    for byte in data:
        yield from f"{byte:07b}" if last == 0xFF else f"{byte:08b}"
        last = byte


def groups_of(scan: Scan, columns: int) -> list[tuple[tuple[int, ...], Lines]]:
    """What is coded by sample, one group behind the other for each line."""
    if scan.interleave == 2:
        return [(scan.components, Lines(len(scan.components), columns))]
    return [((component,), Lines(1, columns)) for component in scan.components]


def scan_data(pixels: np.ndarray, bits: int, scan: Scan) -> list[Part]:
    rows, columns, _ = pixels.shape
    bits -= scan.shift
    preset = (scan.preset or Preset()).filled(bits, scan.near)
    parts: list[Part] = []
    for top in range(0, rows, scan.restart_rows or rows):
        if top:
            parts.append(Part(RST0 + (len(parts) // 2) % 8))
        encoder, groups = Encoder(preset, scan.near), groups_of(scan, columns)
        for row in range(top, min(rows, top + (scan.restart_rows or rows))):
            for components, lines in groups:
                values = pixels[row, :, components] >> scan.shift
                encoder.samples = [[0, *line] for line in values.tolist()]
                encoder.line(lines)
        parts.append(Part(None, packed("".join(encoder.digits))))
    return parts


def scan_header(scan: Scan, ids: Sequence[int]) -> Part:
    """C.2.3."""
    content = [len(scan.components)]
    for component in scan.components:
        content += ids[component], scan.table
    return Part(SOS, bytes([*content, scan.near, scan.interleave, scan.shift]))


def preset_part(preset: Preset) -> Part:
    """C.2.4.1.1."""
    return Part(LSE, struct.pack(">B5H", 1, *preset))


def table_parts(table: Table, first: int | None = None) -> list[Part]:
    """C.2.4.1.2 and 3: the entries behind the `first` are in a segment of type 3."""
    head = bytes([table.identity, table.width])
    made = [Part(LSE, b"\2" + head + table.content(table.entries[:first]))]
    if first is not None:
        made.append(Part(LSE, b"\3" + head + table.content(table.entries[first:])))
    return made


def size_part(rows: int, columns: int, width: int) -> Part:
    """C.2.4.1.4: for frames whose header says 0 rows and columns."""
    size = rows.to_bytes(width, "big") + columns.to_bytes(width, "big")
    return Part(LSE, bytes([4, width]) + size)


def interval_part(rows: int, width: int = 2) -> Part:
    """C.2.5: unlike in T.81, of 2 to 4 bytes."""
    return Part(DRI, rows.to_bytes(width, "big"))


def frame(
    pixels: np.ndarray,
    bits: int,
    scans: Sequence[Scan] = (),
    *,
    ids: Sequence[int] = (),
    heads: Sequence[Part] = (),
    dnl: bool = False,
    oversize: int = 0,
    interval_bytes: int = 2,
    end: bool = True,
) -> list[Part]:
    """Code `pixels`, unsigned of shape (rows, columns, samples).

    Without scans, one a component. `heads` stand behind SOI; with `dnl` the frame header says 0
    rows and a DNL segment behind the first scan how many; with `oversize`, the bytes of a side, it
    says 0 for both and an LSE segment has them. Presets and restart intervals are given again
    where they change.
    """
    rows, columns, samples = pixels.shape
    ids = ids or range(1, samples + 1)
    scans = scans or [Scan((i,)) for i in range(samples)]
    said = (0, 0) if oversize else (0 if dnl else rows, columns)
    parts = [Part(SOI), *heads, frame_header(SOF55, bits, *said, ids, 1)]
    if oversize:
        parts.append(size_part(rows, columns, oversize))
    interval, preset = 0, Preset()
    for i, scan in enumerate(scans):
        if (scan.preset or Preset()) != preset:
            preset = scan.preset or Preset()
            parts.append(preset_part(preset))
        if scan.restart_rows != interval:
            interval = scan.restart_rows
            parts.append(interval_part(interval, interval_bytes))
        parts += [scan_header(scan, ids), *scan_data(pixels, bits, scan)]
        if dnl and not i:
            parts.append(Part(DNL, struct.pack(">H", rows)))
    return [*parts, Part(EOI)] if end else parts


class Reader:
    """A reader of whole streams that hold no faults."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0
        self.tables: dict[int, Table] = {}
        self.preset, self.interval = Preset(), 0
        self.bits = self.rows = self.columns = 0
        self.ids: list[int] = []
        self.planes: dict[int, list[list[int]]] = {}

    def marker(self) -> int:
        """The next marker; EOI at the end of the data."""
        while self.data[self.at : self.at + 2] == b"\xff\xff":
            self.at += 1
        self.at += 2
        return self.data[self.at - 1] if self.at <= len(self.data) else EOI

    def segment(self) -> bytes:
        size = int.from_bytes(self.data[self.at : self.at + 2], "big")
        found = self.data[self.at + 2 : self.at + size]
        self.at += size
        return found

    def coded(self) -> bytes:
        """Entropy-coded data up to the next marker."""
        start = self.at
        while self.at < len(self.data) and not (
            self.data[self.at] == 0xFF and self.data[self.at + 1 : self.at + 2] > b"\x7f"
        ):
            self.at += 1
        return self.data[start : self.at]

    def read(self) -> np.ndarray:
        """Samples of shape (rows, columns, samples), mapped where there are tables."""
        while len(self.planes) < max(1, len(self.ids)):
            marker = self.marker()
            if marker == EOI:
                raise EOFError(f"{len(self.planes)} of {len(self.ids)} components are there")
            if marker == SOI:
                continue
            content = self.segment()
            if marker == SOF55:
                self.bits, self.rows, self.columns, count = struct.unpack_from(">BHHB", content)
                self.ids = list(content[6 : 6 + 3 * count : 3])
            elif marker == LSE:
                self.lse(content)
            elif marker == DRI:
                self.interval = int.from_bytes(content, "big")
            elif marker == SOS:
                self.scan(content)
        return np.stack([np.array(self.planes[each]) for each in self.ids], -1)

    def lse(self, content: bytes) -> None:
        kind = content[0]
        if kind == 1:
            self.preset = Preset(*struct.unpack(">5H", content[1:]))
        elif kind in (2, 3):
            identity, width = content[1:3]
            entries = tuple(
                int.from_bytes(content[i : i + width], "big") for i in range(3, len(content), width)
            )
            known = self.tables[identity].entries if kind == 3 else ()
            self.tables[identity] = Table(known + entries, width, identity)
        else:
            width = content[1]
            self.rows = int.from_bytes(content[2 : 2 + width], "big")
            self.columns = int.from_bytes(content[2 + width : 2 + 2 * width], "big")

    def height(self) -> int:
        """Rows, which a DNL segment behind the scan may say."""
        if not self.rows:
            at = self.data.index(bytes([0xFF, DNL, 0, 4]), self.at)
            self.rows = int.from_bytes(self.data[at + 4 : at + 6], "big")
        return self.rows

    def scan(self, content: bytes) -> None:
        count = content[0]
        ids = tuple(content[1 : 1 + 2 * count : 2])
        near, interleave, shift = content[1 + 2 * count :]
        scan = Scan(ids, near, interleave, self.interval, shift=shift)
        preset = self.preset.filled(self.bits - shift, near)
        found: dict[int, list[list[int]]] = {each: [] for each in ids}
        rows = self.height()
        step = self.interval or rows
        for top in range(0, rows, step):
            if top:
                self.marker()  # RSTn
            decoder = Decoder(preset, near, unpacked(self.coded()))
            groups = groups_of(scan, self.columns)
            for _ in range(top, min(rows, top + step)):
                for components, lines in groups:
                    decoder.line(lines)
                    for each, values in zip(components, lines.values(), strict=True):
                        found[each].append([value << shift for value in values])
        for i, each in enumerate(ids):
            table = self.tables.get(content[2 + 2 * i])
            self.planes[each] = (
                [[table.entries[value] for value in line] for line in found[each]]
                if table
                else found[each]
            )


def decode(data: bytes) -> np.ndarray:
    return Reader(data).read()
