"""Files that appear under their name complete or not at all."""

from __future__ import annotations

import os
import stat
from types import TracebackType
from typing import BinaryIO

from dicomloom.errors import WriteError


def write_error(path: str, error: OSError) -> WriteError:
    """Turn an OSError met while writing `path` into a WriteError that keeps its errno."""
    made = WriteError(f"cannot write: {error.strerror or error}", path=path)
    made.errno = error.errno
    made.filename = path
    return made


def sync_folder(folder: str) -> None:
    """Make a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
        try:
            mode = os.stat(self._target).st_mode
        except FileNotFoundError:
            mode = None
        except OSError as error:
            raise write_error(self.path, error) from error
        try:
            if mode is not None and stat.S_ISDIR(mode):
                raise WriteError("cannot write: it is a directory", path=self.path)
            if mode is not None and not stat.S_ISREG(mode):
                self._file = open(self._target, "wb")
                return self._file
            self._open_partial(mode)
        except OSError as error:
            if isinstance(error, WriteError):
                raise
            raise write_error(self.path, error) from error
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
            self._file = open(descriptor, "wb")  # noqa: SIM115 (closed by __exit__)
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
                file.flush()
                if self._partial is not None:
                    os.fsync(file.fileno())
            file.close()
            if error is None and self._partial is not None:
                os.replace(self._partial, self._target)
                self._partial = None
                sync_folder(self._folder)
        except OSError as failure:
            # While another exception passes through, it is the one to tell; ours follows from it.
            if error is None:
                raise write_error(self.path, failure) from failure
        finally:
            file.close()
            if self._partial is not None:
                os.unlink(self._partial)
                self._partial = None
