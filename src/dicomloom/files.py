"""Files that appear under their name complete or not at all."""

from __future__ import annotations

import contextlib
import errno
import functools
import io
import os
import stat
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, BinaryIO

from dicomloom.errors import DicomloomError, ReadError, WriteError
from dicomloom.system import (
    AT_ONCE,
    BYTES,
    keep_mode,
    read_into,
    sync_folder,
    write_pieces,
    written_back,
)

if TYPE_CHECKING:
    from typing import Self

    from _typeshed import ReadableBuffer as Buffer


def write_error(path: str, error: OSError) -> WriteError:
    """Turn an OSError met while writing `path` into a WriteError that keeps its errno."""
    made = WriteError(f"cannot write: {error.strerror or error}", path=path)
    made.errno = error.errno
    made.filename = path
    return made


class _Writing:
    """What `writing` gives; a class costs a fraction of what a generator does."""

    __slots__ = ("_path",)

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if isinstance(error, OSError) and not isinstance(error, DicomloomError | BrokenPipeError):
            raise write_error(self._path, error) from error


def writing(path: str) -> contextlib.AbstractContextManager[None]:
    """Turn an OSError met in a block into a WriteError; a pipe whose reader left stays one."""
    return _Writing(path)


@contextlib.contextmanager
def reading(path: str) -> Iterator[None]:
    """Turn an OSError met in a block into a ReadError of a file."""
    try:
        yield
    except DicomloomError:
        raise
    except OSError as error:
        raise unreadable(path, error) from error


def make_folders(folder: str, *, sync: bool = True) -> None:
    """Make a folder and those above it, where they are missing, so that they survive a power cut.

    Parameters
    ----------
    folder : str
    sync : bool
        Bring their names to the disk.

    Raises
    ------
    WriteError
        One of them cannot be made.
    """
    missing = []
    above = os.path.abspath(folder)
    with writing(folder):
        while not os.path.isdir(above):
            missing.append(above)
            above = os.path.dirname(above)
        try:
            os.makedirs(folder, exist_ok=True)
        except FileExistsError as error:  # a file, or a link that leads nowhere
            code = errno.ENOTDIR
            raise NotADirectoryError(code, os.strerror(code), error.filename) from error
        if sync:
            for one in reversed(missing):
                sync_folder(os.path.dirname(one))


_PAGE = 4096
# A file system without hard links, or a file that can have no more of them.
NO_LINKS = (errno.EPERM, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
# copy_file_range: not between these two files, or not at all.
_NOT_BETWEEN = (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM)


class EagerFile(io.FileIO):
    """A file that is sent to the disk while it is being written, so that fsync has little to do."""

    _STEP = 4 << 20
    _BUFFER = 256 << 10

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "wb")
        self._written = self._sent = 0
        self._owner = os.getpid()

    def check_owner(self) -> None:
        """See that this is no forked child, whose bytes would end up between its parent's.

        Raises
        ------
        OSError
        """
        if os.getpid() != self._owner:
            raise OSError(errno.EPERM, "another process began this file, and alone can end it")

    def write(self, data: Buffer, /) -> int:
        """Write what the system takes of a buffer; returns how many bytes that were."""
        self.check_owner()
        count = super().write(data)
        self._count(count)
        return count

    def write_all(self, pieces: Sequence[Buffer]) -> int:
        """Write buffers one behind the other, whole; returns how many bytes that were."""
        self.check_owner()
        views = [memoryview(piece).cast("B") for piece in pieces]
        total = 0
        while views:
            count = write_pieces(self.fileno(), views)
            self._count(count)
            total += count
            while views and count >= len(views[0]):
                count -= len(views.pop(0))
            if views and count:
                views[0] = views[0][count:]
        return total

    def copy(self, descriptor: int, start: int, end: int) -> int:
        """Append the bytes from `start` to `end` of another file.

        Returns how many there were: fewer where the other file ends before.
        """
        at = start
        # The kernel copies whole pages, or shares them, where they lie alike in both files; where
        # they do not, it takes twice as long as reading and writing does.
        while at < end and (self.tell() - at) % _PAGE == 0 and hasattr(os, "copy_file_range"):
            try:
                count = os.copy_file_range(
                    descriptor, self.fileno(), min(end - at, 8 << 20), offset_src=at
                )
            except OSError as error:
                if error.errno not in _NOT_BETWEEN:
                    raise
                break
            if count == 0:
                return at - start
            self._count(count)
            at += count
        buffer = memoryview(bytearray(min(self._BUFFER, end - at)))
        while at < end:
            count = read_into(descriptor, buffer[: end - at], at)
            if count == 0:
                break
            self.write_all([buffer[:count]])
            at += count
        return at - start

    def _count(self, count: int) -> None:
        self._written += count
        if self._written - self._sent >= self._STEP:
            written_back(self.fileno(), self._sent, self._written - self._sent)
            self._sent = self._written


