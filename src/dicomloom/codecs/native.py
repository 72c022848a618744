"""Frames that are not compressed: native pixel data, and the encapsulated kind of it.

Neither numpy nor any library is needed but to swap bytes or to interleave planes. Copying a frame
holds the GIL (a memcpy); it is never the slow part.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicomloom.codecs.base import Codec, Decoder, Encoder
from dicomloom.codecs.layout import SUBSAMPLED
from dicomloom.errors import CorruptError, PixelError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from dicomloom.codecs.layout import Layout

_BITS = "1, 8, 16, 32, 64"


class NativeEncoder(Encoder):
    """Hands frames on as they are."""

    def __init__(self, layout: Layout) -> None:
        self.source = layout.replace(planar=0)
        self.layout = self.source

    def encode(self, frame: Buffer) -> Sequence[Buffer]:
        """Return the frame itself."""
        view = memoryview(frame).cast("B")
        check_size(view, self.source)
        return [view]

    def bound(self) -> int:
        """Return the size of a frame."""
        return self.source.frame_bytes


class NativeDecoder(Decoder):
    """Gives frames as they are, color by pixel and little endian."""

    expansion = 2  # Cb and Cr may get their full width

    def __init__(self, layout: Layout, *, padded: bool = False, big: bool = False) -> None:
        self._stored = layout
        self._padded = padded
        self._swap = layout.bits_allocated // 8 if big and layout.bits_allocated > 8 else 1
        self.layout = layout.replace(planar=0)
        if layout.photometric in SUBSAMPLED:
            self.layout = self.layout.replace(photometric="YBR_FULL")

    def decode(self, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Return the frame, copied only where `into` asks for it or bytes have to move."""
        view = memoryview(data).cast("B")
        size = self._stored.frame_bytes
        if view.nbytes != size and not (self._padded and view.nbytes == size + size % 2):
            raise CorruptError(wrong_size(view.nbytes, self._stored))
        result: Buffer = view[:size]
        if self._stored.photometric in SUBSAMPLED:
            result = _at_full_width(result)
        if self._swap > 1 or (self._stored.planar and self._stored.samples > 1):
            result = _moved(result, self._stored, self._swap)
        return deliver(result, self.layout, into)


def check_size(view: memoryview, layout: Layout) -> None:
    """Raise PixelError where a frame to be coded has not the size that its layout says."""
    if view.nbytes != layout.frame_bytes:
        raise PixelError(wrong_size(view.nbytes, layout))


def check_layout(layout: Layout) -> None:
    """Raise UnsupportedError for native frames that cannot be put color by pixel."""
    halved = layout.photometric in SUBSAMPLED
    if halved and (layout.bits_allocated != 8 or layout.columns % 2 or layout.samples != 3):
        raise UnsupportedError(
            f"{layout.photometric} of BitsAllocated {layout.bits_allocated}, {layout.columns} "
            f"columns and {layout.samples} samples: expected 8, an even number, and 3 "
            "(PS3.3 C.7.6.3.1.2)"
        )
    if layout.planar and layout.samples > 1 and (halved or layout.bits_allocated % 8):
        raise UnsupportedError(
            f"PlanarConfiguration 1 with {layout.photometric} of BitsAllocated "
            f"{layout.bits_allocated}: expected whole bytes and equal planes"
        )


def wrong_size(found: int, layout: Layout) -> str:
    """Return what to say of a frame of another size than its layout says."""
    return (
        f"expected a frame of {layout.frame_bytes} bytes ({layout.rows} rows, {layout.columns} "
        f"columns, {layout.samples} samples of {layout.bits_allocated} bits), found {found}"
    )


def deliver(frame: Buffer, layout: Layout, into: Buffer | None) -> Buffer:
    """Return a decoded frame, copied to `into` where that is given."""
    if into is None:
        return frame
    check_room(into, layout)
    memoryview(into).cast("B")[:] = memoryview(frame).cast("B")
    return into


