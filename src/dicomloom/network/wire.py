"""The connection below an association: made, watched, bounded in size and time, and closed."""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
import ssl
import threading
import time
from typing import Any, NoReturn

from pynetdicom import evt
from pynetdicom.association import Association
from pynetdicom.dul import DULServiceProvider
from pynetdicom.pdu_primitives import A_P_ABORT
from pynetdicom.transport import T_CONNECT, AddressInformation, AssociationSocket

from dicomloom.errors import ConnectionFailed, NetworkError, ProtocolError, TimeoutExpired
from dicomloom.network import tls, words
from dicomloom.network.node import Node
from dicomloom.network.timer import SteadyTimer
from dicomloom.system import ready

_LOGGER = logging.getLogger("dicomloom.network")
# PS3.8 9.3.1: what a PDU begins with.
_HEADER = 6
_P_DATA, _ABORT = 4, 7
# An A-ASSOCIATE-AC with 128 contexts and all it can negotiate takes a fraction of this.
_LARGEST_OTHER = 256 << 10
# A command set has some dozen short elements (PS3.7 E).
LARGEST_COMMAND = 1 << 20
# Messages that wait for their reader; while there are so many, the peer has to wait.
_MOST_WAITING = 16
# Seconds after which a reactor without a connection looks for something else to do.
_PARKED = 0.05
# PS3.8 9.3.8: source is the service-provider, reason is invalid-PDU-parameter-value.
_ABORT_INVALID = bytes([_ABORT, 0, 0, 0, 0, 4, 0, 0, 2, 6])


def failed(node: Node, reason: str, message: str, hint: str) -> ConnectionFailed:
    """Return the exception of a node that cannot be reached, or is none."""
    error = ConnectionFailed(message, node=str(node), hint=hint)
    error.host, error.port, error.reason = node.host, node.port, reason
    return error


def timed_out(node: Node, step: str, waited: float, message: str, hint: str) -> TimeoutExpired:
    """Return the exception of a step that took too long; ``waited`` is in seconds."""
    error = TimeoutExpired(f"{message} within {waited:g} s", node=str(node), hint=hint)
    error.waited, error.step = waited, step
    return error


def addresses(node: Node) -> list[tuple[int, Any]]:
    """Return the family and socket address of each address of a node's host.

    Raises
    ------
    ConnectionFailed
        There is no such host.
    """
    try:
        found = socket.getaddrinfo(node.host, node.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        about = error.strerror if isinstance(error, OSError) else str(error)
        message = f"cannot find the host {node.host}: {about}"
        raise failed(node, "unknown-host", message, words.UNKNOWN_HOST_HINT) from error
    return [(family, where) for family, _, _, _, where in found]


def own_address(node: Node) -> str:
    """Return the address of ours that a node is reached from; nothing is sent.

    Raises
    ------
    ConnectionFailed
        The host has no address.
    """
    family, where = addresses(node)[0]
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect(where)
        return str(probe.getsockname()[0])


def _explain(node: Node, error: OSError) -> ConnectionFailed:
    message = f"cannot connect: {error.strerror or error}"
    if error.errno == errno.ECONNREFUSED:
        return failed(node, "refused", message, words.REFUSED_HINT)
    if error.errno in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN):
        return failed(node, "unreachable", message, words.UNREACHABLE_HINT)
    return failed(node, "system", message, "check the address and this machine's network")


def connect(node: Node) -> tuple[socket.socket, Any]:
    """Return a connection to a node, with TLS where it says so, and the address it leads to.

    TCP_NODELAY is set.

    All addresses of the host are tried in turn, in the order that the system prefers. The
    time-out holds for all of them together with the handshake; looking the name up takes as long
    as the system's resolver lets it.

    Raises
    ------
    ConnectionFailed
        There is no such host, nothing listens, no way leads there, TLS fails.
    TimeoutExpired
        Nothing answered in time.
    """
    # Wrong files are to be told before a peer is bothered.
    context = tls.client_context(node) if node.tls else None
    limit = node.wait("connect")
    end = time.monotonic() + limit
    failure: OSError | None = None
    found = addresses(node)
    for number, (family, where) in enumerate(found):
        connection = socket.socket(family, socket.SOCK_STREAM)
        try:
            # One that swallows what is sent to it leaves time for those after it.
            share = (end - time.monotonic()) / (len(found) - number)
            connection.settimeout(max(share, 0.001))
            connection.connect(where)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        except OSError as error:
            connection.close()
            failure = error
            continue
        except BaseException:
            connection.close()
            raise
        if context is not None:
            connection = _secure(node, connection, context, end)
        return connection, where
    assert failure is not None
    if isinstance(failure, TimeoutError):
        hint = words.NO_CONNECTION_HINT
        raise timed_out(node, "connect", limit, "no connection", hint) from failure
    raise _explain(node, failure) from failure


