"""RLE Lossless (PS3.5 Annex G), coded and decoded by dicomloom's own C core."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomloom._native.codecs import RLEEncoder as _Coder
from dicomloom._native.codecs import rle_decode
from dicomloom.codecs.base import Codec, Decoder, RowEncoder
from dicomloom.codecs.layout import SUBSAMPLED
from dicomloom.codecs.native import check_size, no_options
from dicomloom.errors import UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from dicomloom.codecs.layout import Layout

_BITS = (8, 16, 32, 64)
_SEGMENTS = 15


class RLEEncoder(RowEncoder):
    """Codes frames whole, or in bands of rows; holds one coded frame and one raw row.

    Examples
    --------
    >>> from dicomloom.codecs.layout import Layout
    >>> from dicomloom.codecs.rle import RLELossless
    >>> encoder = RLELossless().encoder(Layout(2, 4))
    >>> encoder.begin()
    >>> encoder.rows(bytes(4))
    >>> encoder.rows(bytes([1, 2, 3, 4]))
    >>> b"".join(encoder.end())[64:]
    b'\\xfd\\x00\\x03\\x01\\x02\\x03\\x04\\x00'
    """

    def __init__(self, layout: Layout) -> None:
        self.source = layout.replace(planar=0)
        # PS3.5 G.2: planes of bytes, so what holds them says color by plane.
        self.layout = layout.replace(planar=1 if layout.samples > 1 else 0)
        self._coder = _Coder(
            layout.rows, layout.columns, layout.samples, layout.bits_allocated // 8
        )

    def encode(self, frame: Buffer) -> Sequence[Buffer]:
        """Code one frame: the header, then one piece a segment."""
        check_size(memoryview(frame), self.source)
        return self._coder.encode(frame)

    def bound(self) -> int:
        """Return how many bytes a coded frame has at most: what has no runs grows by 1 in 128."""
        return self._coder.bound()

    def begin(self) -> None:
        """Begin a frame whose rows come in bands; drops one that was not ended."""
        self._coder.begin()

    def rows(self, data: Buffer) -> None:
        """Code the next rows of the frame, any number of whole ones."""
        self._coder.rows(data)

    def end(self) -> Sequence[Buffer]:
        """Return what `encode` does, once all rows were given."""
        return self._coder.end()


class RLEDecoder(Decoder):
    """Decodes frames to color by pixel; has no state."""

    expansion = 64  # two bytes make 128 alike (PS3.5 G.3.1)

    def __init__(self, layout: Layout) -> None:
        # Each plane has a segment of its own, which is as large as the others.
        photometric = "YBR_FULL" if layout.photometric in SUBSAMPLED else layout.photometric
        self.layout = layout.replace(planar=0, photometric=photometric)
        self._shape = (layout.rows, layout.columns, layout.samples, layout.bits_allocated // 8)
        if layout.bits_allocated == 1:  # eight pixels to a byte; where a row ends does not matter
            self._shape = (1, self.layout.frame_bytes, 1, 1)

    def decode(self, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Decode one frame."""
        return rle_decode(data, *self._shape, into)


class RLELossless(Codec):
    """RLE Lossless, without options."""

    keyword = "RLELossless"
    uid = "1.2.840.10008.1.2.5"
    lossless = True
    bits = "8, 16, 32, 64"
    keeps_unused_bits = True

    def reads(self) -> list[str]:
        """Return that dicomloom itself reads it."""
        return ["dicomloom"]

    def writes(self) -> list[str]:
        """Return that dicomloom itself writes it."""
        return ["dicomloom"]

    def encoder(self, layout: Layout, **options: object) -> RLEEncoder:
        """Return an encoder for frames of a layout, for one thread."""
        no_options(self, options)
        if layout.bits_allocated not in _BITS:
            raise UnsupportedError(
                f"RLE Lossless codes samples of {self.bits} bits, these have "
                f"{layout.bits_allocated}; try Explicit VR Little Endian"
            )
        if layout.photometric in SUBSAMPLED:
            raise UnsupportedError(
                f"RLE Lossless codes full planes, {layout.photometric} has halved ones "
                "(PS3.5 8.2.2); convert it to YBR_FULL or RGB first"
            )
        self._check(layout)
        return RLEEncoder(layout)

    def decoder(self, layout: Layout) -> RLEDecoder:
        """Return a decoder for frames of which the data set says `layout`."""
        single = layout.bits_allocated == 1 and layout.samples == 1
        if layout.bits_allocated not in _BITS and not single:
            raise UnsupportedError(
                f"RLE Lossless holds samples of {self.bits} bits, or single bits of one sample; "
                f"the data set says {layout.samples} of {layout.bits_allocated}"
            )
        if not single:
            self._check(layout)
        return RLEDecoder(layout)

    def _check(self, layout: Layout) -> None:
        if layout.floating:
            raise UnsupportedError(
                "RLE Lossless is for Pixel Data, not for Float or Double Float Pixel Data "
                "(PS3.5 A.4.2); try Deflated Explicit VR Little Endian"
            )
        segments = layout.samples * layout.bits_allocated // 8
        if not 1 <= segments <= _SEGMENTS:
            raise UnsupportedError(
                f"RLE Lossless has at most {_SEGMENTS} segments, one for each byte of a pixel "
                f"(PS3.5 G.5); {layout.samples} samples of {layout.bits_allocated} bits need "
                f"{segments}; try JPEG 2000 or Explicit VR Little Endian"
            )
