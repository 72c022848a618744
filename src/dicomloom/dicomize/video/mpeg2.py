"""Headers of MPEG-2 video (ISO/IEC 13818-2 6.2)."""

from __future__ import annotations

import dataclasses
from fractions import Fraction

from dicomloom.dicomize.video.bits import Bits
from dicomloom.dicomize.video.stream import Pictures
from dicomloom.errors import CorruptError, UnsupportedError

PICTURE, USER_DATA, SEQUENCE, EXTENSION = 0x00, 0xB2, 0xB3, 0xB5

# ISO/IEC 13818-2 tables 6-4 and 6-3.
_FRAME_RATES = {
    1: Fraction(24000, 1001),
    2: Fraction(24),
    3: Fraction(25),
    4: Fraction(30000, 1001),
    5: Fraction(30),
    6: Fraction(50),
    7: Fraction(60000, 1001),
    8: Fraction(60),
}
_DISPLAY_ASPECTS = {2: Fraction(4, 3), 3: Fraction(16, 9), 4: Fraction(221, 100)}
# Tables 8-2, 8-3 and 8-4.
_PROFILES = {5: "Simple", 4: "Main", 3: "SNR Scalable", 2: "Spatially Scalable", 1: "High"}
_LEVELS = {10: "Low", 8: "Main", 6: "High 1440", 4: "High"}
_ESCAPED = {0x82: ("4:2:2", "High"), 0x85: ("4:2:2", "Main")}
_CHROMA = {1: "4:2:0", 2: "4:2:2", 3: "4:4:4"}


class Mpeg2:
    """Reads the headers of MPEG-2 video as they come, and counts frames."""

    codec = "MPEG2"
    # Of the start codes, those whose headers are read; slices, the most by far, are passed over.
    pattern = rb"\x00\x00\x01[\x00\xb2\xb3\xb5]"
    needed = 160  # bytes: a sequence header with both matrices, and its extension

    def __init__(self) -> None:
        self.frames = 0
        self.pictures: Pictures | None = None
        self._sequence: Pictures | None = None
        self._aspect = 0
        self._field = 0  # the parity of a field whose partner is still to come

    def unit(self, data: bytes) -> None:
        """Take what follows a start code prefix."""
        kind = data[0]
        if kind == SEQUENCE:
            self._read_sequence(Bits(data[1:], "sequence header"))
        elif kind == EXTENSION and len(data) > 1:
            bits = Bits(data[1:], "MPEG-2 extension")
            extension = bits.read(4)
            if extension == 1:
                self._read_extension(bits)
            elif extension == 2:
                self._read_display(bits)
            elif extension == 8 and self.pictures:
                self._count(bits)

    def finish(self) -> Pictures:
        """Return what was found; UnsupportedError for MPEG-1."""
        if self.pictures:
            return self.pictures
        if self._sequence:
            raise UnsupportedError(
                "MPEG-1 video: DICOM has transfer syntaxes for MPEG-2, H.264 and HEVC; encode it "
                "anew, as H.264 High profile at level 4.1 for example"
            )
        raise CorruptError("no MPEG-2 sequence header was found")

    def _read_sequence(self, bits: Bits) -> None:
        columns, rows = bits.read(12), bits.read(12)
        self._aspect, rate = bits.read(4), bits.read(4)
        bit_rate = bits.read(18)
        marker = bits.flag()
        self._bit_rate = bit_rate
        if not rows or not columns or rate not in _FRAME_RATES or not marker:
            raise CorruptError(
                f"MPEG-2 sequence header: {columns} x {rows} pixels, frame_rate_code {rate}"
            )
        self._sequence = Pictures(self.codec, "", "", rows, columns, frame_rate=_FRAME_RATES[rate])

    def _read_extension(self, bits: Bits) -> None:
        if not self._sequence:
            return
        indication = bits.read(8)
        profile, level = _ESCAPED.get(
            indication,
            (
                _PROFILES.get(indication >> 4 & 7, f"{indication >> 4 & 7}"),
                _LEVELS.get(indication & 15, f"{indication & 15}"),
            ),
        )
        progressive = bits.flag()
        chroma = _CHROMA.get(bits.read(2))
        if chroma is None:
            raise CorruptError("MPEG-2 sequence extension: chroma_format 0 is reserved")
        columns = self._sequence.columns | bits.read(2) << 12
        rows = self._sequence.rows | bits.read(2) << 12
        bit_rate = (self._bit_rate | bits.read(12) << 18) * 400
        bits.skip(1 + 8 + 1)  # marker, vbv_buffer_size_extension, low_delay
        numerator, denominator = bits.read(2) + 1, bits.read(5) + 1
        assert self._sequence.frame_rate is not None
        display = _DISPLAY_ASPECTS.get(self._aspect)
        pixel = Fraction(1) if self._aspect == 1 else None
        found = dataclasses.replace(
            self._sequence,
            profile=profile,
            level=level,
            rows=rows,
            columns=columns,
            chroma=chroma,
            interlaced=not progressive,
            frame_rate=self._sequence.frame_rate * numerator / denominator,
            display_aspect=display,
            pixel_aspect=display * rows / columns if display else pixel,
            max_bit_rate=bit_rate if 0 < bit_rate < 0x3FFFFFFF * 400 else None,
            full_range=False,
        )
        if self.pictures:
            found = dataclasses.replace(
                found, matrix_coefficients=self.pictures.matrix_coefficients
            )
        self.pictures = same_size(self.pictures, found)

    def _read_display(self, bits: Bits) -> None:
        bits.skip(3)  # video_format
        if bits.flag() and self.pictures:
            bits.skip(16)  # color primaries, transfer characteristics
            matrix = bits.read(8)
            self.pictures = dataclasses.replace(
                self.pictures, matrix_coefficients=None if matrix == 2 else matrix
            )

    def _count(self, bits: Bits) -> None:
        bits.skip(16 + 2)  # f_code, intra_dc_precision
        structure = bits.read(2)
        if structure == 0:
            raise CorruptError("MPEG-2 picture coding extension: picture_structure 0 is reserved")
        if structure == 3:
            self.frames += 1
            self._field = 0
        elif self._field and self._field != structure:
            self._field = 0
        else:
            self.frames += 1
            self._field = structure


def same_size(before: Pictures | None, found: Pictures) -> Pictures:
    """Return what was found; UnsupportedError where frames were of another size before."""
    if before and (before.rows, before.columns) != (found.rows, found.columns):
        raise UnsupportedError(
            f"the frames change from {before.columns} x {before.rows} to {found.columns} x "
            f"{found.rows} pixels: a DICOM object has one size; cut the video where it changes"
        )
    return found
