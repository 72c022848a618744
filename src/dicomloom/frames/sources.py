"""Where the bytes of an object come from, read by offset: a file, memory, a deflated data set."""

from __future__ import annotations

import io
import os
import threading
from typing import TYPE_CHECKING, BinaryIO, cast

from dicomloom.errors import TruncatedError
from dicomloom.files import open_regular, unreadable
from dicomloom.inflate import LONGEST, InflatedReader
from dicomloom.system import read_at, read_into

if TYPE_CHECKING:
    from typing_extensions import Buffer

    from dicomloom._native.frames import Source as NativeSource

StrPath = str | os.PathLike[str]

_UNASKED = 1 << 20  # bytes for which there is room without a look at what is there


class Source:
    """Bytes at offsets, from many threads at once.

    Attributes
    ----------
    path : str or None
        For error messages.
    native : object
        What the C core reads it through: a descriptor, bytes, or the source itself.
    sequential : bool
        Going back costs reading from the start again.
    """

    path: str | None = None
    sequential = False
    native: NativeSource

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`; fewer only at the end."""
        raise NotImplementedError

    def read_into(self, offset: int, into: memoryview) -> None:
        """Fill `into` with the bytes at `offset`; TruncatedError where there are fewer."""
        into.cast("B")[:] = self.exactly(offset, into.nbytes)

    def size(self) -> int:
        """Return how many bytes there are."""
        raise NotImplementedError

    def most(self) -> int:
        """Return how many bytes there can be at most; unlike `size` it costs nothing."""
        return self.size()

    def close(self) -> None:
        """Give back what it holds."""

    def _backed(self, offset: int, size: int) -> int:
        """Return how many of `size` bytes can be there: room is made for no more."""
        return size if size <= _UNASKED else max(0, min(size, self.size() - offset))

    def exactly(self, offset: int, size: int) -> bytes:
        """Return `size` bytes at `offset`; TruncatedError where there are fewer."""
        data = self.read_at(offset, size)
        if len(data) < size:
            raise self.cut(offset, size, len(data))
        return data

    def cut(self, offset: int, size: int, got: int) -> TruncatedError:
        """Return the error for bytes that are not there."""
        return TruncatedError(
            f"truncated: {size} bytes were expected at byte {offset}, {got} are there",
            path=self.path,
            offset=offset + got,
        )


class FileSource(Source):
    """A file, of which many threads may read at once."""

    def __init__(self, path: StrPath) -> None:
        self.path = os.fspath(path)
        self._descriptor = self.native = -1
        self._descriptor = self.native = open_regular(self.path)

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`."""
        size = self._backed(offset, size)
        try:
            data = read_at(self._descriptor, size, offset)
            while size > _UNASKED and 0 < len(data) < size:  # more than 2 GiB
                more = read_at(self._descriptor, size - len(data), offset + len(data))
                if not more:
                    break
                data += more
        except OSError as error:
            raise unreadable(self.path, error, offset=offset) from error
        return data

    def read_into(self, offset: int, into: memoryview) -> None:
        """Fill `into` with the bytes at `offset`."""
        size = into.nbytes
        try:
            done = read_into(self._descriptor, into, offset)
            while done < size:  # a signal, or more than 2 GiB
                got = read_into(self._descriptor, into.cast("B")[done:], offset + done)
                if got == 0:
                    raise self.cut(offset, size, done)
                done += got
        except OSError as error:
            raise unreadable(self.path, error, offset=offset) from error

    def size(self) -> int:
        """Return how many bytes there are."""
        return os.fstat(self._descriptor).st_size

    def close(self) -> None:
        """Give back what it holds."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            self.native = -1
            os.close(descriptor)


class BytesSource(Source):
    """Bytes in memory."""

    def __init__(self, data: Buffer) -> None:
        self._view = memoryview(data).cast("B")
        self.native = self._view

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`."""
        return bytes(self._view[offset : offset + size])

    def size(self) -> int:
        """Return how many bytes there are."""
        return len(self._view)


class ObjectSource(Source):
    """A seekable binary file object; its owner keeps it open and does not move it meanwhile."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._lock = threading.Lock()
        self._start = file.tell()
        self.path = name if isinstance(name := getattr(file, "name", None), str) else None
        self.native = self

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`."""
        size = self._backed(offset, size)
        with self._lock:
            self._file.seek(self._start + offset)
            data = self._file.read(size)
            while 0 < len(data) < size:  # raw files may give less than asked before the end
                more = self._file.read(size - len(data))
                if not more:
                    break
                data += more
            return data

    def size(self) -> int:
        """Return how many bytes there are."""
        with self._lock:
            return self._file.seek(0, io.SEEK_END) - self._start


class InflatedSource(Source):
    """The data set of a deflated file (PS3.5 A.5); going back starts the inflating over.

    Holds at most 256 KiB, whatever the size of the data set. Inflates only as far as it is asked,
    and no further than a header reaches (`inflate.MOST`) until `lift` is called.
    """

    sequential = True

    def __init__(self, below: Source, start: int) -> None:
        self.path = below.path
        self._lock = threading.Lock()
        self._below = below
        self._reader = InflatedReader(lambda offset, size: below.read_at(start + offset, size))
        self.native = self

    def lift(self) -> None:
        """Let pixels be read, too: as much as one length can say."""
        self._reader.limit = LONGEST

    def read_at(self, offset: int, size: int) -> bytes:
        """Return up to `size` bytes at `offset`."""
        pieces = []
        with self._lock:
            while size > 0:
                # In steps: the reader keeps only so much of what it has inflated.
                data = self._reader.read_at(offset, min(size, 1 << 16))
                if not data:
                    break
                pieces.append(data)
                offset += len(data)
                size -= len(data)
        return b"".join(pieces)

    def read_into(self, offset: int, into: memoryview) -> None:
        """Fill `into` with the bytes at `offset`, without a copy of all of them on the way."""
        rest, at = into.cast("B"), offset
        with self._lock:
            while rest:
                data = self._reader.read_at(at, min(len(rest), 1 << 16))
                if not data:
                    raise self.cut(offset, into.nbytes, at - offset)
                rest[: len(data)] = data
                rest, at = rest[len(data) :], at + len(data)

    def size(self) -> int:
        """Return how many bytes there are."""
        with self._lock:
            return self._reader.size()

    def most(self) -> int:
        """Return how many bytes there can be: deflate makes at most 1,032 of one."""
        return (self._below.size() + 1) * 1032

    def close(self) -> None:
        """Give back what it holds."""
        self._below.close()


def open_source(source: StrPath | Buffer | BinaryIO) -> Source:
    """Return the source for a path, bytes, or a seekable file object."""
    if isinstance(source, str | os.PathLike):
        return FileSource(source)
    if hasattr(source, "read"):
        return ObjectSource(cast("BinaryIO", source))
    return BytesSource(source)
