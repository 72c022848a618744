"""One DICOM file while its frames arrive: head, frames, and at the end the head as it must be."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

from dicomloom._native import frames as _native
from dicomloom.codecs.layout import Layout
from dicomloom.errors import LimitError, PixelError, WriteError
from dicomloom.files import Partial, writing
from dicomloom.frames.header import (
    EXTENDED_LENGTHS,
    EXTENDED_TABLE,
    ITEM,
    SEQUENCE_END,
    TRAILING_PADDING,
    UNDEFINED,
    Header,
    element_head,
)
from dicomloom.frames.pixels import pixel_tag_of
from dicomloom.frames.syntaxes import DEFLATED_LE, IMPLICIT_LE
from dicomloom.system import write_at

if TYPE_CHECKING:
    from typing_extensions import Buffer

NATIVE_MOST = 2**32 - 2  # PS3.5 7.1.1: an even 32-bit length that is not 0xFFFFFFFF
TABLES = ("auto", "basic", "extended", "empty")
COUNT_WIDTH = 10  # room for NumberOfFrames while it is not known; IS may be padded
_SMALL = 1 << 16
_LARGE = 1 << 20


def gathered(chunks: Iterable[Buffer]) -> Iterator[Buffer]:
    """Join small chunks, so that a header is written in one go."""
    held = bytearray()
    for chunk in chunks:
        view = memoryview(chunk)
        if view.nbytes >= _SMALL:
            if held:
                yield bytes(held)
                held.clear()
            yield chunk
        else:
            held += view
            if len(held) >= _SMALL:
                yield bytes(held)
                held.clear()
    if held:
        yield bytes(held)


class NativeBody:
    """Frames one behind the other, without items (PS3.5 A.4: native format)."""

    def __init__(self, layout: Layout, *, implicit: bool = False) -> None:
        self.frames = 0
        self._layout = layout
        self._implicit = implicit
        self._bits = 0  # written, those held included
        self._held = 0  # fewer than eight, where frames do not end with a byte
        self._tag = pixel_tag_of(layout)
        self._vr = {0x7FE00008: "OF", 0x7FE00009: "OD"}.get(
            self._tag, "OW" if layout.bits_allocated > 8 else "OB"
        )

    def prelude(self, final: bool) -> list[Buffer]:
        """Return what stands in front of the first frame; `final` says that all are written."""
        length = (self._bits + 15) // 16 * 2 if final else 0
        if self._implicit:
            tag = self._tag
            return [struct.pack("<HHL", tag >> 16, tag & 0xFFFF, length)]
        return [element_head(self._tag, self._vr, length)]

    def size_with(self, pieces: Sequence[Buffer]) -> int:
        """Return how many bytes there are at most with one more frame."""
        return (self._bits + self._layout.frame_bits + 7) // 8

    def frame(self, pieces: Sequence[Buffer]) -> Sequence[Buffer]:
        """Return what is to be written for a frame."""
        bits = self._layout.frame_bits
        self.count(1)
        if bits % 8 == 0:
            return pieces
        before = (self._bits - bits) % 8
        number = int.from_bytes(b"".join(pieces), "little") & ((1 << bits) - 1)
        number = number << before | self._held
        whole = (before + bits) // 8
        self._held = number >> 8 * whole
        return [(number & ((1 << 8 * whole) - 1)).to_bytes(whole, "little")]

    def count(self, frames: int) -> None:
        """Account for frames that are written another way."""
        bits = self._bits + frames * self._layout.frame_bits
        if (bits + 7) // 8 > NATIVE_MOST:
            raise too_long((bits + 7) // 8)
        self._bits = bits
        self.frames += frames

    def postlude(self) -> list[Buffer]:
        """Return what stands behind the last frame."""
        rest = [bytes([self._held])] if self._bits % 8 else []
        return [*rest, b"\0"] if (self._bits + 7) // 8 % 2 else list(rest)


def too_long(size: int) -> LimitError:
    """Return the error for native pixel data that no length can tell."""
    return LimitError(
        f"native pixel data of {size} bytes exceed 2^32-2, the most that their length can say "
        "(PS3.5 7.1.1): choose an encapsulated transfer syntax, such as "
        "EncapsulatedUncompressedExplicitVRLittleEndian, which keeps pixels as they are, or divide "
        "the object with max_instance_bytes or max_instance_frames (a concatenation)"
    )


class EncapsulatedBody:
    """One item a frame, behind an offset table (PS3.5 A.4).

    Parameters
    ----------
    table : str
        One of `TABLES`.
    expected : int or None
        How many frames there will be, so that room is left for their table.
    bound : int
        Bytes that a coded frame has at most.
    """

    def __init__(self, table: str, expected: int | None, bound: int) -> None:
        self._table = table
        self._expected = expected
        self._bound = bound
        self._lengths = array("I")  # of items, even
        self._total = 0  # bytes of all items
        self._last = 0  # offset of the last item

    @property
    def frames(self) -> int:
        """How many frames there are so far."""
        return len(self._lengths)

    def _kind(self, final: bool) -> str:
        if self._table != "auto":
            return self._table
        if self._expected is not None and self._expected * (self._bound + 9) < 2**32:
            return "basic"
        if self._expected is None and final and self._last < 2**32:
            return "basic"
        return "extended"

    def prelude(self, final: bool) -> list[Buffer]:
        """Return what stands in front of the first frame; `final` says that all are written."""
        frames = self.frames if final else self._expected
        pixels = element_head(0x7FE00010, "OB", UNDEFINED)
        kind = self._kind(final)
        if frames is None or kind == "empty":
            return [pixels + ITEM + bytes(4)]
        if kind == "basic":
            table = self._offsets("I") if final else bytes(4 * frames)
            return [pixels + ITEM + struct.pack("<L", 4 * frames), table]
        sizes = 8 * frames
        if sizes > NATIVE_MOST:
            raise LimitError(f"an offset table of {frames} frames exceeds 2^32-2 bytes")
        return [
            element_head(EXTENDED_TABLE, "OV", sizes),
            self._offsets("Q") if final else bytes(sizes),
            element_head(EXTENDED_LENGTHS, "OV", sizes),
            _little(array("Q", self._lengths)) if final else bytes(sizes),
            pixels + ITEM + bytes(4),
        ]

    def _offsets(self, code: str) -> Buffer:
        offsets = array(code, bytes(array(code).itemsize * len(self._lengths)))
        at = 0
        for i, length in enumerate(self._lengths):
            offsets[i] = at
            at += length + 8
        return _little(offsets)

    def size_with(self, pieces: Sequence[Buffer]) -> int:
        """Return how many bytes there are at most with one more frame, tables included."""
        return self._total + 8 + size_of(pieces) + 1 + 16 * (self.frames + 1)

    def frame(self, pieces: Sequence[Buffer]) -> Sequence[Buffer]:
        """Return what is to be written for a frame: an item."""
        size = size_of(pieces)
        if not 0 < size <= NATIVE_MOST - 1:
            raise LimitError(f"a coded frame of {size} bytes fits no item (PS3.5 A.4)")
        even = size + size % 2
        if self._table == "basic" and self._total >= 2**32:
            raise LimitError(
                "a Basic Offset Table cannot reach beyond 2^32-1 bytes: choose offset_table='auto' "
                "or 'extended'"
            )
        self._last = self._total
        self._lengths.append(even)
        self._total += even + 8
        head = ITEM + struct.pack("<L", even)
        return [head, *pieces, b"\0"] if even != size else [head, *pieces]

    def postlude(self) -> list[Buffer]:
        """Return what stands behind the last frame."""
        return [SEQUENCE_END]


def size_of(pieces: Sequence[Buffer]) -> int:
    """Return how many bytes there are in pieces."""
    return sum(memoryview(piece).nbytes for piece in pieces)


def _little(numbers: array[int]) -> Buffer:
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


class Instance:
    """A DICOM file that is being written; see `dicomloom.files.Partial` for its name until then.

    Parameters
    ----------
    path : str
        Its final name.

    Notes
    -----
    The head is written first, with room for what is known at the end only. Where the room does not
    suffice, as for the offset table of an unknown number of frames, the frames are copied behind
    the new head inside the kernel.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._partial = Partial(path, visible=True)
        self._begun = False
        self._pending: list[Buffer] = []

    def begin(
        self,
        transfer_syntax: str,
        body: NativeBody | EncapsulatedBody,
        make_header: Callable[[int, bool], Header],
        expected: int | None,
    ) -> None:
        """Write the head. `make_header` takes a number of frames, and whether it is final."""
        if self._partial.file.tell():
            raise WriteError("cannot write: the beginning of it failed before", path=self.path)
        self._syntax = transfer_syntax
        self.body = body
        self._make_header = make_header
        self._deflater = (
            zlib.compressobj(wbits=-zlib.MAX_WBITS) if transfer_syntax == DEFLATED_LE else None
        )
        self._reserved = 0
        with writing(self.path):
            for chunk in gathered(self._head(expected or 0, final=False)):
                self._reserved += self._partial.file.write_all([chunk])
        self._begun = True

    @property
    def frames(self) -> int:
        """How many frames were written."""
        return self.body.frames if self._begun else 0

    def size_with(self, pieces: Sequence[Buffer]) -> int:
        """Return how large the file would be at most with one more frame."""
        return self._reserved + self.body.size_with(pieces) + 1024

    def _head(self, frames: int, *, final: bool) -> Iterator[Buffer]:
        header = self._make_header(frames, final)
        tag = pixel_tag_of(self.body._layout) if isinstance(self.body, NativeBody) else 0x7FE00010
        yield header.file_meta(self._syntax)
        data_set = header.data_set(last=tag - 1)
        if self._syntax == IMPLICIT_LE:
            data = b"".join(data_set)
            data_set = iter([_native.recode(data, 0, len(data), True, False, False)])
        if self._deflater is None:
            yield from data_set
            yield from self.body.prelude(final)
        else:
            yield from _stored(data_set)
            yield from _stored(self.body.prelude(final))

    def append(self, pieces: Sequence[Buffer]) -> None:
        """Take one coded frame, given in pieces, which are written by `flush`."""
        self._pending += self.body.frame(pieces)

    def flush(self) -> None:
        """Write all frames that were taken."""
        pending, self._pending = self._pending, []
        self._write(pending)

    def count_native(self, frames: int) -> None:
        """Account for native frames whose bytes come by `write_native`."""
        assert isinstance(self.body, NativeBody)
        self.body.count(frames)

    def write_native(self, data: Buffer) -> None:
        """Write bytes of native frames, which end where they like."""
        self._write([data])

    def _write(self, pieces: Sequence[Buffer]) -> None:
        if self._deflater is not None:
            pieces = [self._deflater.compress(piece) for piece in pieces]
        with writing(self.path):
            self._partial.file.write_all(pieces)

    def finish(self) -> None:
        """Put the head right, write what follows the frames, and bring all to the disk."""
        header = self._make_header(self.body.frames, True)
        self.flush()
        self._write(self.body.postlude())
        # In this order: who recovers what is killed here takes nothing for frames that is none.
        with writing(self.path):
            if self._deflater is not None:
                self._partial.file.write_all([self._deflater.flush(zlib.Z_SYNC_FLUSH)])
            self._put_head()
        header.elements.pop(TRAILING_PADDING, None)
        trailing = header.data_set(first=0x7FE00011)
        if self._syntax == IMPLICIT_LE:
            data = b"".join(trailing)
            trailing = iter([_native.recode(data, 0, len(data), True, False, False)])
        for chunk in gathered(trailing):
            self._write([chunk])
        if self._deflater is not None:
            rest = self._deflater.flush()
            with writing(self.path):
                self._partial.file.write_all([rest])
                if self._partial.file.tell() % 2:
                    self._partial.file.write_all([b"\0"])  # PS3.5 A.5
        self._partial.seal()

    def _final_head(self) -> Iterator[Buffer]:
        return gathered(self._head(self.body.frames, final=True))

    def _put_head(self) -> None:
        # A large one is made twice, in pieces, rather than once in memory: it has the offset table
        # in it, and may have functional groups of every frame.
        held = list(self._final_head()) if self._reserved < _LARGE else None

        def head() -> Iterable[Buffer]:
            return self._final_head() if held is None else held

        old = self._partial
        if sum(memoryview(chunk).nbytes for chunk in head()) == self._reserved:
            at = 0
            for chunk in head():
                view = memoryview(chunk).cast("B")
                while view:
                    count = write_at(old.file.fileno(), view, at)
                    at += count
                    view = view[count:]
            return
        end = os.lseek(old.file.fileno(), 0, os.SEEK_END)
        new = Partial(self.path, visible=True)
        try:
            for chunk in head():
                new.file.write_all([chunk])
            copied = new.file.copy(old.file.fileno(), self._reserved, end)
            if copied != end - self._reserved:
                raise PixelError(
                    f"the partial file was cut by another program: {end - self._reserved - copied} "
                    "bytes of it are missing",
                    path=old.name,
                )
        except BaseException:
            new.discard()
            raise
        self._partial = new
        old.discard()

    def place(self) -> None:
        """Give the finished file its name."""
        self._partial.place()

    def discard(self) -> None:
        """Remove what was written, unless it is in its place."""
        self._partial.discard()


def _stored(chunks: Iterable[Buffer]) -> Iterator[bytes]:
    """Wrap bytes in stored blocks (RFC 1951 3.2.4): part of a deflated stream, of known size."""
    # The upper bits of a block's first byte count for nothing. Were they 0, pydicom would take the
    # stream for an element of group 0000 where the length of the block ends in 00.
    for chunk in gathered(chunks):
        view = memoryview(chunk).cast("B")
        for at in range(0, len(view), 0xFFFF):
            block = view[at : at + 0xFFFF]
            yield struct.pack("<BHH", 0xF8, len(block), len(block) ^ 0xFFFF) + bytes(block)
