"""Associations as a client asks for them: open or an exception that says why not."""

from __future__ import annotations

import contextlib
import logging
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pydicom.dataset import Dataset
from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ
from pynetdicom.pdu_primitives import SOPClassExtendedNegotiation, UserIdentityNegotiation
from pynetdicom.presentation import PresentationContext, build_context, build_role
from pynetdicom.transport import AddressInformation

from dicomloom.errors import NetworkError, NoAcceptedContext, ProtocolError
from dicomloom.network import words
from dicomloom.network.direct import exchanging, hold
from dicomloom.network.messages import Ended, Message, Messages
from dicomloom.network.node import Node
from dicomloom.network.requestor import Requestor
from dicomloom.network.wire import Wire, connect, failed, timed_out
from dicomloom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

_LOGGER = logging.getLogger("dicomloom.network")
# PS3.8 9.3.1: types of PDUs.
_ACCEPT, _REJECT, _ABORT = 2, 3, 7
# PS3.8 9.3.2.2: context IDs are odd numbers of a byte.
_MOST_CONTEXTS = 128
# What goes on the wire at once ends within this; a thread that does not is left to its daemon flag.
_END = 5.0

Context = str | PresentationContext | tuple[str, Sequence[str]]


class OpenAssociation:
    """An association that is open; `associate` gives it.

    One thread at a time may use it.

    Attributes
    ----------
    node : Node
    pynetdicom : pynetdicom.association.Association
        The engine: its ``send_c_...`` and ``send_n_...`` do the DIMSE services, in a block of
        `during`; what they answer goes through `check`.
    contexts : tuple of (int, str, str)
        The accepted presentation contexts: ID, abstract syntax UID, transfer syntax UID.
    refused : tuple of (int, int or None, str)
        The others: ID, result (PS3.8 9.3.3.2; None where the answer lacks it) and its words.
    max_pdu_received, max_pdu_sent : int
        Bytes of the largest P-DATA-TF PDU that we take, and that the peer does; 0: any.
    implementation_class_uid, implementation_version_name : str
        Of the peer (PS3.7 D.3.3.2); the name may be "".
    tls : tuple of (str, str) or None
        The version and cipher of TLS.
    extended : dict of str to bytes
        What the peer answered to extended negotiation (PS3.7 D.3.3.5), by SOP class UID.
    """

    def __init__(self, node: Node) -> None:
        self.node = node
        self.contexts: tuple[tuple[int, str, str], ...] = ()
        self.refused: tuple[tuple[int, int | None, str], ...] = ()
        self.max_pdu_received = node.max_pdu
        self.max_pdu_sent = 0
        self.implementation_class_uid = ""
        self.implementation_version_name = ""
        self.tls: tuple[str, str] | None = None
        self.extended: dict[str, bytes] = {}
        self._refusal: NetworkError | None = None
        self._accepted = False
        self._wanted: tuple[str, int | None] | None = None
        self._heard: tuple[str, int | None] | None = None
        self._sent_abort = threading.Event()
        self._step, self._begin = "the association request", time.monotonic()

        connection, there = connect(node)
        try:
            if isinstance(connection, ssl.SSLSocket):
                cipher = connection.cipher() or ("", "", 0)
                self.tls = (connection.version() or "", cipher[0])
            here = connection.getsockname()
            self.pynetdicom = Requestor(self._entity())
            self.pynetdicom.requestor.address_info = AddressInformation.from_tuple(here)
            self.pynetdicom.acceptor.address_info = AddressInformation.from_tuple(there)
            self._wire = Wire(self.pynetdicom, node, connection)
        except BaseException:
            connection.close()
            raise
        self.pynetdicom.set_socket(self._wire)
        self.pynetdicom.name = f"dicomloom-{node.ae_title}"

    def _entity(self) -> AE:
        node = self.node
        entity = AE(node.calling_ae_title)
        entity.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        entity.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        entity.acse_timeout = node.wait("acse")
        entity.dimse_timeout = node.wait("dimse")
        entity.network_timeout = node.idle_timeout
        return entity

    def _open(
        self,
        contexts: list[PresentationContext],
        extended: Mapping[str, bytes] | None = None,
        as_scp: Sequence[str] = (),
    ) -> None:
        """Ask for the association; return when it is open."""
        assoc, node = self.pynetdicom, self.node
        assoc.acceptor.ae_title = node.ae_title
        assoc.requestor.ae_title = node.calling_ae_title
        assoc.requestor.maximum_length = node.max_pdu
        assoc.requestor.implementation_class_uid = assoc.ae.implementation_class_uid
        assoc.requestor.implementation_version_name = assoc.ae.implementation_version_name
        if node.username is not None:
            assoc.requestor.add_negotiation_item(_identity(node.username, node.passcode))
        for uid, information in (extended or {}).items():
            assoc.requestor.add_negotiation_item(_extended(uid, information))
        for uid in as_scp:
            assoc.requestor.add_negotiation_item(build_role(uid, scp_role=True))
        assoc.requestor.requested_contexts = contexts
        assoc.bind(evt.EVT_DATA_RECV, self._received)
        assoc.bind(evt.EVT_PDU_SENT, self._sent)
        assoc.bind(evt.EVT_DIMSE_SENT, self._asked)
        assoc.bind(evt.EVT_DIMSE_RECV, self._answered)
        self._begin = time.monotonic()
        assoc.request()
        if not assoc.is_established:
            # An A-ASSOCIATE-AC that came and could not be used is kept nowhere.
            usable = self._accepted and assoc.acceptor.primitive is not None
            raise self._without_context(contexts) if usable else self.failure()
        assoc.start()
        self.contexts = tuple(
            (context.context_id or 0, str(context.abstract_syntax), str(context.transfer_syntax[0]))
            for context in assoc.accepted_contexts
        )
        self.refused = self._refused(contexts)
        peer = assoc.acceptor
        self.extended = {str(uid): data for uid, data in peer.sop_class_extended.items()}
        self.max_pdu_sent = peer.maximum_length or 0
        self.implementation_class_uid = words.printable(str(peer.implementation_class_uid or ""))
        self.implementation_version_name = words.printable(peer.implementation_version_name or "")

    # The reactor's thread calls these.

    def _received(self, event: evt.Event) -> None:
        # The bytes: pynetdicom fails on codes that PS3.8 does not define.
        data: bytes = event.data
        if data[0] == _ACCEPT:
            self._accepted = True
        elif data[0] == _REJECT and len(data) >= 10:
            names = self.node.ae_title, self.node.calling_ae_title
            self._refuse(words.rejected(str(self.node), *names, data[7], data[8], data[9]))
        elif data[0] == _ABORT and len(data) >= 10:
            self._refuse(words.aborted(str(self.node), data[8], data[9], self._step))

    def _refuse(self, error: NetworkError) -> None:
        if not self._wire.leaving:
            self._refusal = self._refusal or error

    def _sent(self, event: evt.Event) -> None:
        if isinstance(event.pdu, A_ABORT_RQ):
            self._sent_abort.set()

    def _asked(self, event: evt.Event) -> None:
        name = type(event.message).__name__
        if name.endswith("_RQ"):
            number = event.message.command_set.get("MessageID")
            self._wanted = name.replace("_RQ", "_RSP"), number

    def _answered(self, event: evt.Event) -> None:
        name = type(event.message).__name__
        if name.endswith("_RSP"):
            self._heard = name, event.message.command_set.get("MessageIDBeingRespondedTo")

    def _without_context(self, contexts: list[PresentationContext]) -> NetworkError:
        known = self.fault
        if known is not None:
            return known
        proposed = tuple(
            (context.context_id or 0, str(context.abstract_syntax), tuple(context.transfer_syntax))
            for context in contexts
        )
        answered = self._refused(contexts)
        first = proposed[0][1]
        said = ", ".join(sorted({meaning for _, _, meaning in answered}))
        hint = words.no_context_hint({result for _, result, _ in answered})
        what = f"{UID(first).name} ({first})"
        if len(proposed) > 1:
            what = f"any of {len(proposed)} presentation contexts, such as {what}"
        error = NoAcceptedContext(
            f"the peer does not accept {what}: {said}", node=str(self.node), hint=hint
        )
        error.proposed, error.answered = proposed, answered
        return error

    def _refused(
        self, contexts: list[PresentationContext]
    ) -> tuple[tuple[int, int | None, str], ...]:
        results = {
            context.context_id: context.result for context in self.pynetdicom.rejected_contexts
        }
        accepted = {number for number, _, _ in self.contexts}
        refused = []
        for number in (context.context_id or 0 for context in contexts):
            if number not in accepted:
                result = results.get(number)
                meaning = "no answer" if result is None else words.CONTEXT_RESULTS.get(result)
                refused.append((number, result, meaning or words.UNKNOWN))
        return tuple(refused)

    @property
    def fault(self) -> NetworkError | None:
        """What is known to be wrong with it, an abort of the peer included; None: nothing."""
        return self._refusal or self._wire.fault

    def failure(self) -> NetworkError:
        """Return why there was no answer, or no association."""
        known = self.fault
        if known is not None:
            return known
        node = self.node
        if self._wire.ended and self._wire.received == 0:
            message = f"the peer closed the connection during {self._step}"
            return failed(node, "closed", message, words.CLOSED_HINT)
        if self._wire.ended:
            message = f"the connection was closed during {self._step}"
            return failed(node, "closed", message, words.CUT_OFF_HINT)
        step, kind = ("dimse", "dimse") if self._accepted else ("associate", "acse")
        limit = node.wait(kind)
        if time.monotonic() - self._begin < 0.9 * limit:
            # It was not time that ended it, and the peer neither refused nor left.
            return self._broken()
        message = f"no answer to {self._step}"
        return timed_out(node, step, limit, message, words.SILENT_HINT)

    def _broken(self) -> ProtocolError:
        return ProtocolError(
            f"the peer's answer to {self._step} breaks the rules of PS3.7 or PS3.8",
            node=str(self.node),
            hint="see the log (--log-level debug), and ask for an update of the peer",
        )

    @contextlib.contextmanager
    def during(self, operation: str) -> Iterator[Association]:
        """Name what is being asked for, for the messages of failures; gives the engine.

        Raises
        ------
        NetworkError
            The association is not open any more; the exception says why.
        """
        self._step, self._begin = operation, time.monotonic()
        self._wanted = self._heard = None
        if not self.pynetdicom.is_established:
            known = self.fault
            if known is None and self.pynetdicom.is_released:
                hint = "ask for an association again, and see the log of the peer"
                message = "the peer released the association"
                raise failed(self.node, "closed", message, hint)
            if known is None and not self._wire.ended:
                limit = self.node.idle_timeout
                hint = "use it sooner, or give a longer idle_timeout"
                message = "the association was aborted here: nothing went over it"
                raise timed_out(self.node, "idle", limit, message, hint)
            raise self.failure()
        yield self.pynetdicom

    def check(self, answer: Dataset) -> None:
        """Raise unless the answer of an engine's ``send_...`` is a success.

        Raises
        ------
        StatusError
            The status is another.
        NetworkError
            There was no answer; the exception says why.
        """
        if "Status" not in answer:
            raise self.failure()
        if self._heard != self._wanted:
            raise self._broken()  # pynetdicom takes any answer for that of its request
        if answer.Status:
            comment = str(answer.get("ErrorComment") or "")
            raise words.failed(str(self.node), self._step, answer.Status, comment)

    @contextlib.contextmanager
    def requesting(self, operation: str, request: Any, context_id: int) -> Iterator[Association]:
        """Send a request of pynetdicom's; within the block `receive` gives its responses.

        The engine's own ``send_c_find`` writes what was asked and answered to its log, as patient
        data must not be, and takes an answer to another request for one to this.
        """
        with self.during(operation) as engine:
            # As the engine does it: its other thread would take the responses for requests.
            hold(engine)
            engine.dimse.send_msg(request, context_id)
            yield engine
            # Not after an exception: then `abort` lets the thread go on.
            engine._reactor_checkpoint.set()

    @contextlib.contextmanager
    def exchanging(self, operation: str) -> Iterator[Messages]:
        """Take the messages from the engine for the block, and name what is being done.

        Raises
        ------
        NetworkError
            The association ended before or in the block; the exception says why.
        """
        with self.during(operation) as engine:
            try:
                with exchanging(engine, self._wire) as messages:
                    yield messages
            except Ended:
                raise self.failure() from None

    def receive(self, request: Any, seconds: float | None = None) -> Any:
        """Return the next response to a request, an object of its class.

        Parameters
        ----------
        request : pynetdicom.dimse_primitives.C_FIND or another
        seconds : float or None
            How long to wait before None is returned; None: as the node says, then raise.

        Raises
        ------
        NetworkError
            There was none; the exception says why.
        """
        self._begin = time.monotonic()
        wait = self.node.wait("dimse") if seconds is None else seconds
        try:
            _, answer = self.pynetdicom.dimse.msg_queue.get(timeout=wait)
        except queue.Empty:
            if seconds is not None:
                return None
            answer = None
        if answer is None:
            raise self.failure()
        ours = type(answer) is type(request) and answer.is_valid_response
        if not ours or answer.MessageIDBeingRespondedTo != request.MessageID:
            raise self._broken()
        return answer

    def limit_data_sets(self, size: int | None) -> None:
        """Refuse data sets of more than `size` bytes in a message, instead of 64 MiB; None: none.

        It holds for what the engine puts together, not for `exchanging` past it.
        """
        self._wire.largest_data_set = size

    def release(self) -> None:
        """Release the association, and end all that belongs to it."""
        try:
            if self.pynetdicom.is_established:
                self.pynetdicom.release()
                if not self.pynetdicom.is_released:
                    _LOGGER.warning("%s: the peer did not confirm the release", self.node)
        finally:
            self._end()

    def abort(self) -> None:
        """Abort the association, and end all that belongs to it."""
        try:
            if self.pynetdicom.is_established:
                self.pynetdicom.abort(block=False)
                end = time.monotonic() + 1
                while self.pynetdicom.dul.is_alive() and time.monotonic() < end:
                    if self._sent_abort.wait(0.01):
                        break
        finally:
            self._end()

    def cut(self) -> None:
        """Break the connection, from any thread: whoever uses the association gets an error."""
        self._wire.hang_up()

    def _end(self) -> None:
        """Leave no thread and no descriptor behind, whatever state there is."""
        assoc = self.pynetdicom
        assoc.dul.kill_dul()
        self._wire.hang_up()
        if assoc.dul.is_alive():
            assoc.dul.join(_END)
        assoc.kill()
        if assoc.is_alive():
            assoc.join(_END)
        self._wire.discard()