class Partial:
    """A file written beside `path`, which takes its name when it is complete.

    Parameters
    ----------
    path : str or path-like
        The final name. A link is followed; what is neither absent nor a regular file is refused.
    visible : bool
        Name it ``<name>.partial``, for a user who wants to recover what a killed process wrote;
        else a hidden name of fixed length. Names in use are never taken.

    Attributes
    ----------
    path, name : str
        The final name as it was given; the name it has until then.
    file : EagerFile
        Open for reading and writing.
    """

    name = ""
    file: EagerFile

    def __init__(self, path: str | os.PathLike[str], *, visible: bool = False) -> None:
        self.path = os.fspath(path)
        self._owner = os.getpid()
        self._target = os.path.realpath(self.path)
        self._folder = os.path.dirname(self._target)
        with writing(self.path):
            mode = replaced_mode(self._target)
            self._create(self._names(visible))
            try:
                if mode is not None:
                    keep_mode(self.file.fileno(), mode)
            except BaseException:
                # Whoever keeps the error keeps this object with it, and so the file.
                self.discard()
                raise

    @classmethod
    def within(cls, folder: str, path: str) -> Self:
        """Begin a file in a folder, in which no name is looked at: whoever places it knows how.

        Parameters
        ----------
        folder : str
            Where it lies until then, without a link in it.
        path : str
            What it is called in errors.
        """
        made = cls.__new__(cls)
        made.path = made._target = path
        made._folder, made._owner = folder, os.getpid()
        with writing(path):
            made._create(made._names(visible=False))
        return made

    def _create(self, names: Iterator[str]) -> None:
        """Open a new file by the first name that is free."""
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | BYTES
        opener = functools.partial(os.open, flags=flags, mode=0o666)
        opened: list[int] = []
        for name in names:
            try:
                # One step of the interpreter: an interrupt finds no file, or one that is known.
                # Nothing else says whose a file of that name is.
                opened.extend(map(opener, (name,)))
                self.file, self.name = EagerFile(opened[0]), name
                return
            except FileExistsError:
                continue
            except BaseException:
                if opened:
                    self.name = name
                    self.discard()
                raise

    def _names(self, visible: bool) -> Iterator[str]:
        if not visible:
            # A random name of fixed length: two writers never meet, and a long target name fits.
            while True:
                yield os.path.join(self._folder, f".dicomloom-{os.urandom(8).hex()}.partial")
        number = 0
        name = os.fsencode(os.path.basename(self._target))
        while True:
            end = b".%d.partial" % number if number else b".partial"
            cut = name[: 255 - len(end)].decode("utf-8", "ignore")  # whole characters
            stem = cut if len(name) + len(end) > 255 else os.fsdecode(name)
            yield os.path.join(self._folder, stem + os.fsdecode(end))
            number += 1

    def seal(self) -> None:
        """Bring all bytes to the disk and close the file."""
        with writing(self.path):
            self.file.check_owner()
            os.fsync(self.file.fileno())
            self.file.close()

    def place(self) -> None:
        """Give the sealed file its final name, in place of what may stand there."""
        with writing(self.path):
            os.replace(self.name, self._target)
            self.name = ""
            sync_folder(self._folder)

    def place_new(self) -> bool:
        """Give the sealed file its final name, unless something has that name already.

        Returns
        -------
        bool
            Whether that was done: False where another was faster. A link of that name is something.
        """
        with writing(self.path):
            try:
                os.link(self.name, self.path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                return self._claim()
            sync_folder(self._folder)
        return True

    def _claim(self) -> bool:
        """Take the name by an empty file, which nobody else can, and replace that."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | BYTES
        try:
            os.close(os.open(self.path, flags, 0o666))
        except FileExistsError:
            return False
        try:
            self.place()
        except BaseException:
            if self.name:
                os.unlink(self.path)
            raise
        return True

    def discard(self) -> None:
        """Remove it, unless it is in its place; a forked child leaves it to its parent."""
        # After a failed write, what follows may fail too: the first failure is the one to tell.
        with contextlib.suppress(OSError, AttributeError):
            self.file.close()
        if self.name and self._owner == os.getpid():
            with contextlib.suppress(OSError):
                os.unlink(self.name)
        self.name = ""

    def __del__(self) -> None:
        # An interrupt may come before anybody holds what was made.
        if self.name:
            self.discard()


def replaced_mode(path: str) -> int | None:
    """Return the permissions of what is to be replaced, None where there is nothing.

    Raises
    ------
    OSError
        It is no regular file.
    """
    mode = mode_of(path)
    if mode is None:
        return None
    if not stat.S_ISREG(mode):
        code = errno.EISDIR if stat.S_ISDIR(mode) else errno.EINVAL
        raise OSError(code, f"{os.strerror(code)}: only a regular file can be replaced")
    return stat.S_IMODE(mode)


def mode_of(path: str) -> int | None:
    """Return st_mode of what `path` leads to, None where there is nothing."""
    try:
        return os.stat(path).st_mode
    except FileNotFoundError:
        return None


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
        self._partial: Partial | None = None
        self._file: BinaryIO | None = None

    def __enter__(self) -> BinaryIO:
        """Open the partial file."""
        with writing(self.path):
            mode = mode_of(self.path)
            if mode is None or stat.S_ISREG(mode) or stat.S_ISDIR(mode):
                self._partial = Partial(self.path)
                self._file = io.BufferedWriter(self._partial.file)
            else:
                self._file = open(self.path, "wb")
        return self._file

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Put the file in its place, or remove it."""
        file, self._file = self._file, None
        partial, self._partial = self._partial, None
        assert file is not None
        try:
            if error is None:
                with writing(self.path):
                    file.flush()
                    if partial is None:
                        file.close()
                    else:
                        partial.seal()
                        partial.place()
        finally:
            # Bytes still held are lost already, and the first failure is the one to tell. They must
            # not be written by a forked child either: so the file below is closed first.
            if partial is not None:
                partial.discard()
            with contextlib.suppress(OSError, ValueError):
                file.close()


def open_regular(path: str) -> int:
    """Open a regular file to read, and return its descriptor.

    Anything else is refused at once: opening a FIFO would wait for somebody who writes to it, and a
    device may never end.

    Raises
    ------
    ReadError
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | BYTES | AT_ONCE)
    except OSError as error:
        raise unreadable(path, error) from error
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return descriptor
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise unreadable(path, OSError(errno.EISDIR, "a directory"))
    raise unreadable(path, OSError(errno.EINVAL, "not a regular file"))


def unreadable(
    path: str | None, error: OSError, what: str = "", *, offset: int | None = None
) -> ReadError:
    """Return what to raise where the system would not let a file be read.

    `what` is what the file is to its reader, such as ``"the log"``.
    """
    said = f"cannot read {what}".rstrip()
    made = ReadError(f"{said}: {error.strerror or error}", path=path, offset=offset)
    made.errno, made.filename = error.errno, path
    return made
