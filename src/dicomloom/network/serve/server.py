"""`serve`: a folder as a node of the network."""

from __future__ import annotations

import ipaddress
import os
import ssl
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from dicomloom.network import tls
from dicomloom.network.node import CALLING_AE_TITLE, MAX_PDU, Node, check_ae_title
from dicomloom.network.serve.archive.catalog import Catalog
from dicomloom.network.serve.archive.holdings import Holdings
from dicomloom.network.serve.archive.places import Places
from dicomloom.network.serve.commitment import Commitment
from dicomloom.network.serve.finding import Queries, Worklists
from dicomloom.network.serve.listener import Listener, Network, Terms
from dicomloom.network.serve.mpps import StepFolder
from dicomloom.network.serve.performing import PerformedSteps
from dicomloom.network.serve.retrieving import Gets, Moves
from dicomloom.network.serve.services import Service, Verification
from dicomloom.network.serve.store import Storage
from dicomloom.network.serve.worklist import WorklistFolder

if TYPE_CHECKING:
    from dicomloom.network.serve.acceptor import Acceptor

PORT = 11112
MIN_FREE = 100 << 20


class Server:
    """A node that stores what it is sent in a folder, and answers for it; `serve` starts one.

    A context manager: it is closed at the end of the block. Can be used from many threads.

    Attributes
    ----------
    ae_title : str
        What it is called.
    port : int
        Where it listens.
    folder : str
        Where it keeps what it has.
    """

    def __init__(self, folder: str, listener: Listener, kept: ExitStack) -> None:
        self.folder, self.ae_title, self.port = folder, listener.terms.ae_title, listener.port
        self._listener, self._kept = listener, kept
        self._closed = threading.Event()

    @property
    def associations(self) -> int:
        """How many there are now."""
        return self._listener.associations

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until another thread closes it; returns whether it is closed."""
        return self._closed.wait(seconds)

    def close(self) -> None:
        """End all associations, and leave the folder; more than once does no harm.

        A request that is being answered has a second to end. What was said to be stored is.
        """
        self._kept.close()
        self._closed.set()

    def __enter__(self) -> Server:
        """Return self."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close it."""
        self.close()


