"""A plain maker of JPEG Lossless streams (process 14, SOF3) from the clauses of ITU-T T.81.

It is slow and has every liberty that the standard gives a writer and that no library takes.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jpeg_segments import DHT, DNL, DRI, EOI, RST0, SOF3, SOI, SOS, Part, frame_header

# Huffman tables as the length of the code of each category, 0 to 16; 0: it has none.
Lengths = tuple[int, ...]
FLAT: Lengths = (4,) * 14 + (5,) * 3
SKEWED: Lengths = (*range(1, 14), 16, 16, 16, 16)
REVERSED: Lengths = SKEWED[::-1]
LONG: Lengths = (16,) * 17

# Table H.1, with the samples left, above and above left.
PREDICTORS = {
    1: lambda a, b, c: a,
    2: lambda a, b, c: b,
    3: lambda a, b, c: c,
    4: lambda a, b, c: a + b - c,
    5: lambda a, b, c: a + (b - c >> 1),
    6: lambda a, b, c: b + (a - c >> 1),
    7: lambda a, b, c: a + b >> 1,
}


class Scan(NamedTuple):
    """Which components, and how. Tables: one for all components, or one for each."""

    components: tuple[int, ...]
    predictor: int = 1
    shift: int = 0
    restart_rows: int = 0  # in rows of MCUs (H.1.1)
    tables: tuple[Lengths, ...] = (FLAT,)
    destinations: tuple[int, ...] = ()  # of the tables; by default 0, 1, ...

    def destination(self, i: int) -> int:
        return self.destinations[i] if self.destinations else i


def differences(plane: np.ndarray, predictor: int, precision: int) -> np.ndarray:
    """H.1.1 and H.1.2: of one restart interval, modulo 2**16, in -32767 to 32768."""
    predicted = np.empty_like(plane)
    predicted[0, 0] = 1 << precision - 1
    predicted[0, 1:] = plane[0, :-1]
    predicted[1:, 0] = plane[:-1, 0]
    left, above, corner = plane[1:, :-1], plane[:-1, 1:], plane[:-1, :-1]
    predicted[1:, 1:] = PREDICTORS[predictor](left, above, corner)
    return (plane - predicted + 32767 & 0xFFFF) - 32767


def by_mcu(planes: list[np.ndarray], sampling: int) -> np.ndarray:
    """A.2: samples in the order of coding; the last axis is the component in its place."""
    if len(planes) == 1:
        return planes[0].reshape(-1, 1, 1)
    rows, columns = (side // sampling for side in planes[0].shape)
    units = [
        plane.reshape(rows, sampling, columns, sampling).transpose(0, 2, 1, 3) for plane in planes
    ]
    return np.stack(units, 2).reshape(-1, len(planes), sampling**2)


def codes_of(lengths: Lengths) -> dict[int, str]:
    """C.2: the code of each category, as digits."""
    codes, code, last = {}, 0, 0
    for length, category in sorted((n, i) for i, n in enumerate(lengths) if n):
        code <<= length - last
        codes[category] = f"{code:0{length}b}"
        code, last = code + 1, length
    return codes


def table(lengths: Lengths, destination: int) -> bytes:
    """B.2.4.2: one table of a DHT segment."""
    counts = [lengths.count(n) for n in range(1, 17)]
    order = sorted((n, i) for i, n in enumerate(lengths) if n)
    return bytes([destination, *counts, *(i for _, i in order)])


def coded(difference: int, codes: dict[int, str]) -> str:
    """H.1.2.2 and F.1.2.1: the category's code and the bits behind it, of which 16 has none."""
    category = abs(difference).bit_length()
    if category in (0, 16):
        return codes[category]
    bits = difference if difference > 0 else difference - 1
    return codes[category] + f"{bits & (1 << category) - 1:0{category}b}"


