"""An association that a peer asked for: one thread from the handshake to the end."""

from __future__ import annotations

import logging
import socket
import ssl
import time
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from pydicom.uid import UID
from pynetdicom import AE, evt
from pynetdicom._globals import MODE_ACCEPTOR
from pynetdicom.association import Association
from pynetdicom.pdu import A_ABORT_RQ, A_RELEASE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.transport import AddressInformation

from dicomloom.errors import NetworkError, NodeError, ProtocolError
from dicomloom.network import command as commands
from dicomloom.network import tls, words
from dicomloom.network.command import Command
from dicomloom.network.direct import exchanging
from dicomloom.network.messages import Ended, Message, Messages, Stretch
from dicomloom.network.node import Node
from dicomloom.network.serve.contexts import supported
from dicomloom.network.serve.services import Context, Request, Service, dispatch
from dicomloom.network.wire import Reactor, Wire, failed
from dicomloom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from dicomloom.network.serve.listener import Listener

_LOGGER = logging.getLogger("dicomloom.network.serve")
# PS3.8 9.3.4: result, source, reason.
_UNKNOWN_CALLING, _UNKNOWN_CALLED, _TOO_MANY = (1, 1, 3), (1, 1, 7), (2, 3, 2)
_RELATIONAL_MODELS = "1.2.840.10008.5.1.4.1.2."
# Seconds: how often a connection is looked at that has not asked for anything yet.
_GLANCE = 0.02
# Seconds: how often an idle association looks whether the server is closed.
_IDLE = 0.25
# What goes on the wire at once ends within this.
_END = 5.0
_NOBODY = "UNKNOWN"


class _Accepted(Wire):
    """The connection of a peer that came to us."""

    def __init__(self, engine: Association, node: Node, connection: socket.socket) -> None:
        super().__init__(engine, node, connection)
        self._is_connected = True
        self._ready.set()
        self.event_queue.put("Evt5")  # PS3.8 9.2.2: transport connection indication

    @property
    def over(self) -> bool:
        """Whether the connection has ended, from whichever side."""
        return self.ended or self.socket is None

    def rename(self, node: Node) -> None:
        """Call the peer by the name that it gave."""
        self._node, self.peer = node, str(node)

    def _foreign(self, header: bytes) -> NetworkError:
        if self.received:
            return super()._foreign(header)
        if header.startswith((b"GET ", b"HEAD ", b"POST ", b"PUT ", b"OPTION", b"PRI * ")):
            hint = "a browser or a scanner is at the DICOM port"
            return failed(self._node, "http", "the peer speaks HTTP", hint)
        if header[0] == 0x16 and header[1] == 3:  # TLS: a handshake record, version 3.x
            hint = "turn TLS off there, or on here (--tls-cert)"
            return failed(self._node, "tls", "the peer speaks TLS on a port without", hint)
        shown = words.printable(header.decode("latin-1"))
        message = f'the peer does not speak DICOM: it began with "{shown}"'
        return failed(self._node, "not-dicom", message, "something else looks for its own server")


