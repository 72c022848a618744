"""JPEG XL (ISO/IEC 18181) by libjxl.

imagecodecs codes and decodes, and releases the GIL: two threads ran 1.75 (coding) and 1.6
(decoding) times as fast as one (libjxl's own threads are off). There is no second choice.

PS3.5 A.4.12 does not say whether a frame is the bare codestream or the file of 18181-2 that holds
one. As with JPEG 2000 the bare codestream is written, except where 18181 itself asks for the file:
for more than 12 bits (level 10 has to be signaled) and for recompressed JPEG (its reconstruction
data are a box). Both are read.

Samples have no sign: PS3.5 Table 8.2.15-1 has PixelRepresentation 0. Color coded with loss is XYB
within, and labelled so; color coded without is RGB. Decoding gives RGB.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom.codecs import bitstream, jpeg
from dicomloom.codecs.backends import IMAGECODECS, Backend
from dicomloom.codecs.library import LibraryCodec, LibraryEncoder
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, number

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import Buffer

    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.base import Encoder
    from dicomloom.codecs.bitstream import Description
    from dicomloom.codecs.layout import Layout

_REASONS = {
    "signed": "JPEG XL samples have no sign, use JPEGLSLossless or JPEG2000Lossless",
    "YBR_FULL": "convert to RGB first",
    PALETTE: "colors of a palette are not neighbors, use JPEGXLLossless",
}
_EFFORT = 4  # of 1 to 9: beyond, bytes shrink by some percent and the time grows manyfold


class JPEGXLLossless(LibraryCodec):
    """Modular coding without loss.

    Options: ``effort`` 1 to 9, by default 4.
    """

    keyword = "JPEGXLLossless"
    uid = "1.2.840.10008.1.2.4.110"
    options: tuple[str, ...] = ("effort",)
    bits = "8 to 16"
    readers = (IMAGECODECS,)
    writers = (IMAGECODECS,)
    holds: ClassVar[Holds] = Holds((8, 16), (8, 16), False, (*MONOCHROME, PALETTE, "RGB"), _REASONS)

    def decoded(self, layout: Layout) -> Layout:
        """Return the layout with RGB where there is color."""
        color = layout.samples == 3
        return layout.replace(planar=0, photometric="RGB" if color else layout.photometric)

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        effort = number(options, "effort", 1, 9, _EFFORT)
        code = self._coder(source, {"lossless": True, "effort": effort})
        return LibraryEncoder(source, source, code, pattern=True)

    def _coder(self, source: Layout, settings: dict[str, Any]) -> Any:
        encode = IMAGECODECS.load(f"{self.keyword}: coding").jpegxl_encode
        settings = {
            "bitspersample": source.bits_stored,
            "photometric": "RGB" if source.samples == 3 else "GRAY",
            "usecontainer": False,
            "numthreads": 1,
            **settings,
        }

        def code(array: Array) -> Buffer:
            coded: bytes = encode(array, **settings)
            return coded

        return code

    def decode_by(
        self, backend: Backend, data: memoryview, layout: Layout, found: Description
    ) -> tuple[Array, bool]:
        """Decode."""
        library = backend.load(f"{self.keyword}: decoding")
        decoded: Array = library.jpegxl_decode(data, numthreads=1)
        return decoded, False


class JPEGXL(JPEGXLLossless):
    """With loss or without.

    Options: ``distance``, 0 to 25 in units of a just noticeable difference, 1 being the usual; or
    ``quality`` 1 to 100, from which libjxl's formula makes a distance; ``effort`` 1 to 9. Without
    distance and quality, or with distance 0, nothing is lost, and the frames are not called lossy.
    """

    keyword = "JPEGXL"
    method = "ISO_18181_1"
    uid = "1.2.840.10008.1.2.4.112"
    lossless = False
    options = ("quality", "distance", "effort")
    holds: ClassVar[Holds] = Holds((8, 16), (8, 16), False, (*MONOCHROME, "RGB"), _REASONS)

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        distance = number(options, "distance", 0.0, 25.0, None)
        quality = number(options, "quality", 1.0, 100.0, None)
        if distance is not None and quality is not None:
            raise ValueError(f"{self.keyword} takes quality or distance, not both")
        if quality is not None:
            distance = distance_of(quality)
        if not distance:
            return super().make(source, options)
        effort = number(options, "effort", 1, 9, _EFFORT)
        settings = {"lossless": False, "distance": distance, "effort": effort}
        color = source.samples == 3
        return LibraryEncoder(
            source,
            source.replace(photometric="XYB") if color else source,
            self._coder(source, settings),
            pattern=True,
            method=self.method,
            description=f"JPEG XL at distance {distance:g}",
        )


def distance_of(quality: float) -> float:
    """Return the distance that libjxl's JxlEncoderDistanceFromQuality gives."""
    if quality >= 100:
        return 0.0
    if quality >= 30:
        return 0.1 + (100 - quality) * 0.09
    return 53 / 3000 * quality * quality - 23 / 20 * quality + 25


