"""Frames where they lie in an object: native, by an offset table, or found by walking the items."""

from __future__ import annotations

import struct
import sys
import threading
import warnings
from array import array
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple

from dicomloom._native import frames as _native
from dicomloom.codecs.base import Codec
from dicomloom.codecs.bitstream import starts_frame
from dicomloom.codecs.layout import SUBSAMPLED
from dicomloom.codecs.registry import find
from dicomloom.errors import (
    CorruptError,
    DicomloomError,
    DicomloomWarning,
    FrameError,
    NotDicomError,
    OffsetTableWarning,
    TruncatedError,
    UnsupportedError,
)
from dicomloom.frames.header import (
    EXTENDED_LENGTHS,
    EXTENDED_TABLE,
    SEQUENCE_END,
    StoredObject,
    read_object,
    read_trailing,
)
from dicomloom.frames.pixels import frames_of, layout_of
from dicomloom.frames.sources import Source
from dicomloom.frames.syntaxes import (
    ENCAPSULATED_UNCOMPRESSED,
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    NATIVE,
)

if TYPE_CHECKING:
    from pydicom import Dataset

_ITEM = b"\xfe\xff\x00\xe0"  # FFFE,E000
_PREFIX = 64  # bytes of a fragment that tell whether a frame begins with it


def little_endian(code: str, data: bytes) -> array[int]:
    """Return little-endian numbers as an array."""
    numbers = array(code)
    numbers.frombytes(data)
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers


