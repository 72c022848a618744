"""C-MOVE and C-GET as their provider (PS3.4 C.4.2 and C.4.3, PS3.7 9.1.3 and 9.1.4)."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import closing, contextmanager

from dicomloom.errors import NetworkError, ProtocolError
from dicomloom.network import command as commands
from dicomloom.network.datasets import write_data_set
from dicomloom.network.messages import Ended
from dicomloom.network.node import Node
from dicomloom.network.send import FAILED, SENT, WARNED, SendOptions
from dicomloom.network.sending.couriers import Errand, outcome_of
from dicomloom.network.sending.outgoing import Outgoing, Pair
from dicomloom.network.sending.storing import Storer, Unfit
from dicomloom.network.serve.archive.catalog import Held
from dicomloom.network.serve.archive.holdings import Holdings
from dicomloom.network.serve.contexts import IMPLICIT
from dicomloom.network.serve.finding import level_of
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import CANCELLED, PENDING, SUCCESS, Request, Service

_LOGGER = logging.getLogger("dicomloom.network.serve")
MOVE_MODELS = ("1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.2.2")
GET_MODELS = ("1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.2.3")
# PS3.4 C.4.2.1.5 and C.4.3.1.4.
_UNKNOWN_DESTINATION, _NOTHING_SENT, _SOME_FAILED = 0xA801, 0xA702, 0xB000
# Those of a final response: UI has 16 bits for its length in Explicit VR.
_MOST_NAMED = 900


class _Over(Exception):
    """The association that asked is over, whatever goes on with another one."""

    def __init__(self, cause: Exception) -> None:
        super().__init__()
        self.cause = cause


@contextmanager
def _asking() -> Iterator[None]:
    """Tell what ends the association that asked from what ends that to the destination."""
    try:
        yield
    except (Ended, OSError) as error:
        raise _Over(error) from error


class _Choice:
    """The objects that are asked for, as what is to be sent."""

    def __init__(self, find: Callable[[], Generator[Held, None, None]]) -> None:
        self._find = find
        counts = Counter((one.sop_class_uid, one.transfer_syntax) for one in find())
        self.total = sum(counts.values())
        self._pairs = set(counts)

    def __iter__(self) -> Generator[Outgoing, None, None]:
        with closing(self._find()) as found:  # it holds a connection to the catalog
            for one in found:
                uids = one.sop_class_uid, one.sop_instance_uid, one.transfer_syntax
                yield Outgoing(one.path, *uids)

    def pairs(self) -> set[Pair]:
        return self._pairs


class _Progress:
    """The counts of a retrieval, and the responses that tell them."""

    def __init__(self, request: Request, total: int) -> None:
        self.request, self.left = request, total
        self.completed = self.failed = self.warned = 0
        self.lost: list[str] = []

    def count(self, sop_instance: str, outcome: str) -> None:
        """Note what became of one sub-operation."""
        self.left = max(self.left - 1, 0)
        if outcome == SENT:
            self.completed += 1
        elif outcome == WARNED:
            self.warned += 1
        else:
            self.failed += 1
            if len(self.lost) < _MOST_NAMED:
                self.lost.append(sop_instance)

    @property
    def cancelled(self) -> bool:
        """Whether the peer wants no more."""
        with _asking():
            return self.request.cancelled

    def tell(self) -> None:
        """Send a pending response."""
        self._answer(PENDING, self.left)

    def finish(self, *, cancelled: bool) -> None:
        """Send the final response."""
        if cancelled:
            self._answer(CANCELLED, self.left)
            return
        status = SUCCESS
        if self.failed:
            status = _SOME_FAILED if self.completed + self.warned else _NOTHING_SENT
        self._answer(status)

    def _answer(self, status: int, left: int | None = None) -> None:
        counts = {
            "NumberOfCompletedSuboperations": min(self.completed, 0xFFFF),
            "NumberOfFailedSuboperations": min(self.failed, 0xFFFF),
            "NumberOfWarningSuboperations": min(self.warned, 0xFFFF),
        }
        if left is not None:
            counts["NumberOfRemainingSuboperations"] = min(left, 0xFFFF)
        data = self._failures() if status != PENDING and self.lost else None
        with _asking():
            self.request.answer(status, data, **counts)

    def _failures(self) -> bytes:
        from pydicom import Dataset

        made = Dataset()
        made.FailedSOPInstanceUIDList = self.lost
        return write_data_set(made, self.request.context.transfer_syntax == IMPLICIT)


class _Retrieval(Service):
    """What both have in common: which objects, and how it goes with them."""

    models: tuple[str, ...] = ()

    def __init__(self, holdings: Holdings, field: int) -> None:
        super().__init__({field: self._handle})
        self._holdings = holdings

    def takes(self, abstract_syntax: str) -> bool:
        """Whether it is one of its information models."""
        return abstract_syntax in self.models

    def _handle(self, request: Request) -> None:
        try:
            self._retrieve(request)
        except _Over as over:
            if isinstance(over.cause, Ended | ProtocolError):
                raise over.cause from None
            # A message that was cut off, or an answer that did not come: there is no way on.
            message = f"a sub-operation failed: {over.cause or 'no answer'}"
            raise ProtocolError(message) from over.cause

    def _retrieve(self, request: Request) -> None:
        raise NotImplementedError

    def _wanted(self, request: Request) -> _Choice:
        """Return the objects that are asked for."""
        model, identifier = request.context.abstract_syntax, request.data_set()
        level, relational = level_of(identifier), request.acceptor.is_relational(model)
        self._holdings.settle()
        catalog = self._holdings.catalog
        return _Choice(lambda: catalog.instances(model, level, identifier, relational=relational))


class Gets(_Retrieval):
    """C-GET: objects come over the association that asks for them."""

    models = GET_MODELS

    def __init__(self, holdings: Holdings) -> None:
        super().__init__(holdings, commands.C_GET)

    def _retrieve(self, request: Request) -> None:
        wanted = self._wanted(request)
        progress = _Progress(request, wanted.total)
        acceptor = request.acceptor
        storer = Storer(
            request.messages,
            acceptor.contexts(ours=True),
            acceptor.peer,
            acceptor.listener.terms.timeout,
            aside=request.meanwhile,
        )
        cancelled = False
        with closing(iter(wanted)) as items:
            for item in items:
                if progress.cancelled:
                    cancelled = True
                    break
                progress.count(item.sop_instance, _stored(storer, item))
                if progress.left:
                    progress.tell()
        progress.finish(cancelled=cancelled)


def _stored(storer: Storer, item: Outgoing) -> str:
    """Send one object, and return what became of it.

    Raises
    ------
    _Over
        The association is over, or has to be.
    """
    try:
        with _asking():
            return outcome_of(storer.store(item).status)
    except Unfit as error:
        _LOGGER.warning("%s cannot be sent: %s", item.path, error)
    return FAILED


class Moves(_Retrieval):
    """C-MOVE: objects go to a node that we know.

    Parameters
    ----------
    holdings : Holdings
    nodes : mapping of str to Node
        By AE title.
    """

    models = MOVE_MODELS

    def __init__(self, holdings: Holdings, nodes: Mapping[str, Node]) -> None:
        super().__init__(holdings, commands.C_MOVE)
        self._nodes = nodes

    def _retrieve(self, request: Request) -> None:
        destination = self._nodes.get(request.text("MoveDestination"))
        if destination is None:
            raise Refusal(_UNKNOWN_DESTINATION, "the move destination is not known here")
        wanted = self._wanted(request)
        progress = _Progress(request, wanted.total)
        node = destination.replace(calling_ae_title=request.acceptor.listener.terms.ae_title)
        originator = request.acceptor.node.ae_title, commands.integer(request.command, "MessageID")
        errand = Errand(node, wanted, SendOptions(retries=0), originator)
        cancelled = False
        try:
            with closing(errand.run()) as outcomes:
                for sent in outcomes:
                    progress.count(sent.SOPInstanceUID, sent.outcome)
                    if progress.cancelled:
                        cancelled = True
                        break
                    if progress.left:
                        progress.tell()
        except NetworkError as error:
            # There was no association: nothing was sent.
            _LOGGER.warning("%s: C-MOVE to %s: %s", request.acceptor.peer, node, error)
            for item in wanted:
                progress.count(item.sop_instance, FAILED)
        progress.finish(cancelled=cancelled)
