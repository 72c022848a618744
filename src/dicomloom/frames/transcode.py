"""`transcode`: an object in another transfer syntax, frame by frame."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, BinaryIO, NamedTuple

from dicomloom.codecs import bitstream
from dicomloom.codecs.base import Codec, Decoder, Encoder, RowEncoder
from dicomloom.codecs.layout import Layout
from dicomloom.codecs.raster import RasterCodec
from dicomloom.codecs.registry import find
from dicomloom.errors import CorruptError, DicomloomError, FrameError, UnsupportedError
from dicomloom.frames.bare import write_bare
from dicomloom.frames.budget import budget
from dicomloom.frames.header import MEDIA_STORAGE_UID, read_object
from dicomloom.frames.output import Output, mark_derived
from dicomloom.frames.pipeline import Pipeline
from dicomloom.frames.selection import chosen_frames, select_frames
from dicomloom.frames.sources import StrPath, open_source
from dicomloom.frames.stored import StoredFrames
from dicomloom.frames.syntaxes import NATIVE, UNCOMPRESSED
from dicomloom.frames.writer import Coded
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from typing import TypeGuard

    from typing_extensions import Buffer

    from dicomloom.codecs.isolation import Isolation

_BAND = 128 << 10  # bytes of rows that are read at once where a codec takes rows
_CHUNK = 1 << 20  # bytes that are copied at once


class Report(NamedTuple):
    """What `transcode` or `recover` made.

    Attributes
    ----------
    source : str or None
    targets : list of str
        The file, or the instances of a concatenation.
    transfer_syntax : str
        Keyword.
    frames, raw_bytes, encoded_bytes : int
        Bytes of the data set where there are no pixel data.
    lossy : bool
        Whether this coding lost something.
    sop_instance_uid : str or None
        A new one where the pixels are not those of the source.
    seconds : float
    """

    source: str | None
    targets: list[str]
    transfer_syntax: str
    frames: int
    raw_bytes: int
    encoded_bytes: int
    lossy: bool
    sop_instance_uid: str | None
    seconds: float

    @property
    def ratio(self) -> float:
        """Raw bytes for each byte written."""
        return self.raw_bytes / self.encoded_bytes if self.encoded_bytes else 0.0


def transcode(
    src: StrPath | Buffer | BinaryIO,
    dst: StrPath,
    transfer_syntax: str,
    *,
    max_memory: int | None = None,
    workers: int | None = None,
    frames: slice | Sequence[int] | None = None,
    offset_table: str = "auto",
    max_instance_bytes: int | None = None,
    max_instance_frames: int | None = None,
    isolate: bool | Isolation = False,
    progress: Callable[[int, int], None] | None = None,
    **codec_options: object,
) -> Report:
    """Write an object in another transfer syntax, in constant memory.

    Frames that need not be coded anew are copied as they are: between native syntaxes, and where
    source and target syntax are the same and no option is given. Everything else of the data set
    stays, private and unknown elements included, but for what the new coding has to say. An object
    without pixel data, such as a report, goes from one uncompressed transfer syntax to another.

    Parameters
    ----------
    src : path, bytes-like, or seekable file object
    dst : str or path-like
        May be `src`. Appears when it is complete.
    transfer_syntax : str
        Keyword or UID, see `dicomloom codecs`.
    max_memory : int, optional
        Bytes that all frames in flight may hold together.
    workers : int, optional
        Threads; by default one a processor.
    frames : slice or sequence of int, optional
        Which frames to keep. What the data set holds for each frame (functional groups, vectors)
        is chosen with them; the image becomes a derived one with a UID of its own.
    offset_table, max_instance_bytes, max_instance_frames
        As of `FrameWriter`.
    isolate : bool or Isolation
        Decode and code in other processes, one a thread, what libraries decode and code; see
        `Isolation`. What these hold is not part of `max_memory`.
    progress : callable, optional
        Called with how many frames are written, and of how many; from any thread, one at a time.
    **codec_options
        Such as ``quality=90``. ``backend="library"`` is for decoding, too, where the source is JPEG
        Lossless or JPEG-LS.

    Returns
    -------
    Report

    Raises
    ------
    FrameError
        `frames` names one that the source has not, or none.
    NotDicomError, TruncatedError, CorruptError, ReadError
        The source cannot be read; `frame` of the error says where.
    UnsupportedError, PixelError, LimitError
        The target syntax cannot hold such frames.
    MissingDependencyError, WriteError

    Notes
    -----
    Holds workers x (decoded + coded frame), and 16 bytes a frame for the tables. RLE Lossless, JPEG
    Lossless and JPEG-LS read native frames a few rows at a time: workers x coded frame. Of a
    deflated object, JPEG Lossless reads whole ones.

    Examples
    --------
    >>> import tempfile, os
    >>> from pydicom.data import get_testdata_file
    >>> out = os.path.join(tempfile.mkdtemp(), "out.dcm")
    >>> report = transcode(get_testdata_file("CT_small.dcm"), out, "RLELossless")
    >>> report.frames, report.raw_bytes, report.lossy
    (1, 32768, False)
    """
    began = time.monotonic()
    codec = find(transfer_syntax)
    source = open_source(src)
    isolation = None
    if isolate:
        from dicomloom.codecs.isolation import isolation_of

        isolation = isolation_of(isolate)
    try:
        found = read_object(source)
        if found.pixels is None:
            if frames is not None:
                raise FrameError("no frames to choose from: the object has no pixel data")
            size = write_bare(found.header, dst, codec.uid)
            uid, took = found.header.text("SOPInstanceUID"), time.monotonic() - began
            target = [os.fspath(dst)]
            return Report(source.path, target, codec.keyword, 0, size, size, False, uid, took)
        stored = StoredFrames(source, found)
        stored.load_trailing()
        chosen = chosen_frames(frames, stored.count)
        stored.require(max(chosen[0], chosen[-1]) if isinstance(chosen, range) else max(chosen))
        output = Output(
            dst, max_instance_bytes=max_instance_bytes, max_instance_frames=max_instance_frames
        )
        try:
            job = _Job(stored, codec, output, chosen, codec_options, isolation, progress)
            job.begin(offset_table)
            job.run(workers, max_memory)
            targets = output.finish()
        except BaseException:
            output.discard()
            raise
    except DicomloomError as error:
        error.path = error.path or source.path
        raise
    finally:
        source.close()
        if isolation is not None:
            isolation.close()
    return Report(
        source.path,
        targets,
        codec.keyword,
        output.frames,
        output.raw_bytes,
        output.encoded_bytes,
        job.lossy,
        job.uid,
        time.monotonic() - began,
    )


class OptionError(TypeError):
    """Neither what reads the frames nor what writes them takes an option."""


class _Job:
    """One object on its way from a source to an output."""

    def __init__(
        self,
        stored: StoredFrames,
        codec: Codec,
        output: Output,
        chosen: range | list[int],
        options: dict[str, object],
        isolation: Isolation | None,
        progress: Callable[[int, int], None] | None,
    ) -> None:
        self._progress = progress
        self._isolation = isolation
        self._stored, self._codec, self._output = stored, codec, output
        self._chosen, self._options = chosen, options
        if "backend" in options and "backend" not in (*stored.codec.options, *codec.options):
            raise OptionError(
                f"neither {stored.codec.keyword} nor {codec.keyword} takes an option backend"
            )
        same = codec.uid == stored.transfer_syntax and not options
        plain = stored.transfer_syntax in UNCOMPRESSED and codec.uid in UNCOMPRESSED
        self._copies = same or plain
        self._decoder: Decoder | None = None
        self._encoder: Encoder | None = None
        self._recode = None
        if not options:
            self._recode = codec.recoder_from(stored.transfer_syntax) or stored.codec.recoder_to(
                codec.uid
            )
        if self._recode is not None and isolation is not None:
            self._recode = isolation.recoder(self._recode, stored.layout)
        if self._recode is None and not self._copies:
            self._decoder = self._choose_decoder(stored)
            self._encoder = self._make_encoder(self._decoder)
            if isolation is not None:
                self._decoder = isolation.decoder(self._decoder)
        elif options:
            codec.encoder(stored.layout, **options)  # says which options it does not take
        self.lossy = self._encoder is not None and self._encoder.lossy
        self.uid: str | None = None

    def _choose_decoder(self, stored: StoredFrames) -> Decoder:
        """Take the option that says what decodes, where the source has a choice."""
        if not isinstance(stored.codec, RasterCodec) or "backend" not in self._options:
            return stored.codec.decoder(stored.layout)
        backend = self._options["backend"]
        if "backend" not in self._codec.options:
            self._options = {k: v for k, v in self._options.items() if k != "backend"}
        return stored.codec.decoder(stored.layout, backend=backend)

    def _make_encoder(self, decoder: Decoder) -> Encoder:
        encoder = self._codec.encoder(decoder.layout, **self._options)
        if self._isolation is None:
            return encoder
        return self._isolation.encoder(encoder, self._codec, self._options)

    def begin(self, table: str) -> None:
        """Make the header, and open the output."""
        stored, chosen = self._stored, self._chosen
        header = stored.header.copy()
        if chosen != range(stored.count):
            select_frames(header, chosen, stored.count)
            header.put("SOPInstanceUID", new_uid())
            mark_derived(header, f"{len(chosen)} of {stored.count} frames")
        elif header.text("SOPInstanceUID") is None and MEDIA_STORAGE_UID not in header.meta:
            header.put("SOPInstanceUID", new_uid())  # no file is without (PS3.10 7.1)
        layout, bound = stored.layout, 2**32 - 3
        if self._encoder is not None:
            layout, bound = self._encoder.layout, self._encoder.bound()
        elif self._recode is not None:
            pass  # how large they become is not known: an Extended Offset Table has room
        elif stored.encapsulated:
            bound = 2**32 // max(len(chosen), 1) - 10 if _small(stored) else bound
        else:
            bound = layout.frame_bytes
        self._output.begin(
            header,
            layout,
            self._codec.uid,
            table=table,
            frames=len(chosen),
            bound=bound,
            encoder=self._encoder,
            copied=self._copies,
        )
        self.uid = header.text("SOPInstanceUID")

    def run(self, workers: int | None, max_memory: int | None) -> None:
        """Move all frames."""
        stored, output = self._stored, self._output
        native = not stored.encapsulated and self._codec.uid in NATIVE
        if stored.source.sequential:
            workers = 1
        if self._copies and native and stored.layout.frame_bits % 8 == 0 and not output.divides:
            self._copy_runs(workers)
            return
        size = stored.layout.frame_bytes
        if self._encoder is None or self._decoder is None:
            plan = budget(size, size, 0, workers if self._recode else 1, max_memory)
        else:
            raw = self._decoder.layout.frame_bytes
            rows = self._by_rows(self._encoder) and raw > _BAND
            plan = budget(
                size, _BAND if rows else size + raw, self._encoder.bound(), workers, max_memory
            )
        pipeline: Pipeline[Sequence[int], Coded] = Pipeline(
            self._make_work,
            self._put,
            workers=plan.workers,
            depth=plan.depth,
            interrupt=self._isolation.close if self._isolation else None,
        )
        starts = range(0, len(self._chosen), plan.batch)
        pipeline.run(self._chosen[at : at + plan.batch] for at in starts)

    def _put(self, frames: Coded) -> None:
        self._output.append(frames)
        if self._progress is not None:
            self._progress(self._output.frames, len(self._chosen))

    # --- copying ---

    def _copy_runs(self, workers: int | None) -> None:
        """Copy native bytes, reading on while the last are being written."""
        self._output.count_native(len(self._chosen))
        pipeline: Pipeline[tuple[int, int], memoryview] = Pipeline(
            self._make_reader, self._put_native, workers=2 if workers is None else workers, depth=2
        )
        pipeline.run(self._native_pieces())

    def _native_pieces(self) -> Iterator[tuple[int, int]]:
        """Return offset and size of what is copied at once."""
        stored = self._stored
        for first, last in _runs(self._chosen):
            stored.pieces(last - 1)  # it is there, or the error says which frame is not
            start, end = stored.native_range(first)[0] // 8, stored.native_range(last - 1)[1] // 8
            for at in range(start, end, _CHUNK):
                yield at, min(_CHUNK, end - at)

    def _make_reader(self) -> Callable[[tuple[int, int]], memoryview]:
        source, buffer = self._stored.source, memoryview(bytearray(_CHUNK))

        def read(piece: tuple[int, int]) -> memoryview:
            offset, size = piece
            source.read_into(offset, buffer[:size])
            return buffer[:size]

        return read

    def _put_native(self, data: memoryview) -> None:
        self._output.write_native(data)
        if self._progress is not None:
            done = self._output.raw_bytes // self._stored.layout.frame_bytes
            self._progress(done, len(self._chosen))

    def _unpadded(self, frame: int) -> bytearray:
        """Return an uncompressed frame without what makes its fragment even."""
        data = bytearray(self._stored.layout.frame_bytes)
        self._stored.read_into(frame, memoryview(data))
        return data

    # --- coding ---

    def _by_rows(self, encoder: Encoder) -> TypeGuard[RowEncoder]:
        """Whether a frame can be coded while it is read, a few rows at a time."""
        stored, layout = self._stored, self._stored.layout
        if not isinstance(encoder, RowEncoder) or layout != encoder.source:
            return False
        return stored.in_order and (encoder.passes == 1 or not stored.source.sequential)

    def _make_work(self) -> Callable[[Sequence[int]], Coded]:
        stored = self._stored
        recode = self._recode
        if recode is not None:
            return lambda frames: [[_recoded(stored, i, recode)] for i in frames]
        if self._encoder is None or self._decoder is None:
            if stored.encapsulated and self._codec.uid in NATIVE:
                return lambda frames: [[self._unpadded(i)] for i in frames]
            return lambda frames: [[stored.encoded(i)] for i in frames]
        # Each thread has an encoder of its own.
        encoder = self._make_encoder(self._decoder)
        if self._by_rows(encoder):
            return _RowCoder(stored, encoder)
        return _FrameCoder(stored, self._decoder, self._codec, encoder)


def _recoded(stored: StoredFrames, frame: int, recode: Callable[[Buffer], Buffer]) -> Buffer:
    try:
        return recode(stored.encoded(frame))
    except DicomloomError as error:
        error.frame = frame
        raise


def _small(stored: StoredFrames) -> bool:
    """Whether all coded frames together can be reached by a Basic Offset Table."""
    return stored.source.size() < 2**32 - 2**24


def _runs(frames: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Return first and behind the last of what stands side by side in frames."""
    if isinstance(frames, range) and frames.step == 1:
        yield frames.start, frames.stop
        return
    first = last = -1
    for frame in frames:
        if frame != last:
            if first >= 0:
                yield first, last
            first = frame
        last = frame + 1
    if first >= 0:
        yield first, last


