"""C-STORE as its user: what is held goes to a peer, from file to socket (PS3.4 B, PS3.7 9.1.1)."""

from __future__ import annotations

import contextlib
import logging
import os
import struct
import tempfile
from collections.abc import Callable, Iterable, Iterator

from dicomloom.errors import DicomloomError
from dicomloom.network import command as commands
from dicomloom.network.command import Value
from dicomloom.network.messages import Message, Messages, Stretch
from dicomloom.network.serve.catalog import Held
from dicomloom.network.serve.contexts import EXPLICIT, IMPLICIT
from dicomloom.network.serve.services import Context

_LOGGER = logging.getLogger("dicomloom.network.serve")
# PS3.5 A: what any of these holds can be written as another of them.
_UNCOMPRESSED = (EXPLICIT, IMPLICIT, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
# PS3.7 C: what we say ourselves of an object that could not be sent.
NOT_SENT = 0xC000
_PREAMBLE = 132
_LARGEST_META = 1 << 20


class Outlet:
    """Sends objects over an association, one after the other.

    Parameters
    ----------
    messages : Messages
    contexts : iterable of Context
        Accepted, and we may be the SCU of them.
    seconds : float
        To wait for each answer.
    meanwhile : callable, optional
        Takes a message that is no answer; without, there may be none.
    """

    def __init__(
        self,
        messages: Messages,
        contexts: Iterable[Context],
        seconds: float,
        meanwhile: Callable[[Message], None] | None = None,
    ) -> None:
        self._messages, self._seconds, self._meanwhile = messages, seconds, meanwhile
        self._contexts: dict[str, dict[str, int]] = {}
        for context in contexts:
            by_syntax = self._contexts.setdefault(context.abstract_syntax, {})
            by_syntax.setdefault(context.transfer_syntax, context.number)
        self._number = 0

    def send(self, held: Held, **originator: Value) -> int:
        """Send an object, and return the status of the answer, or `NOT_SENT`.

        Raises
        ------
        Ended
            The association is over.
        OSError
            The file ended while it was sent: the association has to be aborted.
        ProtocolError
            The peer breaks PS3.7.
        """
        by_syntax = self._contexts.get(held.sop_class_uid, {})
        number = by_syntax.get(held.transfer_syntax)
        try:
            if number is not None:
                with _opened(held.path) as stretch:
                    return self._store(number, held, stretch, originator)
            for syntax in (EXPLICIT, IMPLICIT):
                if held.transfer_syntax in _UNCOMPRESSED and syntax in by_syntax:
                    with _converted(held.path, syntax) as stretch:
                        return self._store(by_syntax[syntax], held, stretch, originator)
        except _Unreadable as error:
            _LOGGER.warning("%s cannot be sent: %s", held.path, error)
        return NOT_SENT

    def _store(
        self, context: int, held: Held, stretch: Stretch, originator: dict[str, Value]
    ) -> int:
        self._number = self._number % 0xFFFF + 1
        command: dict[str, Value] = {
            "AffectedSOPClassUID": held.sop_class_uid,
            "CommandField": commands.C_STORE,
            "MessageID": self._number,
            "Priority": commands.MEDIUM,
            "AffectedSOPInstanceUID": held.sop_instance_uid,
        }
        self._messages.send(context, command | originator, stretch)
        while (message := self._messages.receive(self._seconds)) is not None:
            answer = message.command
            ours = commands.integer(answer, "MessageIDBeingRespondedTo") == self._number
            if commands.is_response(answer) and ours:
                return commands.integer(answer, "Status", NOT_SENT)
            if self._meanwhile is None or commands.is_response(answer):
                raise OSError("the peer answered something else than the C-STORE")
            self._meanwhile(message)
        raise OSError(f"no answer to the C-STORE within {self._seconds:g} s")


class _Unreadable(Exception):
    """An object cannot be sent; nothing of it was."""


@contextlib.contextmanager
def _opened(path: str) -> Iterator[Stretch]:
    """Open a file, and find its data set."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise _Unreadable(error.strerror) from error
    try:
        try:
            start, end = _start(descriptor), os.fstat(descriptor).st_size
        except OSError as error:
            raise _Unreadable(error.strerror) from error
        yield Stretch(descriptor, start, end)
    finally:
        os.close(descriptor)


def _start(descriptor: int) -> int:
    """Return where the data set begins: behind the group 0002, Explicit VR LE (PS3.10 7.1)."""
    head = os.pread(descriptor, _PREAMBLE, 0)
    at = _PREAMBLE if head[128:] == b"DICM" else 0
    while len(element := os.pread(descriptor, 12, at)) >= 8 and element[:2] == b"\2\0":
        if element[4:6] in (b"OB", b"OW", b"UN", b"SQ", b"UT"):
            at += 12 + struct.unpack_from("<L", element.ljust(12, b"\0"), 8)[0]
        else:
            at += 8 + struct.unpack_from("<H", element, 6)[0]
        if at > _LARGEST_META:
            raise _Unreadable("its file meta information has no end")
    return at


@contextlib.contextmanager
def _converted(path: str, syntax: str) -> Iterator[Stretch]:
    """Write an uncompressed object in another uncompressed transfer syntax, and open that."""
    from dicomloom.frames.transcode import transcode

    with tempfile.TemporaryDirectory(prefix="dicomloom-") as folder:
        made = os.path.join(folder, "converted.dcm")
        try:
            transcode(path, made, syntax)
        except (DicomloomError, OSError) as error:
            raise _Unreadable(str(error)) from error
        with _opened(made) as stretch:
            yield stretch
