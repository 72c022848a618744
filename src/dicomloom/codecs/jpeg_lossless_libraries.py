"""JPEG Lossless (ISO/IEC 10918-1 process 14): predictor, precision and color by pixel as given.

imagecodecs (libjpeg-turbo 3) codes and decodes, and releases the GIL: two threads ran 1.8 (coding)
and 1.5 (decoding) times as fast as one. Its other coder, liblj92, always writes selection value 6
and only gray. pylibjpeg-libjpeg, which holds the GIL, decodes where imagecodecs is absent or fails.

The precision written is BitsStored. JPEG knows no sign: signed values are written as the pattern
of their BitsStored bits, and their sign is put back on decoding. No color transform is done either
way: what goes in as YBR_FULL comes out as YBR_FULL. Three samples that are said to be YCbCr
libjpeg-turbo 3.1.3 codes so that no decoder can read them: they are coded as if RGB, and the stream
is then stripped of what says so. Libraries fill up a stream that was cut off: one without an end
(EOI) is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom.codecs import jpeg
from dicomloom.codecs.backends import IMAGECODECS, LIBJPEG, Backend
from dicomloom.codecs.library import LibraryCodec, LibraryEncoder
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, number

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.base import Encoder
    from dicomloom.codecs.bitstream import Description
    from dicomloom.codecs.layout import Layout

_SOF3, _SOS, _ADOBE = 0xC3, 0xDA, 0xEE
_NAMING = {_SOF3: (10, 3), _SOS: (5, 2)}  # where components are named, and how far apart


class JPEGLossless(LibraryCodec):
    """Process 14 with any selection value.

    Options: ``predictor`` 1 to 7, by default 1.
    """

    keyword = "JPEGLossless"
    uid = "1.2.840.10008.1.2.4.57"
    options: tuple[str, ...] = ("predictor",)
    bits = "2 to 16"
    readers = (IMAGECODECS, LIBJPEG)
    writers = (IMAGECODECS,)
    holds: ClassVar[Holds] = Holds(
        (8, 16), (2, 16), True, (*MONOCHROME, PALETTE, "RGB", "YBR_FULL")
    )

    def whole(self, data: memoryview) -> None:
        """Raise TruncatedError where the stream has no end."""
        jpeg.whole(data)

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        encode = IMAGECODECS.load(f"{self.keyword}: coding").jpeg8_encode
        settings: dict[str, Any] = {
            "lossless": True,
            "predictor": number(options, "predictor", 1, 7, 1),
            "bitspersample": source.bits_stored,
        }
        neutral = source.samples == 3 and source.photometric != "RGB"
        if source.samples == 3:
            settings |= {"colorspace": "RGB", "outcolorspace": "RGB"}

        def code(array: Array) -> Buffer:
            coded: bytes = encode(array, **settings)
            return _without_color(coded) if neutral else coded

        return LibraryEncoder(source, source, code, pattern=True)

    def decode_by(
        self, backend: Backend, data: memoryview, layout: Layout, found: Description
    ) -> tuple[Array, bool]:
        """Decode."""
        return jpeg.decode(backend, data, layout, found, self.keyword), False


def _without_color(coded: bytes) -> bytes:
    """Return an RGB stream of libjpeg-turbo with nothing in it that says so.

    Adobe's marker goes, and the components R, G, B are called 1, 2, 3 (in SOF and SOS).
    """
    stream = bytearray(coded[:2])
    at = 2
    while True:
        marker, size = coded[at + 1], 2 + int.from_bytes(coded[at + 2 : at + 4], "big")
        segment = bytearray(coded[at : at + size])
        if marker in _NAMING:
            first, step = _NAMING[marker]
            for number_, place in enumerate(range(first, first + 3 * step, step), 1):
                segment[place] = number_
        if marker != _ADOBE:
            stream += segment
        at += size
        if marker == _SOS:
            return bytes(stream + coded[at:])


class JPEGLosslessSV1(JPEGLossless):
    """Process 14 with selection value 1, the default for lossless JPEG (PS3.5 10.2)."""

    keyword = "JPEGLosslessSV1"
    uid = "1.2.840.10008.1.2.4.70"
    options = ()
