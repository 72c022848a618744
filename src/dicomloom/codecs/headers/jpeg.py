"""JPEG (ISO/IEC 10918-1) and JPEG-LS (ISO/IEC 14495-1): marker segments up to the first scan."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dicomloom.codecs.headers import Parsed
from dicomloom.errors import CorruptError, UnsupportedError

_SOF55 = 0xF7
_SOF = frozenset((0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF))
_ALONE = frozenset((0x01, *range(0xD0, 0xD8)))  # TEM, RSTm: no length follows
# How many rows a frame has may be said behind its first scan (DNL, 10918-1 B.2.5). Our own decoders
# hold that against the data set; libraries get no such frames.
_ROWS_LATER = ("SOF3", "SOF55")
_MOST_SEGMENTS = 1000


class Segment(NamedTuple):
    """A marker segment: its second byte, where it begins and ends, what is in it."""

    marker: int
    start: int
    end: int
    body: bytes


def segments(data: bytes) -> Iterator[Segment]:
    """Walk the marker segments of a stream, up to its first scan header.

    Raises
    ------
    CorruptError
        It is no JPEG or JPEG-LS stream, or ends before its first scan.
    """
    start = len(data) - len(data.lstrip(b"\xff"))  # fill bytes before SOI
    if not start or data[start : start + 1] != b"\xd8":
        raise CorruptError(f"expected a JPEG stream (FF D8), found {_hex(data[:4])}")
    end = start + 1
    for _ in range(_MOST_SEGMENTS):
        at = end
        marker, end = _marker(data, at)
        if marker in _ALONE:
            continue
        if marker == 0xD9:
            raise CorruptError(f"the JPEG stream ends at byte {end} before any scan")
        body = _segment(data, end, marker)
        end += 2 + len(body)
        yield Segment(marker, at, end, body)
        if marker == 0xDA:
            return
    raise CorruptError(f"no scan within the first {_MOST_SEGMENTS} JPEG segments")


def parse(data: bytes, *, lossless_ls: bool) -> Parsed:
    """Return rows, columns, samples, bits and details of a JPEG or JPEG-LS stream.

    Rows are None where a lossless stream says them later.
    """
    details: dict[str, object] = {"format": "stream", "jfif": False, "adobe": None, "spiff": False}
    size: Parsed | None = None
    for marker, _, _, body in segments(data):
        if marker == 0xDA:
            _scan(body, details)
        elif marker in _SOF or marker == _SOF55:
            size = _frame(body, marker, details, lossless_ls)
        elif 0xE0 <= marker <= 0xEF:
            _application(body, marker, details)
    assert size is not None  # _scan would have raised
    return size


def colors_are_rgb(details: dict[str, object], labelled_rgb: bool) -> bool:
    """Return whether the components of a DCT stream are red, green and blue.

    Component names, then JFIF, then Adobe's marker speak of the stream itself; what the data set
    says decides where all are silent. pydicom 3 does the same, Adobe's marker apart.
    """
    if details.get("ids") in ((82, 71, 66), (114, 103, 98)):
        return True
    if details.get("jfif"):
        return False
    if details.get("adobe") is not None:
        return details["adobe"] == 0
    return labelled_rgb


def ends(data: memoryview) -> bool:
    """Return whether a JPEG stream has its end (EOI), perhaps with padding behind it.

    Libraries fill what is missing of a cut stream with gray and say nothing.
    """
    return bytes(data[-64 * 1024 :]).rfind(b"\xff\xd9") >= 0


def _marker(data: bytes, at: int) -> tuple[int, int]:
    """Return the marker at a place, and where it ends."""
    if data[at : at + 1] != b"\xff":
        if at >= len(data):
            raise CorruptError(f"the JPEG stream is cut off at byte {at}, before its first scan")
        raise CorruptError(f"expected a JPEG marker at byte {at}, found {_hex(data[at : at + 2])}")
    while data[at : at + 1] == b"\xff":
        at += 1
    if at >= len(data):
        raise CorruptError(f"the JPEG stream is cut off at byte {at}, before its first scan")
    return data[at], at + 1


def _segment(data: bytes, at: int, marker: int) -> bytes:
    length = int.from_bytes(data[at : at + 2], "big")
    body = data[at + 2 : at + length]
    if length < 2 or len(body) != length - 2:
        raise CorruptError(
            f"JPEG segment FF {marker:02X} at byte {at - 2} says {length} bytes, "
            f"{max(len(data) - at, 0)} are left"
        )
    return body


def _frame(body: bytes, marker: int, details: dict[str, object], lossless_ls: bool) -> Parsed:
    if lossless_ls != (marker == _SOF55):
        found = "JPEG-LS" if marker == _SOF55 else "JPEG"
        raise CorruptError(
            f"expected a {'JPEG-LS' if lossless_ls else 'JPEG'} frame, found {found}"
        )
    if "process" in details:
        raise UnsupportedError("a JPEG stream of several frames (hierarchical process)")
    samples = body[5] if len(body) > 5 else 0
    if len(body) < 6 + 3 * samples or not samples:
        raise CorruptError(f"a JPEG frame header of {len(body)} bytes for {samples} components")
    components = [body[6 + 3 * n : 9 + 3 * n] for n in range(samples)]
    details["process"] = "SOF55" if marker == _SOF55 else f"SOF{marker - 0xC0}"
    details["ids"] = tuple(component[0] for component in components)
    details["sampling"] = tuple((part[1] >> 4, part[1] & 15) for part in components)
    rows, columns = int.from_bytes(body[1:3], "big"), int.from_bytes(body[3:5], "big")
    later = details["process"] in _ROWS_LATER
    if (not columns and marker != _SOF55) or (not rows and not later):
        raise UnsupportedError(f"a JPEG frame of {rows} rows, {columns} columns (size given later)")
    return rows or None, columns or None, samples, body[0], details


def _scan(body: bytes, details: dict[str, object]) -> None:
    if "process" not in details:
        raise CorruptError("a JPEG scan begins before its frame header (SOF)")
    count = body[0] if body else 0
    tail = body[1 + 2 * count :]
    if len(tail) < 3:
        raise CorruptError(f"a JPEG scan header of {len(body)} bytes for {count} components")
    if details["process"] == "SOF55":
        details["near"] = tail[0]
        details["interleave"] = tail[1]
    elif details["process"] == "SOF3":
        details["predictor"] = tail[0]
        details["transform"] = tail[2] & 15


def _application(body: bytes, marker: int, details: dict[str, object]) -> None:
    if marker == 0xE0 and body.startswith(b"JFIF\0"):
        details["jfif"] = True
    elif marker == 0xEE and body.startswith(b"Adobe") and len(body) >= 12:
        details["adobe"] = body[11]
    elif marker == 0xE8 and body.startswith(b"SPIFF\0"):
        details["spiff"] = True


def _hex(data: bytes) -> str:
    return data.hex(" ").upper() or "nothing"
