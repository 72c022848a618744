"""Files that appear under their name complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import io
import os
import stat
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from dicomloom.errors import WriteError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer


def write_error(path: str, error: OSError) -> WriteError:
    """Turn an OSError met while writing `path` into a WriteError that keeps its errno."""
    made = WriteError(f"cannot write: {error.strerror or error}", path=path)
    made.errno = error.errno
    made.filename = path
    return made


@contextlib.contextmanager
def writing(path: str) -> Iterator[None]:
    """Turn an OSError met in the block into a WriteError; a pipe whose reader left stays one."""
    try:
        yield
    except (WriteError, BrokenPipeError):
        raise
    except OSError as error:
        raise write_error(path, error) from error


def sync_folder(folder: str) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class _EagerFile(io.FileIO):
    """A file that is sent to the disk while it is being written, so that fsync has little to do."""

    _STEP = 4 << 20

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb")
        self._written = self._sent = 0

    def write(self, data: Buffer, /) -> int:
        count = super().write(data)
        self._written += count
        if self._written - self._sent >= self._STEP and hasattr(os, "posix_fadvise"):
            # Linux starts to write dirty pages that are said to be needed no more, and keeps them.
            size = self._written - self._sent
            os.posix_fadvise(self.fileno(), self._sent, size, os.POSIX_FADV_DONTNEED)
            self._sent = self._written
        return count


class Replacing:
    """Write a file beside `path`, and put it in its place when all went well.

    A context manager that gives a binary file. Leaving it normally flushes, syncs and renames;
    leaving it by an exception, Ctrl-C included, removes what was written and touches nothing else.
    A link at `path` is followed; a FIFO or device is written directly.

    Parameters
    ----------
    path : str or path-like

    Raises
    ------
    WriteError
        The system would not let the file be written.

    Examples
    --------
    >>> import pathlib, tempfile
    >>> target = pathlib.Path(tempfile.mkdtemp(), "table.csv")
    >>> with Replacing(target) as file:
    ...     _ = file.write(b"a,b")
    >>> target.read_bytes()
    b'a,b'
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = os.fspath(path)
        self._target = os.path.realpath(self.path)
        self._folder = os.path.dirname(self._target)
        self._partial: str | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        """Open the partial file."""
        with writing(self.path):
            try:
                mode = os.stat(self._target).st_mode
            except FileNotFoundError:
                mode = None
            if mode is not None and stat.S_ISDIR(mode):
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            if mode is not None and not stat.S_ISREG(mode):
                self._file = open(self._target, "wb")
            else:
                self._open_partial(mode)
        assert self._file is not None
        return self._file

    def _open_partial(self, mode: int | None) -> None:
        # A random name of fixed length: two writers never meet, and a long target name still fits.
        while self._file is None:
            partial = os.path.join(self._folder, f".dicomloom-{os.urandom(8).hex()}.partial")
            try:
                descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
            except FileExistsError:
                continue
            self._partial = partial
            self._file = io.BufferedWriter(_EagerFile(descriptor))
            if mode is not None:
                os.chmod(partial, stat.S_IMODE(mode))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place, or remove it."""
        file, self._file = self._file, None
        assert file is not None
        try:
            if error is None:
                with writing(self.path):
                    self._put_in_place(file)
        finally:
            # After a failed write, closing fails again on the bytes still held: they are lost
            # already, and the first failure is the one to tell.
            with contextlib.suppress(OSError):
                file.close()
            if self._partial is not None:
                os.unlink(self._partial)
                self._partial = None

    def _put_in_place(self, file: BinaryIO) -> None:
        file.flush()
        if self._partial is not None:
            os.fsync(file.fileno())
        file.close()
        if self._partial is not None:
            os.replace(self._partial, self._target)
            self._partial = None
            sync_folder(self._folder)
