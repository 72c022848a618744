"""C-GET and C-MOVE (PS3.4 C.4.2 and C.4.3, PS3.7 9.1.3 and 9.1.4): one errand over the network."""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Generator, Iterator
from typing import TYPE_CHECKING

from dicomloom.errors import (
    LimitError,
    NetworkError,
    NoAcceptedContext,
    ProtocolError,
    StatusError,
    WriteError,
)
from dicomloom.files import write_error
from dicomloom.network import command as commands
from dicomloom.network import words
from dicomloom.network.command import Command
from dicomloom.network.datasets import read_data_set, write_data_set
from dicomloom.network.messages import Ended, Message, Messages
from dicomloom.network.node import Node
from dicomloom.network.retrieving.landing import Folder
from dicomloom.network.retrieving.planning import Errand
from dicomloom.network.retrieving.proposing import proposals
from dicomloom.network.retrieving.tally import Arrived, Tally
from dicomloom.network.serve.contexts import DECODED, IMPLICIT, is_storage
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import CANNOT_UNDERSTAND, PENDING, SUCCESS, Context
from dicomloom.network.serve.store import OUT_OF_RESOURCES, take
from dicomloom.network.wire import timed_out

if TYPE_CHECKING:
    from pydicom import Dataset

    from dicomloom.network.association import OpenAssociation
    from dicomloom.network.retrieving.reception import Reception

_LOGGER = logging.getLogger("dicomloom.network")
# PS3.4 C.6: the information models of C-GET and C-MOVE.
GET_MODELS = {"patient": "1.2.840.10008.5.1.4.1.2.1.3", "study": "1.2.840.10008.5.1.4.1.2.2.3"}
MOVE_MODELS = {"patient": "1.2.840.10008.5.1.4.1.2.1.2", "study": "1.2.840.10008.5.1.4.1.2.2.2"}
# PS3.4 C.4.2.1.5 and C.4.3.1.4.
SOME_FAILED = 0xB000
# Bytes of a list of UIDs that failed.
_LARGEST_LIST = 8 << 20
# Seconds: many peers do not heed C-CANCEL.
_DRAIN = 5.0
# Seconds: how often it is looked what came over other associations.
_GLANCE = 0.05
# Seconds in which objects may come that the peer says it has sent.
_LATE = 5.0


class _Request:
    """A C-GET or C-MOVE request on its way: sent, and answered until its last response."""

    def __init__(
        self,
        association: OpenAssociation,
        messages: Messages,
        context: Context,
        tally: Tally,
        number: int,
    ) -> None:
        self.association, self.messages, self.context = association, messages, context
        self.tally, self.number = tally, number
        self._field = commands.C_GET
        self._status: int | None = None
        self._comment = ""
        self.is_cancelled = self.is_storing = False

    def send(self, identifier: Dataset, **more: str) -> None:
        """Send it."""
        data = write_data_set(identifier, self.context.transfer_syntax == IMPLICIT)
        self._field = commands.C_MOVE if more else commands.C_GET
        request: Command = {
            "CommandField": self._field,
            "MessageID": self.number,
            "Priority": commands.MEDIUM,
            "AffectedSOPClassUID": self.context.abstract_syntax,
            **more,
        }
        self.messages.send(self.context.number, request, data)

    @property
    def is_answered(self) -> bool:
        """Whether its last response has come."""
        return self._status is not None

    def response(self, message: Message) -> None:
        """Take a message that is to be a response to it."""
        command, node = message.command, str(self.association.node)
        ours = commands.integer(command, "CommandField") == self._field | commands.RESPONSE
        if not ours or commands.integer(command, "MessageIDBeingRespondedTo") != self.number:
            kind = "response" if commands.is_response(command) else "request"
            raise ProtocolError(
                f"expected the answer to {self.name}, found a {commands.name_of(command)} {kind}",
                node=node,
                hint="ask for an update of the peer",
            )
        status = commands.integer(command, "Status", -1)
        if status == PENDING:
            return
        if status < 0:
            raise ProtocolError(f"a {self.name} response without a status", node=node)
        self._comment = commands.text(command, "ErrorComment")
        reason = words.meaning_of(self.name, status)
        if self._comment:
            reason += f', "{words.printable(self._comment)}"'
        self.tally.answered(command, self._failed(message), reason)
        self._status = status

    @property
    def name(self) -> str:
        """The service."""
        return commands.NAMES[self._field]

    def _failed(self, message: Message) -> list[str]:
        """Return the Failed SOP Instance UID List (PS3.4 C.4.2.1.4.2)."""
        if not commands.has_data_set(message.command):
            return []
        try:
            data = message.read(_LARGEST_LIST)
            if not data:
                return []
            found, _ = read_data_set(data, self.context.transfer_syntax == IMPLICIT)
        except (LimitError, ValueError) as error:
            _LOGGER.warning(
                "%s: the list of what failed is no data set: %s", self.association.node, error
            )
            return []
        value = found.get("FailedSOPInstanceUIDList") or []
        uids = [value] if isinstance(value, str) else list(value)
        return [words.printable(str(uid), 64) for uid in uids if uid]

    def check(self) -> None:
        """Raise unless the last response says that all was done, or that some failed."""
        if self._status not in (None, SUCCESS, SOME_FAILED):
            node = str(self.association.node)
            raise words.failed(node, self.name, self._status or 0, self._comment)

    def silent(self) -> NetworkError:
        """Return the error of a peer that says nothing any more."""
        node = self.association.node
        limit = node.wait("dimse")
        message = f"no answer to {self.name}"
        return timed_out(node, "dimse", limit, message, words.SILENT_HINT)

    def cancel(self) -> None:
        """Send a C-CANCEL (PS3.7 9.3.3.3), and wait a little for the end; no more is taken."""
        self.is_cancelled = True
        if self.is_answered:
            return
        try:
            cancel: Command = {
                "CommandField": commands.C_CANCEL,
                "MessageIDBeingRespondedTo": self.number,
            }
            self.messages.send(self.context.number, cancel)
            if self._drained():
                return
            _LOGGER.warning("%s: the peer does not heed C-CANCEL", self.association.node)
        except (Ended, NetworkError) as error:
            _LOGGER.warning("%s: ended after C-CANCEL: %s", self.association.node, error)
        raise Unheeded

    def _drained(self) -> bool:
        end = time.monotonic() + min(_DRAIN, self.association.node.wait("dimse"))
        while (left := end - time.monotonic()) > 0:
            message = self.messages.receive(left)
            if message is None:
                return False
            if commands.integer(message.command, "CommandField") == commands.C_STORE:
                answer = commands.response_to(message.command, OUT_OF_RESOURCES)
                self.messages.send(message.context_id, answer)
                continue
            self.response(message)
            if self.is_answered:
                return True
        return False


