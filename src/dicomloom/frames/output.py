"""Where coded frames go: one instance, or the instances of a concatenation."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from dicomloom.codecs.base import Encoder
from dicomloom.codecs.layout import Layout
from dicomloom.errors import LimitError, PixelError
from dicomloom.frames.header import Header
from dicomloom.frames.instance import (
    COUNT_WIDTH,
    NATIVE_MOST,
    EncapsulatedBody,
    Instance,
    NativeBody,
    size_of,
    too_long,
)
from dicomloom.frames.pixels import put_layout, put_number
from dicomloom.frames.selection import per_frame_items, select_frames
from dicomloom.frames.syntaxes import IMPLICIT_LE, NATIVE
from dicomloom.uids import new_uid

if TYPE_CHECKING:
    from typing_extensions import Buffer


class Output:
    """Takes coded frames in order, and makes files of them.

    Parameters
    ----------
    path : str
        Of the file; those of a concatenation get ``-1``, ``-2`` ... before the suffix.
    max_instance_bytes, max_instance_frames : int, optional
        Make a concatenation (PS3.3 C.7.6.16.2.2.4), each instance no larger than this.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        max_instance_bytes: int | None = None,
        max_instance_frames: int | None = None,
    ) -> None:
        self.path = os.fspath(path)
        self._most_bytes = max_instance_bytes
        self._most_frames = max_instance_frames
        self._concatenated = max_instance_bytes is not None or max_instance_frames is not None
        for name, value in (
            ("max_instance_bytes", max_instance_bytes),
            ("max_instance_frames", max_instance_frames),
        ):
            if value is not None and value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        self.frames = 0
        self.raw_bytes = 0
        self.encoded_bytes = 0
        self._instances = [Instance(self._instance_path(1))]

    def _instance_path(self, number: int) -> str:
        if not self._concatenated:
            return self.path
        stem, suffix = os.path.splitext(self.path)
        return f"{stem}-{number}{suffix}"

    def begin(
        self,
        header: Header,
        layout: Layout,
        transfer_syntax: str,
        *,
        table: str = "auto",
        frames: int | None = None,
        bound: int = NATIVE_MOST - 1,
        encoder: Encoder | None = None,
        copied: bool = False,
    ) -> None:
        """Say what the frames are; the header is kept and changed.

        `encoder` is given where it coded the frames, for what lossy coding has to say; `copied`
        where they are passed on as they are stored.
        """
        self._header = header
        self._layout = layout
        self._syntax = transfer_syntax
        self._table = table
        self._expected = frames
        self._bound = bound
        self._encoder = encoder
        native = transfer_syntax in NATIVE
        self._raw_frame = layout.frame_bytes if native else layout.full_bytes
        if layout.floating and not native:
            raise PixelError(
                "Float and Double Float Pixel Data are never encapsulated (PS3.5 8.2): choose "
                "ExplicitVRLittleEndian"
            )
        put_layout(header, layout, copied=copied)
        header.remove("ExtendedOffsetTable", "ExtendedOffsetTableLengths")
        if encoder is not None and encoder.lossy:
            _mark_lossy(header, encoder)
        items = per_frame_items(header)
        # An object that had another number of items before is passed on as it was.
        self._items = items if frames is None or items == frames else None
        if self._concatenated:
            self._source_uid = header.text("SOPInstanceUID") or new_uid()
            self._concatenation_uid = new_uid()
        elif native and frames is not None:
            size = (frames * layout.frame_bits + 7) // 8
            if size > NATIVE_MOST:
                raise too_long(size)
        self._begin_instance(self._instances[0])

    def _begin_instance(self, instance: Instance) -> None:
        number, offset = len(self._instances), self.frames
        expected = None if self._expected is None else self._expected - offset
        if self._most_frames is not None and (expected is None or expected > self._most_frames):
            expected = self._most_frames
        elif self._most_bytes is not None:
            expected = None
        uid = new_uid()

        def make_header(frames: int, final: bool) -> Header:
            return self._instance_header(number, offset, uid, frames, expected, final)

        body: NativeBody | EncapsulatedBody
        if self._syntax in NATIVE:
            body = NativeBody(self._layout, implicit=self._syntax == IMPLICIT_LE)
        else:
            body = EncapsulatedBody(self._table, expected, self._bound)
        instance.begin(self._syntax, body, make_header, expected)

    def _instance_header(
        self, number: int, offset: int, uid: str, frames: int, expected: int | None, final: bool
    ) -> Header:
        header = self._header.copy()
        if expected is None:
            header.put("NumberOfFrames", str(frames).ljust(COUNT_WIDTH))
        elif expected > 1 or self._concatenated or "NumberOfFrames" in header:
            # Single-frame IODs do not have it.
            put_number(header, "NumberOfFrames", frames)
        if self._items is not None and (self._concatenated or final):
            chosen = range(offset, offset + frames)
            if len(chosen) != self._items and chosen.stop <= self._items:
                select_frames(header, chosen, self._items)
        if self._concatenated:
            header.put("SOPInstanceUID", uid)
            header.put("ConcatenationUID", self._concatenation_uid)
            header.put("SOPInstanceUIDOfConcatenationSource", self._source_uid)
            header.put("InConcatenationNumber", number)
            header.put("ConcatenationFrameOffsetNumber", offset)
            if self._expected is not None and self._most_bytes is None and self._most_frames:
                total = -(-self._expected // self._most_frames)
                header.put("InConcatenationTotalNumber", total)
        if self._encoder is not None and self._encoder.lossy:
            # As wide as it gets, so that the head keeps its size.
            ratio = self.raw_bytes / self.encoded_bytes if self.encoded_bytes else 0
            values = [*header.texts("LossyImageCompressionRatio"), f"{ratio:.4g}".ljust(10)]
            header.put("LossyImageCompressionRatio", "\\".join(values))
        return header

    def _room(self, pieces: Sequence[Buffer]) -> Instance:
        """Return the instance that a frame goes into, a new one where the last is full."""
        instance = self._instances[-1]
        if instance.frames == 0:
            return instance
        full = self._most_frames is not None and instance.frames >= self._most_frames
        if self._most_bytes is not None and not full:
            full = instance.size_with(pieces) > self._most_bytes
        if full:
            instance.finish()
            instance = Instance(self._instance_path(len(self._instances) + 1))
            self._instances.append(instance)
            self._begin_instance(instance)
        return instance

    def append(self, frames: Sequence[Sequence[Buffer]]) -> None:
        """Take coded frames, each in pieces."""
        for pieces in frames:
            if self._items is not None and self.frames >= self._items:
                raise PixelError(
                    f"frame {self.frames} has no item in PerFrameFunctionalGroupsSequence, which "
                    f"has {self._items}",
                    frame=self.frames,
                )
            if self._expected is not None and self.frames >= self._expected:
                raise PixelError(
                    f"more frames than the {self._expected} that were announced",
                    frame=self.frames,
                )
            instance = self._room(pieces)
            if self._most_bytes is not None and instance.size_with(pieces) > self._most_bytes:
                raise LimitError(
                    f"frame {self.frames} needs an instance of {instance.size_with(pieces)} bytes; "
                    f"max_instance_bytes is {self._most_bytes}",
                    frame=self.frames,
                )
            instance.append(pieces)
            self.frames += 1
            self.raw_bytes += self._raw_frame
            self.encoded_bytes += size_of(pieces)
        self._instances[-1].flush()

    def count_native(self, frames: int) -> None:
        """Account for native frames of the one instance whose bytes come by `write_native`."""
        self._instances[0].count_native(frames)
        self.frames += frames

    def write_native(self, data: Buffer) -> None:
        """Take bytes of native frames as they are to be written."""
        self._instances[0].write_native(data)
        size = memoryview(data).nbytes
        self.raw_bytes += size
        self.encoded_bytes += size

    @property
    def divides(self) -> bool:
        """Whether there may be several instances."""
        return self._concatenated

    def finish(self) -> list[str]:
        """Complete all files and give them their names, which are returned."""
        if self._expected is not None and self.frames != self._expected:
            raise PixelError(f"{self._expected} frames were announced, {self.frames} were written")
        self._instances[-1].finish()
        for instance in self._instances:
            instance.place()
        return [instance.path for instance in self._instances]

    def discard(self) -> None:
        """Remove every partial file."""
        for instance in self._instances:
            instance.discard()


def _mark_lossy(header: Header, encoder: Encoder) -> None:
    """Say that pixels are not what they were (PS3.3 C.7.6.1.1.5, C.7.6.1.1.2, C.12.1)."""
    header.put("LossyImageCompression", "01")
    methods = [*header.texts("LossyImageCompressionMethod"), encoder.method or ""]
    header.put("LossyImageCompressionMethod", "\\".join(methods))
    header.put("SOPInstanceUID", new_uid())
    mark_derived(header, encoder.description)


def mark_derived(header: Header, description: str) -> None:
    """Say that an image was made from another one (PS3.3 C.7.6.1.1.2 and C.7.6.1.1.3)."""
    kinds = header.texts("ImageType") or ["DERIVED", "SECONDARY"]
    header.put("ImageType", "\\".join(["DERIVED", *kinds[1:]]))
    if description:
        before = (header.value("DerivationDescription") or b"").strip(b" \0")
        text = description.encode("ascii")
        header.put("DerivationDescription", before + b"; " + text if before else text)