def packed(digits: str) -> bytes:
    """F.1.2.3: filled up with ones; a zero byte behind each FF."""
    digits += "1" * (-len(digits) % 8)
    made = bytes(int(digits[i : i + 8], 2) for i in range(0, len(digits), 8))
    return made.replace(b"\xff", b"\xff\0")


def scan_data(planes: list[np.ndarray], scan: Scan, bits: int, sampling: int) -> list[Part]:
    """Entropy-coded data with its restart markers."""
    mcu = sampling if len(planes) > 1 else 1
    rows, columns = planes[0].shape
    pad = (0, -rows % mcu), (0, -columns % mcu)
    planes = [np.pad(plane >> scan.shift, pad, "edge") for plane in planes]
    high = scan.restart_rows * mcu or len(planes[0])
    codes = [codes_of(lengths) for lengths in scan.tables] * (len(planes) // len(scan.tables))
    parts = []
    for i, top in enumerate(range(0, len(planes[0]), high)):
        if i:
            parts.append(Part(RST0 + (i - 1) % 8))
        strips = [
            differences(plane[top : top + high], scan.predictor, bits - scan.shift)
            for plane in planes
        ]
        digits = [
            coded(int(value), codes[j])
            for unit in by_mcu(strips, mcu)
            for j, values in enumerate(unit)
            for value in values
        ]
        parts.append(Part(None, packed("".join(digits))))
    return parts


def scan_header(scan: Scan, ids: Sequence[int]) -> Part:
    """B.2.3."""
    shared = len(scan.tables) == 1
    content = [len(scan.components)]
    for i, component in enumerate(scan.components):
        content += ids[component], scan.destination(0 if shared else i) << 4
    return Part(SOS, bytes([*content, scan.predictor, 0, scan.shift]))


def table_parts(tables: list[tuple[Lengths, int]], segments: str) -> list[Part]:
    made = [table(*each) for each in tables]
    return [Part(DHT, each) for each in made] if segments == "each" else [Part(DHT, b"".join(made))]


def frame(
    pixels: np.ndarray,
    bits: int,
    scans: Sequence[Scan] = (),
    *,
    ids: Sequence[int] = (),
    sampling: int = 1,
    heads: Sequence[Part] = (),
    dnl: bool = False,
    segments: str = "one",
    early: bool = False,
    end: bool = True,
) -> list[Part]:
    """Code `pixels`, unsigned of shape (rows, columns, samples).

    Without scans, one of all components. `heads` stand behind SOI; with `dnl` the frame header
    says 0 rows and a DNL segment behind the first scan how many there are; `segments`: all tables
    of a scan in "one" DHT, or "each" in its own; `early`: the first scan's tables and restart
    interval before the frame header. Tables and intervals are given again where they change.
    """
    rows, columns, samples = pixels.shape
    ids = ids or range(1, samples + 1)
    scans = scans or [Scan(tuple(range(samples)))]
    known: dict[int, Lengths] = {}
    interval = 0
    parts = [Part(SOI), *heads]
    header = frame_header(SOF3, bits, 0 if dnl else rows, columns, ids, sampling)
    if not early:
        parts.append(header)
    for i, scan in enumerate(scans):
        new = [(each, scan.destination(j)) for j, each in enumerate(scan.tables)]
        new = [(each, where) for each, where in new if known.get(where) != each]
        known.update((where, each) for each, where in new)
        parts += table_parts(new, segments) if new else []
        across = -(-columns // sampling) if len(scan.components) > 1 else columns
        if scan.restart_rows * across != interval:
            interval = scan.restart_rows * across
            parts.append(Part(DRI, struct.pack(">H", interval)))
        if early and not i:
            parts.append(header)
        planes = [pixels[:, :, component].astype(np.int64) for component in scan.components]
        parts += [scan_header(scan, ids), *scan_data(planes, scan, bits, sampling)]
        if dnl and not i:
            parts.append(Part(DNL, struct.pack(">H", rows)))
    return [*parts, Part(EOI)] if end else parts
