"""What the codecs share whose work a library does.

A family says which layouts it holds, which libraries decode it and how, and how an array is coded;
sizes, options, missing libraries and errors are seen to here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from dicomloom.codecs import bitstream
from dicomloom.codecs.backends import PYDICOM, Backend
from dicomloom.codecs.base import Codec, Decoder, Encoder
from dicomloom.codecs.native import no_options
from dicomloom.codecs.rules import Holds, check_ratio, check_readable, full_width
from dicomloom.errors import CorruptError, DicomloomError, LimitError, UnsupportedError

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom.codecs.arrays import Array
    from dicomloom.codecs.bitstream import Description
    from dicomloom.codecs.layout import Layout


class LibraryEncoder(Encoder):
    """Codes frames by a function from array to bytes."""

    def __init__(
        self,
        source: Layout,
        layout: Layout,
        code: Callable[[Array], Buffer],
        *,
        pattern: bool = False,
        method: str | None = None,
        description: str = "",
    ) -> None:
        self.source = source
        self.layout = layout
        self.lossy = method is not None
        self.method = method
        self.description = description
        self._code = code
        self._pattern = pattern

    def encode(self, frame: Buffer) -> Sequence[Buffer]:
        """Code one frame; the GIL is released where the module of its family says so."""
        from dicomloom.codecs import arrays

        array = arrays.load(frame, self.source, pattern=self._pattern)
        try:
            return [self._code(array)]
        except DicomloomError:
            raise
        except (RuntimeError, ValueError, OSError) as error:
            shape = " x ".join(map(str, array.shape))
            raise UnsupportedError(
                f"the library does not code {shape} samples of {self.source.bits_stored} bits: "
                f"{error}"
            ) from error

    def bound(self) -> int:
        """Return twice the size of a frame whose samples have whole bytes, and 64 KiB.

        No codec here grows noise by more; their libraries promise nothing.
        """
        samples = self.source.rows * self.source.columns * self.source.samples
        return 2 * samples * max(self.source.bits_allocated // 8, 1) + 64 * 1024


class LibraryDecoder(Decoder):
    """Decodes by the first library that is there and does not fail.

    Attributes
    ----------
    codec : LibraryCodec
    stored : Layout
        What the data set says of the frames.
    trying : callable or None
        Called with each library before it gets the frame.
    """

    def __init__(self, codec: LibraryCodec, layout: Layout) -> None:
        self.codec = codec
        self.stored = layout
        self.layout = codec.decoded(layout)
        self.trying: Callable[[Backend], object] | None = None

    def decode(self, data: Buffer, into: Buffer | None = None) -> Buffer:
        """Decode one frame; the GIL is released where the module of its family says so."""
        from dicomloom.codecs import arrays

        codec = self.codec
        view = memoryview(data).cast("B")
        found = bitstream.check(view, codec.uid, self.stored)
        assert found is not None
        if None in (found.rows, found.columns):
            # libjpeg makes room for rows until it finds how many there are, which may be never.
            raise UnsupportedError(
                "the size of the frame is not said before its first scan: libraries do not get it, "
                "dicomloom's own decoder reads it (backend='dicomloom')"
            )
        codec.whole(view)
        check_ratio(view.nbytes, self.layout)
        array, signed = self._by_first(view, found)
        bits = found.bits or self.stored.bits_stored
        return arrays.store(array, self.layout, into, bits=bits, signed=signed)

    def _by_first(self, view: memoryview, found: Description) -> tuple[Array, bool]:
        codec = self.codec
        failures = []
        for backend in codec.readers:
            if not backend.found():
                continue
            if self.trying is not None:
                self.trying(backend)
            try:
                return codec.decode_by(backend, view, self.stored, found)
            except DicomloomError:
                raise
            except (RuntimeError, ValueError, OSError, NotImplementedError) as error:
                failures.append((backend, error))
            except MemoryError as error:
                raise LimitError(
                    f"{backend.name} has not the memory for a frame of "
                    f"{self.layout.full_bytes} bytes, as the data set and the bitstream say it is"
                ) from error
        if failures:
            backend, failure = failures[0]
            raise CorruptError(f"{backend.name} does not decode the frame: {failure}") from failure
        from dicomloom.codecs.fallback import decode

        if self.trying is not None:
            self.trying(PYDICOM)
        array = decode(codec.uid, view, self.stored)
        if array is not None:
            return array, False
        first = codec.readers[0]
        raise first.missing(f"{codec.keyword}: decoding", "it is not installed")


class LibraryCodec(Codec):
    """A transfer syntax that libraries code and decode.

    Attributes
    ----------
    readers, writers : tuple of Backend
        In order of choice. pydicom's own decoders are asked last, where none of them is there.
    holds : Holds
        What can be coded.
    readable : tuple of int
        BitsAllocated of data sets that can be decoded; real files have 8 bits in 16.
    """

    readers: ClassVar[tuple[Backend, ...]] = ()
    writers: ClassVar[tuple[Backend, ...]] = ()
    holds: ClassVar[Holds]
    readable: ClassVar[tuple[int, ...]] = (8, 16)

    def reads(self) -> list[str]:
        """Return what decodes it here."""
        found = [backend.title() for backend in self.readers if backend.found()]
        if found:
            return found
        from dicomloom.codecs.fallback import plugins

        return [f"{PYDICOM.title()} ({name})" for name in plugins(self.uid)]

    def writes(self) -> list[str]:
        """Return what codes it here."""
        return [backend.title() for backend in self.writers if backend.found()]

    def missing(self) -> list[str]:
        """Return the extras that would bring libraries for it that are not installed."""
        absent = [backend for backend in (*self.readers, *self.writers) if not backend.found()]
        return sorted({backend.extra for backend in absent})

    def encoder(self, layout: Layout, **options: object) -> Encoder:
        """Return an encoder; see the class of the codec for its options."""
        no_options(self, options)
        if not self.writers:
            raise UnsupportedError(
                f"{self.keyword} is only read: no library that can be installed writes it"
            )
        source = layout.replace(planar=0)
        self.holds.refuse(self.keyword, source)
        return self.make(source, {k: v for k, v in options.items() if v is not None})

    def decoder(self, layout: Layout) -> Decoder:
        """Return a decoder."""
        check_readable(self.keyword, self.readable, layout)
        return LibraryDecoder(self, layout)

    # --- what a family fills in ---

    def decoded(self, layout: Layout) -> Layout:
        """Return what decoding gives."""
        return full_width(layout)

    def whole(self, data: memoryview) -> None:
        """Raise TruncatedError where a stream is cut off that libraries would fill up silently."""

    def make(self, source: Layout, options: dict[str, Any]) -> Encoder:
        """Return an encoder for a layout that fits, with options that were checked by name."""
        raise NotImplementedError

    def decode_by(
        self, backend: Backend, data: memoryview, layout: Layout, found: Description
    ) -> tuple[Array, bool]:
        """Decode by one library: the samples, and whether the stream itself knows their sign."""
        raise NotImplementedError
