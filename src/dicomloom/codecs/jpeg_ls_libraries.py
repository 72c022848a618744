"""JPEG-LS (ISO/IEC 14495-1) by CharLS.

imagecodecs codes 8 and 16 bits and decodes all, and releases the GIL: two threads ran 1.8 times as
fast as one. It writes a SPIFF header, which is taken out here (PS3.5 A.4.3: interchange format; the
data set says what SPIFF would), and always the precision of the container. Other depths are coded
by pyjpegls, which writes BitsStored but holds the GIL. pylibjpeg-libjpeg, which holds it too,
decodes where imagecodecs is absent or fails.

JPEG-LS knows no sign: signed values are written as the pattern of their BitsStored bits, and their
sign is put back on decoding. Near-lossless coding could then turn the least value into the
greatest: frames with signed values near the ends of the range are refused. Color is by pixel
(ILV 2), untransformed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom.codecs import jpeg
from dicomloom.codecs.backends import IMAGECODECS, LIBJPEG, PYJPEGLS, Backend
from dicomloom.codecs.library import LibraryCodec, LibraryEncoder
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, number
from dicomloom.errors import PixelError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.base import Encoder
    from dicomloom.codecs.bitstream import Description
    from dicomloom.codecs.layout import Layout

_APP8 = b"\xff\xe8"


class JPEGLSLossless(LibraryCodec):
    """JPEG-LS with NEAR 0."""

    keyword = "JPEGLSLossless"
    uid = "1.2.840.10008.1.2.4.80"
    bits = "2 to 16"
    readers = (IMAGECODECS, LIBJPEG)
    writers = (IMAGECODECS, PYJPEGLS)
    holds: ClassVar[Holds] = Holds(
        (8, 16), (2, 16), True, (*MONOCHROME, PALETTE, "RGB", "YBR_FULL")
    )

    def whole(self, data: memoryview) -> None:
        """Raise TruncatedError where the stream has no end."""
        jpeg.whole(data)

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        return LibraryEncoder(source, source, self._coder(source, 0), pattern=True)

    def _coder(self, source: Layout, near: int) -> Any:
        purpose = f"{self.keyword}: coding {source.bits_stored} bits"
        if source.bits_stored in (8, 16):
            encode = IMAGECODECS.load(purpose).jpegls_encode

            def code(array: Array) -> Buffer:
                return without_spiff(encode(array, level=near))

            return code
        PYJPEGLS.load(purpose)
        from _CharLS import _encode as encode_other

        def code_other(array: Array) -> Buffer:
            interleave = 2 if source.samples > 1 else 0
            shape = source.rows, source.columns, source.samples, source.bits_stored
            frame = array.tobytes()
            try:
                coded: bytearray = encode_other(frame, near, interleave, *shape)
            except RuntimeError:
                # Its output buffer is twice its input, too small for a few pixels, or the worst of
                # noise: it takes more input than it needs.
                more = bytes(2 * len(frame) + 1024)
                coded = encode_other(frame + more, near, interleave, *shape)
            return coded

        return code_other

    def decode_by(
        self, backend: Backend, data: memoryview, layout: Layout, found: Description
    ) -> tuple[Array, bool]:
        """Decode."""
        library = backend.load(f"{self.keyword}: decoding")
        decoded: Array
        if backend is LIBJPEG:
            decoded = library.decode(bytes(data), colour_transform=0)
        else:
            decoded = library.jpegls_decode(data)
        return decoded, False


class JPEGLSNearLossless(JPEGLSLossless):
    """JPEG-LS whose error is at most NEAR.

    Options: ``near`` 0 to 255 and at most half the range, by default 2. With 0 nothing is lost, as
    PS3.5 A.4.3 allows, and the frames are not called lossy.
    """

    keyword = "JPEGLSNearLossless"
    method = "ISO_14495_1"
    uid = "1.2.840.10008.1.2.4.81"
    lossless = False
    options: tuple[str, ...] = ("near",)
    holds: ClassVar[Holds] = Holds(
        (8, 16),
        (2, 16),
        True,
        (*MONOCHROME, "RGB", "YBR_FULL"),
        {PALETTE: "colors of a palette are not neighbors, use JPEGLSLossless"},
    )

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        # ISO/IEC 14495-1 C.2.4.1.1: NEAR is at most min(255, MAXVAL / 2).
        near = number(options, "near", 0, min(255, (1 << source.bits_stored) - 1 >> 1), 2)
        if not near:
            return super().make(source, options)
        code = self._coder(source, near)
        if source.signed:
            code = _away_from_ends(code, source.bits_stored, near)
        return LibraryEncoder(
            source,
            source,
            code,
            pattern=True,
            method=self.method,
            description=f"JPEG-LS with a maximum error of {near}",
        )


def _away_from_ends(code: Any, bits: int, near: int) -> Any:
    """Return `code` behind a check that no error of `near` can change a sign bit alone."""

    def checked(array: Array) -> Buffer:
        half = 1 << bits - 1
        if ((array >= half - near) & (array < half + near)).any():
            raise PixelError(
                f"signed values within {near} of {half - 1} or {-half}, the ends of BitsStored "
                f"{bits}, could change sign by an error of {near}: use JPEGLSLossless"
            )
        coded: Buffer = code(array)
        return coded

    return checked


def without_spiff(coded: bytes) -> bytes:
    """Return a JPEG-LS stream without the SPIFF header behind its start (14495-1 Annex F).

    Its end-of-directory entry says a length of 8, which counts the SOI behind it.
    """
    if coded[2:4] != _APP8 or coded[6:12] != b"SPIFF\0":
        return coded
    at = 2
    while coded[at : at + 2] == _APP8:
        at += 2 + int.from_bytes(coded[at + 2 : at + 4], "big")
    return coded[:2] + coded[at:]
