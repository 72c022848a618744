"""Our own store SCP while a C-MOVE runs: who may come, and what came."""

from __future__ import annotations

import contextlib
import ipaddress
import queue
import threading
from collections.abc import Iterator

from dicomloom.errors import NodeError, WriteError
from dicomloom.network.node import Node, read_listen
from dicomloom.network.retrieving.landing import Folder
from dicomloom.network.retrieving.retrieval import as_write_error
from dicomloom.network.retrieving.tally import Tally
from dicomloom.network.serve.listener import Listener, Terms
from dicomloom.network.serve.refusal import Refusal
from dicomloom.network.serve.services import CANNOT_UNDERSTAND, Request, Verification
from dicomloom.network.serve.store import OUT_OF_RESOURCES, Arrival, Storage
from dicomloom.network.wire import addresses, own_address
from dicomloom.network.words import printable

# PS3.4 C.4.2.1.5: statuses of C-MOVE.
DESTINATION_UNKNOWN, NO_SUBOPERATIONS, UNABLE = 0xA801, 0xA702, 0xC000
# What a peer is told where nothing else is said; `dicomloom serve` listens there, too.
PORT = 11112
# Objects that have come, and that nobody has taken note of; their senders wait for more.
_MOST_WAITING = 1024
_GLANCE = 0.1


class Reception:
    """A store SCP that takes objects from one peer, while a request runs; a context manager.

    Parameters
    ----------
    node : Node
        The peer: connections from its addresses only.
    listen : str or None
        ``ADDRESS:PORT``; by default the address that the peer is reached from, port 11112.
    folder : Folder

    Raises
    ------
    ConnectionFailed
        It cannot listen there, or the peer has no address.
    NodeError
        `listen` is none, or the peer wants TLS and there is no certificate to show it.
    """

    def __init__(self, node: Node, listen: str | None, folder: Folder) -> None:
        host, port = read_listen(listen) if listen is not None else ("", PORT)
        self._node, self._folder = node, folder
        found = addresses(node)
        allowed = {str(where[0]).partition("%")[0] for _, where in found}
        self._host = host or own_address(node)
        self._tally: Tally | None = None
        self._arrived: queue.Queue[Arrival] = queue.Queue(_MOST_WAITING)
        self._lock = threading.Lock()
        self._receiving, self._was_reached = 0, False
        self._fault: WriteError | None = None
        self._ended = threading.Event()
        terms = Terms(
            ae_title=node.calling_ae_title,
            allow_from=tuple(ipaddress.ip_network(one) for one in sorted(allowed)),
            max_pdu=node.max_pdu,
            timeout=node.timeout,
            idle_timeout=node.idle_timeout,
            tls=None,
        )
        self._listener = Listener(
            _with_tls(terms, node), [Verification(), _Intake(self)], hosts=[self._host], port=port
        )
        self._port = self._listener.port

    @property
    def folder(self) -> Folder:
        """Where objects land."""
        return self._folder

    def hint(self, status: int) -> str:
        """Return what to try where the peer sent nothing; "" where it has, or for other reasons."""
        if status == DESTINATION_UNKNOWN:
            return f"the peer does not know where to send: {self._entry()}"
        # Some peers say no more than that it failed where they do not know us.
        failed = status == NO_SUBOPERATIONS or status & 0xF000 == UNABLE
        if failed and not self._was_reached:
            return f"the peer did not get through to us: {self._entry()}, open to it"
        return ""

    def _entry(self) -> str:
        host = self._host
        if host in ("0.0.0.0", "::"):
            host = own_address(self._node)
        title = self._node.calling_ae_title
        return f'enter there the AE title "{title}" with address {host} and port {self._port}'

    @contextlib.contextmanager
    def open_to(self, tally: Tally) -> Iterator[None]:
        """Take objects during the block; those that nobody has asked for by then are counted."""
        self._tally = tally
        try:
            yield
        finally:
            self._tally = None
            for arrival in self.left():
                tally.arrived(arrival)

    def left(self) -> Iterator[Arrival]:
        """Give what has come."""
        with contextlib.suppress(queue.Empty):
            while True:
                yield self._arrived.get_nowait()

    @property
    def is_receiving(self) -> bool:
        """Whether an object is on its way at this moment."""
        return self._receiving > 0

    def arrivals(self, seconds: float = 0) -> Iterator[Arrival]:
        """Give what has come; wait up to so many seconds for the first.

        Raises
        ------
        WriteError
            An object could not be written.
        """
        if seconds:
            with contextlib.suppress(queue.Empty):
                yield self._arrived.get(timeout=seconds)
        yield from self.left()
        if self._fault is not None:
            raise self._fault

    # The threads of associations call these.

    @contextlib.contextmanager
    def receiving(self, uid: str) -> Iterator[None]:
        """Count an object that is on its way, and note why it is not taken."""
        with self._lock:
            self._receiving += 1
            self._was_reached = True
        try:
            tally = self._tally
            if tally is None:
                raise Refusal(OUT_OF_RESOURCES, "nothing is being retrieved now")
            try:
                yield
            except Refusal as refusal:
                tally.refused(printable(uid, 64), refusal.status, refusal.comment)
                if isinstance(refusal.__cause__, OSError):
                    self._fault = as_write_error(refusal.__cause__, self._folder)
                raise
            except OSError as error:
                if isinstance(error, WriteError) or not self._is_of_network(error):
                    tally.refused(printable(uid, 64), CANNOT_UNDERSTAND, "it cannot be written")
                    self._fault = as_write_error(error, self._folder)
                raise
        finally:
            with self._lock:
                self._receiving -= 1

    @staticmethod
    def _is_of_network(error: OSError) -> bool:
        from dicomloom.errors import NetworkError

        return isinstance(error, NetworkError | ConnectionError | TimeoutError)

    def put(self, arrival: Arrival) -> None:
        """Hand an object over; waits while there are many."""
        while not self._ended.is_set():
            try:
                self._arrived.put(arrival, timeout=_GLANCE)
            except queue.Full:
                continue
            return
        raise Refusal(OUT_OF_RESOURCES, "nothing is being retrieved now")

    def close(self) -> None:
        """End all associations; the port is free then."""
        self._ended.set()
        self._listener.close()

    def __enter__(self) -> Reception:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


class _Intake(Storage):
    """C-STORE while a request runs."""

    def __init__(self, reception: Reception) -> None:
        super().__init__(reception.folder, reception.put)
        self._reception = reception

    def store(self, request: Request) -> None:
        """Take one object."""
        with self._reception.receiving(request.text("AffectedSOPInstanceUID")):
            super().store(request)


def _with_tls(terms: Terms, node: Node) -> Terms:
    import dataclasses

    from dicomloom.network.tls import make_context

    if not node.tls:
        return terms
    if node.tls_cert is None:
        raise NodeError(
            f"{node}: C-MOVE with TLS needs tls_cert and tls_key: the peer connects to us"
        )
    context = make_context(
        server=True, cert_file=node.tls_cert, key_file=node.tls_key, ca_file=node.tls_ca
    )
    return dataclasses.replace(terms, tls=context)