def shifted(data: bytes, skip: int, bits: int) -> bytes:
    """Return so many bits behind the first `skip`, beginning with a byte of their own."""
    number = int.from_bytes(data, "little") >> skip & (1 << bits) - 1
    return number.to_bytes((bits + 7) // 8, "little")


class _Table(NamedTuple):
    """An offset table: where each frame's first item begins, and its bitstream's length."""

    kind: str
    starts: array[int]
    lengths: array[int] | None


class StoredFrames:
    """The frames of one object, still coded; may be used from many threads at once.

    Attributes
    ----------
    header : Header
    layout : Layout
        What the data set says.
    count : int
        NumberOfFrames.
    transfer_syntax : str
        The UID.
    codec : Codec
    in_order : bool
        The stored bytes of a frame are the frame: uncompressed, little endian, color by pixel.
    native_frames : int
        How many native frames are all there.
    """

    def __init__(self, source: Source, found: StoredObject | None = None) -> None:
        self._file = source
        found = found or read_object(source)
        if found.pixels is None:
            raise NotDicomError(
                "no pixel data: the data set has no (7FE0,0010), (7FE0,0008) or (7FE0,0009)",
                path=source.path,
            )
        self.object = found
        self.source = found.source
        self.header = found.header
        self.pixels = found.pixels
        self.transfer_syntax = syntax_of(found)
        try:
            self.codec: Codec = find(self.transfer_syntax)
        except UnsupportedError as error:
            error.path = source.path
            raise
        self.layout = layout_of(self.header, self.pixels.tag)
        self.count = frames_of(self.header)
        if not self.encapsulated and self.layout.photometric in SUBSAMPLED:
            full = self.layout.replace(photometric="YBR_FULL")
            if self.count * full.frame_bytes <= (self.pixels.length or 0):
                self.layout = full  # such files exist: Cb and Cr are not halved, whatever they say
        self._frame_bytes = self.layout.frame_bytes
        self._native_end = self.pixels.value + (self.pixels.length or 0)
        self.native_frames = 0
        if not self.encapsulated:
            self._native_end = min(self._native_end, self.source.most())
            bits = max(self._native_end - self.pixels.value, 0) * 8
            self.native_frames = min(self.count, bits // self.layout.frame_bits)
        self._lock = threading.Lock()
        self._table: _Table | None = None
        self._fragments: tuple[array[int], array[int]] | None = None  # by walking
        self._first: array[int] | None = None  # each frame's first fragment; None: one to one
        self.in_order = (
            (not self.encapsulated or self.codec.uid == ENCAPSULATED_UNCOMPRESSED)
            and not self.object.big_endian
            and self.layout.planar == 0
            and self.layout.frame_bits % 8 == 0
            and self.layout.photometric not in SUBSAMPLED
        )
        if self.encapsulated:
            self._open_tables()

    @property
    def table(self) -> str:
        """How frames are found: ``"native"``, ``"extended"``, ``"basic"`` or ``"walked"``."""
        if not self.encapsulated:
            return "native"
        table = self._table
        return table.kind if table else "walked"

    @property
    def path(self) -> str | None:
        """The file, for messages."""
        return self._file.path

    @property
    def encapsulated(self) -> bool:
        """Whether each frame is a bitstream of its own."""
        return self.pixels.length is None

    def close(self) -> None:
        """Close the file."""
        self.source.close()

    def dataset(self) -> Dataset:
        """Return the data set without its pixels, as pydicom reads it."""
        from dicomloom.frames.dataset import dataset_of

        return dataset_of(self.header, self.transfer_syntax, walkable=True)

    # --- where frames are ---

    def native_range(self, frame: int) -> tuple[int, int]:
        """Return the first bit of a native frame and the one behind it, counted from byte 0."""
        bits = self.layout.frame_bits
        start = self.pixels.value * 8 + frame * bits
        return start, start + bits

    def read_into(self, frame: int, into: memoryview, skip: int = 0) -> None:
        """Fill a buffer with what is at byte `skip` of a frame that is stored as it is.

        See `in_order`.
        """
        size = into.nbytes
        if not self.encapsulated:
            start = self.pixels.value + frame * self._frame_bytes
            if start + skip + size > self._native_end:
                last = frame + (skip + size - 1) // self._frame_bytes
                for asked in range(frame, last + 1):
                    self.pieces(asked)  # says which is not all there
            self.source.read_into(start + skip, into)
            return
        rest = into.cast("B")
        for offset, length in self.pieces(frame):
            if skip < length and rest:
                piece = min(length - skip, len(rest))
                self.source.read_into(offset + skip, rest[:piece])
                rest = rest[piece:]
            skip = max(0, skip - length)
        if rest:
            raise self._lacking(frame, f"its fragments have {len(rest)} bytes less than {size}")

    @property
    def present(self) -> int:
        """How many frames can be there at most, going by the bytes; no more than `count`."""
        if not self.encapsulated:
            return self.native_frames
        if self._table is not None:
            return self.count  # it has a place for each
        offsets, _ = self._walked()
        return min(self.count, len(offsets if self._first is None else self._first))

    def require(self, frame: int) -> None:
        """Raise TruncatedError for the first frame that is missing, if `frame` is, too.

        NumberOfFrames may say anything: whoever makes room for many frames asks first.
        """
        present = self.present
        if frame >= present:
            raise self._lacking(present, f"there are bytes for {present}")

    def pieces(self, frame: int) -> list[tuple[int, int]]:
        """Return offset and length of each piece of a frame: its fragments, or the native bytes."""
        if not 0 <= frame < self.count:
            raise FrameError(f"frame {frame} of an object with {self.count} frames", path=self.path)
        if not self.encapsulated:
            first, last = self.native_range(frame)
            start, end = first // 8, (last + 7) // 8
            if end > self._native_end:
                raise self._lacking(
                    frame, f"pixel data end at byte {self._native_end}, frame at {end}"
                )
            return [(start, end - start)]
        table = self._table
        if table is not None:
            try:
                return self._pieces_by_table(table, frame)
            except (CorruptError, TruncatedError) as error:
                self._distrust(str(error.message))
        return self._pieces_by_walk(frame)

    def encoded(self, frame: int) -> bytes:
        """Return a frame as it is stored, its fragments joined.

        Native frames of one bit a pixel that do not begin with a byte are shifted to do so, and
        bytes that are stored in big-endian words are put in order.
        """
        try:
            pieces = self.pieces(frame)
            if self._words:
                return self._from_words(*pieces[0])
            if len(pieces) == 1:
                data = self.source.exactly(*pieces[0])
            else:
                data = b"".join(self.source.exactly(*piece) for piece in pieces)
        except DicomloomError as error:
            error.frame = frame
            error.path = error.path or self.path
            raise
        if not self.encapsulated and self.layout.frame_bits % 8:
            first, last = self.native_range(frame)
            data = shifted(data, first % 8, last - first)
        return data

    @property
    def _words(self) -> bool:
        # PS3.5 8.1.1: in OW of a big-endian file, bytes and bits lie in 16-bit words.
        return self.object.big_endian and self.pixels.vr == "OW" and self.layout.bits_allocated <= 8

    def _from_words(self, offset: int, length: int) -> bytes:
        start = self.pixels.value
        before = (offset - start) % 2
        whole = before + length + (before + length) % 2
        words = array("H", self.source.exactly(offset - before, whole))
        words.byteswap()
        return words.tobytes()[before : before + length]

    @property
    def offsets(self) -> array[int]:
        """Where each frame's first stored byte is, from the start of the file (if deflated: of
        the data set); of frames that are missing nothing is said."""
        if not self.encapsulated:
            return array("Q", [self.native_range(i)[0] // 8 for i in range(self.present)])
        table = self._table
        if table is not None:
            return array("Q", [start + 8 for start in table.starts])
        offsets, _ = self._walked()
        if self._first is None:
            return offsets[: self.count]
        return array("Q", [offsets[i] for i in self._first])

    def _lacking(self, frame: int, why: str) -> TruncatedError:
        offset = self.pixels.value if self.encapsulated else self._native_end
        if self.encapsulated and self._table is None:
            offsets, lengths = self._walked()
            offset = offsets[-1] + lengths[-1] if offsets else offset
        return TruncatedError(
            f"truncated: frame {frame} of {self.count} is not all there: {why}",
            path=self.path,
            offset=offset,
            tag=self.pixels.tag,
            frame=frame,
        )

    # --- by offset tables ---

    def _open_tables(self) -> None:
        start = self.pixels.value
        head = self.source.read_at(start, 8)
        if len(head) < 8 or head[:4] != _ITEM:
            raise CorruptError(
                f"encapsulated pixel data must begin with an item (PS3.5 A.4), at byte {start} "
                f"there is {head[:4].hex(' ') or 'nothing'}",
                path=self.path,
                offset=start,
            )
        size = struct.unpack("<L", head[4:])[0]
        base = start + 8 + size
        trouble = self._extended(base) or (self._basic(start + 8, size, base) if size else None)
        if trouble:
            self._distrust(trouble)

    def _extended(self, base: int) -> str | None:
        table = self.header.elements.get(EXTENDED_TABLE)
        lengths = self.header.elements.get(EXTENDED_LENGTHS)
        if table is None or not table.size:
            return None
        if table.size != 8 * self.count:
            return f"the Extended Offset Table has {table.size} bytes for {self.count} frames"
        offsets = table.value
        starts = little_endian("Q", offsets)
        if max(starts) >= 1 << 62 or any(start % 2 for start in starts):
            return "the Extended Offset Table holds impossible offsets"
        if any(a >= b for a, b in pairwise(starts)) and len(set(starts)) < len(starts):
            # Else a few bytes of table would be a frame of any size each.
            return "the Extended Offset Table leads to one frame twice"
        sizes = None
        if lengths is not None and lengths.size == 8 * self.count:
            sizes = little_endian("Q", lengths.value)
        self._use("extended", starts, sizes, base)
        return None

    def _basic(self, offset: int, size: int, base: int) -> str | None:
        if size != 4 * self.count:
            return f"the Basic Offset Table has {size} bytes for {self.count} frames"
        offsets = little_endian("I", self.source.exactly(offset, size))
        if offsets[0] != 0:
            return f"the Basic Offset Table begins with {offsets[0]}, not 0"
        previous = -1
        for start in offsets:
            if start <= previous or start % 2:
                return "the Basic Offset Table is not in ascending order, or odd"
            previous = start
        self._use("basic", array("Q", offsets), None, base)
        return None

    def _use(self, kind: str, starts: array[int], lengths: array[int] | None, base: int) -> None:
        for i, start in enumerate(starts):
            starts[i] = start + base
        self._table = _Table(kind, starts, lengths)

    def _distrust(self, why: str) -> None:
        warnings.warn(
            f"{self.path or 'object'}: {why}; walking the items instead",
            OffsetTableWarning,
            stacklevel=4,
        )
        self._table = None

    def _pieces_by_table(self, table: _Table, frame: int) -> list[tuple[int, int]]:
        kind, starts, lengths = table
        start = starts[frame]
        if kind == "extended":
            # PS3.3 C.7.6.3.1.8: one fragment a frame.
            head = self.source.exactly(start, 8)
            tag, length = head[:4], struct.unpack("<L", head[4:])[0]
            if tag != _ITEM:
                raise CorruptError(f"the table leads to byte {start}, where no item begins")
            if lengths is not None:
                told = lengths[frame]
                if not 0 <= length - told <= 1:
                    raise CorruptError(
                        f"the table says {told} bytes for frame {frame}, its item has {length}"
                    )
                length = told
            return [(start + 8, length)]
        if frame + 1 < self.count:
            found = _native.fragment_items(self.source.native, start, starts[frame + 1])
        else:
            offsets, sizes, end, complete = _native.walk_items(self.source.native, start)
            found = list(zip(offsets, sizes, strict=True))
            if not complete:
                raise TruncatedError(f"the items break off behind byte {end}")
        if not found:
            raise CorruptError(f"the table leads to byte {start}, where no item begins")
        return found

    # --- by walking ---

    def _walked(self) -> tuple[array[int], array[int]]:
        with self._lock:
            if self._fragments is None:
                offsets, lengths, self._end, self._complete = _native.walk_items(
                    self.source.native, self.pixels.value
                )
                del offsets[:1], lengths[:1]  # the Basic Offset Table
                self._first = self._group(offsets, lengths)
                self._fragments = (offsets, lengths)
            return self._fragments

    def _group(self, offsets: array[int], lengths: array[int]) -> array[int] | None:
        """Return the first fragment of each frame; None where every frame has one fragment."""
        if len(offsets) == self.count or not offsets:
            return None
        if not self._complete and len(offsets) < self.count:
            return None
        if self.count == 1:
            return array("Q", [0])
        starts = array("Q")
        for i, (offset, length) in enumerate(zip(offsets, lengths, strict=True)):
            prefix = self.source.read_at(offset, min(length, _PREFIX))
            if starts_frame(prefix, self.transfer_syntax):
                starts.append(i)
        if len(starts) == self.count and starts[0] == 0:
            return starts
        if len(offsets) < self.count:
            return None
        raise CorruptError(
            f"{len(offsets)} fragments hold {self.count} frames without a usable offset table, and "
            f"{len(starts)} of them look like the start of a frame: which belongs to which cannot "
            "be told",
            path=self.path,
            offset=self.pixels.value,
            tag=self.pixels.tag,
        )

    def _pieces_by_walk(self, frame: int) -> list[tuple[int, int]]:
        offsets, lengths = self._walked()
        if self._first is None:
            if frame >= len(offsets):
                raise self._lacking(frame, f"there are {len(offsets)} whole items")
            return [(offsets[frame], lengths[frame])]
        if frame >= len(self._first):
            raise self._lacking(frame, f"{len(self._first)} frames were found")
        first = self._first[frame]
        last = self._first[frame + 1] if frame + 1 < len(self._first) else len(offsets)
        return [(offsets[i], lengths[i]) for i in range(first, last)]

    # --- behind the pixels ---

    def end_of_pixels(self) -> int:
        """Return the offset behind the pixel data."""
        if self.pixels.length is not None:
            return self._native_end
        offset, length = self.pieces(self.count - 1)[-1]
        end = offset + length + length % 2
        if self.source.read_at(end, 4) == SEQUENCE_END[:4]:
            return end + 8
        self._walked()
        return self._end

    def load_trailing(self) -> None:
        """Add the elements behind the pixel data to `header`; what cannot be read is left out."""
        try:
            self.header.elements.update(
                read_trailing(self.source, self.end_of_pixels(), self.object).elements
            )
        except DicomloomError as error:
            warnings.warn(
                f"{self.path or 'object'}: what follows the pixel data is left out: "
                f"{error.message}",
                DicomloomWarning,
                stacklevel=3,
            )


def syntax_of(found: StoredObject) -> str:
    """Return the transfer syntax, or what the encoding shows where file meta do not say."""
    syntax, pixels = found.transfer_syntax, found.pixels
    encapsulated = pixels is not None and pixels.length is None
    in_items = syntax is not None and syntax not in NATIVE and syntax != EXPLICIT_BE
    if encapsulated and not in_items:
        raise CorruptError(
            f"pixel data are encapsulated, but the transfer syntax is {syntax or 'absent'}: how "
            "they are coded cannot be told",
            path=found.header.path,
            offset=pixels.value if pixels else None,
        )
    if encapsulated and syntax:
        return syntax
    if in_items and pixels is not None and found.source.read_at(pixels.value, 4) == _ITEM:
        # Samples in a file that says otherwise are read; items would make wrong ones.
        raise CorruptError(
            f"pixel data of transfer syntax {syntax} begin with an item, but have a length of "
            f"{pixels.length} bytes, where it must be undefined (PS3.5 A.4)",
            path=found.header.path,
            offset=pixels.value,
            tag=pixels.tag,
        )
    if found.big_endian:
        return EXPLICIT_BE
    return EXPLICIT_LE if found.explicit_vr else IMPLICIT_LE
