"""`FrameWriter`: frames go in, one at a time, and a DICOM object of any size comes out."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from dicomloom.codecs.base import Encoder
from dicomloom.codecs.bitstream import check
from dicomloom.codecs.layout import Layout
from dicomloom.codecs.registry import find
from dicomloom.errors import DicomloomError, PixelError
from dicomloom.frames.arrays import Frames, count_of, layout_for
from dicomloom.frames.budget import budget
from dicomloom.frames.instance import TABLES
from dicomloom.frames.output import Output
from dicomloom.frames.pipeline import Pipeline
from dicomloom.frames.pixels import declared
from dicomloom.frames.selection import per_frame_items
from dicomloom.frames.syntaxes import NATIVE, UNCOMPRESSED
from dicomloom.frames.template import complete, read_template

if TYPE_CHECKING:
    from typing import Self

    from pydicom import Dataset
    from typing_extensions import Buffer

    from dicomloom.frames.header import Header
    from dicomloom.frames.sources import Source, StrPath

Coded = list[Sequence["Buffer"]]


@runtime_checkable
class SupportsRead(Protocol):
    """A file, as far as it is needed."""

    def read(self, size: int, /) -> bytes:
        """Return up to `size` bytes; empty at the end."""


class Batch(NamedTuple):
    """Frames on their way: raw ones side by side, or one that is coded already."""

    data: Buffer
    frames: int  # 0: coded
    first: int  # number of the first one


def coder(encoder: Encoder) -> Callable[[Batch], Coded]:
    """Return what turns a batch into coded frames."""
    size = encoder.source.frame_bytes

    def code(data: Buffer, frame: int) -> Sequence[Buffer]:
        try:
            return encoder.encode(data)
        except DicomloomError as error:
            error.frame = frame
            raise

    def work(batch: Batch) -> Coded:
        if batch.frames == 0:  # behind raw frames
            return [[batch.data]]
        if batch.frames == 1:
            return [code(batch.data, batch.first)]
        view = memoryview(batch.data)
        # What encode returns is valid until its next call: several frames are kept as copies.
        return [
            [b"".join(code(view[i * size : (i + 1) * size], batch.first + i))]
            for i in range(batch.frames)
        ]

    return work


class _Job:
    """What a writer has to put away, apart from it: its threads see this, so it may be dropped."""

    def __init__(self, output: Output, template: Source | None) -> None:
        self.output, self.template = output, template
        self.pipeline: Pipeline[Batch, Coded] | None = None
        self._owner = os.getpid()

    def abandon(self) -> None:
        """End all threads, and remove what was written; a forked child has neither."""
        try:
            if self.pipeline is not None and self._owner == os.getpid():
                self.pipeline.cancel()
        finally:
            self.output.discard()
            self.close()

    def close(self) -> None:
        """Close the template's file."""
        if self.template is not None:
            self.template.close()

    def dropped(self) -> None:
        """Abandon what nobody can close any more."""
        if self._owner != os.getpid():
            return
        try:
            warnings.warn(
                f"FrameWriter was never closed: {os.fspath(self.output.path)} is not written",
                ResourceWarning,
                stacklevel=2,
            )
        finally:
            self.abandon()