def _identity(username: str, passcode: str | None) -> UserIdentityNegotiation:
    # PS3.7 D.3.3.7.1: 1 is a username, 2 one with a passcode.
    item = UserIdentityNegotiation()
    item.user_identity_type = 1 if passcode is None else 2
    item.primary_field = username.encode()
    if passcode is not None:
        item.secondary_field = passcode.encode()
    return item


def _extended(uid: str, information: bytes) -> SOPClassExtendedNegotiation:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = UID(uid)
    item.service_class_application_information = information
    return item


def _contexts(wanted: Sequence[Context]) -> list[PresentationContext]:
    if not 1 <= len(wanted) <= _MOST_CONTEXTS:
        raise ValueError(
            f"expected 1 to {_MOST_CONTEXTS} presentation contexts (PS3.8 9.3.2), not {len(wanted)}"
        )
    made = []
    for number, context in enumerate(wanted):
        if isinstance(context, str):
            fresh = build_context(context)
        elif isinstance(context, tuple):
            fresh = build_context(context[0], list(context[1]))
        else:
            fresh = build_context(context.abstract_syntax or "", list(context.transfer_syntax))
        fresh.context_id = 2 * number + 1
        made.append(fresh)
    return made


@contextlib.contextmanager
def associate(
    node: Node | str,
    contexts: Sequence[Context],
    *,
    extended: Mapping[str, bytes] | None = None,
    as_scp: Sequence[str] = (),
    on_event: Callable[[Message], object] | None = None,
) -> Iterator[OpenAssociation]:
    """Open an association; a context manager that gives an `OpenAssociation`.

    Leaving the block releases the association; leaving it by an exception aborts it. After that
    none of its threads and sockets are left.

    Parameters
    ----------
    node : Node or str
        The peer; a str is looked up as `Node.of` does.
    contexts : sequence
        What to propose, 1 to 128 presentation contexts: abstract syntax UIDs (for the
        uncompressed transfer syntaxes), pairs of such a UID and transfer syntax UIDs, or
        pynetdicom's PresentationContext.
    extended : mapping of str to bytes, optional
        Service-class-application-information by SOP class UID (PS3.7 D.3.3.5); what the peer
        answers is in ``extended`` of the association.
    as_scp : sequence of str
        Abstract syntaxes of which we want to be the SCP (PS3.7 D.3.3.4).
    on_event : callable, optional
        Called with each N-EVENT-REPORT that does not come through `OpenAssociation.exchanging`, in
        another thread: one may come right behind the acceptance. It has to be answered.

    Raises
    ------
    ConnectionFailed, TLSError, TimeoutExpired
        There is no connection.
    AssociationRejected, AssociationAborted, NoAcceptedContext, ProtocolError
        There is no association.
    NodeError
        `node` is none, or a file of its tls fields is wrong.

    Examples
    --------
    >>> from dicomloom.errors import ConnectionFailed
    >>> try:
    ...     with associate("PACS@127.0.0.1:1", ["1.2.840.10008.1.1"]) as association:
    ...         association.contexts
    ... except ConnectionFailed as error:
    ...     error.reason
    'refused'
    """
    proposed = _contexts(contexts)
    association = OpenAssociation(Node.of(node) if isinstance(node, str) else node)
    association.pynetdicom.on_event = on_event
    try:
        association._open(proposed, extended, as_scp)
        yield association
    except BaseException:
        association.abort()
        raise
    association.release()
