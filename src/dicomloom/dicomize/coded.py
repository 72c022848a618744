"""Pictures that are coded as DICOM codes them: their bitstreams are stored, not coded again.

JPEG, JPEG Lossless, JPEG-LS, JPEG 2000, HTJ2K and JPEG XL, as bare streams or in the file formats
that hold one. Everything a data set says of them follows from the stream.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from dicomloom.codecs.bitstream import Description, describe
from dicomloom.codecs.headers import jpeg, jpeg2000, jpegxl
from dicomloom.dicomize.boxes import boxes
from dicomloom.dicomize.exif import Exif, read_exif
from dicomloom.dicomize.icc import is_rgb
from dicomloom.dicomize.jpegxl import BACK, to_store
from dicomloom.errors import CorruptError, UnsupportedError

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
_NO_RGB = "its color profile, which is not of RGB, was left out"
_EXIF, _XMP, _ICC = b"Exif\0\0", b"http://ns.adobe.com/x", b"ICC_PROFILE\0"
_XMP_EXTENDED = 35 + 32 + 8  # of a part of XMP: name, digest, length and offset
_MOST_ICC = 16 << 20
_MOST_SCANS = 1000
_PADDING = 64  # bytes behind the end that are not worth another stream
_LARGEST = 65535  # Rows and Columns are of VR US
# Bits that a sample may have, by process (ISO/IEC 10918-1 table B.2, 14495-1 C.2.2).
_PRECISIONS = {"SOF0": (8,), "SOF3": range(2, 17), "SOF55": range(2, 17)}
# Colour specification of a JP2 file, ISO/IEC 15444-1 table I.10.
_SYCC = 18
_SPACES = (None, 16, 17, _SYCC)  # sRGB, gray


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
        read = _jpeg(data)
    elif data.startswith((b"\xff\x4f", jpeg2000.JP2)):
        read = _jpeg_2000(data)
    elif data.startswith((b"\xff\x0a", jpegxl.CONTAINER)):
        read = _jpeg_xl(data)
    else:
        raise CorruptError(
            f"expected JPEG, JPEG-LS, JPEG 2000 or JPEG XL, found {data[:4].hex(' ').upper()}"
        )
    if max(read.rows, read.columns) > _LARGEST:
        raise UnsupportedError(
            f"a picture of {read.columns} x {read.rows}; DICOM has at most {_LARGEST} rows and "
            "columns: cut it into pieces first"
        )
    return read


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
    process, bits = str(found.details["process"]), int(found.bits or 0)
    if bits not in _PRECISIONS.get(process, (8, 12)):
        raise CorruptError(f"a JPEG frame ({process}) of {bits} bits a sample")
    syntax, unfit = _jpeg_syntax(found, process, bits, found.samples or 1)
    stream, notes = _without_places(data, segments)
    icc = _jpeg_icc(segments)
    if icc is not None and found.samples != 1 and not is_rgb(icc):
        notes.append(_NO_RGB)
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
        icc if icc is not None and is_rgb(icc) else None,
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
    """Join the parts of a color profile (ICC.1:2022 B.4); None where one is missing."""
    parts: dict[int, bytes] = {}
    count = 0
    for marker, _, _, body in segments:
        if marker == 0xE2 and body.startswith(_ICC) and len(body) > 14:
            parts.setdefault(body[12], body[14:])
            count = body[13]
    if not parts or sorted(parts) != list(range(1, count + 1)):
        return None
    return b"".join(parts[number] for number in sorted(parts))


def _jpeg_exif(segments: list[jpeg.Segment]) -> Exif | None:
    for marker, _, _, body in segments:
        if marker == 0xE1 and body.startswith(_EXIF):
            try:
                return read_exif(body[len(_EXIF) :])
            except CorruptError:
                return None  # of the picture itself nothing is lost
    return None


def _says_where(segments: list[jpeg.Segment]) -> bool:
    """Return whether metadata may say where a picture was taken; what cannot be read may, too."""
    xmp: list[bytes] = []
    for marker, _, _, body in segments:
        if marker == 0xE1 and body.startswith(_EXIF):
            try:
                if read_exif(body[len(_EXIF) :]).gps:
                    return True
            except CorruptError:
                return True
        elif marker == 0xE1 and body.startswith(_XMP):
            xmp.append(body[_XMP_EXTENDED:] if body.startswith(_XMP + b"mp/ext") else body)
    return b"GPS" in b"".join(xmp)


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
    elif len(tail) <= _PADDING:
        end = len(data)
    if not _says_where(segments):
        return data[:end], notes
    notes.append("EXIF and XMP, which may say where it was taken, were left out of the JPEG")
    kept = [data[: segments[0].start]]
    for segment, following in zip(segments, [*segments[1:], None], strict=True):
        if segment.marker != 0xE1:
            kept.append(data[segment.start : following.start if following else end])
    return b"".join(kept), notes


def _jpeg_end(data: bytes, at: int, scan_end: re.Pattern[bytes]) -> int:
    """Return where a stream ends, behind EOI; `at` is where its first scan begins."""
    for _ in range(_MOST_SCANS):
        match = scan_end.search(data, at)
        if match is None:
            raise CorruptError(f"the JPEG stream is cut off: no end (EOI) in its {len(data)} bytes")
        at = match.end()
        marker = data[at - 1]
        if marker == 0xD9:
            return at
        if marker != 0x01:
            at += max(int.from_bytes(data[at : at + 2], "big"), 2)
    raise CorruptError(f"no end (EOI) behind {_MOST_SCANS} segments of the JPEG stream")


# --- JPEG 2000, HTJ2K ---


def _jpeg_2000(data: bytes) -> CodedPicture:
    found = describe(data, _UID + "90")
    details = found.details
    rows, columns, samples, bits = _said(found)
    stream, icc, space, unfit = data, None, None, ""
    if details["format"] == "jp2":
        stream, icc, space, unfit = _jp2(data)
    short = jpeg2000.cut_off(memoryview(stream))
    if short is None and not stream[-_PADDING:].rstrip(b"\0\xff\n").endswith(b"\xff\xd9"):
        short = len(stream)
    if short is not None:
        raise CorruptError(f"the JPEG 2000 codestream is cut off at byte {short}")
    high, reversible = bool(details["high_throughput"]), bool(details.get("reversible"))
    syntax = ("HTJ2K" if high else "JPEG2000") + ("Lossless" if reversible else "")
    if high and reversible and details.get("progression") == "RPCL" and details["tlm"]:
        syntax = "HTJ2KLosslessRPCL"
    if space not in _SPACES:
        unfit = f"a JP2 file of enumerated color space {space}"
    elif space == _SYCC and details.get("mct"):
        unfit = "a JP2 file of sYCC, transformed once more"
    if samples not in (1, 3):
        unfit = f"a JPEG 2000 picture of {samples} components (perhaps with transparency)"
    elif any(pair != (1, 1) for pair in details["sampling"]):  # type: ignore[attr-defined]
        unfit = "a JPEG 2000 picture with subsampled components"
    elif not 2 <= bits <= 16:  # PS3.5 8.2.4 has no BitsAllocated 1
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
        icc if icc is not None and is_rgb(icc) else None,
        None,
        (_NO_RGB,) if icc is not None and samples != 1 and not is_rgb(icc) else (),
    )


def _jp2(data: bytes) -> tuple[bytes, bytes | None, int | None, str]:
    """Return codestream, color profile, enumerated color space, and why it cannot be stored."""
    stream, icc, space, unfit = b"", None, None, ""
    for kind, body in boxes(data):
        if kind == b"jp2c" and not stream:
            stream = body
        elif kind == b"jp2h":
            for inner, value in boxes(body):
                if inner == b"colr" and value[:1] in (b"\2", b"\3") and len(value) < _MOST_ICC:
                    icc = icc or value[3:]
                elif inner == b"colr" and value[:1] == b"\1" and space is None:
                    space = int.from_bytes(value[3:7], "big")
                elif inner == b"pclr":
                    unfit = "a JP2 file with a palette"
                elif inner == b"cdef" and not _plain_channels(value):
                    unfit = unfit or "a JP2 file whose channels are not red, green, blue in order"
    if not stream:
        raise CorruptError("a JP2 file without a codestream")
    return stream, icc, space, unfit


def _plain_channels(body: bytes) -> bool:
    """Return whether a channel definition (15444-1 I.5.3.6) says what is so without it."""
    entries = [body[at : at + 6] for at in range(2, len(body), 6)]
    return all(
        kind == b"\0\0" and int.from_bytes(channel, "big") + 1 == int.from_bytes(color, "big")
        for channel, kind, color in ((e[:2], e[2:4], e[4:6]) for e in entries)
    )


# --- JPEG XL ---


def _jpeg_xl(data: bytes) -> CodedPicture:
    stored = to_store(data)
    found = describe(stored.stream, _UID + "110")
    rows, columns, samples, bits = _said(found)
    turned = int(str(found.details.get("orientation", 1)))
    if turned > 1:
        # ISO/IEC 18181-1 has decoders turn it, so Rows and Columns would be those of no decoder
        # that leaves it.
        raise UnsupportedError(
            f"a JPEG XL picture to be turned (orientation {turned}), which some decoders do and "
            f"some do not: {BACK}"
        )
    if stored.recompressed:
        syntax, photometric = "JPEGXLJPEGRecompression", "YBR_FULL_422"
    else:
        syntax = "JPEGXLLossless" if stored.lossless else "JPEGXL"
        photometric = "XYB" if found.details["xyb"] else "RGB"
    notes = stored.notes
    if not (stored.recompressed or stored.lossless or found.details["xyb"]):
        notes += ("taken as lossy: its header does not show that nothing was lost",)
    return CodedPicture(
        "JPEG XL",
        syntax,
        "",
        stored.stream,
        rows,
        columns,
        samples,
        bits,
        False,
        "MONOCHROME2" if samples == 1 else photometric,
        not stored.lossless,
        None,
        None,
        notes,
    )
