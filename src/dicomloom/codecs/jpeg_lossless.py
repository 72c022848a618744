"""JPEG Lossless (ISO/IEC 10918-1 process 14), coded and decoded by dicomloom's own C core.

What is written has one interleaved scan and the Huffman tables that are best for the frame, so each
frame is looked at twice. What is read may have been written in any way that process 14 allows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dicomloom._native.codecs import JPEGLosslessDecoder, JPEGLosslessEncoder
from dicomloom.codecs.raster import RasterCodec, RasterDecoder, RasterEncoder, arguments
from dicomloom.codecs.rules import number

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.base import Decoder, Encoder
    from dicomloom.codecs.layout import Layout
    from dicomloom.codecs.library import LibraryCodec


class TwoPassEncoder(RasterEncoder):
    """Counts all rows of a frame before it codes them.

    Examples
    --------
    >>> from dicomloom.codecs.jpeg_lossless import JPEGLosslessSV1
    >>> from dicomloom.codecs.layout import Layout
    >>> encoder = JPEGLosslessSV1().encoder(Layout(2, 4))
    >>> band = bytes([10, 20, 30, 40])
    >>> encoder.begin()
    >>> for step in encoder.count, encoder.rows:
    ...     step(band)
    ...     step(band)
    >>> b"".join(encoder.end()) == b"".join(encoder.encode(2 * band))
    True
    """

    passes = 2
    _coder: JPEGLosslessEncoder

    def count(self, data: Buffer) -> None:
        """Count the differences of the next rows, any number of whole ones: the first pass."""
        self._coder.count(data)


class JPEGLossless(RasterCodec):
    """Process 14 with any selection value.

    Options: ``predictor`` 1 to 7, by default 1; ``backend``.
    """

    keyword = "JPEGLossless"
    uid = "1.2.840.10008.1.2.4.57"
    options: tuple[str, ...] = ("predictor", "backend")

    def library(self) -> LibraryCodec:
        """Return the same transfer syntax by libraries."""
        from dicomloom.codecs import jpeg_lossless_libraries as libraries

        made: LibraryCodec = getattr(libraries, self.keyword)()
        return made

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder."""
        predictor = number(options, "predictor", 1, 7, 1)
        return TwoPassEncoder(source, JPEGLosslessEncoder(*arguments(source), predictor=predictor))

    def make_decoder(self, layout: Layout) -> Decoder:
        """Return a decoder."""
        # A sample has one bit at least (H.1.2.2).
        expansion = layout.bits_allocated
        return RasterDecoder(self.uid, layout, JPEGLosslessDecoder, expansion)


class JPEGLosslessSV1(JPEGLossless):
    """Process 14 with selection value 1, the default for lossless JPEG (PS3.5 10.2)."""

    keyword = "JPEGLosslessSV1"
    uid = "1.2.840.10008.1.2.4.70"
    options = ("backend",)
