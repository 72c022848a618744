"""JPEG by DCT (ISO/IEC 10918-1): baseline, extended, and the retired progressive processes.

imagecodecs (libjpeg-turbo 3) codes and decodes, and releases the GIL: two threads ran 1.8 (coding)
and 1.5 (decoding) times as fast as one. pylibjpeg-libjpeg, which holds it, decodes where
imagecodecs is absent or fails.

Color. RGB is coded as YCbCr with Cb and Cr at half the width (YBR_FULL_422) or in full (YBR_FULL,
``subsampling="444"``); YBR_FULL is coded as it is. Decoding gives RGB wherever there are three
samples. Whether the stream is YCbCr is told by the names of its components, a JFIF or an Adobe
marker, and where all are silent by PhotometricInterpretation. So does pydicom 3, Adobe's apart.

Libraries fill up a stream that was cut off and say nothing: one without an end (EOI) is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom.codecs.backends import IMAGECODECS, LIBJPEG, Backend
from dicomloom.codecs.headers import jpeg as header
from dicomloom.codecs.library import LibraryCodec, LibraryEncoder
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, number
from dicomloom.errors import TruncatedError, UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.base import Encoder
    from dicomloom.codecs.bitstream import Description
    from dicomloom.codecs.layout import Layout

_SAMPLINGS = {"422": "YBR_FULL_422", "444": "YBR_FULL"}
_REASONS = {
    PALETTE: "colors of a palette are not neighbors, use a lossless syntax",
    "YBR_FULL_422": "give RGB, or YBR_FULL without subsampling",
}


class _Jpeg(LibraryCodec):
    """What all DCT processes share."""

    lossless = False
    method = "ISO_10918_1"
    options: tuple[str, ...] = ("quality", "subsampling")
    readers = (IMAGECODECS, LIBJPEG)
    writers: ClassVar[tuple[Backend, ...]] = (IMAGECODECS,)

    def decoded(self, layout: Layout) -> Layout:
        """Return the layout with RGB where there is color."""
        return layout.replace(planar=0, photometric=_rgb(layout))

    def whole(self, data: memoryview) -> None:
        """Raise TruncatedError where the stream has no end."""
        whole(data)

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        quality = number(options, "quality", 1, 100, 90)
        sampling = str(options.get("subsampling", "422")).replace(":", "")
        if sampling not in _SAMPLINGS:
            raise ValueError(f"subsampling must be 422 or 444, not {options['subsampling']!r}")
        color = source.samples == 3
        layout = source.replace(photometric=_SAMPLINGS[sampling]) if color else source
        encode = IMAGECODECS.load(f"{self.keyword}: coding").jpeg8_encode
        settings = {"level": quality, "bitspersample": source.bits_stored}
        if color:
            settings["subsampling"] = sampling
            settings["colorspace"] = "RGB" if source.photometric == "RGB" else "YCBCR"
            settings["outcolorspace"] = "YCBCR"

        def code(array: Array) -> Buffer:
            coded: bytes = encode(array, **settings)
            return coded

        words = f"JPEG quality {quality}" + (f", {layout.photometric}" if color else "")
        return LibraryEncoder(
            source, layout, code, pattern=True, method=self.method, description=words
        )

    def decode_by(
        self, backend: Backend, data: memoryview, layout: Layout, found: Description
    ) -> tuple[Array, bool]:
        """Decode, color to RGB."""
        return decode(backend, data, layout, found, self.keyword), False


def _rgb(layout: Layout) -> str:
    return "RGB" if layout.samples == 3 else layout.photometric


def whole(data: memoryview) -> None:
    """Raise TruncatedError where a JPEG stream has no end."""
    if not header.ends(data):
        raise TruncatedError(
            f"expected a JPEG stream with its end (FF D9), found none in {data.nbytes} bytes: the "
            "frame is cut off"
        )


def decode(
    backend: Backend, data: memoryview, layout: Layout, found: Description, keyword: str
) -> Array:
    """Decode any stream of ISO/IEC 10918-1; YCbCr becomes RGB where a DCT process coded it."""
    library = backend.load(f"{keyword}: decoding")
    color = found.samples == 3
    dct = found.details["process"] not in ("SOF3", "SOF7", "SOF11", "SOF15")
    convert = (
        color and dct and not header.colors_are_rgb(found.details, layout.photometric == "RGB")
    )
    decoded: Array
    if backend is LIBJPEG:
        decoded = library.decode(bytes(data), colour_transform=int(convert))
        return decoded
    # Told equal color spaces the library converts nothing, whatever markers say.
    spaces = {"colorspace": "YCBCR", "outcolorspace": "RGB" if convert else "YCBCR"}
    decoded = library.jpeg8_decode(data, **(spaces if color else {}))
    return decoded


class JPEGBaseline8Bit(_Jpeg):
    """Process 1.

    Options: ``quality`` 1 to 100, by default 90; ``subsampling`` 422 (default) or 444.
    """

    keyword = "JPEGBaseline8Bit"
    uid = "1.2.840.10008.1.2.4.50"
    bits = "8"
    holds: ClassVar[Holds] = Holds((8,), (8, 8), False, (*MONOCHROME, "RGB", "YBR_FULL"), _REASONS)


class JPEGExtended12Bit(_Jpeg):
    """Processes 2 (8 bits) and 4 (12 bits).

    Options: ``quality`` 1 to 100, by default 90; ``subsampling`` 422 (default) or 444.
    """

    keyword = "JPEGExtended12Bit"
    uid = "1.2.840.10008.1.2.4.51"
    bits = "8, 12"
    holds: ClassVar[Holds] = Holds(
        (8, 16), (8, 12), False, (*MONOCHROME, "RGB", "YBR_FULL"), _REASONS
    )

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder; between 8 and 12 bits there is no JPEG by DCT."""
        if source.bits_stored not in (8, 12):
            raise UnsupportedError(
                f"{self.keyword} holds BitsStored 8 or 12, found {source.bits_stored}"
            )
        return super().make(source, options)


class _Progressive(_Jpeg):
    options = ()
    writers = ()
    bits = "8, 12"
    holds: ClassVar[Holds] = JPEGExtended12Bit.holds


class JPEGSpectralSelectionNonHierarchical68(_Progressive):
    """Processes 6 and 8 (retired); read only."""

    keyword = "JPEGSpectralSelectionNonHierarchical68"
    uid = "1.2.840.10008.1.2.4.53"


class JPEGFullProgressionNonHierarchical1012(_Progressive):
    """Processes 10 and 12 (retired); read only."""

    keyword = "JPEGFullProgressionNonHierarchical1012"
    uid = "1.2.840.10008.1.2.4.55"