def serve(
    folder: str | os.PathLike[str],
    *,
    ae_title: str = CALLING_AE_TITLE,
    port: int = PORT,
    hosts: Sequence[str] = ("127.0.0.1",),
    nodes: Iterable[Node | str] = (),
    duplicates: str = "keep",
    sync: bool = True,
    worklist: str | os.PathLike[str] | None = None,
    mpps: str | os.PathLike[str] | None = None,
    strict_called_ae: bool = False,
    allow_calling: Iterable[str] = (),
    allow_from: Iterable[str] = (),
    max_associations: int = 100,
    max_object: int | None = None,
    min_free: int = MIN_FREE,
    max_pdu: int = MAX_PDU,
    timeout: float = 30.0,
    idle_timeout: float = 60.0,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    tls_client_ca: str | None = None,
    at_end: Callable[[Acceptor], None] | None = None,
) -> Server:
    """Serve a folder as a DICOM node, in threads of its own; returns when it listens.

    It stores objects of any class and transfer syntax, as they come, in ``objects`` of the folder;
    answers queries and retrievals (both roots) and storage commitment over what it holds, and
    C-ECHO. Files that are put into the folder by hand are found at the next start.

    Parameters
    ----------
    folder : str or path-like
        Made where it is absent. One server at a time has it.
    ae_title : str
        What it is called.
    port : int
        0: a free one; see ``port`` of what is returned.
    hosts : sequence of str
        Addresses or names of this machine to listen at; "0.0.0.0" and "::" are all of them.
    nodes : iterable of Node or str
        The destinations of C-MOVE, and who is told of storage commitment later, by AE title.
    duplicates : {"keep", "reject", "version", "replace"}
        What to do with an object whose SOP Instance UID is there already.
    sync : bool
        Bring each object to the disk before it is said to be stored.
    worklist : str or path-like, optional
        A folder of scheduled procedure steps to offer as a worklist.
    mpps : str or path-like, optional
        A folder that takes performed procedure steps.
    strict_called_ae : bool
        Reject who calls it by another name.
    allow_calling : iterable of str
        AE titles that may ask for associations; none: all.
    allow_from : iterable of str
        Addresses and networks, such as ``10.1.0.0/16``, that may connect; none: all.
    max_associations : int
        How many there may be at once.
    max_object : int, optional
        Bytes of the largest data set that is stored; larger ones are refused with status A700.
    min_free : int
        Bytes that stay free on the disk: else objects are refused with status A700, and what asks
        for commitment or tells of a step with 0213.
    max_pdu : int
        Bytes of the largest P-DATA-TF PDU that is taken.
    timeout, idle_timeout : float
        Seconds for each step of a peer; after which an association is aborted that nothing goes
        over.
    tls_cert, tls_key : str, optional
        PEM files: speak TLS, and nothing else.
    tls_client_ca : str, optional
        PEM file of certificates: each peer has to show one that is signed by one of these.
    at_end : callable, optional
        Called with each association that has ended, an
        `dicomloom.network.serve.acceptor.Acceptor`, in the thread of that.

    Returns
    -------
    Server

    Raises
    ------
    ConnectionFailed
        It cannot listen there.
    NodeError, ValueError
        An argument makes no sense.
    WriteError
        The folder cannot be written, or another server has it.

    Examples
    --------
    >>> import dicomloom, tempfile
    >>> with dicomloom.serve(tempfile.mkdtemp(), port=0) as server:
    ...     dicomloom.echo(f"{server.ae_title}@127.0.0.1:{server.port}").transfer_syntax
    '1.2.840.10008.1.2.1'
    """
    terms = Terms(
        ae_title=check_ae_title(ae_title),
        strict_called_ae=strict_called_ae,
        allow_calling=frozenset(check_ae_title(one) for one in allow_calling),
        allow_from=tuple(network_of(one) for one in allow_from),
        max_associations=max_associations,
        max_pdu=max_pdu,
        timeout=timeout,
        idle_timeout=idle_timeout,
        tls=_context(tls_cert, tls_key, tls_client_ca),
    )
    known = [Node.of(one) if isinstance(one, str) else one for one in nodes]
    destinations = {one.ae_title: one for one in known}
    with ExitStack() as kept:
        places = Places(folder, duplicates=duplicates, sync=sync)
        kept.callback(places.close)
        catalog = Catalog(folder, ae_title=terms.ae_title)
        holdings = Holdings(catalog)
        kept.callback(holdings.close)
        catalog.refresh()
        commitment = Commitment(holdings, destinations, terms.ae_title, min_free=min_free)
        kept.callback(commitment.close)
        services: list[Service] = [
            Verification(),
            Queries(holdings),
            Moves(holdings, destinations),
            Gets(holdings),
            commitment,
        ]
        if worklist is not None:
            services.append(Worklists(WorklistFolder(worklist)))
        if mpps is not None:
            services.append(PerformedSteps(StepFolder(mpps), min_free=min_free))
        # Last: what nobody else takes is stored.
        services.append(Storage(places, holdings.add, max_object=max_object, min_free=min_free))
        listener = Listener(terms, services, hosts=hosts, port=port, at_end=at_end)
        kept.callback(listener.close)
        return Server(places.folder, listener, kept.pop_all())


def network_of(text: str) -> Network:
    """Return an address or a network.

    Raises
    ------
    ValueError
        It is neither.

    Examples
    --------
    >>> network_of("10.1.2.3/16")
    IPv4Network('10.1.0.0/16')
    """
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError as error:
        raise ValueError(f"{text!r} is no address and no network such as 10.1.0.0/16") from error


def _context(cert: str | None, key: str | None, client_ca: str | None) -> ssl.SSLContext | None:
    if cert is None:
        if key is not None or client_ca is not None:
            raise ValueError("tls_key and tls_client_ca need tls_cert")
        return None
    return tls.make_context(server=True, cert_file=cert, key_file=key, ca_file=client_ca)