def _secure(
    node: Node, connection: socket.socket, context: ssl.SSLContext, end: float
) -> ssl.SSLSocket:
    try:
        connection.settimeout(max(end - time.monotonic(), 0.001))
        return tls.secure(node, connection, context)
    except TimeoutError as error:
        hint = "perhaps the peer speaks DICOM without TLS on this port"
        message = "the peer did not complete the TLS handshake"
        raise timed_out(node, "tls", node.wait("connect"), message, hint) from error
    finally:
        # wrap_socket takes the descriptor over when it succeeds; then this closes nothing.
        connection.close()


class Wire(AssociationSocket):
    """A connected socket for pynetdicom's reactor that keeps what it sees and holds limits.

    pynetdicom reads whatever length a peer announces, waits without end for the rest of a PDU, and
    forgets why a connection ended. This one refuses a PDU above the negotiated length after its
    header and a message that never ends, gives each PDU a time limit, and has the reason in
    `fault`.

    Attributes
    ----------
    fault : NetworkError or None
        The first thing that went wrong here.
    ended : bool
        Whether the peer closed the connection, and we had not aborted before.
    leaving : bool
        Whether we have aborted: what comes after is no reason for anything.
    largest_data_set : int or None
        Bytes of the largest data set that is taken in a message, since the engine holds it in
        memory; None: any.
    received : int
        How many whole PDU headers arrived.
    connection : socket.socket
    peer : str
        For messages.
    limit : float
        Seconds that a PDU may take.
    max_pdu : int
        Bytes of the largest P-DATA-TF PDU that is taken.
    """

    def __init__(self, assoc: Association, node: Node, connection: socket.socket) -> None:
        self.connection = connection
        self._node = node
        self.peer, self.limit, self.max_pdu = str(node), node.timeout, node.max_pdu
        self.fault: NetworkError | None = None
        self.ended = False
        self.leaving = False
        self.received = 0
        self.largest_data_set: int | None = 64 << 20
        self._ahead = b""
        self._failed: OSError | None = None
        self._kind = 0
        self._message = 0
        self._deadline = 0.0
        self._is_taken = False
        self._parked, self._returned = threading.Event(), threading.Event()
        super().__init__(assoc, address=AddressInformation("127.0.0.1", 0))

    def _create_socket(self, address: AddressInformation) -> socket.socket:
        # The way that the base class offers to bring a socket of another making.
        self.connection.settimeout(self.limit)
        return self.connection

    def connect(self, primitive: T_CONNECT) -> None:
        """Tell the state machine that there is a connection, since there has long been one."""
        self._is_connected = True
        evt.trigger(self.assoc, evt.EVT_CONN_OPEN, {"address": primitive.address_info.as_tuple})
        primitive.result = "Evt2"
        self.provider_queue.put(primitive)
        self._ready.set()

    @property
    def ready(self) -> bool:
        """Whether there is something to read, or the end; any number of descriptors will do."""
        # Not within a message: the fragments it has would be missed.
        if self._is_taken and self.assoc.dimse.message is None:
            self._parked.set()
            self._returned.wait(_PARKED)
            return False
        connection = self.socket
        if connection is None or not self._is_connected:
            return False
        return self._is_ready(connection)

    def _is_ready(self, connection: socket.socket) -> bool:
        if self.assoc.dimse.msg_queue.qsize() >= _MOST_WAITING:
            return False
        if self._ahead or self._failed is not None:
            return True
        if isinstance(connection, ssl.SSLSocket):
            return self._ready_tls(connection)
        try:
            return bool(ready([connection.fileno()], 0))
        except (OSError, ValueError):
            self.event_queue.put("Evt17")  # closed
            return False

    def _ready_tls(self, connection: ssl.SSLSocket) -> bool:
        # What arrived may be TLS's own, a session ticket say, with no byte for us: whoever then
        # waited for one could not send meanwhile.
        try:
            connection.settimeout(0)
            self._ahead = connection.recv(1)
            connection.settimeout(self.limit)
        except ssl.SSLWantReadError:
            connection.settimeout(self.limit)
            return False
        except (OSError, ValueError) as error:
            self._failed = error if isinstance(error, OSError) else OSError(str(error))
        return True

    def recv(self, nr_bytes: int) -> bytearray:
        """Return so many bytes, fewer at the end of the connection.

        pynetdicom asks for the header of a PDU and, where it knows the type, for the rest.

        Raises
        ------
        OSError
            The connection broke, the peer was too slow, or the PDU is longer than it may be.
        """
        if not self._kind:
            self._deadline = time.monotonic() + self.limit
            data = self._read(nr_bytes)
            if len(data) == _HEADER:
                self._acknowledge()
                self._look(bytes(data))
            return data
        kind, self._kind = self._kind, 0
        data = self._read(nr_bytes)
        if kind == _P_DATA:
            self._count(data)
        return data

    def _read(self, count: int) -> bytearray:
        data = bytearray(count)  # at most what `_look` lets through
        at = 0
        try:
            while at < count:
                some = self._some(memoryview(data)[at:])
                if some == 0:
                    self.ended = not self.leaving
                    break
                at += some
        except TimeoutError:
            self.blame_slow("the peer began a PDU and did not send the rest")
            raise
        except ssl.SSLError as error:
            self._blame(tls.explain(self._node, error))
            raise
        except OSError:
            self.ended = not self.leaving
            raise
        return data[:at]

    def _some(self, view: memoryview) -> int:
        connection = self.socket
        left = self._deadline - time.monotonic()
        if isinstance(self._failed, ssl.SSLEOFError):
            return 0
        if self._failed is not None:
            raise self._failed
        if self._ahead:
            count = min(len(view), len(self._ahead))
            view[:count], self._ahead = self._ahead[:count], self._ahead[count:]
            return count
        if connection is None:
            raise OSError(errno.ENOTCONN, "the connection is closed")
        if left <= 0:
            raise TimeoutError
        connection.settimeout(left)
        try:
            return connection.recv_into(view)
        except ssl.SSLEOFError:
            return 0  # closed without a closing alert, as many do
        finally:
            connection.settimeout(self.limit)

    def _acknowledge(self) -> None:
        # A peer that writes header and body apart, with Nagle's algorithm on, as DCMTK does, holds
        # the body back until the header is acknowledged; Linux would take 40 ms for that.
        if hasattr(socket, "TCP_QUICKACK"):
            with contextlib.suppress(OSError):  # closed meanwhile; the next read says so
                self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 1)

    def _look(self, header: bytes) -> None:
        kind, length = header[0], int.from_bytes(header[2:], "big")
        if not 1 <= kind <= 7:
            self._blame(self._foreign(header))
            return
        self.received += 1
        self._kind = kind
        limit = self.max_pdu if kind == _P_DATA else _LARGEST_OTHER
        if length <= limit:
            return
        self.refuse(
            f"expected at most {limit} bytes in a PDU of type {kind:02X}H, found {length}",
            "the peer does not keep to what was negotiated: see PS3.8 D.1; "
            "a larger max_pdu may help",
        )

    def _count(self, data: bytearray) -> None:
        """Refuse a message whose fragments never end (PS3.8 9.3.5.1 and E.2)."""
        at = 0
        while at + 6 <= len(data):
            length, control = int.from_bytes(data[at : at + 4], "big"), data[at + 5]
            at += 4 + length
            self._message += length
            limit = LARGEST_COMMAND if control & 1 else self.largest_data_set
            if limit is not None and self._message > limit:
                what = "command set" if control & 1 else "data set"
                self.refuse(
                    f"expected a {what} of at most {limit} bytes, found {self._message} and no end",
                    "the peer is broken, or sends what was not asked for: see its log",
                )
            if control & 2:
                self._message = 0

    def refuse(self, message: str, hint: str) -> NoReturn:
        """Abort, with a `ProtocolError` as the fault, and raise that."""
        fault = ProtocolError(message, node=str(self._node), hint=hint)
        self._blame(fault)
        self.send(_ABORT_INVALID)
        raise fault

    def _foreign(self, header: bytes) -> NetworkError:
        """Return the error of bytes that begin no PDU."""
        if self.received:
            return ProtocolError(
                f"the peer sent a PDU of type {header[0]:02X}H, which PS3.8 9.3.1 does not have",
                node=str(self._node),
                hint="see the log of the peer",
            )
        if header.startswith((b"HTTP/", b"<html", b"<!DOC")):
            hint = "this is the port of a web server: ask for the DICOM port of the peer"
            return failed(self._node, "http", "the peer speaks HTTP", hint)
        # TLS: an alert or handshake record, version 3.x.
        if header[0] in (0x15, 0x16) and header[1] == 3:
            hint = "turn TLS on (tls = true, --tls), or ask for the port without"
            return failed(self._node, "tls", "the peer speaks TLS on this port", hint)
        shown = words.printable(header.decode("latin-1"))
        hint = "another service listens on this port: ask for the DICOM port of the peer"
        message = f'the peer does not speak DICOM: it began with "{shown}"'
        return failed(self._node, "not-dicom", message, hint)

    def blame_slow(self, message: str) -> None:
        """Have a `TimeoutExpired` as the fault, if there is no other."""
        step = "dimse" if self.received > 1 or self._is_taken else "associate"
        hint = "the peer or the network is far too slow, or stuck"
        self._blame(timed_out(self._node, step, self.limit, message, hint))

    def _blame(self, fault: NetworkError) -> None:
        if not self.leaving:
            self.fault = self.fault or fault

    def send(self, bytestream: bytes) -> None:
        """Send all of it; a failure ends the connection, as the state machine sees it."""
        connection = self.socket
        if bytestream[0] == _ABORT:
            self.leaving = True
        try:
            if connection is None:
                raise OSError(errno.ENOTCONN, "the connection is closed")
            connection.sendall(bytestream)
        except TimeoutError:
            self.blame_slow("the peer did not take what was sent")
            self.event_queue.put("Evt17")
        except OSError:
            # What the peer said before it closed, its reason perhaps, may still wait to be read.
            if not self.ready:
                self.ended = not self.leaving
                self.event_queue.put("Evt17")
        else:
            evt.trigger(self.assoc, evt.EVT_DATA_SENT, {"data": bytestream})

    def take(self) -> bool:
        """Take the connection from the reactor; False where that has ended, or cannot let go.

        From then on it is the caller's to read and write, until `give_back`.
        """
        self._parked.clear()
        self._returned.clear()
        self._is_taken = True
        until = time.monotonic() + self.limit
        # The reactor may be within a message: it tells when it asks for the next one.
        while not self._parked.wait(0.01):
            if time.monotonic() > until:
                self.blame_slow("the peer began a message and did not send the rest")
            elif self.assoc.dul.is_alive():
                continue
            self._is_taken = False
            return False
        return True

    def take_ahead(self) -> bytes:
        """Take away what was read and not given to the reactor."""
        data, self._ahead = self._ahead, b""
        return data

    def give_back(self, data: bytes) -> None:
        """Give the connection back to the reactor, which reads `data` first."""
        self._ahead = data
        self.assoc.dul._idle_timer.restart()
        self._is_taken = False
        self._returned.set()

    @property
    def is_taken(self) -> bool:
        """Whether somebody else than the reactor uses the connection."""
        return self._is_taken

    def hang_up(self) -> None:
        """Wake whoever reads or writes; the connection is over. Any thread may call it."""
        with contextlib.suppress(OSError):  # not connected any more
            # Not SSLSocket's own, which takes the TLS state from under another thread.
            socket.socket.shutdown(self.connection, socket.SHUT_RDWR)

    def _shutdown_socket(self) -> None:
        # The base class leaves a descriptor open when the peer was first to close.
        self.hang_up()
        self.connection.close()

    def discard(self) -> None:
        """Close the descriptor; the reactor must have ended."""
        self._shutdown_socket()
        self.socket = None


class Reactor(DULServiceProvider):
    """pynetdicom's reactor; when it ends, whoever waits for an answer is told.

    It ends without a word after an unexpected event or a broken PDU, and its user would wait until
    the time-out.
    """

    def __init__(self, assoc: Association) -> None:
        super().__init__(assoc)
        self._idle_timer, self.artim_timer = SteadyTimer(60), SteadyTimer(30)

    def idle_timer_expired(self) -> bool:
        """Whether nothing went over the connection for too long."""
        wire = self.socket
        return not (isinstance(wire, Wire) and wire.is_taken) and super().idle_timer_expired()

    def run_reactor(self) -> None:
        """Run until the association is over."""
        try:
            super().run_reactor()
        except Exception:
            # An event that the state has no transition for, or a message that cannot be decoded: to
            # tell the peer and to log it is all that can be done here.
            _LOGGER.info("the reactor failed", exc_info=True)
            wire = self.socket
            if isinstance(wire, Wire) and not wire.is_taken:
                wire.send(_ABORT_INVALID)
        finally:
            if self.state_machine.current_state != "Sta1":
                gone = A_P_ABORT()
                gone.provider_reason = 0
                self.to_user_queue.put(gone)
            self.assoc.dimse.msg_queue.put((None, None))