class FrameWriter:
    """Write a DICOM object frame by frame, in constant memory, the count known or not.

    Parameters
    ----------
    path : str or path-like
        Where the object appears when it is complete. Until then it is ``<name>.partial``, which
        `recover` reads after a crash; an exception, or leaving the writer, removes it.
    template : pydicom.Dataset, str, path-like, or mapping
        The data set but for its pixels: a Dataset, the path of a DICOM file whose pixels are
        ignored, or keywords and values. Missing pixel attributes are taken from the first frame;
        missing UIDs are made. Without SOPClassUID the object becomes a Multi-frame Secondary
        Capture.
    transfer_syntax : str
        Keyword or UID, see `dicomloom codecs`.
    frames : int, optional
        How many frames there will be, where that is known: the offset table then gets its room at
        once, and the number is held to.
    offset_table : {"auto", "basic", "extended", "empty"}
        Of encapsulated pixel data. ``"auto"`` is a Basic Offset Table where it can be guaranteed
        to reach (32 bits), else an Extended Offset Table with lengths (PS3.3 C.7.6.3.1.8).
    max_memory : int, optional
        Bytes that all frames in flight may hold together.
    workers : int, optional
        Threads that code frames; by default one a processor.
    max_instance_bytes, max_instance_frames : int, optional
        Divide the object into the instances of a concatenation (PS3.3 C.7.6.16.2.2.4): ``-1``,
        ``-2`` ... are put before the suffix of `path`.
    **codec_options
        Such as ``quality=90``; `dicomloom codecs` names them.

    Raises
    ------
    PixelError
        Frames, template and transfer syntax contradict one another.
    LimitError
        One frame does not fit into `max_memory`; native pixel data would exceed 2^32-2 bytes.
    MissingDependencyError
        A library is needed; the message names the extra.
    WriteError
        The system would not let the file be written.

    Notes
    -----
    Holds workers x (raw + coded frame), 4 bytes a frame for the offset table, and a constant. A
    writer belongs to one thread at a time; the arrays given to it may be reused at once.

    Examples
    --------
    >>> import tempfile, os, numpy
    >>> path = os.path.join(tempfile.mkdtemp(), "cine.dcm")
    >>> with FrameWriter(path, {"PatientID": "1"}, transfer_syntax="RLELossless") as writer:
    ...     for i in range(3):
    ...         writer.write(numpy.full((4, 6), i, "uint8"))
    >>> from dicomloom import FrameReader
    >>> FrameReader(path)[2].max()
    np.uint8(2)
    """

    def __init__(
        self,
        path: StrPath,
        template: Dataset | StrPath | Mapping[str, object],
        *,
        transfer_syntax: str = "ExplicitVRLittleEndian",
        frames: int | None = None,
        offset_table: str = "auto",
        max_memory: int | None = None,
        workers: int | None = None,
        max_instance_bytes: int | None = None,
        max_instance_frames: int | None = None,
        **codec_options: object,
    ) -> None:
        from weakref import finalize

        self._open = False
        if offset_table not in TABLES:
            raise ValueError(
                f"offset_table must be one of {', '.join(TABLES)}, not {offset_table!r}"
            )
        if frames is not None and frames < 1:
            raise ValueError(f"frames must be at least 1, not {frames}")
        self._codec = find(transfer_syntax)
        self._frames, self._table = frames, offset_table
        self._max_memory, self._workers, self._options = max_memory, workers, codec_options
        self._header, file = read_template(template)
        self._header.remove("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
        self._declared = declared(self._header)
        self._layout: Layout | None = None
        self._held = bytearray()
        self._taken = 0  # frames given, written or not
        try:
            self._output = Output(
                path,
                max_instance_bytes=max_instance_bytes,
                max_instance_frames=max_instance_frames,
            )
        except BaseException:
            if file is not None:
                file.close()
            raise
        self._job = _Job(self._output, file)
        # Not __del__: at the end of the program that is too late to end threads.
        self._dropped = finalize(self, self._job.dropped)
        self._open = True

    # --- frames in ---

    def write(self, frame: Buffer) -> None:
        """Add a frame, or several with a leading axis.

        Parameters
        ----------
        frame : array or buffer
            Of shape (rows, columns[, samples]) or (frames, rows, columns[, samples]), color by
            pixel; or bytes of whole frames, little endian. Where BitsAllocated is 1: bools, or
            integers 0 and 1, or bytes with eight pixels each.

        Raises
        ------
        PixelError
            It does not fit to the object; the message names both values. Nothing is written of it.
        """
        self._check_open()
        given = Frames(frame)
        layout = self._layout
        if layout is None:
            layout = layout_for(given, self._declared)
            self._begin(layout, coded=False)
        count = count_of(given, layout, self._taken)
        data = (
            given.packed(layout, count)
            if layout.bits_allocated == 1 and not given.plain
            else given.data
        )
        size = layout.frame_bytes
        for i in range(count):
            self._take(data[i * size : (i + 1) * size], frame)

    def write_encoded(self, bitstream: Buffer) -> None:
        """Add a frame that is coded for this transfer syntax already; it is stored untouched.

        Its marker and, as far as it tells them, its size, samples and bits are checked. The object
        is not marked as derived: where lossy coding was part of the acquisition, only
        LossyImageCompression and what goes with it are set.

        Raises
        ------
        CorruptError, PixelError
            It is not of this transfer syntax, or contradicts the object; the message says how.
        """
        self._check_open()
        if self._codec.uid in NATIVE:
            raise PixelError(f"{self._codec.keyword} has no coded frames: use write")
        data = bytes(bitstream)
        layout = self._layout
        if layout is None:
            layout = self._coded_layout(data)
        check(data, self._codec.uid, layout, strict=True)
        if self._layout is None:
            self._begin(layout, coded=True)
        self._flush()
        assert self._job.pipeline is not None
        self._job.pipeline.submit(Batch(data, 0, self._taken))
        self._taken += 1

    def write_from(self, source: SupportsRead | Iterable[Buffer]) -> int:
        """Add all frames of a file of raw frames back to back, or of an iterable.

        Returns
        -------
        int
            How many there were.

        Raises
        ------
        PixelError
            A file ends inside a frame; or the template does not say how large a frame is.
        """
        before = self._taken
        if not isinstance(source, SupportsRead):
            for given in source:
                self.write(given)
            return self._taken - before
        if self._layout is None:
            self._begin(layout_for(Frames(b""), self._declared), coded=False)
        assert self._layout is not None
        size = self._layout.frame_bytes
        while True:
            frame = _read_fully(source, size)
            if len(frame) < size:
                break
            self.write(frame)
        if frame:
            raise PixelError(
                f"the file ends with {len(frame)} bytes of frame {self._taken}, which has {size}",
                frame=self._taken,
            )
        return self._taken - before

    # --- the object ---

    def _coded_layout(self, data: bytes) -> Layout:
        from dicomloom.codecs.bitstream import describe

        said = dict(self._declared)
        found = describe(data, self._codec.uid)
        for name, value in zip(("rows", "columns", "samples"), found[:3], strict=True):
            if value is not None:
                said.setdefault(name, value)
        if "bits_allocated" not in said and found[3] is not None:
            said["bits_allocated"] = 8 if found[3] <= 8 else 16 if found[3] <= 16 else 32
            said.setdefault("bits_stored", found[3])
        if int(said.get("samples", 1)) > 1 and "photometric" not in said:
            raise PixelError(
                "coded color frames do not always tell their color space: the template must have "
                "PhotometricInterpretation"
            )
        return layout_for(Frames(b""), said)

    def _begin(self, layout: Layout, *, coded: bool) -> None:
        complete(self._header, layout.samples, layout.bits_allocated)
        items = per_frame_items(self._header)
        if items is not None and self._frames not in (None, items):
            raise PixelError(
                f"PerFrameFunctionalGroupsSequence of the template has {items} items, "
                f"{self._frames} frames were announced"
            )
        uid = self._codec.uid
        prototype = None if coded else self._codec.encoder(layout, **self._options)
        written = prototype.layout if prototype else layout
        bound = prototype.bound() if prototype else 2**32 - 3
        serial = uid in UNCOMPRESSED or coded
        size = layout.frame_bytes
        plan = budget(
            size,
            size,
            0 if serial else bound,
            1 if serial else self._workers,
            self._max_memory,
        )
        if coded and not self._codec.lossless:
            _mark_acquired(self._header, self._codec.method)
        self._output.begin(
            self._header,
            written,
            uid,
            table=self._table,
            frames=self._frames,
            bound=bound,
            encoder=prototype,
        )
        self._layout, self._batch = layout, plan.batch
        codec, options = self._codec, self._options

        def make_work() -> Callable[[Batch], Coded]:
            if not coded:
                return coder(codec.encoder(layout, **options))
            made: list[Callable[[Batch], Coded]] = []

            def work(batch: Batch) -> Coded:
                if batch.frames == 0:
                    return [[batch.data]]
                # Only a raw frame behind coded ones needs an encoder, which may not be there.
                made[:] = made or [coder(codec.encoder(layout, **options))]
                return made[0](batch)

            return work

        self._job.pipeline = Pipeline(
            make_work, self._output.append, workers=plan.workers, depth=plan.depth
        )

    def _take(self, data: memoryview, owner: object) -> None:
        """Hand one frame on; a copy, unless its owner cannot change it."""
        assert self._job.pipeline is not None
        self._taken += 1
        if self._batch == 1:
            frame = data if isinstance(owner, bytes) else bytes(data)
            self._job.pipeline.submit(Batch(frame, 1, self._taken - 1))
            return
        self._held += data
        if len(self._held) >= self._batch * len(data):
            self._flush()

    def _flush(self) -> None:
        if self._held:
            assert self._layout is not None
            assert self._job.pipeline is not None
            held, self._held = self._held, bytearray()
            count = len(held) // self._layout.frame_bytes
            self._job.pipeline.submit(Batch(held, count, self._taken - count))

    def _check_open(self) -> None:
        if not self._open:
            raise ValueError("the writer is closed")

    @property
    def frames(self) -> int:
        """How many frames were given so far."""
        return self._taken

    def close(self) -> None:
        """Complete the object and give it its name.

        Raises
        ------
        PixelError
            No frame was written, or not as many as announced. The partial file is removed.
        WriteError
            Likewise; what stood under the name still does.
        """
        if not self._open:
            return
        self._open = False
        try:
            if self._job.pipeline is None or self._taken == 0:
                raise PixelError("no frame was written: a DICOM image has at least one")
            self._flush()
            self._job.pipeline.finish()
            self._output.finish()
        except BaseException:
            self._abandon()
            raise
        self._dropped.detach()
        self._job.close()

    def _abandon(self) -> None:
        self._open = False
        self._dropped.detach()
        self._job.abandon()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is None:
            self.close()
        elif self._open:
            self._abandon()


def _read_fully(file: SupportsRead, size: int) -> bytes:
    data = file.read(size)
    while 0 < len(data) < size:  # pipes give what they have
        more = file.read(size - len(data))
        if not more:
            break
        data += more
    return data


def _mark_acquired(header: Header, method: str | None) -> None:
    if header.text("LossyImageCompression") is None:
        header.put("LossyImageCompression", "01")
    if header.text("LossyImageCompressionMethod") is None and method:
        header.put("LossyImageCompressionMethod", method)