class _FrameCoder:
    """Decodes frames and codes them anew; belongs to one thread."""

    def __init__(
        self, stored: StoredFrames, decoder: Decoder, codec: Codec, encoder: Encoder
    ) -> None:
        self._stored, self._decoder, self._encoder = stored, decoder, encoder
        # Bits of a value for which BitsStored has no room would be unused ones, which readers leave
        # out. Other encoders check what they are given.
        of = decoder.layout
        self._checked = (
            of.bits_stored < of.bits_allocated
            and codec.keeps_unused_bits
            and not stored.codec.keeps_unused_bits
        )
        self._buffer: bytearray | None = None
        if stored.in_order and decoder.layout == stored.layout:
            # One for all frames: a new one for each is a page fault every 4096 bytes.
            self._buffer = bytearray(stored.layout.frame_bytes)

    def __call__(self, frames: Sequence[int]) -> Coded:
        if len(frames) == 1:
            return [self._code(frames[0])]
        return [[b"".join(self._code(frame))] for frame in frames]

    def _code(self, frame: int) -> Sequence[Buffer]:
        try:
            if self._buffer is not None:
                self._stored.read_into(frame, memoryview(self._buffer))
                return self._encoder.encode(self._buffer)
            coded = self._stored.encoded(frame)
            raw = self._decoder.decode(coded)
            if self._checked:
                self._check(coded, raw)
            return self._encoder.encode(raw)
        except DicomloomError as error:
            error.frame = frame
            raise

    def _check(self, coded: Buffer, raw: Buffer) -> None:
        """Raise PixelError where values have more bits than BitsStored."""
        layout, bits = self._decoder.layout, None
        # What can be decoded may have a header that says it oddly: then the values tell.
        with contextlib.suppress(CorruptError, UnsupportedError):
            bits = bitstream.describe(coded, self._stored.transfer_syntax).bits
        if bits is None or bits > layout.bits_stored:
            from dicomloom.codecs.arrays import load  # brings numpy

            load(raw, layout)


