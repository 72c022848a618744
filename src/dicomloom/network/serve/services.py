"""Services that a listener offers: which abstract syntaxes, which commands, and one request."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from dicomloom.errors import LimitError, ProtocolError
from dicomloom.network import command as commands
from dicomloom.network.command import Value
from dicomloom.network.datasets import read_data_set
from dicomloom.network.messages import Ended, Message, Messages
from dicomloom.network.serve.contexts import DECODED, IMPLICIT, VERIFICATION
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.words import printable

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomloom.network.serve.acceptor import Acceptor

_LOGGER = logging.getLogger("dicomloom.network.serve")
SUCCESS, PENDING, CANCELLED = 0x0000, 0xFF00, 0xFE00
# PS3.7 C: of all services.
UNRECOGNIZED, PROCESSING_FAILURE, WRONG_CLASS = 0x0211, 0x0110, 0x0122
CANNOT_UNDERSTAND = 0xC000
# Bytes of a data set that is decoded: identifiers, lists of references.
_LARGEST_DECODED = 1 << 20


class Context(NamedTuple):
    """An accepted presentation context."""

    number: int
    abstract_syntax: str
    transfer_syntax: str


class Request:
    """A message that asks for something, and the way to answer it.

    Attributes
    ----------
    acceptor : Acceptor
        The association; it knows the peer.
    messages : Messages
    message : Message
    command : Command
    context : Context
    """

    def __init__(
        self, acceptor: Acceptor, messages: Messages, message: Message, context: Context
    ) -> None:
        self.acceptor, self.messages, self.message = acceptor, messages, message
        self.command, self.context = message.command, context
        self._cancelled = False

    @property
    def name(self) -> str:
        """The service, such as ``C-STORE``."""
        return commands.name_of(self.command)

    def text(self, keyword: str) -> str:
        """Return a text of the command set, "" where it has none."""
        return commands.text(self.command, keyword)

    def answer(self, status: int, data: bytes | None = None, **more: Value) -> None:
        """Send a response.

        Raises
        ------
        Ended
            The association is over.
        """
        self.messages.send(
            self.context.number, commands.response_to(self.command, status, **more), data
        )

    def data_set(self, most: int = _LARGEST_DECODED) -> Dataset:
        """Return the decoded data set, of at most so many bytes.

        Raises
        ------
        Refusal
            There is none, or it cannot be decoded.
        """
        return decoded(self.message, self.context.transfer_syntax, most, self.cannot)

    @property
    def cannot(self) -> int:
        """The status that says that the request cannot be processed."""
        composite = commands.integer(self.command, "CommandField") < commands.N_EVENT_REPORT
        return CANNOT_UNDERSTAND if composite else PROCESSING_FAILURE

    @property
    def cancelled(self) -> bool:
        """Whether the peer has asked by C-CANCEL to end it.

        Raises
        ------
        Ended
            The association is over.
        ProtocolError
            The peer asks for something else meanwhile, without having negotiated that.
        """
        if self.acceptor.stopping:
            raise Ended
        if not self._cancelled and (message := self.messages.receive(0)) is not None:
            self.meanwhile(message)
        return self._cancelled

    def meanwhile(self, message: Message) -> None:
        """Take note of a message that came before this request was answered."""
        if commands.integer(message.command, "CommandField") != commands.C_CANCEL:
            name = commands.name_of(message.command)
            raise ProtocolError(f"the peer sent {name} before {self.name} was answered")
        # One of an earlier request may have crossed its last response.
        ours = commands.integer(self.command, "MessageID")
        if commands.integer(message.command, "MessageIDBeingRespondedTo") == ours:
            self._cancelled = True


def decoded(message: Message, transfer_syntax: str, most: int, cannot: int) -> Dataset:
    """Return the decoded data set of a message, of at most so many bytes.

    Raises
    ------
    Refusal
        There is none, or it cannot be decoded; the status is `cannot`.
    """
    if not commands.has_data_set(message.command):
        raise Refusal(cannot, "the data set is missing")
    try:
        return read_data_set(message.read(most), transfer_syntax == IMPLICIT)[0]
    except (LimitError, ValueError) as error:
        raise Refusal(cannot, str(error)) from error


Handler = Callable[[Request], None]


class Service:
    """One service of a listener; used from the threads of many associations.

    Attributes
    ----------
    handlers : mapping of int to callable
        What to do by command field. A handler sends all responses, or raises: `Refusal` has a
        status of its own, anything else is answered as a failure.
    syntaxes : sequence of str or None
        The transfer syntaxes that it takes; None: all.
    """

    syntaxes: Sequence[str] | None = DECODED

    def __init__(self, handlers: Mapping[int, Handler]) -> None:
        self.handlers = handlers

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it serves this abstract syntax."""
        raise NotImplementedError


class Verification(Service):
    """C-ECHO (PS3.4 A)."""

    syntaxes = None

    def __init__(self) -> None:
        super().__init__({commands.C_ECHO: lambda request: request.answer(SUCCESS)})

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is the verification class."""
        return abstract_syntax == VERIFICATION


def dispatch(request: Request, service: Service) -> None:
    """Let a service answer a request in one of its contexts.

    Raises
    ------
    Ended, OSError
        The association is over.
    ProtocolError
        It cannot be answered: abort the association.
    """
    command = request.command
    if "MessageID" not in command:
        raise ProtocolError(f"expected a message ID, found a {request.name} without")
    field = commands.integer(command, "CommandField")
    handler = service.handlers.get(field)
    try:
        if handler is None:
            raise Refusal(UNRECOGNIZED, f"{request.name} is not served on this context")
        handler(request)
    except (Ended, ProtocolError):
        raise
    except Refusal as refusal:
        _refuse(request, refusal)
    except Exception as error:
        # Its text may have values, which are patient data.
        _LOGGER.debug("%s: %s failed", request.acceptor.peer, request.name, exc_info=True)
        _refuse(request, Refusal(request.cannot, f"failed: {type(error).__name__}"))


def _refuse(request: Request, refusal: Refusal) -> None:
    _LOGGER.warning(
        "%s: %s answered with 0x%04X: %s",
        *(request.acceptor.peer, request.name, refusal.status, printable(refusal.comment)),
    )
    request.acceptor.failed += 1
    comment = refusal.comment.encode("ascii", "replace").decode()
    request.answer(refusal.status, ErrorComment=comment)