class Acceptor(Association):
    """pynetdicom's association in acceptor mode, which serves messages by our services.

    A `Listener` makes and starts it. Negotiation, states and timers are pynetdicom's.

    Attributes
    ----------
    node : Node
        The peer: its AE title, once it has told it, and the address that it comes from.
    called : str
        What it called us.
    ending : str
        How it ended: ``released``, ``aborted``, ``rejected``, ``closed``.
    why : str
        The reason, where it was not released; "" of a peer that came and went without a word.
    served : Counter
        How many requests of each service were answered.
    failed : int
        How many of them were refused or failed.
    received : int
        Bytes of the data sets that were stored.
    seconds : float
        How long it took, once it has ended.
    stopping : bool
        Whether it is to end, since the server is closed.
    """

    def __init__(self, listener: Listener, connection: socket.socket, address: Any) -> None:
        terms = listener.terms
        entity = AE(terms.ae_title)
        entity.acse_timeout = entity.dimse_timeout = terms.timeout
        # Ours counts messages, whichever engine moves them.
        entity.network_timeout = None
        super().__init__(entity, MODE_ACCEPTOR)
        self.dul = Reactor(self)
        # The timers of both are the reactor's.
        self.acse_timeout, self.network_timeout = terms.timeout, None
        self.listener = listener
        self.node = _node_of(_NOBODY, address, listener)
        self.called, self.ending, self.why = "", "closed", ""
        self.served: Counter[str] = Counter()
        self.failed = self.received = 0
        self.began, self.seconds = time.monotonic(), 0.0
        self._connection = connection
        self._wire: _Accepted | None = None
        self.stopping = False
        self._asked: dict[int, Callable[[int | None], None]] = {}
        self._number = 0
        self.name = f"dicomloom-serve-{self.node.port}"
        self.requestor.address_info = AddressInformation.from_tuple(address)
        us = self.acceptor
        us.ae_title, us.maximum_length = terms.ae_title, terms.max_pdu
        us.address_info = AddressInformation.from_tuple(connection.getsockname())
        us.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
        us.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        self.bind(evt.EVT_SOP_EXTENDED, _extended)
        self.bind(evt.EVT_PDU_RECV, self._wake)

    @property
    def peer(self) -> str:
        """The peer as ``AET@host:port``, fit to be shown."""
        return str(self.node)

    def run_reactor(self) -> None:
        """Run from the handshake to the end, and leave nothing behind."""
        try:
            self._converse()
        except Exception as error:
            self.why = self.why or f"failed here: {type(error).__name__}"
            _LOGGER.debug("%s: the association failed", self.peer, exc_info=True)
        finally:
            self._finish()

    def _converse(self) -> None:
        terms = self.listener.terms
        if terms.tls is not None:
            try:
                self._connection = tls.accept(self._connection, terms.tls, terms.timeout)
            except OSError as error:
                self.why = _tls_fault(self.node, error)
                return
        self._wire = _Accepted(self, self.node, self._connection)
        self._wire.largest_data_set = terms.largest_data_set
        self.set_socket(self._wire)
        self.dul.start()
        self._started_dul = True
        self._dul_ready.wait()
        request = self._request(self._wire)
        if request is None:
            return
        self.requestor.primitive = request
        self._introduce(request, self._wire)
        refusal = self._refusal(request)
        if refusal:
            self.acse.send_reject(*refusal)
            self.is_rejected = True
            self.kill()
            return
        self.acceptor.supported_contexts = supported(
            request.presentation_context_definition_list, self.listener.services
        )
        self.acse.negotiate_association()
        if self.is_established:
            self._run_reactor()

    def is_relational(self, model: str) -> bool:
        """Whether relational queries were negotiated for an information model (PS3.4 C.5.1.1)."""
        return self.acceptor.sop_class_extended.get(UID(model), b"")[:1] == b"\1"

    def _request(self, wire: _Accepted) -> A_ASSOCIATE | None:
        """Wait for the A-ASSOCIATE-RQ; None where there comes none."""
        end = self.began + self.listener.terms.timeout
        while not wire.over and self.dul.is_alive() and time.monotonic() < end:
            primitive = self.dul.receive_pdu(wait=True, timeout=_GLANCE)
            if isinstance(primitive, A_ASSOCIATE):
                return primitive
            if primitive is not None:
                break
        if not self.why and wire.fault is None and not wire.ended and not self.stopping:
            self.why = f"no association request within {self.listener.terms.timeout:g} s"
        return None

    def _introduce(self, request: A_ASSOCIATE, wire: _Accepted) -> None:
        self.called = words.printable(str(request.called_ae_title).strip())
        calling = str(request.calling_ae_title).strip()
        where = (self.node.host, self.node.port)
        self.node = _node_of(calling, where, self.listener)
        wire.rename(self.node)
        user = self.requestor.user_identity
        if user is not None and user.primary_field is not None:
            # The passcode is in another field; a ticket of types 3 to 5 is as good as one.
            shown = user.primary_field.decode("utf-8", "replace")
            name = words.printable(shown) if (user.user_identity_type or 0) <= 2 else "(a ticket)"
            _LOGGER.info("%s: user %s", self.peer, name)

    def _refusal(self, request: A_ASSOCIATE) -> tuple[int, int, int] | None:
        terms = self.listener.terms
        calling = str(request.calling_ae_title).strip()
        if terms.allow_calling and calling not in terms.allow_calling:
            self.why = "the calling AE title is not allowed"
            return _UNKNOWN_CALLING
        if terms.strict_called_ae and str(request.called_ae_title).strip() != terms.ae_title:
            self.why = f'it called "{self.called}"'
            return _UNKNOWN_CALLED
        if not self.listener.admit(self):
            self.why = f"there are {terms.max_associations} associations already"
            return _TOO_MANY
        return None

    def _run_reactor(self) -> None:
        """Serve requests until the association ends."""
        self._is_paused = False
        assert self._wire is not None
        try:
            with exchanging(self, self._wire) as messages:
                self._serve(messages)
        except Ended:
            # What the wire blames, the engine need not have seen.
            if not self.stopping and self._wire.fault is None:
                super()._run_reactor()  # it answers a release, and notes an abort
                return
        except (ProtocolError, OSError) as error:
            self.why = self.why or words.printable(str(error))
        self.abort()

    def _serve(self, messages: Messages) -> None:
        """Serve requests until nothing comes any more, or the server is closed."""
        services = self.listener.services
        contexts = {
            one.number: (one, next(each for each in services if each.takes(one.abstract_syntax)))
            for one in self.contexts()
        }
        limit = self.listener.terms.idle_timeout
        heard = time.monotonic()
        while not self.stopping:
            message = messages.receive(min(limit, _IDLE))
            if message is not None:
                self._serve_one(messages, message, contexts)
                heard = time.monotonic()
            elif time.monotonic() - heard > limit:
                self.why = f"nothing went over it for {limit:g} s"
                return
        self.why = "this server was closed"

    def contexts(self, *, ours: bool = False) -> list[Context]:
        """Return the accepted presentation contexts; `ours`: in which we may be the SCU."""
        return [
            Context(number, str(one.abstract_syntax), str(one.transfer_syntax[0]))
            for number, one in self._accepted_cx.items()
            if one.as_scu or not ours
        ]

    def _serve_one(
        self, messages: Messages, message: Message, contexts: dict[int, tuple[Context, Service]]
    ) -> None:
        command = message.command
        if commands.is_response(command):
            number = commands.integer(command, "MessageIDBeingRespondedTo")
            answered = self._asked.pop(number, None)
            if answered is None:
                raise ProtocolError(f"the peer answered {number}, which was not asked")
            answered(commands.integer(command, "Status"))
            return
        # One of a request that is answered; by pynetdicom's queue it has no context.
        if commands.integer(command, "CommandField") == commands.C_CANCEL:
            return
        if message.context_id not in contexts:
            raise ProtocolError(f"the peer used context {message.context_id}, not accepted")
        context, service = contexts[message.context_id]
        request = Request(self, messages, message, context)
        self.served[request.name] += 1
        dispatch(request, service)

    def ask(
        self,
        request: Request,
        command: Command,
        data: bytes | Stretch | None,
        answered: Callable[[int | None], None],
    ) -> None:
        """Send a request of ours in the context of one of the peer's, behind its answer.

        `answered` is called once, in this thread, with the status; None: the association ended.
        """
        self._number = self._number % 0xFFFF + 1
        self._asked[self._number] = answered
        request.messages.send(request.context.number, command | {"MessageID": self._number}, data)

    def _serve_request(self, message: Any, context_id: int) -> None:
        # pynetdicom has a thread of its own for each N-EVENT-REPORT; ours come in their turn.
        if self.is_established:
            self.dimse.msg_queue.put((context_id, message))

    def _wake(self, event: evt.Event) -> None:
        # Whoever waits for a message is not told of a release or an abort otherwise.
        if isinstance(event.pdu, (A_RELEASE_RQ, A_ABORT_RQ)):
            self.dimse.msg_queue.put((None, None))

    def stop(self) -> None:
        """Ask the association to end, from another thread; what it is at is finished first."""
        self.stopping = True
        if self.is_established:
            self.dimse.msg_queue.put((None, None))
        else:
            self.hang_up()

    def hang_up(self) -> None:
        """Wake whoever reads or writes; the connection is over. Any thread may call it."""
        try:
            # Not SSLSocket's own, which takes the TLS state from under another thread.
            socket.socket.shutdown(self._connection, socket.SHUT_RDWR)
        except OSError as error:
            _LOGGER.debug("%s: %s", self.peer, error)  # not connected any more

    def _finish(self) -> None:
        """Leave no thread and no descriptor behind, whatever state there is."""
        self.dul.kill_dul()
        wire = self._wire
        if wire is None:
            self._connection.close()
        else:
            wire.hang_up()
            if self.dul.is_alive():
                self.dul.join(_END)
            wire.discard()
            if wire.fault is not None:
                self.why = self.why or f"{wire.fault.message}; {wire.fault.hint}"
        if self.is_rejected:
            self.ending = "rejected"
        elif self.is_released:
            self.ending, self.why = "released", ""
        elif self.called:
            self.ending = "aborted"
            self.why = self.why or "by the peer"
        self.seconds = time.monotonic() - self.began
        try:
            for answered in self._asked.values():
                answered(None)
        finally:
            self.listener.leave(self)


