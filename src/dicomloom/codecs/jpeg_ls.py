"""JPEG-LS (ISO/IEC 14495-1), coded and decoded by dicomloom's own C core.

Color is written sample by sample (ILV 2) and without SPIFF header (PS3.5 A.4.3: interchange format;
the data set says what SPIFF would). All interleave modes, presets, mapping tables and restart
intervals are read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom._native.codecs import JPEGLSDecoder, JPEGLSEncoder
from dicomloom.codecs.raster import RasterCodec, RasterDecoder, RasterEncoder, arguments
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, number

if TYPE_CHECKING:
    from dicomloom.codecs.base import Decoder, Encoder
    from dicomloom.codecs.layout import Layout
    from dicomloom.codecs.library import LibraryCodec

_RUN = 1 << 15  # pixels that a bit can stand for (14495-1 A.7.1, J)


class JPEGLSLossless(RasterCodec):
    """JPEG-LS with NEAR 0.

    Options: ``backend``.
    """

    keyword = "JPEGLSLossless"
    uid = "1.2.840.10008.1.2.4.80"

    def library(self) -> LibraryCodec:
        """Return the same transfer syntax by libraries."""
        from dicomloom.codecs import jpeg_ls_libraries as libraries

        made: LibraryCodec = getattr(libraries, self.keyword)()
        return made

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        return RasterEncoder(source, JPEGLSEncoder(*arguments(source)))

    def make_decoder(self, layout: Layout) -> Decoder:
        """Return a decoder."""
        expansion = 8 * _RUN * layout.samples * layout.bits_allocated // 8
        return RasterDecoder(self.uid, layout, JPEGLSDecoder, expansion)


class JPEGLSNearLossless(JPEGLSLossless):
    """JPEG-LS whose error is at most NEAR.

    Options: ``near`` 0 to 255 and at most half the range, by default 2; ``backend``. With 0 nothing
    is lost, as PS3.5 A.4.3 allows, and the frames are not called lossy. An error could turn the
    least of signed values into the greatest: frames with values that near the ends are refused.
    """

    keyword = "JPEGLSNearLossless"
    method = "ISO_14495_1"
    uid = "1.2.840.10008.1.2.4.81"
    lossless = False
    options: tuple[str, ...] = ("near", "backend")
    holds: ClassVar[Holds] = Holds(
        (8, 16),
        (2, 16),
        True,
        (*MONOCHROME, "RGB", "YBR_FULL"),
        {PALETTE: "colors of a palette are not neighbors, use JPEGLSLossless"},
    )

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        # ISO/IEC 14495-1 C.2.3: NEAR is at most min(255, MAXVAL / 2).
        near = number(options, "near", 0, min(255, (1 << source.bits_stored) - 1 >> 1), 2)
        if not near:
            return super().make(source, options)
        return RasterEncoder(
            source,
            JPEGLSEncoder(*arguments(source), near=near),
            method=self.method,
            description=f"JPEG-LS with a maximum error of {near}",
        )