class Unheeded(Exception):
    """The peer goes on after a C-CANCEL: the association is to be aborted."""


@contextlib.contextmanager
def _cancelling(request: _Request) -> Iterator[None]:
    """Cancel a request whose block is left before its end by whoever asked for it.

    Where that is an iterator's `close`, and the peer heeds it, the association goes on; otherwise,
    and after another exception, it is aborted, which ends the request too.
    """
    try:
        yield
    except GeneratorExit:
        try:
            request.cancel()
        except Unheeded:
            raise GeneratorExit from None
    except (KeyboardInterrupt, WriteError):
        # In the midst of an object there is no next message: an abort is all that can be said.
        if not request.is_storing:
            with contextlib.suppress(Unheeded):
                request.cancel()
        raise


def get(node: Node, errand: Errand, folder: Folder, tally: Tally) -> Iterator[Arrived]:
    """Retrieve by C-GET: objects come over the association that asks for them.

    Raises
    ------
    NoAcceptedContext
        The peer does not do C-GET, or takes none of what it was proposed.
    StatusError, NetworkError
        It failed.
    WriteError
        An object could not be written; the peer heard of it.
    """
    from dicomloom.network.association import associate

    model = GET_MODELS[errand.root]
    storage = proposals(errand.classes)
    wanted = list(dict.fromkeys(sop_class for sop_class, _ in storage))
    with associate(node, [(model, DECODED), *storage], as_scp=wanted) as association:
        association.limit_data_sets(None)
        context = context_of(association, model)
        with association.exchanging("C-GET") as messages:
            getter = _Getter(association, messages, folder, tally)
            for number, identifier in enumerate(errand.identifiers(), 1):
                request = _Request(association, messages, context, tally, number)
                with _cancelling(request):
                    request.send(identifier)
                    yield from getter.run(request)
                if request.is_cancelled:
                    return
                request.check()


def context_of(association: OpenAssociation, model: str) -> Context:
    """Return the accepted presentation context of an information model.

    Raises
    ------
    NoAcceptedContext
        There is none.
    """
    for number, abstract, syntax in association.contexts:
        if abstract == model and syntax in DECODED:
            return Context(number, abstract, syntax)
    from pydicom.uid import UID

    raise NoAcceptedContext(
        f"the peer does not accept {UID(model).name} ({model})",
        node=str(association.node),
        hint=words.no_context_hint({3}),
    )