class _RowCoder:
    """Codes native frames while they are read; belongs to one thread."""

    def __init__(self, stored: StoredFrames, encoder: RowEncoder) -> None:
        self._stored, self._encoder = stored, encoder
        self._layout: Layout = stored.layout
        self._buffer = bytearray()

    def __call__(self, frames: Sequence[int]) -> Coded:
        if len(frames) == 1:
            return [self._by_bands(frames[0])]
        coded: Coded = []
        for first, last in _runs(frames):
            frame = first
            try:
                for view in self._run(first, last):
                    coded.append([b"".join(self._encoder.encode(view))])
                    frame += 1
            except DicomloomError as error:
                error.frame = frame if error.frame is None else error.frame
                raise
        return coded

    def _run(self, first: int, last: int) -> Iterator[memoryview]:
        size = self._layout.frame_bytes
        if self._stored.encapsulated:
            for frame in range(first, last):
                yield self._read(frame, size)
            return
        view = self._read(first, (last - first) * size)  # they lie side by side
        for at in range(0, len(view), size):
            yield view[at : at + size]

    def _read(self, frame: int, size: int, skip: int = 0) -> memoryview:
        if len(self._buffer) < size:
            self._buffer = bytearray(size)
        view = memoryview(self._buffer)[:size]
        self._stored.read_into(frame, view, skip)
        return view

    def _by_bands(self, frame: int) -> Sequence[Buffer]:
        encoder, layout = self._encoder, self._layout
        step = max(1, _BAND // layout.row_bytes) * layout.row_bytes
        try:
            encoder.begin()
            for take in (encoder.count, encoder.rows)[-encoder.passes :]:
                for at in range(0, layout.frame_bytes, step):
                    take(self._read(frame, min(step, layout.frame_bytes - at), at))
            return encoder.end()
        except DicomloomError as error:
            error.frame = frame
            raise
