"""EXIF (CIPA DC-008, a TIFF structure) as DICOM attributes.

What tells of the picture and the camera has its place in PS3.3: the modules of VL images, General
Equipment and VL Photographic Acquisition. Where it was taken, and whose the camera is, is never
carried over.
"""

from __future__ import annotations

import math
import re
import struct
from typing import NamedTuple

from dicomloom.errors import CorruptError

_EXIF, _GPS = 0x8769, 0x8825
_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4}
_MOST_ENTRIES = 1000
_MOST_VALUE = 1024
_ORIENTATION = 0x0112

# EXIF tag -> keyword. Text is cut to what the VR holds.
_TEXTS = {
    0x010F: ("Manufacturer", 64),
    0x0110: ("ManufacturerModelName", 64),
    0x0131: ("SoftwareVersions", 64),
    0xA431: ("DeviceSerialNumber", 64),
    0xA433: ("LensMake", 10240),
    0xA434: ("LensModel", 10240),
    0xA435: ("LensSerialNumber", 10240),
}
_REALS = {
    0x829A: "ExposureTimeInSeconds",
    0x829D: "FNumber",
    0x9202: "ApertureValue",
    0x9203: "BrightnessValue",
    0x9204: "ExposureBiasValue",
    0x9205: "MaxApertureValue",
    0x9206: "SubjectDistance",
    0x920A: "FocalLength",
    0xA404: "DigitalZoomRatio",
    0xA405: "FocalLengthIn35mmFilm",
}
_WHOLES = {
    0x8822: "ExposureProgram",
    0x9207: "MeteringMode",
    0x9208: "LightSource",
    0xA217: "SensingMethod",
    0xA401: "CustomRendered",
    0xA402: "ExposureMode",
    0xA403: "WhiteBalance",
    0xA406: "SceneCaptureType",
    0xA408: "Contrast",
    0xA409: "Saturation",
    0xA40A: "Sharpness",
}
# Parts of the tag Flash: keyword, first bit, mask.
_FLASH = (
    ("FlashFiringStatus", 0, 1),
    ("FlashReturnStatus", 1, 3),
    ("FlashMode", 3, 3),
    ("FlashFunctionPresent", 5, 1),
    ("FlashRedEyeMode", 6, 1),
)


class Exif(NamedTuple):
    """What EXIF says.

    Attributes
    ----------
    orientation : int
        1 to 8: how to turn the stored picture to see it upright; 1 where nothing is said.
    attributes : dict
        By keyword: date and time, camera, and how the picture was taken.
    gps : bool
        Whether it may say where the picture was taken: any of its directories points to one of
        positions, sound or not.
    """

    orientation: int
    attributes: dict[str, object]
    gps: bool


class _Directory(NamedTuple):
    """The entries of a TIFF directory: type, count, and the bytes of the value, by tag."""

    entries: dict[int, tuple[int, int, bytes]]
    order: str
    gps: bool
    next: int

    def text(self, tag: int) -> str | None:
        kind, _, data = self.entries.get(tag, (0, 0, b""))
        if kind != 2:
            return None
        # CIPA DC-008 says ASCII; cameras write UTF-8.
        text = data.split(b"\0")[0].decode("utf-8", "replace")
        return "".join(c for c in text if c.isprintable()).replace("\\", "/").strip() or None

    def number(self, tag: int) -> float | None:
        kind, count, data = self.entries.get(tag, (0, 0, b""))
        code = {1: "B", 3: "H", 4: "L", 9: "l", 11: "f", 12: "d", 13: "L"}.get(kind)
        if count < 1:
            return None
        if code:
            number = float(struct.unpack_from(self.order + code, data)[0])
            return number if math.isfinite(number) else None
        if kind in (5, 10):
            over, under = struct.unpack_from(self.order + ("LL" if kind == 5 else "ll"), data)
            return over / under if under else None
        return None