class _Getter:
    """Takes the objects that come over the association of a C-GET."""

    def __init__(
        self, association: OpenAssociation, messages: Messages, folder: Folder, tally: Tally
    ) -> None:
        self._node, self._messages = association.node, messages
        self._folder, self._tally = folder, tally
        self._contexts = {
            number: Context(number, abstract, syntax)
            for number, abstract, syntax in association.contexts
            if is_storage(abstract)
        }

    def run(self, request: _Request) -> Iterator[Arrived]:
        """Take what comes until the request is answered."""
        wait = self._node.wait("dimse")
        while not request.is_answered:
            message = self._messages.receive(wait)
            if message is None:
                raise request.silent()
            if commands.integer(message.command, "CommandField") != commands.C_STORE:
                request.response(message)
                continue
            arrived = self._store(message, request)
            if arrived is not None:
                yield arrived

    def _store(self, message: Message, request: _Request) -> Arrived | None:
        command, node = message.command, self._node
        uid = commands.text(command, "AffectedSOPInstanceUID")
        context = self._contexts.get(message.context_id)
        if context is None:
            raise ProtocolError(
                f"the peer used presentation context {message.context_id}, which is none of ours",
                node=str(node),
            )
        try:
            request.is_storing = True
            arrival = take(message, context, self._folder, node.ae_title, node.calling_ae_title)
        except Refusal as refusal:
            self._refuse(message, request, uid, refusal)
            if isinstance(refusal.__cause__, OSError):
                raise as_write_error(refusal.__cause__, self._folder) from refusal
            return None
        except OSError as error:
            if isinstance(error, NetworkError):
                raise
            self._refuse(message, request, uid, Refusal(CANNOT_UNDERSTAND, "it cannot be written"))
            raise as_write_error(error, self._folder) from error
        request.is_storing = False
        self._messages.send(message.context_id, commands.response_to(command, SUCCESS))
        return self._tally.arrived(arrival)

    def _refuse(self, message: Message, request: _Request, uid: str, refusal: Refusal) -> None:
        request.is_storing = False
        shown = words.printable(uid, 64)
        self._tally.refused(shown, refusal.status, refusal.comment)
        comment = refusal.comment.encode("ascii", "replace").decode()
        answer = commands.response_to(message.command, refusal.status, ErrorComment=comment)
        self._messages.send(message.context_id, answer)


def as_write_error(error: OSError, folder: Folder) -> WriteError:
    """Return what to raise where an object could not be written."""
    return error if isinstance(error, WriteError) else write_error(folder.folder, error)


def move(node: Node, errand: Errand, reception: Reception, tally: Tally) -> Iterator[Arrived]:
    """Retrieve by C-MOVE: objects come over associations that the peer asks us for.

    Raises
    ------
    NoAcceptedContext
        The peer does not do C-MOVE.
    StatusError, NetworkError
        It failed; where the peer does not know us, the hint says what it has to be told.
    WriteError
        An object could not be written; the peer heard of it.
    """
    from dicomloom.network.association import associate

    model = MOVE_MODELS[errand.root]
    with (
        associate(node, [(model, DECODED)]) as association,
        association.exchanging("C-MOVE") as messages,
        reception.open_to(tally),
    ):
        context = context_of(association, model)
        for number, identifier in enumerate(errand.identifiers(), 1):
            request = _Request(association, messages, context, tally, number)
            with _cancelling(request):
                request.send(identifier, MoveDestination=node.calling_ae_title)
                try:
                    yield from _moving(request, reception, tally)
                except (Ended, NetworkError):
                    for arrival in reception.left():
                        yield tally.arrived(arrival)
                    raise
            if request.is_cancelled:
                return
            try:
                request.check()
            except StatusError as error:
                error.hint = reception.hint(error.status) or error.hint
                raise


def _moving(
    request: _Request, reception: Reception, tally: Tally
) -> Generator[Arrived, None, None]:
    """Give what comes until the request is answered, and what is late."""
    limit = request.association.node.wait("dimse")
    heard = time.monotonic()
    while not request.is_answered:
        message = request.messages.receive(_GLANCE)
        if message is not None:
            request.response(message)
            heard = time.monotonic()
        for arrival in reception.arrivals():
            yield tally.arrived(arrival)
            heard = time.monotonic()
        if reception.is_receiving:
            heard = time.monotonic()
        elif message is None and time.monotonic() - heard > limit:
            raise request.silent()
    end = time.monotonic() + _LATE
    while reception.is_receiving or (tally.is_short and time.monotonic() < end):
        for arrival in reception.arrivals(_GLANCE):
            yield tally.arrived(arrival)
    for arrival in reception.arrivals():
        yield tally.arrived(arrival)
