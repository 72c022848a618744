"""C-STORE requests (PS3.7 9.1.1): objects out of files, as they are where the peer takes that."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Callable, Iterable
from typing import NamedTuple

from dicomloom._native.frames import Header, read_header
from dicomloom.errors import DicomloomError, ProtocolError, ReadError
from dicomloom.frames.syntaxes import EXPLICIT_BE, EXPLICIT_LE, IMPLICIT_LE
from dicomloom.network import command as commands
from dicomloom.network.command import Command
from dicomloom.network.messages import Message, Messages, Stretch
from dicomloom.network.sending.outgoing import Outgoing
from dicomloom.system import BYTES

_ENCODINGS = (None, IMPLICIT_LE, EXPLICIT_LE, EXPLICIT_BE)
_LAST_MESSAGE_ID = 65535


class Stored(NamedTuple):
    """What a peer answered to a C-STORE request.

    Attributes
    ----------
    status : int
    comment : str
        What the peer says besides.
    transfer_syntax : str
        UID of the one it was sent in.
    bytes : int
        Of the data set.
    """

    status: int
    comment: str
    transfer_syntax: str
    bytes: int


class Unfit(Exception):
    """An object that cannot be sent over this association; nothing of it was.

    Attributes
    ----------
    error : str
        The class of `dicomloom.errors` that fits.
    """

    def __init__(self, reason: str, error: str) -> None:
        super().__init__(reason)
        self.error = error


def encoding_of(header: Header) -> str:
    """Return the transfer syntax that a file is really in: some have no or a wrong one."""
    syntax = header.transfer_syntax
    if syntax not in _ENCODINGS:
        return str(syntax)
    if not header.explicit_vr:
        return IMPLICIT_LE
    return EXPLICIT_BE if header.big_endian else EXPLICIT_LE


class Storer:
    """Sends objects over the messages of an association, one after the other.

    Parameters
    ----------
    messages : Messages
    contexts : iterable of (int, str, str)
        The accepted presentation contexts: ID, SOP class, transfer syntax.
    peer : str
        For messages.
    seconds : float
        To wait for an answer.
    transcode : bool
        Whether to send uncompressed what the peer does not take as it is, by way of a temporary
        file.
    originator : (str, int), optional
        AE title and message ID of the C-MOVE request that this belongs to.
    aside : callable, optional
        Takes messages that are no answer, such as C-CANCEL.
    """

    def __init__(
        self,
        messages: Messages,
        contexts: Iterable[tuple[int, str, str]],
        peer: str,
        seconds: float,
        *,
        transcode: bool = True,
        originator: tuple[str, int] | None = None,
        aside: Callable[[Message], None] | None = None,
    ) -> None:
        self._messages, self._peer, self._seconds = messages, peer, seconds
        self._contexts: dict[tuple[str, str], int] = {}
        for number, sop_class, syntax in contexts:
            self._contexts.setdefault((sop_class, syntax), number)
        self._transcode = transcode
        self._originator, self._aside = originator, aside
        self._last = 0

    def store(self, item: Outgoing) -> Stored:
        """Send an object, and wait for the answer.

        Raises
        ------
        Unfit
            The peer does not take it, or its file cannot be read or transcoded. Nothing was sent.
        Interrupted
            Its file cannot be read to the end. A part was sent: abort the association.
        Ended, ProtocolError
            The association is over, or has to be.
        TimeoutError
            There was no answer.
        """
        with contextlib.ExitStack() as stack:
            try:
                number, syntax, data = self._prepared(item, stack)
            except (DicomloomError, OSError) as error:
                raise Unfit(str(error), type(error).__name__) from error
            return self._send(item, number, syntax, data)

    def _prepared(self, item: Outgoing, stack: contextlib.ExitStack) -> tuple[int, str, Stretch]:
        """Return context, transfer syntax and data set of what is to be sent."""
        syntax, data = _opened(item.path, stack)
        if item.size not in (None, data.end):
            # It may be cut off, and nobody would see that any more.
            raise ReadError(
                f"it had {item.size} bytes when it was looked over, and has {data.end}: "
                "send it when it does not change any more",
                path=item.path,
            )
        number = self._contexts.get((item.sop_class, syntax))
        if number is not None:
            return number, syntax, data
        for other in (EXPLICIT_LE, IMPLICIT_LE):
            number = self._contexts.get((item.sop_class, other))
            if number is not None and self._transcode:
                break
        else:
            raise Unfit(
                f"the peer takes neither {name_of(syntax)} nor an uncompressed transfer syntax "
                "for it",
                "NoAcceptedContext",
            )
        from dicomloom.frames.transcode import transcode

        made = tempfile.TemporaryDirectory(prefix="dicomloom-")
        path = os.path.join(stack.enter_context(made), "object.dcm")
        transcode(item.path, path, other, workers=1)
        return number, other, _opened(path, stack)[1]

    def _send(self, item: Outgoing, number: int, syntax: str, data: Stretch) -> Stored:
        self._last = self._last % _LAST_MESSAGE_ID + 1
        request: Command = {
            "CommandField": commands.C_STORE,
            "MessageID": self._last,
            "Priority": commands.MEDIUM,
            "AffectedSOPClassUID": item.sop_class,
            "AffectedSOPInstanceUID": item.sop_instance,
        }
        if self._originator is not None:
            request["MoveOriginatorApplicationEntityTitle"] = self._originator[0]
            request["MoveOriginatorMessageID"] = self._originator[1]
        try:
            self._messages.send(number, request, data)
        except OSError as error:
            if isinstance(error, DicomloomError):
                raise
            raise Interrupted(str(error), path=item.path) from error
        answer = self._answer()
        comment = commands.text(answer, "ErrorComment")
        status = commands.integer(answer, "Status", -1)
        if status < 0:
            raise ProtocolError("a C-STORE response without a status", node=self._peer)
        return Stored(status, comment, syntax, data.end - data.start)

    def _answer(self) -> Command:
        while True:
            message = self._messages.receive(self._seconds)
            if message is None:
                raise TimeoutError
            answer = message.command
            ours = commands.integer(answer, "CommandField") == commands.C_STORE | commands.RESPONSE
            if ours and commands.integer(answer, "MessageIDBeingRespondedTo") == self._last:
                return answer
            if ours or self._aside is None:
                raise ProtocolError(
                    f"expected the answer to C-STORE {self._last}, found a {_name(answer)}",
                    node=self._peer,
                    hint="ask for an update of the peer",
                )
            self._aside(message)


class Interrupted(ReadError):
    """A file could not be read to its end while it was being sent; the association is unusable."""


def _name(command: Command) -> str:
    kind = "response" if commands.is_response(command) else "request"
    return f"{commands.name_of(command)} {kind}"


def name_of(syntax: str) -> str:
    """Return the keyword of a transfer syntax, or its UID where it has none."""
    from pydicom.uid import UID

    return UID(syntax).keyword or syntax


def _opened(path: str, stack: contextlib.ExitStack) -> tuple[str, Stretch]:
    """Open a file for as long as the stack says; its transfer syntax and its data set."""
    try:
        descriptor = os.open(path, os.O_RDONLY | BYTES)
    except OSError as error:
        raise ReadError(f"cannot read: {error.strerror}", path=path) from error
    stack.callback(os.close, descriptor)
    header = read_header(descriptor)
    return encoding_of(header), Stretch(descriptor, header.data_set, header.size)
