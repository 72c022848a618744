"""The report of a sending that may be cut off: JSON lines, added to as objects arrive."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from typing import TYPE_CHECKING

from dicomloom.errors import CorruptError, ReadError
from dicomloom.files import writing
from dicomloom.system import BYTES

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from dicomloom.network.send import Sent
    from dicomloom.network.sending.outgoing import Outgoing

_DONE = ("sent", "warned")
_BEGIN = b'{"node": '
# Of a line, with a path and what a peer said, and room to spare: a foreign file may have no lines.
_LONGEST = 1 << 20


class Journal:
    """A file of one JSON object a line, each a `Sent`, with the node besides.

    Whatever an earlier run of the program wrote is kept, but for a last line that was cut off.
    Holds a number for each object that the node has.

    Raises
    ------
    ReadError, WriteError
        The file cannot be read or written.
    CorruptError
        It is no such report, or one of another node.
    """

    def __init__(self, path: str, node: str) -> None:
        self._path, self._node = path, node
        self._known: set[int] = set()
        whole = self._load()
        with writing(path):
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | BYTES, 0o666)
            if whole is not None:
                os.ftruncate(self._descriptor, whole)

    def _load(self) -> int | None:
        """Take what there is; returns where a line that was cut off begins, None without one."""
        at = 0
        try:
            with open(self._path, "rb") as file:
                lines = iter(lambda: file.readline(_LONGEST), b"")
                for number, line in enumerate(lines, 1):
                    if not line.endswith(b"\n") and line[: len(_BEGIN)] == _BEGIN[: len(line)]:
                        return at  # that object is sent again
                    self._take(line, number)
                    at += len(line)
        except FileNotFoundError:
            pass
        except OSError as error:
            raise ReadError(f"cannot read: {error.strerror}", path=self._path) from error
        return None

    def _take(self, line: bytes, number: int) -> None:
        try:
            row = json.loads(line)
            node, outcome = row["node"], row["outcome"]
            key = _key(row["path"], row["SOPInstanceUID"])
        except (ValueError, KeyError, TypeError) as error:
            raise CorruptError(
                f"line {number} is none of a report of what was sent: give another file",
                path=self._path,
            ) from error
        if node != self._node:
            raise CorruptError(
                f"line {number} is of {node}, not {self._node}: give another file, or move this",
                path=self._path,
            )
        if outcome in _DONE:
            self._known.add(key)

    def has(self, item: Outgoing) -> bool:
        """Whether the node has this object, from this file."""
        return _key(item.path, item.sop_instance) in self._known

    def add(self, sent: Sent) -> None:
        """Write a line."""
        row = {"node": self._node, **sent._asdict()}
        line = json.dumps(row).encode() + b"\n"
        with writing(self._path):
            whole = os.fstat(self._descriptor).st_size
            try:
                while line:
                    line = line[os.write(self._descriptor, line) :]
            except OSError:
                # Half a line with others behind it would make the whole report unreadable.
                with contextlib.suppress(OSError):
                    os.ftruncate(self._descriptor, whole)
                raise

    def __enter__(self) -> Self:
        """Return self."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Bring the file to the disk, and close it."""
        descriptor, self._descriptor = self._descriptor, -1
        if error is None:
            with writing(self._path):
                try:
                    if stat.S_ISREG(os.fstat(descriptor).st_mode):
                        os.fsync(descriptor)
                finally:
                    os.close(descriptor)
            return
        with contextlib.suppress(OSError):
            os.close(descriptor)


def _key(path: str, uid: str) -> int:
    return hash((path, uid))