def read_exif(data: bytes) -> Exif:
    """Read EXIF: the bytes behind ``Exif\\0\\0``, which begin with a TIFF header.

    Raises
    ------
    CorruptError
        The bytes are no TIFF structure. Entries that lead outside are passed over.
    """
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(data[:4])
    if order is None or len(data) < 8:
        raise CorruptError(f"expected EXIF in a TIFF header, found {data[:4].hex(' ').upper()}")
    main = _directory(data, struct.unpack_from(order + "L", data, 4)[0], order)
    taken = _directory(data, int(main.number(_EXIF) or 0), order)
    thumbnail = _directory(data, main.next, order)
    gps = main.gps or taken.gps or thumbnail.gps
    orientation = int(main.number(_ORIENTATION) or 1)
    both = main._replace(entries={**main.entries, **taken.entries})
    return Exif(orientation if 1 <= orientation <= 8 else 1, _attributes(both), gps)


def _directory(data: bytes, at: int, order: str) -> _Directory:
    entries: dict[int, tuple[int, int, bytes]] = {}
    gps, following = False, 0
    if not 8 <= at <= len(data) - 2:
        return _Directory(entries, order, gps, following)
    (count,) = struct.unpack_from(order + "H", data, at)
    for place in range(at + 2, at + 2 + 12 * min(count, _MOST_ENTRIES), 12):
        if place + 12 > len(data):
            break
        tag, kind, length = struct.unpack_from(order + "HHL", data, place)
        gps = gps or tag == _GPS
        size = _SIZES.get(kind, 0) * length
        if not 0 < size <= _MOST_VALUE:
            continue
        start = place + 8 if size <= 4 else struct.unpack_from(order + "L", data, place + 8)[0]
        value = data[start : start + size]
        if len(value) == size:
            entries.setdefault(tag, (kind, length, value))
    end = at + 2 + 12 * count
    if end + 4 <= len(data):
        (following,) = struct.unpack_from(order + "L", data, end)
    return _Directory(entries, order, gps, following)


def _attributes(found: _Directory) -> dict[str, object]:
    made: dict[str, object] = {}
    for tag, (keyword, longest) in _TEXTS.items():
        text = found.text(tag)
        if text:
            made[keyword] = text[:longest].rstrip()
    for tag, keyword in _REALS.items():
        number = found.number(tag)
        if number is not None:
            made[keyword] = f"{number:.6g}"
    for tag, keyword in _WHOLES.items():
        number = found.number(tag)
        if number is not None and 0 <= number <= 65535:
            made[keyword] = int(number)
    speed = found.number(0x8827)
    if speed and 0 < speed < 2**31:
        made["PhotographicSensitivity"] = str(int(speed))
    flash = found.number(0x9209)
    if flash is not None and flash >= 0:
        for keyword, shift, mask in _FLASH:
            made[keyword] = int(flash) >> shift & mask
    moment = _moment(found)
    if moment:
        date, time, zone = moment
        made["ContentDate"], made["ContentTime"] = date, time
        made["AcquisitionDateTime"] = date + time + zone
    return made


def _moment(found: _Directory) -> tuple[str, str, str] | None:
    """Return date, time and zone of DateTimeOriginal, else DateTimeDigitized."""
    for when, part, zone in ((0x9003, 0x9291, 0x9011), (0x9004, 0x9292, 0x9012)):
        match = re.fullmatch(
            r"(\d{4}):(\d\d):(\d\d) (\d\d):(\d\d):(\d\d)", found.text(when) or "", re.A
        )
        if not match or not _possible(*map(int, match.groups())):
            continue
        date, time = "".join(match.groups()[:3]), "".join(match.groups()[3:])
        fraction = re.fullmatch(r"\d{1,9}", found.text(part) or "", re.A)
        if fraction:
            time += "." + fraction[0][:6]
        offset = re.fullmatch(r"([+-])(0\d|1[0-4]):([0-5]\d)", found.text(zone) or "", re.A)
        return date, time, "".join(offset.groups()) if offset else ""
    return None


def _possible(year: int, month: int, day: int, hour: int, minute: int, second: int) -> bool:
    from datetime import datetime

    try:
        datetime(year, month, day, hour, minute, second)
    except ValueError:
        return False
    return year > 1800