def check_room(into: Buffer, layout: Layout) -> None:
    """Raise ValueError where a buffer to decode into has not the size of a frame."""
    size = memoryview(into).nbytes
    if size != layout.frame_bytes:
        raise ValueError(f"expected a buffer of {layout.frame_bytes} bytes, found {size}")


def _moved(frame: Buffer, layout: Layout, swap: int) -> Buffer:
    import numpy as np

    width = max(layout.bits_allocated // 8, 1)
    planes = layout.samples if layout.planar else 1
    samples = np.frombuffer(memoryview(frame), np.uint8).reshape(planes, -1, width)
    if swap > 1:
        samples = samples[:, :, ::-1]
    samples = samples.transpose(1, 0, 2)
    return np.ascontiguousarray(samples).reshape(-1).data


def _at_full_width(frame: Buffer) -> Buffer:
    """Give both pixels of a pair the Cb and Cr that they share (PS3.3 C.7.6.3.1.2)."""
    import numpy as np

    pairs = np.frombuffer(memoryview(frame), np.uint8).reshape(-1, 4)
    return np.ascontiguousarray(pairs[:, (0, 2, 3, 1, 2, 3)]).reshape(-1).data


class _Native(Codec):
    """What all of them share."""

    lossless = True
    bits = _BITS
    keeps_unused_bits = True
    padded = False
    big = False

    def reads(self) -> list[str]:
        """Return that dicomloom itself reads it."""
        return ["dicomloom"]

    def writes(self) -> list[str]:
        """Return that dicomloom itself writes it."""
        return [] if self.big else ["dicomloom"]

    def encoder(self, layout: Layout, **options: object) -> Encoder:
        """Return an encoder that hands frames on."""
        no_options(self, options)
        return NativeEncoder(layout)

    def decoder(self, layout: Layout) -> Decoder:
        """Return a decoder for such frames."""
        check_layout(layout)
        return NativeDecoder(layout, padded=self.padded, big=self.big)


def no_options(codec: Codec, options: dict[str, object]) -> None:
    """Raise TypeError for options that a codec does not take."""
    unknown = [name for name in options if name not in codec.options]
    if unknown:
        takes = ", ".join(codec.options) or "none"
        raise TypeError(f"{codec.keyword} has no option {', '.join(unknown)}; it takes {takes}")


class ImplicitVRLittleEndian(_Native):
    """Native frames, PS3.5 A.1."""

    keyword = "ImplicitVRLittleEndian"
    uid = "1.2.840.10008.1.2"


class ExplicitVRLittleEndian(_Native):
    """Native frames, PS3.5 A.2."""

    keyword = "ExplicitVRLittleEndian"
    uid = "1.2.840.10008.1.2.1"


class DeflatedExplicitVRLittleEndian(_Native):
    """Native frames in a data set that is deflated as a whole, PS3.5 A.5."""

    keyword = "DeflatedExplicitVRLittleEndian"
    uid = "1.2.840.10008.1.2.1.99"


class EncapsulatedUncompressedExplicitVRLittleEndian(_Native):
    """Native frames, each in a fragment, perhaps padded, PS3.5 A.4.11."""

    keyword = "EncapsulatedUncompressedExplicitVRLittleEndian"
    uid = "1.2.840.10008.1.2.1.98"
    padded = True


class ExplicitVRBigEndian(_Native):
    """Native frames with their bytes swapped, PS3.5 2016b A.3 (retired); read only.

    A frame of BitsAllocated 8 is taken as bytes in order (OB). Where its VR is OW the bytes of each
    16-bit word are swapped, and frames may begin within one: the reader has to swap those itself.
    """

    keyword = "ExplicitVRBigEndian"
    uid = "1.2.840.10008.1.2.2"
    big = True

    def encoder(self, layout: Layout, **options: object) -> Encoder:
        """Raise UnsupportedError: this syntax is retired and is not written."""
        raise UnsupportedError(
            "ExplicitVRBigEndian is retired (PS3.5 2016b A.3) and is only read: write "
            "ExplicitVRLittleEndian"
        )
