"""Listening: connections become associations, within limits, each in a thread of its own."""

from __future__ import annotations

import contextlib
import errno
import ipaddress
import logging
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dicomloom.errors import ConnectionFailed
from dicomloom.network.node import CALLING_AE_TITLE, MAX_PDU, Node, check_ae_title
from dicomloom.network.serve.acceptor import Acceptor
from dicomloom.network.serve.services import Service
from dicomloom.system import ready

_LOGGER = logging.getLogger("dicomloom.network.serve")
# Connections that have not asked for an association; the oldest has to go for one more.
_MOST_PENDING = 64
_BACKLOG = 128
# Seconds: after a failed accept, which would fail again at once.
_PAUSE = 0.2
# Seconds that associations have to say their abort when the server is closed.
_FAREWELL = 1.0
_END = 10.0
# Addresses that were told of; a flood of others is told of no more.
_MOST_TOLD = 1024
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Terms:
    """What a listener asks of its peers.

    Attributes
    ----------
    ae_title : str
        What we are called.
    strict_called_ae : bool
        Whether a peer has to call us so.
    allow_calling : frozenset of str
        AE titles that may ask for an association; empty: all.
    allow_from : tuple of ip_network
        Where connections may come from; empty: from everywhere.
    max_associations : int
        How many there may be at once.
    max_pdu : int
        Bytes of the largest P-DATA-TF PDU that we take (PS3.8 D.1).
    timeout : float
        Seconds for each step: the TLS handshake, the association request, the rest of a PDU, the
        answer to a sub-operation.
    idle_timeout : float
        Seconds after which an association that nothing goes over is aborted.
    tls : ssl.SSLContext or None
        To speak TLS; see `dicomloom.network.tls.make_context`.
    largest_data_set : int or None
        Bytes of the largest data set in a message.
    """

    ae_title: str = CALLING_AE_TITLE
    strict_called_ae: bool = False
    allow_calling: frozenset[str] = frozenset()
    allow_from: tuple[Network, ...] = ()
    max_associations: int = 100
    max_pdu: int = MAX_PDU
    timeout: float = 30.0
    idle_timeout: float = 60.0
    tls: ssl.SSLContext | None = None
    largest_data_set: int | None = None

    def __post_init__(self) -> None:
        """Check what was given."""
        check_ae_title(self.ae_title)
        if self.max_associations < 1:
            raise ValueError(f"max_associations: expected at least 1, not {self.max_associations}")
        # What Node checks; each peer becomes one.
        Node(
            "UNKNOWN@127.0.0.1:1",
            max_pdu=self.max_pdu,
            timeout=self.timeout,
            idle_timeout=self.idle_timeout,
        )