class JPEGXLJPEGRecompression(JPEGXLLossless):
    """JPEG baseline streams, coded anew without loss: the stream comes back byte for byte.

    Raw frames are coded as JPEG baseline first, with its loss; `recompress` takes streams that are
    coded already. PS3.5 Table 8.2.15-1 holds MONOCHROME2, YBR_FULL_422 and RGB of 8 bits.

    Options: ``quality`` 1 to 100 of the JPEG, by default 90.
    """

    keyword = "JPEGXLJPEGRecompression"
    method = "ISO_10918_1"  # of the JPEG stream: recompression loses nothing
    uid = "1.2.840.10008.1.2.4.111"
    lossless = False
    options = ("quality",)
    bits = "8"
    holds: ClassVar[Holds] = Holds(
        (8,), (8, 8), False, ("MONOCHROME2", "RGB", "YBR_FULL"), {**_REASONS, "YBR_FULL": ""}
    )

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        inner = jpeg.JPEGBaseline8Bit().encoder(source, **options)
        assert isinstance(inner, LibraryEncoder)

        def code(array: Array) -> Buffer:
            return self.recompress(inner.encode(array.data)[0])

        words = f"{inner.description}, recompressed without further loss as JPEG XL"
        return LibraryEncoder(source, inner.layout, code, method=self.method, description=words)

    def recoder_from(self, source: str) -> Callable[[Buffer], Buffer] | None:
        """Return `recompress` for JPEG baseline."""
        return self.recompress if source == jpeg.JPEGBaseline8Bit.uid else None

    def recoder_to(self, target: str) -> Callable[[Buffer], Buffer] | None:
        """Return `restore` for JPEG baseline."""
        return self.restore if target == jpeg.JPEGBaseline8Bit.uid else None

    def recompress(self, stream: Buffer) -> bytes:
        """Code a JPEG baseline stream anew.

        Raises
        ------
        UnsupportedError
            libjxl takes 8 bits, and not every kind of JPEG.
        """
        from dicomloom.errors import UnsupportedError

        encode = IMAGECODECS.load(f"{self.keyword}: coding").jpegxl_encode_jpeg
        try:
            coded: bytes = encode(bytes(memoryview(stream)), usecontainer=True, numthreads=1)
        except (RuntimeError, ValueError) as error:
            raise UnsupportedError(f"libjxl does not recompress this JPEG: {error}") from error
        return coded

    def restore(self, data: Buffer) -> bytes:
        """Return the JPEG stream that was recompressed.

        Raises
        ------
        CorruptError
            The frame holds none.
        """
        from dicomloom.errors import CorruptError

        decode = IMAGECODECS.load(f"{self.keyword}: decoding").jpegxl_decode_jpeg
        try:
            stream: bytes = decode(bytes(memoryview(data)), numthreads=1)
        except (RuntimeError, ValueError) as error:
            raise CorruptError(f"the frame holds no recompressed JPEG: {error}") from error
        return stream

    def decode_by(
        self, backend: Backend, data: memoryview, layout: Layout, found: Description
    ) -> tuple[Array, bool]:
        """Decode the JPEG that is within; libjxl's own decoding rounds otherwise."""
        from dicomloom.errors import CorruptError

        try:
            stream = memoryview(self.restore(data))
        except CorruptError:
            return super().decode_by(backend, data, layout, found)
        inner = jpeg.JPEGBaseline8Bit
        said = bitstream.check(stream, inner.uid, layout)
        assert said is not None
        return jpeg.decode(backend, stream, layout, said, self.keyword), False
