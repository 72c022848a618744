"""JPEG 2000 (ISO/IEC 15444-1) and HTJ2K (15444-15): the main header."""

from __future__ import annotations

from dicomloom.codecs.headers import Parsed
from dicomloom.errors import CorruptError, UnsupportedError

JP2 = b"\0\0\0\x0cjP  \r\n\x87\n"
_SIZ, _COD, _CAP, _TLM, _SOT, _SOD = 0xFF51, 0xFF52, 0xFF50, 0xFF55, 0xFF90, 0xFF93
_MOST_SEGMENTS = 1000
_MOST_BOXES = 100
MOST_TILES = 65535  # 15444-1 A.4.2
_MOST_TILE_PARTS = MOST_TILES * 255
_PROGRESSIONS = ("LRCP", "RLCP", "RPCL", "PCRL", "CPRL")


def parse(data: bytes) -> Parsed:
    """Return rows, columns, samples, bits and details of a codestream, perhaps in a JP2 file."""
    at = start(data)
    if data[at : at + 2] != b"\xff\x4f":
        found = data[at : at + 4].hex(" ").upper() or "nothing"
        raise CorruptError(f"expected a JPEG 2000 codestream (FF 4F), found {found}")
    if data[at + 2 : at + 4] != b"\xff\x51":
        raise CorruptError("a JPEG 2000 codestream without image size (SIZ) behind its start")
    details: dict[str, object] = {
        "format": "jp2" if at else "codestream",
        "high_throughput": False,
        "tlm": False,
    }
    size = None
    at += 2
    for _ in range(_MOST_SEGMENTS):
        marker = int.from_bytes(data[at : at + 2], "big")
        if size is not None and marker in (_SOT, _SOD):
            break
        body = _segment(data, at)
        if body is None:
            # The size stands first; what is behind may be beyond what was handed in.
            if size is not None:
                break
            raise CorruptError(f"the JPEG 2000 header is cut off at byte {len(data)}")
        if marker == _SIZ:
            size = _size(body, details)
        elif marker == _COD:
            _style(body, details)
        elif marker == _CAP:
            details["high_throughput"] = bool(int.from_bytes(body[:4], "big") & 0x00020000)
        elif marker == _TLM:
            details["tlm"] = True
        at += 4 + len(body)
    if size is None:
        raise CorruptError("a JPEG 2000 codestream without image size (SIZ)")
    return size


def start(data: bytes) -> int:
    """Return where the codestream begins: behind the boxes of a JP2 file, where there are any."""
    if not data.startswith(JP2):
        return 0
    at = 0
    for _ in range(_MOST_BOXES):
        length, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        if kind == b"jp2c":
            return at + head
        if length < head or at + length >= len(data):
            break
        at += length
    raise CorruptError("a JP2 file without a codestream in its first boxes")


def cut_off(data: memoryview) -> int | None:
    """Return where a codestream should go on but ends, by the lengths of its tile-parts; else None.

    OpenJPH fills what is missing with zeros and says nothing.
    """
    at = start(bytes(data[: 64 * 1024])) + 2
    for _ in range(_MOST_SEGMENTS):
        if bytes(data[at : at + 2]) == b"\xff\x90":
            break
        at += 2 + max(int.from_bytes(data[at + 2 : at + 4], "big"), 2)
        if at >= len(data):
            return at
    for _ in range(_MOST_TILE_PARTS):
        if at + 2 > len(data):
            return at
        if bytes(data[at : at + 2]) != b"\xff\x90":
            return None  # EOC, or nothing that could be followed
        length = int.from_bytes(data[at + 6 : at + 10], "big")
        if length == 0:
            return None  # up to the end
        at += max(length, 12)
    return None


def _segment(data: bytes, at: int) -> bytes | None:
    length = int.from_bytes(data[at + 2 : at + 4], "big")
    body = data[at + 4 : at + 2 + length]
    if at + 4 > len(data) or (length >= 2 and len(body) != length - 2):
        return None
    if length < 2 or data[at] != 0xFF:
        raise CorruptError(
            f"expected a JPEG 2000 marker at byte {at}, found {data[at : at + 4].hex(' ').upper()}"
        )
    return body


def _size(body: bytes, details: dict[str, object]) -> Parsed:
    if len(body) < 36:
        raise CorruptError(f"a JPEG 2000 image size (SIZ) of {len(body)} bytes")
    right, bottom, left, top = (int.from_bytes(body[n : n + 4], "big") for n in (2, 6, 10, 14))
    samples = int.from_bytes(body[34:36], "big")
    parts = [body[36 + 3 * n : 39 + 3 * n] for n in range(samples)]
    if not samples or len(parts[-1]) != 3 or right <= left or bottom <= top:
        raise CorruptError(
            f"a JPEG 2000 image size (SIZ) of {right - left} columns, {bottom - top} rows and "
            f"{samples} components in {len(body)} bytes"
        )
    details["tiles"] = _tiles(body, right, bottom, left, top)
    if any(0 in part[1:] for part in parts):
        raise CorruptError("a JPEG 2000 image size (SIZ) with components that have no samples")
    precisions = {(part[0] & 0x7F) + 1 for part in parts}
    signs = {part[0] >> 7 for part in parts}
    if len(signs) > 1:
        raise UnsupportedError("JPEG 2000 components, some of them signed")
    details["signed"] = bool(signs.pop())
    details["sampling"] = tuple((part[1], part[2]) for part in parts)
    return bottom - top, right - left, samples, max(precisions), details


def _tiles(body: bytes, right: int, bottom: int, left: int, top: int) -> int:
    """Return how many tiles there are; hold their grid to 15444-1 B.3: libraries divide by it."""
    wide, high, first, upper = (int.from_bytes(body[n : n + 4], "big") for n in (18, 22, 26, 30))
    if not (first <= left < first + wide and upper <= top < upper + high):
        raise CorruptError(
            f"a JPEG 2000 image size (SIZ) with tiles of {wide} x {high} from {first}, {upper} on, "
            f"for an image that begins at {left}, {top}"
        )
    return -(-(right - first) // wide) * -(-(bottom - upper) // high)


def _style(body: bytes, details: dict[str, object]) -> None:
    if len(body) < 10:
        raise CorruptError(f"a JPEG 2000 coding style (COD) of {len(body)} bytes")
    order = body[1]
    details["progression"] = _PROGRESSIONS[order] if order < len(_PROGRESSIONS) else str(order)
    details["mct"] = body[4]
    details["levels"] = body[5]
    details["reversible"] = body[9] == 1