def _node_of(ae_title: str, address: Any, listener: Listener) -> Node:
    host = f"[{address[0]}]" if ":" in address[0] else address[0]
    terms = listener.terms
    try:
        where = f"{ae_title}@{host}:{address[1]}"
        return Node(where, timeout=terms.timeout, max_pdu=terms.max_pdu)
    except NodeError:
        where = f"{_NOBODY}@{host}:{address[1]}"
        return Node(where, timeout=terms.timeout, max_pdu=terms.max_pdu)


def _extended(event: evt.Event) -> dict[UID, bytes]:
    """Grant relational queries and retrievals, and nothing else of PS3.4 C.5.1.1."""
    items: dict[UID, bytes] = event.app_info  # type: ignore[attr-defined]
    return {
        uid: asked[:1] + bytes(len(asked) - 1)
        for uid, asked in items.items()
        if uid.startswith(_RELATIONAL_MODELS) and asked
    }


_NO_TLS = "the peer speaks no TLS: tell it to, or offer a port without"
_TLS_FAULTS = {
    "HTTP_REQUEST": "the peer speaks HTTP on a port with TLS",
    "WRONG_VERSION_NUMBER": _NO_TLS,
    "RECORD_LAYER_FAILURE": _NO_TLS,
    "UNEXPECTED_MESSAGE": _NO_TLS,
    "PEER_DID_NOT_RETURN_A_CERTIFICATE": "the peer showed no certificate, and one is wanted",
}


def _tls_fault(node: Node, error: OSError) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is not trusted: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return _TLS_FAULTS.get(error.reason or "") or tls.explain(node, error).message
    if isinstance(error, TimeoutError):
        return str(error)
    return "the peer closed the connection during the TLS handshake"
