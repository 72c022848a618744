"""What JPEG Lossless and JPEG-LS share: codecs of dicomloom's own C core for up to 16 bits.

Neither knows a sign: signed values are written as the pattern of their BitsStored bits, and their
sign is put back on decoding. No color transform is done either way: what goes in as YBR_FULL comes
out as YBR_FULL. The precision written is BitsStored; what is read may have any other that fits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from dicomloom.codecs import bitstream
from dicomloom.codecs.base import Codec, Decoder, Encoder, RowEncoder
from dicomloom.codecs.native import check_size, no_options
from dicomloom.codecs.rules import MONOCHROME, PALETTE, Holds, check_readable, full_width
from dicomloom.errors import DicomloomError, TruncatedError, UnsupportedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from typing_extensions import Buffer

    from dicomloom._native.codecs import JPEGLosslessEncoder, JPEGLSEncoder
    from dicomloom._native.codecs import RasterDecoder as Context
    from dicomloom.codecs.layout import Layout
    from dicomloom.codecs.library import LibraryCodec

_MOST_SAMPLES = 4
_SMALL = 64 << 10  # bytes, of frames so small that tables and headers count
BACKENDS = ("dicomloom", "library")


class MakesDecoder(Protocol):
    """The class of a decoder's context."""

    def __call__(self) -> Context:
        """Return a context."""


def arguments(layout: Layout) -> tuple[int, int, int, int, int, bool]:
    """Return what contexts want to know of a layout."""
    return (
        layout.rows,
        layout.columns,
        layout.samples,
        layout.bits_allocated // 8,
        layout.bits_stored,
        layout.signed,
    )


class RasterEncoder(RowEncoder):
    """Codes frames whole, or in bands of rows; holds one coded frame and two raw rows."""

    def __init__(
        self,
        source: Layout,
        coder: JPEGLosslessEncoder | JPEGLSEncoder,
        *,
        method: str | None = None,
        description: str = "",
    ) -> None:
        self.source = self.layout = source
        self.lossy = method is not None
        self.method = method
        self.description = description
        self._coder = coder

    def encode(self, frame: Buffer) -> Sequence[Buffer]:
        """Code one frame."""
        check_size(memoryview(frame), self.source)
        return self._coder.encode(frame)

    def bound(self) -> int:
        """Return how many bytes a coded frame has at most.

        The C core counts with the longest code for each sample, which tables that are best for a
        frame, or that adapt to it, cannot have: noise, the worst there is, grows by some percent.
        """
        return min(self._coder.bound(), 2 * self.source.frame_bytes + _SMALL)

    def begin(self) -> None:
        """Begin a frame whose rows come in bands; drops one that was not ended."""
        self._coder.begin()

    def rows(self, data: Buffer) -> None:
        """Code the next rows of the frame, any number of whole ones."""
        self._coder.rows(data)

    def end(self) -> Sequence[Buffer]:
        """Return what `encode` does, once all rows were given."""
        return self._coder.end()


class RasterDecoder(Decoder):
    """Decodes frames; each thread that does so at the same time has a context of its own."""

    expansion: int

    def __init__(self, uid: str, layout: Layout, make: MakesDecoder, expansion: int) -> None:
        self.layout = full_width(layout)
        self.expansion = expansion
        self._uid = uid
        self._stored = layout
        self._arguments = arguments(layout)
        self._make = make
        self._idle: list[Context] = []

    def decode(self, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Decode one frame."""
        if into is None:
            self._check_room(memoryview(data).nbytes)
        try:
            context = self._idle.pop()
        except IndexError:
            context = self._make()
        try:
            return context.decode(data, *self._arguments, into)
        except DicomloomError:
            bitstream.check(data, self._uid, self._stored)  # says it in terms of the data set
            raise
        finally:
            self._idle.append(context)

    def _check_room(self, coded: int) -> None:
        """Raise TruncatedError before room is made for what the bytes cannot fill."""
        most, size = self.expansion * coded, self.layout.frame_bytes
        if most < size:
            raise TruncatedError(
                f"truncated: a frame of {coded} bytes gives at most {most} bytes of {size}"
            )


class RasterCodec(Codec):
    """A transfer syntax that dicomloom codes and decodes itself, or libraries where they are asked.

    Option ``backend``: ``"dicomloom"``, or ``"library"`` for what can be installed beside it.
    """

    bits = "2 to 16"
    options: tuple[str, ...] = ("backend",)
    holds: ClassVar[Holds] = Holds(
        (8, 16), (2, 16), True, (*MONOCHROME, PALETTE, "RGB", "YBR_FULL")
    )
    readable: ClassVar[tuple[int, ...]] = (8, 16)

    def reads(self) -> list[str]:
        """Return that dicomloom itself reads it, and the libraries that could."""
        return ["dicomloom", *self.library().reads()]

    def writes(self) -> list[str]:
        """Return that dicomloom itself writes it, and the libraries that could."""
        return ["dicomloom", *self.library().writes()]

    def writable(self) -> bool:
        """Return that it is, without a look at libraries."""
        return True

    def encoder(self, layout: Layout, **options: object) -> Encoder:
        """Return an encoder; see the class of the codec for its options."""
        no_options(self, options)
        if by_library(options.pop("backend", None)):
            return self.library().encoder(layout, **options)
        source = layout.replace(planar=0)
        self.holds.refuse(self.keyword, source)
        return self.make(source, {k: v for k, v in options.items() if v is not None})

    def decoder(self, layout: Layout, *, backend: object = None) -> Decoder:
        """Return a decoder for frames of which the data set says `layout`."""
        if by_library(backend):
            return self.library().decoder(layout)
        check_readable(self.keyword, self.readable, layout)
        if not 1 <= layout.samples <= _MOST_SAMPLES:
            raise UnsupportedError(
                f"{self.keyword} is read with SamplesPerPixel 1 to 4, found {layout.samples}"
            )
        return self.make_decoder(layout)

    # --- what a family fills in ---

    def library(self) -> LibraryCodec:
        """Return the same transfer syntax by libraries."""
        raise NotImplementedError

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder for a layout that fits, with options that were checked by name."""
        raise NotImplementedError

    def make_decoder(self, layout: Layout) -> Decoder:
        """Return a decoder for a layout that fits."""
        raise NotImplementedError


def by_library(backend: object) -> bool:
    """Return whether libraries are asked for.

    Raises
    ------
    ValueError
        `backend` is neither None nor one of `BACKENDS`.
    """
    if backend is not None and backend not in BACKENDS:
        raise ValueError(f"backend must be {' or '.join(BACKENDS)}, not {backend!r}")
    return backend == "library"
