"""`FrameReader`: the frames of an object of any size, one at a time, from many threads."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, BinaryIO, SupportsIndex, overload

from dicomloom.codecs.base import Decoder
from dicomloom.codecs.layout import Layout
from dicomloom.errors import DicomloomError, FrameError
from dicomloom.frames.concatenation import ordered
from dicomloom.frames.sources import StrPath, open_source
from dicomloom.frames.stored import StoredFrames

if TYPE_CHECKING:
    from typing import Self

    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset
    from typing_extensions import Buffer

    from dicomloom.codecs.isolation import Isolation


class FrameReader:
    """Read the frames of a DICOM object, or of a concatenation, without holding them.

    Parameters
    ----------
    source : path, bytes-like, seekable file object, or a sequence of these
        One object; or the instances of a concatenation in any order, which are read as one.
    isolate : bool or Isolation
        Decode in another process what libraries decode, so that one that crashes, hangs or takes
        all memory costs a frame; see `Isolation`.

    Attributes
    ----------
    shape : tuple of int
        ``(frames, rows, columns)`` or ``(frames, rows, columns, samples)``.
    dtype : numpy.dtype
        Of a sample. One-bit pixels are given as uint8 0 and 1.
    photometric : str
        What the samples of a frame mean as they are given: RGB where a codec undid a color
        transform; native, RLE and JPEG-LS frames stay in the color space they are stored in.

    Raises
    ------
    NotDicomError
        There are no pixel data.
    CorruptError, TruncatedError, UnsupportedError, ReadError, MissingDependencyError

    Notes
    -----
    Frames are read with pread and found by the Extended or Basic Offset Table or, where there is
    none or it is broken, by one pass over the headers of the items. Holds 16 bytes a frame; a frame
    is decoded when it is asked for and not kept. May be used from many threads at once. The frames
    of a deflated file are found by inflating from the start, fast in ascending order only.

    Examples
    --------
    >>> from pydicom.data import get_testdata_file
    >>> reader = FrameReader(get_testdata_file("SC_rgb_rle_2frame.dcm"))
    >>> reader.shape, reader.dtype, reader[1].shape
    ((2, 100, 100, 3), dtype('uint8'), (100, 100, 3))
    """

    def __init__(
        self,
        source: StrPath | Buffer | BinaryIO | Sequence[StrPath | Buffer | BinaryIO],
        *,
        isolate: bool | Isolation = False,
    ) -> None:
        parts: list[Any] = list(source) if isinstance(source, list | tuple) else [source]
        self._parts: list[StoredFrames] = []
        self._isolation: Isolation | None = None
        try:
            for part in parts:
                opened = open_source(part)
                try:
                    self._parts.append(StoredFrames(opened))
                except BaseException as error:
                    if isinstance(error, DicomloomError):
                        error.path = error.path or opened.path
                    opened.close()
                    raise
            if len(self._parts) > 1:
                self._parts = ordered(self._parts)
        except BaseException:
            self.close()
            raise
        first = self._parts[0]
        self._decoders: list[Decoder | None] = [None] * len(self._parts)
        self._starts = [0]
        for stored in self._parts:
            self._starts.append(self._starts[-1] + stored.count)
        self.transfer_syntax = first.transfer_syntax
        self.count = self._starts[-1]
        self._dataset: Dataset | None = None
        if isolate:
            from dicomloom.codecs.isolation import isolation_of

            self._isolation = isolation_of(isolate)

    # --- what it is ---

    @property
    def layout(self) -> Layout:
        """What a frame looks like as it is given."""
        return self._decoder(0).layout

    @property
    def photometric(self) -> str:
        """PhotometricInterpretation of the frames as they are given."""
        return self.layout.photometric

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns, and samples where there are several."""
        return (self.count, *self.layout.shape)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def chunks(self) -> tuple[int, ...]:
        """What is read at once: a frame."""
        return (1, *self.layout.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a sample."""
        import numpy as np

        return np.dtype(self.layout.dtype)

    @property
    def offset_table(self) -> str:
        """How frames are found: ``"native"``, ``"extended"``, ``"basic"`` or ``"walked"``."""
        return self._parts[0].table

    @property
    def offsets(self) -> NDArray[np.uint64]:
        """Where each frame's first stored byte is in its file, as a uint64 array."""
        import numpy as np

        return np.concatenate([np.frombuffer(part.offsets, "u8") for part in self._parts])

    @property
    def dataset(self) -> Dataset:
        """The data set without its pixels, read when it is first asked for."""
        if self._dataset is None:
            self._dataset = self._parts[0].dataset()
        return self._dataset

    def __len__(self) -> int:
        return self.count

    def __repr__(self) -> str:
        path = self._parts[0].path or "bytes"
        return f"FrameReader({path!r}, shape={self.shape}, dtype={self.layout.dtype!r})"

    # --- frames ---

    def _decoder(self, part: int) -> Decoder:
        decoder = self._decoders[part]
        if decoder is None:
            stored = self._parts[part]
            decoder = stored.codec.decoder(stored.layout)
            if self._isolation is not None:
                decoder = self._isolation.decoder(decoder)
            self._decoders[part] = decoder
        return decoder

    def _place(self, index: SupportsIndex) -> tuple[int, int]:
        frame = operator.index(index)
        if frame < 0:
            frame += self.count
        if not 0 <= frame < self.count:
            raise FrameError(
                f"frame {index} of an object with {self.count} frames", path=self._parts[0].path
            )
        if len(self._parts) == 1:
            return 0, frame
        from bisect import bisect_right

        part = bisect_right(self._starts, frame) - 1
        return part, frame - self._starts[part]

    def encoded(self, index: SupportsIndex) -> bytes:
        """Return a frame as it is stored: its bitstream, or its native bytes."""
        part, frame = self._place(index)
        try:
            return self._parts[part].encoded(frame)
        except DicomloomError as error:
            raise self._located(error, part, frame) from None

    def raw(self, index: SupportsIndex) -> Buffer:
        """Return a frame as bytes of `layout`: little endian, color by pixel, bits packed."""
        part, frame = self._place(index)
        try:
            return self._decoder(part).decode(self._parts[part].encoded(frame))
        except DicomloomError as error:
            raise self._located(error, part, frame) from None

    def _frame(self, index: SupportsIndex) -> NDArray[Any]:
        import numpy as np

        part, frame = self._place(index)
        stored = self._parts[part]
        shape, dtype, count = self._samples
        try:
            # A header may speak of any size: there is room only for what the bytes can be.
            if stored.in_order and frame < stored.native_frames:
                samples = np.empty(shape, dtype)
                stored.read_into(frame, samples.data)
            else:
                data = self._decoded(self._decoder(part), stored.encoded(frame))
                samples = data.view(dtype).reshape(shape)
        except DicomloomError as error:
            raise self._located(error, part, frame) from None
        if count:
            return np.unpackbits(samples, count=count, bitorder="little").reshape(self.layout.shape)
        if self._unused and stored.codec.keeps_unused_bits:
            if self._mask is not None:
                samples &= self._mask
            else:
                samples <<= self._unused
                samples >>= self._unused
        return samples

    @cached_property
    def _samples(self) -> tuple[tuple[int, ...], np.dtype[Any], int]:
        """Shape and dtype to read a frame into; how many bits to unpack then, or 0."""
        layout = self.layout
        if layout.bits_allocated == 1:
            size = layout.rows * layout.columns * layout.samples
            return (layout.frame_bytes,), self.dtype, size
        return layout.shape, self.dtype, 0

    @cached_property
    def _unused(self) -> int:
        return self.layout.bits_allocated - self.layout.bits_stored

    @cached_property
    def _mask(self) -> np.generic | None:
        """The bits of an unsigned sample; None where the sign has to be spread."""
        if self.layout.signed:
            return None
        made: np.generic = self.dtype.type((1 << self.layout.bits_stored) - 1)
        return made

    def _decoded(self, decoder: Decoder, coded: bytes) -> NDArray[np.uint8]:
        import numpy as np

        size = self.layout.frame_bytes
        if decoder.expansion is None or size > decoder.expansion * (len(coded) + 1):
            # Of what is too short the codec says what it lacks.
            found: NDArray[np.uint8] = np.frombuffer(memoryview(decoder.decode(coded)), np.uint8)
            return found if found.flags.writeable else found.copy()
        data = np.empty(size, np.uint8)
        decoder.decode(coded, data.data)
        return data

    def _require(self, frames: range) -> None:
        """Raise TruncatedError where these frames cannot all be there."""
        if not frames:
            return
        (first, _), (last, highest) = sorted(map(self._place, (frames[0], frames[-1])))
        for part in range(first, last + 1):
            stored = self._parts[part]
            try:
                stored.require(highest if part == last else stored.count - 1)
            except DicomloomError as error:
                raise self._located(error, part, error.frame or 0) from None

    def _located(self, error: DicomloomError, part: int, frame: int) -> DicomloomError:
        error.path = error.path or self._parts[part].path
        error.frame = self._starts[part] + frame
        return error

    @overload
    def __getitem__(self, index: SupportsIndex) -> NDArray[Any]: ...
    @overload
    def __getitem__(self, index: slice) -> FrameView: ...
    @overload
    def __getitem__(self, index: tuple[Any, ...]) -> NDArray[Any]: ...
    def __getitem__(
        self, index: SupportsIndex | slice | tuple[Any, ...]
    ) -> NDArray[Any] | FrameView:
        """Return a frame as an array; of a slice, a `FrameView` that reads nothing yet; of a
        tuple, as numpy does, an array."""
        if isinstance(index, int):
            return self._frame(index)
        if isinstance(index, slice):
            return FrameView(self, range(self.count)[index])
        if isinstance(index, tuple):
            made: NDArray[Any] = FrameView(self, range(self.count))[index]
            return made
        return self._frame(index)

    def __iter__(self) -> Iterator[NDArray[Any]]:
        for i in range(self.count):
            yield self._frame(i)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return FrameView(self, range(self.count)).__array__(dtype, copy)

    # --- end ---

    def close(self) -> None:
        """Close the files; file objects that were given stay open."""
        for part in self._parts:
            part.close()
        if self._isolation is not None:
            self._isolation.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_parts", None):
            self.close()


class FrameView(Sequence["NDArray[Any]"]):
    """Some frames of a reader, which are read when they are asked for.

    Slices of it are views too; ``numpy.asarray`` reads all of it.
    """

    def __init__(self, reader: FrameReader, frames: range) -> None:
        self._reader = reader
        self._frames = frames

    @property
    def shape(self) -> tuple[int, ...]:
        """Frames, rows, columns, and samples where there are several."""
        return (len(self._frames), *self._reader.layout.shape)

    @property
    def ndim(self) -> int:
        """How many axes there are."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of a sample."""
        return self._reader.dtype

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: Any) -> Any:
        """Return a frame, a view, or, of a tuple, an array."""
        if isinstance(index, slice):
            return FrameView(self._reader, self._frames[index])
        if not isinstance(index, tuple):
            return self._reader[self._frames[index]]
        first, *rest = index
        if first is Ellipsis:
            return self.__array__()[index]
        if isinstance(first, slice):
            return FrameView(self._reader, self._frames[first]).__array__()[(slice(None), *rest)]
        return self._reader[self._frames[first]][tuple(rest)]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        import numpy as np

        if copy is False:
            raise ValueError("frames are read into a new array: copy=False cannot be kept")
        self._reader._require(self._frames)
        made = np.empty((0, *self.shape[1:]), dtype or self.dtype)
        for i, frame in enumerate(self._frames):
            pixels = self._reader[frame]
            if i == 0:  # frames are as large as they are said to be, and there is room
                made = np.empty(self.shape, made.dtype)
            made[i] = pixels
        return made
