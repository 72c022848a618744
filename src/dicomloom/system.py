"""What operating systems do each in their way: no other module asks on which of them it is."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Sequence

if sys.platform == "win32":
    import msvcrt

    from dicomloom._native import base

    # For os.open: bytes as they are, and not for children; opening waits for nobody.
    BYTES = os.O_BINARY | os.O_NOINHERIT
    AT_ONCE = 0

    def read_at(descriptor: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`; threads may share the descriptor."""
        data = bytearray(size)
        return bytes(data[: base.read_into(descriptor, data, offset)])

    def read_into(descriptor: int, into: memoryview, offset: int) -> int:
        """Fill what the system gives of a buffer with the bytes at `offset`: how many these are."""
        return base.read_into(descriptor, into.cast("B"), offset)

    def write_at(descriptor: int, data: memoryview, offset: int) -> int:
        """Write what the system takes of a buffer at `offset`: how many bytes that are."""
        os.lseek(descriptor, offset, os.SEEK_SET)
        return os.write(descriptor, data)

    def write_pieces(descriptor: int, pieces: Sequence[memoryview]) -> int:
        """Write what the system takes of buffers at one go: how many bytes that are."""
        return os.write(descriptor, pieces[0])

    def sync_folder(folder: str) -> None:
        """Nothing: the journal of NTFS has a rename, and a folder cannot be flushed."""

    def keep_mode(descriptor: int, mode: int) -> None:
        """Nothing: permissions are the folder's."""

    def written_back(descriptor: int, start: int, size: int) -> None:
        """Nothing: there is no such hint."""

    def lock(descriptor: int) -> bool:
        """Nothing: nobody may rename or remove here what is open."""
        return True

    def lock_folder(folder: str) -> int:
        """Keep other processes out of a folder: until the descriptor is closed, or we end.

        Raises
        ------
        BlockingIOError
            Another process has it.
        """
        flags = os.O_RDWR | os.O_CREAT | BYTES
        descriptor = os.open(os.path.join(folder, ".lock"), flags, 0o666)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError as error:
            os.close(descriptor)
            raise BlockingIOError(error.errno, error.strerror) from error
        return descriptor

    def ready(
        numbers: Sequence[int], seconds: float | None, *, to_write: bool = False
    ) -> list[int]:
        """Wait until sockets bring bytes, or take some, or so many seconds: which of them do."""
        import select

        # Here it is the number of sockets that select limits, not what their numbers are.
        nothing: list[int] = []
        reading, writing = (nothing, numbers) if to_write else (numbers, nothing)
        found = select.select(reading, writing, numbers, seconds)
        return list({*found[0], *found[1], *found[2]})

    def memory_bytes() -> int | None:
        """Return how much memory there is; None: nobody tells."""
        return None

    def widen_pipe(descriptor: int, size: int) -> None:
        """Nothing: what a pipe holds is said when it is made."""

    def confine(pid: int, *, memory: int) -> None:
        """Nothing: whoever starts a process has to end it in time."""

else:
    # Modules that few callers need are loaded by these: each takes some 100 KiB.

    BYTES = os.O_CLOEXEC
    AT_ONCE = os.O_NONBLOCK  # opening a FIFO would wait for somebody who writes to it

    _PIECES = 1024  # IOV_MAX of Linux and macOS

    def read_at(descriptor: int, size: int, offset: int) -> bytes:
        """Read up to `size` bytes at `offset`; threads may share the descriptor."""
        return os.pread(descriptor, size, offset)

    def read_into(descriptor: int, into: memoryview, offset: int) -> int:
        """Fill what the system gives of a buffer with the bytes at `offset`: how many these are."""
        return os.preadv(descriptor, (into,), offset)

    def write_at(descriptor: int, data: memoryview, offset: int) -> int:
        """Write what the system takes of a buffer at `offset`: how many bytes that are."""
        return os.pwrite(descriptor, data, offset)

    def write_pieces(descriptor: int, pieces: Sequence[memoryview]) -> int:
        """Write what the system takes of buffers at one go: how many bytes that are."""
        return os.writev(descriptor, pieces[:_PIECES])

    # A folder that may be written and not read, and file systems that sync no folders: what is
    # named there is as safe as it can be, and PostgreSQL takes it for that, too.
    _NOT_OPENED = (errno.EACCES, errno.EPERM)
    _NOT_SYNCED = (errno.EINVAL, errno.EBADF, errno.ENOSYS, errno.EOPNOTSUPP)

    def sync_folder(folder: str) -> None:
        """Make a rename in `folder` survive a power cut."""
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | BYTES)
        except OSError as error:
            if error.errno not in _NOT_OPENED:
                raise
            return
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _NOT_SYNCED:
                raise
        finally:
            os.close(descriptor)

    def keep_mode(descriptor: int, mode: int) -> None:
        """Give a file the permissions of another."""
        os.fchmod(descriptor, mode)

    if sys.platform == "linux":

        def written_back(descriptor: int, start: int, size: int) -> None:
            """Send to the disk what was written."""
            # Linux starts to write dirty pages that are said to be needed no more, and keeps them.
            os.posix_fadvise(descriptor, start, size, os.POSIX_FADV_DONTNEED)

    else:

        def written_back(descriptor: int, start: int, size: int) -> None:
            """Nothing: the hint means something else, or is not there."""

    def lock(descriptor: int) -> bool:
        """Take an open file for this process until it is closed; False where another has it."""
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def lock_folder(folder: str) -> int:
        """Keep other processes out of a folder: until the descriptor is closed, or we end.

        Raises
        ------
        BlockingIOError
            Another process has it.
        """
        import fcntl

        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def ready(
        numbers: Sequence[int], seconds: float | None, *, to_write: bool = False
    ) -> list[int]:
        """Wait until sockets bring bytes, or take some, or so many seconds: which of them do."""
        import select

        poll = select.poll()  # select.select ends at descriptor 1023
        for number in numbers:
            poll.register(number, select.POLLOUT if to_write else select.POLLIN)
        return [number for number, _ in poll.poll(None if seconds is None else 1000 * seconds)]

    def memory_bytes() -> int | None:
        """Return how much memory there is; None: nobody tells."""
        try:
            found = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (ValueError, OSError):
            return None
        return found if found > 0 else None

    def widen_pipe(descriptor: int, size: int) -> None:
        """Let a pipe hold so many bytes, where the system lets it."""
        if sys.platform == "linux":
            import fcntl

            # The user's other pipes may have used up what there is.
            with contextlib.suppress(OSError):
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size)

    def confine(pid: int, *, memory: int) -> None:
        """Let a process take no more memory, and leave no core file: where another can say that."""
        if sys.platform == "linux":
            import resource

            for what, limit in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, memory)):
                hard = resource.prlimit(pid, what)[1]
                most = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
                resource.prlimit(pid, what, (most, most))
