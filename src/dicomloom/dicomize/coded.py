"""Pictures that are coded as DICOM codes them: their bitstreams are stored, not coded again.

JPEG, JPEG Lossless, JPEG-LS, JPEG 2000, HTJ2K and JPEG XL, as bare streams or in the file formats
that hold one. Everything a data set says of them follows from the stream.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.codecs.bitstream import Description, describe
from dicomloom.codecs.headers import jpeg, jpeg2000, jpegxl
from dicomloom.dicomize.exif import Exif, read_exif
from dicomloom.errors import CorruptError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Iterator

_UID = "1.2.840.10008.1.2.4."
_METHODS = {
    "JPEG": "ISO_10918_1",
    "JPEG-LS": "ISO_14495_1",
    "JPEG 2000": "ISO_15444_1",
    "HTJ2K": "ISO_15444_15",
    "JPEG XL": "ISO_18181_1",
}
# What ends a scan: a marker other than RSTm. In JPEG-LS, FF is followed by a bit 0 within a scan.
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_LS_SCAN_END = re.compile(rb"\xff[\x80-\xcf\xd8-\xfe]")
_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/x", b"ICC_PROFILE\0"
_MOST_ICC = 16 << 20
_MOST_BOXES = 1000
# Colour specification of a JP2 file, ISO/IEC 15444-1 table I.10.
_SYCC = 18


class CodedPicture(NamedTuple):
    """A picture whose bitstream is one of DICOM's.

    Attributes
    ----------
    format : str
        "JPEG", "JPEG-LS", "JPEG 2000", "HTJ2K" or "JPEG XL".
    syntax : str
        Keyword of the transfer syntax; empty where no current one takes the stream.
    unfit : str
        Why `syntax` is empty, else empty.
    stream : bytes
        What is stored.
    rows, columns, samples, bits : int
    signed : bool
    photometric : str
    lossy : bool
        Whether coding lost something.
    icc : bytes or None
        The color profile.
    exif : Exif or None
    notes : tuple of str
        What was left out of the file, and why.
    """

    format: str
    syntax: str
    unfit: str
    stream: bytes
    rows: int
    columns: int
    samples: int
    bits: int
    signed: bool
    photometric: str
    lossy: bool
    icc: bytes | None = None
    exif: Exif | None = None
    notes: tuple[str, ...] = ()

    @property
    def method(self) -> str:
        """LossyImageCompressionMethod (PS3.3 C.7.6.1.1.5.1)."""
        recompressed = self.syntax == "JPEGXLJPEGRecompression"  # JPEG lost, JPEG XL did not
        return _METHODS["JPEG" if recompressed else self.format]

    @property
    def ratio(self) -> float:
        """How much smaller the stream is than the samples of the picture."""
        raw = self.rows * self.columns * self.samples * (1 if self.bits <= 8 else 2)
        return raw / len(self.stream)


def is_coded(prefix: bytes) -> bool:
    """Return whether a file that begins with these bytes (16 suffice) holds such a picture."""
    return prefix.startswith(
        (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\xff\x0a", jpeg2000.JP2, jpegxl.CONTAINER)
    )


def read_coded(data: bytes) -> CodedPicture:
    """Return what a coded picture is.

    Parameters
    ----------
    data : bytes
        The whole file.

    Raises
    ------
    CorruptError
        The stream is cut off or breaks its format.
    UnsupportedError
        It is of a kind that can neither be stored nor converted here.
    """
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith((b"\xff\x4f", jpeg2000.JP2)):
        return _jpeg_2000(data)
    if data.startswith((b"\xff\x0a", jpegxl.CONTAINER)):
        return _jpeg_xl(data)
    raise CorruptError(
        f"expected JPEG, JPEG-LS, JPEG 2000 or JPEG XL, found {data[:4].hex(' ').upper()}"
    )


def _said(found: Description) -> tuple[int, int, int, int]:
    """Return rows, columns, samples and bits; these formats say all of them at once."""
    return tuple(int(value or 0) for value in found[:4])  # type: ignore[return-value]


# --- JPEG, JPEG Lossless, JPEG-LS ---


def _jpeg(data: bytes) -> CodedPicture:
    segments = list(jpeg.segments(data))
    ls = any(segment.marker == 0xF7 for segment in segments)
    found = describe(data, _UID + ("80" if ls else "50"))
    rows = found.rows
    if rows is None or found.columns is None:
        raise UnsupportedError("the height of the picture stands behind its first scan (DNL)")
    process, bits = str(found.details["process"]), int(found.bits or 8)
    syntax, unfit = _jpeg_syntax(found, process, bits, found.samples or 1)
    stream, notes = _without_places(data, segments)
    return CodedPicture(
        "JPEG-LS" if ls else "JPEG",
        syntax,
        unfit,
        stream,
        rows,
        found.columns,
        int(found.samples or 1),
        bits,
        False,
        _jpeg_photometric(found, process),
        process not in ("SOF3", "SOF55") or bool(found.details.get("near")),
        _jpeg_icc(segments),
        _jpeg_exif(segments),
        tuple(notes),
    )


def _jpeg_syntax(found: Description, process: str, bits: int, samples: int) -> tuple[str, str]:
    """Return the transfer syntax of a JPEG stream, or why it has none (PS3.5 A.4.1, A.4.3)."""
    details = found.details
    if samples not in (1, 3):
        return "", f"a JPEG of {samples} components (CMYK, or with transparency)"
    if bits > 8 and samples > 1 and process == "SOF1":
        return "", "a JPEG of 12-bit color"
    first = details.get("predictor") == 1 and not details.get("transform")
    syntaxes = {
        "SOF0": "JPEGBaseline8Bit",
        "SOF1": "JPEGExtended12Bit",  # of 8 bits, too
        "SOF3": "JPEGLosslessSV1" if first else "JPEGLossless",
        "SOF55": "JPEGLSNearLossless" if details.get("near") else "JPEGLSLossless",
    }
    kinds = {"SOF2": "a progressive JPEG", "SOF9": "a JPEG with arithmetic coding"}
    kind = kinds.get(process, f"a JPEG of process {process}")
    unfit = f"{kind}, whose transfer syntax is retired or never was"
    return (syntaxes[process], "") if process in syntaxes else ("", unfit)


def _jpeg_photometric(found: Description, process: str) -> str:
    """Return PhotometricInterpretation (PS3.5 8.2.1, 8.2.3; PS3.3 C.7.6.3.1.2).

    YBR_FULL_422 stands for whatever subsampling a lossy stream has: no other value of YCbCr is
    allowed by the tables of PS3.5 and by VL images, and decoders go by the stream.
    """
    if found.samples == 1:
        return "MONOCHROME2"
    if process in ("SOF3", "SOF55"):
        ycbcr = found.details.get("jfif") or found.details.get("adobe") == 1
        return "YBR_FULL" if ycbcr else "RGB"
    return "RGB" if jpeg.colors_are_rgb(found.details, labelled_rgb=False) else "YBR_FULL_422"


def _jpeg_icc(segments: list[jpeg.Segment]) -> bytes | None:
    """Join the parts of a color profile (ICC.1:2022 B.4)."""
    parts: dict[int, bytes] = {}
    for marker, _, _, body in segments:
        if marker == 0xE2 and body.startswith(_ICC) and len(body) > 14:
            parts.setdefault(body[12], body[14:])
    whole = sorted(parts) == list(range(1, len(parts) + 1))
    return b"".join(parts[number] for number in sorted(parts)) if parts and whole else None


def _jpeg_exif(segments: list[jpeg.Segment]) -> Exif | None:
    for marker, _, _, body in segments:
        if marker == 0xE1 and body.startswith(_EXIF):
            try:
                return read_exif(body[len(_EXIF) :])
            except CorruptError:
                return None  # of the picture itself nothing is lost
    return None


def _without_places(data: bytes, segments: list[jpeg.Segment]) -> tuple[bytes, list[str]]:
    """Return the stream without what says where it was taken, and without a tail; and notes.

    A stream that has neither is returned as it is.
    """
    notes: list[str] = []
    ls = any(segment.marker == 0xF7 for segment in segments)
    end = _jpeg_end(data, segments[-1].end, _LS_SCAN_END if ls else _SCAN_END)
    tail = data[end:]
    if tail.strip(b"\0\xff"):
        notes.append(f"{len(tail)} bytes behind the end of the JPEG stream were left out")
    else:
        end = len(data)
    exif = _jpeg_exif(segments)
    placed = (exif is not None and exif.gps) or any(
        segment.marker == 0xE1 and segment.body.startswith(_XMP) and b"GPS" in segment.body
        for segment in segments
    )
    if not placed:
        return data[:end], notes
    notes.append("EXIF and XMP segments, which say where it was taken, were left out of the JPEG")
    kept = [data[: segments[0].start]]
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if segment.marker != 0xE1:
            kept.append(data[segment.start : following.start if following else end])
    return b"".join(kept), notes


def _jpeg_end(data: bytes, at: int, scan_end: re.Pattern[bytes]) -> int:
    """Return where a stream ends, behind EOI; `at` is where its first scan begins."""
    for _ in range(_MOST_BOXES):
        match = scan_end.search(data, at)
        if match is None:
            raise CorruptError(f"the JPEG stream is cut off: no end (EOI) in its {len(data)} bytes")
        at = match.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return at
        if marker != 0x01:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
    raise CorruptError(f"no end (EOI) behind {_MOST_BOXES} segments of the JPEG stream")


# --- JPEG 2000, HTJ2K ---


def _jpeg_2000(data: bytes) -> CodedPicture:
    found = describe(data, _UID + "90")
    details = found.details
    rows, columns, samples, bits = _said(found)
    stream, icc, space, unfit = data, None, None, ""
    if details["format"] == "jp2":
        stream, icc, space, unfit = _jp2(data)
    short = jpeg2000.cut_off(memoryview(stream))
    if short is not None:
        raise CorruptError(f"the JPEG 2000 codestream is cut off at byte {short}")
    high, reversible = bool(details["high_throughput"]), bool(details.get("reversible"))
    syntax = ("HTJ2K" if high else "JPEG2000") + ("Lossless" if reversible else "")
    if high and reversible and details.get("progression") == "RPCL" and details["tlm"]:
        syntax = "HTJ2KLosslessRPCL"
    if samples not in (1, 3):
        unfit = f"a JPEG 2000 picture of {samples} components (perhaps with transparency)"
    elif any(pair != (1, 1) for pair in details["sampling"]):  # type: ignore[attr-defined]
        unfit = "a JPEG 2000 picture with subsampled components"
    elif bits > 16:
        unfit = f"a JPEG 2000 picture of {bits} bits a sample"
    photometric = "MONOCHROME2"
    if samples == 3:
        ycc = "YBR_FULL" if space == _SYCC else "RGB"
        photometric = ("YBR_RCT" if reversible else "YBR_ICT") if details.get("mct") else ycc
    return CodedPicture(
        "HTJ2K" if high else "JPEG 2000",
        "" if unfit else syntax,
        unfit,
        stream,
        rows,
        columns,
        samples,
        bits,
        bool(details["signed"]),
        photometric,
        not reversible,
        icc,
    )


def _jp2(data: bytes) -> tuple[bytes, bytes | None, int | None, str]:
    """Return codestream, color profile, enumerated color space, and why it cannot be stored."""
    stream, icc, space, unfit = b"", None, None, ""
    for kind, body in _boxes(data):
        if kind == b"jp2c" and not stream:
            stream = body
        elif kind == b"jp2h":
            for inner, value in _boxes(body):
                if inner == b"colr" and value[:1] == b"\2" and len(value) < _MOST_ICC:
                    icc = value[3:]
                elif inner == b"colr" and value[:1] == b"\1":
                    space = int.from_bytes(value[3:7], "big")
                elif inner == b"pclr":
                    unfit = "a JP2 file with a palette"
    if not stream:
        raise CorruptError("a JP2 file without a codestream")
    return stream, icc, space, unfit


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Walk the boxes of an ISO base format: type and content."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > len(data):
            return
        length, kind, head = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(data[at + 8 : at + 16], "big"), 16
        end = len(data) if length == 0 else at + length
        if end < at + head or end > len(data):
            raise CorruptError(
                f"box {kind.decode('latin-1')!r} at byte {at} says {length} bytes, "
                f"{len(data) - at} are left"
            )
        yield kind, data[at + head : end]
        at = end


# --- JPEG XL ---


def _jpeg_xl(data: bytes) -> CodedPicture:
    found = describe(data, _UID + "110")
    details, notes = found.details, []
    rows, columns, samples, bits = _said(found)
    stream = data
    if details.get("jpeg"):
        syntax, photometric = "JPEGXLJPEGRecompression", "YBR_FULL_422"
    else:
        syntax = "JPEGXL" if details["xyb"] else "JPEGXLLossless"
        photometric = "XYB" if details["xyb"] else "RGB"
        if details["format"] == "container":
            boxes = list(_boxes(data))
            parts = [body for kind, body in boxes if kind == b"jxlc"]
            parts = parts or [body[4:] for kind, body in boxes if kind == b"jxlp"]
            if bits <= 12:
                stream = b"".join(parts)
            notes = [
                f"box {kind.decode('latin-1').strip()} was left out"
                for kind, _ in boxes
                if kind in (b"Exif", b"xml ") and bits <= 12
            ]
    if samples == 1:
        photometric = "MONOCHROME2"
    turned = int(str(details.get("orientation", 1)))
    return CodedPicture(
        "JPEG XL",
        syntax,
        "",
        stream,
        rows,
        columns,
        samples,
        bits,
        False,
        photometric,
        syntax != "JPEGXLLossless",
        None,
        Exif(turned, {}, False) if turned > 1 else None,
        tuple(notes),
    )