class Listener:
    """Listens on one port, of one address or more, and serves who comes.

    Parameters
    ----------
    terms : Terms
    services : sequence of Service
        The first that takes an abstract syntax serves it.
    hosts : sequence of str
        Addresses or names of this machine.
    port : int
        0: a free one.
    at_end : callable, optional
        Called with each `Acceptor` that has ended, in its thread.

    Attributes
    ----------
    port : int
        Where it listens.

    Raises
    ------
    ConnectionFailed
        It cannot listen there.
    ValueError
        There is no such port.
    """

    def __init__(
        self,
        terms: Terms,
        services: Sequence[Service],
        *,
        hosts: Sequence[str] = ("127.0.0.1",),
        port: int = 0,
        at_end: Callable[[Acceptor], None] | None = None,
    ) -> None:
        self.terms, self.services = terms, services
        self._at_end = at_end
        self._lock = threading.Lock()
        self._pending: dict[Acceptor, None] = {}  # a set that knows the oldest
        self._admitted: set[Acceptor] = set()
        self._told: set[str] = set()
        self._closing = threading.Event()
        self._sockets: list[socket.socket] = []
        try:
            for host in hosts:
                self._sockets += _listening(host, port)
                port = self._sockets[0].getsockname()[1]
        except BaseException:
            self._close_sockets()
            raise
        self.port = port
        self._waker, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept_all, name="dicomloom-serve")
        self._thread.start()

    @property
    def associations(self) -> int:
        """How many there are now."""
        with self._lock:
            return len(self._admitted)

    def _accept_all(self) -> None:
        by_number = {one.fileno(): one for one in self._sockets}
        numbers = [*by_number, self._woken.fileno()]
        exhausted = False
        while not self._closing.is_set():
            for number in ready(numbers, None):
                if number not in by_number:
                    continue
                try:
                    connection, address = by_number[number].accept()
                    self._receive(connection, address)
                except BlockingIOError:
                    continue  # the peer has left again
                except (OSError, RuntimeError) as error:
                    # Descriptors or threads are used up: those that end make room.
                    if isinstance(error, OSError) and error.errno not in _EXHAUSTED:
                        continue
                    if not exhausted:
                        _LOGGER.warning("no more connections for now: %s", error)
                    exhausted = True
                    self._closing.wait(_PAUSE)
                else:
                    exhausted = False

    def _receive(self, connection: socket.socket, address: Any) -> None:
        """Begin to serve a connection, or close it."""
        try:
            if not self._allowed(address[0]):
                connection.close()
                return
            connection.setblocking(True)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            acceptor = Acceptor(self, connection, address)
            with self._lock:
                oldest = next(iter(self._pending)) if self._crowded() else None
                self._pending[acceptor] = None
            if oldest is not None:
                oldest.why = oldest.why or "it asked for nothing, and others came"
                oldest.hang_up()
            try:
                acceptor.start()
            except RuntimeError:
                with self._lock:
                    del self._pending[acceptor]
                raise
        except BaseException:
            connection.close()
            raise

    def _crowded(self) -> bool:
        return len(self._pending) >= _MOST_PENDING

    def _allowed(self, host: str) -> bool:
        if not self.terms.allow_from:
            return True
        address = ipaddress.ip_address(host.partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
            address = address.ipv4_mapped
        if any(address in network for network in self.terms.allow_from):
            return True
        if host not in self._told and len(self._told) < _MOST_TOLD:
            self._told.add(host)
            _LOGGER.warning("connections from %s are not allowed, and closed at once", host)
        return False

    # The threads of associations call these.

    def admit(self, acceptor: Acceptor) -> bool:
        """Count an association; False where there are too many."""
        with self._lock:
            if len(self._admitted) >= self.terms.max_associations:
                return False
            self._pending.pop(acceptor, None)
            self._admitted.add(acceptor)
            return True

    def leave(self, acceptor: Acceptor) -> None:
        """Count it no more, and tell of its end."""
        with self._lock:
            self._pending.pop(acceptor, None)
            self._admitted.discard(acceptor)
        # Probes are many where availability is watched.
        is_probe = acceptor.ending == "closed" and not acceptor.why
        level = logging.DEBUG if is_probe else logging.INFO
        why = f": {acceptor.why}" if acceptor.why else ""
        _LOGGER.log(level, "%s: %s%s", acceptor.peer, acceptor.ending, why)
        if self._at_end is not None:
            self._at_end(acceptor)

    def close(self) -> None:
        """End all associations and threads; the port is free then. More than once does no harm."""
        if self._closing.is_set():
            return
        self._closing.set()
        self._waker.send(b"\0")
        self._thread.join()
        self._close_sockets()
        with self._lock:
            left = [*self._pending, *self._admitted]
        for acceptor in left:
            acceptor.stop()
        _join(left, _FAREWELL)
        for acceptor in left:
            acceptor.hang_up()
        _join(left, _END)
        self._waker.close()
        self._woken.close()

    def _close_sockets(self) -> None:
        for one in self._sockets:
            one.close()


def _join(threads: Sequence[threading.Thread], seconds: float) -> None:
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))


def _listening(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen at all addresses of a host."""
    if not 0 <= port <= 65535:
        raise ValueError(f"port: expected 0 to 65535, not {port}")
    made: list[socket.socket] = []
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        for family, _, _, _, where in dict.fromkeys(found):
            one = socket.socket(family, socket.SOCK_STREAM)
            made.append(one)
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                # Else :: takes the port of 0.0.0.0 along on some systems.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind((where[0], port, *where[2:]))
            one.listen(_BACKLOG)
            one.setblocking(False)
            port = one.getsockname()[1]
    except OSError as error:
        with contextlib.suppress(OSError):
            for one in made:
                one.close()
        failure = ConnectionFailed(
            f"cannot listen at {host}, port {port}: {error.strerror or error}",
            hint="another program may use the port: see ss -ltnp, or take another (--port)",
        )
        failure.host, failure.port, failure.reason = host, port, "system"
        raise failure from error
    return made
